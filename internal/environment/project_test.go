package environment_test

import (
	"testing"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
)

// A repository under the name of another gets none of that one's secrets; a renamed one is followed,
// and its default branch too.
func TestReplacedAndRenamed(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three...)
	project := w.project()
	w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.FullName, r.DefaultBranch = "acme/gadgets", "trunk" })
	three[2].Secrets[0] = value("API_TOKEN", "production API_TOKEN 2")
	req := w.request(three...)
	req.Project = project
	res, err := w.svc.Apply(t.Context(), req)
	if err != nil || !res.InStep() {
		t.Fatalf("renamed: %v %+v", err, res.Errors)
	}
	if e, _ := w.sim.Environment("acme/gadgets", "production"); len(e.Patterns) != 1 || e.Patterns[0].Name != "trunk" {
		t.Errorf("deploys from %+v", e.Patterns)
	}

	w.sim.AddRepository(githubsim.Repository{FullName: repo})
	w.sim.ResetRequests()
	_, err = w.svc.Apply(t.Context(), req)
	isCode(t, err, fault.ResourceNotFound)
	w.signs = github.Token(w.sim.AddToken(githubsim.Token{}), "another token") // which has seen no list yet
	_, err = w.service().Apply(t.Context(), req)
	isCode(t, err, fault.ResourceNotFound)
	if n := w.sim.Counts().Writes; n != 0 {
		t.Errorf("%d writes to a stranger", n)
	}
	if n := len(w.sim.Environments(repo)); n != 0 {
		t.Errorf("a stranger has %d environments", n)
	}
}

// A plan works where there is no database, and an apply does not; a repository that nobody can see is
// not found.
func TestWithoutADatabase(t *testing.T) {
	w := newWorld(t)
	w.svc = w.service(func(c *environment.Config) { c.Store = environment.Forgetful{} })
	three := w.three("API_TOKEN")
	if p := w.plan(three...); p.Empty || p.Summary.Create == 0 {
		t.Errorf("%+v", p)
	}
	if _, err := w.svc.Apply(t.Context(), w.request(three...)); err == nil {
		t.Error("applied without a memory")
	}
	if n := w.sim.Counts().Writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	req := w.request(three...)
	req.Project.Repo = "nowhere"
	_, err := w.svc.Plan(t.Context(), req)
	isCode(t, err, fault.ResourceNotFound)
}

// The quota of the hour is not spent to its end.
func TestQuota(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three[0])
	w.sim.SetQuota(110, w.sim.Now().Add(1800e9))
	_, err := w.svc.Apply(t.Context(), w.request(three...))
	isCode(t, err, fault.RateLimitExhausted)
	if _, there := w.sim.Environment(repo, "staging"); there {
		t.Error("begun all the same")
	}
	events := told(w.events())
	same(t, "last event", events[len(events)-1:], []string{"sync_all - [environment:dev environment:production environment:staging] failure"})
	w.done(three[0]) // nothing to do is not refused
}
