package github

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
)

func TestBaseURL(t *testing.T) {
	for good, want := range map[string]string{
		"":                               "https://api.github.com",
		"https://API.GitHub.com/":        "https://api.github.com",
		"https://ghe.acme.com/api/v3/":   "https://ghe.acme.com/api/v3",
		"https://api.acme.ghe.com":       "https://api.acme.ghe.com",
		"http://127.0.0.1:8080":          "http://127.0.0.1:8080",
		"http://127.9.9.9":               "http://127.9.9.9",
		"http://[::1]:8080/api/v3":       "http://[::1]:8080/api/v3",
		"http://localhost:1":             "http://localhost:1",
		"http://[::ffff:127.0.0.1]:8080": "http://[::ffff:127.0.0.1]:8080",
	} {
		u, err := parseBase(good)
		if err != nil || u.String() != want {
			t.Errorf("%s: got %v, %v, want %s", good, u, err, want)
		}
	}
	for bad, part := range map[string]string{
		"http://ghe.acme.com/api/v3":        "plain http to ghe.acme.com",
		"http://localhost.acme.com":         "plain http",
		"http://10.0.0.1":                   "plain http",
		"ftp://ghe.acme.com":                "must begin with https://",
		"ghe.acme.com":                      "not a URL",
		"https://":                          "not a URL",
		"https://user:hunter2@ghe.acme.com": "no user",
		"https://ghe.acme.com?x=1":          "query",
		"https://github.com":                "website",
		"https://www.github.com/acme":       "website",
		"https://api.github.com.\x00":       "not a URL",
	} {
		_, err := parseBase(bad)
		wantFault(t, err, fault.RequestInvalid, part)
		if strings.Contains(everything(err), "hunter2") {
			t.Errorf("%s: the password is shown", bad)
		}
	}
}

func TestClientNeedsACredential(t *testing.T) {
	_, err := New(Config{})
	wantFault(t, err, fault.IntegrationDenied, "no credential for github.com", "OCTOSEAL_GITHUB_TOKEN, GH_TOKEN, GITHUB_TOKEN",
		"OCTOSEAL_GITHUB_APP_ID", "gh auth login --hostname github.com")
	_, err = New(Config{BaseURL: "https://ghe.acme.com/api/v3"})
	wantFault(t, err, fault.IntegrationDenied, "GH_ENTERPRISE_TOKEN", "--hostname ghe.acme.com")
	if strings.Contains(fault.Of(err).Hint, "GITHUB_TOKEN,") && strings.Contains(fault.Of(err).Hint, " GITHUB_TOKEN") {
		t.Errorf("a token of github.com is proposed for another host: %s", fault.Of(err).Hint)
	}
}

func TestHeaders(t *testing.T) {
	var got []*http.Request
	c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r)
		canned(204, nil, "").ServeHTTP(w, r)
	}), func(cfg *Config) { cfg.Version = "1.2.3" })
	if _, err := c.Put(t.Context(), aRepo, aName, seal(t, aKey(t, secret.Actions), "v")); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Delete(t.Context(), aRepo, secret.Actions, aName); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"Accept": "application/vnd.github+json", "X-Github-Api-Version": "2022-11-28",
		"User-Agent": "octoseal/1.2.3", "Authorization": "Bearer ghp_test", "Content-Type": "application/json",
	} {
		if h := got[0].Header.Get(name); h != want {
			t.Errorf("%s is %q, want %q", name, h, want)
		}
	}
	if got[1].Header.Get("Content-Type") != "" || got[1].ContentLength != 0 {
		t.Error("a deletion was sent with a body")
	}
}

