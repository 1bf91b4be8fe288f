package syncing_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

func TestSyncWritesEveryScopeOnceAndThenNothing(t *testing.T) {
	w := newWorld(t)
	v := numbered(12)
	res := w.sync(v)
	if res.SyncedCount != 12 || !res.InStep() {
		t.Errorf("first sync: %+v", res)
	}
	w.everywhere(v)
	w.converged(v)

	w.sim.ResetRequests()
	res = w.sync(v)
	if c := w.sim.Counts(); c.Writes != 0 || c.Billed != 0 {
		t.Errorf("second sync: %d writes, %d billed requests, want none", c.Writes, c.Billed)
	}
	if res.SkippedCount != 12 || res.SyncedCount != 0 {
		t.Errorf("second sync: %+v", res)
	}
	w.intact()
}

func TestRequestsAreTheFloorAndOneMore(t *testing.T) {
	w := newWorld(t)
	w.sync(numbered(10), into(secret.Codespaces, secret.Dependabot))
	// two lists, two keys, twenty writes, two closing lists; and the repository
	if c := w.sim.Counts(); c.Requests != 2+2+20+2+1 {
		t.Errorf("%d requests, want 27", c.Requests)
	}
}

func TestOneOfManyChanged(t *testing.T) {
	w := newWorld(t)
	v := numbered(10)
	w.sync(v)
	w.sim.ResetRequests()
	v["SECRET_003"] = "another"
	res := w.sync(v)
	if res.SyncedCount != 1 || res.SkippedCount != 9 {
		t.Errorf("%+v", res)
	}
	if c := w.sim.Counts(); c.Writes != 3 {
		t.Errorf("%d writes, want 3", c.Writes)
	}
	w.everywhere(v)
	w.converged(v)
}

func TestDriftIsAConflictUntilForced(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "ours", "OTHER": "other"}
	w.sync(v)
	w.edit(secret.Dependabot, "TOKEN", "theirs")

	v["OTHER"] = "changed"
	res := w.sync(v)
	if len(res.Errors) != 1 || res.Errors[0].Code != fault.ConflictDetected || res.Errors[0].Scope != "dependabot" || res.SyncedCount != 1 ||
		!strings.Contains(res.Errors[0].Hint, "--force") {
		t.Errorf("%+v", res)
	}
	if got, _ := w.sim.Value(repo, "dependabot", "TOKEN"); got != "theirs" {
		t.Errorf("drift was written over: %q", got)
	}
	w.sync(v, force)
	w.everywhere(v)
	w.converged(v)
	w.intact()
}

func TestDeletedOutsideIsMadeAgain(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "ours"}
	w.sync(v)
	w.sim.DeleteSecret(repo, "codespaces", "TOKEN")
	w.sync(v)
	w.everywhere(v)
	w.converged(v)
}

func TestRemovedFromTheSameSourceIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.sim.SetSecret(repo, "codespaces", githubsim.Secret{Name: "THEIRS", Value: "x"})
	all := values{"A": "1", "B": "2", "C": "3"}
	w.sync(all)
	w.sync(values{"Z": "26"}, from("file:/src/second.env"))
	if _, ok := w.sim.Value(repo, "actions", "B"); !ok {
		t.Fatal("a second source deleted what the first one wrote")
	}
	w.sync(values{}, from("")) // stdin, empty
	delete(all, "B")
	res := w.sync(all)
	if res.Summary.Delete != 3 || !res.InStep() {
		t.Errorf("%+v", res)
	}
	w.holds(secret.Actions, values{"A": "1", "C": "3", "Z": "26"})
	w.holds(secret.Codespaces, values{"A": "1", "C": "3", "Z": "26", "THEIRS": "x"})
	w.converged(all)
	w.intact()
}

