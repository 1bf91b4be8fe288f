package environment

import (
	"context"
	"errors"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// A grip is a hold on the project's lease, which runs and applies share: only one of them writes at a
// time.
type grip struct {
	*store.Lease
	release func()
}

// hold takes the project's lease, waiting for whoever has it, and keeps it alive until release. The
// context it returns ends when the lease is lost: whoever works under it stops.
func (s *session) hold(ctx context.Context) (context.Context, *grip, error) {
	lease, err := s.acquire(ctx)
	if err != nil {
		return ctx, nil, err
	}
	under, release := lease.Keep(ctx, store.Keeping{Now: s.now, Lost: leaseLost, Log: s.log})
	return under, &grip{Lease: lease, release: release}, nil
}

func (s *session) acquire(ctx context.Context) (*store.Lease, error) {
	request := store.LeaseRequest{Project: s.project.ID, Run: s.id, Holder: s.holder, Times: s.settings.Lease}
	deadline := s.now().Add(s.settings.LeaseWait)
	for {
		lease, err := s.store.Acquire(ctx, s.now(), request)
		var other *store.ErrLeaseHeld
		if !errors.As(err, &other) {
			return lease, err
		}
		if s.now().After(deadline) {
			return nil, fault.New(fault.StoreUnavailable, fault.Context{"reason": "another run holds the project", "run": other.Run.String(), "holder": other.Holder}).
				Saying("Another run (%s, %s) has held %s/%s for longer than %s.", other.Run, other.Holder, s.project.Owner, s.project.Repo, s.settings.LeaseWait).
				Hinting("Wait for it to end, or stop the process that holds it.")
		}
		free := max(other.FreeAt.Sub(s.now()), 50*time.Millisecond)
		if err := sleep(ctx, min(free, time.Second, max(deadline.Sub(s.now()), time.Millisecond))); err != nil {
			return nil, err
		}
	}
}

// leaseLost is why an apply stops in the middle: its lease was not renewed in time, so that somebody
// else may have begun.
func leaseLost(cause error) error {
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": "the lease on the project was lost, since the database did not answer in time or this process was held up"}).
		Hinting("Apply again: what was begun is settled then.").Because(cause)
}

// endingTime bounds what is still done after a cancellation: looking whether what was written
// arrived, and recording it.
const endingTime = 5 * time.Second

// ending returns a context for the last steps, which a cancellation must not cut off: it ends some
// time after ctx does.
func ending(ctx context.Context) (context.Context, context.CancelFunc) {
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
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
