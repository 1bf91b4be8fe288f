package cli_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// Two processes share a database and its work. One is killed while it writes, and comes back to find
// everything done, once. OCTOSEAL_CLUSTER_PROJECTS=200 is the size that the service is meant for.
func TestReplicas(t *testing.T) {
	long(t)
	t.Parallel()
	dsn := storetest.Postgres(t)
	survive(t, dsn, 2)
}

// One process and an SQLite file, killed and started again.
func TestOneReplicaKilled(t *testing.T) {
	long(t)
	t.Parallel()
	survive(t, "sqlite:"+filepath.Join(t.TempDir(), "octoseal.db"), 1)
}

// survive has callers ask for runs of all projects over and over, kills the process that sent one of
// the writes, changes the sources, and starts the process again.
func survive(t *testing.T, dsn string, replicas int) {
	projects, callers, patience := 12, 6, 2*time.Minute
	if n, err := strconv.Atoi(os.Getenv("OCTOSEAL_CLUSTER_PROJECTS")); err == nil {
		projects, callers, patience = n, 20, 4*time.Minute
	}
	f := newFleet(t, dsn, projects)
	flags := []string{"--poll-interval", "2s", "--drift-interval", "5s"}
	first := f.serve("--poll-interval", "off") // or most would be done before the last project is there
	f.enrol()
	first.end()
	first.start(flags...)
	for range replicas - 1 {
		f.serve(flags...)
	}
	f.github.SetFaults(githubsim.Faults{Latency: 5 * time.Millisecond})
	began := time.Now()
	fatal := 1 + rand.N(2*secretsEach*projects) // of three times as many, if nobody were to change anything
	victim := f.killAtWrite(fatal)
	asked := f.ask(callers, patience)
	select {
	case r := <-victim:
		_ = r.cmd.Wait()
		t.Logf("a replica was killed at write %d, after %s", fatal, time.Since(began).Round(time.Millisecond))
		f.nextRound()
		r.start(flags...)
	case <-time.After(patience):
		t.Fatal("nothing was written")
	}
	asked.Wait()
	t.Logf("all calls were answered after %s", time.Since(began).Round(time.Millisecond))
	f.allInStep(patience)
	t.Logf("all projects were in step after %s, by %d runs and %d writes", time.Since(began).Round(time.Millisecond),
		f.number("SELECT count(*) FROM sync_runs"), f.github.Counts().Writes)
	f.wholeTrail()
}

// killAtWrite kills the process that sent the nth write, which has taken effect then and is not
// answered yet.
func (f *fleet) killAtWrite(n int) <-chan *replica {
	killed := make(chan *replica, 1)
	var writes atomic.Int64
	f.github.OnAnswer(func(r githubsim.Request) {
		if r.Method != http.MethodPut || writes.Add(1) != int64(n) {
			return
		}
		process, err := f.witness.holder(r.Path)
		i := slices.IndexFunc(f.replicas, func(r *replica) bool { return r.cmd.Process.Pid == process })
		if err != nil || i < 0 {
			f.Errorf("%s: written by nobody we know: process %d, %v", r.Path, process, err)
			i = 0
		}
		f.replicas[i].kill()
		killed <- f.replicas[i]
	})
	return killed
}

// asksEach is how often each project is asked for.
const asksEach = 4

// ask has callers ask for every project, two at a time for the same one, again and again until
// somebody answers. Every other request carries an Idempotency-Key and is sent twice, the second time to whoever comes next.
func (f *fleet) ask(callers int, patience time.Duration) *sync.WaitGroup {
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range asksEach * len(f.homes) {
			next <- i
		}
	}()
	group := &sync.WaitGroup{}
	for range callers {
		group.Go(func() {
			for i := range next {
				h, key := f.homes[i/2%len(f.homes)], ""
				if i%2 == 0 {
					key = fmt.Sprint("call ", i)
				}
				first := f.insist(i, h, key, patience)
				if key == "" {
					continue
				}
				if again := f.insist(i+1, h, key, patience); again != first {
					f.Errorf("%s: one key made the runs %s and %s", h.repo, first, again)
				}
			}
		})
	}
	return group
}

// insist asks one replica after the other until one answers, and returns the run. That somebody does
// not answer is what a caller has to live with; any other answer than a run is not.
func (f *fleet) insist(turn int, h *home, key string, patience time.Duration) (run string) {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		a := f.replicas[turn%len(f.replicas)].sync(h, key)
		turn++
		switch {
		case a.err != nil:
		case a.status == http.StatusOK || a.status == http.StatusAccepted:
			return a.text("correlationId")
		default:
			f.Errorf("sync of %s: %s", h.repo, a)
			return ""
		}
	}
	f.Errorf("sync of %s: nobody answered for %s", h.repo, patience)
	return ""
}