func TestUnmanagedIsLeftUntilAdopted(t *testing.T) {
	for _, c := range []struct {
		name   string
		adopt  func(*syncing.Request)
		theirs string
	}{{"overwrite", overwrite, "ours"}, {"keep", keepTheirs, "theirs"}, {"force", force, "ours"}} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.sim.SetSecret(repo, "dependabot", githubsim.Secret{Name: "TOKEN", Value: "theirs"})
			w.sim.Advance(time.Hour)
			v := values{"TOKEN": "ours", "B": "2"}
			res := w.sync(v)
			if len(res.Errors) != 1 || res.SyncedCount != 1 {
				t.Fatalf("%+v", res)
			}
			if res = w.sync(v, c.adopt); !res.InStep() {
				t.Errorf("adopted: %+v", res)
			}
			if got, _ := w.sim.Value(repo, "dependabot", "TOKEN"); got != c.theirs {
				t.Errorf("dependabot holds %q, want %q", got, c.theirs)
			}
			w.converged(v)
			if res = w.sync(v); !res.InStep() || res.SyncedCount != 0 {
				t.Errorf("plain sync afterwards: %+v", res)
			}
		})
	}
}

func TestKeepingEveryScopeLeavesTheSecretAlone(t *testing.T) {
	w := newWorld(t)
	w.sim.SetSecret(repo, "codespaces", githubsim.Secret{Name: "TOKEN", Value: "theirs"})
	w.sim.Advance(time.Hour)
	v := values{"TOKEN": "ours"}
	w.sync(v, into(secret.Codespaces), keepTheirs)
	res := w.sync(v)
	if !res.InStep() || res.SyncedCount != 0 {
		t.Errorf("%+v", res)
	}
	w.holds(secret.Actions, values{})
	// asked for by scope it is ours to decide about again
	if res = w.sync(v, into(secret.Codespaces)); len(res.Errors) != 1 {
		t.Errorf("%+v", res)
	}
}

func TestAStoreThatIsNotThere(t *testing.T) {
	w := newWorld(t)
	w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.Without = []string{"codespaces"} })
	v := numbered(50)
	res := w.sync(v)
	if !res.InStep() || len(res.Notices) != 1 || res.Notices[0].Scope != "codespaces" {
		t.Errorf("want one notice and no error: %+v %+v", res.Errors, res.Notices)
	}
	w.holds(secret.Dependabot, v)
	w.converged(v)
	v["SECRET_000"] = "changed"
	w.sim.ResetRequests()
	_, err := w.svc.Sync(t.Context(), w.request(v, into(secret.Codespaces, secret.Dependabot)))
	if !fault.Is(err, fault.IntegrationDenied) || !strings.Contains(fault.Of(err).Hint, "codespaces_secrets") {
		t.Errorf("asked for: %v", err)
	}
	if c := w.sim.Counts(); c.Writes != 0 {
		t.Errorf("%d writes before the refusal", c.Writes)
	}
}

func TestAMissingPermissionStopsBeforeAnyWrite(t *testing.T) {
	w := newWorld(t)
	w.svc = w.service(w.sim.AddToken(githubsim.Token{
		Kind: githubsim.FineGrained, Owner: "acme",
		Permissions: githubsim.Permissions{"secrets": "write", "codespaces_secrets": "write"},
	}))
	_, err := w.svc.Sync(t.Context(), w.request(numbered(5)))
	if !fault.Is(err, fault.IntegrationDenied) || !strings.Contains(err.Error()+fault.Of(err).Hint, "dependabot_secrets") {
		t.Errorf("%v; hint %q", err, fault.Of(err).Hint)
	}
	if c := w.sim.Counts(); c.Writes != 0 {
		t.Errorf("%d writes", c.Writes)
	}
}

func TestAKeyRotatedBetweenFetchAndWrite(t *testing.T) {
	w := newWorld(t)
	var once sync.Once
	w.sim.OnRequest(func(r githubsim.Request) {
		if r.Write() && strings.Contains(r.Path, "/dependabot/") {
			once.Do(func() { w.sim.RotateKey(repo, "dependabot") })
		}
	})
	v := numbered(3)
	if res := w.sync(v); !res.InStep() {
		t.Errorf("%+v", res)
	}
	w.everywhere(v)
}

