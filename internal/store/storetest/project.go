package storetest

import (
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

func projects(w *world) {
	w.same("name", w.project.Name, "acme/web")
	w.same("slug", w.project.Slug, "acme-web")
	w.same("made", w.project.CreatedAt, micro(w.now))

	installation, reviewer := int64(1)<<40, int64(1)<<41
	full, err := w.store.EnsureProject(w.ctx, w.now, store.Project{
		Name: "The Web!", APIHost: "ghe.example", Owner: "Acme", Repo: "Web", RepositoryID: 7, DefaultBranch: "trunk",
		InstallationID: &installation, ValueSource: "source:vault", AutoSync: true, SyncInterval: 90 * time.Minute,
		Adopt: plan.AdoptKeep, DefaultReviewerID: &reviewer,
	})
	w.check(err)
	w.same("slug of a name", full.Slug, "the-web")
	again, err := w.store.Project(w.ctx, full.ID)
	w.check(err)
	w.same("project read again", again, full)

	other := w.newProject("acme-", "web", 8)
	w.same("slug already taken", other.Slug, "acme-web-2")

	w.now = w.now.Add(time.Hour)
	same := w.newProject("acme", "web", 7)
	w.same("project found again", same, w.project)
	renamed := w.newProject("acme", "site", 7)
	w.same("renamed", []any{renamed.ID, renamed.Name, renamed.Repo, renamed.Slug, renamed.UpdatedAt},
		[]any{w.project.ID, "acme/site", "site", "acme-web", micro(w.now)})

	found, ok, err := w.store.FindProject(w.ctx, "api.github.com", "ACME", "Site")
	w.check(err)
	w.same("found by name", []any{ok, found}, []any{true, renamed})
	_, ok, err = w.store.FindProject(w.ctx, "api.github.com", "acme", "web")
	w.check(err)
	w.same("found by its old name", ok, false)

	// A new repository takes over a name before anyone noticed that the old one was renamed.
	w.now = w.now.Add(time.Hour)
	successor := w.newProject("acme", "site", 9)
	found, _, err = w.store.FindProject(w.ctx, "api.github.com", "acme", "site")
	w.check(err)
	w.same("the one heard of last", found.ID, successor.ID)

	_, err = w.store.Project(w.ctx, uuid.New())
	w.same("unknown project", fault.Is(err, fault.ProjectNotFound), true)
}

func archive(w *world) {
	name := secret.MustName("TOKEN")
	run := w.begin()
	w.record(run, store.Outcome{
		Mappings: []store.MappingRecord{{Name: name, Status: store.Synced}},
		States:   []store.StateRecord{{Name: name, Scope: secret.Codespaces, Source: "file:a", WrittenAt: w.now}},
		Events:   []audit.Event{syncAll()},
		Quotas:   []store.Quota{{Type: "core", Limit: 10, ResetAt: w.now.Add(time.Hour)}},
		Lists:    []store.List{{Kind: "codespaces", Credential: "t", Date: w.now, Content: []byte(`[]`)}},
	})
	_, err := w.store.AddRule(w.ctx, w.now, &w.project.ID, "^X", "because", uuid.Nil)
	w.check(err)
	gone := w.begin()
	gone.State, gone.FinishedAt = store.Abandoned, w.now
	_, err = w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Local, Run: gone})
	w.check(err)
	open := w.begin()
	w.check(w.store.OpenIntents(w.ctx, w.now, store.Intents{
		Project: w.project.ID, Run: open.ID, At: w.now, Source: "file:a", Targets: []store.Target{{Name: name, Scope: secret.Dependabot}},
	}))
	lease, err := w.store.Acquire(w.ctx, w.now, store.LeaseRequest{Project: w.project.ID, Run: open.ID})
	w.check(err)

	queued, _ := w.start(store.Local, "", someOptions)

	w.check(w.store.Archive(w.ctx, w.now, w.project.ID))
	for what, id := range map[string]uuid.UUID{"a run at work": open.ID, "a run that waits": queued.ID, "a run that is to go on": gone.ID} {
		ended, _, err := w.store.Run(w.ctx, id)
		w.check(err)
		w.same(what, []any{ended.State, ended.Code, ended.FinishedAt}, []any{store.RunFailed, fault.ProjectNotFound, micro(w.now)})
	}
	done, _, err := w.store.Run(w.ctx, run.ID)
	w.check(err)
	w.same("a run that had ended", done.State, store.Succeeded)
	known, err := w.store.Memory(w.ctx, w.project.ID)
	w.check(err)
	w.same("memory", len(known), 0)
	left, err := w.store.Quotas(w.ctx, w.project.ID)
	w.check(err)
	w.same("quotas", len(left), 0)
	seen, err := w.store.Lists(w.ctx, w.project.ID, "t")
	w.check(err)
	w.same("lists", len(seen), 0)
	kept, _, err := w.store.Events(w.ctx, store.Filter{Project: w.project.ID})
	w.check(err)
	w.same("events", len(kept), 1)
	_, found, err := w.store.FindProject(w.ctx, "api.github.com", "acme", "web")
	w.check(err)
	w.same("found by name", found, false)

	w.same("heartbeat", errors.Is(lease.Heartbeat(w.ctx, w.now, w.now), store.ErrLeaseLost), true)
	_, err = w.store.Record(w.ctx, w.now, w.outcome(open, store.Outcome{Events: []audit.Event{syncAll()}}))
	w.same("recording", fault.Is(err, fault.ProjectNotFound), true)
	w.check(lease.Release(w.ctx))
	w.same("archiving twice", fault.Is(w.store.Archive(w.ctx, w.now, w.project.ID), fault.ProjectNotFound), true)

	successor := w.newProject("acme", "web", 7)
	w.same("its repository and slug are free again", []any{successor.ID != w.project.ID, successor.Slug}, []any{true, "acme-web"})
}
