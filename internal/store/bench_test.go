package store_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// BenchmarkOpen is what every command pays before its first request: for a new file, for one that
// is there, and for one that is only read.
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
	b.Run("read only", func(b *testing.B) {
		for b.Loop() {
			open(b, store.Config{DSN: dsn, ReadOnly: true})
		}
	})
}

// BenchmarkRun stores what a run of 50 secrets in two scopes leaves behind: intents, outcome, and
// memory read again.
func BenchmarkRun(b *testing.B) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		b.Run(name, func(b *testing.B) {
			s := storetest.Open(b, store.Config{DSN: fresh(b)})
			p, err := s.EnsureProject(b.Context(), time.Now(), store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1})
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				storeRun(b, s, p.ID)
			}
		})
	}
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
