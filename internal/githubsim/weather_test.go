package githubsim_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

const everyMinute = "You have exceeded a secondary rate limit"

func TestPrimaryLimit(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.Freeze()
	reset := c.gh.Now().Add(10 * time.Minute).Truncate(time.Second)
	c.gh.SetQuota(2, reset)
	r := c.want(200, "GET", "/user", "")
	if r.Header.Get("X-RateLimit-Remaining") != "1" || r.Header.Get("X-RateLimit-Reset") != strconv.FormatInt(reset.Unix(), 10) {
		t.Errorf("headers: %v", r.Header)
	}
	c.want(200, "GET", "/user", "")
	r = c.want(403, "GET", "/user", "")
	if !strings.HasPrefix(r.message(), "API rate limit exceeded for user ID ") || r.Header.Get("X-RateLimit-Remaining") != "0" {
		t.Errorf("%s %v", r.Body, r.Header)
	}
	c.want(200, "GET", "/rate_limit", "")
	// All tokens of a user share one hour.
	c.as(c.gh.AddToken(githubsim.Token{})).want(403, "GET", "/user", "")
	c.gh.SetLimits(githubsim.Limits{Status: 429})
	c.want(429, "GET", "/user", "")
	if got := c.gh.Counts(); got.Billed != 2 || got.Refused != 3 || got.InPenalty != 0 {
		t.Errorf("%+v", got)
	}
	c.gh.Advance(10 * time.Minute)
	if r := c.want(200, "GET", "/user", ""); r.Header.Get("X-RateLimit-Remaining") != "4999" {
		t.Errorf("after reset: %v", r.Header)
	}
}

func TestPointsLimit(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.Freeze()
	c.gh.SetLimits(githubsim.Limits{Points: 12})
	k := c.key(prefixes["actions"])
	c.want(201, "PUT", prefixes["actions"]+"/A", k.seal(t, "v"))
	c.want(204, "PUT", prefixes["actions"]+"/A", k.seal(t, "v")) // 11 points
	c.want(200, "GET", "/user", "")
	r := c.want(403, "GET", "/user", "")
	if !strings.HasPrefix(r.message(), everyMinute) || r.Header.Get("Retry-After") != "" || r.Header.Get("X-RateLimit-Remaining") == "0" {
		t.Errorf("%s %v", r.Body, r.Header)
	}
	c.gh.Advance(time.Second)
	c.want(403, "GET", "/user", "")
	last := c.gh.Requests()[5]
	if last.IntoPenalty != time.Second || last.Refused != githubsim.Secondary || last.Billed {
		t.Errorf("%+v", last)
	}
	if got := c.gh.Counts(); got.InPenalty != 1 || got.Refused != 2 || got.PeakPoints != 14 {
		t.Errorf("%+v", got)
	}
	c.gh.Advance(time.Minute)
	c.want(200, "GET", "/user", "")
}

func TestPenaltyWithRetryAfter(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.Freeze()
	c.gh.SetLimits(githubsim.Limits{Writes: 1, Window: 10 * time.Second, Penalty: 5500 * time.Millisecond, RetryAfter: true, Status: 429})
	k := c.key(prefixes["actions"])
	c.want(201, "PUT", prefixes["actions"]+"/A", k.seal(t, "v"))
	r := c.want(429, "PUT", prefixes["actions"]+"/A", k.seal(t, "v"))
	if r.Header.Get("Retry-After") != "6" || !strings.Contains(r.message(), "blocked from content creation") {
		t.Errorf("%s %v", r.Body, r.Header)
	}
	c.gh.Advance(20 * time.Second)
	c.want(204, "PUT", prefixes["actions"]+"/A", k.seal(t, "v"))
}

func TestConcurrencyLimit(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetLimits(githubsim.Limits{Concurrent: 2})
	c.gh.SetFaults(githubsim.Faults{Latency: 300 * time.Millisecond})
	var statuses [3]int
	var all sync.WaitGroup
	for i := range statuses {
		all.Go(func() { statuses[i] = c.get("/user").Status })
	}
	all.Wait()
	if sum := statuses[0] + statuses[1] + statuses[2]; sum != 200+200+403 {
		t.Errorf("statuses: %v", statuses)
	}
	if got := c.gh.Counts().PeakInFlight; got != 3 {
		t.Errorf("%d in flight", got)
	}
}

func TestFaults(t *testing.T) {
	c := start(t, githubsim.Config{})
	prefix := prefixes["actions"]
	k := c.key(prefix)
	for _, tc := range []struct {
		kind    githubsim.Kind
		status  int // 0: no answer
		applied bool
		html    bool
	}{
		{kind: githubsim.ServerError, status: 500},
		{kind: githubsim.BadGateway, status: 502, html: true},
		{kind: githubsim.Unavailable, status: 503, html: true},
		{kind: githubsim.Reset},
		{kind: githubsim.LostAnswer, status: 502, applied: true},
		{kind: githubsim.LostReset, applied: true},
		{kind: githubsim.CutShort, applied: true},
	} {
		t.Run(string(tc.kind), func(t *testing.T) {
			c.gh.DeleteSecret(widgets, "actions", "A")
			c.gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{tc.kind}, Method: "PUT", Times: 1}}})
			r, err := c.try("PUT", prefix+"/A", k.seal(t, "v"))
			if (err == nil) != (tc.status != 0) || r.Status != tc.status {
				t.Errorf("%d, %v", r.Status, err)
			}
			if strings.HasPrefix(r.Body, "<!DOCTYPE") != tc.html {
				t.Errorf("body %q", r.Body)
			}
			if _, applied := c.gh.Value(widgets, "actions", "A"); applied != tc.applied {
				t.Errorf("applied: %v", applied)
			}
			requests := c.gh.Requests()
			if got := requests[len(requests)-1].Fault; got != tc.kind {
				t.Errorf("recorded: %q", got)
			}
		})
	}
}

