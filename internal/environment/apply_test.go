package environment_test

import (
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
)

// Three environments made, changed, made again with the same input: nothing to do, no write, and
// nothing but questions that cost no quota.
func TestThreeEnvironments(t *testing.T) {
	w := newWorld(t)
	three := w.three("DATABASE_URL", "API_TOKEN")
	res := w.done(three...)
	same(t, "created", res.Created, []string{"dev", "staging", "production"})
	same(t, "updated", res.Updated, []string{})

	production := w.shows("production")
	if production.WaitTimer != 30 || len(production.Reviewers) != 1 || production.Reviewers[0].ID != w.reviewer {
		t.Errorf("production: %+v", production)
	}
	if production.Branches != githubsim.CustomBranches || len(production.Patterns) != 1 || production.Patterns[0].Name != "main" {
		t.Errorf("production deploys from %s %+v", production.Branches, production.Patterns)
	}
	if staging := w.shows("staging"); len(staging.Reviewers) != 1 || staging.Branches != githubsim.AnyBranch {
		t.Errorf("staging: %+v", staging)
	}
	if dev := w.shows("dev"); len(dev.Reviewers) != 0 || dev.WaitTimer != 0 {
		t.Errorf("dev: %+v", dev)
	}
	for _, name := range []string{"dev", "staging", "production"} {
		w.holds(name, "DATABASE_URL", "API_TOKEN")
		if c, known := w.config(name); !known || c.Status != store.EnvironmentActive || c.GitHubID != w.shows(name).ID || len(c.Secrets) != 2 {
			t.Errorf("%s is remembered as %+v", name, c)
		}
	}
	same(t, "events", told(w.events()), []string{
		"sync_all - [environment:dev environment:staging environment:production] success",
		"create API_TOKEN [environment:dev environment:staging environment:production] success",
		"create DATABASE_URL [environment:dev environment:staging environment:production] success",
	})

	w.sim.Advance(10 * time.Second)
	three[0].Rules.WaitTimer = ptr(5)
	three[2].Secrets[0] = value("DATABASE_URL", "another")
	res = w.done(three...)
	same(t, "updated", res.Updated, []string{"dev", "production"})
	same(t, "created", res.Created, []string{})
	if got, _ := w.sim.Value(repo, "environment:production", "DATABASE_URL"); got != "another" {
		t.Errorf("production has %q", got)
	}

	w.sim.ResetRequests()
	res = w.done(three...)
	if len(res.Created)+len(res.Updated) != 0 {
		t.Errorf("nothing was to be done: created %v, updated %v", res.Created, res.Updated)
	}
	if rest := unconditional(w.sim.Requests()); len(rest) > 0 {
		t.Errorf("nothing was to be done, and this was sent: %v", rest)
	}
	exist := 0
	for _, n := range res.Notices {
		if n.Code == fault.EnvironmentExists {
			exist++
		}
	}
	if exist != 3 {
		t.Errorf("%d notices of environments that exist: %+v", exist, res.Notices)
	}
}

// A reviewer whom the repository does not know leaves that environment alone, and no other.
func TestReviewerWithoutAccess(t *testing.T) {
	for name, id := range map[string]func(w *world) int64{
		"no access": func(w *world) int64 { return w.sim.AddUser("stranger") },
		"no user":   func(*world) int64 { return 424242 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			three := w.three("API_TOKEN")
			stranger := id(w)
			three[2].Rules.ReviewerIDs = []int64{w.reviewer, stranger}
			res := w.apply(three...)
			same(t, "created", res.Created, []string{"dev", "staging"})
			same(t, "errors", codes(res.Errors), []string{"production GITHUB_ENV_REVIEWER_NOT_FOUND"})
			if res.Errors[0].Context["reviewerId"] != stranger {
				t.Errorf("%+v", res.Errors[0])
			}
			if _, there := w.sim.Environment(repo, "production"); there {
				t.Error("production was made")
			}
			same(t, "planned errors", codes(w.plan(three...).Errors), []string{"production GITHUB_ENV_REVIEWER_NOT_FOUND"})
			same(t, "first event", told(w.events()[:1]), []string{"sync_all - [environment:dev environment:staging environment:production] partial"})

			three[2].Rules.ReviewerIDs = []int64{w.reviewer}
			same(t, "created", w.done(three...).Created, []string{"production"})
		})
	}
}

