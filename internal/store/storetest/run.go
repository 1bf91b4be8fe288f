package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

func runs(w *world) {
	asked := strings.Repeat("ab", 32)
	run := store.Run{ID: uuid.New(), Project: w.project.ID, Actor: store.Relay, Trigger: store.Relayed, Credential: "app:1", StartedAt: w.now, OptionsHash: asked}
	w.check(w.store.BeginRun(w.ctx, run))
	known, found, err := w.store.Run(w.ctx, run.ID)
	w.check(err)
	run.State, run.StartedAt, run.HeartbeatAt, run.UpdatedAt = store.Running, micro(w.now), micro(w.now), micro(w.now)
	w.same("begun", []any{found, known}, []any{true, run})

	w.now = w.now.Add(time.Minute)
	ended := store.Run{
		ID: run.ID, State: store.Partial, AliveAt: w.now, Total: 4, Synced: 1, Skipped: 2, Failed: 1, Writes: 3,
		Code: fault.SyncPartialFailure, Error: "why", Result: json.RawMessage(`{"syncedCount": 1}`),
	}
	_, err = w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Relay, Run: ended})
	w.check(err)
	known, _, err = w.store.Run(w.ctx, run.ID)
	w.check(err)
	want := ended
	want.Project, want.Actor, want.Trigger, want.Credential, want.OptionsHash = w.project.ID, store.Relay, store.Relayed, "app:1", asked
	want.StartedAt, want.FinishedAt, want.HeartbeatAt, want.AliveAt, want.UpdatedAt = micro(noon), micro(w.now), micro(w.now), micro(w.now), micro(w.now)
	w.same("ended", known, want)

	w.now = w.now.Add(time.Minute)
	next := w.begin()
	last, err := w.store.LastRuns(w.ctx, w.project.ID, 5)
	w.check(err)
	w.same("newest first", []uuid.UUID{last[0].ID, last[1].ID}, []uuid.UUID{next.ID, run.ID})
	last, err = w.store.LastRuns(w.ctx, w.project.ID, 1)
	w.check(err)
	w.same("no more than asked", len(last), 1)

	// An abandoned run may begin again, and is then at work like any other.
	next.State, next.FinishedAt = store.Abandoned, w.now
	_, err = w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Local, Run: next})
	w.check(err)
	next.State, next.FinishedAt = store.Running, time.Time{}
	w.check(w.store.BeginRun(w.ctx, next))
	known, _, err = w.store.Run(w.ctx, next.ID)
	w.check(err)
	w.same("begun again", []any{known.State, known.FinishedAt.IsZero()}, []any{store.Running, true})

	_, found, err = w.store.Run(w.ctx, uuid.New())
	w.check(err)
	w.same("unknown run", found, false)
	other := w.newProject("acme", "other", 99)
	next.Project = other.ID
	w.same("a run of another project", fault.Is(w.store.BeginRun(w.ctx, next), fault.RequestInvalid), true)
	next.Project = uuid.New()
	w.same("a run of no project", fault.Is(w.store.BeginRun(w.ctx, next), fault.ProjectNotFound), true)

	n, err := w.store.WritesSince(w.ctx, "app:1", noon.Add(time.Minute))
	w.check(err)
	w.same("writes within the hour", n, 3)
	n, err = w.store.WritesSince(w.ctx, "app:1", noon.Add(time.Hour))
	w.check(err)
	w.same("writes long ago", n, 0)
}

