package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
)

// A rush is many writes at once, against a simulated GitHub, in simulated time.
type rush struct {
	writes  int
	limits  githubsim.Limits
	latency time.Duration
	took    time.Duration
	counts  githubsim.Counts
	right   int
	pauses  int
}

func (r *rush) run(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gh := githubsim.New(githubsim.Config{})
		gh.AddRepository(githubsim.Repository{FullName: widgets})
		gh.AddRepository(githubsim.Repository{FullName: "acme/gadgets"})
		gh.SetLimits(r.limits)
		gh.SetFaults(githubsim.Faults{Latency: r.latency})
		var mu sync.Mutex
		c := against(t, gh, func(cfg *Config) {
			cfg.Credential = Token(gh.AddToken(githubsim.Token{}), "OCTOSEAL_GITHUB_TOKEN")
			cfg.Retry = Retry{}
			cfg.OnPause = func(Pause) { mu.Lock(); r.pauses++; mu.Unlock() }
		})
		began := time.Now()
		var all sync.WaitGroup
		// A store takes 100 secrets, so two hundred writes need two of them.
		for i, full := range []string{"widgets", "gadgets"} {
			repo, _, err := c.Repository(t.Context(), Ref{"acme", full}, nil)
			if err != nil {
				t.Fatal(err)
			}
			for n := range min(100, r.writes-100*i) {
				all.Go(func() {
					key, err := c.PublicKey(t.Context(), repo, secret.Actions)
					if err != nil {
						t.Error(err)
						return
					}
					name := fmt.Sprintf("S%d", n)
					if _, err := c.Put(t.Context(), repo, secret.MustName(name), seal(t, key, name+full)); err != nil {
						t.Error(err)
					}
					if got, _ := gh.Value("acme/"+full, "actions", name); got == name+full {
						mu.Lock()
						r.right++
						mu.Unlock()
					}
				})
			}
			if r.writes <= 100 {
				break
			}
		}
		all.Wait()
		r.took, r.counts = time.Since(began), gh.Counts()
	})
	t.Logf("%d writes took %s: %+v", r.writes, r.took, r.counts)
	if r.right != r.writes {
		t.Errorf("%d of %d writes are right", r.right, r.writes)
	}
	if r.counts.InPenalty != 0 {
		t.Errorf("%d requests were sent into a penalty", r.counts.InPenalty)
	}
}

func TestThousandPointsUnderTheDocumentedLimit(t *testing.T) {
	for _, latency := range []time.Duration{0, 80 * time.Millisecond, 2 * time.Second} {
		t.Run(latency.String(), func(t *testing.T) {
			r := rush{writes: 200, latency: latency, limits: githubsim.Limits{Points: 900, Concurrent: 100}}
			r.run(t)
			if most := 62*time.Second + 5*latency; r.took > most {
				t.Errorf("took %s, want at most %s", r.took, most)
			}
			if r.counts.PeakPoints > 900 || r.counts.PeakInFlight > 100 || r.counts.Refused > 0 {
				t.Errorf("the limits were not kept: %+v", r.counts)
			}
		})
	}
}

func TestHundredWritesUnderAnUnannouncedLimit(t *testing.T) {
	for _, retryAfter := range []bool{true, false} {
		for _, status := range []int{403, 429} {
			t.Run(fmt.Sprintf("retry-after %v, %d", retryAfter, status), func(t *testing.T) {
				r := rush{writes: 100, latency: 80 * time.Millisecond, limits: githubsim.Limits{Writes: 80, RetryAfter: retryAfter, Status: status}}
				r.run(t)
				if r.took > 65*time.Second {
					t.Errorf("took %s, want at most 65 s", r.took)
				}
				if r.pauses != 1 {
					t.Errorf("the pause was told %d times, want once", r.pauses)
				}
			})
		}
	}
}

func TestBurstIsNotPaced(t *testing.T) {
	r := rush{writes: 100, latency: 80 * time.Millisecond}
	r.run(t)
	// One lookup, one key, and two rounds of writes at most.
	if r.took > 400*time.Millisecond {
		t.Errorf("took %s although the window had room", r.took)
	}
}

// A call is one request of a random schedule.
type call struct {
	at, there, back time.Duration // when it is wanted, and how long the wire takes each way
	write           bool
	repository      int64
}

