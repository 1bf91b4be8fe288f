package storetest

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

var (
	alpha = secret.MustName("ALPHA")
	beta  = secret.MustName("BETA_2")
	gamma = secret.MustName("GAMMA")
)

// hashOf is the hash of a value that is only ever its name.
func hashOf(value string) secret.Hash {
	return secret.Hasher{}.Hash(secret.NewPlaintext([]byte(value)))
}

func keyed(value string) secret.Hash {
	return secret.NewHasher([]byte("deployment key"), "project").Hash(secret.NewPlaintext([]byte(value)))
}

func (w *world) memory() map[secret.Name]plan.Mapping {
	w.Helper()
	known, err := w.store.Memory(w.ctx, w.project.ID)
	w.check(err)
	return known
}

func memory(w *world) {
	w.same("a new project's", len(w.memory()), 0)
	written, listed := w.now.Add(-time.Minute), w.now.Add(-2*time.Minute)
	w.record(w.begin(), store.Outcome{
		Mappings: []store.MappingRecord{
			{Name: alpha, TargetScopes: []secret.Scope{secret.Dependabot, secret.Agents}, Status: store.Synced, Hash: hashOf("1"), LastSyncedAt: written},
			{Name: beta, TargetScopes: []secret.Scope{secret.Codespaces}, LeftAlone: true, Status: store.Failed, Error: "why"},
			{Name: gamma, TargetScopes: secret.Stores(), Excluded: true},
		},
		States: []store.StateRecord{
			{Name: alpha, Scope: secret.Dependabot, Source: "file:/.env", Hash: hashOf("1"), TargetUpdatedAt: listed, WrittenAt: written},
			{Name: alpha, Scope: secret.Agents, Source: "actions", Hash: keyed("1"), TargetUpdatedAt: listed, SourceUpdatedAt: listed, WrittenAt: written},
			{Name: alpha, Scope: secret.Actions}, // no longer a target
		},
	})
	w.same("recorded", w.memory(), map[secret.Name]plan.Mapping{
		alpha: {TargetScopes: []secret.Scope{secret.Dependabot, secret.Agents}, States: map[secret.Scope]plan.State{
			secret.Dependabot: {Source: "file:/.env", Hash: hashOf("1"), TargetUpdatedAt: micro(listed), WrittenAt: micro(written)},
			secret.Agents: {
				Source: "actions", Hash: keyed("1"), TargetUpdatedAt: micro(listed), SourceUpdatedAt: micro(listed), WrittenAt: micro(written),
			},
			secret.Actions: {},
		}},
		beta:  {TargetScopes: []secret.Scope{secret.Codespaces}, LeftAlone: true, States: map[secret.Scope]plan.State{}},
		gamma: {TargetScopes: secret.Stores(), States: map[secret.Scope]plan.State{}},
	})
	rows, err := w.store.Details(w.ctx, w.project.ID)
	w.check(err)
	at := micro(written)
	w.same("details", withoutIDs(rows), []store.MappingRow{
		{
			Name: alpha, TargetScopes: []secret.Scope{secret.Dependabot, secret.Agents}, Status: store.Synced, Hash: hashOf("1"),
			Hashes:       map[secret.Scope]secret.Hash{secret.Dependabot: hashOf("1"), secret.Agents: keyed("1")},
			LastSyncedAt: &at, CreatedAt: micro(w.now), UpdatedAt: micro(w.now),
		},
		{
			Name: beta, TargetScopes: []secret.Scope{secret.Codespaces}, LeftAlone: true, Status: store.Failed, Error: "why",
			Hashes: map[secret.Scope]secret.Hash{}, CreatedAt: micro(w.now), UpdatedAt: micro(w.now),
		},
		{
			Name: gamma, TargetScopes: secret.Stores(), Excluded: true, Status: store.Pending,
			Hashes: map[secret.Scope]secret.Hash{}, CreatedAt: micro(w.now), UpdatedAt: micro(w.now),
		},
	})

	// What is not said again stays.
	w.now = w.now.Add(time.Hour)
	w.record(w.begin(), store.Outcome{
		Mappings:       []store.MappingRecord{{Name: alpha, Status: store.Conflict}},
		ForgetStates:   []store.Target{{Name: alpha, Scope: secret.Actions}},
		ForgetMappings: []secret.Name{beta, gamma},
	})
	rows, err = w.store.Details(w.ctx, w.project.ID)
	w.check(err)
	w.same("details later", withoutIDs(rows), []store.MappingRow{{
		Name: alpha, TargetScopes: []secret.Scope{secret.Dependabot, secret.Agents}, Status: store.Conflict, Hash: hashOf("1"),
		Hashes:       map[secret.Scope]secret.Hash{secret.Dependabot: hashOf("1"), secret.Agents: keyed("1")},
		LastSyncedAt: &at, CreatedAt: micro(noon), UpdatedAt: micro(w.now),
	}})
	w.same("states later", len(w.memory()[alpha].States), 2)
}