func TestListsThatLag(t *testing.T) {
	w := newWorld(t)
	v := numbered(3)
	w.sim.SetFaults(githubsim.Faults{ListLag: 50 * time.Millisecond})
	if res := w.sync(v); !res.InStep() {
		t.Errorf("short lag: %+v", res.Errors)
	}
	w.converged(v)
	v["SECRET_001"] = "changed"
	w.sim.Advance(5 * time.Second)
	w.sim.SetFaults(githubsim.Faults{ListLag: time.Second})
	if res := w.sync(v); len(res.Errors) != 3 || res.Errors[0].Code != fault.IntegrationUnavailable {
		t.Errorf("long lag: %+v", res.Errors)
	}
	time.Sleep(1100 * time.Millisecond)
	w.sim.SetFaults(githubsim.Faults{})
	if res := w.sync(v); !res.InStep() {
		t.Errorf("after the lag: %+v", res.Errors)
	}
	w.everywhere(v)
	w.converged(v)
}

// A run that is cancelled after any of its requests is put right by the next plain one.
func TestCancelledAnywhere(t *testing.T) {
	for after := 1; after < 24; after += 2 {
		w := newWorld(t)
		w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "THEIRS", Value: "x"})
		v := numbered(3)
		w.sync(v)
		w.sim.Advance(10 * time.Second)
		delete(v, "SECRET_000")
		v["SECRET_001"], v["SECRET_009"] = "changed", "new"
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		n := 0
		w.sim.OnAnswer(func(githubsim.Request) {
			mu.Lock()
			defer mu.Unlock()
			if n++; n == after {
				cancel()
			}
		})
		if _, err := w.svc.Sync(ctx, w.request(v)); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled after %d: %v", after, err)
		}
		cancel()
		w.sim.OnAnswer(nil)
		if res := w.sync(v); !res.InStep() {
			t.Errorf("cancelled after %d, then: %+v", after, res.Errors)
		}
		w.holds(secret.Codespaces, v)
		w.converged(v)
		w.intact()
	}
}

func TestRandomFailuresLoseNothing(t *testing.T) {
	w := newWorld(t)
	w.sim.SetFaults(githubsim.Faults{Seed: 7, Failures: []githubsim.Failure{{Rate: 0.05}}})
	v := numbered(40)
	if res := w.sync(v); !res.InStep() {
		t.Errorf("%+v", res.Errors)
	}
	w.everywhere(v)
}

func TestManyDeletesNeedALicence(t *testing.T) {
	w := newWorld(t)
	v := numbered(10)
	w.sync(v)
	few := maps.Clone(v)
	for n := range numbered(6) {
		delete(few, n)
	}
	few["NEW"] = "new"
	res := w.sync(few)
	if res.Withheld != 18 || len(res.Errors) != 18 || res.SyncedCount != 1 {
		t.Errorf("withheld %d, errors %d, synced %d", res.Withheld, len(res.Errors), res.SyncedCount)
	}
	if _, ok := w.sim.Value(repo, "actions", "SECRET_000"); !ok {
		t.Error("deleted without a licence")
	}
	res = w.sync(few, func(r *syncing.Request) { r.Options.AllowDeletes = 18 })
	if !res.InStep() {
		t.Errorf("%+v", res.Errors)
	}
	w.everywhere(few)
	w.converged(few)
}

func TestARepositoryMadeAgainUnderTheOldName(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "ours"}
	w.sync(v)
	w.sim.DeleteRepository(repo)
	w.sim.AddRepository(githubsim.Repository{FullName: repo})
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "TOKEN", Value: "theirs"})
	w.sim.Advance(time.Hour)
	_, err := w.svc.Sync(t.Context(), w.request(v, force))
	if !fault.Is(err, fault.ResourceNotFound) || !strings.Contains(err.Error(), "another repository") {
		t.Errorf("the new repository is not the one that was synced: %v", err)
	}
	if got, _ := w.sim.Value(repo, "actions", "TOKEN"); got != "theirs" {
		t.Errorf("written over: %q", got)
	}
}

