package github

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
)

func TestPutAndDeleteInEveryStore(t *testing.T) {
	s := perform(t, nil)
	s.AddEnvironment(widgets, "a/b")
	environment, err := secret.Environment("a/b")
	if err != nil {
		t.Fatal(err)
	}
	for _, scope := range append(secret.Stores(), environment) {
		t.Run(scope.String(), func(t *testing.T) {
			for i, value := range []string{"one", "two"} {
				w, err := s.put(t, scope, "TOKEN", value)
				if err != nil {
					t.Fatal(err)
				}
				if w.Created != (i == 0) || w.Attempts != 1 {
					t.Errorf("write %d: %+v", i, w)
				}
				if d := w.Date.Sub(w.FirstAttempt); d.Abs() > 2*time.Second {
					t.Errorf("first attempt %s, answered %s", w.FirstAttempt, w.Date)
				}
				if got, _ := s.Value(widgets, scope.String(), "TOKEN"); got != value {
					t.Errorf("GitHub holds %q, want %q", got, value)
				}
			}
			for range 2 { // the second finds nothing, which is what was wanted
				if _, err := s.client.Delete(t.Context(), s.repo, scope, aName); err != nil {
					t.Error(err)
				}
			}
			if _, there := s.Value(widgets, scope.String(), "TOKEN"); there {
				t.Error("it is still there")
			}
		})
	}
	log := s.log.String()
	for _, want := range []string{`msg="secret written"`, "scope=dependabot", "name=TOKEN", "key_id=", `msg="secret deleted"`} {
		if !strings.Contains(log, want) {
			t.Errorf("the log lacks %s", want)
		}
	}
}

func TestNothingIsWrittenWithoutANameOrABox(t *testing.T) {
	s := perform(t, nil)
	_, err := s.client.Put(t.Context(), s.repo, aName, secret.Box{})
	wantFault(t, err, fault.RequestInvalid)
	_, err = s.client.Put(t.Context(), s.repo, secret.Name{}, seal(t, aKey(t, secret.Actions), "v"))
	wantFault(t, err, fault.RequestInvalid)
	// Without a name the path would be that of the list.
	_, err = s.client.Delete(t.Context(), s.repo, secret.Actions, secret.Name{})
	wantFault(t, err, fault.RequestInvalid)
	_, err = s.client.Delete(t.Context(), s.repo, secret.Scope{}, aName)
	wantFault(t, err, fault.RequestInvalid)
	if n := s.Counts().Requests; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestStaleKey(t *testing.T) {
	s := perform(t, nil)
	key, err := s.client.PublicKey(t.Context(), s.repo, secret.Actions)
	if err != nil {
		t.Fatal(err)
	}
	s.RotateKey(widgets, "actions")
	_, err = s.client.Put(t.Context(), s.repo, aName, seal(t, key, "v"))
	wantFault(t, err, fault.EncryptionFailed, "TOKEN", "another key")
	if !errors.Is(err, StaleKey) {
		t.Errorf("%v is not StaleKey", err)
	}
	s.client.ForgetKey(s.repo, secret.Actions)
	if _, err := s.put(t, secret.Actions, "TOKEN", "v"); err != nil {
		t.Error(err)
	}
}

// Ten writers find the key stale at once; one request for the new one serves them all.
func TestStaleKeyIsFetchedOnceForAll(t *testing.T) {
	s := perform(t, nil)
	key, err := s.client.PublicKey(t.Context(), s.repo, secret.Actions)
	if err != nil {
		t.Fatal(err)
	}
	s.RotateKey(widgets, "actions")
	s.ResetRequests()
	var all sync.WaitGroup
	for i := range 10 {
		all.Go(func() {
			name := secret.MustName(fmt.Sprintf("S%d", i))
			_, err := s.client.Put(t.Context(), s.repo, name, seal(t, key, "v"))
			if !errors.Is(err, StaleKey) {
				t.Errorf("got %v", err)
				return
			}
			s.client.ForgetKey(s.repo, secret.Actions)
			fresh, err := s.client.PublicKey(t.Context(), s.repo, secret.Actions)
			if err != nil {
				t.Error(err)
				return
			}
			if _, err := s.client.Put(t.Context(), s.repo, name, seal(t, fresh, "v")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := count(s.paths(), "GET "); n != 1 {
		t.Errorf("the key was fetched %d times", n)
	}
}

func count(all []string, prefix string) int {
	n := 0
	for _, s := range all {
		if strings.HasPrefix(s, prefix) {
			n++
		}
	}
	return n
}

func TestPublicKeyIsKeptAndShared(t *testing.T) {
	s := perform(t, nil)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			if _, err := s.client.PublicKey(t.Context(), s.repo, secret.Dependabot); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := s.Counts().Requests; n != 1 {
		t.Errorf("%d requests for one key", n)
	}
	s.client.ForgetKey(s.repo, secret.Dependabot)
	if _, err := s.client.PublicKey(t.Context(), s.repo, secret.Dependabot); err != nil {
		t.Fatal(err)
	}
	if n := s.Counts().Requests; n != 2 {
		t.Errorf("%d requests after one was forgotten, want 2", n)
	}
}

func TestPublicKeyIsFetchedAnewAfterFiveMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			asked++
			canned(200, nil, `{"key_id":"1","key":"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="}`).ServeHTTP(w, r)
		}), nil)
		for _, want := range []int{1, 1, 2} {
			if _, err := c.PublicKey(t.Context(), aRepo, secret.Actions); err != nil || asked != want {
				t.Errorf("asked %d times, want %d; %v", asked, want, err)
			}
			time.Sleep(3 * time.Minute)
		}
	})
}