func withoutIDs(rows []store.MappingRow) []store.MappingRow {
	for i := range rows {
		rows[i].ID = uuid.Nil
	}
	return rows
}

func intents(w *world) {
	written := w.now.Add(-time.Hour)
	w.record(w.begin(), store.Outcome{
		Mappings: []store.MappingRecord{{Name: alpha, TargetScopes: []secret.Scope{secret.Codespaces}, Status: store.Synced}},
		States: []store.StateRecord{
			{Name: alpha, Scope: secret.Codespaces, Source: "file:old", Hash: hashOf("1"), TargetUpdatedAt: written, WrittenAt: written},
		},
	})
	first, github := w.begin(), w.now.Add(time.Second)
	w.open(first, github, "file:new", store.Target{Name: alpha, Scope: secret.Codespaces}, store.Target{Name: beta, Scope: secret.Dependabot})
	intent := plan.Intent{At: micro(github), Run: first.ID.String(), Alive: micro(github), Source: "file:new"}
	w.same("opened", w.memory(), map[secret.Name]plan.Mapping{
		alpha: {TargetScopes: []secret.Scope{secret.Codespaces}, States: map[secret.Scope]plan.State{secret.Codespaces: {
			Source: "file:old", Hash: hashOf("1"), TargetUpdatedAt: micro(written), WrittenAt: micro(written), Intent: intent,
		}}},
		beta: {TargetScopes: []secret.Scope{secret.Dependabot}, States: map[secret.Scope]plan.State{
			secret.Dependabot: {Source: "file:new", Intent: intent},
		}},
	})

	// The run lives on, and dies. The next one intends the same again. Where the first may have
	// written it stays covered, and by whom is not certain; the second one's life is what counts.
	// Where nothing came of the first, what is listed is somebody else's, and the second starts anew.
	lease, err := w.store.Acquire(w.ctx, w.now, store.LeaseRequest{Project: w.project.ID, Run: first.ID})
	w.check(err)
	w.check(lease.Heartbeat(w.ctx, w.now.Add(5*time.Second), github.Add(5*time.Second)))
	w.same("alive", w.memory()[beta].States[secret.Dependabot].Intent.Alive, micro(github.Add(5*time.Second)))
	w.check(lease.Heartbeat(w.ctx, w.now.Add(6*time.Second), github)) // GitHub's clock does not go back
	w.same("alive still", w.memory()[beta].States[secret.Dependabot].Intent.Alive, micro(github.Add(5*time.Second)))
	w.check(lease.Release(w.ctx))
	second, later := w.begin(), github.Add(time.Minute)
	target := store.Target{Name: beta, Scope: secret.Dependabot}
	again := store.Intents{
		Project: w.project.ID, Run: second.ID, At: later, Source: "file:third", Targets: []store.Target{target}, Covered: map[store.Target]bool{target: true},
	}
	w.check(w.store.OpenIntents(w.ctx, w.now, again))
	w.same("opened over one that covers", w.memory()[beta].States[secret.Dependabot], plan.State{
		Source: "file:new", Intent: plan.Intent{At: micro(github), Run: second.ID.String(), Alive: micro(later), Source: plan.SeveralSources},
	})
	w.open(second, later, "", target)
	w.same("opened over one of which nothing came", w.memory()[beta].States[secret.Dependabot], plan.State{
		Source: "", Intent: plan.Intent{At: micro(later), Run: second.ID.String(), Alive: micro(later), Source: plan.NoIdentity},
	})

	w.record(second, store.Outcome{
		Mappings: []store.MappingRecord{{Name: beta, Status: store.Synced}},
		States: []store.StateRecord{
			{Name: beta, Scope: secret.Dependabot, Source: "file:third", Hash: hashOf("2"), TargetUpdatedAt: later, WrittenAt: later},
			{Name: alpha, Scope: secret.Codespaces, Source: "file:old", Hash: hashOf("1"), TargetUpdatedAt: written, WrittenAt: written, KeepIntent: true},
		},
	})
	w.same("settled", w.memory()[beta].States[secret.Dependabot].Intent.Open(), false)
	w.same("kept open", w.memory()[alpha].States[secret.Codespaces].Intent.Open(), true)

	err = w.store.OpenIntents(w.ctx, w.now, store.Intents{Project: w.project.ID, Run: second.ID, At: later})
	w.same("after the end", errors.Is(err, store.ErrRunFinished), true)
	err = w.store.OpenIntents(w.ctx, w.now, store.Intents{Project: w.project.ID, Run: uuid.New(), At: later})
	w.same("of a run that never began", errors.Is(err, store.ErrRunFinished), true)
}

