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

// Run is the contract. fresh answers the DSN of a new, empty database; laws that need several
// stores on one database, or a way in behind the store's back, pass over one in memory.
func Run(t *testing.T, fresh func(testing.TB) (dsn string)) {
	for _, law := range []struct {
		name  string
		holds func(*world)
	}{
		{"projects", projects},
		{"archive", archive},
		{"memory is what was recorded", memory},
		{"intents", intents},
		{"recording twice", recordingTwice},
		{"record is whole or nothing", wholeOrNothing},
		{"scopes", scopes},
		{"runs", runs},
		{"standing", standing},
		{"rules", rules},
		{"lists", lists},
		{"quotas", quotas},
		{"limits", limits},
		{"events", events},
		{"strange text", strangeText},
		{"chain", chain},
		{"lease", lease},
		{"lease lost", leaseLost},
		{"lease of many", leaseOfMany},
		{"purge", purge},
		{"cancelled", cancelled},
	} {
		t.Run(law.name, func(t *testing.T) { law.holds(newWorld(t, fresh(t))) })
	}
	for _, law := range []struct {
		name  string
		holds func(*world)
	}{
		{"constraints", constraints},
		{"append only", appendOnly},
		{"appending from several stores", severalStores},
		{"starting together", startingTogether},
		{"a newer schema is refused", newerSchema},
		{"read only", readOnly},
	} {
		t.Run(law.name, func(t *testing.T) {
			dsn := fresh(t)
			if dsn == Memory {
				t.Skip("a database in memory has one way in")
			}
			law.holds(newWorld(t, dsn))
		})
	}
}

// A world is a store with one project in it, and a clock that stands still unless moved.
type world struct {
	*testing.T
	ctx     context.Context
	dsn     string
	store   *store.Store
	now     time.Time
	project store.Project
}

// noon is when every test begins. It has the microseconds that must survive, and nanoseconds that
// need not.
var noon = time.Date(2026, time.November, 23, 12, 0, 0, 123_456_789, time.UTC)

func newWorld(t *testing.T, dsn string) *world {
	w := &world{T: t, ctx: context.Background(), dsn: dsn, now: noon}
	w.store = Open(t, w.config())
	w.project = w.newProject("acme", "web", 7)
	return w
}

func (w *world) config() store.Config {
	return store.Config{DSN: w.dsn, Now: func() time.Time { return w.now }}
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
