package plan_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

// A history is a world to which anything happens: sources change, people edit targets behind our
// back, runs end and runs are killed, from several sources, narrowed, limited, forced or adopting.
type history struct{ *world }

// TestConvergence is the law of the product. After any history, a run that ends without conflicts
// leaves an empty plan, now and later, and every copy it vouches for holds the source's value. On
// the way nothing that somebody else wrote is touched unasked, and nothing of another source is
// deleted.
func TestConvergence(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := &history{newWorld()}
		t.Repeat(map[string]func(*rapid.T){
			"":               h.converges,
			"source changes": h.sourceChanges,
			"target edited":  h.targetEdited,
			"time passes":    h.timePasses,
			"run":            h.runs,
			"killed":         h.killed,
			"scopes set":     h.scopesSet,
			"excluded":       h.excludes,
		})
	})
}

func (h *history) sourceChanges(t *rapid.T) {
	source, name := pick(t, "source", someSources), pick(t, "name", someNames)
	value := pick(t, "value", []string{"one", "two", ""})
	at := pair{name, secret.Actions}
	if source == plan.ActionsSource { // to a run from elsewhere this is an edit behind its back
		h.settled()
		defer h.settled()
	}
	switch {
	case source == plan.ActionsSource && value == "":
		delete(h.copies, at)
	case source == plan.ActionsSource:
		h.put(at, value, somebody)
	case value == "":
		delete(h.files[source], name)
	default:
		h.files[source][name] = value
	}
}

// targetEdited lets somebody change a target, not in the very second of a run: that cannot be seen.
func (h *history) targetEdited(t *rapid.T) {
	at := pair{pick(t, "name", someNames), pick(t, "scope", someScopes)}
	h.settled()
	if chance(t, "deleted", 3) {
		delete(h.copies, at)
	} else {
		h.put(at, "theirs", somebody)
	}
	h.settled()
}

func (h *history) timePasses(t *rapid.T) {
	h.now = h.now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "seconds")) * time.Second)
}

// scopesSet narrows or widens one mapping: what is dropped is forgotten, its copy stays.
func (h *history) scopesSet(t *rapid.T) {
	name := pick(t, "name", someNames)
	m, ok := h.memory[name]
	if !ok {
		return
	}
	m.TargetScopes, m.LeftAlone = append(some(t, "scopes", someScopes[:3], 2), prod), false
	for s := range m.States {
		if !slices.Contains(m.TargetScopes, s) {
			delete(m.States, s)
		}
	}
	h.memory[name] = m
}

func (h *history) excludes(t *rapid.T) {
	if name := pick(t, "name", someNames); h.exclude[name] {
		delete(h.exclude, name)
	} else {
		h.exclude[name] = true
	}
}

func anyAttempt(t *rapid.T) attempt {
	o := anyOptions(t)
	return attempt{
		source: pick(t, "source", someSources), opts: o, hashes: chance(t, "hashes", 2), dies: -1,
		pace: time.Duration(rapid.IntRange(0, 1500).Draw(t, "pace")) * time.Millisecond,
	}
}

// takeOver waits until the run before is known to be dead: at once when it ended, for the lease or,
// with a file lock, for a part of it when it was killed.
func (h *history) takeOver(t *rapid.T) {
	wait := time.Duration(rapid.IntRange(10, 60).Draw(t, "takeover")) * time.Second
	if free := h.dead.Add(wait); h.now.Before(free) {
		h.now = free
	}
}

func (h *history) runs(t *rapid.T) {
	h.takeOver(t)
	h.judged(t, anyAttempt(t))
}

// judged runs, and holds the run to what it may do to what is there.
func (h *history) judged(t *rapid.T, a attempt) plan.Plan {
	before := h.clone()
	p := h.run(a)
	for at, was := range before.copies {
		is, there := h.copies[at]
		st := before.memory[at.name].States[at.scope]
		adopted := a.opts.Adopt == plan.AdoptOverwrite && !st.Written()
		switch {
		case there && is == was || a.opts.Force:
		case !there && was.by != a.source:
			t.Fatalf("%s, written by %s, was deleted by a run of %s", at, was.by, a.source)
		case there && was.by == somebody && !adopted:
			t.Fatalf("%s was written by somebody else and overwritten", at)
		}
	}
	for at, is := range h.copies {
		if was, there := before.copies[at]; is != was || !there {
			if h.values(a.source)[at.name] != is.value || h.exclude[at.name] {
				t.Fatalf("%s was given a value the source does not have for it", at)
			}
		}
	}
	return p
}