func TestARenamedRepositoryStaysTheSameProject(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "ours"}
	w.sync(v)
	w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.FullName = "acme/gadgets" })
	v["TOKEN"] = "changed"
	res := w.sync(v) // by its old name
	if !res.InStep() || res.SyncedCount != 1 {
		t.Errorf("%+v", res)
	}
	if got, _ := w.sim.Value("acme/gadgets", "dependabot", "TOKEN"); got != "changed" {
		t.Errorf("%q", got)
	}
}

func TestTwoRunsAtOnceTakeTurns(t *testing.T) {
	w := newWorld(t)
	w.sim.SetFaults(githubsim.Faults{Latency: 10 * time.Millisecond})
	v := numbered(8)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if res, err := w.svc.Sync(t.Context(), w.request(v)); err != nil || !res.InStep() {
				t.Errorf("%v %+v", err, res.Errors)
			}
		})
	}
	wg.Wait()
	if c := w.sim.Counts(); c.Writes != 24 {
		t.Errorf("%d writes, want 24: each value once", c.Writes)
	}
	w.everywhere(v)
	w.intact()
}

func TestQuotaIsLeftToOthers(t *testing.T) {
	w := newWorld(t)
	w.sim.SetQuota(110, w.sim.Now().Add(time.Hour))
	_, err := w.svc.Sync(t.Context(), w.request(numbered(5)))
	if !fault.Is(err, fault.RateLimitExhausted) {
		t.Fatalf("%v", err)
	}
	if c := w.sim.Counts(); c.Writes != 0 {
		t.Errorf("%d writes", c.Writes)
	}
	w.intact()
}

func TestDeclinedWritesNothing(t *testing.T) {
	w := newWorld(t)
	_, err := w.svc.Sync(t.Context(), w.request(numbered(2), func(r *syncing.Request) {
		r.Decide = func(_ context.Context, p syncing.Preview) (syncing.Decision, error) {
			if !p.FirstRun || p.Summary.Create != 6 {
				t.Errorf("%+v", p)
			}
			return syncing.Decision{}, nil
		}
	}))
	if !errors.Is(err, syncing.ErrDeclined) {
		t.Error(err)
	}
	if c := w.sim.Counts(); c.Writes != 0 {
		t.Errorf("%d writes", c.Writes)
	}
	if got := w.intact(); got.Events != 1 {
		t.Errorf("%d events, want the one that every run has", got.Events)
	}
}