// Wherever an answer points to, the token goes to the base URL's own host alone.
func TestTokenGoesToNoOtherHost(t *testing.T) {
	var leaked atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { leaked.Add(1) }))
	defer elsewhere.Close()
	for _, to := range []string{
		elsewhere.URL + "/repositories/7", strings.Replace(elsewhere.URL, "127.0.0.1", "localhost", 1),
		"//" + strings.TrimPrefix(elsewhere.URL, "http://") + "/x", "http://evil.example/repositories/7", "https://%zz",
	} {
		for _, status := range []int{301, 302, 307, 308} {
			server := httptest.NewServer(canned(status, map[string]string{"Location": to}, ""))
			c := against(t, nil, func(cfg *Config) { cfg.BaseURL, cfg.Transport = server.URL, nil })
			_, _, err := c.Repository(t.Context(), aRepo.Ref(), nil)
			wantFault(t, err, fault.IntegrationDenied, "points to")
			_, err = c.Put(t.Context(), aRepo, aName, seal(t, aKey(t, secret.Actions), "v"))
			wantFault(t, err, fault.IntegrationDenied, "points to")
			c.CloseIdle()
			server.Close()
		}
	}
	if n := leaked.Load(); n != 0 {
		t.Errorf("another host was asked %d times", n)
	}
}

func TestWithin(t *testing.T) {
	base, err := parseBase("https://ghe.acme.com/api/v3")
	if err != nil {
		t.Fatal(err)
	}
	c := &Client{base: base}
	for to, want := range map[string]string{
		"https://ghe.acme.com/api/v3/repositories/7?page=2":     "/repositories/7?page=2",
		"https://GHE.acme.com:443/api/v3/repositories/7/a%2Fb":  "/repositories/7/a%2Fb",
		"/api/v3/repositories/7":                                "/repositories/7",
		"?page=3":                                               "/repos/acme/widgets?page=3",
		"https://ghe.acme.com/api/v3evil/x":                     "",
		"https://ghe.acme.com/login":                            "",
		"https://ghe.acme.com/api/v3/../../login":               "",
		"https://ghe.acme.com:8443/api/v3/x":                    "",
		"http://ghe.acme.com/api/v3/x":                          "",
		"https://token@ghe.acme.com/api/v3/x":                   "",
		"https://ghe.acme.com.evil.example/api/v3/repositories": "",
	} {
		got, err := c.within("/repos/acme/widgets?page=1", to)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", to, got, err, want)
		}
	}
}

func TestEnterpriseServer(t *testing.T) {
	gh := githubsim.New(githubsim.Config{Enterprise: "3.19.1"})
	gh.AddRepository(githubsim.Repository{FullName: widgets})
	server := httptest.NewServer(gh)
	defer server.Close()
	c := against(t, nil, func(cfg *Config) {
		cfg.BaseURL, cfg.Transport = server.URL+gh.Prefix(), nil
		cfg.Credential = Token(gh.AddToken(githubsim.Token{}), "OCTOSEAL_GITHUB_TOKEN")
	})
	defer c.CloseIdle()
	repo, _, err := c.Repository(t.Context(), Ref{"acme", "widgets"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName = "acme/gadgets" })
	key, err := c.PublicKey(t.Context(), repo, secret.Actions)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Put(t.Context(), repo, aName, seal(t, key, "v")); err != nil {
		t.Fatal(err)
	}
	if got, _ := gh.Value("acme/gadgets", "actions", "TOKEN"); got != "v" {
		t.Errorf("the server holds %q", got)
	}
	if _, err := c.List(t.Context(), repo, secret.Codespaces, nil); !errors.Is(err, ErrStoreMissing) {
		t.Errorf("a store that the server lacks: %v", err)
	}
	if q := c.Quota(); q.Known {
		t.Errorf("a quota is known where there is none: %+v", q)
	}
	if all, err := c.RateLimit(t.Context()); err != nil || len(all) != 0 {
		t.Errorf("got %v, %v", all, err)
	}
}

func TestManyWritesAtOnce(t *testing.T) {
	s := perform(t, nil)
	s.SetFaults(githubsim.Faults{Seed: 3, Failures: []githubsim.Failure{{Rate: 0.1}}})
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			if _, err := s.put(t, secret.Actions, fmt.Sprintf("S%d", i), fmt.Sprint(i)); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for i := range 100 {
		if got, _ := s.Value(widgets, "actions", fmt.Sprintf("S%d", i)); got != fmt.Sprint(i) {
			t.Errorf("S%d is %q", i, got)
		}
	}
}