// Whoever fetches the key for all may give up; that is no reason for the others to.
func TestWaitersForAKeyTakeOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked == 1 {
				<-r.Context().Done()
				return
			}
			canned(200, nil, `{"key_id":"1","key":"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="}`).ServeHTTP(w, r)
		}), nil)
		ctx, cancel := context.WithCancel(t.Context())
		first := make(chan error, 1)
		go func() { _, err := c.PublicKey(ctx, aRepo, secret.Actions); first <- err }()
		synctest.Wait()
		others := make(chan error, 5)
		for range 5 {
			go func() { _, err := c.PublicKey(t.Context(), aRepo, secret.Actions); others <- err }()
		}
		hurried, stop := context.WithTimeout(t.Context(), time.Millisecond)
		defer stop()
		if _, err := c.PublicKey(hurried, aRepo, secret.Actions); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the hurried one got %v", err)
		}
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("the one who gave up got %v", err)
		}
		for range 5 {
			if err := <-others; err != nil {
				t.Error(err)
			}
		}
		if asked != 2 {
			t.Errorf("asked %d times, want twice", asked)
		}
	})
}

func TestEnterpriseKeyIDIsANumber(t *testing.T) {
	for _, id := range []string{`"3380204578043523366"`, `3380204578043523366`} {
		c := against(t, canned(200, nil, `{"key_id":`+id+`,"key":"B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw="}`), nil)
		key, err := c.PublicKey(t.Context(), aRepo, secret.Actions)
		if err != nil || key.ID() != "3380204578043523366" {
			t.Errorf("%s: got %q, %v", id, key.ID(), err)
		}
	}
}

func TestUnusablePublicKey(t *testing.T) {
	for _, body := range []string{
		`{"key_id":"1","key":"dG9vIHNob3J0"}`, `{"key_id":"1","key":"not base64!"}`, `{"key_id":"","key":""}`, `{}`,
		`{"key_id":"1","key":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}`,
	} {
		_, err := against(t, canned(200, nil, body), nil).PublicKey(t.Context(), aRepo, secret.Actions)
		wantFault(t, err, fault.EncryptionFailed, "actions of acme/widgets")
	}
}