// killed kills some runs, each somewhere, and then holds that a plain run puts right what they
// left: without force, none of their targets is a conflict. Then the history goes on from the kill.
func (h *history) killed(t *rapid.T) {
	a := anyAttempt(t)
	a.opts.Force = false
	left := map[pair]bool{}
	for range rapid.IntRange(1, 3).Draw(t, "kills") {
		h.takeOver(t)
		a.dies = rapid.IntRange(0, 8).Draw(t, "dies")
		p := h.judged(t, a)
		for _, act := range p.Actions {
			if act.Verb.Writes() || act.Verb == plan.Delete && !p.Withheld {
				left[pair{act.SecretName, act.Scope}] = true
			}
		}
	}
	a.dies = -1
	after := &history{h.clone()}
	after.takeOver(t)
	p := after.judged(t, a)
	for _, act := range p.Actions {
		if left[pair{act.SecretName, act.Scope}] && act.Verb.Failed() {
			t.Fatalf("after %d kills %s in %s is %s %s", len(left), act.SecretName, act.Scope, act.Verb, act.Reason)
		}
	}
	after.inStep(t, a, p)
}

// converges lets the history's world be run once more by anybody and be looked at.
func (h *history) converges(t *rapid.T) {
	after := &history{h.clone()}
	after.takeOver(t)
	a := anyAttempt(t)
	after.inStep(t, a, after.judged(t, a))
}

// inStep holds that the plan after an applied one asks for nothing that the one before did not
// leave open, and that what it vouches for is so.
func (h *history) inStep(t *rapid.T, a attempt, first plan.Plan) {
	open := map[string]bool{}
	for _, act := range first.Actions {
		if act.Verb.Failed() || act.Verb == plan.Delete && first.Withheld {
			open[fmt.Sprint(act)] = true
		}
	}
	look := func(when string) plan.Plan {
		again := plan.Make(h.input(a))
		for _, act := range again.Actions {
			if idle := act.Verb == plan.Skip || act.Verb == plan.Leave; !idle && !open[fmt.Sprint(act)] {
				t.Fatalf("not converged %s: %s in %s is %s %s\nfirst %+v", when, act.SecretName, act.Scope, act.Verb, act.Reason, first.Actions)
			}
		}
		if len(open) == 0 && !again.Empty() {
			t.Fatalf("not empty %s: %+v", when, again.Summary)
		}
		return again
	}
	look("at once")
	h.now = h.now.Add(10 * time.Second)
	if a.source == plan.ActionsSource && !a.hashes {
		return // a time within two seconds of its list is looked at again: TestSecondLook
	}
	again := look("later")
	values := h.values(a.source)
	for _, act := range again.Actions {
		if c := h.copies[pair{act.SecretName, act.Scope}]; act.Reason == plan.InStep && c.value != values[act.SecretName] {
			t.Fatalf("%s in %s is said to be in step and holds %q, not %q", act.SecretName, act.Scope, c.value, values[act.SecretName])
		}
	}
}

// "A source time within 2 s of its list's Date is remembered one second earlier, so that the next
// run looks again": a second edit in that second is found, and the third plan is empty.
func TestSecondLook(t *testing.T) {
	for late := time.Duration(0); late < 5*time.Second; late += time.Second {
		w := newWorld()
		a := attempt{source: plan.ActionsSource, opts: input().Options, dies: -1}
		at := pair{foo, secret.Actions}
		w.put(at, "one", somebody)
		edited := w.copies[at]
		w.now = w.now.Add(late)
		w.run(a)
		if late <= plan.Tolerance { // in the second that the first run saw
			w.copies[at] = aCopy{"two", edited.at, somebody}
		}
		w.now = w.now.Add(10 * time.Second)
		w.run(a)
		if got, want := w.copies[pair{foo, secret.Codespaces}].value, w.copies[at].value; got != want {
			t.Errorf("listed %v after the edit: the target holds %q, the source %q", late, got, want)
		}
		if p := plan.Make(w.input(a)); !p.Empty() || p.Actions[0].Reason != plan.InStep {
			t.Errorf("listed %v after the edit: the third plan is %+v", late, p.Actions)
		}
	}
}