// An existing production keeps its rules and secrets when its new reviewer is nobody.
func TestRefusedEnvironmentIsUntouched(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three...)
	before := w.shows("production")
	three[2].Rules.ReviewerIDs = []int64{424242}
	three[2].Rules.WaitTimer = ptr(0)
	three[2].Secrets = append(three[2].Secrets, value("NEW", "new"))
	w.sim.ResetRequests()
	res := w.apply(three...)
	same(t, "errors", codes(res.Errors), []string{"production GITHUB_ENV_REVIEWER_NOT_FOUND"})
	if n := w.sim.Counts().Writes; n != 0 {
		t.Errorf("%d writes", n)
	}
	if after := w.shows("production"); after.WaitTimer != before.WaitTimer {
		t.Errorf("%+v", after)
	}
	if c, _ := w.config("production"); c.Status != store.EnvironmentFailed || len(c.Secrets) != 1 {
		t.Errorf("remembered as %+v", c)
	}
	if v := w.validate("production"); !v.Valid { // what was applied last is in force
		t.Errorf("%+v", v)
	}
}

// Deployments under way hold rules back, but no secrets; neither do ended and forgotten ones.
func TestActiveDeployments(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three...)
	w.sim.Advance(10 * time.Second)
	for _, d := range []struct {
		state githubsim.DeploymentState
		age   time.Duration
		holds bool
	}{
		{"", time.Hour, true},
		{githubsim.DeploymentWaiting, time.Hour, true},
		{githubsim.DeploymentQueued, time.Hour, true},
		{githubsim.DeploymentInProgress, time.Hour, true},
		{githubsim.DeploymentSuccess, time.Hour, false},
		{githubsim.DeploymentInProgress, 31 * 24 * time.Hour, false},
	} {
		deployment := githubsim.Deployment{Environment: "production", CreatedAt: w.sim.Now().Add(-d.age)}
		if d.state != "" {
			deployment.States = []githubsim.DeploymentState{d.state}
		}
		id := w.sim.Deploy(repo, deployment)
		three[2].Rules.WaitTimer = ptr(*three[2].Rules.WaitTimer + 1)
		res := w.apply(three...)
		if d.holds {
			same(t, string(d.state), codes(res.Errors), []string{"production GITHUB_ENV_PROTECTION_RULE_CONFLICT"})
			if active, _ := res.Errors[0].Context["activeDeployments"].([]int64); len(active) != 1 || active[0] != id {
				t.Errorf("%s: %+v", d.state, res.Errors[0])
			}
			w.sim.SetDeploymentState(repo, id, githubsim.DeploymentFailure)
		} else {
			same(t, string(d.state), res.Updated, []string{"production"})
		}
	}
	w.sim.Deploy(repo, githubsim.Deployment{Environment: "production"})
	three[2].Secrets[0] = value("API_TOKEN", "changed")
	if res := w.apply(three...); !res.InStep() {
		t.Errorf("a secret alone: %+v", res.Errors)
	}
	if c, _ := w.config("production"); c.LastDeploymentAt == nil {
		t.Error("no deployment is remembered")
	}
}

// GitHub drops a reviewer without a word: that is an error, the environment gets no secret, and is
// remembered as not what was asked for. The next apply puts it right.
func TestSilentlyDroppedReviewer(t *testing.T) {
	w := newWorld(t)
	other := w.sim.AddUser("other")
	w.sim.AddCollaborator(repo, "other", githubsim.RoleRead)
	production := asked("production", environment.Rules{ReviewerIDs: []int64{w.reviewer, other}}, "API_TOKEN")
	w.sim.OnRequest(func(r githubsim.Request) {
		if r.Method == "PUT" { // between the check and the write
			w.sim.AddCollaborator(repo, "other", "")
		}
	})
	res := w.apply(production)
	w.sim.OnRequest(nil)
	same(t, "errors", codes(res.Errors), []string{"production GITHUB_ENV_REVIEWER_NOT_FOUND"})
	same(t, "created", res.Created, []string{"production"})
	w.holds("production")
	if c, known := w.config("production"); !known || c.Status != store.EnvironmentFailed {
		t.Errorf("remembered as %+v", c)
	}
	if w.validate("production").Valid {
		t.Error("an environment without one of its reviewers is valid")
	}
	w.sim.AddCollaborator(repo, "other", githubsim.RoleRead)
	same(t, "updated", w.done(production).Updated, []string{"production"})
	w.holds("production", "API_TOKEN")
}

