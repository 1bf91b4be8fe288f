package githubsim

import (
	"sync"
	"time"
)

// A Request is what the simulator remembers of one request. It holds no header and no
// body, hence no token and no value.
type Request struct {
	Number int // counts from 1; ResetRequests does not restart it

	Method, Path, Query string
	Arrived             time.Time // on GitHub's clock
	Conditional         bool      // carried If-None-Match or If-Modified-Since

	// The rest is known once the request has been judged or answered.

	Credential string // who asked, such as "classic:octocat:1"; never the token
	Points     int    // what it weighs against the secondary limit: 1, or 5 for a write
	Status     int    // 0: no answer was sent, see Fault
	Billed     bool   // counted against the primary limit
	Refused    Limit  // the limit that refused it
	Fault      Kind   // the fault that befell it

	// IntoPenalty is for how long the refusal that started a penalty had been on its way
	// to the client when this request arrived. 0: there was no penalty, or the client
	// could not know of it yet.
	IntoPenalty time.Duration
}

// Write tells whether the request asked for a change.
func (r Request) Write() bool { return isWrite(r.Method) }

func isWrite(method string) bool {
	switch method {
	case "PUT", "POST", "PATCH", "DELETE":
		return true
	}
	return false
}

// Counts sums up the requests since the start or the last ResetRequests.
type Counts struct {
	Requests int
	Writes   int // PUT, POST, PATCH and DELETE, whatever became of them
	Billed   int // counted against the primary limit
	Refused  int // refused by a limit

	// InPenalty counts requests that arrived during a penalty although its first refusal
	// had been on its way to the client for more than 50 ms.
	InPenalty int

	PeakPoints   int // most points any credential spent within one window of the limiter
	PeakInFlight int // most requests any credential had open at once
}

// grace is how long a client may take to read a refusal and stop. What arrives within it
// was sent before the client could know.
const grace = 50 * time.Millisecond

// A requestLog numbers and remembers requests. It keeps the newest 50,000 or more; its
// counters know them all.
type requestLog struct {
	mu       sync.Mutex
	number   int
	kept     []*Request
	counts   Counts
	onAsk    func(Request)
	onAnswer func(Request)
}

const keptRequests = 50_000

func (l *requestLog) arrive(r Request) *Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number++
	r.Number = l.number
	if len(l.kept) >= 2*keptRequests {
		l.kept = append([]*Request(nil), l.kept[keptRequests:]...)
	}
	l.kept = append(l.kept, &r)
	l.counts.Requests++
	if r.Write() {
		l.counts.Writes++
	}
	return &r
}

// update changes what is remembered of a request and returns a copy of it.
func (l *requestLog) update(r *Request, change func(*Request)) Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	before := *r
	change(r)
	if r.Billed && !before.Billed {
		l.counts.Billed++
	}
	if r.Refused != "" && before.Refused == "" {
		l.counts.Refused++
	}
	if r.IntoPenalty > grace && before.IntoPenalty <= grace {
		l.counts.InPenalty++
	}
	return *r
}

func (l *requestLog) hooks() (onAsk, onAnswer func(Request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.onAsk, l.onAnswer
}

// OnRequest sets the function that hears of every request before anything is decided
// about it, in the goroutine that serves it; nil removes it. It may change anything in the
// simulator: rotate a key before a PUT, edit a list between two of its pages, make the
// n-th request find a repository renamed. The Request has no fields yet that only judging
// it can fill.
func (g *GitHub) OnRequest(hear func(Request)) {
	g.requests.mu.Lock()
	defer g.requests.mu.Unlock()
	g.requests.onAsk = hear
}

// OnAnswer sets the function that hears of every request after it took effect and before
// its answer is sent; nil removes it. This is the moment to kill a client.
func (g *GitHub) OnAnswer(hear func(Request)) {
	g.requests.mu.Lock()
	defer g.requests.mu.Unlock()
	g.requests.onAnswer = hear
}

// Requests returns the requests received since the last ResetRequests, oldest first.
func (g *GitHub) Requests() []Request {
	g.requests.mu.Lock()
	defer g.requests.mu.Unlock()
	out := make([]Request, len(g.requests.kept))
	for i, r := range g.requests.kept {
		out[i] = *r
	}
	return out
}

// Counts sums up the requests received since the last ResetRequests.
func (g *GitHub) Counts() Counts {
	g.requests.mu.Lock()
	counts := g.requests.counts
	g.requests.mu.Unlock()
	counts.PeakPoints, counts.PeakInFlight = g.limiter.peaks()
	return counts
}

// ResetRequests forgets the requests received and sets the counters to zero. Limits and
// penalties go on.
func (g *GitHub) ResetRequests() {
	g.requests.mu.Lock()
	g.requests.kept, g.requests.counts = nil, Counts{}
	g.requests.mu.Unlock()
	g.limiter.resetPeaks()
}
