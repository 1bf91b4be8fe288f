package storetest

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

func production() secret.Scope {
	scope, err := secret.Environment("production")
	if err != nil {
		panic(err)
	}
	return scope
}

// apply records an outcome of applying environments.
func (w *world) apply(o store.EnvironmentOutcome) audit.Head {
	w.Helper()
	o.Project, o.Actor = w.project.ID, store.Local
	head, err := w.store.RecordEnvironments(w.ctx, w.now, o)
	w.check(err)
	return head
}

// knownConfigs are those remembered, without the ids that the store makes up. Spacing and order of keys
// are the database's.
func (w *world) knownConfigs() []store.EnvironmentConfig {
	w.Helper()
	all, err := w.store.EnvironmentConfigs(w.ctx, w.project.ID)
	w.check(err)
	for i := range all {
		w.same("has an id and its project", []any{all[i].ID == uuid.Nil, all[i].Project}, []any{false, w.project.ID})
		all[i].ID, all[i].Project = uuid.Nil, uuid.Nil
		all[i].Rules, all[i].Linked = w.plainJSON(all[i].Rules), w.plainJSON(all[i].Linked)
	}
	return all
}

func (w *world) plainJSON(raw json.RawMessage) json.RawMessage {
	w.Helper()
	var v any
	w.check(json.Unmarshal(raw, &v))
	plain, err := json.Marshal(v)
	w.check(err)
	return plain
}

// environments are those of the project, without their ids.
func (w *world) environments() []store.Environment {
	w.Helper()
	all, err := w.store.Environments(w.ctx, w.project.ID)
	w.check(err)
	for i := range all {
		all[i].ID, all[i].Project = uuid.Nil, uuid.Nil
	}
	return all
}

func environmentConfigs(w *world) {
	w.same("a new project's", len(w.knownConfigs())+len(w.environments()), 0)
	listed, deployed, big := micro(w.now.Add(-time.Minute)), micro(w.now.Add(-time.Hour)), int64(1)<<40
	w.apply(store.EnvironmentOutcome{
		Configs: []store.EnvironmentConfig{
			{
				Name: "production", GitHubID: big, Rules: json.RawMessage(`{"requiredReviewers": 1, "reviewerIds": [8589934592], "restrictToMainBranch": true}`),
				Secrets: []store.EnvironmentSecret{{Name: beta, Hash: keyed("1"), LastUpdatedAt: listed}, {Name: alpha, Hash: hashOf("1")}, {Name: gamma}},
				Linked:  json.RawMessage(`{"neonBranchId": "br-1"}`), Status: store.EnvironmentActive, LastDeploymentAt: &deployed,
			},
			{Name: "dev", GitHubID: 7, Status: store.EnvironmentFailed},
			{Name: "staging", GitHubID: 8},
		},
		Synced: []string{"production"},
	})
	first, failed, synced, pending := micro(w.now), store.Failed, store.Synced, store.Pending
	want := store.EnvironmentConfig{
		Name: "production", GitHubID: big, Rules: json.RawMessage(`{"requiredReviewers":1,"restrictToMainBranch":true,"reviewerIds":[8589934592]}`),
		Secrets: []store.EnvironmentSecret{{Name: alpha, Hash: hashOf("1")}, {Name: beta, Hash: keyed("1"), LastUpdatedAt: listed}, {Name: gamma}},
		Linked:  json.RawMessage(`{"neonBranchId":"br-1"}`), Status: store.EnvironmentActive, LastDeploymentAt: &deployed, CreatedAt: first, UpdatedAt: first,
	}
	none := json.RawMessage(`{}`)
	w.same("recorded", w.knownConfigs(), []store.EnvironmentConfig{
		{Name: "dev", GitHubID: 7, Rules: none, Linked: none, Status: store.EnvironmentFailed, CreatedAt: first, UpdatedAt: first},
		want,
		{Name: "staging", GitHubID: 8, Rules: none, Linked: none, Status: store.Provisioning, CreatedAt: first, UpdatedAt: first},
	})
	seven, eight := int64(7), int64(8)
	w.same("their rows", w.environments(), []store.Environment{
		{Name: "dev", Kind: store.Core, GitHubID: &seven, SyncStatus: &failed, CreatedAt: first, UpdatedAt: first},
		{Name: "production", Kind: store.Core, GitHubID: &big, SyncStatus: &synced, SecretsLastSyncedAt: &first, CreatedAt: first, UpdatedAt: first},
		{Name: "staging", Kind: store.Core, GitHubID: &eight, SyncStatus: &pending, CreatedAt: first, UpdatedAt: first},
	})
	w.replaceConfigs(want, first)
}