// A person who thinks about it does not make the run slow.
func TestThinkingIsNoWork(t *testing.T) {
	const thought = 500 * time.Millisecond
	w := newWorld(t)
	began := time.Now()
	res, err := w.svc.Sync(t.Context(), w.request(numbered(2), func(r *syncing.Request) {
		r.Decide = func(context.Context, syncing.Preview) (syncing.Decision, error) {
			time.Sleep(thought)
			return syncing.Decision{Proceed: true}, nil
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	worked := (time.Since(began) - thought).Milliseconds()
	events, _, err := w.svc.Events(t.Context(), w.request(nil).Repo, store.Filter{Operation: audit.SyncAll})
	if err != nil || len(events) != 1 {
		t.Fatalf("%v %v", events, err)
	}
	if res.DurationMs > worked || events[0].DurationMs > worked {
		t.Errorf("the run took %d ms, its event says %d ms; it worked for %d", res.DurationMs, events[0].DurationMs, worked)
	}
}

// Where values come from Actions, nobody can ask for them to be written there.
func TestActionsIsNoTargetOfItself(t *testing.T) {
	w := newWorld(t)
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "A", Value: "1"})
	req := w.request(values{"A": "1"}, func(r *syncing.Request) {
		r.Source.Identity, r.Source.Known = plan.ActionsSource, nil
		r.Options.Scopes = []secret.Scope{secret.Actions, secret.Codespaces}
	})
	if _, err := w.svc.Plan(t.Context(), req); !fault.Is(err, fault.RequestInvalid) {
		t.Errorf("plan: %v", err)
	}
	if _, err := w.svc.Sync(t.Context(), req); !fault.Is(err, fault.RequestInvalid) {
		t.Errorf("sync: %v", err)
	}
	if c := w.sim.Counts(); c.Writes != 0 {
		t.Errorf("%d writes", c.Writes)
	}
}

func TestExcludedNamesAreNotices(t *testing.T) {
	w := newWorld(t)
	v := values{"CI": "true", "RUNNER_X": "1", "TOKEN": "t"}
	res := w.sync(v)
	if res.SkippedCount != 2 || res.SyncedCount != 1 || len(res.Notices) != 2 {
		t.Errorf("%+v", res)
	}
	w.everywhere(values{"TOKEN": "t"})
	w.converged(v)
}

// Actions as the source: the values come through a function that is handed a key.
func TestActionsAsTheSource(t *testing.T) {
	w := newWorld(t)
	v := values{"A": "1", "B": "2"}
	for n, s := range v {
		w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: n, Value: s})
	}
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "_ODD", Value: "odd"})
	w.sim.Advance(time.Minute)
	relay := func(r *syncing.Request) {
		local := syncing.Local(plan.ActionsSource, v.plaintexts())
		local.Known = nil
		r.Source = local
	}
	res := w.sync(nil, relay)
	if res.SyncedCount != 2 || !res.InStep() || len(res.Notices) != 1 {
		t.Errorf("%+v", res)
	}
	w.holds(secret.Codespaces, v)
	w.converged(nil, relay)

	w.edit(secret.Actions, "A", "one")
	v["A"] = "one"
	if res = w.sync(nil, relay); res.SyncedCount != 1 {
		t.Errorf("%+v", res)
	}
	w.holds(secret.Dependabot, v)
	w.converged(nil, relay)

	w.sim.SetOrganizationSecret("acme", githubsim.Secret{Name: "B", Value: "2"})
	w.sim.DeleteSecret(repo, "actions", "B")
	if res = w.sync(nil, relay); res.Summary.Leave != 2 {
		t.Errorf("moved to the organisation: %+v", res.Summary)
	}
	w.sim.DeleteSecret(repo, "actions", "A")
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "C", Value: "3"})
	v["C"] = "3"
	if res = w.sync(nil, relay); res.Summary.Delete != 2 || !res.InStep() {
		t.Errorf("deleted at the source: %+v %+v", res.Summary, res.Errors)
	}
	w.intact()
}

func TestASourceTimeTooYoungIsLookedAtAgain(t *testing.T) {
	w := newWorld(t)
	w.sim.Freeze()
	v := values{"A": "1"}
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "A", Value: "1"})
	relay := func(r *syncing.Request) {
		local := syncing.Local(plan.ActionsSource, v.plaintexts())
		local.Known = nil
		r.Source = local
	}
	w.sync(nil, relay)
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "A", Value: "second write in that second"})
	v["A"] = "second write in that second"
	w.sim.Advance(time.Minute)
	w.sync(nil, relay)
	w.holds(secret.Codespaces, v)
	w.converged(nil, relay)
}

func TestNoValueInLogsOrDatabase(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "canary-5up3r-s3cr3t"}
	w.sync(v)
	w.edit(secret.Actions, "TOKEN", "x")
	w.sync(v)
	if strings.Contains(w.log.String(), "canary") {
		t.Error("a value stands in the log")
	}
}

func TestAChainOfRunsIsOneTrail(t *testing.T) {
	w := newWorld(t)
	v := numbered(3)
	w.sync(v)
	v["SECRET_000"] = "x"
	w.sync(v)
	got := w.intact()
	if want := int64(1 + 3 + 1 + 1); got.Events != want {
		events, _, _ := w.svc.Events(t.Context(), w.request(nil).Repo, store.Filter{})
		for _, e := range events {
			t.Logf("%s %v in %v: %s", e.Operation, e.SecretName, e.AffectedScopes, e.Status)
		}
		t.Errorf("%d events, want %d", got.Events, want)
	}
	if _, err := w.svc.Validate(t.Context(), syncing.ValidateRequest{Repo: w.request(nil).Repo, Actor: store.Local}); err != nil {
		t.Fatal(err)
	}
	if now := w.intact(); now.Events != got.Events+1 {
		t.Errorf("a validation left %d events", now.Events-got.Events)
	}
}
