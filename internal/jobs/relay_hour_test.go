package jobs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
)

// Jobs that never come, of a repository whose secrets change all the time, do not make a loop: a few
// workflows an hour are started, and as many tries are made as were asked for.
func TestHoursOfJobsThatNeverCome(t *testing.T) {
	inSimulatedTime(t, func(t testing.TB, w *world) {
		p := w.relayed(values{"TOKEN": "0"})
		stop := w.replica(w.atDefaults).run()
		defer stop()
		const hours = 2
		for i := range hours * 12 {
			time.Sleep(5 * time.Minute)
			w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "TOKEN", Value: fmt.Sprint(i + 1)})
		}
		started := w.sim.WorkflowRuns(repo)
		for i, run := range started {
			within := 0
			for _, later := range started[i:] {
				if later.Queued.Sub(run.Queued) < time.Hour {
					within++
				}
			}
			if within > 6 {
				t.Errorf("%d workflows within an hour from %s", within, run.Queued)
			}
		}
		t.Logf("%d workflows in %d hours, %d runs", len(started), hours, len(w.runs(p)))
		if len(started) < hours {
			t.Errorf("%d workflows in %d hours: nobody tries any more", len(started), hours)
		}
		// One for each change at the most, and those that are tried again.
		if n := len(w.runs(p)); n > hours*12+12 {
			t.Errorf("%d runs", n)
		}
	})
}

// A job that cannot even be started is tried again after 1, 5 and 30 minutes, and then with the
// scheduled run. Once the reason is gone nobody has to wait, however often it was tried.
func TestHoursWithoutAWorkflow(t *testing.T) {
	inSimulatedTime(t, func(t testing.TB, w *world) {
		p := w.relayed(values{"TOKEN": "one"})
		w.sim.RemoveWorkflow(repo, github.RelayWorkflow)
		began := time.Now()
		stop := w.replica(w.atDefaults).run()
		defer stop()
		time.Sleep(2 * time.Hour)
		runs := w.runs(p)
		if len(runs) != 4 {
			t.Fatalf("%d runs in two hours", len(runs))
		}
		for i, want := range []time.Duration{36 * time.Minute, 6 * time.Minute, time.Minute, 0} { // the newest first
			if after := runs[i].StartedAt.Sub(began); after < want || after > want+2*time.Minute {
				t.Errorf("a run after %s, want %s", after, want)
			}
		}
		for range 8 {
			if run := w.order(p); w.ended(run).State != store.RunFailed {
				t.Fatalf("without a workflow: %+v", run)
			}
		}
		w.sim.SetWorkflow(repo, github.RelayWorkflow, relayText)
		run := w.order(p)
		time.Sleep(10 * time.Second)
		if state := w.run(run.ID).State; state != store.Waiting || len(w.sim.WorkflowRuns(repo)) != 1 {
			t.Errorf("with a workflow the run is %s: %s", state, w.run(run.ID).Error)
		}
	})
}

// ended waits for the end of a run, in simulated time.
func (w *world) ended(run store.Run) store.Run {
	for range 60 {
		if run = w.run(run.ID); ends(run) {
			break
		}
		time.Sleep(time.Second)
	}
	return run
}