// replaceConfigs records production anew and the others as gone. What is not told again is gone, but
// for the times of things that were.
func (w *world) replaceConfigs(known store.EnvironmentConfig, first time.Time) {
	w.Helper()
	before, err := w.store.EnvironmentConfigs(w.ctx, w.project.ID)
	w.check(err)
	w.now = w.now.Add(time.Hour)
	anew, failed := int64(9), store.Failed
	w.apply(store.EnvironmentOutcome{
		Configs: []store.EnvironmentConfig{{Name: "production", GitHubID: anew, Status: store.EnvironmentFailed}},
		Removed: []string{"dev", "staging", "staging"},
	})
	none := json.RawMessage(`{}`)
	w.same("replaced", w.knownConfigs(), []store.EnvironmentConfig{{
		Name: "production", GitHubID: anew, Rules: none, Linked: none, Status: store.EnvironmentFailed,
		LastDeploymentAt: known.LastDeploymentAt, CreatedAt: first, UpdatedAt: micro(w.now),
	}})
	w.same("their rows", w.environments(), []store.Environment{{
		Name: "production", Kind: store.Core, GitHubID: &anew, SyncStatus: &failed, SecretsLastSyncedAt: &first, CreatedAt: first, UpdatedAt: micro(w.now),
	}})
	after, err := w.store.EnvironmentConfigs(w.ctx, w.project.ID)
	w.check(err)
	w.same("the id stays", after[0].ID, before[1].ID)
	w.same("another project's", len(w.configsOf(w.newProject("acme", "other", 99).ID)), 0)
}

func (w *world) configsOf(project uuid.UUID) []store.EnvironmentConfig {
	w.Helper()
	all, err := w.store.EnvironmentConfigs(w.ctx, project)
	w.check(err)
	return all
}

// An apply and its events are one: on the chain of the project, once, or not at all.
func environmentEvents(w *world) {
	w.record(w.begin(), store.Outcome{Events: []audit.Event{syncAll()}})
	o := store.EnvironmentOutcome{
		Run:     uuid.New(),
		Configs: []store.EnvironmentConfig{{Name: "production", GitHubID: 1, Status: store.EnvironmentActive}},
		Events:  []audit.Event{event(audit.SyncAll, secret.Name{}, production()), event(audit.Create, alpha, production())},
		Lists:   []store.List{{Kind: "environments", Credential: "a", Date: micro(w.now), Content: []byte(`{"pages":[]}`)}},
		Quotas:  []store.Quota{{Type: "core", Remaining: 1, Limit: 2, ResetAt: w.now.Add(time.Hour)}},
	}
	head := w.apply(o)
	w.same("head", head, w.verify(3))
	w.same("told twice", w.apply(o), head)
	w.verify(3)
	events, _, err := w.store.Events(w.ctx, store.Filter{Project: w.project.ID, CorrelationID: o.Run})
	w.check(err)
	w.same("events of the apply", len(events), 2)
	w.same("scope", events[0].AffectedScopes, []secret.Scope{production()})
	w.same("actor", events[0].ActorID, store.Local)
	seen, err := w.store.Lists(w.ctx, w.project.ID, "a")
	w.check(err)
	w.same("lists", seen, o.Lists)
	left, err := w.store.Quotas(w.ctx, w.project.ID)
	w.check(err)
	w.same("quotas", len(left), 1)

	bad := store.EnvironmentOutcome{
		Project: w.project.ID, Actor: store.Local, Run: uuid.New(), Removed: []string{"production"},
		Events: []audit.Event{event(audit.SyncAll, secret.Name{})}, // about no scope, which no event may be
	}
	_, err = w.store.RecordEnvironments(w.ctx, w.now, bad)
	w.same("refused", err != nil, true)
	w.same("nothing of it stays", len(w.knownConfigs()), 1)
	bad.Project = uuid.New()
	_, err = w.store.RecordEnvironments(w.ctx, w.now, bad)
	w.same("no project", fault.Is(err, fault.ProjectNotFound), true)
}

// What the data model does not allow is refused whole, and so is whoever lost the lease.
func environmentRefusals(w *world) {
	for _, c := range []store.EnvironmentConfig{
		{Name: "preview-7", GitHubID: 1},
		{Name: "dev", Rules: json.RawMessage(`{"waitTimer":-1}`)},
		{Name: "dev", Linked: json.RawMessage(`{"neonBranchId":7}`)},
		{Name: "dev", Status: "deleted"},
	} {
		_, err := w.store.RecordEnvironments(w.ctx, w.now, store.EnvironmentOutcome{Project: w.project.ID, Configs: []store.EnvironmentConfig{
			{Name: "production", GitHubID: 1}, c,
		}})
		if err == nil || len(w.knownConfigs())+len(w.environments()) != 0 {
			w.Errorf("%+v: %v, and %d are remembered", c, err, len(w.knownConfigs()))
		}
	}
	first, second := w.begin(), w.begin()
	lost, err := w.acquire(first)
	w.check(err)
	w.now = w.now.Add(time.Minute)
	held, err := w.acquire(second)
	w.check(err)
	o := store.EnvironmentOutcome{Project: w.project.ID, Lease: lost, Configs: []store.EnvironmentConfig{{Name: "dev", GitHubID: 1}}}
	_, err = w.store.RecordEnvironments(w.ctx, w.now, o)
	w.same("recording without the lease", errors.Is(err, store.ErrLeaseLost), true)
	intent := []store.EnvironmentIntent{{Target: store.Target{Name: alpha, Scope: production()}, At: w.now, Until: w.now}}
	w.same("intending without the lease", errors.Is(w.store.OpenEnvironmentIntents(w.ctx, lost, intent), store.ErrLeaseLost), true)
	w.same("nothing is remembered", len(w.knownConfigs())+len(w.environmentIntents()), 0)
	o.Lease = held
	w.apply(o)
	w.same("with the lease", len(w.knownConfigs()), 1)
}

