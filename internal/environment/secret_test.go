package environment_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// edit changes a secret of an environment behind our back, some seconds later.
func (w *world) edit(tier, name, value string) {
	w.sim.Advance(5 * time.Second)
	w.sim.SetSecret(repo, "environment:"+tier, githubsim.Secret{Name: name, Value: value})
	w.sim.Advance(5 * time.Second)
}

// A secret that somebody else changed is a conflict; the others go on, and force writes over it.
func TestSecretsInConflict(t *testing.T) {
	w := newWorld(t)
	w.sim.AddEnvironment(repo, "dev")
	w.sim.SetSecret(repo, "environment:dev", githubsim.Secret{Name: "THEIRS", Value: "theirs"})
	w.sim.SetSecret(repo, "environment:dev", githubsim.Secret{Name: "NEVER_OURS", Value: "never ours"})
	w.sim.Advance(5 * time.Second)
	dev := asked("dev", environment.Rules{}, "THEIRS", "OURS")
	res := w.apply(dev)
	same(t, "unmanaged", codes(res.Errors), []string{"dev GITHUB_SECRETS_CONFLICT_DETECTED"})
	if res.Errors[0].SecretName != "THEIRS" {
		t.Errorf("%+v", res.Errors[0])
	}
	same(t, "updated", res.Updated, []string{"dev"})
	same(t, "events", told(w.events())[1:], []string{"create OURS [environment:dev] success", "update THEIRS [environment:dev] failure"})

	w.edit("dev", "OURS", "edited")
	same(t, "drift", codes(w.apply(dev).Errors), []string{"dev GITHUB_SECRETS_CONFLICT_DETECTED", "dev GITHUB_SECRETS_CONFLICT_DETECTED"})
	if v, _ := w.sim.Value(repo, "environment:dev", "OURS"); v != "edited" {
		t.Errorf("written over: %q", v)
	}
	forced := w.request(dev)
	forced.Force = true
	if res, err := w.svc.Apply(t.Context(), forced); err != nil || !res.InStep() {
		t.Errorf("%v %+v", err, res.Errors)
	}
	w.converged(dev)
	if v, _ := w.sim.Value(repo, "environment:dev", "NEVER_OURS"); v != "never ours" {
		t.Errorf("what was not named holds %q", v)
	}

	w.sim.DeleteSecret(repo, "environment:dev", "OURS")
	if res := w.done(dev); res.Summary.Create != 1 {
		t.Errorf("deleted outside: %+v", res.Actions)
	}
	// What is named no longer is left.
	if res := w.done(asked("dev", environment.Rules{}, "OURS")); res.Summary.Leave != 2 {
		t.Errorf("%+v", res.Actions)
	}
	if _, there := w.sim.Value(repo, "environment:dev", "THEIRS"); !there {
		t.Error("a secret was deleted")
	}
	// Once somebody deleted it too, it is not missed.
	w.sim.DeleteSecret(repo, "environment:dev", "THEIRS")
	w.done(asked("dev", environment.Rules{}, "OURS"))
	if v := w.validate("dev"); !v.Valid {
		t.Errorf("%+v", v)
	}
}

// The same value in three environments is three boxes, each for that environment's own key, and a key
// that is rotated in between is fetched anew.
func TestEachEnvironmentHasItsKey(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	var rotated atomic.Bool
	w.sim.OnRequest(func(r githubsim.Request) {
		if r.Method == "PUT" && r.Path == "/repos/"+repo+"/environments/staging/secrets/API_TOKEN" && !rotated.Swap(true) {
			w.sim.RotateKey(repo, "environment:staging")
		}
	})
	res := w.apply(three...)
	w.sim.OnRequest(nil)
	if !res.InStep() || !rotated.Load() {
		t.Errorf("%+v", res.Errors)
	}
	for _, name := range []string{"dev", "staging", "production"} {
		w.holds(name, "API_TOKEN")
	}
}

// An environment that was deleted and made again by a workflow has none of our secrets.
func TestRecreatedEnvironment(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three...)
	w.sim.DeleteEnvironment(repo, "production")
	if v := w.validate(); v.Valid || len(v.Missing) != 1 {
		t.Errorf("%+v", v)
	}
	w.sim.UseEnvironment(repo, "production")
	if v := w.validate(); v.Valid || len(v.Rules) != 3 || len(v.Missing) != 1 {
		t.Errorf("%+v", v)
	}
	same(t, "updated", w.done(three...).Updated, []string{"production"})
	w.holds("production", "API_TOKEN")
	if v := w.validate(); !v.Valid {
		t.Errorf("%+v", v)
	}
}

// A fragile store stops recording: to memory an apply looks as if it had been killed after its last
// write.
type fragile struct {
	*store.Store
	broken atomic.Bool
}