func TestRenamedRepository(t *testing.T) {
	s := perform(t, nil)
	s.fill("actions", 2)
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName = "acme/gadgets" })

	found, _, err := s.client.Repository(t.Context(), s.repo.Ref(), &s.repo)
	if err != nil || found.FullName() != "acme/gadgets" || found.ID != s.repo.ID {
		t.Fatalf("found %s, %v", found.FullName(), err)
	}
	l, err := s.client.List(t.Context(), s.repo, secret.Actions, nil)
	if err != nil || len(l.Secrets()) != 2 {
		t.Errorf("listed %v, %v", names(l), err)
	}
	key, err := s.client.PublicKey(t.Context(), s.repo, secret.Actions)
	if err != nil {
		t.Fatal(err)
	}
	s.ResetRequests()
	for range 2 {
		if _, err := s.client.Put(t.Context(), s.repo, aName, seal(t, key, "v")); err != nil {
			t.Fatal(err)
		}
	}
	if got, _ := s.Value("acme/gadgets", "actions", "TOKEN"); got != "v" {
		t.Errorf("GitHub holds %q", got)
	}
	want := []string{
		"PUT /repos/acme/widgets/actions/secrets/TOKEN",
		fmt.Sprintf("GET /repositories/%d", s.repo.ID),
		"PUT /repos/acme/gadgets/actions/secrets/TOKEN",
		"PUT /repos/acme/gadgets/actions/secrets/TOKEN", // remembered
	}
	if d := cmp.Diff(want, s.paths()); d != "" {
		t.Error(d)
	}
}

// The name was taken over by another repository, which was then renamed too: its redirect must not
// carry our write there.
func TestRedirectToAnotherRepositoryIsNotFollowed(t *testing.T) {
	s := perform(t, nil)
	key, err := s.client.PublicKey(t.Context(), s.repo, secret.Actions)
	if err != nil {
		t.Fatal(err)
	}
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName = "acme/gadgets" })
	s.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName = "acme/other" })

	_, err = s.client.List(t.Context(), s.repo, secret.Actions, nil)
	wantFault(t, err, fault.ResourceNotFound, "another repository")
	if !errors.Is(err, ErrReplaced) {
		t.Errorf("%v is not ErrReplaced", err)
	}
	if _, err := s.client.Put(t.Context(), s.repo, aName, seal(t, key, "v")); err != nil {
		t.Fatal(err)
	}
	if got, _ := s.Value("acme/gadgets", "actions", "TOKEN"); got != "v" {
		t.Errorf("ours holds %q", got)
	}
	if n := len(s.Secrets("acme/other", "actions")); n != 0 {
		t.Errorf("the other one holds %d secrets", n)
	}
}

func TestRepositoryMadeAnewUnderTheNameIsRefused(t *testing.T) {
	s := perform(t, nil)
	s.DeleteRepository(widgets)
	id := s.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
	found, _, err := s.client.Repository(t.Context(), s.repo.Ref(), &s.repo)
	wantFault(t, err, fault.ResourceNotFound, "another repository", fmt.Sprint(id), fmt.Sprint(s.repo.ID))
	if !errors.Is(err, ErrReplaced) || found.ID != id {
		t.Errorf("found %d, %v", found.ID, err)
	}
}

func TestWriteToARepositoryThatIsGoneAfterARedirect(t *testing.T) {
	var paths []string
	c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		paths = append(paths, r.Method+" "+r.URL.Path)
		switch {
		case r.Method == "PUT":
			canned(307, map[string]string{"Location": "https://api.github.com/repositories/7/actions/secrets/TOKEN"}, "").ServeHTTP(w, r)
		default:
			canned(200, nil, `{"id":8,"name":"widgets","owner":{"login":"acme"}}`).ServeHTTP(w, r)
		}
	}), nil)
	_, err := c.Put(t.Context(), aRepo, aName, seal(t, aKey(t, secret.Actions), "v"))
	wantFault(t, err, fault.ResourceNotFound, "another repository", "Nothing was written")
	if d := cmp.Diff([]string{"PUT /repos/acme/widgets/actions/secrets/TOKEN", "GET /repositories/7"}, paths); d != "" {
		t.Error(d)
	}
	nameless := aRepo
	nameless.ID = 0
	_, err = c.Put(t.Context(), nameless, aName, seal(t, aKey(t, secret.Actions), "v"))
	wantFault(t, err, fault.RequestInvalid, "renamed", "OWNER/NAME")
}

func TestWriteRedirectedToItselfEnds(t *testing.T) {
	c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "PUT" {
			canned(307, map[string]string{"Location": r.URL.Path}, "").ServeHTTP(w, r)
			return
		}
		canned(200, nil, `{"id":7,"name":"widgets","owner":{"login":"acme"}}`).ServeHTTP(w, r)
	}), nil)
	_, err := c.Put(t.Context(), aRepo, aName, seal(t, aKey(t, secret.Actions), "v"))
	wantFault(t, err, fault.IntegrationUnavailable, "redirected")
}

