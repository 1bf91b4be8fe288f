package relay

import (
	"encoding/base64"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A batch that is not as it has to be is refused whole, by the first secret that is wrong, and what
// was sent is not repeated to anybody.
func TestBadBatches(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	long := base64.StdEncoding.EncodeToString(make([]byte, secret.MaxValueSize+49))
	short := base64.StdEncoding.EncodeToString(make([]byte, 48))
	const canary = "canary!of!what!was!sent"
	first := func(change func(*Sealed)) func(*Boxes) { return func(b *Boxes) { change(&b.Secrets[0]) } }
	for name, change := range map[string]func(*Boxes){
		"no secrets":             func(b *Boxes) { b.Secrets = nil },
		"17 secrets":             func(b *Boxes) { b.Secrets = slices.Repeat(b.Secrets[:1], 17) },
		"twice":                  func(b *Boxes) { b.Secrets[1] = b.Secrets[0] },
		"the last one is bad":    func(b *Boxes) { b.Secrets[2].Hash = "" },
		"not asked for":          first(func(s *Sealed) { s.Name = "OTHER" }),
		"no name":                first(func(s *Sealed) { s.Name = canary }),
		"lower case":             first(func(s *Sealed) { s.Name = "api_key" }),
		"no hash":                first(func(s *Sealed) { s.Hash = "" }),
		"short hash":             first(func(s *Sealed) { s.Hash = s.Hash[:63] }),
		"long hash":              first(func(s *Sealed) { s.Hash += "0" }),
		"upper-case hash":        first(func(s *Sealed) { s.Hash = strings.Repeat("A", 64) }),
		"hash of nothing seen":   first(func(s *Sealed) { s.Hash = secret.NeverSeen }),
		"hash of no hex":         first(func(s *Sealed) { s.Hash = strings.Repeat("z", 64) }),
		"no boxes":               first(func(s *Sealed) { s.Boxes = nil }),
		"a box too few":          first(func(s *Sealed) { s.Boxes = s.Boxes[:1] }),
		"a box too many":         first(func(s *Sealed) { s.Boxes = append(s.Boxes, s.Boxes[0]) }),
		"two for one scope":      first(func(s *Sealed) { s.Boxes[1] = s.Boxes[0] }),
		"scope not asked for":    first(func(s *Sealed) { s.Boxes[0].Scope = "agents" }),
		"the source as scope":    first(func(s *Sealed) { s.Boxes[0].Scope = "actions" }),
		"an environment":         first(func(s *Sealed) { s.Boxes[0].Scope = "environment:production" }),
		"no scope":               first(func(s *Sealed) { s.Boxes[0].Scope = canary }),
		"no key":                 first(func(s *Sealed) { s.Boxes[0].KeyID = "" }),
		"another key":            first(func(s *Sealed) { s.Boxes[0].KeyID = canary }),
		"another scope's key":    first(func(s *Sealed) { s.Boxes[0].KeyID = s.Boxes[1].KeyID }),
		"not base64":             first(func(s *Sealed) { s.Boxes[0].Box = canary }),
		"unpadded":               first(func(s *Sealed) { s.Boxes[0].Box = strings.TrimRight(s.Boxes[0].Box, "=") + "A" }),
		"base64 with line ends":  first(func(s *Sealed) { s.Boxes[0].Box = s.Boxes[0].Box[:8] + "\n" + s.Boxes[0].Box[8:] }),
		"base64 for URLs":        first(func(s *Sealed) { s.Boxes[0].Box = strings.Repeat("-_", 200) }),
		"empty box":              first(func(s *Sealed) { s.Boxes[0].Box = "" }),
		"box of nothing":         first(func(s *Sealed) { s.Boxes[0].Box = short }),
		"box of too much":        first(func(s *Sealed) { s.Boxes[0].Box = long }),
		"unknown problem":        first(func(s *Sealed) { *s = Sealed{Name: s.Name, Problem: canary} }),
		"hash beside a problem":  first(func(s *Sealed) { s.Problem, s.Boxes = ProblemEmpty, nil }),
		"boxes beside a problem": first(func(s *Sealed) { s.Problem, s.Hash = ProblemEmpty, "" }),
	} {
		batch := w.all(c)[0]
		change(&batch)
		_, err := w.server.Boxes(t.Context(), c.Session, batch)
		refused(t, name, err, fault.RelayBatchInvalid)
		if err != nil && (strings.Contains(err.Error(), "canary") || strings.Contains(fmt.Sprint(fault.Of(err).Context), "canary")) {
			t.Errorf("%s: %v repeats what was sent", name, err)
		}
	}
	_, err := w.server.Boxes(t.Context(), c.Session, Boxes{Version: 2, SyncID: c.SyncID.String()})
	refused(t, "version", err, fault.RequestInvalid)
	other := w.all(c)[0]
	other.SyncID = w.wait(syncing.Order{Force: true}).ID.String()
	_, err = w.server.Boxes(t.Context(), c.Session, other)
	denied(t, "another run's", err, DeniedRun)
	w.server.mu.Lock()
	held := w.server.held
	w.server.mu.Unlock()
	if held != 0 {
		t.Errorf("%d bytes of bad batches are held", held)
	}
	w.send(c, w.all(c)...)
	if r := w.finish(c); r.State != "succeeded" {
		t.Errorf("%+v", r)
	}
	_, err = w.server.Boxes(t.Context(), c.Session, w.all(c)[0])
	denied(t, "boxes after the end", err, DeniedSession)
}

// The same batch again changes nothing; another value for a name takes the place of the first.
func TestBatchesAreIdempotent(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	batch := w.all(c)[0]
	w.send(c, batch, batch)
	w.server.mu.Lock()
	once := w.server.held
	w.server.mu.Unlock()
	w.send(c, Boxes{Version: Version, SyncID: batch.SyncID, Secrets: []Sealed{{Name: "ZIP", Problem: ProblemAbsent}}})
	w.send(c, Boxes{Version: Version, SyncID: batch.SyncID, Secrets: []Sealed{w.seal(c, "API_KEY", "the wrong one")}})
	got, err := w.server.Boxes(t.Context(), c.Session, batch)
	if err != nil || got != (Received{3, 3}) {
		t.Errorf("%+v, %v", got, err)
	}
	w.server.mu.Lock()
	again := w.server.held
	w.server.mu.Unlock()
	if once != again || once < 3*2*60 {
		t.Errorf("%d bytes, then %d", once, again)
	}
	if r := w.finish(c); r.State != "succeeded" || r.Synced != 3 {
		t.Errorf("%+v", r)
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
}

// A project's sessions hold so much and no more; what one lets go another may have.
func TestAProjectsMemoryIsBounded(t *testing.T) {
	w := newRelayWorld(t, func(c *Config) { c.MaxHeld = shares * 3500 })
	run, other := w.wait(syncing.Order{}), w.wait(syncing.Order{Force: true})
	c, second := w.claim(run), w.claim(other)
	w.send(c, w.all(c)...)
	_, err := w.server.Boxes(t.Context(), second.Session, w.all(second)[0])
	refused(t, "full", err, fault.StoreUnavailable)
	if r := w.finish(c); r.State != "succeeded" {
		t.Fatalf("%+v", r)
	}
	w.send(second, w.all(second)...)
}

// All projects together hold so much and no more.
func TestMemoryIsBounded(t *testing.T) {
	w := newRelayWorld(t)
	c := w.claim(w.wait(syncing.Order{}))
	w.server.held, w.server.heldBy[uuid.New()] = w.server.MaxHeld, w.server.MaxHeld // by others
	_, err := w.server.Boxes(t.Context(), c.Session, w.all(c)[0])
	refused(t, "full", err, fault.StoreUnavailable)
	w.server.held -= 1 << 20
	w.send(c, w.all(c)...)
}

// Boxes that a run is carried out with are in memory, and count, also when another claim has taken the
// place of the session that they came in.
func TestBoxesAtWorkCount(t *testing.T) {
	w := newRelayWorld(t, func(c *Config) { c.WaitLimit = time.Millisecond })
	run := w.wait(syncing.Order{})
	lease, err := w.db.Acquire(t.Context(), time.Now(), store.LeaseRequest{
		Project: w.project.ID, Run: uuid.New(), Holder: "another", Times: store.LeaseTimes{Heartbeat: time.Second, Lapse: time.Minute, Grace: time.Second},
	})
	check(t, err)
	held := func() int64 {
		w.server.mu.Lock()
		defer w.server.mu.Unlock()
		return w.server.held
	}
	c := w.claim(run)
	w.send(c, w.all(c)...)
	before := held()
	w.finish(c) // it waits for the lease
	again := w.claim(run)
	if n := held(); n != before || n == 0 {
		t.Errorf("%d bytes count, of %d", n, before)
	}
	check(t, lease.Release(t.Context()))
	for r := w.finish(again); !r.Done; r = w.finish(again) {
		time.Sleep(10 * time.Millisecond)
	}
	w.server.works.Wait()
	if n := held(); n != 0 || len(w.server.heldBy) != 0 {
		t.Errorf("%d bytes are held by %d projects", n, len(w.server.heldBy))
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
}

// BenchmarkRelay100 relays 100 secrets to two scopes. The overhead is the time in which the job waits and
// no request to GitHub is open there; the memory is what is in use when all boxes have come.
func BenchmarkRelay100(b *testing.B) {
	var overhead, inUse float64
	for range b.N {
		b.StopTimer()
		w := newRelayWorldOn(b, "sqlite:"+b.TempDir()+"/bench.db")
		for i := range 100 - len(values) {
			w.sim.SetSecret(widgets, "actions", githubsim.Secret{Name: fmt.Sprintf("SECRET_%03d", i), Value: strings.Repeat("v", 2000), UpdatedAt: w.sim.Now().Add(-time.Hour)})
		}
		run, open := w.wait(syncing.Order{}), &openTime{}
		w.sim.OnRequest(func(githubsim.Request) { open.change(1) })
		w.sim.OnAnswer(func(githubsim.Request) { open.change(-1) })
		token, before := w.token(run), heap()
		var took time.Duration
		timed := func(do func()) {
			b.StartTimer()
			began := time.Now()
			do()
			took += time.Since(began)
			b.StopTimer()
		}
		var c Claim
		var r Report
		timed(func() {
			var err error
			c, err = w.server.Claim(b.Context(), token, ClaimRequest{Version: Version, SyncID: run.ID.String()})
			check(b, err)
		})
		batches := w.all(c)
		timed(func() { w.send(c, batches...) })
		inUse += float64(heap()-before) / (1 << 20) // the job's batches included
		timed(func() { r = w.finish(c) })
		if r.State != string(store.Succeeded) || r.Synced != 100 {
			b.Fatalf("%+v", r)
		}
		overhead += float64((took - open.sum).Microseconds()) / 1000
	}
	b.ReportMetric(overhead/float64(b.N), "overhead-ms")
	b.ReportMetric(inUse/float64(b.N), "in-use-MiB")
}

// An openTime sums up the time in which anything was open.
type openTime struct {
	mu    sync.Mutex
	n     int
	since time.Time
	sum   time.Duration
}

func (o *openTime) change(by int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.n == 0 {
		o.since = time.Now()
	}
	if o.n += by; o.n == 0 {
		o.sum += time.Since(o.since)
	}
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools held goes with the second
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
