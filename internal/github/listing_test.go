package github

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
)

func names(l Listing) []string {
	var all []string
	for _, s := range l.Secrets() {
		all = append(all, s.Name)
	}
	return all
}

func (s *stage) fill(scope string, n int) {
	for i := range n {
		s.SetSecret(widgets, scope, githubsim.Secret{Name: fmt.Sprintf("S%03d", i), Value: "v"})
	}
}

func TestListEveryStore(t *testing.T) {
	s := perform(t, nil)
	s.AddEnvironment(widgets, "a/b: c")
	environment, err := secret.Environment("A/B: c")
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range append(secret.Stores(), environment) {
		t.Run(scope.String(), func(t *testing.T) {
			s.SetSecret(widgets, scope.String(), githubsim.Secret{Name: "lower_case", Value: "v"})
			l, err := s.client.List(t.Context(), s.repo, scope, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := names(l); len(got) != 1 || got[0] != "LOWER_CASE" || l.Scope != scope || l.Unchanged {
				t.Errorf("got %v of %s, unchanged %v", got, l.Scope, l.Unchanged)
			}
			if d := s.Now().Sub(l.Date); d < 0 || d > 2*time.Second {
				t.Errorf("dated %s, GitHub's clock shows %s", l.Date, s.Now())
			}
		})
	}
	for _, p := range s.paths() {
		if strings.Contains(p, "environments") && !strings.Contains(p, "/environments/a%2Fb:%20c/secrets") {
			t.Errorf("%s: the environment's name must be escaped once", p)
		}
	}
}

func TestEmptyListIsWhole(t *testing.T) {
	s := perform(t, nil)
	l, err := s.client.List(t.Context(), s.repo, secret.Actions, nil)
	if err != nil || len(l.Secrets()) != 0 {
		t.Errorf("got %v, %v", names(l), err)
	}
}

func TestUnchangedListCostsNothing(t *testing.T) {
	s := perform(t, nil)
	s.fill("actions", 3)
	first, err := s.client.List(t.Context(), s.repo, secret.Actions, nil)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := json.Marshal(first)
	if err != nil {
		t.Fatal(err)
	}
	var known Listing
	if err := json.Unmarshal(stored, &known); err != nil {
		t.Fatal(err)
	}
	s.ResetRequests()
	s.Advance(time.Hour / 2)
	again, err := s.client.List(t.Context(), s.repo, secret.Actions, &known)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Counts(); n.Billed != 0 || n.Requests != 1 {
		t.Errorf("cost %d of %d requests", n.Billed, n.Requests)
	}
	if !again.Unchanged || again.Date.Sub(first.Date) < 29*time.Minute {
		t.Errorf("unchanged %v, dated %s after %s", again.Unchanged, again.Date, first.Date)
	}
	if d := cmp.Diff(first.Secrets(), again.Secrets()); d != "" {
		t.Error(d)
	}
	s.SetSecret(widgets, "actions", githubsim.Secret{Name: "NEW", Value: "v"})
	changed, err := s.client.List(t.Context(), s.repo, secret.Actions, &again)
	if err != nil || changed.Unchanged || len(changed.Secrets()) != 4 {
		t.Errorf("got %v, unchanged %v, %v", names(changed), changed.Unchanged, err)
	}
}

func TestKnownListOfAnotherScopeIsNotBelieved(t *testing.T) {
	s := perform(t, nil)
	known, err := s.client.List(t.Context(), s.repo, secret.Actions, nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := s.client.List(t.Context(), s.repo, secret.Dependabot, &known)
	if err != nil || l.Unchanged || l.Scope != secret.Dependabot {
		t.Errorf("got %+v, %v", l, err)
	}
}

func TestKnownListThatLostPartsIsReadAnew(t *testing.T) {
	s := perform(t, nil)
	s.fill("actions", 3)
	known, err := s.client.List(t.Context(), s.repo, secret.Actions, nil)
	if err != nil {
		t.Fatal(err)
	}
	known.Pages[0].Secrets = known.Pages[0].Secrets[:1]
	l, err := s.client.List(t.Context(), s.repo, secret.Actions, &known)
	if err != nil || len(l.Secrets()) != 3 {
		t.Errorf("got %v, %v", names(l), err)
	}
}

// pages is a store of more secrets than one page holds, which the simulator's limit of 100 does
// not allow but organisations have. Its pages are links in GitHub's form.
type pages struct {
	mu      sync.Mutex
	base    string
	all     []string
	between func(p *pages, page int) // runs before a page is served
	asked   []string
}

func (p *pages) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	page := 1
	_, _ = fmt.Sscan(r.URL.Query().Get("page"), &page)
	p.asked = append(p.asked, fmt.Sprintf("%s %d", r.URL.Path, page))
	if p.between != nil {
		p.between(p, page)
	}
	from := min((page-1)*100, len(p.all))
	to := min(from+100, len(p.all))
	var body struct {
		Total   int      `json:"total_count"`
		Secrets []Listed `json:"secrets"`
	}
	body.Total, body.Secrets = len(p.all), []Listed{}
	for _, n := range p.all[from:to] {
		body.Secrets = append(body.Secrets, Listed{Name: n, CreatedAt: time.Unix(0, 0), UpdatedAt: time.Unix(1, 0)})
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	etag := fmt.Sprintf(`W/"%x"`, sha256.Sum256(append(text, byte(page))))
	w.Header().Set("ETag", etag)
	if r.Header.Get("If-None-Match") == etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if to < len(p.all) {
		w.Header().Set("Link", fmt.Sprintf(`<%[1]s/repositories/7/actions/secrets?per_page=100&page=1>; rel="prev", `+
			`<%[1]s/repositories/7/actions/secrets?per_page=100&page=%[2]d>; rel="next"`, p.base, page+1))
	}
	_, _ = w.Write(text)
}

func numbered(n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("S%04d", i)
	}
	return all
}

func TestListFollowsLinksToTheEnd(t *testing.T) {
	p := &pages{base: "https://api.github.com", all: numbered(250)}
	c := against(t, p, nil)
	first, err := c.List(t.Context(), aRepo, secret.Actions, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(numbered(250), names(first)); d != "" {
		t.Error(d)
	}
	want := []string{
		"/repos/acme/widgets/actions/secrets 1", "/repositories/7/actions/secrets 2", "/repositories/7/actions/secrets 3",
		"/repos/acme/widgets/actions/secrets 1", "/repositories/7/actions/secrets 2", // still so?
	}
	if d := cmp.Diff(want, p.asked); d != "" {
		t.Error(d)
	}
	again, err := c.List(t.Context(), aRepo, secret.Actions, &first)
	if err != nil || !again.Unchanged {
		t.Errorf("unchanged %v, %v", again.Unchanged, err)
	}
	if d := cmp.Diff(first, again, cmpopts.IgnoreFields(Listing{}, "Date", "Unchanged"), cmp.Comparer(func(a, b secret.Scope) bool { return a == b })); d != "" {
		t.Error(d)
	}
	p.all = numbered(251) // the first page's content stays, its count does not
	more, err := c.List(t.Context(), aRepo, secret.Actions, &again)
	if err != nil || len(more.Secrets()) != 251 || more.Unchanged {
		t.Errorf("got %d secrets, unchanged %v, %v", len(more.Secrets()), more.Unchanged, err)
	}
}

func TestListThatChangesBetweenPagesIsReadAgain(t *testing.T) {
	changes := map[string]func(p *pages){
		"one goes":                 func(p *pages) { p.all = p.all[1:] },
		"one comes":                func(p *pages) { p.all = append([]string{newcomer(p)}, p.all...) },
		"one goes and one comes":   func(p *pages) { p.all = append(p.all[1:len(p.all):len(p.all)], newcomer(p)) },
		"one comes, the last goes": func(p *pages) { p.all = append([]string{newcomer(p)}, p.all[:len(p.all)-1]...) },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			times := 0
			p := &pages{base: "https://api.github.com", all: numbered(150)}
			p.between = func(p *pages, page int) {
				if page == 2 && times < 2 {
					times++
					change(p)
				}
			}
			l, err := against(t, p, nil).List(t.Context(), aRepo, secret.Actions, nil)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(p.all, names(l)); d != "" {
				t.Error(d)
			}
		})
	}
}

