package environment_test

import (
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

func (w *world) required(strict bool, tier environment.Tier, names ...string) environment.Validation {
	w.t.Helper()
	req := environment.ValidateRequest{Project: w.project(), Actor: store.Local, Environments: []environment.Tier{tier}, Strict: strict}
	for _, n := range names {
		req.Required = append(req.Required, secret.MustName(n))
	}
	v, err := w.svc.Validate(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}

// A required secret is looked for in the environment, and among the repository's under the name that
// says whose it is.
func TestRequiredSecrets(t *testing.T) {
	w := newWorld(t)
	w.done(w.three("API_TOKEN")...)
	if v := w.required(false, "production", "API_TOKEN"); !v.Valid || v.Summary != (plan.Tally{TotalSecrets: 1, ValidCount: 1}) {
		t.Errorf("%+v", v)
	}
	v := w.required(false, "production", "DATABASE_URL")
	if v.Valid || len(v.Missing) != 1 || v.Missing[0].Scope.String() != "environment:production" || len(v.RemediationSteps) != 1 {
		t.Errorf("%+v", v)
	}
	for _, name := range []string{"DATABASE_URL", "DATABASE_URL_DEV", "DATABASE_URL_STAGING"} { // none of them is production's
		w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: name, Value: "v"})
	}
	if v := w.required(false, "production", "DATABASE_URL"); v.Valid {
		t.Errorf("%+v", v)
	}
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "DATABASE_URL_PROD", Value: "v"})
	for tier, name := range map[environment.Tier]string{"dev": "DATABASE_URL", "staging": "DATABASE_URL", "production": "DATABASE_URL_PROD"} {
		if v := w.required(false, tier, name); !v.Valid || len(v.Notices) != 1 || len(v.Unverified) != 1 {
			t.Errorf("%s: %+v", tier, v)
		}
		if v := w.required(true, tier, name); v.Valid {
			t.Errorf("%s is proven by nothing: %+v", tier, v)
		}
	}
	// For one that was written to the environment itself nothing else stands.
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "API_TOKEN_PROD", Value: "v"})
	w.sim.DeleteSecret(repo, "environment:production", "API_TOKEN")
	if v := w.validate("production"); v.Valid || len(v.Missing) != 1 {
		t.Errorf("deleted: %+v", v)
	}
}

func TestSecretsThatDrifted(t *testing.T) {
	w := newWorld(t)
	w.done(w.three("API_TOKEN")...)
	w.edit("production", "API_TOKEN", "theirs")
	v := w.validate()
	if v.Valid || len(v.Conflicts) != 1 || len(v.Conflicts[0].Scopes) != 1 || v.Summary.ConflictCount != 1 || len(v.Conflicts[0].ValueHashes) != 0 {
		t.Errorf("%+v", v)
	}
	events := w.events()
	if last := told(events)[len(events)-1]; last != "validate - [environment:dev environment:staging environment:production] success" {
		t.Error(last)
	}
}

// An environment that is not there, or that a workflow made, fails; one that protects more does not.
func TestEnvironmentsNobodyApplied(t *testing.T) {
	w := newWorld(t)
	if v := w.validate("production"); v.Valid || v.Rules[0].Subject != environment.SubjectEnvironment {
		t.Errorf("%+v", v)
	}
	w.sim.UseEnvironment(repo, "production")
	w.sim.UseEnvironment(repo, "dev")
	if v := w.validate("production"); v.Valid || len(v.Rules) != 3 {
		t.Errorf("%+v", v)
	}
	if v := w.validate("dev"); !v.Valid {
		t.Errorf("%+v", v)
	}
	// Other branches than the default one are no restriction to it, and neither are protected ones.
	for _, b := range []githubsim.Environment{{Branches: githubsim.ProtectedBranches}, {Branches: githubsim.CustomBranches, Patterns: []githubsim.BranchPattern{{Name: "*"}}}} {
		w.sim.ChangeEnvironment(repo, "production", func(e *githubsim.Environment) {
			e.Reviewers = []githubsim.Reviewer{{Type: githubsim.UserReviewer, ID: w.reviewer}}
			e.Branches, e.Patterns = b.Branches, b.Patterns
		})
		if v := w.validate("production"); v.Valid || len(v.Rules) != 2 || v.Rules[1].Subject != environment.SubjectBranches {
			t.Errorf("%s: %+v", b.Branches, v)
		}
	}
	three := w.three()
	w.done(three...)
	w.sim.ChangeEnvironment(repo, "production", func(e *githubsim.Environment) { e.WaitTimer = 600 })
	if v := w.validate("production"); !v.Valid || len(v.Rules) != 1 || v.Rules[0].Weaker {
		t.Errorf("more protected than asked: %+v", v)
	}
}

