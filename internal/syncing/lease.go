package syncing

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// hold takes the project's lease, waiting for another run to end, and keeps it alive until
// release. The context it returns ends when the lease is lost: whoever works under it stops.
func (r *run) hold(ctx context.Context) (held context.Context, release func(), err error) {
	lease, err := r.acquire(ctx)
	if err != nil {
		return ctx, nil, err
	}
	r.record.Project, r.record.HeartbeatAt = r.project.ID, r.now()
	if clock := r.hub.Clock(); clock.Known { // else the intents will tell
		r.record.AliveAt = clock.GitHub(r.now())
	}
	if err := r.store.BeginRun(ctx, r.record); err != nil {
		if err := lease.Release(ctx); err != nil {
			r.log.WarnContext(ctx, "lease not released; it lapses by itself", "project", r.project.ID, "cause", err)
		}
		return ctx, nil, err
	}
	r.lease = lease
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.beat(held, lease, cancel)
	}()
	return held, func() {
		cancel(nil)
		<-done
		ending, stop := r.ending(ctx)
		defer stop()
		if err := lease.Release(ending); err != nil {
			r.log.WarnContext(ctx, "lease not released; it lapses by itself", "project", r.project.ID, "cause", err)
		}
		r.lease = nil
	}, nil
}

// acquire waits for the lease, within the bound of the settings. A run from the queue does not
// wait unless it is patient: its place in the queue does, and answers *store.ErrLeaseHeld.
func (r *run) acquire(ctx context.Context) (*store.Lease, error) {
	request := store.LeaseRequest{Project: r.project.ID, Run: r.record.ID, Holder: r.holder, Times: r.settings.Lease}
	deadline := r.now().Add(r.settings.LeaseWait)
	told := false
	for {
		lease, err := r.store.Acquire(ctx, r.now(), request)
		var other *store.ErrLeaseHeld
		if !errors.As(err, &other) || r.isQueued() && !r.req.Patient {
			return lease, err
		}
		if r.now().After(deadline) {
			return nil, fault.New(fault.StoreUnavailable, fault.Context{"reason": "another run holds the project", "run": other.Run.String(), "holder": other.Holder}).
				Saying("Another run (%s, %s) has held %s/%s for longer than %s.", other.Run, other.Holder, r.project.Owner, r.project.Repo, r.settings.LeaseWait).
				Hinting("Wait for it to end, or stop the process that holds it.")
		}
		if !told {
			r.req.Progress(Event{Stage: Waiting, Detail: fmt.Sprintf("run %s by %s holds the project; free by %s at the latest unless it goes on",
				other.Run, other.Holder, other.FreeAt.Local().Format(time.TimeOnly))})
			told = true
		}
		if err := sleep(ctx, min(max(other.FreeAt.Sub(r.now()), 50*time.Millisecond), time.Second)); err != nil {
			return nil, err
		}
	}
}

// beat renews the lease until ctx ends. A lease that cannot be renewed is lost once it lapses, and
// then cancel ends everything done under it.
func (r *run) beat(ctx context.Context, lease *store.Lease, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(r.settings.Lease.Heartbeat)
	defer tick.Stop()
	last := r.now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// The wall clock counts: a machine that was put to sleep lost its lease meanwhile.
		now := r.now().Round(0)
		left := last.Add(r.settings.Lease.Lapse).Sub(now)
		err := r.renew(ctx, lease, now, max(left, r.settings.Lease.Heartbeat))
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			last = now
			continue
		}
		r.log.WarnContext(ctx, "lease not renewed", "project", r.project.ID, "cause", err)
		if lease.Check(r.now()) != nil {
			cancel(leaseLost(err))
			return
		}
	}
}

// renew beats once. A database that does not answer in time has lost us the lease; one that answers
// late, to a machine that slept, tells whether somebody took it.
func (r *run) renew(ctx context.Context, lease *store.Lease, now time.Time, patience time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var github time.Time
	if clock := r.hub.Clock(); clock.Known { // a guess would stay, since a run's last sign of life never goes back
		github = clock.GitHub(now)
	}
	return lease.Heartbeat(ctx, now, github)
}

// leaseLost is why a run stops in the middle: its lease was not renewed in time, so that another run
// may have begun.
func leaseLost(cause error) *fault.Fault {
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": "the lease on the project was lost, since the database did not answer in time or this process was held up"}).
		Hinting("Run again: the next run settles what was begun.").Because(cause)
}

// endingTime bounds what a run still does after it was cancelled: recording and letting go.
const endingTime = 5 * time.Second

// ending returns a context for the last steps of a run, which a cancellation must not cut off: it
// ends some time after ctx does.
func (r *run) ending(ctx context.Context) (context.Context, context.CancelFunc) {
	last, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		select {
		case <-last.Done():
		case <-time.After(endingTime):
			end()
		}
	})
	return last, func() {
		stop()
		end()
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
