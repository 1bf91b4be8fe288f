package store_test

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
	"pgregory.net/rapid"
)

// A model is what a project's memory should be, in plain maps.
type model struct {
	store   *store.Store
	project store.Project
	now     time.Time

	mappings map[secret.Name]plan.Mapping
	alive    map[uuid.UUID]time.Time // of runs at work
	ended    map[uuid.UUID]store.Outcome
	running  []uuid.UUID
	events   int
}

var (
	names = []secret.Name{secret.MustName("A"), secret.MustName("B"), secret.MustName("C")}

	aName    = rapid.SampledFrom(names)
	aScope   = rapid.SampledFrom(secret.Stores())
	someTo   = rapid.SliceOfNDistinct(aScope, 1, 3, rapid.ID[secret.Scope])
	aSource  = rapid.SampledFrom([]string{"actions", "file:/a", ""})
	aSeconds = rapid.IntRange(0, 120)
)

// TestMemoryFollowsAModel runs random sequences of what changes a project's memory, and asks after
// each step that the store and the model remember the same and that the chain holds.
func TestMemoryFollowsAModel(t *testing.T) {
	s := storetest.New(t)
	projects := int64(0)
	rapid.Check(t, func(t *rapid.T) {
		projects++
		m := &model{
			store: s, now: time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC),
			mappings: map[secret.Name]plan.Mapping{}, alive: map[uuid.UUID]time.Time{}, ended: map[uuid.UUID]store.Outcome{},
		}
		var err error
		m.project, err = s.EnsureProject(t.Context(), m.now, store.Project{APIHost: "h", Owner: "o", Repo: fmt.Sprint(projects), RepositoryID: projects})
		if err != nil {
			t.Fatal(err)
		}
		t.Repeat(map[string]func(*rapid.T){
			"":         m.agrees,
			"begin":    m.begin,
			"intend":   m.intend,
			"record":   m.record,
			"repeat":   m.repeat,
			"rescope":  m.rescope,
			"time":     func(t *rapid.T) { m.now = m.now.Add(time.Duration(aSeconds.Draw(t, "seconds")) * time.Second) },
			"validate": m.validate,
		})
	})
}

func (m *model) agrees(t *rapid.T) {
	got, err := m.store.Memory(t.Context(), m.project.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := map[secret.Name]plan.Mapping{}
	for name, mapping := range m.mappings {
		mapping.States = maps.Clone(mapping.States)
		for scope, st := range mapping.States {
			if st.Intent.Open() {
				st.Intent.Alive = m.alive[uuid.MustParse(st.Intent.Run)]
				mapping.States[scope] = st
			}
		}
		want[name] = mapping
	}
	if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b secret.Name) bool { return a == b }),
		cmp.Comparer(func(a, b secret.Scope) bool { return a == b }),
		cmp.Comparer(func(a, b secret.Hash) bool { return a.String() == b.String() && a.KeyID() == b.KeyID() })); diff != "" {
		t.Fatalf("memory (-want +got):\n%s", diff)
	}
	anchor, head, events, err := m.store.Chain(t.Context(), m.project.ID)
	if err != nil {
		t.Fatal(err)
	}
	reached, err := audit.Verify(anchor, events)
	if err != nil || reached != head || head.Seq != int64(m.events) {
		t.Fatalf("the chain leads to %v, its head is %v, %d events were recorded: %v", reached, head, m.events, err)
	}
}

func (m *model) begin(t *rapid.T) {
	id := uuid.New()
	if err := m.store.BeginRun(t.Context(), store.Run{ID: id, Project: m.project.ID, Actor: store.Local, StartedAt: m.now}); err != nil {
		t.Fatal(err)
	}
	m.running = append(m.running, id)
}

// atWork draws a run that has not ended.
func (m *model) atWork(t *rapid.T) uuid.UUID {
	if len(m.running) == 0 {
		t.Skip("no run is at work")
	}
	return rapid.SampledFrom(m.running).Draw(t, "run")
}