func TestNetworkInPlainWords(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	secure := httptest.NewUnstartedServer(canned(200, nil, "{}"))
	secure.Config.ErrorLog = quiet
	secure.StartTLS()
	defer secure.Close()
	plain := httptest.NewUnstartedServer(canned(200, nil, "{}"))
	plain.Config.ErrorLog = quiet
	plain.Start()
	defer plain.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := gone.Close(); err != nil {
		t.Fatal(err)
	}
	trusting := secure.Client().Transport.(*http.Transport).Clone()
	trusting.TLSClientConfig = &tls.Config{RootCAs: trusting.TLSClientConfig.RootCAs}
	defer trusting.CloseIdleConnections()
	for name, c := range map[string]struct {
		url       string
		transport http.RoundTripper
		parts     []string
		attempts  bool
	}{
		"unknown authority": {secure.URL, nil, []string{"authority that this machine does not know", "SSL_CERT_FILE"}, false},
		"another host":      {strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), trusting, []string{"for another host"}, false},
		"no TLS":            {strings.Replace(plain.URL, "http://", "https://", 1), nil, []string{"does not speak TLS"}, false},
		"nobody listens":    {"http://" + gone.Addr().String(), nil, []string{"nothing listens at", "after 4 attempts"}, true},
		"no such name":      {"https://api.github.com", failing{&net.DNSError{Name: "api.github.com", IsNotFound: true}}, []string{"api.github.com is not known (DNS)"}, false},
		"name server away":  {"https://api.github.com", failing{&net.DNSError{Name: "api.github.com", IsTimeout: true}}, []string{"not resolved (DNS)", "after 4"}, true},
		"proxy":             {"https://api.github.com", failing{&net.OpError{Op: "proxyconnect", Err: errors.New("refused")}}, []string{"proxy", "HTTPS_PROXY"}, true},
		"cut":               {"https://api.github.com", failing{io.ErrUnexpectedEOF}, []string{"broke", "after 4"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			seen := &counter{}
			client := against(t, nil, func(cfg *Config) {
				cfg.BaseURL, cfg.Transport, cfg.Retry, cfg.OnRequest = c.url, c.transport, quick, seen.hear
			})
			defer client.CloseIdle()
			_, _, err := client.Repository(t.Context(), aRepo.Ref(), nil)
			wantFault(t, err, fault.IntegrationUnavailable, c.parts...)
			if n := len(seen.seen()); (n == 4) != c.attempts {
				t.Errorf("%d attempts", n)
			}
			if e := seen.seen()[0]; e.Status != 0 || e.Billed {
				t.Errorf("told as %+v", e)
			}
		})
	}
}

// failing is a network that breaks in one way.
type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }

func TestRepositoryIsConditional(t *testing.T) {
	s := perform(t, nil)
	again, date, err := s.client.Repository(t.Context(), Ref{"acme", "widgets"}, &s.repo)
	if err != nil || again != s.repo || date.IsZero() {
		t.Errorf("got %+v at %s, %v", again, date, err)
	}
	if n := s.Counts(); n.Billed != 0 || n.Requests != 1 {
		t.Errorf("an unchanged repository cost %d of %d requests", n.Billed, n.Requests)
	}
	want := Repository{ID: s.repo.ID, Owner: "acme", Name: "widgets", DefaultBranch: "main", Private: true, OwnerType: "Organization", Admin: true, Push: true}
	got := s.repo
	got.ETag, got.OwnerID = "", 0
	if got != want || s.repo.OwnerID == 0 {
		t.Errorf("got %+v", s.repo)
	}
	byID, err := s.client.RepositoryByID(t.Context(), s.repo.ID)
	if err != nil || byID.FullName() != widgets {
		t.Errorf("by id: %+v, %v", byID, err)
	}
	_, err = s.client.RepositoryByID(t.Context(), 1)
	wantFault(t, err, fault.ResourceNotFound, "repository number 1")
}

