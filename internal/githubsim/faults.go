package githubsim

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Faults say how the service misbehaves. The zero Faults are good behaviour.
type Faults struct {
	// Latency is what each request takes: half of it before it takes effect, half after.
	Latency time.Duration

	// ListLag is how long a write stays invisible in lists. Reading one secret by its
	// name, and Value, see it at once.
	ListLag time.Duration

	// Failures befall requests; the first that strikes counts.
	Failures []Failure

	// Seed decides which requests random failures strike; equal seeds and equal
	// sequences of requests give equal failures.
	Seed uint64
}

// A Failure befalls some requests. The zero Failure befalls all, with a Kind drawn anew for
// each.
type Failure struct {
	Kinds  []Kind // one is drawn; empty means all but Stall and HalfDone
	Method string // empty: any
	Path   string // part of the path, such as "/dependabot/secrets/"; empty: any

	Rate  float64 // share of the matching requests that are struck, up to 1; 0 means all
	Skip  int     // matching requests left alone at first
	Times int     // requests struck at most; 0: no bound

	// Answer, if set, is sent instead of what would have happened; Kinds is not used then.
	Answer *Answer
}

// An Answer is sent word for word.
type Answer struct {
	Status int
	Header http.Header
	Body   string
}

// A Kind is a way to fail.
type Kind string

// The ways to fail.
const (
	ServerError Kind = "server error" // 500 with JSON; the request had no effect
	BadGateway  Kind = "bad gateway"  // 502 with HTML; the request had no effect
	Unavailable Kind = "unavailable"  // 503 with HTML; the request had no effect
	Reset       Kind = "reset"        // the connection is reset; the request had no effect
	LostAnswer  Kind = "lost answer"  // the request took effect, then 502 with JSON
	LostReset   Kind = "lost reset"   // the request took effect, then the connection is reset
	CutShort    Kind = "cut short"    // the request took effect, then the answer ends halfway
	HalfDone    Kind = "half done"    // a PUT of an environment makes it, sets none of its rules, and answers 422
	Stall       Kind = "stall"        // no answer until the client gives up; no effect
	Canned      Kind = "canned"       // a Failure's Answer
)

var drawnKinds = []Kind{ServerError, BadGateway, Unavailable, Reset, LostAnswer, LostReset, CutShort}

// SetFaults replaces the faults from the next request on, and restarts Skip, Times and Seed.
func (g *GitHub) SetFaults(f Faults) { g.faults.set(f) }

// A faultPlayer decides which fault befalls which request.
type faultPlayer struct {
	mu     sync.Mutex
	faults Faults
	random *rand.Rand
	seen   []int // matching requests, per Failure
	struck []int // struck requests, per Failure
}

// A fault is what was decided for one request; the zero fault is none.
type fault struct {
	kind   Kind
	answer *Answer
}

// late tells whether the fault comes after the request took effect.
func (f fault) late() bool { return f.kind == LostAnswer || f.kind == LostReset || f.kind == CutShort }

// early tells whether the fault comes instead of an effect.
func (f fault) early() bool { return f.kind != "" && f.kind != HalfDone && !f.late() }

func (p *faultPlayer) set(f Faults) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f.Failures = slices.Clone(f.Failures)
	for _, failure := range f.Failures {
		if failure.Answer == nil && slices.Contains(failure.Kinds, Canned) {
			panic("githubsim: a canned failure needs its Answer")
		}
	}
	p.faults = f
	p.random = rand.New(rand.NewPCG(f.Seed, 0))
	p.seen = make([]int, len(f.Failures))
	p.struck = make([]int, len(f.Failures))
}

func (p *faultPlayer) latency() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults.Latency
}

func (p *faultPlayer) listLag() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.faults.ListLag
}

// draw decides what befalls a request.
func (p *faultPlayer) draw(method, path string) fault {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, f := range p.faults.Failures {
		if f.Method != "" && f.Method != method || !strings.Contains(path, f.Path) {
			continue
		}
		p.seen[i]++
		if p.seen[i] <= f.Skip || f.Times > 0 && p.struck[i] >= f.Times {
			continue
		}
		if f.Rate > 0 && p.random.Float64() >= f.Rate {
			continue
		}
		p.struck[i]++
		if f.Answer != nil {
			return fault{kind: Canned, answer: f.Answer}
		}
		kinds := f.Kinds
		if len(kinds) == 0 {
			kinds = drawnKinds
		}
		return fault{kind: kinds[p.random.IntN(len(kinds))]}
	}
	return fault{}
}

// answers is what the client gets for the faults that answer at all.
func (f fault) answers() (Answer, bool) {
	page := func(status int, title string) Answer {
		return Answer{
			Status: status,
			Header: http.Header{"Content-Type": {"text/html; charset=utf-8"}},
			Body:   "<!DOCTYPE html>\n<html><head><title>" + title + "</title></head><body>" + title + "</body></html>\n",
		}
	}
	text := func(status int) Answer {
		return Answer{
			Status: status,
			Header: http.Header{"Content-Type": {jsonType}},
			Body:   `{"message":"Server Error"}`,
		}
	}
	switch f.kind {
	case Canned:
		return *f.answer, true
	case ServerError:
		return text(http.StatusInternalServerError), true
	case LostAnswer:
		return text(http.StatusBadGateway), true
	case BadGateway:
		return page(http.StatusBadGateway, "Unicorn! &middot; GitHub"), true
	case Unavailable:
		return page(http.StatusServiceUnavailable, "We had issues producing the response"), true
	}
	return Answer{}, false
}
