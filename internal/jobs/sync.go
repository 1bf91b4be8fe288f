package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// leaseLook is how soon a run that found its project's lease taken looks again. The holder says until
// when it may hold it should it be dead, but most end long before.
const leaseLook = 2 * time.Second

// sync carries out a run that was queued. It is done when the run has its end on record; anything
// else leaves the job in the queue.
func (j *Jobs) sync(ctx context.Context, job store.Job) error {
	run, found, err := j.Store.Run(ctx, job.Run)
	if err != nil {
		return err
	}
	if !found || over(run.State) && run.DispatchedAt.IsZero() {
		return nil
	}
	var order syncing.Order
	if len(job.Args) > 0 {
		if err := json.Unmarshal(job.Args, &order); err != nil {
			return err
		}
	}
	bound, err := j.Service.For(ctx, job.Project)
	if fault.Is(err, fault.ProjectNotFound) {
		return nil // archived since, which ended the run
	}
	if err != nil {
		return err
	}
	switch {
	case over(run.State): // a job of the repository brought what it took
		return j.conclude(ctx, bound.Project, run, order, run.FinishedAt.Sub(run.StartedAt))
	case bound.FromRelay():
		return j.relay(ctx, bound, run, order)
	}
	return j.carryOut(ctx, bound, run, order)
}

// carryOut has a run carried out here and now.
func (j *Jobs) carryOut(ctx context.Context, bound *syncing.Bound, run store.Run, order syncing.Order) error {
	began := j.Now()
	t := &tally{jobs: j, run: run}
	_, err := bound.Run(ctx, run, order, func(e syncing.Event) { t.hear(ctx, e) })
	return j.settle(ctx, bound.Project, run, order, ended{err, j.Now().Sub(began)})
}

// over says whether nothing more will become of a run. An abandoned one goes on.
func over(s store.RunState) bool {
	return s == store.Succeeded || s == store.Partial || s == store.RunFailed
}

// An ended run is how carrying one out came back.
type ended struct {
	err  error
	took time.Duration
}

// settle says what becomes of the job of a run that came back.
func (j *Jobs) settle(ctx context.Context, p store.Project, run store.Run, order syncing.Order, e ended) error {
	var held *store.ErrLeaseHeld
	switch {
	case errors.As(e.err, &held):
		return store.Snooze{Until: soonest(held.FreeAt, j.Now().Add(leaseLook))}
	case ctx.Err() != nil, errors.Is(e.err, store.ErrLeaseLost):
		return store.Snooze{Until: j.Now()} // the same run goes on elsewhere, or here
	}
	record, found, err := j.Store.Run(ctx, run.ID)
	switch {
	case err != nil:
		return err
	case errors.Is(e.err, store.ErrRunFinished) && record.DispatchedAt.IsZero():
		return nil // told of by the one who ended it; a job of the repository leaves that to us
	case found && !over(record.State):
		// It could not be recorded, or never began: the run is still to be done.
		if e.err == nil {
			e.err = store.ErrLeaseLost
		}
		return e.err
	}
	return j.conclude(ctx, p, record, order, e.took)
}

// conclude tells of a run that is over, and sees to a failed one being tried again.
func (j *Jobs) conclude(ctx context.Context, p store.Project, run store.Run, order syncing.Order, took time.Duration) error {
	j.Metrics.RunEnded(run.Trigger, run.State, took, run.Writes)
	if run.State == store.Succeeded && !order.Since.IsZero() {
		j.Metrics.InStep(run.FinishedAt.Sub(order.Since))
	}
	if !failed(run) {
		return nil
	}
	return j.tryAgain(ctx, p, run)
}

func soonest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// progressEvery bounds how often a run's progress is stored.
const progressEvery = time.Second

// A tally counts a run's secrets for those who ask in another process how far it is.
type tally struct {
	jobs *Jobs
	run  store.Run

	mu     sync.Mutex
	stored time.Time
	begun  map[secret.Name]bool // true: one of its scopes failed
	writes int
}

func (t *tally) hear(ctx context.Context, e syncing.Event) {
	if e.Stage != syncing.Writing && e.Stage != syncing.Deleting {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.begun == nil {
		t.begun = map[secret.Name]bool{}
	}
	t.begun[e.Name] = t.begun[e.Name] || e.Failed
	t.writes++
	now := t.jobs.Now()
	if now.Sub(t.stored) < progressEvery {
		return
	}
	t.stored = now
	p := store.Progress{Total: e.Selected, Writes: t.writes}
	for _, bad := range t.begun {
		if bad {
			p.Failed++
		} else {
			p.Synced++
		}
	}
	if err := t.jobs.Store.RunProgress(ctx, now, t.run.ID, p); err != nil {
		t.jobs.Log.DebugContext(ctx, "progress not stored", "run", t.run.ID, "cause", err)
	}
}