func (m *model) mapping(name secret.Name, targets []secret.Scope) plan.Mapping {
	known, found := m.mappings[name]
	if !found {
		known = plan.Mapping{TargetScopes: targets, States: map[secret.Scope]plan.State{}}
		m.mappings[name] = known
	}
	return known
}

func (m *model) intend(t *rapid.T) {
	run := m.atWork(t)
	in := store.Intents{
		Project: m.project.ID, Run: run, At: m.now, Source: aSource.Draw(t, "source"),
		Scopes: map[secret.Name][]secret.Scope{}, Covered: map[store.Target]bool{},
	}
	for _, name := range rapid.SliceOfNDistinct(aName, 1, len(names), rapid.ID[secret.Name]).Draw(t, "names") {
		in.Scopes[name] = someTo.Draw(t, "to")
		for _, scope := range someTo.Draw(t, "scopes") {
			target := store.Target{Name: name, Scope: scope}
			in.Targets = append(in.Targets, target)
			in.Covered[target] = rapid.Bool().Draw(t, "covered")
		}
	}
	if err := m.store.OpenIntents(t.Context(), m.now, in); err != nil {
		t.Fatal(err)
	}
	if m.alive[run].Before(in.At) {
		m.alive[run] = in.At
	}
	for _, target := range in.Targets {
		states := m.mapping(target.Name, in.Scopes[target.Name]).States
		st, found := states[target.Scope]
		by := in.Source
		if by == "" {
			by = plan.NoIdentity
		}
		switch {
		case !found || !in.Covered[target] && !st.Written():
			st.Source = in.Source
			fallthrough
		case !in.Covered[target] || !st.Intent.Open():
			st.Intent = plan.Intent{At: in.At, Source: by}
		case st.Intent.Source != by:
			st.Intent.Source = plan.SeveralSources
		}
		st.Intent.Run = run.String()
		states[target.Scope] = st
	}
}

func (m *model) record(t *rapid.T) {
	run := m.atWork(t)
	o := store.Outcome{Project: m.project.ID, Actor: store.Local, Run: store.Run{ID: run, State: store.Succeeded}}
	for _, name := range rapid.SliceOfDistinct(aName, rapid.ID[secret.Name]).Draw(t, "names") {
		m.drawSecret(t, &o, name)
	}
	m.drawEvents(t, &o)
	if _, err := m.store.Record(t.Context(), m.now, o); err != nil {
		t.Fatal(err)
	}
	m.recorded(o)
	m.ended[run] = o
	m.running = slices.DeleteFunc(m.running, func(id uuid.UUID) bool { return id == run })
}

func (m *model) drawSecret(t *rapid.T, o *store.Outcome, name secret.Name) {
	hash := secret.Hasher{}.Hash(secret.NewPlaintext([]byte(name.String())))
	record := store.MappingRecord{
		Name: name, LeftAlone: rapid.Bool().Draw(t, "left alone"), Excluded: rapid.Bool().Draw(t, "excluded"),
		Status: rapid.SampledFrom([]store.SyncStatus{store.Pending, store.Synced, store.Failed, store.Conflict}).Draw(t, "status"),
	}
	if _, known := m.mappings[name]; !known || rapid.Bool().Draw(t, "retarget") {
		record.TargetScopes = someTo.Draw(t, "to")
	}
	o.Mappings = append(o.Mappings, record)
	for _, scope := range rapid.SliceOfDistinct(aScope, rapid.ID[secret.Scope]).Draw(t, "scopes") {
		if rapid.IntRange(0, 3).Draw(t, "forget") == 0 {
			o.ForgetStates = append(o.ForgetStates, store.Target{Name: name, Scope: scope})
			continue
		}
		o.States = append(o.States, store.StateRecord{
			Name: name, Scope: scope, Source: aSource.Draw(t, "source"), Hash: hash, TargetUpdatedAt: m.now, WrittenAt: m.now,
			KeepIntent: rapid.Bool().Draw(t, "keep the intent"),
		})
	}
	if rapid.IntRange(0, 4).Draw(t, "forget all") == 0 {
		o.ForgetMappings = append(o.ForgetMappings, name)
	}
}

