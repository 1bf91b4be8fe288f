package github

import (
	"sync"
	"time"
)

// A Clock converts our time to GitHub's. Times that are compared with updated_at must pass it: a
// laptop's clock may be minutes off.
type Clock struct {
	Skew  time.Duration // GitHub's clock minus ours
	Known bool          // false until the first answer came; Skew is zero then
}

// GitHub returns what GitHub's clock shows when ours shows t.
func (k Clock) GitHub(t time.Time) time.Time { return t.Add(k.Skew) }

// ours is the way back.
func (k Clock) ours(t time.Time) time.Time { return t.Add(-k.Skew) }

// A clock learns the skew from Date headers. One header has whole seconds and bounds the skew to
// an interval of a second and a round trip; the intervals of many answers are intersected. When
// they contradict each other one of the clocks was set, and learning starts again.
type clock struct {
	mu        sync.Mutex
	low, high time.Duration
	known     bool
}

// saw takes note of an answer with that Date to a request sent and answered at those times.
func (k *clock) saw(date, sent, answered time.Time) {
	low, high := date.Sub(answered), date.Add(time.Second).Sub(sent)
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.known && low <= k.high && high >= k.low {
		low, high = max(low, k.low), min(high, k.high)
	}
	k.low, k.high, k.known = low, high, true
}

// now is the best guess: no skew while that is possible, as on a machine that keeps its time,
// otherwise the middle.
func (k *clock) now() Clock {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case !k.known:
		return Clock{}
	case k.low <= 0 && k.high >= 0:
		return Clock{Known: true}
	}
	return Clock{Skew: (k.low + k.high) / 2, Known: true}
}

// Clock returns how far GitHub's clock is from ours, learnt from the answers so far.
func (c *Client) Clock() Clock { return c.clock.now() }
