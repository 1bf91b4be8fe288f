package store

import (
	"context"
	"log/slog"
	"time"
)

// A Keeping says by which clocks a lease is kept, and what its loss is called.
type Keeping struct {
	Now    func() time.Time
	GitHub func(now time.Time) time.Time // GitHub's time then; nil or zero: not known
	Lost   func(cause error) error       // why work under the lease ends
	Log    *slog.Logger
}

// Keep beats the lease until release is called, which also gives it back. The context it returns ends
// when the lease is lost, for the reason that Lost gives: whoever works under it stops.
func (l *Lease) Keep(ctx context.Context, k Keeping) (held context.Context, release func()) {
	held, cancel := context.WithCancelCause(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.keepBeating(held, k, cancel)
	}()
	return held, func() {
		cancel(nil)
		<-done
		if err := l.Release(ctx); err != nil {
			k.Log.WarnContext(ctx, "lease not released; it lapses by itself", "project", l.Project, "cause", err)
		}
	}
}

// keepBeating renews the lease until ctx ends. One that cannot be renewed is lost once it lapses, and
// then cancel ends everything done under it.
func (l *Lease) keepBeating(ctx context.Context, k Keeping, cancel context.CancelCauseFunc) {
	tick := time.NewTicker(l.Times.Heartbeat)
	defer tick.Stop()
	last := k.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		// The wall clock counts: a machine that was put to sleep lost its lease meanwhile.
		now := k.Now().Round(0)
		left := last.Add(l.Times.Lapse).Sub(now)
		err := l.renew(ctx, k, now, max(left, l.Times.Heartbeat))
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			last = now
			continue
		}
		k.Log.WarnContext(ctx, "lease not renewed", "project", l.Project, "cause", err)
		if l.Check(k.Now()) != nil {
			cancel(k.Lost(err))
			return
		}
	}
}

// renew beats once. A database that does not answer in time has lost us the lease; one that answers
// late, to a machine that slept, tells whether somebody took it.
func (l *Lease) renew(ctx context.Context, k Keeping, now time.Time, patience time.Duration) error {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	var github time.Time
	if k.GitHub != nil {
		github = k.GitHub(now)
	}
	return l.Heartbeat(ctx, now, github)
}