func TestFailuresChoose(t *testing.T) {
	c := start(t, githubsim.Config{})
	count := func(n int, path string) (failed int) {
		for range n {
			if c.get(path).Status >= 500 {
				failed++
			}
		}
		return failed
	}
	fail := []githubsim.Kind{githubsim.ServerError}
	c.gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: fail, Path: "/actions/", Skip: 2, Times: 3}}})
	if a, b := count(9, prefixes["dependabot"]), count(9, prefixes["actions"]); a != 0 || b != 3 {
		t.Errorf("%d and %d failed, want 0 and 3", a, b)
	}
	random := githubsim.Faults{Seed: 7, Failures: []githubsim.Failure{{Kinds: fail, Rate: 0.2}}}
	c.gh.SetFaults(random)
	first := count(200, "/user")
	c.gh.SetFaults(random)
	if again := count(200, "/user"); again != first || first < 20 || first > 60 {
		t.Errorf("%d, then %d of 200 failed at a rate of 0.2", first, again)
	}
	c.gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Answer: &githubsim.Answer{
		Status: 403, Header: http.Header{"x-github-sso": {"required; url=https://github.com/orgs/acme/sso"}, "Content-Type": {"application/json"}},
		Body: `{"message":"Resource protected by organization SAML enforcement."}`,
	}}}})
	if r := c.want(403, "GET", "/user", ""); r.Header.Get("X-GitHub-SSO") == "" {
		t.Errorf("canned: %v", r.Header)
	}
}

func TestLatency(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetFaults(githubsim.Faults{Latency: 60 * time.Millisecond})
	begin := time.Now()
	c.get("/user")
	if took := time.Since(begin); took < 60*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// A stalled request ends when its client gives up, and at the latest with the server:
// TestMain would find its goroutine.
func TestStall(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.Stall}}}})
	hc := &http.Client{Transport: transport, Timeout: 50 * time.Millisecond}
	if resp, err := hc.Get(c.url + "/versions"); err == nil {
		resp.Body.Close()
		t.Error("a stalled request was answered")
	}
	go func() {
		if resp, err := transport.RoundTrip(mustRequest(c.url + "/versions")); err == nil {
			resp.Body.Close()
		}
	}()
	for len(c.gh.Requests()) < 2 {
		time.Sleep(time.Millisecond)
	}
	if got := c.gh.Requests()[0]; got.Status != 0 || got.Fault != githubsim.Stall {
		t.Errorf("%+v", got)
	}
}

func mustRequest(url string) *http.Request {
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		panic(err)
	}
	return r
}

func TestHooksActAtAMoment(t *testing.T) {
	c := start(t, githubsim.Config{})
	k := c.key(prefixes["actions"])
	var answered githubsim.Request
	c.gh.OnRequest(func(r githubsim.Request) {
		if r.Number == 3 {
			c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "BEHIND", Value: "x"})
		}
	})
	c.gh.OnAnswer(func(r githubsim.Request) {
		if _, done := c.gh.Value(widgets, "actions", "A"); r.Write() && !done {
			t.Error("OnAnswer came before the effect")
		}
		answered = r
	})
	c.want(201, "PUT", prefixes["actions"]+"/A", k.seal(t, "v"))
	if !answered.Billed || answered.Points != 5 || !strings.HasPrefix(answered.Credential, "classic:octocat:") {
		t.Errorf("%+v", answered)
	}
	if n := c.list(prefixes["actions"]).TotalCount; n != 2 {
		t.Errorf("%d secrets, want A and BEHIND", n)
	}
	c.gh.ResetRequests()
	if len(c.gh.Requests()) != 0 || c.gh.Counts() != (githubsim.Counts{}) {
		t.Errorf("after the reset: %+v", c.gh.Counts())
	}
}

func TestConcurrentUse(t *testing.T) {
	c := start(t, githubsim.Config{})
	keys := map[string]key{}
	for _, scope := range []string{"actions", "dependabot", "codespaces"} {
		keys[scope] = c.key(prefixes[scope])
	}
	var all sync.WaitGroup
	for i := range 60 {
		for scope, k := range keys {
			all.Go(func() {
				name := fmt.Sprintf("S%d", i)
				if s := c.do("PUT", prefixes[scope]+"/"+name, k.seal(t, scope+name)).Status; s != 201 {
					t.Errorf("%s %s: %d", scope, name, s)
				}
			})
		}
		all.Go(func() { c.gh.Counts(); c.gh.Requests(); c.gh.RotateKey(widgets, "agents") })
	}
	all.Wait()
	for scope := range keys {
		for _, s := range c.gh.Secrets(widgets, scope) {
			if s.Value != scope+s.Name {
				t.Errorf("%s %s holds %q", scope, s.Name, s.Value)
			}
		}
	}
}
