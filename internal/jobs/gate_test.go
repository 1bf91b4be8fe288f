package jobs_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A gate is a world whose GitHub asks our App before a deployment goes on, and a replica that hears
// of it.
type gate struct {
	*world
	*replica
	app int64
}

func newGate(t *testing.T) gate {
	t.Helper()
	w := newWorld(t, memoryDSN)
	app := w.sim.AddApp(githubsim.App{Slug: "octoseal", Permissions: githubsim.Permissions{
		"actions": "read", "administration": "write", "deployments": "write", "environments": "write", "secrets": "read",
	}})
	credential, err := github.App(github.AppConfig{ID: fmt.Sprint(app.ID), PrivateKey: app.PrivateKeyPEM()})
	if err != nil {
		t.Fatal(err)
	}
	g := gate{world: w, app: app.ID}
	g.replica = w.replica(func(j *jobs.Config, gh *github.Config) {
		deaf(j, gh)
		gh.Credential = credential
	})
	return g
}

// hold makes a job wait for our word, and returns its run and what GitHub delivers.
func (g gate) hold(name string) (run int64, payload []byte) {
	g.world.t.Helper()
	g.sim.UseEnvironment(repo, name)
	g.sim.ChangeEnvironment(repo, name, func(e *githubsim.Environment) { e.Apps = []int64{g.app} })
	job := g.sim.RequestDeployment(g.url, repo, name)
	if len(job.Calls) != 1 {
		g.world.t.Fatalf("%+v", job)
	}
	return job.RunID, job.Calls[0].Payload
}

// said waits for our word to a run.
func (g gate) said(run int64) githubsim.Review {
	g.world.t.Helper()
	g.eventually("a word", 5*time.Second, func() bool { return len(g.sim.Reviews(repo, run)) > 0 })
	return g.sim.Reviews(repo, run)[0]
}

const heldEvent = "deployment_protection_rule"

// A deployment that GitHub holds back goes on when its environment is as it was applied, and is
// rejected with the reasons when it is not; each delivery has one word.
func TestDeploymentsAreJudged(t *testing.T) {
	g := newGate(t)
	p := g.project(repo)
	g.sim.Install(githubsim.Installation{App: g.app, Account: "acme"})
	_, err := g.Environments.Apply(t.Context(), environment.Request{Project: p, Actor: store.Local, Environments: []environment.Asked{{
		Name: "dev", Rules: environment.Rules{}, Secrets: []environment.Value{{Name: "TOKEN", Value: secret.NewPlaintext([]byte("one"))}},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	g.replica.run()
	run, payload := g.hold("dev")
	g.deliver("1", heldEvent, payload)
	if r := g.said(run); r.State != "approved" {
		t.Errorf("%+v", r)
	}
	g.sim.DeleteSecret(repo, "environment:dev", "TOKEN")
	g.deliver("1", heldEvent, payload)
	run, payload = g.hold("dev")
	g.deliver("2", heldEvent, payload)
	if r := g.said(run); r.State != "rejected" || !strings.Contains(r.Comment, "TOKEN is missing") {
		t.Errorf("%+v", r)
	}
	run, payload = g.hold("preview-7")
	g.deliver("3", heldEvent, payload)
	if r := g.said(run); r.State != "rejected" || !strings.Contains(r.Comment, "preview-7") {
		t.Errorf("%+v", r)
	}
}

// A repository that is nobody's project is rejected, and not left waiting for weeks.
func TestDeploymentsOfStrangersAreRejected(t *testing.T) {
	g := newGate(t)
	g.sim.AddRepository(githubsim.Repository{FullName: repo})
	g.sim.Install(githubsim.Installation{App: g.app, Account: "acme"})
	g.replica.run()
	run, payload := g.hold("dev")
	g.deliver("1", heldEvent, payload)
	if r := g.said(run); r.State != "rejected" || !strings.Contains(r.Comment, "no project") {
		t.Errorf("%+v", r)
	}
}

// What GitHub refuses is not tried again and again, and a second delivery of it is taken: somebody
// may have put right what was wrong. While GitHub is away the deployment waits.
func TestDeploymentsThatCannotBeJudgedWait(t *testing.T) {
	g := newGate(t)
	g.project(repo)
	g.sim.Install(githubsim.Installation{App: g.app, Account: "acme"})
	run, payload := g.hold("dev")
	g.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "POST", Path: "/deployment_protection_rule", Answer: &githubsim.Answer{
		Status: 403, Body: `{"message":"Resource not accessible by integration"}`,
	}}}})
	g.replica.run()
	forgotten := func() bool {
		fresh, err := g.db.RememberDelivery(context.Background(), time.Now(), "1", heldEvent)
		return err == nil && fresh
	}
	g.deliver("1", heldEvent, payload)
	g.eventually("given up", 5*time.Second, func() bool { return strings.Contains(g.log.String(), "deployment not reviewed") && forgotten() })
	if n := len(g.sim.Reviews(repo, run)); n != 0 {
		t.Errorf("%d words", n)
	}
	// An environment that cannot be seen is not a deployment that is gone.
	g.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "GET", Path: repo + "/environments", Answer: &githubsim.Answer{
		Status: 404, Body: `{"message":"Not Found","status":"404"}`,
	}}}})
	g.deliver("3", heldEvent, payload)
	g.eventually("given up", 5*time.Second, func() bool {
		fresh, err := g.db.RememberDelivery(context.Background(), time.Now(), "3", heldEvent)
		return err == nil && fresh
	})
	if n := len(g.sim.Reviews(repo, run)); n != 0 {
		t.Errorf("%d words", n)
	}
	g.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.Unavailable}, Times: 6}}})
	g.deliver("2", heldEvent, payload)
	if r := g.said(run); r.State != "rejected" {
		t.Errorf("%+v", r)
	}
}
