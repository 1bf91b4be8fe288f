package github

import (
	"context"
	"math"
	"sync"
	"time"
)

// What GitHub documents as the secondary limits of a credential.
const (
	defaultConcurrent = 100
	defaultPoints     = 900
)

// What one request counts.
const (
	readPoints  = 1
	writePoints = 5
)

// Limits are what a credential may do; zero means GitHub's documented limit.
type Limits struct {
	Concurrent      int // requests in flight at once: 100
	PointsPerMinute int // 900, where a GET counts 1 and a write 5
}

// A Governor keeps one credential under GitHub's secondary limits, which cannot be asked for and
// which the service counts over everything that credential does. Its rules:
//
//   - Window. In any 60 seconds the service sees at most the limit. Since we know when a request was
//     sent and when its answer came, but not when GitHub counted it, a request counts from its
//     sending until a minute and a second after its answer. Inside the window there is no pacing:
//     a burst as large as the window goes out at once.
//   - Pause. A refusal stops the whole credential until the time it names, or for a minute. Requests
//     that were in flight then and are refused too can only lengthen the pause to their own demand.
//   - Pace. Each pause for a secondary limit halves the window once, down to a tenth. Each quiet
//     minute after it gives back a tenth of the full window.
//   - Fairness. Whoever waits is served in turn: first come first served within a repository, one
//     request each between repositories. A write that does not fit yet is not overtaken by reads.
//
// A Governor has no goroutine of its own and needs no closing. Many clients may share it, and must
// when they share a credential.
type Governor struct {
	mu        sync.Mutex
	limits    Limits
	replicas  int
	inFlight  int
	flying    int // points of the requests in flight
	landed    window
	pauses    pauses
	waiting   queue
	wake      *time.Timer
	listeners []func(Pause)
}

// NewGovernor returns a governor with an empty window at full pace.
func NewGovernor(l Limits) *Governor {
	if l.Concurrent <= 0 {
		l.Concurrent = defaultConcurrent
	}
	if l.PointsPerMinute <= 0 {
		l.PointsPerMinute = defaultPoints
	}
	return &Governor{limits: l, replicas: 1, pauses: pauses{pace: 1}}
}

// SetShare divides the limits by the number of processes that use the credential.
func (g *Governor) SetShare(replicas int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.replicas = max(1, replicas)
	g.dispatch(time.Now())
}

// concurrent is how many requests may be in flight in this process.
func (g *Governor) concurrent() int { return max(1, g.limits.Concurrent/g.replicas) }

// room is how many points the window of this process has at the present pace. A write always fits
// an empty window, or nothing would ever be written.
func (g *Governor) room() int {
	share := g.limits.PointsPerMinute / g.replicas
	return max(writePoints, int(math.Round(float64(share)*g.pauses.pace)))
}

// Room is how many points a minute this process may use now: its share of the limit, at the present
// pace.
func (g *Governor) Room() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.pauses.recover(time.Now())
	return g.room()
}

// A pass is the permission to send one request. Whoever got one must land or abandon it.
type pass struct {
	governor *Governor
	points   int
	granted  time.Time
}

// enter waits until one more request of the repository may be sent. An impatient caller gets
// errSpent at once, also while it waits, when the hourly quota is known to be spent.
func (g *Governor) enter(ctx context.Context, repository int64, points int, patient bool) (*pass, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	g.mu.Lock()
	now := time.Now()
	if !patient && now.Before(g.pauses.spentUntil) {
		g.mu.Unlock()
		return nil, errSpent
	}
	w := &waiter{repository: repository, points: points, patient: patient, called: make(chan struct{})}
	g.waiting.push(w)
	g.dispatch(now)
	g.mu.Unlock()

	select {
	case <-w.called:
	case <-ctx.Done():
		g.leave(w)
		return nil, ctx.Err()
	}
	if w.err != nil {
		return nil, w.err
	}
	return &pass{governor: g, points: points, granted: w.granted}, nil
}

// leave takes back whatever w has: its place in the queue, or a pass that came too late.
func (g *Governor) leave(w *waiter) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !w.granted.IsZero() {
		g.inFlight--
		g.flying -= w.points
	} else {
		g.waiting.remove(w)
	}
	g.dispatch(time.Now())
}

// abandon gives back a pass whose request was never sent.
func (p *pass) abandon() {
	g := p.governor
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inFlight--
	g.flying -= p.points
	g.dispatch(time.Now())
}

// land tells that the answer came, or that none will. A refusal is told in the same breath: between
// the two, the next request would be sent into the pause. It returns the pause if this refusal
// began one.
func (p *pass) land(refusal *demand) (began Pause, ok bool) {
	g := p.governor
	g.mu.Lock()
	now := time.Now()
	g.inFlight--
	g.flying -= p.points
	g.landed.add(now, p.points)
	var news Pause
	var tell bool
	if refusal == nil {
		g.pauses.answered(p.granted)
	} else {
		news, ok, tell = g.pauses.refused(now, p.granted, *refusal)
		g.sendAway(now)
	}
	g.dispatch(now)
	listeners := g.listeners
	g.mu.Unlock()

	if tell {
		for _, f := range listeners {
			f(news)
		}
	}
	return news, ok
}

// sendAway answers those who will not sit out a quota reset.
func (g *Governor) sendAway(now time.Time) {
	if !now.Before(g.pauses.spentUntil) {
		return
	}
	for _, w := range g.waiting.impatient() {
		g.waiting.remove(w)
		w.err = errSpent
		close(w.called)
	}
}

// dispatch lets in whoever may go now and sees to being woken when the next one may.
func (g *Governor) dispatch(now time.Time) {
	g.landed.forget(now)
	g.pauses.recover(now)
	for w := g.waiting.front(); w != nil; w = g.waiting.front() {
		if end := g.pauses.end(); now.Before(end) {
			g.wakeAt(now, end)
			return
		}
		if g.inFlight >= g.concurrent() {
			return // the next landing calls again
		}
		if g.flying+g.landed.points+w.points > g.room() {
			if at, ok := g.landed.next(); ok {
				g.wakeAt(now, at)
			}
			return
		}
		g.waiting.pop()
		g.inFlight++
		g.flying += w.points
		w.granted = now
		close(w.called)
	}
	if g.wake != nil {
		g.wake.Stop()
	}
}

func (g *Governor) wakeAt(now, at time.Time) {
	// A nanosecond late rather than early: at the very instant the entry still counts.
	d := at.Sub(now) + 1
	if g.wake != nil {
		g.wake.Reset(d)
		return
	}
	g.wake = time.AfterFunc(d, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.dispatch(time.Now())
	})
}
