package jobs_test

import (
	"os"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

const memoryDSN = "sqlite::memory:"

// onBoth runs a test on both databases.
func onBoth(t *testing.T, test func(t *testing.T, dsn string)) {
	t.Run("sqlite", func(t *testing.T) { test(t, memoryDSN) })
	t.Run("postgres", func(t *testing.T) { test(t, storetest.Postgres(t)) })
}

func TestKeepsInStepWithoutBeingAsked(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p := w.project(repo)
		w.write(values{"TOKEN": "one", "OTHER": "two"})
		w.replica(nil).run()
		first := values{"TOKEN": "one", "OTHER": "two"}
		w.eventually("a new project has its first run", 5*time.Second, func() bool { return w.holds(repo, first) && w.idle(p) })

		w.write(values{"TOKEN": "changed", "OTHER": "two"})
		changed := func() bool { return w.holds(repo, values{"TOKEN": "changed", "OTHER": "two"}) && w.idle(p) }
		w.eventually("a changed file reaches every scope", 5*time.Second, changed)

		w.sim.DeleteSecret(repo, "codespaces", "TOKEN")
		w.eventually("a copy deleted outside is made again", 5*time.Second, changed)

		for _, r := range w.runs(p) {
			if r.State != store.Succeeded || len(r.Result) == 0 || r.Actor != store.Scheduler {
				t.Errorf("run %s of %s: %s, result %s", r.ID, r.Trigger, r.State, r.Result)
			}
		}
	})
}

func TestAConflictIsReportedOnce(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project(repo)
	w.write(values{"TOKEN": "ours"})
	w.replica(nil).run()
	w.eventually("in step", 5*time.Second, func() bool { return w.holds(repo, values{"TOKEN": "ours"}) && w.idle(p) })

	w.sim.Advance(5 * time.Second)
	w.sim.SetSecret(repo, "dependabot", githubsim.Secret{Name: "TOKEN", Value: "theirs"})
	w.sim.Advance(5 * time.Second)
	w.eventually("the conflict is reported", 5*time.Second, func() bool { return w.runs(p)[0].State == store.Partial })

	n := len(w.runs(p))
	time.Sleep(time.Second) // ten intervals
	if again := len(w.runs(p)); again != n {
		t.Errorf("%d more runs for a conflict that was reported", again-n)
	}
	if got, _ := w.sim.Value(repo, "dependabot", "TOKEN"); got != "theirs" {
		t.Errorf("drift was written over: %q", got)
	}
}

func TestIdleLooksCostNothing(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project(repo)
	w.write(values{"TOKEN": "ours"})
	w.replica(nil).run()
	w.eventually("in step", 5*time.Second, func() bool { return w.holds(repo, values{"TOKEN": "ours"}) && w.idle(p) })

	time.Sleep(200 * time.Millisecond)
	runs := len(w.runs(p))
	w.sim.ResetRequests()
	time.Sleep(time.Second)
	if c := w.sim.Counts(); c.Requests < 10 || c.Billed != 0 || c.Writes != 0 {
		t.Errorf("idle: %+v", c)
	}
	if again := len(w.runs(p)); again != runs {
		t.Errorf("%d runs of an idle project", again-runs)
	}
}

func TestAFailedRunIsTriedAgainLessAndLess(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project(repo)
	// There is no file: every run fails before it has seen anything. The queue looks for what has
	// come due every five seconds.
	w.replica(nil).run()
	w.eventually("the first run and three more", 30*time.Second, func() bool { return len(w.runs(p)) == 4 && w.idle(p) })
	time.Sleep(time.Second)
	runs := w.runs(p)
	if len(runs) != 4 {
		t.Fatalf("%d runs, want 4", len(runs))
	}
	for i, least := range []time.Duration{900, 600, 300} {
		if gap := runs[i].StartedAt.Sub(runs[i+1].FinishedAt); gap < least*time.Millisecond {
			t.Errorf("try %d came after %s", len(runs)-i, gap)
		}
	}
	if r := runs[0]; r.State != store.RunFailed || r.Code != "GITHUB_SECRETS_SOURCE_UNAVAILABLE" {
		t.Errorf("%s %s: %s", r.State, r.Code, r.Error)
	}
	w.write(values{"TOKEN": "late"})
	w.eventually("a file that comes later is noticed", 5*time.Second, func() bool { return w.holds(repo, values{"TOKEN": "late"}) })
}

func TestTwoReplicasShareTheWork(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		var names []string
		for i := range 8 {
			names = append(names, "acme/p"+string(rune('a'+i)))
		}
		w.write(values{"TOKEN": "one"})
		for _, n := range names {
			w.project(n)
		}
		w.replica(nil, names...).run()
		second := w.replica(nil, names...)
		stop := second.run()
		everywhere := func(v values) func() bool {
			return func() bool {
				for _, n := range names {
					if !w.holds(n, v) {
						return false
					}
				}
				return true
			}
		}
		w.eventually("all in step", 15*time.Second, everywhere(values{"TOKEN": "one"}))
		stop()
		w.write(values{"TOKEN": "two"})
		w.eventually("the one that is left does it all", 20*time.Second, everywhere(values{"TOKEN": "two"}))
	})
}

func TestTheFileIsForTheRepositoriesListedOnly(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project("acme/stranger")
	w.write(values{"TOKEN": "ours"})
	w.replica(nil).run()
	w.eventually("the run is refused", 5*time.Second, func() bool {
		runs := w.runs(p)
		return len(runs) > 0 && runs[len(runs)-1].State == store.RunFailed
	})
	if len(w.sim.Secrets("acme/stranger", "actions")) != 0 {
		t.Error("a repository that is not listed was given the values")
	}
	_ = os.Remove(w.env)
}