func TestQuotaIsLearntFromAnswers(t *testing.T) {
	s := perform(t, nil)
	s.SetQuota(100, s.Now().Add(time.Hour))
	if _, err := s.client.List(t.Context(), s.repo, secret.Actions, nil); err != nil {
		t.Fatal(err)
	}
	if q := s.client.Quota(); !q.Known || q.Remaining != 99 || time.Until(q.Reset) < 50*time.Minute || time.Since(q.CheckedAt) > time.Minute {
		t.Errorf("got %+v", q)
	}
	all, err := s.client.RateLimit(t.Context())
	if err != nil || all["core"].Remaining != 99 || !all["search"].Known {
		t.Errorf("got %+v, %v", all, err)
	}
	s.Advance(2 * time.Hour)
	if _, err := s.client.RateLimit(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q := s.client.Quota(); q.Remaining != 5000 {
		t.Errorf("after the reset: %+v", q)
	}
}

func TestQuotaOfAnotherResourceOrALateAnswer(t *testing.T) {
	c := &Client{clock: &clock{}}
	reset := time.Now().Add(time.Hour)
	answered := func(resource string, remaining int, reset time.Time) {
		h := http.Header{}
		h.Set("X-RateLimit-Limit", "5000")
		h.Set("X-RateLimit-Remaining", fmt.Sprint(remaining))
		h.Set("X-RateLimit-Reset", fmt.Sprint(reset.Unix()))
		h.Set("X-RateLimit-Resource", resource)
		c.sawQuota(answer{status: 200, header: h, received: time.Now()})
	}
	want := func(remaining int, known bool) {
		t.Helper()
		if q := c.Quota(); q.Remaining != remaining || q.Known != known {
			t.Errorf("got %+v, want %d, known %v", q, remaining, known)
		}
	}
	answered("core", 40, reset)
	answered("search", 3, reset)
	want(40, true)
	answered("core", 41, reset.Add(time.Second)) // overtaken on the way
	want(40, true)
	answered("core", 4999, reset.Add(time.Hour)) // a new hour
	want(4999, true)
	c.sawQuota(answer{status: 429, header: http.Header{}})
	want(4999, false)
	answered("core", 17, time.Now().Add(-time.Minute)) // past its reset
	want(17, false)
}

func TestClock(t *testing.T) {
	k := &clock{}
	if k.now().Known {
		t.Error("a clock that saw nothing knows nothing")
	}
	base := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	// GitHub is 90 s ahead; ten answers in a second, each with the whole second in its header.
	for i := range 10 {
		sent := base.Add(time.Duration(i) * 100 * time.Millisecond)
		got := sent.Add(20 * time.Millisecond)
		k.saw(got.Add(90*time.Second).Truncate(time.Second), sent, got)
	}
	if c := k.now(); !c.Known || (c.Skew-90*time.Second).Abs() > 200*time.Millisecond {
		t.Errorf("got %+v, want 90 s", c)
	}
	// Our clock is set right: the intervals contradict each other, and the new one holds.
	k.saw(base.Add(time.Hour), base.Add(time.Hour), base.Add(time.Hour))
	if c := k.now(); c.Skew != 0 || !c.Known {
		t.Errorf("got %+v, want none", c)
	}
	if got := (Clock{Skew: time.Minute}).GitHub(base); !got.Equal(base.Add(time.Minute)) {
		t.Errorf("got %s", got)
	}
}

func TestFirstAttemptIsOnGitHubsClock(t *testing.T) {
	s := perform(t, nil)
	s.Advance(-time.Hour)
	c := s.connect(t, nil)
	key, err := c.PublicKey(t.Context(), s.repo, secret.Actions)
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.Put(t.Context(), s.repo, aName, seal(t, key, "v"))
	if err != nil {
		t.Fatal(err)
	}
	if d := s.Now().Sub(w.FirstAttempt); d < -time.Second || d > 2*time.Second {
		t.Errorf("first attempt at %s, GitHub's clock shows %s", w.FirstAttempt, s.Now())
	}
}

func TestParseRemote(t *testing.T) {
	for text, want := range map[string]string{
		"acme/widgets":                                  "acme/widgets@",
		" acme/widgets.js \n":                           "acme/widgets.js@",
		"acme/.github":                                  "acme/.github@",
		"acme_corp/widgets":                             "acme_corp/widgets@",
		"https://github.com/acme/widgets":               "acme/widgets@github.com",
		"https://www.GitHub.com/acme/widgets/":          "acme/widgets@github.com",
		"https://github.com/acme/widgets.git":           "acme/widgets@github.com",
		"https://github.com/acme/widgets/tree/main?x#y": "acme/widgets@github.com",
		"https://token@github.com/acme/widgets.git":     "acme/widgets@github.com",
		"github.com/acme/widgets":                       "acme/widgets@github.com",
		"git@github.com:acme/widgets.git":               "acme/widgets@github.com",
		"github.com:acme/widgets":                       "acme/widgets@github.com",
		"ssh://git@github.com/acme/widgets.git":         "acme/widgets@github.com",
		"ssh://git@ssh.github.com:443/acme/widgets.git": "acme/widgets@github.com",
		"git+ssh://git@ghe.acme.com:2222/acme/widgets":  "acme/widgets@ghe.acme.com",
		"git://ghe.acme.com/acme/widgets.git":           "acme/widgets@ghe.acme.com",
		"https://ghe.acme.com:8443/acme/widgets":        "acme/widgets@ghe.acme.com",
	} {
		ref, host, err := ParseRemote(text)
		if err != nil || ref.String()+"@"+host != want {
			t.Errorf("%s: got %s@%s, %v, want %s", text, ref, host, err, want)
		}
	}
	for _, text := range []string{
		"", "widgets", "acme/", "/widgets", "acme/widgets/x", "acme/wid gets", "a$/b", "acme/..", "acme/.", "-x/y",
		"https://github.com/acme", "git@github.com:acme", "https://github.com", "://", "https://%zz/a/b",
		"https://user:hunter2@github.com/acme",
	} {
		_, err := ParseRef(text)
		wantFault(t, err, fault.RequestInvalid, "OWNER/NAME")
		if strings.Contains(everything(err), "hunter2") {
			t.Error("a password is shown")
		}
	}
}

func TestPermissionsCoverEveryStore(t *testing.T) {
	table := Permissions()
	for i, scope := range secret.Stores() {
		if table[i].Store != scope.String() {
			t.Errorf("row %d is %s, want %s", i, table[i].Store, scope)
		}
	}
	for _, p := range table {
		if p.Title == "" || p.Slug == "" || p.Read == "" || p.Write != "write" {
			t.Errorf("incomplete: %+v", p)
		}
	}
}

// Whatever an answer points to, what is asked next lies below the base URL.
func FuzzWithin(f *testing.F) {
	for _, to := range []string{"https://ghe.acme.com/api/v3/x", "//evil.example/api/v3/x", "/api/v3/../x", "?a=b", "https:///api/v3/x", "\\\\evil.example"} {
		f.Add(to)
	}
	base, err := parseBase("https://ghe.acme.com/api/v3")
	if err != nil {
		f.Fatal(err)
	}
	c := &Client{base: base}
	f.Fuzz(func(t *testing.T, to string) {
		path, err := c.within("/repos/acme/widgets", to)
		if err != nil {
			return
		}
		u, err := url.Parse(base.String() + path)
		if err != nil || u.Host != base.Host || u.Scheme != "https" || u.User != nil || !strings.HasPrefix(u.Path, "/api/v3/") {
			t.Errorf("%q leads to %v, %v", to, u, err)
		}
	})
}

func FuzzParseRemote(f *testing.F) {
	for _, s := range []string{"acme/widgets", "git@github.com:acme/widgets.git", "https://github.com/acme/widgets/tree/main"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ref, _, err := ParseRemote(s)
		if err != nil {
			return
		}
		if again, err := ParseRef(ref.String()); err != nil || again != ref {
			t.Errorf("%q gives %s, which gives %s, %v", s, ref, again, err)
		}
	})
}
