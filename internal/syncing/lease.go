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
	if at := r.githubTime(r.now()); !at.IsZero() { // else the intents will tell
		r.record.AliveAt = at
	}
	if err := r.store.BeginRun(ctx, r.record); err != nil {
		if err := lease.Release(ctx); err != nil {
			r.log.WarnContext(ctx, "lease not released; it lapses by itself", "project", r.project.ID, "cause", err)
		}
		return ctx, nil, err
	}
	r.lease = lease
	held, letGo := lease.Keep(ctx, store.Keeping{Now: r.now, GitHub: r.githubTime, Lost: leaseLost, Log: r.log})
	return held, func() {
		letGo()
		r.lease = nil
	}, nil
}

// githubTime is what GitHub's clock shows at now. A guess would stay, since a run's last sign of life
// never goes back, so an unknown clock shows nothing.
func (r *run) githubTime(now time.Time) time.Time {
	if clock := r.hub.Clock(); clock.Known {
		return clock.GitHub(now)
	}
	return time.Time{}
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

// leaseLost is why a run stops in the middle: its lease was not renewed in time, so that another run
// may have begun.
func leaseLost(cause error) error {
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
