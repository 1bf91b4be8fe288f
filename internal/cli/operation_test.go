package cli_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// A service keeps its projects in step without a call of ours: it follows its sources, puts back
// what somebody deleted, and reports what somebody changed. Looking costs nothing while nothing
// changes.
func TestServeFollows(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "sqlite:"+filepath.Join(t.TempDir(), "octoseal.db"), 2)
	f.serve("--poll-interval", "500ms", "--drift-interval", "500ms")
	f.enrol()
	f.allInStep(time.Minute) // new projects
	f.nextRound()
	f.allInStep(time.Minute) // changed sources
	h := f.homes[0]
	f.github.DeleteSecret(h.repo, "codespaces", h.name(0))
	f.allInStep(time.Minute) // a target that lost a secret

	f.github.Advance(time.Minute) // so that it is not taken for the end of a write of our own
	f.github.SetSecret(h.repo, "dependabot", githubsim.Secret{Name: h.name(1), Value: "somebody's"})
	f.eventually(time.Minute, func() error {
		a := f.replicas[0].ask(http.MethodGet, "/github/secrets/sync/status?projectId="+h.project, "", nil)
		if a.text("status") != "error" {
			return fmt.Errorf("a changed target: %s", a)
		}
		return nil
	})
	if got, _ := f.github.Value(h.repo, "dependabot", h.name(1)); got != "somebody's" {
		t.Errorf("what somebody set is now %q", got)
	}
	f.idle()
}

// idle demands that looking bills nothing, once everything that changed was looked at.
func (f *fleet) idle() {
	f.Helper()
	const looks = 12
	billed := -1
	f.eventually(time.Minute, func() error { // the list that changed last may still be due
		if billed == 0 && f.github.Counts().Requests >= looks {
			return nil
		}
		if billed = f.github.Counts().Billed; billed > 0 {
			f.github.ResetRequests()
		}
		return fmt.Errorf("%d requests are billed in an idle time", billed)
	})
}

// PostgreSQL goes away in the middle of runs. Whoever asks is told so, nothing is lost, and when it
// is back work goes on by itself.
func TestDatabaseAway(t *testing.T) {
	long(t)
	t.Parallel()
	dsn, line := storetest.Severable(t)
	f := newFleet(t, dsn, 4)
	f.serve("--poll-interval", "2s")
	f.enrol()
	f.github.SetFaults(githubsim.Faults{Latency: 20 * time.Millisecond})
	cut, refused := make(chan struct{}), &atomic.Int64{}
	var writes atomic.Int64
	f.github.OnAnswer(func(r githubsim.Request) {
		if r.Method == http.MethodPut && writes.Add(1) == 7 {
			line.Cut()
			close(cut)
		}
	})
	asked := f.askThrough(refused)
	<-cut
	for _, path := range []string{"/readyz", "/projects", "/github/secrets/sync/status?projectId=" + f.homes[0].project} {
		a := f.replicas[0].ask(http.MethodGet, path, "", nil)
		if a.status != http.StatusServiceUnavailable || a.code() != "STORE_UNAVAILABLE" {
			t.Errorf("%s without a database: %s", path, a)
		}
	}
	f.nextRound()
	f.eventually(time.Minute, func() error { // every caller has heard of it
		if n := refused.Load(); n < int64(len(f.homes)) {
			return fmt.Errorf("%d callers were told that the database is away", n)
		}
		return nil
	})
	time.Sleep(3 * time.Second) // no lease is still held by anybody
	line.Mend()
	asked.Wait()
	f.allInStep(time.Minute)
	f.wholeTrail()
}

// askThrough has a caller for every project ask until its run ends, and counts how often they were
// told that the database is away. Any other refusal is wrong.
func (f *fleet) askThrough(refused *atomic.Int64) *sync.WaitGroup {
	group := &sync.WaitGroup{}
	for _, h := range f.homes {
		group.Go(func() {
			for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
				a := f.replicas[0].sync(h, "through")
				switch {
				case a.status == http.StatusOK:
					return
				case a.status == http.StatusServiceUnavailable && a.code() == "STORE_UNAVAILABLE":
					refused.Add(1)
				default:
					f.Errorf("sync of %s: %s", h.repo, a)
					return
				}
			}
			f.Errorf("sync of %s: its run did not end", h.repo)
		})
	}
	return group
}
