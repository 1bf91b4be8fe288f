package storetest

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

func (w *world) acquire(run store.Run) (*store.Lease, error) {
	return w.store.Acquire(w.ctx, w.now, store.LeaseRequest{
		Project: w.project.ID, Run: run.ID, Holder: "here",
		Times: store.LeaseTimes{Heartbeat: 5 * time.Second, Lapse: 30 * time.Second, Grace: 10 * time.Second},
	})
}

// held acquires, expecting that someone else holds the lease.
func (w *world) held(run store.Run) *store.ErrLeaseHeld {
	w.Helper()
	_, err := w.acquire(run)
	var held *store.ErrLeaseHeld
	if !errors.As(err, &held) {
		w.Fatalf("the lease is held, but Acquire answers %v", err)
	}
	return held
}

func lease(w *world) {
	first, second := w.begin(), w.begin()
	l, err := w.acquire(first)
	w.check(err)
	w.check(l.Check(w.now))
	held := w.held(second)
	w.same("held", []any{held.Run, held.Holder, held.HeartbeatAt, held.FreeAt},
		[]any{first.ID, "here", micro(w.now), micro(w.now.Add(40 * time.Second))})
	w.now = w.now.Add(20 * time.Second)
	w.check(l.Heartbeat(w.ctx, w.now, w.now))
	w.now = w.now.Add(29 * time.Second)
	w.check(l.Check(w.now))
	w.now = w.now.Add(time.Second)
	w.same("lapsed", errors.Is(l.Check(w.now), store.ErrLeaseLost), true)
	w.held(second) // not before the grace has passed
	w.check(l.Heartbeat(w.ctx, w.now, w.now))
	w.check(l.Check(w.now)) // late, but nobody came in between

	other := w.newProject("acme", "other", 70)
	of, err := w.store.Acquire(w.ctx, w.now, store.LeaseRequest{Project: other.ID, Run: uuid.New()})
	w.check(err) // each project has its own
	w.check(of.Release(w.ctx))

	w.check(l.Release(w.ctx))
	w.check(l.Release(w.ctx))
	w.same("released", errors.Is(l.Check(w.now), store.ErrLeaseLost), true)
	next, err := w.acquire(second)
	w.check(err)
	w.check(l.Release(w.ctx)) // not the lease of another
	w.held(first)
	w.check(next.Release(w.ctx))
}

func leaseLost(w *world) {
	first, second := w.begin(), w.begin()
	l, err := w.acquire(first)
	w.check(err)
	w.open(first, w.now, "file:a", store.Target{Name: alpha, Scope: secret.Codespaces})
	w.now = w.now.Add(40*time.Second - time.Microsecond)
	w.held(second)
	w.now = w.now.Add(time.Microsecond)
	// The first one only hangs, and still has its lock file where there is one.
	next, err := w.acquire(second)
	w.check(err)
	w.same("heartbeat", errors.Is(l.Heartbeat(w.ctx, w.now, w.now), store.ErrLeaseLost), true)
	w.same("check", errors.Is(l.Check(w.now), store.ErrLeaseLost), true)
	abandoned, _, err := w.store.Run(w.ctx, first.ID)
	w.check(err)
	w.same("the run", abandoned.State, store.Abandoned)
	for name, o := range map[string]store.Outcome{
		"with its lease": {Lease: l, Events: []audit.Event{syncAll()}}, "without": {Events: []audit.Event{syncAll()}},
	} {
		_, err := w.store.Record(w.ctx, w.now, w.outcome(first, o))
		w.same("recording "+name, errors.Is(err, store.ErrLeaseLost), true)
	}
	err = w.store.OpenIntents(w.ctx, w.now, store.Intents{Project: w.project.ID, Run: first.ID, At: w.now})
	w.same("intending", errors.Is(err, store.ErrLeaseLost), true)
	w.same("the intent stays open", w.memory()[alpha].States[secret.Codespaces].Intent.Open(), true)

	w.check(l.Release(w.ctx))
	// The second one never had the lock file, so that it is free says nothing.
	w.same("judged by its heartbeat", w.held(first).FreeAt, micro(w.now.Add(40*time.Second)))
	w.record(second, store.Outcome{Lease: next, Events: []audit.Event{syncAll()}})
	w.check(next.Release(w.ctx))
	w.verify(1)
}

// leaseKept keeps a lease past its lapse, until its holder sleeps for too long and another takes it.
func leaseKept(w *world) {
	first, second := w.begin(), w.begin()
	times := store.LeaseTimes{Heartbeat: 10 * time.Millisecond, Lapse: time.Second, Grace: time.Second}
	l, err := w.store.Acquire(w.ctx, w.now, store.LeaseRequest{Project: w.project.ID, Run: first.ID, Holder: "here", Times: times})
	w.check(err)
	var clock atomic.Pointer[time.Time]
	passes := func(d time.Duration) {
		w.now = w.now.Add(d)
		now := w.now
		clock.Store(&now)
	}
	passes(0)
	lost := errors.New("lost")
	held, release := l.Keep(w.ctx, store.Keeping{
		Now: func() time.Time { return *clock.Load() }, Log: slog.New(slog.DiscardHandler),
		Lost: func(cause error) error { return errors.Join(lost, cause) },
	})
	defer release()
	for range 4 { // four times as long as it lasts by itself
		passes(900 * time.Millisecond)
		w.eventually("a heartbeat", func() bool { return l.Check(w.now.Add(500*time.Millisecond)) == nil })
	}
	w.held(second)
	w.check(held.Err())
	_, err = w.store.Acquire(w.ctx, w.now.Add(time.Minute), store.LeaseRequest{Project: w.project.ID, Run: second.ID, Times: times})
	w.check(err)
	<-held.Done()
	cause := context.Cause(held)
	w.same("the cause", errors.Is(cause, lost) && errors.Is(cause, store.ErrLeaseLost), true)
}

// leaseOfMany lets many ask at once: one at a time has it.
func leaseOfMany(w *world) {
	var group sync.WaitGroup
	var holders, turns atomic.Int32
	stores := []*store.Store{w.store}
	if w.dsn != Memory {
		stores = append(stores, Open(w, w.config()))
	}
	for i := range 8 {
		group.Go(func() {
			for range 5 {
				l, err := stores[i%len(stores)].Acquire(w.ctx, w.now, store.LeaseRequest{Project: w.project.ID, Run: uuid.New()})
				var held *store.ErrLeaseHeld
				if errors.As(err, &held) {
					continue
				}
				if err != nil {
					w.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					w.Errorf("%d hold the lease", n)
				}
				turns.Add(1)
				time.Sleep(time.Millisecond)
				holders.Add(-1)
				if err := l.Release(w.ctx); err != nil {
					w.Error(err)
				}
			}
		})
	}
	group.Wait()
	if turns.Load() == 0 {
		w.Error("nobody ever got the lease")
	}
}