// newcomer is a name that was not there before.
func newcomer(p *pages) string { return fmt.Sprintf("A%d", len(p.asked)) }

func TestListThatNeverStaysIsAnError(t *testing.T) {
	p := &pages{base: "https://api.github.com", all: numbered(150)}
	p.between = func(p *pages, page int) {
		if page == 2 {
			p.all = append([]string{newcomer(p)}, p.all...)
		}
	}
	l, err := against(t, p, nil).List(t.Context(), aRepo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationUnavailable, "partial listing", "actions of acme/widgets", "Run again")
	if len(l.Pages) != 0 || len(p.asked) != 8 {
		t.Errorf("got %d pages after %d requests, want none after 8", len(l.Pages), len(p.asked))
	}
}

func TestListWithoutEndIsAnError(t *testing.T) {
	c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", `<https://api.github.com/repositories/7/actions/secrets?page=2>; rel="next"`)
		canned(200, nil, `{"total_count":0,"secrets":[]}`).ServeHTTP(w, r)
	}), nil)
	_, err := c.List(t.Context(), aRepo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationUnavailable, "no end")
}

func TestErrorOnASecondPageGivesNoList(t *testing.T) {
	p := &pages{base: "https://api.github.com", all: numbered(150)}
	c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("page") == "2" {
			canned(500, nil, "").ServeHTTP(w, r)
			return
		}
		p.ServeHTTP(w, r)
	}), nil)
	l, err := c.List(t.Context(), aRepo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationUnavailable, "500")
	if len(l.Pages) > 0 {
		t.Error("a partial list was returned")
	}
}

