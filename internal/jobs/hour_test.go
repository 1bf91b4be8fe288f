package jobs_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/store"
)

// An inProcess transport asks a handler without a network, so that simulated time can pass.
type inProcess struct{ http.Handler }

func (h inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil {
		r.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, r)
	_, _ = io.Copy(io.Discard, r.Body)
	return rec.Result(), nil
}

// bubbleVariable tells this program that it runs one test in simulated time.
const bubbleVariable = "OCTOSEAL_TEST_JOBS_BUBBLE"

// inSimulatedTime runs a test at the default intervals, where an hour takes seconds. It does so in a
// process of its own: the regular expressions have one clock for a process, which does not bear
// that time differs from test to test.
func inSimulatedTime(t *testing.T, test func(t testing.TB, w *world)) {
	t.Helper()
	if testing.Short() {
		t.Skip("an hour passes in seconds, but in minutes under the race detector")
	}
	if os.Getenv(bubbleVariable) == "" {
		cmd := exec.Command(os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
		cmd.Env = append(os.Environ(), bubbleVariable+"=1")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, sim: githubsim.New(githubsim.Config{}), env: t.TempDir() + "/.env", url: "http://127.0.0.1:1"}
		w.token = w.sim.AddToken(githubsim.Token{})
		db, err := store.Open(t.Context(), store.Config{DSN: memoryDSN, Queue: true})
		if err != nil {
			t.Fatal(err)
		}
		w.db = db
		defer func() { // also when the test gives up: a bubble waits for what is open in it
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute) // what the last writes were followed by, ends
		}()
		test(t, w)
	})
}

// atDefaults makes a replica's intervals those of production.
func (w *world) atDefaults(j *jobs.Config, gh *github.Config) {
	gh.Transport, gh.Limits, gh.Retry = inProcess{conform.Handler(w.t, w.sim)}, github.Limits{}, github.Retry{}
	j.Interval, j.Drift, j.Roster, j.Files, j.Retries, j.Lapse = 0, 0, 0, 0, nil, 0
}

func TestAnIdleHourOfFiftyProjectsCostsNothing(t *testing.T) {
	inSimulatedTime(t, func(t testing.TB, w *world) {
		w.write(values{"TOKEN": "one"})
		var names []string
		var all []store.Project
		for i := range 50 {
			names = append(names, fmt.Sprintf("acme/p%02d", i))
			all = append(all, w.project(names[i]))
		}
		stop := w.replica(w.atDefaults, names...).run()
		inStep := func() bool {
			for i, n := range names {
				if !w.holds(n, values{"TOKEN": "one"}) || !w.idle(all[i]) {
					return false
				}
			}
			return true
		}
		for range 30 {
			if time.Sleep(10 * time.Second); inStep() {
				break
			}
		}
		if !inStep() {
			t.Fatal("not in step after five minutes")
		}
		time.Sleep(2 * time.Minute)
		w.sim.ResetRequests()
		time.Sleep(time.Hour)
		c := w.sim.Counts()
		t.Logf("an idle hour: %+v", c)
		if c.Billed != 0 || c.Writes != 0 || c.Requests < 50*60 {
			t.Errorf("an idle hour: %+v", c)
		}
		if half := 450 * 62; c.Requests > half {
			t.Errorf("%d requests are more than half of what the credential may send", c.Requests)
		}
		stop()
	})
}

func TestWithinNinetySecondsAtTheDefaultInterval(t *testing.T) {
	inSimulatedTime(t, func(t testing.TB, w *world) {
		p := w.project(repo)
		w.write(values{"TOKEN": "one"})
		stop := w.replica(w.atDefaults).run()
		defer stop()
		until := func(what string, in time.Duration, true_ func() bool) {
			began := time.Now()
			for !true_() {
				if time.Since(began) > in {
					t.Fatalf("not within %s: %s", in, what)
				}
				time.Sleep(time.Second)
			}
			t.Logf("%s after %s", what, time.Since(began))
		}
		until("a new project is in step", 90*time.Second, func() bool { return w.holds(repo, values{"TOKEN": "one"}) && w.idle(p) })

		time.Sleep(10 * time.Minute)
		w.write(values{"TOKEN": "another"})
		until("a changed file is in step", 90*time.Second, func() bool { return w.holds(repo, values{"TOKEN": "another"}) && w.idle(p) })

		for _, scope := range []string{"actions", "codespaces"} {
			time.Sleep(10 * time.Minute)
			w.sim.DeleteSecret(repo, scope, "TOKEN")
			until("a deleted copy is back in "+scope, 90*time.Second, func() bool { return w.holds(repo, values{"TOKEN": "another"}) && w.idle(p) })
		}
		time.Sleep(10 * time.Minute)
		w.sim.SetSecret(repo, "dependabot", githubsim.Secret{Name: "TOKEN", Value: "theirs"})
		until("drift is reported", 90*time.Second, func() bool { return w.runs(p)[0].State == store.Partial })
	})
}

func TestAFullRunNowAndThen(t *testing.T) {
	inSimulatedTime(t, func(t testing.TB, w *world) {
		p := w.project(repo)
		w.write(values{"TOKEN": "one"})
		w.full = 10 * time.Minute
		defer w.replica(w.atDefaults).run()()
		time.Sleep(time.Minute)
		for range 2 {
			last := w.runs(p)[0]
			due, ok := w.next(p)
			if !ok || due.Sub(last.StartedAt) < 9*time.Minute || due.Sub(last.StartedAt) > 11*time.Minute {
				t.Fatalf("the run after %s is due at %s", last.StartedAt, due)
			}
			time.Sleep(time.Until(due) + 15*time.Second)
			now := w.runs(p)[0]
			if now.ID == last.ID || now.Trigger != store.Scheduled || now.State != store.Succeeded || now.StartedAt.Before(due) {
				t.Errorf("due at %s, and the last run is %+v", due, now)
			}
		}
	})
}
