package storetest

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// event is a record of a verb that went well.
func event(operation audit.Operation, name secret.Name, scopes ...secret.Scope) audit.Event {
	e := audit.Event{Operation: operation, DurationMs: 12}.Outcome(scopes, nil, "")
	if !name.IsZero() {
		spelled := name.String()
		e.SecretName = &spelled
	}
	return e
}

func syncAll() audit.Event {
	return event(audit.SyncAll, secret.Name{}, secret.Codespaces, secret.Dependabot)
}

// verify asks that the chain holds, leads to its head, and has that many events.
func (w *world) verify(events int) audit.Head {
	w.Helper()
	anchor, head, chain, err := w.store.Chain(w.ctx, w.project.ID)
	w.check(err)
	got, err := audit.Verify(anchor, chain)
	w.check(err)
	w.same("head", got, head)
	w.same("events", int(head.Seq-anchor.Seq), events)
	return head
}

func events(w *world) {
	var correlations []uuid.UUID
	for i := range 25 {
		run := w.begin()
		correlations = append(correlations, run.ID)
		e := event(audit.Update, secret.MustName(fmt.Sprintf("S%d", i%5)), secret.Codespaces, secret.Dependabot)
		if i%2 == 1 {
			e = e.Outcome(e.AffectedScopes, map[secret.Scope]bool{secret.Dependabot: true}, "why")
		}
		w.record(run, store.Outcome{Events: []audit.Event{e, syncAll()}})
		if i%3 == 0 {
			w.now = w.now.Add(time.Second) // several runs within one moment
		}
	}
	everything := w.page(store.Filter{Limit: 500})
	w.same("all", len(everything), 50)
	w.same("newest first", slices.IsSortedFunc(everything, func(a, b audit.Event) int { return int(b.Seq - a.Seq) }), true)
	w.same("in pages of 7", w.page(store.Filter{Limit: 7}), everything)

	for name, f := range map[string]struct {
		filter store.Filter
		keeps  func(audit.Event) bool
	}{
		"operation": {store.Filter{Operation: audit.SyncAll}, func(e audit.Event) bool { return e.Operation == audit.SyncAll }},
		"status":    {store.Filter{Status: audit.Partial}, func(e audit.Event) bool { return e.Status == audit.Partial }},
		"secret":    {store.Filter{Secret: "S3"}, func(e audit.Event) bool { return e.SecretName != nil && *e.SecretName == "S3" }},
		"actor":     {store.Filter{Actor: store.Webhook}, func(audit.Event) bool { return false }},
		"run":       {store.Filter{CorrelationID: correlations[4]}, func(e audit.Event) bool { return e.CorrelationID == correlations[4] }},
		"from":      {store.Filter{From: micro(noon.Add(2 * time.Second))}, func(e audit.Event) bool { return !e.CreatedAt.Before(micro(noon.Add(2 * time.Second))) }},
		"to":        {store.Filter{To: micro(noon.Add(2 * time.Second))}, func(e audit.Event) bool { return e.CreatedAt.Before(micro(noon.Add(2 * time.Second))) }},
		"two": {store.Filter{Operation: audit.Update, Status: audit.Success}, func(e audit.Event) bool {
			return e.Operation == audit.Update && e.Status == audit.Success
		}},
	} {
		var want []audit.Event
		for _, e := range everything {
			if f.keeps(e) {
				want = append(want, e)
			}
		}
		f.filter.Limit = 3
		w.same("by "+name, w.page(f.filter), want)
	}
	_, _, err := w.store.Events(w.ctx, store.Filter{Project: w.project.ID, Before: "nonsense"})
	w.same("a bad cursor", fault.Is(err, fault.RequestInvalid), true)
	for _, forged := range []string{"9223372036854775807.1", "-9223372036854775808.1", "-1.1", "253402300800000000.1", "1.9223372036854775808"} {
		_, _, err := w.store.Events(w.ctx, store.Filter{Project: w.project.ID, Before: base64.RawURLEncoding.EncodeToString([]byte(forged))})
		w.same("the forged cursor "+forged, fault.Is(err, fault.RequestInvalid), true)
	}
	for _, edge := range []string{"0.0", "253402300799999999.9223372036854775807", "0.-9223372036854775808"} {
		_, _, err := w.store.Events(w.ctx, store.Filter{Project: w.project.ID, Before: base64.RawURLEncoding.EncodeToString([]byte(edge))})
		w.check(err)
	}
	for _, at := range []time.Time{time.Date(0, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)} {
		_, _, err := w.store.Events(w.ctx, store.Filter{Project: w.project.ID, From: at, To: at})
		w.check(err)
	}
}