func TestLinkToAnotherHostIsRefused(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	c := against(t, &pages{base: elsewhere.URL, all: numbered(150)}, nil)
	_, err := c.List(t.Context(), aRepo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationDenied, "other host", elsewhere.URL)
	if asked {
		t.Error("the other host was asked")
	}
}

func TestMissingStoreIsTold(t *testing.T) {
	s := perform(t, nil)
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Without = []string{"codespaces"} })
	_, err := s.client.List(t.Context(), s.repo, secret.Codespaces, nil)
	wantFault(t, err, fault.ResourceNotFound, "codespaces of acme/widgets")
	if !errors.Is(err, ErrStoreMissing) {
		t.Errorf("%v is not ErrStoreMissing", err)
	}
	nowhere, err := secret.Environment("nowhere")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.client.PublicKey(t.Context(), s.repo, nowhere); !errors.Is(err, ErrStoreMissing) {
		t.Errorf("an environment that does not exist: %v", err)
	}
}

func TestOrganizationSecrets(t *testing.T) {
	s := perform(t, nil)
	s.SetOrganizationSecret("acme", githubsim.Secret{Name: "SHARED", Value: "v"}, widgets)
	l, err := s.client.OrganizationSecrets(t.Context(), s.repo, nil)
	if err != nil || len(names(l)) != 1 || names(l)[0] != "SHARED" {
		t.Fatalf("got %v, %v", names(l), err)
	}
	again, err := s.client.OrganizationSecrets(t.Context(), s.repo, &l)
	if err != nil || !again.Unchanged {
		t.Errorf("unchanged %v, %v", again.Unchanged, err)
	}
	s.ResetRequests()
	own := s.repo
	own.OwnerType = "User"
	l, err = s.client.OrganizationSecrets(t.Context(), own, nil)
	if err != nil || len(names(l)) != 0 || l.Date.IsZero() || s.Counts().Requests != 0 {
		t.Errorf("a user's repository: %v at %s after %d requests, %v", names(l), l.Date, s.Counts().Requests, err)
	}
	if text, err := json.Marshal(l); err != nil || json.Unmarshal(text, &l) != nil {
		t.Errorf("%s does not survive being stored: %v", text, err)
	}
}

func TestNextLink(t *testing.T) {
	for header, want := range map[string]string{
		``:                               ``,
		`<https://x/?a=1,2>; rel="next"`: `https://x/?a=1,2`,
		`<https://x/1>; rel="prev", <https://x/3>; rel="next"`:           `https://x/3`,
		`<https://x/3>; title="a"; rel=next, <https://x/1>; rel="first"`: `https://x/3`,
		`<https://x/1>; rel="prev"`:                                      ``,
		`<https://x/1`:                                                   ``,
		`rel="next"`:                                                     ``,
	} {
		if got := nextLink(http.Header{"Link": {header}}); got != want {
			t.Errorf("%s: got %q, want %q", header, got, want)
		}
	}
}