func standing(w *world) {
	full := strings.Repeat("f", 64)
	of := store.Inquiry{Project: w.project.ID, Credential: "app:1", Since: w.now.Add(-time.Hour), FullHash: full, Recent: 2}
	st, err := w.store.Standing(w.ctx, store.Inquiry{})
	w.check(err)
	w.same("of no project", st, store.Standing{})
	ask := func() store.Standing {
		st, err := w.store.Standing(w.ctx, of)
		w.check(err)
		return st
	}
	w.same("of a new project", ask(), store.Standing{})
	var mappings []store.MappingRecord
	for status, names := range map[store.SyncStatus][]string{
		store.Pending: {"A"}, store.Synced: {"B1", "B2"}, store.Failed: {"C1", "C2", "C3"}, store.Conflict: {"D1", "D2", "D3", "D4"},
	} {
		for _, name := range names {
			mappings = append(mappings, store.MappingRecord{Name: secret.MustName(name), TargetScopes: secret.Stores(), Status: status})
		}
	}
	mappings = append(mappings, store.MappingRecord{Name: secret.MustName("E"), TargetScopes: secret.Stores(), Excluded: true})
	run := w.begin()
	run.Credential, run.Writes = "app:1", 7
	w.record(run, store.Outcome{Mappings: mappings, Quotas: []store.Quota{{Type: "core", Remaining: 40, Limit: 50, ResetAt: w.now.Add(time.Hour)}}})
	success, began := micro(w.now), micro(run.StartedAt)
	want := store.Standing{
		LastSuccessAt: &success, LastFullAt: &began, Pending: 1, Synced: 2, Failed: 3, Conflict: 4, Writes: 7,
		QuotaLimit: 50, QuotaRemaining: 40, QuotaResetAt: micro(w.now.Add(time.Hour)),
	}
	w.same("after a run", ask(), want)

	limit := store.Limit{Credential: "app:1", Resource: "core", Limit: 60, Remaining: 30, ResetAt: w.now.Add(time.Minute)}
	w.check(w.store.SaveLimit(w.ctx, w.now, limit))
	want.CredentialLimit, want.CredentialRemaining, want.CredentialResetAt = 60, 30, micro(limit.ResetAt)
	w.same("with the credential's limit", ask(), want)

	w.now = w.now.Add(2 * time.Hour)
	of.Since = w.now.Add(-time.Hour)
	want.Writes = 0
	w.same("writes of long ago", ask(), want)

	// A run of some secrets leaves the full one the last of its kind, for as long as one looks back.
	for i, last := range []*time.Time{&began, nil} {
		w.now = w.now.Add(time.Minute)
		failed := w.begin()
		failed.State, failed.FinishedAt, failed.OptionsHash = store.RunFailed, w.now, strings.Repeat("a", 64)
		_, err := w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Local, Run: failed})
		w.check(err)
		want.LastFullAt = last
		w.same(fmt.Sprintf("after %d failed runs of some", i+1), ask(), want)
	}
	w.now = w.now.Add(time.Minute)
	again := w.begin()
	again.OptionsHash = full
	w.record(again, store.Outcome{})
	success, began = micro(w.now), micro(again.StartedAt)
	want.LastSuccessAt, want.LastFullAt = &success, &began
	w.same("after another full run", ask(), want)
}

func rules(w *world) {
	global, err := w.store.Rules(w.ctx, uuid.Nil)
	w.check(err)
	w.same("seeded", patterns(global), patterns(exclusion.Defaults()))
	own, err := w.store.AddRule(w.ctx, w.now, &w.project.ID, `^LOCAL_`, "stays here", store.Local)
	w.check(err)
	w.now = w.now.Add(time.Second)
	everywhere, err := w.store.AddRule(w.ctx, w.now, nil, `_TMP$`, "short-lived", uuid.Nil)
	w.check(err)
	w.same("global", []bool{own.Global, everywhere.Global}, []bool{false, true})
	all, err := w.store.Rules(w.ctx, w.project.ID)
	w.check(err)
	w.same("global first", patterns(all), append(patterns(exclusion.Defaults()), `_TMP$ short-lived`, `^LOCAL_ stays here`))
	verdict, err := all.Verdict("LOCAL_X")
	w.check(err)
	w.same("verdict", verdict.Rule.ID, own.ID)

	for _, bad := range []struct {
		project         *uuid.UUID
		pattern, reason string
	}{{&w.project.ID, `^LOCAL_`, "again"}, {nil, `_TMP$`, "again"}, {nil, `(`, "no expression"}, {nil, `x`, ""}, {nil, strings.Repeat("x", 201), "long"}} {
		_, err := w.store.AddRule(w.ctx, w.now, bad.project, bad.pattern, bad.reason, uuid.Nil)
		w.same(bad.pattern+" is refused", fault.Is(err, fault.RequestInvalid), true)
	}
	_, err = w.store.AddRule(w.ctx, w.now, &w.project.ID, `_TMP$`, "a project may repeat a global pattern", uuid.Nil)
	w.check(err)
	unknown := uuid.New()
	_, err = w.store.AddRule(w.ctx, w.now, &unknown, `x`, "y", uuid.Nil)
	w.same("an unknown project", fault.Is(err, fault.ProjectNotFound), true)

	w.check(w.store.RemoveRule(w.ctx, &w.project.ID, `_TMP$`))
	w.check(w.store.RemoveRule(w.ctx, &w.project.ID, own.ID))
	w.same("gone already", fault.Is(w.store.RemoveRule(w.ctx, &w.project.ID, own.ID), fault.ResourceNotFound), true)
	w.same("not the project's", fault.Is(w.store.RemoveRule(w.ctx, &w.project.ID, everywhere.ID), fault.ResourceNotFound), true)
	w.check(w.store.RemoveRule(w.ctx, nil, everywhere.ID))
	all, err = w.store.Rules(w.ctx, w.project.ID)
	w.check(err)
	w.same("the seeded remain", patterns(all), patterns(exclusion.Defaults()))
}

