package storetest

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// Memory is the DSN of a database that is gone when it is closed.
const Memory = "sqlite::memory:"

// SQLite returns the DSN of a file that is not there yet.
func SQLite(t testing.TB) (dsn string) {
	return "sqlite:" + filepath.Join(t.TempDir(), "octoseal.db")
}

// New opens a database in memory for the length of the test.
func New(t testing.TB) *store.Store { return Open(t, store.Config{DSN: Memory}) }

// Open opens a database for the length of the test.
func Open(t testing.TB, cfg store.Config) *store.Store {
	t.Helper()
	s, err := store.Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// A law is one part of the contract.
type law struct {
	name  string
	holds func(*world)
	needs need
}

// A need is what a law cannot do without.
type need int

const (
	ways  need = 1 << iota // several ways into one database: one in memory has a single one
	queue                  // the queue
)

var laws = []law{
	{"projects", projects, 0},
	{"archive", archive, queue},
	{"pages of projects", pagesOfProjects, 0},
	{"patches", patches, 0},
	{"memory is what was recorded", memory, 0},
	{"one mapping", oneMapping, 0},
	{"intents", intents, 0},
	{"recording twice", recordingTwice, 0},
	{"record is whole or nothing", wholeOrNothing, 0},
	{"scopes", scopes, 0},
	{"runs", runs, 0},
	{"progress", progress, 0},
	{"standing", standing, 0},
	{"rules", rules, 0},
	{"lists", lists, 0},
	{"quotas", quotas, 0},
	{"limits", limits, 0},
	{"pauses", pauses, 0},
	{"environments", environmentConfigs, 0},
	{"events of environments", environmentEvents, 0},
	{"what no environment may be", environmentRefusals, 0},
	{"intents in environments", environmentIntents, 0},
	{"previews", previews, 0},
	{"users", users, 0},
	{"members", members, 0},
	{"tokens", tokens, 0},
	{"deliveries", deliveries, 0},
	{"replicas", replicas, 0},
	{"events", events, 0},
	{"strange text", strangeText, 0},
	{"chain", chain, 0},
	{"lease", lease, 0},
	{"lease lost", leaseLost, 0},
	{"lease kept", leaseKept, 0},
	{"lease of many", leaseOfMany, 0},
	{"purge", purge, 0},
	{"cancelled", cancelled, 0},
	{"constraints", constraints, ways},
	{"append only", appendOnly, ways},
	{"appending from several stores", severalStores, ways},
	{"starting together", startingTogether, ways | queue},
	{"a newer schema is refused", newerSchema, ways},
	{"read only", readOnly, ways},
	{"missing tables", missingTables, ways},
	{"starting a run", startRun, queue},
	{"starting a run many times at once", startTogether, queue},
	{"starting a run wholly", startWholly, queue},
	{"dispatches", dispatches, queue},
	{"a dispatch behind a run at work", dispatchBehindWork, queue},
	{"a dispatch behind a claimed run", dispatchBehindClaim, queue},
	{"a dispatch that is refused", dispatchRefused, queue},
	{"dispatching together", dispatchTogether, queue},
	{"waiting for a job", waiting, queue},
	{"a run of a job that is there", startWaiting, queue},
	{"sessions", sessions, queue},
	{"tokens seen", seenTokens, 0},
	{"upkeep of the relay", relayUpkeep, queue},
	{"jobs", jobs, queue},
	{"unique jobs", uniqueJobs, queue},
	{"retries", retries, queue},
	{"stopping", stopping, queue},
	{"upkeep", upkeep, queue},
	{"a dead worker", deadWorker, ways | queue},
	{"a deadly job", poison, ways | queue},
	{"periodic jobs", periodic, ways | queue},
	{"without its queue", withoutQueue, ways | queue},
}

// Run is the contract. fresh answers the DSN of a new, empty database; laws that need several
// stores on one database, or a way in behind the store's back, pass over one in memory.
func Run(t *testing.T, fresh func(testing.TB) (dsn string)) {
	for _, law := range laws {
		t.Run(law.name, func(t *testing.T) {
			dsn := fresh(t)
			if dsn == Memory && law.needs&ways != 0 {
				t.Skip("a database in memory has one way in")
			}
			law.holds(newWorld(t, dsn, law.needs&queue != 0))
		})
	}
}

// A world is a store with one project in it, and a clock that stands still unless moved.
type world struct {
	*testing.T
	ctx     context.Context
	dsn     string
	queue   bool
	store   *store.Store
	now     time.Time
	project store.Project
}

// noon is when every test begins. It has the microseconds that must survive, and nanoseconds that
// need not.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 123_456_789, time.UTC)

func newWorld(t *testing.T, dsn string, queue bool) *world {
	w := &world{T: t, ctx: context.Background(), dsn: dsn, queue: queue, now: noon}
	w.store = Open(t, w.config())
	w.project = w.newProject("acme", "web", 7)
	return w
}

func (w *world) config() store.Config {
	return store.Config{DSN: w.dsn, Queue: w.queue, Now: func() time.Time { return w.now }}
}

// onPostgres says whether the database is PostgreSQL.
func (w *world) onPostgres() bool { return w.store.Dialect() == "postgres" }

// check ends the test on an error.
func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// same fails the test unless got is want.
func (w *world) same(what string, got, want any) {
	w.Helper()
	if diff := cmp.Diff(want, got, byValue...); diff != "" {
		w.Fatalf("%s (-want +got):\n%s", what, diff)
	}
}

// byValue compares what keeps its content to itself.
var byValue = cmp.Options{
	cmp.Comparer(func(a, b secret.Name) bool { return a == b }),
	cmp.Comparer(func(a, b secret.Scope) bool { return a == b }),
	cmp.Comparer(func(a, b secret.Hash) bool { return a.String() == b.String() && a.KeyID() == b.KeyID() }),
}

func (w *world) newProject(owner, repo string, id int64) store.Project {
	w.Helper()
	p, err := w.store.EnsureProject(w.ctx, w.now, store.Project{
		APIHost: "api.github.com", Owner: owner, Repo: repo, RepositoryID: id, DefaultBranch: "main",
	})
	w.check(err)
	return p
}

// begin stores a new run.
func (w *world) begin() store.Run {
	w.Helper()
	run := store.Run{ID: uuid.New(), Project: w.project.ID, Actor: store.Local, Trigger: store.Manual, State: store.Running, StartedAt: w.now}
	w.check(w.store.BeginRun(w.ctx, run))
	return run
}

// record stores an outcome of run, which thereby succeeded.
func (w *world) record(run store.Run, o store.Outcome) {
	w.Helper()
	_, err := w.store.Record(w.ctx, w.now, w.outcome(run, o))
	w.check(err)
}

func (w *world) outcome(run store.Run, o store.Outcome) store.Outcome {
	o.Project, o.Actor, o.Run = w.project.ID, store.Local, run
	if o.Run.ID != uuid.Nil && o.Run.FinishedAt.IsZero() {
		o.Run.State, o.Run.FinishedAt = store.Succeeded, w.now
	}
	return o
}

// micro is a moment as a database keeps it.
func micro(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// raw opens the database behind the store's back.
func (w *world) raw() *sql.DB {
	w.Helper()
	driver, dsn := "pgx", w.dsn
	if !w.onPostgres() {
		driver, dsn = "sqlite", "file:"+strings.TrimPrefix(w.dsn, "sqlite:")+"?_pragma=foreign_keys(1)&_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, dsn)
	w.check(err)
	db.SetMaxOpenConns(1)
	w.Cleanup(func() { db.Close() })
	return db
}

// refused says whether a constraint or a trigger of the database is what stopped a statement.
func refused(err error) bool {
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		return e.Code()&0xff == sqlite3.SQLITE_CONSTRAINT
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		// 22001 is a text longer than its column.
		return strings.HasPrefix(e.Code, "23") || e.Code == "22001"
	}
	return false
}
