package store_test

import (
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// large opens a database that seed, a script for either engine, has filled behind the store's back.
func large(b *testing.B, dsn string, seed func(s *store.Store, db *sql.DB) error) *store.Store {
	b.Helper()
	s := storetest.Open(b, store.Config{DSN: dsn})
	driver, name := "pgx", dsn
	if s.Dialect() == "sqlite" {
		driver, name = "sqlite", "file:"+pathOf(dsn)+"?_pragma=busy_timeout(10000)&_pragma=synchronous(OFF)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	if err := seed(s, db); err != nil {
		b.Fatal(err)
	}
	if _, err := db.Exec("ANALYZE"); err != nil {
		b.Fatal(err)
	}
	return s
}

// series is a table n of the numbers 1 to count, called i.
func series(s *store.Store, count int) string {
	if s.Dialect() == "postgres" {
		return fmt.Sprintf("generate_series(1, %d) AS n(i)", count)
	}
	return fmt.Sprintf("(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d) SELECT i FROM n) AS n", count)
}

// numbered is an id with a number in it, as SQL.
func numbered(s *store.Store, first string) string {
	if s.Dialect() == "postgres" {
		return "('" + first + "0000000-0000-4000-8000-' || lpad(to_hex(n.i), 12, '0'))::uuid"
	}
	return "'" + first + "0000000-0000-4000-8000-' || printf('%012x', n.i)"
}

// minutes is so many minutes before the base, as SQL: a time of PostgreSQL, or microseconds.
func minutes(s *store.Store, base time.Time, count string) string {
	if s.Dialect() == "postgres" {
		return fmt.Sprintf("('%s'::timestamptz - (%s) * interval '1 minute')", base.Format(time.RFC3339), count)
	}
	return fmt.Sprintf("(%d - (%s) * 60000000)", base.UnixMicro(), count)
}

func engines(b *testing.B, run func(b *testing.B, dsn string)) {
	b.Run("sqlite", func(b *testing.B) { run(b, storetest.SQLite(b)) })
	b.Run("postgres", func(b *testing.B) { run(b, storetest.Postgres(b)) })
}

// BenchmarkEvents reads pages out of a million events of one project.
func BenchmarkEvents(b *testing.B) {
	const million = 1_000_000
	engines(b, func(b *testing.B, dsn string) {
		base := time.Now().UTC().Truncate(time.Second)
		var project uuid.UUID
		s := large(b, dsn, func(s *store.Store, db *sql.DB) error {
			p, err := s.EnsureProject(b.Context(), base, store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1})
			if err != nil {
				return err
			}
			project = p.ID
			const hash = "0000000000000000000000000000000000000000000000000000000000000000"
			_, err = db.Exec(`INSERT INTO secret_sync_events (id, project_id, actor_id, operation, secret_name, affected_scopes, status,
				success_count, failure_count, correlation_id, duration_ms, created_at, seq, prev_hash, hash)
				SELECT ` + numbered(s, "a") + `, '` + p.ID.String() + `', '` + store.Scheduler.String() + `',
				CASE WHEN n.i % 10 = 0 THEN 'create' ELSE 'update' END, 'NAME_' || (n.i % 500), '{actions}', 'success',
				1, 0, ` + numbered(s, "b") + `, 1, ` + minutes(s, base, fmt.Sprintf("(%d - n.i) / 10", million)) + `, n.i, '` + hash + `', '` + hash + `'
				FROM ` + series(s, million))
			return err
		})
		first := store.Filter{Project: project}
		_, next, err := s.Events(b.Context(), first)
		if err != nil {
			b.Fatal(err)
		}
		later := store.Filter{Project: project, To: base.Add(-50_000 * time.Minute)}
		_, middle, err := s.Events(b.Context(), later)
		if err != nil {
			b.Fatal(err)
		}
		for name, f := range map[string]store.Filter{
			"first":     first,
			"second":    {Project: project, Before: next},
			"middle":    {Project: project, Before: middle},
			"secret":    {Project: project, Before: middle, Secret: "NAME_77"},
			"operation": {Project: project, Before: middle, Operation: audit.Create},
			"rare":      {Project: project, Status: audit.Failure},
			"actor":     {Project: project, Actor: store.Local},
			"longest":   {Project: project, Before: middle, Limit: 500},
		} {
			b.Run(name, func(b *testing.B) {
				for b.Loop() {
					if _, _, err := s.Events(b.Context(), f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	})
}

// BenchmarkStatus does what a request for a project's status needs, among ten thousand projects.
func BenchmarkStatus(b *testing.B) {
	const projects = 10_000
	engines(b, func(b *testing.B, dsn string) {
		now := time.Now().UTC().Truncate(time.Second)
		var user store.User
		s := large(b, dsn, func(s *store.Store, db *sql.DB) (err error) {
			if user, err = s.EnsureUser(b.Context(), now, "ada"); err != nil {
				return err
			}
			at := minutes(s, now, "0")
			for _, statement := range []string{
				"INSERT INTO projects (id, name, slug, api_host, owner, repo, repository_id, created_at, updated_at) SELECT " +
					numbered(s, "c") + ", 'p', 'p-' || n.i, 'h', 'o', 'r' || n.i, n.i, " + at + ", " + at + " FROM " + series(s, projects),
				"INSERT INTO project_members (project_id, user_id, role, created_at, updated_at) SELECT " +
					numbered(s, "c") + ", '" + user.ID.String() + "', 'viewer', " + at + ", " + at + " FROM " + series(s, projects),
				"INSERT INTO secret_mappings (id, project_id, secret_name, value_hash, target_scopes, sync_status, created_at, updated_at) SELECT " +
					numbered(s, "d") + ", " + strings.ReplaceAll(numbered(s, "c"), "n.i", "(n.i % 10000 + 1)") + ", 'NAME_' || n.i, '" +
					strings.Repeat("0", 64) + "', '{codespaces}', 'synced', " + at + ", " + at + " FROM " + series(s, 10*projects),
			} {
				if _, err := db.Exec(statement); err != nil {
					return fmt.Errorf("%.60s: %w", statement, err)
				}
			}
			return nil
		})
		if _, err := s.CreateToken(b.Context(), now, store.Token{UserID: user.ID, Role: store.Viewer, Hash: someHash, ExpiresAt: now.Add(time.Hour)}); err != nil {
			b.Fatal(err)
		}
		b.Run("one", func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if err := status(b, s, i%projects+1); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("active", func(b *testing.B) {
			for b.Loop() {
				for _, err := range s.ActiveProjects(b.Context()) {
					if err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	})
}

func status(b *testing.B, s *store.Store, n int) error {
	project := uuid.MustParse(fmt.Sprintf("c0000000-0000-4000-8000-%012x", n))
	t, _, _, err := s.TokenByHash(b.Context(), someHash)
	if err != nil {
		return err
	}
	if _, _, _, err := s.ProjectFor(b.Context(), t.UserID, project); err != nil {
		return err
	}
	_, err = s.Standing(b.Context(), store.Inquiry{Project: project, Credential: "bench", Since: time.Now().Add(-time.Hour), FullHash: someHash, Recent: 4})
	return err
}

// BenchmarkQueue starts runs, and does their jobs.
func BenchmarkQueue(b *testing.B) {
	engines(b, func(b *testing.B, dsn string) {
		s := storetest.Open(b, store.Config{DSN: dsn, Queue: true})
		p, err := s.EnsureProject(b.Context(), time.Now(), store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1})
		if err != nil {
			b.Fatal(err)
		}
		b.Run("start", func(b *testing.B) {
			for b.Loop() {
				id := uuid.New()
				hash := strings.Repeat(strings.ReplaceAll(id.String(), "-", ""), 2)
				if _, _, err := s.StartRun(b.Context(), time.Now(), store.Run{ID: id, Project: p.ID, Actor: store.Local}, store.StartOptions{OptionsHash: hash}); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkOpen is what every command pays before its first request: for a new file, for one that
// is there, and for one that is only read; and what a service pays besides for its queue.
func BenchmarkOpen(b *testing.B) {
	open := func(b *testing.B, cfg store.Config) {
		s, err := store.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("new", func(b *testing.B) {
		dir := b.TempDir()
		for i := 0; b.Loop(); i++ {
			open(b, store.Config{DSN: filepath.Join(dir, fmt.Sprint(i), "o.db")})
		}
	})
	dsn := storetest.SQLite(b)
	open(b, store.Config{DSN: dsn})
	b.Run("there", func(b *testing.B) {
		for b.Loop() {
			open(b, store.Config{DSN: dsn})
		}
	})
	b.Run("service", func(b *testing.B) {
		for b.Loop() {
			open(b, store.Config{DSN: dsn, Queue: true})
		}
	})
	b.Run("read only", func(b *testing.B) {
		for b.Loop() {
			open(b, store.Config{DSN: dsn, ReadOnly: true})
		}
	})
}

// BenchmarkRun stores what a run of 50 secrets in two scopes leaves behind: intents, outcome, and
// memory read again.
func BenchmarkRun(b *testing.B) {
	engines(b, func(b *testing.B, dsn string) {
		s := storetest.Open(b, store.Config{DSN: dsn})
		p, err := s.EnsureProject(b.Context(), time.Now(), store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1})
		if err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			storeRun(b, s, p.ID)
		}
	})
}

func storeRun(b *testing.B, s *store.Store, project uuid.UUID) {
	now, scopes := time.Now(), []secret.Scope{secret.Codespaces, secret.Dependabot}
	run := store.Run{ID: uuid.New(), Project: project, Actor: store.Local, StartedAt: now}
	in := store.Intents{Project: project, Run: run.ID, At: now, Source: "file:/.env"}
	o := store.Outcome{Project: project, Actor: store.Local}
	for i := range 50 {
		spelled := fmt.Sprintf("SECRET_%d", i)
		name := secret.MustName(spelled)
		o.Mappings = append(o.Mappings, store.MappingRecord{Name: name, TargetScopes: scopes, Status: store.Synced, LastSyncedAt: now})
		o.Events = append(o.Events, audit.Event{Operation: audit.Update, SecretName: &spelled}.Outcome(scopes, nil, ""))
		for _, scope := range scopes {
			in.Targets = append(in.Targets, store.Target{Name: name, Scope: scope})
			o.States = append(o.States, store.StateRecord{Name: name, Scope: scope, Source: in.Source, TargetUpdatedAt: now, WrittenAt: now})
		}
	}
	if err := s.BeginRun(b.Context(), run); err != nil {
		b.Fatal(err)
	}
	if err := s.OpenIntents(b.Context(), now, in); err != nil {
		b.Fatal(err)
	}
	o.Run = run
	o.Run.State = store.Succeeded
	if _, err := s.Record(b.Context(), now, o); err != nil {
		b.Fatal(err)
	}
	if known, err := s.Memory(b.Context(), project); err != nil || len(known) != 50 {
		b.Fatal(len(known), err)
	}
}