func TestRedirectsInCirclesEnd(t *testing.T) {
	c := against(t, canned(301, map[string]string{"Location": "/repos/acme/widgets"}, ""), nil)
	_, _, err := c.Repository(t.Context(), aRepo.Ref(), nil)
	wantFault(t, err, fault.IntegrationUnavailable, "circles")
}

func TestFaultsOnTheWay(t *testing.T) {
	for _, kind := range []githubsim.Kind{
		githubsim.ServerError, githubsim.BadGateway, githubsim.Unavailable, githubsim.Reset, githubsim.LostAnswer, githubsim.LostReset,
	} {
		t.Run(string(kind), func(t *testing.T) {
			seen := &counter{}
			s := perform(t, func(cfg *Config) { cfg.OnRequest = seen.hear })
			if _, err := s.client.PublicKey(t.Context(), s.repo, secret.Actions); err != nil {
				t.Fatal(err)
			}
			s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{kind}, Times: 2}}})
			s.ResetRequests()
			w, err := s.put(t, secret.Actions, "TOKEN", "v")
			if err != nil {
				t.Fatal(err)
			}
			lost := kind == githubsim.LostAnswer || kind == githubsim.LostReset
			if w.Attempts != 3 || w.Created == lost {
				t.Errorf("got %+v", w)
			}
			if got, _ := s.Value(widgets, "actions", "TOKEN"); got != "v" {
				t.Errorf("GitHub holds %q", got)
			}
			if n := s.Counts().Requests; n != 3 {
				t.Errorf("%d requests, want 3", n)
			}
			last := seen.seen()[len(seen.seen())-1]
			if last.Attempt != 3 || last.Points != 5 || last.Route != "/repos/{owner}/{repo}/actions/secrets/{name}" {
				t.Errorf("the last attempt was told as %+v", last)
			}

			s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{kind}}}})
			_, err = s.client.Delete(t.Context(), s.repo, secret.Actions, aName)
			wantFault(t, err, fault.IntegrationUnavailable, "after 4 attempts")
		})
	}
}

// A deletion whose answer was lost is found done by the second attempt.
func TestLostDeletionIsDone(t *testing.T) {
	s := perform(t, nil)
	s.fill("actions", 1)
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.LostAnswer}, Times: 1}}})
	w, err := s.client.Delete(t.Context(), s.repo, secret.Actions, secret.MustName("S000"))
	if err != nil || w.Attempts != 2 {
		t.Errorf("got %+v, %v", w, err)
	}
}

func TestStalledRequestIsGivenUp(t *testing.T) {
	s := perform(t, nil)
	c := s.connect(t, func(cfg *Config) { cfg.Retry.Timeout = 50 * time.Millisecond })
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.Stall}, Times: 1}}})
	if _, err := c.List(t.Context(), s.repo, secret.Actions, nil); err != nil {
		t.Error(err)
	}
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.Stall}}}})
	_, err := c.List(t.Context(), s.repo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationUnavailable, "no answer within 50ms", "after 4 attempts")
}

// What GitHub echoes of a refused write is seen nowhere, whatever status it comes with.
func TestEchoOfARefusedWriteIsSeenNowhere(t *testing.T) {
	const canary = "canary-5ecret/+value"
	forms := []string{canary, base64.StdEncoding.EncodeToString([]byte(canary)), url.QueryEscape(canary)}
	for _, status := range []int{400, 401, 403, 404, 409, 410, 413, 422, 429, 500} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			echo := `{"message":"Invalid request.\n\n` + strings.Join(forms, " ") + ` does not match /^.../.","errors":["` + canary + `"]}`
			log := &lockedBuffer{}
			c := against(t, canned(status, map[string]string{"X-GitHub-Request-Id": "1:2:3"}, echo), func(cfg *Config) { cfg.Log = log.logger() })
			_, err := c.Put(t.Context(), aRepo, aName, seal(t, aKey(t, secret.Actions), canary))
			if err == nil {
				t.Fatal("a refused write passed for done")
			}
			for _, form := range forms {
				if shown := everything(err) + log.String(); strings.Contains(shown, form) {
					t.Errorf("the value is shown in:\n%s", shown)
				}
			}
			if status == 422 && !strings.Contains(everything(err), "1:2:3") {
				t.Error("the request id is missing for the log")
			}
		})
	}
}
