package syncing_test

import (
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

func named(names ...string) func(*syncing.Request) {
	return func(r *syncing.Request) {
		for _, n := range names {
			r.Options.Names = append(r.Options.Names, secret.MustName(n))
		}
	}
}

// An unchanged run asks for lists only, whatever the source holds that is not written.
func TestAnUnchangedRunBillsNothing(t *testing.T) {
	w := newWorld(t)
	w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.Without = []string{"codespaces"} })
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "THEIRS", Value: "theirs"})
	w.sim.SetSecret(repo, "dependabot", githubsim.Secret{Name: "THEIRS", Value: "theirs"})
	w.sim.Advance(time.Hour)
	v := values{"CI": "true", "TOKEN": "t", "THEIRS": "ours", "DRIFT": "d"}
	w.sync(v, keepTheirs)
	w.edit(secret.Actions, "DRIFT", "theirs")
	w.sync(v)
	again := func() { // another process, which has no key
		w.svc = w.service(w.token)
		w.sim.ResetRequests()
	}
	again()
	res := w.sync(v)
	if len(res.Errors) != 1 || res.SkippedCount != 3 {
		t.Errorf("%+v", res)
	}
	for _, r := range w.sim.Requests() {
		if r.Billed && !strings.Contains(r.Path, "/codespaces/secrets") || strings.Contains(r.Path, "public-key") {
			t.Errorf("billed: %s %s", r.Method, r.Path)
		}
	}
	v["TOKEN"], v["DRIFT"] = "changed", "changed"
	again()
	w.sync(v, named("DRIFT"))
	for _, r := range w.sim.Requests() {
		if strings.Contains(r.Path, "public-key") && !strings.Contains(r.Path, "dependabot") {
			t.Errorf("a key that no write needs: %s", r.Path)
		}
	}
}

// A name that nobody has is an error of the run that asked for it, and leaves no trace in memory.
func TestANameThatNobodyHas(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "t"}
	w.sync(v)
	res := w.sync(v, named("TOKEN", "TYPO"))
	if len(res.Errors) != 3 || res.Errors[0].SecretName != "TYPO" || !strings.Contains(res.Errors[0].Hint, "TYPO") || res.SkippedCount != 1 {
		t.Errorf("%+v", res)
	}
	if _, found := w.mapping("TYPO"); found {
		t.Error("a mapping was made for a name that nobody has")
	}
	if res = w.sync(v); res.SkippedCount != 1 || !res.InStep() {
		t.Errorf("the next run: %+v", res)
	}
}

func TestCountsOfWhatIsNotWritten(t *testing.T) {
	w := newWorld(t)
	v := numbered(4)
	v["CI"] = "true"
	w.sync(v)
	gone := values{"CI": "true", "SECRET_001": v["SECRET_001"], "SECRET_002": v["SECRET_002"], "SECRET_003": v["SECRET_003"]}
	w.sim.DeleteSecret(repo, "actions", "SECRET_000")
	w.sim.DeleteSecret(repo, "codespaces", "SECRET_000")
	w.sim.DeleteSecret(repo, "dependabot", "SECRET_000")
	res := w.sync(gone)
	if res.Summary.Forget != 3 || res.SkippedCount != 5 || res.SyncedCount != 0 {
		t.Errorf("forgotten everywhere: %+v", res)
	}
	if res = w.sync(values{}); res.Withheld != 9 || len(res.Errors) != 9 || res.SkippedCount != 0 {
		t.Errorf("an empty source: %+v", res)
	}
	for _, e := range res.Errors {
		if e.Code != fault.ConflictDetected || e.Hint == "" {
			t.Errorf("%+v", e)
		}
	}
}

// A run that was asked for one scope says nothing of the others.
func TestAScopedRunDoesNotClearAConflictElsewhere(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "t"}
	w.sync(v)
	w.edit(secret.Dependabot, "TOKEN", "theirs")
	w.sync(v)
	status := func() syncing.Status {
		st, err := w.svc.Status(t.Context(), w.request(nil).Repo)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := status(); st.Status != syncing.StateError || st.ErrorCount != 1 {
		t.Errorf("%+v", st)
	}
	w.sync(v, into(secret.Codespaces))
	if st := status(); st.Status != syncing.StateError || st.ErrorCount != 1 {
		t.Errorf("after a run for Codespaces alone: %+v", st)
	}
	w.sync(v, into(secret.Dependabot), force)
	if st := status(); st.Status != syncing.StateSynced || st.ErrorCount != 0 {
		t.Errorf("after the conflict was forced: %+v", st)
	}
}