func (w *world) environmentIntents() []store.EnvironmentIntent {
	w.Helper()
	open, err := w.store.EnvironmentIntents(w.ctx, w.project.ID)
	w.check(err)
	return open
}

// An intent of an apply stays until it is settled, whatever becomes of the apply.
func environmentIntents(w *world) {
	at := func(name secret.Name, scope secret.Scope, from time.Duration) store.EnvironmentIntent {
		return store.EnvironmentIntent{Target: store.Target{Name: name, Scope: scope}, At: micro(w.now.Add(from)), Until: micro(w.now.Add(from + time.Minute))}
	}
	dev, err := secret.Environment("dev")
	w.check(err)
	l, err := w.acquire(store.Run{ID: uuid.New()}) // an apply has no row among the runs
	w.check(err)
	w.check(l.Heartbeat(w.ctx, w.now, w.now))
	w.check(w.store.OpenEnvironmentIntents(w.ctx, l, nil))
	w.check(w.store.OpenEnvironmentIntents(w.ctx, l, []store.EnvironmentIntent{at(beta, production(), 0), at(alpha, dev, 0), at(alpha, production(), 0)}))
	w.check(w.store.OpenEnvironmentIntents(w.ctx, l, []store.EnvironmentIntent{at(alpha, production(), time.Hour)}))
	w.same("open", w.environmentIntents(), []store.EnvironmentIntent{at(alpha, dev, 0), at(alpha, production(), time.Hour), at(beta, production(), 0)})

	w.apply(store.EnvironmentOutcome{
		Lease: l, Configs: []store.EnvironmentConfig{{Name: "production", GitHubID: 1}, {Name: "dev", GitHubID: 2}},
		Settled: []store.Target{{Name: alpha, Scope: production()}, {Name: gamma, Scope: production()}},
	})
	w.same("settled", w.environmentIntents(), []store.EnvironmentIntent{at(alpha, dev, 0), at(beta, production(), 0)})
	w.apply(store.EnvironmentOutcome{Lease: l, Removed: []string{"production"}})
	w.same("of an environment that is no more", w.environmentIntents(), []store.EnvironmentIntent{at(alpha, dev, 0)})

	backwards := at(beta, dev, 0)
	backwards.Until = backwards.At.Add(-time.Second)
	w.same("one that ends before it begins", w.store.OpenEnvironmentIntents(w.ctx, l, []store.EnvironmentIntent{backwards}) != nil, true)
	w.same("one outside of environments",
		w.store.OpenEnvironmentIntents(w.ctx, l, []store.EnvironmentIntent{at(beta, secret.Actions, 0)}) != nil, true)
	w.check(w.store.Archive(w.ctx, w.now, w.project.ID))
	w.same("archived", len(w.environmentIntents())+len(w.knownConfigs())+len(w.environments()), 0)
}

func previews(w *world) {
	pr, err := w.store.EnsurePreview(w.ctx, w.now, w.project.ID, "pr-7/ui")
	w.check(err)
	w.same("made", []any{pr.Name, pr.Kind, pr.GitHubID, pr.SyncStatus, pr.CreatedAt, pr.Project},
		[]any{"pr-7/ui", store.Preview, (*int64)(nil), (*store.SyncStatus)(nil), micro(w.now), w.project.ID})
	w.now = w.now.Add(time.Hour)
	again, err := w.store.EnsurePreview(w.ctx, w.now, w.project.ID, "pr-7/ui")
	w.check(err)
	w.same("found again", again, pr)
	w.apply(store.EnvironmentOutcome{Configs: []store.EnvironmentConfig{{Name: "staging", GitHubID: 1}}})
	names := func() (all []string) {
		for _, e := range w.environments() {
			all = append(all, e.Name)
		}
		return all
	}
	w.same("core ones first", names(), []string{"staging", "pr-7/ui"})
	for _, name := range []string{"", "dev", "staging", "production", "a\x00b", strings.Repeat("x", 256)} {
		if _, err := w.store.EnsurePreview(w.ctx, w.now, w.project.ID, name); err == nil {
			w.Errorf("%q passes for a preview", name)
		}
	}
	_, err = w.store.EnsurePreview(w.ctx, w.now, uuid.New(), "pr-8")
	w.same("no project", fault.Is(err, fault.ProjectNotFound), true)
	for range 2 {
		w.check(w.store.RemovePreview(w.ctx, w.project.ID, "pr-7/ui"))
	}
	w.check(w.store.RemovePreview(w.ctx, w.project.ID, "staging")) // is none
	w.same("removed", names(), []string{"staging"})
	w.apply(store.EnvironmentOutcome{Removed: []string{"pr-7/ui", "staging"}})
	w.same("all gone", slices.Contains(names(), "staging"), false)
}
