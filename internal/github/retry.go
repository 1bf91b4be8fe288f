package github

import (
	"context"
	"math/rand/v2"
	"time"
)

// Retry is the policy for answers that may be better the next time: 5xx, 409, a broken network.
// Limits wait as long as GitHub says instead, but count as attempts too.
type Retry struct {
	Base    time.Duration // the longest first wait, doubled each time: 1 s
	Cap     time.Duration // the longest wait of all: 32 s
	Retries int           // after the first attempt: 3; negative for none
	Timeout time.Duration // of one attempt, body included: 15 s. GitHub itself gives up after 10
}

func (r Retry) orDefault() Retry {
	if r.Base <= 0 {
		r.Base = time.Second
	}
	if r.Cap <= 0 {
		r.Cap = 32 * time.Second
	}
	if r.Retries == 0 {
		r.Retries = 3
	}
	r.Retries = max(0, r.Retries)
	if r.Timeout <= 0 {
		r.Timeout = 15 * time.Second
	}
	return r
}

// backoff is how long to wait after the given attempt, with full jitter: any time up to the
// doubled base, so that requests that broke together do not come back together.
func (r Retry) backoff(attempt int) time.Duration {
	longest := r.Cap
	if doubled := r.Base << (attempt - 1); doubled > 0 && doubled < longest {
		longest = doubled
	}
	return rand.N(longest)
}

// sleep waits, but not longer than ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
