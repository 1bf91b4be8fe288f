package environment_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A clouds is Neon and Cloudflare in small: it has what it is told to have, and hears what it is asked.
type clouds struct {
	*httptest.Server
	mu     sync.Mutex
	has    map[string]bool // by path
	asked  []string
	status int // what is answered instead; 0: nothing
}

func newClouds(t *testing.T, has ...string) *clouds {
	c := &clouds{has: map[string]bool{}}
	for _, h := range has {
		c.has[h] = true
	}
	c.Server = httptest.NewServer(c)
	t.Cleanup(c.Close)
	return c
}

func (c *clouds) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, r.Method+" "+r.URL.Path)
	want := map[bool]string{true: "Bearer neon-canary", false: "Bearer cloudflare-canary"}[strings.HasPrefix(r.URL.Path, "/neon/")]
	switch {
	case c.status != 0:
		w.Header().Set("Location", "/neon/elsewhere")
		w.WriteHeader(c.status)
	case r.Header.Get("Authorization") != want:
		w.WriteHeader(http.StatusUnauthorized)
	case !c.has[r.URL.Path]:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (c *clouds) resources() *environment.Resources {
	return &environment.Resources{
		NeonAPIKey: secret.NewPlaintext([]byte("neon-canary")), NeonProject: "late-frost-1", NeonURL: c.URL + "/neon",
		CloudflareToken: secret.NewPlaintext([]byte("cloudflare-canary")), CloudflareAccount: "abc", CloudflareURL: c.URL + "/cf",
		Transport: c.Client().Transport,
	}
}

func linked(name string, l environment.Links) environment.Asked {
	return environment.Asked{Name: name, Rules: environment.Rules{RequiredReviewers: ptr(0)}, Linked: l}
}

// With credentials linked resources are looked for; one that is not there is that environment's error,
// and the others go on. They become secrets unless given.
func TestLinkedResources(t *testing.T) {
	w := newWorld(t)
	c := newClouds(t, "/neon/projects/late-frost-1/branches/br-dev", "/cf/accounts/abc/workers/scripts/shop", "/cf/accounts/abc/pages/projects/site")
	w.svc = w.service(func(cfg *environment.Config) { cfg.Resources = c.resources() })
	dev := linked("dev", environment.Links{NeonBranchID: "br-dev", CloudflareWorkerName: "shop", CloudflarePagesProject: "site"})
	dev.Secrets = []environment.Value{value("CLOUDFLARE_PAGES_PROJECT", "given")}
	staging := linked("staging", environment.Links{NeonBranchID: "br-nowhere"})
	res := w.apply(dev, staging)
	same(t, "errors", codes(res.Errors), []string{"staging RESOURCE_NOT_FOUND"})
	same(t, "created", res.Created, []string{"dev"})
	if res.Errors[0].Context["field"] != "linkedResources.neonBranchId" {
		t.Errorf("%+v", res.Errors[0])
	}
	for name, want := range map[string]string{"NEON_BRANCH_ID": "br-dev", "CLOUDFLARE_WORKER_NAME": "shop", "CLOUDFLARE_PAGES_PROJECT": "given"} {
		if got, _ := w.sim.Value(repo, "environment:dev", name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	before := len(c.asked)
	w.done(dev)
	if len(c.asked) != before {
		t.Errorf("unchanged links were looked for again: %v", c.asked[before:])
	}
	// A link that is left out stays, and so does its secret.
	w.done(environment.Asked{Name: "dev"})
	if v := w.validate("dev"); !v.Valid {
		t.Errorf("%+v", v)
	}
	c.mu.Lock()
	delete(c.has, "/cf/accounts/abc/workers/scripts/shop")
	delete(c.has, "/cf/accounts/abc/pages/projects/site")
	c.mu.Unlock()
	if v := w.validate("dev"); v.Valid || len(v.Rules) != 2 || v.Rules[0].Subject != environment.SubjectPages || v.Rules[1].Subject != environment.SubjectWorker {
		t.Errorf("%+v", v)
	}
	// An answer that says neither yes nor no lets nothing pass.
	c.mu.Lock()
	c.status = http.StatusForbidden
	c.mu.Unlock()
	_, err := w.svc.Validate(t.Context(), environment.ValidateRequest{Project: w.project(), Actor: store.Local})
	isCode(t, err, fault.IntegrationUnavailable)
}

// Without credentials links are recorded unchecked, and that is said, once for each new one.
func TestUncheckedLinks(t *testing.T) {
	w := newWorld(t)
	dev := linked("dev", environment.Links{NeonBranchID: "br-dev", CloudflareWorkerName: "shop"})
	res := w.apply(dev)
	said := func(res environment.Result) int {
		n := 0
		for _, notice := range res.Notices {
			if strings.Contains(notice.Message, "unchecked") {
				n++
			}
		}
		return n
	}
	if !res.InStep() || said(res) != 2 {
		t.Errorf("%+v %+v", res.Errors, res.Notices)
	}
	if res := w.done(dev); said(res) != 0 {
		t.Errorf("%+v", res.Notices)
	}
	_, err := w.svc.Apply(t.Context(), w.request(linked("staging", environment.Links{NeonBranchID: "br-dev"})))
	isCode(t, err, fault.RequestInvalid)
}

// An answer that says neither yes nor no is not taken for a yes. No redirect is followed: the token
// would go along.
func TestUnclearAnswers(t *testing.T) {
	for _, status := range []int{http.StatusForbidden, http.StatusInternalServerError, http.StatusFound, http.StatusTooManyRequests} {
		w := newWorld(t)
		c := newClouds(t)
		c.status = status
		w.svc = w.service(func(cfg *environment.Config) { cfg.Resources = c.resources() })
		res := w.apply(linked("dev", environment.Links{NeonBranchID: "br-dev"}))
		same(t, http.StatusText(status), codes(res.Errors), []string{"dev GITHUB_INTEGRATION_UNAVAILABLE"})
		if slices.Contains(c.asked, "GET /neon/elsewhere") {
			t.Error("a redirect was followed")
		}
		if strings.Contains(res.Errors[0].Error+w.log.String(), "canary") {
			t.Error("the credential was told")
		}
	}
	w := newWorld(t)
	w.svc = w.service(func(cfg *environment.Config) {
		cfg.Resources = newClouds(t).resources()
		cfg.Resources.NeonURL = "http://neon.example"
	})
	same(t, "plain http", codes(w.apply(linked("dev", environment.Links{NeonBranchID: "br-dev"})).Errors), []string{"dev GITHUB_INTEGRATION_UNAVAILABLE"})
}

// A resource whose environment was not to be linked to another in the end stays that environment's.
func TestLinkThatDidNotMove(t *testing.T) {
	w := newWorld(t)
	w.done(linked("staging", environment.Links{NeonBranchID: "br-1"}))
	w.sim.Advance(5 * time.Second)
	moved := linked("staging", environment.Links{NeonBranchID: "br-2"})
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "PUT", Path: "/secrets/NEON_BRANCH_ID", Answer: &githubsim.Answer{
		Status: 403, Body: `{"message":"Resource not accessible by personal access token","status":"403"}`,
	}}}})
	if res := w.apply(moved); res.InStep() {
		t.Error("it is said to be in step")
	}
	w.sim.SetFaults(githubsim.Faults{})
	dev := linked("dev", environment.Links{NeonBranchID: "br-1"})
	_, err := w.svc.Apply(t.Context(), w.request(dev))
	isCode(t, err, fault.RequestInvalid)
	w.done(moved)
	w.done(dev)
}
