package jobs_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
	"github.com/octoseal/octoseal/internal/syncing"
)

// childVariable tells this program to be a replica: database, API, token and file, with spaces between.
const childVariable = "OCTOSEAL_TEST_JOBS_CHILD"

// child is a replica that only a signal ends.
func child(how string) {
	part := strings.Fields(how)
	db, err := store.Open(context.Background(), store.Config{DSN: part[0], Queue: true})
	if err == nil {
		err = serve(db, part[1], part[2], part[3])
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func serve(db *store.Store, api, token, file string) error {
	accounts, err := syncing.NewAccounts(github.Config{BaseURL: api, Credential: github.Token(token, "the test's token")}, db, nil)
	if err != nil {
		return err
	}
	origin := syncing.Origin{Name: "local", From: "file:" + file, Repositories: []github.Ref{{Owner: "acme", Name: "widgets"}}}
	sources, err := syncing.NewSources([]syncing.Origin{origin}, source.Options{})
	if err != nil {
		return err
	}
	host := strings.TrimPrefix(api, "http://")
	service := syncing.New(syncing.Config{
		Accounts: accounts, Sources: sources, Store: db, APIHost: host, Holder: "the child", Settings: syncing.Settings{Lease: quick, Concurrency: 1},
	})
	return jobs.New(jobs.Config{Store: db, Service: service, Accounts: accounts, APIHost: host, Roster: 100 * time.Millisecond}).Run(context.Background())
}

// A run whose process is killed after some of its writes is the same run when another process has
// finished it: one row, its events once, nothing forced.
func TestAKilledRunGoesOnElsewhere(t *testing.T) {
	for engine, dsn := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "octoseal.db") },
		"postgres": func(t *testing.T) string { return storetest.Postgres(t) },
	} {
		t.Run(engine, func(t *testing.T) {
			w := newWorld(t, dsn(t))
			p := w.project(repo)
			v := values{}
			for i := range 10 {
				v[fmt.Sprintf("SECRET_%d", i)] = fmt.Sprint("value ", i)
			}
			w.write(v)
			w.killAtWrite(7)

			before := w.runs(p)
			if len(before) != 1 || before[0].State != store.Running {
				t.Fatalf("after the kill: %+v", before)
			}
			killed := time.Now()
			w.replica(nil).run()
			w.eventually("every scope holds the values", time.Minute, func() bool { return w.holds(repo, v) && w.idle(p) })
			t.Logf("picked up and done %s after the kill", time.Since(killed).Round(time.Millisecond))

			w.onceEach(p, before[0].ID, len(v))
		})
	}
}

// killAtWrite has a replica in a process of its own work until it sends its nth write.
func (w *world) killAtWrite(n int64) {
	w.t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childVariable+"="+strings.Join([]string{w.dsn, w.url, w.token, w.env}, " "))
	cmd.Stderr = &w.log
	dead, started := make(chan struct{}), make(chan struct{})
	var writes atomic.Int64
	w.sim.OnRequest(func(r githubsim.Request) {
		if r.Write() && writes.Add(1) == n {
			<-started
			_ = cmd.Process.Kill()
			close(dead)
		}
	})
	err := cmd.Start()
	close(started)
	if err != nil {
		w.t.Fatal(err)
	}
	select {
	case <-dead:
	case <-time.After(30 * time.Second):
		_ = cmd.Process.Kill()
		w.t.Error("the replica wrote nothing")
	}
	_ = cmd.Wait()
	w.sim.OnRequest(nil)
}

// onceEach says that a run succeeded, and that the trail tells of it and of each secret once.
func (w *world) onceEach(p store.Project, run uuid.UUID, secrets int) {
	w.t.Helper()
	all := w.runs(p)
	if r := all[len(all)-1]; r.ID != run || r.State != store.Succeeded {
		w.t.Errorf("the first run is %s, %s: %s", r.ID, r.State, r.Error)
	}
	events, _, err := w.db.Events(w.t.Context(), store.Filter{Project: p.ID, CorrelationID: run, Limit: 100})
	if err != nil {
		w.t.Fatal(err)
	}
	// The secret at which it was killed may be there in one scope and not in another: an update and a
	// create.
	seen, named := map[string]bool{}, map[string]bool{}
	for _, e := range events {
		about := string(e.Operation)
		if e.SecretName != nil {
			about += " " + *e.SecretName
			named[*e.SecretName] = true
		}
		if seen[about] {
			w.t.Errorf("two events: %s", about)
		}
		seen[about] = true
	}
	if len(named) != secrets || len(events) > 1+secrets+1 || !seen[string(audit.SyncAll)] {
		w.t.Errorf("%d events of the run, about %d of %d secrets", len(events), len(named), secrets)
	}
}