// page reads all pages that a filter has.
func (w *world) page(f store.Filter) (all []audit.Event) {
	w.Helper()
	f.Project = w.project.ID
	for {
		page, next, err := w.store.Events(w.ctx, f)
		w.check(err)
		w.same("size of a page", len(page) <= f.Limit, true)
		if all = append(all, page...); next == "" {
			return all
		}
		f.Before = next
	}
}

func chain(w *world) {
	w.same("empty", w.verify(0), audit.Head{})
	run := w.begin()
	early := syncAll()
	early.CreatedAt = w.now
	w.record(run, store.Outcome{Events: []audit.Event{early}})
	// A clock that went back: the chain's times do not.
	w.now = w.now.Add(-time.Hour)
	w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
	w.same("time of the head", w.verify(2).At, micro(noon))
	// More than the pages it is read in.
	for range 3 {
		var many []audit.Event
		for i := range 400 {
			many = append(many, event(audit.Create, secret.MustName(fmt.Sprintf("N%d", i)), secret.Codespaces))
		}
		w.record(w.begin(), store.Outcome{Events: many})
	}
	w.verify(1202)
	// Without a run: a validation.
	o := w.outcome(store.Run{}, store.Outcome{})
	e := event(audit.Validate, secret.Name{}, secret.Codespaces)
	e.CorrelationID = uuid.New()
	o.Events = []audit.Event{e}
	head, err := w.store.Record(w.ctx, w.now, o)
	w.check(err)
	w.same("head", head, w.verify(1203))
	w.same("a caller may stop early", func() int {
		_, _, events, err := w.store.Chain(w.ctx, w.project.ID)
		w.check(err)
		n := 0
		for range events {
			if n++; n == 3 {
				break
			}
		}
		return n
	}(), 3)
}

// severalStores appends to one chain from several stores at once.
func severalStores(w *world) {
	const stores, each = 3, 8
	var group sync.WaitGroup
	for range stores {
		s := Open(w, w.config())
		group.Go(func() {
			for range each {
				run := store.Run{ID: uuid.New(), Project: w.project.ID, Actor: store.Local, StartedAt: w.now}
				err := s.BeginRun(w.ctx, run)
				if err == nil {
					run.State = store.Succeeded
					_, err = s.Record(w.ctx, w.now, store.Outcome{
						Project: w.project.ID, Actor: store.Local, Run: run, Events: []audit.Event{event(audit.Create, alpha, secret.Codespaces), syncAll()},
					})
				}
				if err != nil {
					w.Error(err)
				}
			}
		})
	}
	group.Wait()
	w.verify(2 * stores * each)
}

func appendOnly(w *world) {
	w.record(w.begin(), store.Outcome{Events: []audit.Event{event(audit.Create, alpha, secret.Codespaces), syncAll()}})
	w.now = w.now.AddDate(5, 0, 0) // the default partition's
	w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
	const copied = `INTO secret_sync_events SELECT * FROM secret_sync_events`
	attempts := []string{
		`UPDATE secret_sync_events SET error_message = 'x'`,
		`UPDATE secret_sync_events SET duration_ms = duration_ms WHERE seq = 2`,
		`DELETE FROM secret_sync_events`,
		`DELETE FROM secret_sync_events WHERE seq = 1`,
		`INSERT ` + copied,
		`DELETE FROM projects`,
		`DELETE FROM users WHERE login = 'local'`,
	}
	if w.onPostgres() {
		attempts = append(attempts, `TRUNCATE secret_sync_events`, `TRUNCATE projects CASCADE`)
		for _, partition := range w.partitions() {
			attempts = append(attempts, `TRUNCATE `+partition)
		}
		for _, partition := range []string{"secret_sync_events_" + noon.Format("2006_01"), "secret_sync_events_default"} {
			attempts = append(attempts, `UPDATE `+partition+` SET status = status`, `DELETE FROM `+partition)
		}
	} else {
		attempts = append(attempts, `INSERT OR REPLACE `+copied, `REPLACE `+copied,
			`UPDATE OR REPLACE secret_sync_events SET seq = 2 WHERE seq = 1`)
	}
	db := w.raw()
	for _, attempt := range attempts {
		if _, err := db.ExecContext(w.ctx, attempt); !refused(err) {
			w.Errorf("%s: want it refused, got %v", attempt, err)
		}
	}
	w.verify(3)
}