func patterns(rules exclusion.Rules) []string {
	out := make([]string, len(rules))
	for i, r := range rules {
		out[i] = r.Pattern.String() + " " + r.Reason
	}
	return out
}

func lists(w *world) {
	list := func(kind, credential, content string) store.List {
		return store.List{Kind: kind, Credential: credential, Date: micro(w.now), Content: []byte(content)}
	}
	w.record(w.begin(), store.Outcome{Lists: []store.List{
		list("repository", "a", `{"id":7}`), list("codespaces", "a", `{"etag":"1"}`), list("codespaces", "b", `{"etag":"2"}`),
	}})
	w.now = w.now.Add(time.Hour)
	w.record(w.begin(), store.Outcome{Lists: []store.List{list("codespaces", "a", `{"etag":"3"}`)}})
	got, err := w.store.Lists(w.ctx, w.project.ID, "a")
	w.check(err)
	old := list("repository", "a", `{"id":7}`)
	old.Date = micro(noon)
	w.same("lists", got, []store.List{list("codespaces", "a", `{"etag":"3"}`), old})
}

func quotas(w *world) {
	hour := micro(w.now.Add(time.Hour))
	w.record(w.begin(), store.Outcome{Quotas: []store.Quota{
		{Type: "core", Remaining: 4000, Limit: 5000, ResetAt: hour, CheckedAt: w.now},
		{Type: "secrets", Remaining: 500, Limit: 500, ResetAt: hour, CheckedAt: w.now.Add(time.Minute)}, // a clock ahead of ours
		{Type: "graphql", Limit: 5000, ResetAt: w.now, CheckedAt: w.now},                                // past its reset
	}})
	w.record(w.begin(), store.Outcome{Quotas: []store.Quota{{Type: "graphql", Remaining: 2, Limit: 1, ResetAt: hour}}})
	got, err := w.store.Quotas(w.ctx, w.project.ID)
	w.check(err)
	w.same("quotas", got, []store.Quota{
		{Type: "core", Remaining: 4000, Limit: 5000, ResetAt: hour, CheckedAt: micro(w.now)},
		{Type: "secrets", Remaining: 500, Limit: 500, ResetAt: hour, CheckedAt: micro(w.now)},
	})
	w.now = w.now.Add(time.Minute)
	w.record(w.begin(), store.Outcome{Quotas: []store.Quota{{Type: "core", Remaining: 3, Limit: 5000, ResetAt: hour, CheckedAt: w.now}}})
	got, err = w.store.Quotas(w.ctx, w.project.ID)
	w.check(err)
	w.same("later", []any{len(got), got[0].Remaining}, []any{2, 3})
}

func limits(w *world) {
	core := store.Limit{Credential: "app:1", Resource: "core", Limit: 5000, Remaining: 4000, ResetAt: micro(w.now.Add(time.Hour)), CheckedAt: micro(w.now)}
	w.check(w.store.SaveLimit(w.ctx, w.now, core))
	older := core
	older.Remaining, older.CheckedAt = 4500, w.now.Add(-time.Second)
	w.check(w.store.SaveLimit(w.ctx, w.now, older))
	got, err := w.store.Limits(w.ctx, "app:1")
	w.check(err)
	w.same("the newer reading", got, []store.Limit{core})

	paused := core
	paused.Remaining, paused.PausedUntil, paused.Why = 0, micro(w.now.Add(time.Minute)), "secondary limit"
	w.check(w.store.SaveLimit(w.ctx, w.now, paused))
	unaware := core
	unaware.Remaining = 3999
	w.check(w.store.SaveLimit(w.ctx, w.now, unaware))
	shorter := paused
	shorter.PausedUntil = w.now.Add(time.Second)
	w.check(w.store.SaveLimit(w.ctx, w.now, shorter))
	got, err = w.store.Limits(w.ctx, "app:1")
	w.check(err)
	w.same("the pause stays", got, []store.Limit{paused})

	bad := core
	bad.Remaining = 5001
	w.same("more than there is", fault.Is(w.store.SaveLimit(w.ctx, w.now, bad), fault.RequestInvalid), true)
	got, err = w.store.Limits(w.ctx, "app:2")
	w.check(err)
	w.same("another credential's", len(got), 0)
}

// cancelled asks that an ended context is answered as such, that nothing is half done, and that
// the store is as good as before.
func cancelled(w *world) {
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	_, err := w.store.Memory(ctx, w.project.ID)
	w.same("reading", errors.Is(err, context.Canceled), true)
	_, err = w.store.Record(ctx, w.now, w.outcome(w.begin(), store.Outcome{}))
	w.same("writing", errors.Is(err, context.Canceled), true)
	w.check(w.store.Ping(w.ctx))
	w.same("project", w.newProject("acme", "web", 7), w.project)
}