var errDiskFull = errors.New("the disk is full")

func (f *fragile) RecordEnvironments(ctx context.Context, now time.Time, o store.EnvironmentOutcome) (audit.Head, error) {
	if f.broken.Load() {
		return audit.Head{}, errDiskFull
	}
	return f.Store.RecordEnvironments(ctx, now, o)
}

// killed lets an apply write everything and remember nothing but its intents.
func (w *world) killed(asked ...environment.Asked) {
	w.t.Helper()
	f := &fragile{Store: w.db}
	f.broken.Store(true)
	svc := w.service(func(c *environment.Config) { c.Store = f })
	if _, err := svc.Apply(w.t.Context(), w.request(asked...)); !errors.Is(err, errDiskFull) {
		w.t.Fatalf("%v", err)
	}
}

// What a killed apply wrote is put right by the next one without force, whether it was the first or
// not, and whether it was killed twice.
func TestKilledApplyHeals(t *testing.T) {
	for _, first := range []bool{true, false} {
		w := newWorld(t)
		three := w.three("API_TOKEN", "DATABASE_URL")
		if !first {
			w.done(three...)
			w.sim.Advance(10 * time.Second)
			for i := range three {
				three[i].Secrets[0] = value("API_TOKEN", three[i].Name+" API_TOKEN")
				three[i].Secrets[1] = value("DATABASE_URL", three[i].Name+" DATABASE_URL")
				three[i].Rules.WaitTimer = ptr(9)
			}
			three[0].Secrets[0] = value("API_TOKEN", "interim")
		}
		w.killed(three...)
		w.killed(three...)
		three[0].Secrets[0] = value("API_TOKEN", "dev API_TOKEN")
		w.done(three...)
		for _, name := range []string{"dev", "staging", "production"} {
			w.holds(name, "API_TOKEN", "DATABASE_URL")
		}
		intents, err := w.db.EnvironmentIntents(t.Context(), w.project().ID)
		if err != nil || len(intents) != 0 {
			t.Errorf("%d intents are left, %v", len(intents), err)
		}
		w.events()
	}
}

// After the time of its intents is over, what a killed apply may have written is anybody's.
func TestKilledApplyAndALaterEdit(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "API_TOKEN")
	w.killed(dev)
	w.sim.Advance(5 * time.Minute)
	w.edit("dev", "API_TOKEN", "theirs")
	same(t, "errors", codes(w.apply(dev).Errors), []string{"dev GITHUB_SECRETS_CONFLICT_DETECTED"})
}

// Cancelled between its writes, an apply says so, and the next one goes on.
func TestCancelled(t *testing.T) {
	for _, path := range []string{"/environments/dev", "/secrets/"} {
		w := newWorld(t)
		three := w.three("API_TOKEN", "DATABASE_URL", "THIRD")
		ctx, cancel := context.WithCancel(t.Context())
		svc := w.service(func(c *environment.Config) { c.Settings.Concurrency = 1 })
		w.sim.OnAnswer(func(r githubsim.Request) {
			if r.Write() && strings.Contains(r.Path, path) {
				cancel()
			}
		})
		_, err := svc.Apply(ctx, w.request(three...))
		w.sim.OnAnswer(nil)
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		w.done(three...)
		for _, name := range []string{"dev", "staging", "production"} {
			w.holds(name, "API_TOKEN", "DATABASE_URL", "THIRD")
		}
		w.events()
	}
}

// Two applies at once do not overlap: one waits for the other, and finds nothing to do.
func TestTwoAppliesAtOnce(t *testing.T) {
	w := newWorld(t)
	three := w.three("API_TOKEN")
	w.done(three[0])
	w.sim.SetFaults(githubsim.Faults{Latency: 5 * time.Millisecond})
	w.sim.ResetRequests()
	results := make(chan environment.Result, 2)
	for range 2 {
		svc := w.service()
		req := w.request(three...)
		go func() {
			res, err := svc.Apply(context.WithoutCancel(t.Context()), req)
			if err != nil {
				t.Errorf("%v", err)
			}
			results <- res
		}()
	}
	created := 0
	for range 2 {
		created += len((<-results).Created)
	}
	if created != 2 {
		t.Errorf("created %d, want staging and production once each", created)
	}
	puts := 0
	for _, r := range w.sim.Requests() {
		if r.Method == "PUT" && strings.Contains(r.Path, "/secrets/") {
			puts++
		}
	}
	if puts != 2 {
		t.Errorf("%d secrets were written", puts)
	}
}

