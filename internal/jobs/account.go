package jobs

import (
	"container/heap"
	"context"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"golang.org/x/time/rate"
)

// An account is what one credential's projects share: their order, and the room for looks at them.
type account struct {
	*poller
	owner   string // one of the owners whose repositories the credential is for
	client  *github.Client
	limiter *rate.Limiter // lets so many requests through as looking may use
	slots   chan struct{} // looks at once
	woken   chan struct{}

	mu   sync.Mutex
	line line
	pace pace
}

const (
	// abreast is how many looks go on at once under a credential: enough for half of its points at
	// half a second an answer, and few enough to leave its 100 requests at once to the runs.
	abreast = 4
	// lookShare is the part of a credential's points that looking may use.
	lookShare = 0.5
	// targetLists is how many lists beside Actions a project has as a rule: Codespaces' and Dependabot's.
	targetLists = 2
	// burst is how many requests may follow each other without a pause.
	burst = 8
)

func newAccount(p *poller, owner string, c *github.Client) *account {
	return &account{
		poller: p, owner: owner, client: c, pace: pace{1, 1},
		limiter: rate.NewLimiter(perSecond(c), burst), slots: make(chan struct{}, abreast), woken: make(chan struct{}, 1),
	}
}

// perSecond is how many requests looking may use. It is this replica's part, at the present pace.
func perSecond(c *github.Client) rate.Limit {
	return rate.Limit(float64(c.Governor().Room()) * lookShare / 60)
}

// fit makes the intervals fit the room there is now, and says how long they have become.
func (a *account) fit() {
	limit := perSecond(a.client)
	a.limiter.SetLimit(limit)
	var all appetite
	a.mu.Lock()
	projects := 0
	for _, w := range a.line {
		all.add(w.interval, a.Drift, targetLists)
		projects++
	}
	a.pace = paceFor(all, float64(limit)*60)
	inForce := a.pace.actionsEvery(a.Interval)
	a.mu.Unlock()
	a.Accounts.SetPolling(a.owner, inForce, a.Interval)
	a.Metrics.Polling(a.client.Credential().Name(), projects, inForce, a.Interval)
}

// loop has each project looked at when it is due, in that order, until ctx ends.
func (a *account) loop(ctx context.Context) {
	var looks sync.WaitGroup
	defer looks.Wait()
	for a.waitForNext(ctx) {
		select {
		case a.slots <- struct{}{}:
		case <-ctx.Done():
			return
		}
		w := a.pop()
		if w == nil {
			<-a.slots
			continue
		}
		looks.Go(func() {
			defer func() { <-a.slots }()
			next := a.look(ctx, w)
			a.back(w, next)
		})
	}
}

// pauseLook is how often a credential that GitHub paused is looked after: the pause may be lengthened.
const pauseLook = time.Second

// waitForNext waits until a project is due and GitHub may be asked. It answers false when ctx ends.
func (a *account) waitForNext(ctx context.Context) bool {
	for {
		wait := time.Hour
		a.mu.Lock()
		if len(a.line) > 0 {
			wait = a.line[0].due.Sub(a.Now())
		}
		a.mu.Unlock()
		if p, paused := a.client.Governor().Paused(); paused {
			wait = max(wait, min(time.Until(p.Until), pauseLook))
		}
		if wait <= 0 {
			return ctx.Err() == nil
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-a.woken:
		case <-ctx.Done():
			t.Stop()
			return false
		}
		t.Stop()
	}
}

// wakeUp has the loop think again.
func (a *account) wakeUp() {
	select {
	case a.woken <- struct{}{}:
	default:
	}
}

// push puts a project in line.
func (a *account) push(w *watched) {
	a.mu.Lock()
	defer a.mu.Unlock()
	heap.Push(&a.line, w)
	a.wakeUp()
}

// pop takes the first in line, which is due; nil when it went away meanwhile. It keeps its place, at
// the end, so that it counts while it is looked at.
func (a *account) pop() *watched {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.line) == 0 || a.line[0].due.After(a.Now()) {
		return nil
	}
	w := a.line[0]
	w.looking, w.hurried = true, false
	w.due = a.Now().Add(never)
	heap.Fix(&a.line, 0)
	return w
}

// never is later than anything that is due.
const never = 100 * 365 * 24 * time.Hour

// back puts a project that was looked at in its new place.
func (a *account) back(w *watched, next time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.looking = false
	if w.at < 0 {
		return // dropped meanwhile
	}
	if w.hurried {
		next = a.Now()
	}
	w.due = next
	heap.Fix(&a.line, w.at)
	a.wakeUp()
}

// hurry has a project looked at now, or once more when it is being looked at.
func (a *account) hurry(w *watched, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.hurried = true
	if !w.looking && w.at >= 0 {
		w.due = now
		heap.Fix(&a.line, w.at)
		a.wakeUp()
	}
}

// drop takes a project out of line.
func (a *account) drop(w *watched) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w.at >= 0 {
		heap.Remove(&a.line, w.at)
	}
}

// intervals are what a project's next looks wait.
func (a *account) intervals(w *watched) (actions, targets time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pace.actionsEvery(w.interval), a.pace.targetsEvery(w.interval, a.Drift)
}

// A line is a heap of projects by when they are due; each knows its place.
type line []*watched

func (l line) Len() int           { return len(l) }
func (l line) Less(i, j int) bool { return l[i].due.Before(l[j].due) }
func (l line) Swap(i, j int) {
	l[i], l[j] = l[j], l[i]
	l[i].at, l[j].at = i, j
}

// Push is for package heap.
func (l *line) Push(x any) {
	w := x.(*watched)
	w.at = len(*l)
	*l = append(*l, w)
}

// Pop is for package heap.
func (l *line) Pop() any {
	last := len(*l) - 1
	w := (*l)[last]
	(*l)[last] = nil
	*l, w.at = (*l)[:last], -1
	return w
}