// A plan without reviewers answers 422, and the environment may be there all the same. That is said.
func TestRefusedForBilling(t *testing.T) {
	w := newWorld(t, func(r *githubsim.Repository) { r.Private, r.Plan = true, githubsim.TeamPlan })
	three := w.three("API_TOKEN")
	res := w.apply(three...)
	same(t, "errors", codes(res.Errors), []string{"staging GITHUB_INTEGRATION_DENIED", "production GITHUB_INTEGRATION_DENIED"})
	if res.Errors[0].Hint == "" {
		t.Errorf("nothing says which plan is needed: %+v", res.Errors[0])
	}
	w.holds("dev", "API_TOKEN")
	for _, name := range []string{"staging", "production"} {
		if _, there := w.sim.Environment(repo, name); there {
			w.holds(name)
		}
	}
	w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.Plan = githubsim.EnterprisePlan })
	w.done(three...)
}

// What was lost on the way back is found by the next apply.
func TestLostAnswers(t *testing.T) {
	for _, f := range []githubsim.Failure{
		{Method: "PUT", Path: "/environments/", Kinds: []githubsim.Kind{githubsim.LostAnswer, githubsim.LostReset, githubsim.CutShort}, Times: 40},
		{Method: "POST", Path: "/deployment-branch-policies", Kinds: []githubsim.Kind{githubsim.LostAnswer}, Times: 12},
		{Method: "GET", Path: "/environments/production", Kinds: []githubsim.Kind{githubsim.BadGateway}, Times: 12},
	} {
		w := newWorld(t)
		three := w.three("API_TOKEN", "DATABASE_URL")
		w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{f}})
		first := w.apply(three...)
		w.sim.SetFaults(githubsim.Faults{})
		second := w.done(three...)
		for _, name := range []string{"dev", "staging", "production"} {
			w.holds(name, "API_TOKEN", "DATABASE_URL")
		}
		if n := len(first.Created) + len(second.Created); n != 3 {
			t.Errorf("%s: created %v, then %v", f.Path, first.Created, second.Created)
		}
	}
}

// Somebody added the branch meanwhile: GitHub answers 303, and it is there.
func TestPatternThatIsThereAlready(t *testing.T) {
	w := newWorld(t)
	w.sim.OnRequest(func(r githubsim.Request) {
		if r.Method == "POST" {
			w.sim.ChangeEnvironment(repo, "production", func(e *githubsim.Environment) {
				e.Patterns = []githubsim.BranchPattern{{Name: "main"}, {Name: "release/*"}}
			})
		}
	})
	res := w.apply(asked("production", environment.Rules{ReviewerIDs: []int64{w.reviewer}}))
	w.sim.OnRequest(nil)
	if !res.InStep() {
		t.Errorf("%+v", res.Errors)
	}
	if e := w.shows("production"); len(e.Patterns) != 1 || e.Patterns[0].Name != "main" {
		t.Errorf("%+v", e.Patterns)
	}
}

// Someone loosens production in the browser: the plan shows it, validation reports it, apply restores it.
func TestLoosenedRules(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three...)
	for name, loosen := range map[string]func(*githubsim.Environment){
		"waitTimer":            func(e *githubsim.Environment) { e.WaitTimer = 0 },
		"reviewerIds":          func(e *githubsim.Environment) { e.Reviewers = nil },
		"restrictToMainBranch": func(e *githubsim.Environment) { e.Branches, e.Patterns = githubsim.AnyBranch, nil },
	} {
		w.sim.ChangeEnvironment(repo, "production", loosen)
		p := w.plan(three...)
		found := false
		for _, a := range p.Actions {
			found = found || string(a.Environment) == "production" && string(a.Subject) == name && a.Reason == environment.Loosened
		}
		if !found || p.Summary.Update != 1 {
			t.Errorf("%s: %+v", name, p.Actions)
		}
		v := w.validate("production")
		if v.Valid || len(v.Rules) != 1 || string(v.Rules[0].Subject) != name || !v.Rules[0].Weaker || len(v.RemediationSteps) != 1 {
			t.Errorf("%s: %+v", name, v)
		}
		same(t, name, w.done(three...).Updated, []string{"production"})
		if v := w.validate("production"); !v.Valid {
			t.Errorf("%s: %+v", name, v)
		}
	}
}

