package storetest

import (
	"slices"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// startingTogether opens a database that is not there yet from many stores at once. The world's
// own database is there, so it takes another.
func startingTogether(w *world) {
	dsn := SQLite(w)
	if w.onPostgres() {
		dsn = Postgres(w)
	}
	const replicas = 6
	var group sync.WaitGroup
	for range replicas {
		group.Go(func() {
			s, err := store.Open(w.ctx, store.Config{DSN: dsn, Queue: true, Now: func() time.Time { return w.now }})
			if err != nil {
				w.Error(err)
				return
			}
			if _, err := s.EnsureProject(w.ctx, w.now, store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1}); err != nil {
				w.Error(err)
			}
			if err := s.Close(); err != nil {
				w.Error(err)
			}
		})
	}
	group.Wait()
	w.dsn = dsn
	w.store = Open(w, w.config())
	w.check(w.store.Ready(w.ctx))
	rules, err := w.store.Rules(w.ctx, w.project.ID)
	w.check(err)
	w.same("seeded once", len(rules), 7)
	if !w.onPostgres() {
		return
	}
	w.same("partitions", w.partitions(), []string{
		"secret_sync_events_2026_11", "secret_sync_events_2026_12", "secret_sync_events_2027_01", "secret_sync_events_2027_02", "secret_sync_events_default",
	})
	w.latePartitions()
}

// latePartitions lets nobody make partitions for a year: the default one takes the events, and the
// months it serves get none.
func (w *world) latePartitions() {
	w.Helper()
	w.project = w.newProject("acme", "late", 77)
	w.now = noon.AddDate(1, 0, 0)
	w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
	var group sync.WaitGroup
	ready := make(chan struct{})
	for range 8 {
		group.Go(func() {
			<-ready
			if err := w.store.Partitions(w.ctx, w.now); err != nil {
				w.Error(err)
			}
		})
	}
	close(ready)
	group.Wait()
	names := w.partitions()
	w.same("the month begun", slices.Contains(names, "secret_sync_events_2027_11"), false)
	w.same("the month after", slices.Contains(names, "secret_sync_events_2027_12"), true)
	w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
	w.verify(2)
	w.now = w.now.AddDate(1, 0, 0)
	purged, err := w.store.Purge(w.ctx, w.now)
	w.check(err)
	w.same("purged from the default partition", purged, int64(2))
	w.verify(0)
}

func newerSchema(w *world) {
	_, err := w.raw().ExecContext(w.ctx, `INSERT INTO schema_versions (version_id, is_applied) VALUES (99, true)`)
	w.check(err)
	for _, only := range []bool{false, true} {
		cfg := w.config()
		cfg.ReadOnly = only
		_, err = store.Open(w.ctx, cfg)
		w.same("refused", fault.Is(err, fault.StoreUnavailable), true)
	}
}

// readOnly reads beside a writer, and writes nothing.
func readOnly(w *world) {
	w.record(w.begin(), store.Outcome{Mappings: []store.MappingRecord{{Name: alpha, TargetScopes: secret.Stores()}}})
	cfg := w.config()
	cfg.ReadOnly = true
	s := Open(w, cfg)
	known, err := s.Memory(w.ctx, w.project.ID)
	w.check(err)
	w.same("memory", len(known), 1)
	_, err = s.EnsureProject(w.ctx, w.now, store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1})
	w.same("writing", err != nil, true)
}

// missingTables is a database that somebody damaged while it was open: it cannot be used, which is no
// fault of whoever asked.
func missingTables(w *world) {
	cascade := ""
	if w.onPostgres() {
		cascade = " CASCADE"
	}
	for _, table := range []string{"scope_lists", "projects"} {
		_, err := w.raw().ExecContext(w.ctx, "DROP TABLE "+table+cascade)
		w.check(err)
	}
	_, err := w.store.Lists(w.ctx, w.project.ID, "t")
	w.same("reading", fault.Is(err, fault.StoreUnavailable), true)
	_, err = w.store.EnsureProject(w.ctx, w.now, store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1})
	w.same("writing", fault.Is(err, fault.StoreUnavailable), true)
}