var calls = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) call {
	ms := func(most int, what string) time.Duration {
		return time.Duration(rapid.IntRange(0, most).Draw(t, what)) * time.Millisecond
	}
	return call{
		at: ms(90_000, "at"), there: ms(9_000, "there"), back: ms(9_000, "back"),
		write: rapid.Bool().Draw(t, "write"), repository: int64(rapid.IntRange(1, 3).Draw(t, "repository")),
	}
}), 1, 120)

// However requests fall and however long they are on the way, the service's own sliding minute
// never holds more than the limit, and nobody waits for ever.
func TestWindowAsTheServerSeesIt(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		schedule := calls.Draw(rt, "calls")
		limit := rapid.IntRange(5, 100).Draw(rt, "limit")
		lanes := rapid.IntRange(1, 20).Draw(rt, "lanes")
		server := &countingServer{}
		var left int
		synctest.Test(t, func(t *testing.T) {
			g := NewGovernor(Limits{Concurrent: lanes, PointsPerMinute: limit})
			var all sync.WaitGroup
			for _, c := range schedule {
				all.Go(func() {
					time.Sleep(c.at)
					points := readPoints
					if c.write {
						points = writePoints
					}
					p, err := g.enter(t.Context(), c.repository, points, true)
					if err != nil {
						t.Error(err)
						return
					}
					server.enter()
					time.Sleep(c.there)
					server.count(points)
					time.Sleep(c.back)
					server.leave()
					p.land(nil)
				})
			}
			all.Wait()
			left = g.inFlight + g.flying + len(g.waiting.turns)
		})
		if most := server.mostInAMinute(); most > limit {
			rt.Errorf("the server saw %d points in a minute, the limit is %d", most, limit)
		}
		if server.peak > lanes {
			rt.Errorf("%d requests were in flight, at most %d may be", server.peak, lanes)
		}
		if left != 0 {
			rt.Errorf("the governor still thinks that something is under way")
		}
	})
}

// A countingServer sees requests at the moment they arrive.
type countingServer struct {
	mu       sync.Mutex
	arrivals []entry
	inFlight int
	peak     int
}

func (s *countingServer) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight++
	s.peak = max(s.peak, s.inFlight)
}

func (s *countingServer) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inFlight--
}

func (s *countingServer) count(points int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrivals = append(s.arrivals, entry{time.Now(), points})
}

func (s *countingServer) mostInAMinute() int {
	most := 0
	for i, last := range s.arrivals {
		sum := 0
		for _, a := range s.arrivals[:i+1] {
			if last.leaves.Sub(a.leaves) <= time.Minute {
				sum += a.points
			}
		}
		most = max(most, sum)
	}
	return most
}

// enterNow is enter for what must not have to wait.
func enterNow(t *testing.T, g *Governor) *pass {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	p, err := g.enter(ctx, 1, readPoints, true)
	if err != nil {
		t.Fatalf("had to wait: %v", err)
	}
	return p
}

func mustWait(t *testing.T, g *Governor) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if p, err := g.enter(ctx, 1, readPoints, true); err == nil {
		p.abandon()
		t.Fatal("was let in during a pause")
	}
}

func TestRefusalsOfOneBurstMakeOnePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{})
		var told []Pause
		g.OnPause(func(p Pause) { told = append(told, p) })
		began := time.Now()
		var burst []*pass
		for range 20 {
			burst = append(burst, enterNow(t, g))
		}
		for i, p := range burst {
			time.Sleep(time.Millisecond)
			_, first := p.land(&demand{why: "limit", slow: true, until: began.Add(30 * time.Second)})
			if first != (i == 0) {
				t.Errorf("refusal %d began a pause: %v", i, first)
			}
			mustWait(t, g)
		}
		p, on := g.Paused()
		if !on || p.Pace != 0.5 || !p.Until.Equal(began.Add(31*time.Second)) || len(told) != 1 {
			t.Errorf("got pause %+v, told %d times; want half pace, 31 s and once", p, len(told))
		}
		time.Sleep(time.Until(p.Until) - time.Millisecond)
		mustWait(t, g)
		time.Sleep(time.Millisecond)
		enterNow(t, g).land(nil)
	})
}

func TestPauseIsLengthenedByALongerDemandOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{})
		var told []time.Time
		g.OnPause(func(p Pause) { told = append(told, p.Until) })
		a, b, c := enterNow(t, g), enterNow(t, g), enterNow(t, g)
		time.Sleep(time.Second)
		now := time.Now()
		a.land(&demand{slow: true, until: now.Add(20 * time.Second)})
		b.land(&demand{slow: true, until: now.Add(10 * time.Second)})
		c.land(&demand{slow: true, until: now.Add(40 * time.Second)})
		want := []time.Time{now.Add(21 * time.Second), now.Add(41 * time.Second)}
		if !slices.EqualFunc(told, want, time.Time.Equal) {
			t.Errorf("told %v, want %v", told, want)
		}
		if p, _ := g.Paused(); p.Pace != 0.5 {
			t.Errorf("pace %v, want it halved once", p.Pace)
		}
	})
}

func TestUnnamedPausesDouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{})
		for _, want := range []time.Duration{61, 121, 241, 241} {
			p := enterNow(t, g)
			time.Sleep(time.Millisecond)
			now := time.Now()
			p.land(&demand{slow: true})
			pause, _ := g.Paused()
			if got := pause.Until.Sub(now); got != want*time.Second {
				t.Errorf("pause of %s, want %d s", got, want)
			}
			time.Sleep(pause.Until.Sub(now) + time.Millisecond)
		}
		enterNow(t, g).land(nil) // one good answer ends the row
		time.Sleep(time.Millisecond)
		p := enterNow(t, g)
		time.Sleep(time.Millisecond)
		now := time.Now()
		p.land(&demand{slow: true})
		if pause, _ := g.Paused(); pause.Until.Sub(now) != 61*time.Second {
			t.Errorf("pause of %s after a good answer, want 61 s", pause.Until.Sub(now))
		}
	})
}

func TestPaceRecoversByQuietMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{})
		refuse := func() {
			p := enterNow(t, g)
			time.Sleep(time.Millisecond)
			p.land(&demand{slow: true, until: time.Now().Add(9 * time.Second)})
			time.Sleep(10*time.Second + time.Millisecond)
		}
		room := func(want int) {
			t.Helper()
			enterNow(t, g).abandon() // whoever enters sees to the pace
			if got := g.room(); got != want {
				t.Errorf("room for %d points, want %d", got, want)
			}
		}
		refuse()
		room(450)
		time.Sleep(time.Minute)
		room(540)
		time.Sleep(2 * time.Minute)
		room(720)
		time.Sleep(time.Hour)
		room(900)
		for range 10 {
			refuse()
		}
		room(90) // the floor
	})
}

func TestQuotaPauseTurnsAwayTheImpatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{Concurrent: 1})
		p := enterNow(t, g)
		type result struct {
			pass *pass
			err  error
		}
		waiting := func(patient bool) chan result {
			done := make(chan result, 1)
			go func() {
				got, err := g.enter(t.Context(), 1, readPoints, patient)
				done <- result{got, err}
			}()
			return done
		}
		impatient, patient := waiting(false), waiting(true)
		synctest.Wait()
		reset := time.Now().Add(20 * time.Minute)
		p.land(&demand{quota: true, until: reset})
		if r := <-impatient; !errors.Is(r.err, errSpent) {
			t.Errorf("the impatient one got %v", r.err)
		}
		if _, err := g.enter(t.Context(), 2, readPoints, false); !errors.Is(err, errSpent) {
			t.Errorf("a later impatient one got %v", err)
		}
		r := <-patient
		if r.err != nil || time.Now().Before(reset.Add(time.Second)) {
			t.Errorf("the patient one got %v at %s, reset is %s", r.err, time.Now(), reset)
		}
		if pause, _ := g.Paused(); pause.Pace != 1 {
			t.Errorf("pace %v: a spent quota says nothing about the pace", pause.Pace)
		}
		r.pass.land(nil)
	})
}

func TestRestoredPauseIsObeyed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{})
		g.OnPause(func(Pause) { t.Error("a restored pause was told as news") })
		stored := Pause{Until: time.Now().Add(time.Minute), Why: "limit", Pace: 0.25}
		g.Restore(stored)
		g.Restore(Pause{Until: time.Now().Add(time.Second), Pace: 1}) // never shortens
		mustWait(t, g)
		if p, on := g.Paused(); !on || p.Why != "limit" || p.Pace != 0.25 || !p.Until.Equal(stored.Until) {
			t.Errorf("got %+v", p)
		}
		time.Sleep(time.Minute)
		enterNow(t, g).land(nil)
	})
}

func TestRepositoriesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{Concurrent: 1})
		hold := enterNow(t, g)
		var mu sync.Mutex
		var order []int64
		var all sync.WaitGroup
		for _, repository := range []int64{1, 1, 1, 1, 2, 2, 3} {
			all.Go(func() {
				p, err := g.enter(t.Context(), repository, readPoints, true)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				order = append(order, repository)
				mu.Unlock()
				time.Sleep(time.Millisecond)
				p.land(nil)
			})
			synctest.Wait() // in this order
		}
		hold.land(nil)
		all.Wait()
		if want := []int64{1, 2, 3, 1, 2, 1, 1}; !slices.Equal(order, want) {
			t.Errorf("served in the order %v, want %v", order, want)
		}
	})
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := NewGovernor(Limits{Concurrent: 1})
		hold := enterNow(t, g)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() {
			_, err := g.enter(ctx, 1, readPoints, true)
			done <- err
		}()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		hold.land(nil)
		enterNow(t, g).land(nil) // who left takes no place
	})
}

func TestReplicasShareTheLimit(t *testing.T) {
	g := NewGovernor(Limits{})
	g.SetShare(3)
	if g.room() != 300 || g.concurrent() != 33 {
		t.Errorf("a third is %d points and %d at once", g.room(), g.concurrent())
	}
	g.SetShare(1000)
	if g.room() != writePoints || g.concurrent() != 1 {
		t.Errorf("the least is %d points and %d at once: one write must fit", g.room(), g.concurrent())
	}
	g.SetShare(0)
	if g.room() != 900 {
		t.Errorf("alone again there is room for %d", g.room())
	}
}

// The estimate is what the same requests then take.
func TestEstimateComesTrue(t *testing.T) {
	for _, c := range []struct{ reads, writes, concurrency int }{
		{1, 0, 1}, {4, 100, 10}, {4, 100, 50}, {0, 180, 100}, {0, 181, 10}, {5, 400, 20}, {2000, 0, 100},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const latency = 80 * time.Millisecond
				g := NewGovernor(Limits{})
				g.Restore(Pause{Until: time.Now().Add(5 * time.Second), Pace: 1})
				estimate := g.Estimate(c.reads, c.writes, c.concurrency, latency)
				began := time.Now()
				lanes := make(chan struct{}, c.concurrency)
				var all sync.WaitGroup
				for i := range c.reads + c.writes {
					points := readPoints
					if i >= c.reads {
						points = writePoints
					}
					lanes <- struct{}{}
					all.Go(func() {
						p, err := g.enter(t.Context(), 1, points, true)
						if err != nil {
							t.Error(err)
							return
						}
						time.Sleep(latency)
						p.land(nil)
						<-lanes
					})
				}
				all.Wait()
				if took := time.Since(began); (took - estimate).Abs() > time.Second {
					t.Errorf("estimated %s, took %s", estimate, took)
				}
			})
		})
	}
	if d := NewGovernor(Limits{}).Estimate(0, 0, 10, time.Second); d != 0 {
		t.Errorf("nothing takes %s", d)
	}
}

// Nothing is sent while another client of the same credential is refused.
func TestClientsShareAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		refused := true
		handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if refused {
				refused = false
				w.Header().Set("Retry-After", "30")
				canned(403, nil, `{"message":"You have exceeded a secondary rate limit."}`).ServeHTTP(w, r)
				return
			}
			canned(200, nil, `{"resources":{}}`).ServeHTTP(w, r)
		})
		g := NewGovernor(Limits{})
		share := func(cfg *Config) { cfg.Governor, cfg.Retry = g, Retry{} }
		a, b := against(t, handler, share), against(t, handler, share)
		began := time.Now()
		done := make(chan error, 1)
		go func() { _, err := a.RateLimit(t.Context()); done <- err }()
		synctest.Wait()
		if _, err := b.RateLimit(t.Context()); err != nil || time.Since(began) < 31*time.Second {
			t.Errorf("the other client went on after %s: %v", time.Since(began), err)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