// What a spec has no word for keeps GitHub's value, and so does what it leaves out.
func TestWhatIsNotNamedIsKept(t *testing.T) {
	w := newWorld(t)
	team := w.sim.AddTeam(githubsim.Team{Organization: "acme", Slug: "release", Repositories: map[string]githubsim.Role{repo: githubsim.RoleWrite}})
	w.sim.AddEnvironment(repo, "Staging")
	w.sim.ChangeEnvironment(repo, "staging", func(e *githubsim.Environment) {
		e.Reviewers = []githubsim.Reviewer{{Type: githubsim.TeamReviewer, ID: team}}
		e.PreventSelfReview, e.AdminsBypass, e.WaitTimer = true, false, 7
		e.Branches, e.Patterns = githubsim.CustomBranches, []githubsim.BranchPattern{{Name: "release/*"}}
		e.OtherRules = []string{"moon_phase"}
	})
	res := w.done(asked("staging", environment.Rules{ReviewerIDs: []int64{w.reviewer}, RestrictToMainBranch: ptr(false)}))
	same(t, "updated", res.Updated, []string{"staging"})
	e := w.shows("staging")
	if len(e.Reviewers) != 2 || !e.PreventSelfReview || e.AdminsBypass || e.WaitTimer != 7 || len(e.OtherRules) != 1 {
		t.Errorf("%+v", e)
	}
	if e.Branches != githubsim.CustomBranches || len(e.Patterns) != 1 || e.Patterns[0].Name != "release/*" {
		t.Errorf("%s %+v", e.Branches, e.Patterns)
	}
}

// Without a reviewer self-review cannot be prevented, and GitHub would refuse it.
func TestNoReviewersLeft(t *testing.T) {
	w := newWorld(t)
	w.done(asked("staging", environment.Rules{ReviewerIDs: []int64{w.reviewer}}))
	w.sim.ChangeEnvironment(repo, "staging", func(e *githubsim.Environment) { e.PreventSelfReview = true })
	w.done(asked("staging", environment.Rules{RequiredReviewers: ptr(0)}))
	if e := w.shows("staging"); len(e.Reviewers) != 0 || e.PreventSelfReview {
		t.Errorf("%+v", e)
	}
}

// An environment that was deleted outside, and that a refusal keeps from being made again, is not
// remembered as active.
func TestDeletedOutsideAndRefused(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three...)
	w.sim.DeleteEnvironment(repo, "production")
	three[2].Rules.ReviewerIDs = []int64{999}
	same(t, "errors", codes(w.apply(three...).Errors), []string{"production GITHUB_ENV_REVIEWER_NOT_FOUND"})
	if c, known := w.config("production"); !known || c.Status != store.EnvironmentFailed {
		t.Errorf("remembered as %+v", c)
	}
	w.done(w.three("API_TOKEN")...)
	if c, _ := w.config("production"); c.Status != store.EnvironmentActive {
		t.Errorf("remembered as %+v", c)
	}
}

// A change that GitHub refused in its second half is told as what it came to: nothing.
func TestRefusedPattern(t *testing.T) {
	w := newWorld(t)
	three := w.three()
	w.done(three...)
	w.sim.ChangeEnvironment(repo, "production", func(e *githubsim.Environment) { e.Patterns = []githubsim.BranchPattern{{Name: "wide/*"}} })
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "POST", Path: "/deployment-branch-policies", Answer: &githubsim.Answer{
		Status: 403, Body: `{"message":"Resource not accessible by personal access token","status":"403"}`,
	}}}})
	res := w.apply(three...)
	same(t, "errors", codes(res.Errors), []string{"production GITHUB_INTEGRATION_DENIED"})
	same(t, "updated", res.Updated, []string{})
	w.sim.SetFaults(githubsim.Faults{})
	same(t, "updated", w.done(three...).Updated, []string{"production"})
}