// Somebody holds the project for longer than one waits.
func TestProjectIsHeld(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{})
	w.done(dev)
	lease, err := w.db.Acquire(t.Context(), time.Now(), store.LeaseRequest{Project: w.project().ID, Run: uuid.New(), Holder: "another", Times: store.LeaseTimes{Lapse: time.Hour}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = lease.Release(context.Background()) }()
	svc := w.service(func(c *environment.Config) { c.Settings.LeaseWait = 30 * time.Millisecond })
	_, err = svc.Apply(t.Context(), w.request(dev))
	isCode(t, err, fault.StoreUnavailable)
}

// Somebody writes over a secret just after us, before we looked whether it arrived.
func TestOvertaken(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "API_TOKEN")
	var wrote, once atomic.Bool
	w.sim.OnRequest(func(r githubsim.Request) {
		wrote.Store(wrote.Load() || r.Method == "PUT" && strings.Contains(r.Path, "/secrets/"))
		if wrote.Load() && r.Method == "GET" && strings.Contains(r.Path, "/dev/secrets") && !once.Swap(true) {
			w.edit("dev", "API_TOKEN", "theirs")
		}
	})
	res := w.apply(dev)
	w.sim.OnRequest(nil)
	same(t, "errors", codes(res.Errors), []string{"dev GITHUB_SECRETS_CONFLICT_DETECTED"})
	same(t, "the next", codes(w.apply(dev).Errors), []string{"dev GITHUB_SECRETS_CONFLICT_DETECTED"})
}

// A list that lags is waited for, and one that lags too long is an error that the next apply settles.
func TestListLag(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "API_TOKEN")
	w.sim.SetFaults(githubsim.Faults{ListLag: 30 * time.Millisecond})
	if res := w.apply(dev); !res.InStep() {
		t.Errorf("%+v", res.Errors)
	}
	w.sim.SetFaults(githubsim.Faults{ListLag: time.Hour})
	dev.Secrets = append(dev.Secrets, value("SECOND", "dev SECOND"))
	same(t, "errors", codes(w.apply(dev).Errors), []string{"dev GITHUB_INTEGRATION_UNAVAILABLE"})
	w.sim.SetFaults(githubsim.Faults{})
	w.done(dev)
	w.holds("dev", "API_TOKEN", "SECOND")
}

// A list that lags shows the write before ours, and a second ago is near enough to be taken for it.
func TestTwoWritesASecondApartAndAListThatLags(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "API_TOKEN")
	w.sim.Freeze()
	w.apply(dev)
	w.sim.Advance(time.Second)
	w.sim.Thaw()
	dev.Secrets[0] = value("API_TOKEN", "two")
	w.sim.SetFaults(githubsim.Faults{ListLag: 30 * time.Millisecond})
	w.apply(dev)
	w.sim.SetFaults(githubsim.Faults{})
	w.sim.Advance(time.Second) // past the lag
	w.done(dev)
}

// What a killed apply wrote is ours, also when the one after it was cancelled before it wrote again.
func TestKilledThenCancelled(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "FIRST", "SECOND", "THIRD")
	w.killed(dev)
	v, err := w.svc.Validate(t.Context(), environment.ValidateRequest{
		Project: w.project(), Actor: store.Local, Environments: environment.Tiers()[:1], Required: []secret.Name{secret.MustName("FIRST")},
	})
	if err != nil || v.Valid || len(v.Conflicts) != 1 || len(v.RemediationSteps) != 1 || strings.Contains(v.RemediationSteps[0], "--force") {
		t.Errorf("left unsettled: %+v %v", v, err)
	}
	w.sim.Advance(20 * time.Second)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	svc := w.service(func(c *environment.Config) { c.Settings.Concurrency = 1 })
	w.sim.OnAnswer(func(r githubsim.Request) {
		if r.Write() {
			cancel()
		}
	})
	if _, err := svc.Apply(ctx, w.request(dev)); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	w.sim.OnAnswer(nil)
	w.done(dev)
	w.holds("dev", "FIRST", "SECOND", "THIRD")
}

// Nothing is written under a lease that is not ours any more.
func TestLostLease(t *testing.T) {
	w := newWorld(t)
	svc := w.service(func(c *environment.Config) {
		c.Settings.Lease = store.LeaseTimes{Heartbeat: time.Hour, Lapse: time.Millisecond, Grace: time.Millisecond}
	})
	w.sim.SetFaults(githubsim.Faults{Latency: 5 * time.Millisecond})
	res, err := svc.Apply(t.Context(), w.request(w.three("API_TOKEN")...))
	if err != nil {
		t.Fatal(err)
	}
	same(t, "errors", codes(res.Errors), []string{"dev STORE_UNAVAILABLE", "staging STORE_UNAVAILABLE", "production STORE_UNAVAILABLE"})
	if n := w.sim.Counts().Writes; n != 0 {
		t.Errorf("%d writes", n)
	}
}