func (w *world) open(run store.Run, at time.Time, source string, targets ...store.Target) {
	w.Helper()
	w.check(w.store.OpenIntents(w.ctx, w.now, store.Intents{Project: w.project.ID, Run: run.ID, At: at, Source: source, Targets: targets}))
}

func recordingTwice(w *world) {
	run := w.begin()
	o := w.outcome(run, store.Outcome{
		Mappings: []store.MappingRecord{{Name: alpha, Status: store.Synced, Hash: hashOf("1")}},
		States:   []store.StateRecord{{Name: alpha, Scope: secret.Codespaces, Source: "file:a", Hash: hashOf("1"), WrittenAt: w.now}},
		Events:   []audit.Event{event(audit.Create, alpha, secret.Codespaces), syncAll()},
	})
	first, err := w.store.Record(w.ctx, w.now, o)
	w.check(err)
	known := w.memory()
	for range 2 {
		w.now = w.now.Add(time.Minute)
		o.States[0].Source = "file:late"
		again, err := w.store.Record(w.ctx, w.now, o)
		w.check(err)
		w.same("head", again, first)
		w.same("memory", w.memory(), known)
	}
	w.verify(2)
	w.same("beginning again", errors.Is(w.store.BeginRun(w.ctx, run), store.ErrRunFinished), true)

	// A run that waits records what it has, and goes on; what it says again is not added again.
	waiting := w.begin()
	waiting.State, waiting.FinishedAt = store.Waiting, time.Time{}
	part := store.Outcome{Project: w.project.ID, Actor: store.Local, Run: waiting, Events: []audit.Event{event(audit.Update, alpha, secret.Codespaces)}}
	_, err = w.store.Record(w.ctx, w.now, part)
	w.check(err)
	w.check(w.store.BeginRun(w.ctx, waiting))
	part.Events = append(part.Events, event(audit.Update, beta, secret.Codespaces), syncAll())
	part.Run.State = store.Succeeded
	_, err = w.store.Record(w.ctx, w.now, part)
	w.check(err)
	w.verify(5)
}

func wholeOrNothing(w *world) {
	run := w.begin()
	bad := event(audit.Create, beta, secret.Codespaces)
	bad.SuccessCount = 2
	_, err := w.store.Record(w.ctx, w.now, w.outcome(run, store.Outcome{
		Mappings: []store.MappingRecord{{Name: alpha, TargetScopes: secret.Stores(), Status: store.Synced}},
		Events:   []audit.Event{event(audit.Create, alpha, secret.Codespaces), bad},
	}))
	w.same("refused", err != nil, true)
	w.same("memory", len(w.memory()), 0)
	known, _, err := w.store.Run(w.ctx, run.ID)
	w.check(err)
	w.same("run", known.State, store.Running)
	w.verify(0)

	_, err = w.store.Record(w.ctx, w.now, w.outcome(run, store.Outcome{
		States: []store.StateRecord{{Name: alpha, Scope: secret.Codespaces}},
	}))
	w.same("a state without a mapping is refused", err != nil, true)
	_, err = w.store.Record(w.ctx, w.now, w.outcome(run, store.Outcome{Mappings: []store.MappingRecord{{Name: alpha}}}))
	w.same("a new mapping without a scope is refused", err != nil, true)
}

