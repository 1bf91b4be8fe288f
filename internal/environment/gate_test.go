package environment_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
)

// A gate is a world whose GitHub asks our App before a deployment goes on.
type gate struct {
	*world
	app int64
}

func newGate(t *testing.T) gate {
	t.Helper()
	w := newWorld(t)
	app := w.sim.AddApp(githubsim.App{Slug: "octoseal", Permissions: githubsim.Permissions{
		"actions": "read", "administration": "write", "deployments": "write", "environments": "write", "secrets": "read",
	}})
	w.sim.Install(githubsim.Installation{App: app.ID, Account: "acme"})
	var err error
	if w.signs, err = github.App(github.AppConfig{ID: fmt.Sprint(app.ID), PrivateKey: app.PrivateKeyPEM()}); err != nil {
		t.Fatal(err)
	}
	w.svc = w.service()
	return gate{w, app.ID}
}

// held makes a job wait for our word, as a webhook tells it.
func (g gate) held(name string) (environment.Held, int64) {
	g.t.Helper()
	g.sim.UseEnvironment(repo, name)
	g.sim.ChangeEnvironment(repo, name, func(e *githubsim.Environment) { e.Apps = []int64{g.app} })
	job := g.sim.RequestDeployment(g.url, repo, name)
	if len(job.Calls) != 1 {
		g.t.Fatalf("%+v", job)
	}
	n, ok, err := github.ReadNews("deployment_protection_rule", "application/json", job.Calls[0].Payload)
	if err != nil || !ok {
		g.t.Fatalf("%v %v", ok, err)
	}
	ref, err := github.ParseRef(repo)
	if err != nil {
		g.t.Fatal(err)
	}
	return environment.Held{Project: g.project(), Repo: ref, Actor: store.Local, Environment: n.Environment, Callback: n.Callback}, job.RunID
}

// A deployment goes on when its environment is as it was applied, and is rejected with the reasons
// when it is not. What we do not keep is never waved through.
func TestGate(t *testing.T) {
	g := newGate(t)
	three := g.three("API_TOKEN")
	g.done(three...)
	said := func(name string, approved bool, reasons ...string) {
		t.Helper()
		h, run := g.held(name)
		v, err := g.svc.Review(t.Context(), h)
		if err != nil || v.Approved != approved {
			t.Fatalf("%s: %+v %v", name, v, err)
		}
		reviews := g.sim.Reviews(repo, run)
		if len(reviews) != 1 || (reviews[0].State == "approved") != approved {
			t.Fatalf("%s: %+v", name, reviews)
		}
		for _, r := range reasons {
			if !strings.Contains(reviews[0].Comment, r) {
				t.Errorf("%s: %q does not say %q", name, reviews[0].Comment, r)
			}
		}
	}
	said("production", true)
	g.sim.ChangeEnvironment(repo, "production", func(e *githubsim.Environment) { e.WaitTimer = 0 })
	g.sim.DeleteSecret(repo, "environment:production", "API_TOKEN")
	said("production", false, "waitTimer", "loosened", "API_TOKEN is missing")
	g.edit("staging", "API_TOKEN", "theirs")
	said("staging", false, "API_TOKEN was changed")
	said("dev", true)
	said("preview/7", false, "preview/7")
}

// An environment that nobody applied, and a repository without a project, are rejected.
func TestGateOfStrangers(t *testing.T) {
	g := newGate(t)
	h, run := g.held("dev")
	if v, err := g.svc.Review(t.Context(), h); err != nil || v.Approved || g.sim.Reviews(repo, run)[0].State != "rejected" {
		t.Errorf("no project: %+v %v", v, err)
	}
	g.done(asked("production", environment.Rules{ReviewerIDs: []int64{g.reviewer}}))
	h, _ = g.held("dev")
	if v, err := g.svc.Review(t.Context(), h); err != nil || v.Approved || !strings.Contains(v.Reasons[0], "never applied") {
		t.Errorf("never applied: %+v %v", v, err)
	}
}

// Where it cannot be found out how an environment stands nothing is said, and the deployment waits.
func TestGateThatCannotLook(t *testing.T) {
	g := newGate(t)
	g.done(g.three("API_TOKEN")...)
	h, run := g.held("production")
	g.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Path: "/environments", Kinds: []githubsim.Kind{githubsim.Unavailable}}}})
	if v, err := g.svc.Review(t.Context(), h); err == nil {
		t.Errorf("%+v", v)
	}
	if said := g.sim.Reviews(repo, run); len(said) != 0 {
		t.Errorf("%+v", said)
	}
}

// GitHub spells an environment as whoever made it did.
func TestGateOfAnotherSpelling(t *testing.T) {
	g := newGate(t)
	g.sim.AddEnvironment(repo, "Production")
	g.done(asked("production", environment.Rules{ReviewerIDs: []int64{g.reviewer}}, "API_TOKEN"))
	h, run := g.held("Production")
	if v, err := g.svc.Review(t.Context(), h); err != nil || !v.Approved || h.Environment != "Production" || g.sim.Reviews(repo, run)[0].State != "approved" {
		t.Errorf("%+v %+v %v", h, v, err)
	}
}

// An App that may not administer the repository is told which permission it lacks, and no secret goes
// where no environment was to be had.
func TestPermissionMissing(t *testing.T) {
	g := newGate(t)
	weak := g.sim.AddApp(githubsim.App{Slug: "weak", Permissions: githubsim.Permissions{"actions": "read", "environments": "write"}})
	g.sim.Install(githubsim.Installation{App: weak.ID, Account: "acme"})
	var err error
	if g.signs, err = github.App(github.AppConfig{ID: fmt.Sprint(weak.ID), PrivateKey: weak.PrivateKeyPEM()}); err != nil {
		t.Fatal(err)
	}
	g.svc = g.service()
	res := g.apply(asked("dev", environment.Rules{}, "API_TOKEN"))
	same(t, "errors", codes(res.Errors), []string{"dev GITHUB_INTEGRATION_DENIED"})
	if !strings.Contains(res.Errors[0].Error+res.Errors[0].Hint, "administration") && !strings.Contains(res.Errors[0].Hint, "Administration") {
		t.Errorf("%+v", res.Errors[0])
	}
	if len(res.Created) != 0 {
		t.Errorf("created %v", res.Created)
	}
}

// A permission that is missing for one secret is missing for all, and GitHub is not asked for each.
func TestSecretsRefused(t *testing.T) {
	w := newWorld(t)
	var names []string
	for i := range 30 {
		names = append(names, fmt.Sprintf("SECRET_%d", i))
	}
	for _, path := range []string{"/secrets/public-key", "/secrets/SECRET_"} {
		w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Path: path, Answer: &githubsim.Answer{
			Status: 403, Body: `{"message":"Resource not accessible by personal access token","status":"403"}`,
		}}}})
		w.sim.ResetRequests()
		res := w.apply(asked("dev", environment.Rules{}, names...))
		if len(res.Errors) != len(names) || res.Errors[0].Code != fault.IntegrationDenied {
			t.Errorf("%s: %d errors", path, len(res.Errors))
		}
		n := 0
		for _, r := range w.sim.Requests() {
			if strings.Contains(r.Path, path) {
				n++
			}
		}
		if n == 0 || n > 10 {
			t.Errorf("%s: asked %d times", path, n)
		}
	}
	w.sim.SetFaults(githubsim.Faults{})
	w.done(asked("dev", environment.Rules{}, names...))
}