// The lists of environments are not those that runs keep and polling looks at.
func TestListsAreNoScopes(t *testing.T) {
	w := newWorld(t)
	w.done(w.three("API_TOKEN")...)
	lists, err := w.db.Lists(t.Context(), w.project().ID, w.signs.Fingerprint())
	if err != nil || len(lists) != 5 {
		t.Errorf("%d lists, %v", len(lists), err)
	}
	for _, l := range lists {
		if _, err := secret.ParseScope(l.Kind); err == nil {
			t.Errorf("%s is spelled like a scope", l.Kind)
		}
	}
}

// An environment whose secrets are not shown may hold any: none is written over, and it is not deleted
// as if it had none.
func TestSecretsOutOfSight(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "THEIRS")
	w.done(asked("staging", environment.Rules{ReviewerIDs: []int64{w.reviewer}}))
	w.sim.AddEnvironment(repo, "dev")
	w.sim.SetSecret(repo, "environment:dev", githubsim.Secret{Name: "THEIRS", Value: "theirs"})
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "GET", Path: "/environments/dev/secrets", Times: 3, Answer: &githubsim.Answer{
		Status: 404, Body: `{"message":"Not Found","status":"404"}`,
	}}}})
	_, err := w.svc.Plan(t.Context(), w.request(dev))
	isCode(t, err, fault.IntegrationUnavailable)
	_, err = w.svc.Apply(t.Context(), w.request(dev))
	isCode(t, err, fault.IntegrationUnavailable)
	_, err = w.svc.Delete(t.Context(), environment.DeleteRequest{Project: w.project(), Actor: store.Local, Name: "dev"})
	isCode(t, err, fault.IntegrationUnavailable)
	if v, _ := w.sim.Value(repo, "environment:dev", "THEIRS"); v != "theirs" {
		t.Errorf("it holds %q", v)
	}
}

// What a killed apply wrote and no list has shown yet is ours still, when the next one could not write
// it again.
func TestKilledUnderAListThatLags(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "API_TOKEN")
	w.done(asked("dev", environment.Rules{}))
	w.sim.SetFaults(githubsim.Faults{ListLag: time.Hour})
	w.killed(dev)
	w.sim.Advance(20 * time.Second)
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "PUT", Path: "/secrets/API_TOKEN", Answer: &githubsim.Answer{
		Status: 403, Body: `{"message":"Resource not accessible by personal access token","status":"403"}`,
	}}}})
	w.killed(dev)
	w.sim.SetFaults(githubsim.Faults{})
	w.sim.Advance(time.Hour)
	w.done(dev)
	w.holds("dev", "API_TOKEN")
}

// A name that a rule excludes is written nowhere, which is a notice and no error, and it is not missed.
// Rules that give no answer stop everything.
func TestExcluded(t *testing.T) {
	w := newWorld(t)
	dev := asked("dev", environment.Rules{}, "CI", "API_TOKEN", "LEGACY_KEY")
	res := w.done(dev)
	if len(res.Notices) != 1 || res.Notices[0].Code != fault.Excluded || res.Notices[0].SecretName != "CI" {
		t.Errorf("%+v", res.Notices)
	}
	w.holds("dev", "API_TOKEN", "LEGACY_KEY")
	id := w.project().ID
	if _, err := w.db.AddRule(t.Context(), time.Now(), &id, "^LEGACY_", "on its way out", store.Local); err != nil {
		t.Fatal(err)
	}
	w.edit("dev", "LEGACY_KEY", "theirs")
	dev.Secrets[2] = value("LEGACY_KEY", "another")
	res = w.done(dev)
	if len(res.Notices) != 3 || !strings.Contains(res.Notices[2].Message, "remains in environment:dev") {
		t.Errorf("%+v", res.Notices)
	}
	if v, _ := w.sim.Value(repo, "environment:dev", "LEGACY_KEY"); v != "theirs" {
		t.Errorf("LEGACY_KEY holds %q", v)
	}
	if v := w.required(true, "dev", "CI", "LEGACY_KEY", "API_TOKEN"); !v.Valid || v.Summary.TotalSecrets != 1 {
		t.Errorf("%+v", v)
	}
	// This pattern takes longer than any name is given.
	if _, err := w.db.AddRule(t.Context(), time.Now(), &id, `^(A+)+$`, "slow", store.Local); err != nil {
		t.Fatal(err)
	}
	w.sim.ResetRequests()
	_, err := w.svc.Apply(t.Context(), w.request(asked("dev", environment.Rules{}, strings.Repeat("A", 99)+"B")))
	isCode(t, err, fault.RequestInvalid)
	if n := w.sim.Counts().Requests; n != 0 {
		t.Errorf("%d requests", n)
	}
}