// partitions are the names of the partitions of the events.
func (w *world) partitions() (names []string) {
	w.Helper()
	rows, err := w.raw().QueryContext(w.ctx,
		`SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'secret_sync_events'::regclass ORDER BY 1`)
	w.check(err)
	defer rows.Close()
	for rows.Next() {
		var name string
		w.check(rows.Scan(&name))
		names = append(names, name)
	}
	w.check(rows.Err())
	return names
}

func purge(w *world) {
	// One run a week for a year, and a second project whose chain ends early.
	other := w.newProject("acme", "old", 8)
	first := w.project
	w.now = noon.AddDate(-1, 0, 0)
	for ; w.now.Before(noon); w.now = w.now.Add(7 * 24 * time.Hour) {
		w.record(w.begin(), store.Outcome{Events: []audit.Event{event(audit.Update, alpha, secret.Codespaces), syncAll()}})
		if w.now.Before(noon.AddDate(0, -10, 0)) {
			w.project = other
			w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
			w.project = first
		}
	}
	w.now = noon
	w.check(w.store.Archive(w.ctx, noon.AddDate(0, -10, 0), other.ID))
	before := w.page(store.Filter{Limit: 500})
	head := w.verify(len(before))
	boundary := time.Date(2026, time.August, 1, 0, 0, 0, 0, time.UTC) // 90 days before noon is in August
	var kept []audit.Event
	for _, e := range before {
		if !e.CreatedAt.Before(boundary) {
			kept = append(kept, e)
		}
	}
	purged, err := w.store.Purge(w.ctx, w.now)
	w.check(err)
	if least := int64(len(before) - len(kept)); purged <= least {
		w.Fatalf("%d events purged, those of %d and of another project were due", purged, least)
	}
	w.same("kept", w.page(store.Filter{Limit: 500}), kept)
	w.same("the head stays", w.verify(len(kept)), head)
	anchor, _, _, err := w.store.Chain(w.ctx, first.ID)
	w.check(err)
	w.same("anchor", anchor.Seq, head.Seq-int64(len(kept)))
	_, err = w.store.Project(w.ctx, other.ID)
	w.same("the archived project is gone", fault.Is(err, fault.ProjectNotFound), true)

	purged, err = w.store.Purge(w.ctx, w.now)
	w.check(err)
	w.same("purging twice", purged, int64(0))
	w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
	w.verify(len(kept) + 1)

	// Long after everything: the chain begins anew at its anchor.
	w.now = noon.AddDate(1, 0, 0)
	w.check(w.store.Partitions(w.ctx, w.now))
	_, err = w.store.Purge(w.ctx, w.now)
	w.check(err)
	w.same("nothing left", w.verify(0).Seq, head.Seq+1)
	w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
	w.same("the numbers go on", w.verify(1).Seq, head.Seq+2)
	if _, err := audit.Verify(audit.Head{}, w.chainOf(first.ID)); !isBroken(err) {
		w.Fatalf("a chain without its anchor verified: %v", err)
	}
}

func (w *world) chainOf(project uuid.UUID) func(func(audit.Event, error) bool) {
	w.Helper()
	_, _, events, err := w.store.Chain(w.ctx, project)
	w.check(err)
	return events
}

func isBroken(err error) bool {
	var broken *audit.Broken
	return errors.As(err, &broken)
}
