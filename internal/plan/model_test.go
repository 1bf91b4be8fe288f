package plan_test

import (
	"cmp"
	"maps"
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A world is GitHub, the sources, and our memory: what a plan is made from and what applying it
// changes. It knows what no planner can, who wrote each copy, and so can judge what was done.
type world struct {
	now     time.Time // GitHub's clock
	copies  map[pair]aCopy
	files   map[string]map[secret.Name]string // values of the sources that are not Actions
	memory  map[secret.Name]plan.Mapping
	exclude map[secret.Name]bool
	dead    time.Time // when the last killed run was last alive
}

// A copy is a secret as it stands at GitHub.
type aCopy struct {
	value string
	at    time.Time
	by    string // the source it was written from by us; somebody when not by us
}

const somebody = "somebody else"

// An attempt is one run as somebody asked for it.
type attempt struct {
	source string
	opts   plan.Options
	hashes bool          // of a source that is Actions: the values are seen, not only their times
	pace   time.Duration // between two writes
	dies   int           // after so many writes; negative: it lives
}

func newWorld() *world {
	return &world{
		now: noon, copies: map[pair]aCopy{}, memory: map[secret.Name]plan.Mapping{}, exclude: map[secret.Name]bool{},
		files: map[string]map[secret.Name]string{file: {}, other: {}, stdin: {}},
	}
}

func (w *world) clone() *world {
	c := *w
	c.copies, c.exclude, c.memory = maps.Clone(w.copies), maps.Clone(w.exclude), copiedMemory(w.memory)
	c.files = maps.Clone(w.files)
	for s, values := range c.files {
		c.files[s] = maps.Clone(values)
	}
	return &c
}

// values returns what a source holds.
func (w *world) values(source string) map[secret.Name]string {
	if source != plan.ActionsSource {
		return w.files[source]
	}
	values := map[secret.Name]string{}
	for p, c := range w.copies {
		if p.scope == secret.Actions {
			values[p.name] = c.value
		}
	}
	return values
}

// put writes a copy at GitHub, whose times are whole seconds.
func (w *world) put(p pair, value, by string) {
	w.copies[p] = aCopy{value, w.now.Truncate(time.Second), by}
}

// input is what a run sees.
func (w *world) input(a attempt) plan.Input {
	in := plan.Input{
		Source:   plan.Source{Identity: a.source, Values: map[secret.Name]plan.Value{}},
		Observed: map[secret.Scope]plan.Observation{}, Memory: copiedMemory(w.memory),
		Excluded: map[secret.Name]plan.Exclusion{}, Options: a.opts,
	}
	for _, s := range someScopes {
		in.Observed[s] = plan.Observation{Date: w.now.Truncate(time.Second), UpdatedAt: map[secret.Name]time.Time{}}
	}
	for p, c := range w.copies {
		in.Observed[p.scope].UpdatedAt[p.name] = c.at
	}
	for n, value := range w.values(a.source) {
		v := plan.Value{}
		if a.source != plan.ActionsSource || a.hashes {
			v.Hash = hashOf(value)
		}
		if a.source == plan.ActionsSource {
			v.UpdatedAt, _ = in.Observed[secret.Actions].SourceTime(n)
		}
		in.Source.Values[n] = v
	}
	for n := range w.exclude {
		in.Excluded[n] = plan.Exclusion{Pattern: n.String()}
	}
	return in
}

// run makes a plan and applies it, every write answered well, until it ends or dies. The values
// written are those of the moment of planning.
func (w *world) run(a attempt) plan.Plan {
	in := w.input(a)
	p := plan.Make(in)
	values := w.values(a.source)
	var steps []plan.Action
	for _, act := range p.Actions {
		if act.Verb.Writes() {
			steps = append(steps, act)
		}
	}
	for _, act := range p.Actions {
		if act.Verb == plan.Delete && !p.Withheld {
			steps = append(steps, act)
		}
	}
	w.openIntents(a, steps, p)
	for i, s := range steps {
		if i == a.dies {
			return p
		}
		w.now = w.now.Add(a.pace)
		w.beat(steps)
		at := pair{s.SecretName, s.Scope}
		if s.Verb == plan.Delete {
			delete(w.copies, at)
		} else {
			w.put(at, values[s.SecretName], a.source)
		}
	}
	if a.dies >= 0 {
		return p
	}
	w.record(a, in, p, values)
	return p
}

// openIntents notes what is about to be done. An intent over an open one that covers what is listed
// keeps the first's time, and its source only if it is the same; of one that does not, nothing came.
func (w *world) openIntents(a attempt, steps []plan.Action, p plan.Plan) {
	by := cmp.Or(a.source, plan.NoIdentity)
	for _, s := range steps {
		m, ok := w.memory[s.SecretName]
		if !ok {
			m = plan.Mapping{TargetScopes: p.Wanted[s.SecretName].TargetScopes, States: map[secret.Scope]plan.State{}}
			w.memory[s.SecretName] = m
		}
		st, known := m.States[s.Scope]
		if !known {
			st.Source = a.source
		}
		i, c := &st.Intent, w.copies[pair{s.SecretName, s.Scope}]
		if !i.Covers(c.at, window) {
			*i = plan.Intent{At: w.now, Source: by}
		} else if i.Source != by {
			i.Source = plan.SeveralSources
		}
		m.States[s.Scope] = st
	}
	w.beat(steps)
}

// beat is a heartbeat of the run that has these steps.
func (w *world) beat(steps []plan.Action) {
	for _, s := range steps {
		st := w.memory[s.SecretName].States[s.Scope]
		st.Intent.Alive = w.now
		w.memory[s.SecretName].States[s.Scope] = st
	}
	w.dead = w.now
}

// record remembers what a closing list shows.
func (w *world) record(a attempt, in plan.Input, p plan.Plan, values map[secret.Name]string) {
	for _, act := range p.Actions {
		states := w.memory[act.SecretName].States
		if states == nil { // nothing was written, so there is nothing to remember
			continue
		}
		st := states[act.Scope]
		c, listed := w.copies[pair{act.SecretName, act.Scope}]
		switch {
		case act.Verb.Writes():
			states[act.Scope] = plan.State{
				Source: a.source, Hash: hashOf(values[act.SecretName]), TargetUpdatedAt: c.at, WrittenAt: w.now,
				SourceUpdatedAt: in.Source.Values[act.SecretName].UpdatedAt,
			}
		case act.Verb == plan.Delete && !p.Withheld, act.Verb == plan.Forget:
			delete(states, act.Scope)
		case listed && st.Intent.Covers(c.at, window):
		case !st.Written():
			delete(states, act.Scope)
		default:
			st.Intent = plan.Intent{}
			if v := in.Source.Values[act.SecretName]; act.Verb == plan.Skip && v.Hash.Same(st.Hash) {
				st.SourceUpdatedAt = v.UpdatedAt
			}
			states[act.Scope] = st
		}
	}
	w.remap(p, values)
}

// remap remembers where each secret belongs.
func (w *world) remap(p plan.Plan, values map[secret.Name]string) {
	failed := map[secret.Name]bool{}
	for _, act := range p.Actions {
		failed[act.SecretName] = failed[act.SecretName] || act.Verb == plan.Error
	}
	for _, n := range p.Selected {
		want, included := p.Wanted[n]
		if !included || failed[n] {
			continue
		}
		m, mapped := w.memory[n]
		_, present := values[n]
		switch {
		case !present && len(m.States) == 0 && !want.LeftAlone:
			delete(w.memory, n)
			continue
		case !present && !mapped:
			continue
		}
		if m.States == nil {
			m.States = map[secret.Scope]plan.State{}
		}
		m.TargetScopes, m.LeftAlone = want.TargetScopes, want.LeftAlone
		w.memory[n] = m
	}
}

// settled moves the clock past everything that may still be in flight.
func (w *world) settled() {
	if quiet := w.dead.Add(window + 3*time.Second); w.now.Before(quiet) {
		w.now = quiet
	}
	w.now = w.now.Add(3 * time.Second)
}