func TestAStoreThatIsNotThereSucceedsInNoEvent(t *testing.T) {
	w := newWorld(t)
	w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.Without = []string{"codespaces"} })
	w.sync(values{"TOKEN": "t"})
	events, _, err := w.svc.Events(t.Context(), w.request(nil).Repo, store.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for _, s := range e.AffectedScopes {
			if s == secret.Codespaces {
				t.Errorf("%s affected codespaces", e.Operation)
			}
		}
	}
}

func TestANewHashKeyWritesEveryValueOnce(t *testing.T) {
	w := newWorld(t)
	v := numbered(3)
	w.sync(v)
	w.sim.Advance(10 * time.Second)
	w.svc = w.service(w.sim.AddToken(githubsim.Token{}), func(c *syncing.Config) { c.Settings.HashKey = []byte("a deployment's key") })
	if res := w.sync(v); res.SyncedCount != 3 || res.Summary.Update != 9 {
		t.Errorf("%+v", res)
	}
	w.sim.ResetRequests()
	w.sync(v)
	if c := w.sim.Counts(); c.Writes != 0 || c.Billed != 0 {
		t.Errorf("%d writes, %d billed, want none", c.Writes, c.Billed)
	}
	w.everywhere(v)
}

// The quota called secrets counts the writing requests of the credential, whatever they were for.
func TestOurOwnCountOfWrites(t *testing.T) {
	w := newWorld(t)
	v := numbered(2)
	w.sync(v)
	left := func() int {
		quotas, err := w.db.Quotas(t.Context(), w.project().ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range quotas {
			if q.Type == "secrets" {
				return q.Remaining
			}
		}
		t.Fatal("no such quota")
		return 0
	}
	if got := left(); got != syncing.WritesPerHour-6 {
		t.Errorf("%d left", got)
	}
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "PUT", Times: 1, Kinds: []githubsim.Kind{githubsim.BadGateway}}}})
	v["SECRET_000"] = "changed"
	w.sync(v)
	if got := left(); got != syncing.WritesPerHour-6-4 {
		t.Errorf("%d left, want %d: three writes, one of them sent twice", got, syncing.WritesPerHour-10)
	}
}

// The reset of a quota stands on GitHub's clock; ours may be hours ahead.
func TestAQuotaIsReadOnGitHubsClock(t *testing.T) {
	w := newWorld(t)
	w.sim.Advance(-2 * time.Hour)
	w.sim.SetQuota(110, w.sim.Now().Add(time.Hour))
	_, err := w.svc.Sync(t.Context(), w.request(numbered(5)))
	if !fault.Is(err, fault.RateLimitExhausted) {
		t.Errorf("%v", err)
	}
}

func TestWaitingForAQuotaLooksAgain(t *testing.T) {
	w := newWorld(t)
	v := values{"TOKEN": "ours"}
	w.sync(v)
	w.sim.SetQuota(101, w.sim.Now().Add(1500*time.Millisecond))
	v["TOKEN"] = "changed"
	waited := false
	res := w.sync(v, func(r *syncing.Request) {
		r.Wait = true
		r.Progress = func(e syncing.Event) {
			if e.Stage == syncing.Waiting && !waited {
				waited = true
				w.edit(secret.Dependabot, "TOKEN", "theirs")
			}
		}
	})
	if !waited || len(res.Errors) != 1 || res.Errors[0].Scope != "dependabot" {
		t.Errorf("waited %v: %+v", waited, res.Errors)
	}
	if got, _ := w.sim.Value(repo, "dependabot", "TOKEN"); got != "theirs" {
		t.Errorf("written over: %q", got)
	}
}

func TestAServerWithoutQuotaHeaders(t *testing.T) {
	w := newWorldOf(t, githubsim.Config{Enterprise: "3.19.1"})
	v := values{"TOKEN": "ours"}
	if res := w.sync(v); res.SyncedCount != 1 {
		t.Errorf("%+v", res)
	}
	st, err := w.svc.Status(t.Context(), w.request(nil).Repo)
	if err != nil || !st.QuotaRemaining.Unlimited || st.QuotaRemaining.Core != 1<<31-1 {
		t.Errorf("%+v %v", st.QuotaRemaining, err)
	}
}

// One process serves many repositories; none is sent what was sealed for another's key.
func TestTwoRepositoriesOfOneProcess(t *testing.T) {
	w := newWorld(t)
	w.sync(numbered(1))
	w.sim.AddRepository(githubsim.Repository{FullName: "acme/gadgets"})
	w.sim.ResetRequests()
	res, err := w.svc.Sync(t.Context(), w.request(numbered(1), func(r *syncing.Request) { r.Repo.Name = "gadgets" }))
	if err != nil || res.SyncedCount != 1 {
		t.Errorf("%v %+v", err, res)
	}
	if c := w.sim.Counts(); c.Writes != 3 {
		t.Errorf("%d writes, want 3: each box sealed for the right key at once", c.Writes)
	}
}
