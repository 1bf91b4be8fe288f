package storetest

import (
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

func deliveries(w *world) {
	fresh := func(guid string) bool {
		w.Helper()
		fresh, err := w.store.RememberDelivery(w.ctx, w.now, guid, "push")
		w.check(err)
		return fresh
	}
	w.same("new", fresh("a"), true)
	w.same("in the works", fresh("a"), false)
	w.check(w.store.FinishDelivery(w.ctx, w.now, "a", false))
	w.same("again after it failed", fresh("a"), true)
	w.check(w.store.FinishDelivery(w.ctx, w.now, "a", true))
	w.same("handled", fresh("a"), false)
	w.same("another", fresh("b"), true)
	w.now = w.now.Add(time.Minute)
	w.same("begun, and never ended", fresh("b"), true)
	w.same("handled for good", fresh("a"), false)
	_, err := w.store.RememberDelivery(w.ctx, w.now, strings.Repeat("x", 101), "push")
	w.same("no id of GitHub's", fault.Is(err, fault.RequestInvalid), true)
}

func replicas(w *world) {
	beat := func(id uuid.UUID) [2]int {
		w.Helper()
		live, index, err := w.store.Beat(w.ctx, w.now, id, "here")
		w.check(err)
		return [2]int{live, index}
	}
	low, high := uuid.MustParse("10000000-0000-4000-8000-000000000000"), uuid.MustParse("20000000-0000-4000-8000-000000000000")
	w.same("alone", beat(high), [2]int{1, 0})
	w.same("the second", beat(low), [2]int{2, 0})
	w.same("the first, now behind it", beat(high), [2]int{2, 1})
	w.now = w.now.Add(store.Lapse - time.Microsecond)
	w.same("still both", beat(high), [2]int{2, 1})
	w.now = w.now.Add(time.Microsecond)
	w.same("one fell silent", beat(high), [2]int{1, 0})
	w.same("and came back", beat(low), [2]int{2, 0})
}

func pauses(w *world) {
	limit := func(credential string, paused time.Time) store.Limit {
		w.Helper()
		l := store.Limit{Credential: credential, Resource: "core", Limit: 10, Remaining: 5, CheckedAt: micro(w.now), PausedUntil: paused}
		w.check(w.store.SaveLimit(w.ctx, w.now, l))
		return l
	}
	long := limit("a", micro(w.now.Add(time.Hour)))
	limit("b", time.Time{})
	w.now = w.now.Add(time.Minute)
	fresh := limit("c", time.Time{})
	got, err := w.store.LimitsSince(w.ctx, w.now)
	w.check(err)
	w.same("changed or paused", got, []store.Limit{long, fresh})
}

// upkeep lets half a year pass.
func upkeep(w *world) {
	old := w.begin()
	w.record(old, store.Outcome{})
	success := w.begin()
	w.now = w.now.Add(time.Second)
	w.record(success, store.Outcome{})
	failed := w.begin()
	failed.State, failed.FinishedAt = store.RunFailed, w.now
	_, err := w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Local, Run: failed})
	w.check(err)
	intent := w.begin()
	w.open(intent, w.now, "file:a", store.Target{Name: alpha, Scope: secret.Codespaces})
	intent.State, intent.FinishedAt = store.RunFailed, w.now
	_, err = w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Local, Run: intent})
	w.check(err)
	waiting, _ := w.start(store.Local, "k", someOptions)
	_, err = w.store.RememberDelivery(w.ctx, w.now, "a", "push")
	w.check(err)

	w.now = w.now.AddDate(0, 6, 0)
	last := w.begin()
	w.check(w.store.Upkeep(w.ctx, w.now))
	w.check(w.store.Upkeep(w.ctx, w.now))
	kept := map[uuid.UUID]bool{success.ID: true, intent.ID: true, waiting.ID: true, last.ID: true}
	runs, err := w.store.LastRuns(w.ctx, w.project.ID, 10)
	w.check(err)
	for _, r := range runs {
		w.same("kept", kept[r.ID], true)
	}
	w.same("all that are spoken of", len(runs), len(kept))
	fresh, err := w.store.RememberDelivery(w.ctx, w.now, "a", "push")
	w.check(err)
	w.same("deliveries are forgotten", fresh, true)
	if w.onPostgres() {
		w.same("partitions to come", len(w.partitions()) >= 5, true)
	}
}