// An environment that holds secrets, or is under deployment, is not deleted just like that.
func TestDelete(t *testing.T) {
	w := newWorld(t)
	w.done(w.three("API_TOKEN")...)
	del := func(name string, withSecrets bool) (environment.Deleted, error) {
		return w.svc.Delete(t.Context(), environment.DeleteRequest{Project: w.project(), Actor: store.Local, Name: name, WithSecrets: withSecrets})
	}
	_, err := del("preview", true)
	isCode(t, err, fault.RequestInvalid)
	_, err = del("dev", false)
	isCode(t, err, fault.RequestInvalid)
	if !strings.Contains(fault.Of(err).Hint, "--with-secrets") {
		t.Errorf("%+v", fault.Of(err))
	}
	id := w.sim.Deploy(repo, githubsim.Deployment{Environment: "dev"})
	_, err = del("dev", true)
	isCode(t, err, fault.ProtectionRuleConflict)
	w.sim.SetDeploymentState(repo, id, githubsim.DeploymentSuccess)
	if _, there := w.sim.Environment(repo, "dev"); !there {
		t.Fatal("deleted all the same")
	}
	before := len(w.events())
	d, err := del("dev", true)
	if err != nil || len(d.Secrets) != 1 {
		t.Errorf("%+v %v", d, err)
	}
	if _, there := w.sim.Environment(repo, "dev"); there {
		t.Error("it is there still")
	}
	if _, known := w.config("dev"); known {
		t.Error("it is remembered still")
	}
	same(t, "events", told(w.events()[before:]), []string{"sync_all - [environment:dev] success", "delete API_TOKEN [environment:dev] success"})
	_, err = del("dev", true)
	isCode(t, err, fault.ResourceNotFound)
	w.sim.DeleteEnvironment(repo, "staging")
	if _, err := del("staging", false); err != nil {
		t.Errorf("gone from GitHub, and to be forgotten: %v", err)
	}
	w.done(w.three("API_TOKEN")...)
}

func TestList(t *testing.T) {
	w := newWorld(t)
	w.sim.UseEnvironment(repo, "dev")
	w.sim.UseEnvironment(repo, "preview/1")
	three := w.three("API_TOKEN")
	w.done(three[2])
	at := w.sim.Now().Add(-time.Hour).Truncate(time.Second)
	w.sim.Deploy(repo, githubsim.Deployment{Environment: "production", CreatedAt: at, States: []githubsim.DeploymentState{githubsim.DeploymentSuccess}})
	w.sim.ChangeEnvironment(repo, "production", func(e *githubsim.Environment) { e.WaitTimer = 0 })
	w.sim.ResetRequests()
	list, err := w.svc.List(t.Context(), w.project())
	if err != nil || len(list) != 2 {
		t.Fatalf("%+v %v", list, err)
	}
	dev, production := list[0], list[1]
	if dev.Name != "dev" || dev.Managed || !dev.Exists || dev.LastDeploymentAt != nil {
		t.Errorf("%+v", dev)
	}
	if !production.Managed || production.Status != store.EnvironmentActive || *production.ProtectionRules.WaitTimer != 0 || *production.Asked.WaitTimer != 30 {
		t.Errorf("%+v", production)
	}
	if len(production.Differences) != 1 || len(production.Secrets) != 1 || production.Secrets[0].Standing != plan.StandsIn {
		t.Errorf("%+v", production)
	}
	if production.LastDeploymentAt == nil || !production.LastDeploymentAt.Equal(at) {
		t.Errorf("deployed at %v, want %v", production.LastDeploymentAt, at)
	}
	if n := w.sim.Counts().Writes; n != 0 {
		t.Errorf("%d writes", n)
	}
}
