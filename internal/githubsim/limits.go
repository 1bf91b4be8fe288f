package githubsim

import (
	"sync"
	"time"
)

// Limits are the secondary rate limits. The zero Limits are off. A limit that is broken
// starts a penalty for that credential: until it ends every request is refused.
//
// Limits hold per user (all tokens of a user together), per installation, or per address.
type Limits struct {
	Points     int // points per Window, GET 1 and writes 5; GitHub documents 900
	Writes     int // writing requests per Window; GitHub announces no such limit, and has one
	Concurrent int // requests open at once; GitHub documents 100

	Window     time.Duration // sliding; 0 is 60 s
	Penalty    time.Duration // how long a refusal lasts; 0 is as long as Window
	Status     int           // of refusals, primary ones too: 403, or 429; 0 is 403
	RetryAfter bool          // whether refusals carry Retry-After
}

// A Limit names the limit that refused a request.
type Limit string

// The limits that can refuse a request.
const (
	Primary   Limit = "primary"
	Secondary Limit = "secondary"
)

// SetLimits replaces the secondary limits. What was received so far still counts, and
// penalties in force end.
func (g *GitHub) SetLimits(limits Limits) {
	if limits.Window == 0 {
		limits.Window = time.Minute
	}
	if limits.Penalty == 0 {
		limits.Penalty = limits.Window
	}
	if limits.Status == 0 {
		limits.Status = 403
	}
	g.limiter.set(limits)
}

// A limiter judges requests as they arrive, by the secondary limits.
type limiter struct {
	mu           sync.Mutex
	limits       Limits
	meters       map[string]*meter // by bucket
	peakPoints   int
	peakInFlight int
}

func newLimiter() *limiter {
	return &limiter{
		limits: Limits{Window: time.Minute, Penalty: time.Minute, Status: 403},
		meters: make(map[string]*meter),
	}
}

// A meter is what the limiter remembers of one bucket.
type meter struct {
	arrivals []arrival // within the window, refused ones included
	points   int
	writes   int
	inFlight int

	penaltyEnds time.Time
	blocked     bool      // the penalty is for writing too much
	told        time.Time // when the penalty's first refusal was sent; zero before that
}

type arrival struct {
	at     time.Time
	points int
}

// A verdict is what the limiter says of one request.
type verdict struct {
	refused     bool
	blocked     bool // from content creation: GitHub's other wording
	status      int
	retryAfter  time.Duration // 0: do not say
	intoPenalty time.Duration
}

func (l *limiter) set(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = limits
	for _, m := range l.meters {
		m.penaltyEnds, m.told = time.Time{}, time.Time{}
	}
}

func (l *limiter) meter(bucket string) *meter {
	m := l.meters[bucket]
	if m == nil {
		m = &meter{}
		l.meters[bucket] = m
	}
	return m
}

// admit counts a request that arrived now and judges it. Every admit needs a leave.
func (l *limiter) admit(bucket string, points int, now time.Time) verdict {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := l.meter(bucket)
	m.slide(now.Add(-l.limits.Window))
	m.add(arrival{now, points})
	m.inFlight++
	l.peakPoints = max(l.peakPoints, m.points)
	l.peakInFlight = max(l.peakInFlight, m.inFlight)

	v := verdict{status: l.limits.Status}
	if now.Before(m.penaltyEnds) {
		v.refused, v.blocked = true, m.blocked
		if !m.told.IsZero() {
			v.intoPenalty = max(now.Sub(m.told), 1)
		}
	} else if blocked, broken := l.broken(m); broken {
		v.refused, v.blocked = true, blocked
		m.penaltyEnds, m.blocked, m.told = now.Add(l.limits.Penalty), blocked, time.Time{}
	}
	if v.refused && l.limits.RetryAfter {
		v.retryAfter = m.penaltyEnds.Sub(now)
	}
	return v
}

// broken tells whether m is over a limit, and whether it is the one on writes.
func (l *limiter) broken(m *meter) (blocked, broken bool) {
	over := func(n, limit int) bool { return limit > 0 && n > limit }
	if over(m.writes, l.limits.Writes) {
		return true, true
	}
	return false, over(m.points, l.limits.Points) || over(m.inFlight, l.limits.Concurrent)
}

func (l *limiter) leave(bucket string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.meter(bucket).inFlight--
}

// told notes that a refusal was sent to the client.
func (l *limiter) told(bucket string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if m := l.meter(bucket); m.told.IsZero() {
		m.told = now
	}
}

func (l *limiter) peaks() (points, inFlight int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.peakPoints, l.peakInFlight
}

func (l *limiter) resetPeaks() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.peakPoints, l.peakInFlight = 0, 0
}

func (m *meter) add(a arrival) {
	m.arrivals = append(m.arrivals, a)
	m.points += a.points
	if a.points > 1 {
		m.writes++
	}
}

// slide forgets what arrived at since or before.
func (m *meter) slide(since time.Time) {
	gone := 0
	for gone < len(m.arrivals) && !m.arrivals[gone].at.After(since) {
		m.points -= m.arrivals[gone].points
		if m.arrivals[gone].points > 1 {
			m.writes--
		}
		gone++
	}
	m.arrivals = m.arrivals[gone:]
}

// points is what a request weighs against the secondary limit.
func points(method string) int {
	if isWrite(method) {
		return 5
	}
	return 1
}

// refusal is the status of refusals.
func (l *limiter) refusal() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.Status
}