func (m *model) drawEvents(t *rapid.T, o *store.Outcome) {
	for range rapid.IntRange(0, 4).Draw(t, "events") {
		name := aName.Draw(t, "name").String()
		e := audit.Event{Operation: rapid.SampledFrom([]audit.Operation{audit.Create, audit.Update, audit.Delete}).Draw(t, "operation"), SecretName: &name}
		scopes := someTo.Draw(t, "scopes")
		o.Events = append(o.Events, e.Outcome(scopes, map[secret.Scope]bool{scopes[0]: rapid.Bool().Draw(t, "failed")}, rapid.String().Draw(t, "why")))
	}
}

// recorded does to the model what Record does to the store.
func (m *model) recorded(o store.Outcome) {
	for _, r := range o.Mappings {
		known := m.mapping(r.Name, r.TargetScopes)
		known.LeftAlone = r.LeftAlone
		if r.TargetScopes != nil {
			known.TargetScopes = r.TargetScopes
		}
		m.mappings[r.Name] = known
	}
	for _, r := range o.States {
		states := m.mappings[r.Name].States
		st := plan.State{Source: r.Source, Hash: r.Hash, TargetUpdatedAt: r.TargetUpdatedAt, SourceUpdatedAt: r.SourceUpdatedAt, WrittenAt: r.WrittenAt}
		if r.KeepIntent {
			st.Intent = states[r.Scope].Intent
		}
		states[r.Scope] = st
	}
	for _, target := range o.ForgetStates {
		delete(m.mappings[target.Name].States, target.Scope)
	}
	for _, name := range o.ForgetMappings {
		delete(m.mappings, name)
	}
	once := map[string]bool{}
	for _, e := range o.Events {
		once[fmt.Sprint(e.Operation, *e.SecretName)] = true
	}
	m.events += len(once)
}

// repeat does again what a run that ended did: nothing may change.
func (m *model) repeat(t *rapid.T) {
	if len(m.ended) == 0 {
		t.Skip("no run has ended")
	}
	ids := slices.SortedFunc(maps.Keys(m.ended), func(a, b uuid.UUID) int { return slices.Compare(a[:], b[:]) })
	id := rapid.SampledFrom(ids).Draw(t, "run")
	if _, err := m.store.Record(t.Context(), m.now, m.ended[id]); err != nil {
		t.Fatal(err)
	}
	err := m.store.OpenIntents(t.Context(), m.now, store.Intents{Project: m.project.ID, Run: id, At: m.now})
	if !errors.Is(err, store.ErrRunFinished) {
		t.Fatalf("intents of a run that ended: %v", err)
	}
}

func (m *model) rescope(t *rapid.T) {
	name, scopes := aName.Draw(t, "name"), someTo.Draw(t, "scopes")
	dropped, err := m.store.SetScopes(t.Context(), m.now, m.project.ID, name, scopes)
	known, found := m.mappings[name]
	if !found {
		if !fault.Is(err, fault.ResourceNotFound) {
			t.Fatalf("scopes of a secret never seen: %v", err)
		}
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var want []secret.Scope
	for _, scope := range known.TargetScopes {
		if !slices.Contains(scopes, scope) {
			want = append(want, scope)
			delete(known.States, scope)
		}
	}
	if !slices.Equal(dropped, want) {
		t.Fatalf("dropped %v, want %v", dropped, want)
	}
	known.TargetScopes, known.LeftAlone = scopes, false
	m.mappings[name] = known
}

// validate records an event that belongs to no run.
func (m *model) validate(t *rapid.T) {
	e := audit.Event{Operation: audit.Validate, CorrelationID: uuid.New()}.Outcome(someTo.Draw(t, "scopes"), nil, "")
	o := store.Outcome{Project: m.project.ID, Actor: store.Local, Events: []audit.Event{e}}
	if _, err := m.store.Record(t.Context(), m.now, o); err != nil {
		t.Fatal(err)
	}
	m.events++
}