func scopes(w *world) {
	all := []secret.Scope{secret.Codespaces, secret.Dependabot, secret.Actions}
	var states []store.StateRecord
	for _, scope := range all {
		states = append(states, store.StateRecord{Name: alpha, Scope: scope, Source: "file:a", WrittenAt: w.now})
	}
	w.record(w.begin(), store.Outcome{
		Mappings: []store.MappingRecord{{Name: alpha, TargetScopes: all, LeftAlone: true, Status: store.Synced}}, States: states,
	})
	dropped, err := w.store.SetScopes(w.ctx, w.now, w.project.ID, alpha, []secret.Scope{secret.Agents, secret.Actions})
	w.check(err)
	w.same("dropped", dropped, []secret.Scope{secret.Codespaces, secret.Dependabot})
	known := w.memory()[alpha]
	w.same("target scopes", known.TargetScopes, []secret.Scope{secret.Agents, secret.Actions})
	w.same("left alone", known.LeftAlone, false)
	w.same("states", []any{len(known.States), known.States[secret.Actions].Written()}, []any{1, true})

	production, err := secret.Environment("production")
	w.check(err)
	for _, bad := range [][]secret.Scope{nil, {secret.Actions, secret.Actions}, {production}} {
		_, err = w.store.SetScopes(w.ctx, w.now, w.project.ID, alpha, bad)
		w.same(fmt.Sprintf("%v is refused", bad), fault.Is(err, fault.RequestInvalid), true)
	}
	_, err = w.store.SetScopes(w.ctx, w.now, w.project.ID, gamma, all)
	w.same("a secret never seen", fault.Is(err, fault.ResourceNotFound), true)
}

// strangeText is what a database may refuse or change: it is stored as far as it can be, and the
// chain is made of what is stored.
func strangeText(w *world) {
	environment, err := secret.ParseScope("environment:üse {\"it\", \\now}")
	w.check(err)
	odd := "a\x00b\xff \u2028 \"'; DROP TABLE projects; --"
	e := event(audit.Update, alpha, secret.Actions, environment)
	e = e.Outcome(e.AffectedScopes, map[secret.Scope]bool{environment: true}, odd)
	e.Metadata = map[string]any{
		odd: odd, "n": 1 << 60, "f": 1e21, "list": []any{nil, true, odd, 0.1}, "empty": map[string]any{}, "run": uuid.Nil, "at": w.now,
	}
	w.record(w.begin(), store.Outcome{
		Mappings: []store.MappingRecord{{Name: alpha, TargetScopes: []secret.Scope{secret.Actions}, Status: store.Failed, Error: odd}},
		States:   []store.StateRecord{{Name: alpha, Scope: environment, Source: odd}},
		Lists:    []store.List{{Kind: environment.String(), Credential: odd, Date: w.now, Content: []byte(`{ "b":1, "a" : "ü" }`)}},
		Events:   []audit.Event{e, syncAll()},
	})
	w.verify(2)
	_, known := w.memory()[alpha].States[environment]
	w.same("state of the environment", known, true)
	found, _, err := w.store.Events(w.ctx, store.Filter{Project: w.project.ID, Secret: alpha.String()})
	w.check(err)
	w.same("scopes", found[0].AffectedScopes, []secret.Scope{secret.Actions, environment})
	w.same("message", *found[0].ErrorMessage, "a\uFFFDb\uFFFD \u2028 \"'; DROP TABLE projects; --")
	kept, err := w.store.Lists(w.ctx, w.project.ID, odd)
	w.check(err)
	w.same("content, byte for byte", string(kept[0].Content), `{ "b":1, "a" : "ü" }`)
}
