package store_test

import (
	"database/sql"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

func TestPostgresUnavailable(t *testing.T) {
	refused := func(dsn string) *fault.Fault {
		t.Helper()
		s, err := store.Open(t.Context(), store.Config{DSN: dsn})
		if err == nil {
			s.Close()
		}
		f := fault.Of(err)
		if f == nil || strings.Contains(f.Message+f.Hint, "hunter2") {
			t.Fatalf("want a fault without the password, got %v", f)
		}
		t.Logf("%s %s", f.Message, f.Hint)
		return f
	}
	if f := refused("postgres://me:hunter2@127.0.0.1:1/octoseal"); f.Code != fault.StoreUnavailable || !strings.Contains(f.Message, "127.0.0.1:1/octoseal") {
		t.Errorf("nobody listens: %v", f)
	}
	if f := refused("postgres://me:hunter2@127.0.0.1:port/octoseal"); f.Code != fault.RequestInvalid {
		t.Errorf("no URL: %v", f)
	}
	u, err := url.Parse(storetest.Postgres(t))
	if err != nil {
		t.Fatal(err)
	}
	u.Path = "/there_is_none"
	if f := refused(u.String()); f.Code != fault.StoreUnavailable || !strings.Contains(f.Message, "no database of this name") {
		t.Errorf("no such database: %v", f)
	}
}

func TestPostgresReadOnly(t *testing.T) {
	dsn := storetest.Postgres(t)
	if _, err := store.Open(t.Context(), store.Config{DSN: dsn, ReadOnly: true}); !errors.Is(err, store.ErrNoDatabase) {
		t.Errorf("the database is empty, but Open answers %v", err)
	}
	p := remember(t, storetest.Open(t, store.Config{DSN: dsn}))
	remembers(t, storetest.Open(t, store.Config{DSN: dsn, ReadOnly: true}), p)
}

// TestPostgresConnectionLost ends all connections: what was going on is answered as unavailable,
// and the next thing works.
func TestPostgresConnectionLost(t *testing.T) {
	dsn := storetest.Postgres(t)
	s := storetest.Open(t, store.Config{DSN: dsn, MaxConns: 2})
	p := remember(t, s)
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	const end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
	for range 3 {
		if _, err := db.ExecContext(t.Context(), end); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(10 * time.Second)
		for {
			_, err := s.EnsureProject(t.Context(), time.Now(), store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1, DefaultBranch: time.Now().String()})
			if err == nil {
				break
			}
			if !fault.Is(err, fault.StoreUnavailable) || time.Now().After(deadline) {
				t.Fatalf("want it unavailable for a moment, got %v", err)
			}
		}
		remembers(t, s, p)
	}
}
