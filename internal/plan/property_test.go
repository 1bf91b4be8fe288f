package plan_test

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

// A pair is one secret in one scope.
type pair struct {
	name  secret.Name
	scope secret.Scope
}

func (p pair) String() string { return p.name.String() + " in " + p.scope.String() }

// A situation is one action with what an observer knows of its pair. It is written from design.md §3
// alone, and asks the planner nothing.
type situation struct {
	plan.Action
	in                       plan.Input
	present, looked, listed  bool
	written, same, inFlight  bool
	remembered, organisation bool
	inFlightElsewhere        bool // an interrupted run of another source may have written it
}

func situations(in plan.Input, p plan.Plan) []situation {
	out := make([]situation, 0, len(p.Actions))
	for _, a := range p.Actions {
		c := situation{Action: a, in: in}
		_, c.present = in.Source.Values[a.SecretName]
		o, looked := in.Observed[a.Scope]
		at, listed := o.UpdatedAt[a.SecretName]
		c.looked, c.listed = looked && !o.Failed, listed
		st := in.Memory[a.SecretName].States[a.Scope]
		c.written = !st.WrittenAt.IsZero()
		c.same = in.Source.Identity != "" && st.Source == in.Source.Identity
		if i := st.Intent; listed && !i.At.IsZero() {
			from, to := i.At.Add(-2*time.Second), i.Alive.Add(in.Options.Window)
			c.inFlight = !at.Before(from) && !at.After(to)
			c.inFlightElsewhere = c.inFlight && i.Source != "" && i.Source != in.Source.Identity
		}
		c.remembered = c.listed && c.written && at.Equal(st.TargetUpdatedAt)
		c.organisation = in.Source.Identity == plan.ActionsSource && in.Source.Organisation[a.SecretName]
		out = append(out, c)
	}
	return out
}

// partial says that not every list was had whole, or not every name was looked at.
func partial(in plan.Input) bool {
	for _, o := range in.Observed {
		if o.Failed {
			return true
		}
	}
	return len(in.Options.Names)+len(in.Options.Only)+len(in.Options.Except) > 0
}

// holds checks a law about every action of random plans.
func holds(t *testing.T, law func(c situation) string) {
	t.Helper()
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		for _, c := range situations(in, plan.Make(in)) {
			if broken := law(c); broken != "" {
				t.Fatalf("%s %s: %s %s, but %s", c.SecretName, c.Scope, c.Verb, c.Reason, broken)
			}
		}
	})
}

// What we did not put there is never written over unasked.
func TestNothingOfOthersIsOverwritten(t *testing.T) {
	holds(t, func(c situation) string {
		ours := c.remembered || c.inFlight
		asked := c.in.Options.Force || !c.written && c.in.Options.Adopt == plan.AdoptOverwrite
		switch {
		case c.Verb == plan.Update && !c.listed:
			return "there is nothing to write over"
		case c.Verb == plan.Update && !ours && !asked:
			return "the target is not ours and nobody asked"
		case c.Verb == plan.Create && (c.listed || !c.looked):
			return "the target is not known to be free"
		case c.Verb.Writes() && !c.present:
			return "there is no value"
		case c.Verb == plan.Update && !c.written && !c.inFlight && c.in.Options.Adopt == plan.AdoptKeep:
			return "it was to be kept"
		}
		return ""
	})
}

// What we did not put there is never deleted, and what we did only with certainty.
func TestNothingOfOthersIsDeleted(t *testing.T) {
	holds(t, func(c situation) string {
		if c.Verb != plan.Delete {
			return ""
		}
		switch {
		case c.present:
			return "the source has it"
		case !c.listed:
			return "it is not there"
		case !c.written && !c.inFlight:
			return "it was never ours"
		case !c.remembered && !c.inFlight && !c.in.Options.Force:
			return "somebody else changed it"
		case !c.same || c.inFlightElsewhere:
			return "another source wrote it"
		case c.in.Source.Identity == stdin:
			return "stdin deletes nothing"
		case c.organisation:
			return "it moved to the organisation"
		case partial(c.in):
			return "the run was limited or a list is not whole"
		case len(c.in.Options.Scopes) > 0 && !slices.Contains(c.in.Options.Scopes, c.Scope):
			return "the run was not asked to write the scope"
		}
		return ""
	})
}

// Without force, drift is a conflict or left alone, and never touched.
func TestDriftIsUntouchedWithoutForce(t *testing.T) {
	holds(t, func(c situation) string {
		drifted := c.listed && c.written && !c.remembered && !c.inFlight
		if !drifted || c.in.Options.Force {
			return ""
		}
		if c.Verb.Writes() || c.Verb == plan.Delete || c.Verb == plan.Forget {
			return "it drifted"
		}
		if c.present && c.Verb == plan.Skip && c.Reason != plan.Excluded {
			return "it drifted, and nobody hears of it"
		}
		return ""
	})
}

// Memory is only dropped where nothing of ours is left.
func TestForgetOnlyWhatIsGone(t *testing.T) {
	holds(t, func(c situation) string {
		if c.Verb == plan.Forget && (c.present || c.listed || !c.looked || !c.same) {
			return "something of it is left, or it is another source's"
		}
		return ""
	})
}

// A plan that claims to be in step stands on a target and a source that are as remembered.
func TestInStepIsNeverAssumed(t *testing.T) {
	holds(t, func(c situation) string {
		if c.Reason != plan.InStep {
			return ""
		}
		v, st := c.in.Source.Values[c.SecretName], c.in.Memory[c.SecretName].States[c.Scope]
		hashes := v.Hash.Seen() && v.Hash.String() == st.Hash.String() && v.Hash.KeyID() == st.Hash.KeyID()
		times := !v.Hash.Seen() && c.same && !v.UpdatedAt.IsZero() && v.UpdatedAt.Equal(st.SourceUpdatedAt)
		if !c.remembered || c.inFlight || !hashes && !times {
			return "it may not be"
		}
		return ""
	})
}

// "Every selected name × target scope has exactly one action", in order.
func TestTotality(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		p := plan.Make(in)
		var got, want []pair
		for _, a := range p.Actions {
			got = append(got, pair{a.SecretName, a.Scope})
		}
		var selected []string
		for _, n := range someNames { // which are in order
			if !isSelected(in, n) {
				continue
			}
			selected = append(selected, n.String())
			for _, s := range someScopes { // so are they
				if isTarget(in, n, s) {
					want = append(want, pair{n, s})
				}
			}
		}
		if diff := cmp.Diff(want, got, cmp.Transformer("pair", pair.String)); diff != "" {
			t.Fatalf("actions (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(selected, spell(p.Selected)); diff != "" {
			t.Fatalf("selected (-want +got):\n%s", diff)
		}
	})
}

func spell(names []secret.Name) []string {
	var out []string
	for _, n := range names {
		out = append(out, n.String())
	}
	return out
}

func isSelected(in plan.Input, n secret.Name) bool {
	o := in.Options
	_, present := in.Source.Values[n]
	_, mapped := in.Memory[n]
	if len(o.Names) > 0 {
		return slices.Contains(o.Names, n)
	}
	matches := func(glob string) bool { return someGlobs[glob](n.String()) }
	return (present || mapped) && (len(o.Only) == 0 || slices.ContainsFunc(o.Only, matches)) && !slices.ContainsFunc(o.Except, matches)
}

func isTarget(in plan.Input, n secret.Name, s secret.Scope) bool {
	if s == secret.Actions && in.Source.Identity == plan.ActionsSource || in.Observed[s].Missing {
		return false
	}
	if len(in.Options.Scopes) > 0 {
		return slices.Contains(in.Options.Scopes, s)
	}
	if m, ok := in.Memory[n]; ok {
		return (!m.LeftAlone || slices.Contains(in.Options.Names, n)) && slices.Contains(m.TargetScopes, s)
	}
	return slices.Contains(in.Options.Default, s)
}

// Equal inputs give equal plans, and Make leaves its input alone; so does whoever then changes the
// plan's scopes.
func TestDeterminismAndPurity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		before := copied(in)
		first, second := plan.Make(in), plan.Make(copied(in))
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("two plans of one input:\n%+v\n%+v", first, second)
		}
		for _, w := range first.Wanted {
			clear(w.TargetScopes)
		}
		if !reflect.DeepEqual(in, before) {
			t.Fatalf("the input was changed")
		}
	})
}

// The summary adds up, and a plan is empty when nothing is to be done and nothing is wrong.
func TestSummaryAddsUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := plan.Make(anyInput(t))
		count := map[plan.Verb]int{}
		for _, a := range p.Actions {
			count[a.Verb]++
			if a.Reason.Explain().Reason != a.Reason {
				t.Fatalf("%s is no reason of the table", a.Reason)
			}
			if a.Verb.Failed() && a.Reason.Explain().Code == "" {
				t.Fatalf("%s %s has no code", a.Verb, a.Reason)
			}
		}
		want := plan.Summary{
			Create: count[plan.Create], Update: count[plan.Update], Delete: count[plan.Delete], Skip: count[plan.Skip],
			Leave: count[plan.Leave], Forget: count[plan.Forget], Conflict: count[plan.Conflict], Error: count[plan.Error],
		}
		if p.Summary != want {
			t.Fatalf("summary %+v, want %+v", p.Summary, want)
		}
		if idle := count[plan.Skip]+count[plan.Leave] == len(p.Actions); p.Empty() != idle {
			t.Fatalf("empty %v with %+v", p.Empty(), p.Summary)
		}
	})
}

// Force turns conflicts into writes and deletions, and changes nothing else.
func TestForceDecidesConflictsAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		in.Options.Force = false
		calm := plan.Make(in)
		in.Options.Force = true
		compare(t, calm, plan.Make(in), func(a plan.Action) bool { return a.Verb == plan.Conflict })
	})
}

// Adopting decides what is unmanaged, and changes nothing else.
func TestAdoptDecidesTheUnmanagedAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		in.Options.Adopt = plan.AdoptNone
		undecided := plan.Make(in)
		in.Options.Adopt = pick(t, "adopt", []plan.Adopt{plan.AdoptOverwrite, plan.AdoptKeep})
		compare(t, undecided, plan.Make(in), func(a plan.Action) bool { return a.Reason == plan.Unmanaged })
	})
}

// compare fails when an action differs that may not.
func compare(t *rapid.T, a, b plan.Plan, may func(plan.Action) bool) {
	for i := range a.Actions {
		if a.Actions[i] != b.Actions[i] && !may(a.Actions[i]) {
			t.Fatalf("%+v became %+v", a.Actions[i], b.Actions[i])
		}
	}
}

// Deletions are withheld beyond more than half of the managed secrets and more than three, and
// whenever the source is empty, unless as many were allowed.
func TestWithholding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		p := plan.Make(in)
		managed, gone := map[secret.Name]bool{}, map[secret.Name]bool{}
		for n, m := range in.Memory {
			for _, st := range m.States {
				managed[n] = managed[n] || !st.WrittenAt.IsZero()
			}
			if !managed[n] {
				delete(managed, n)
			}
		}
		deletes := 0
		for _, a := range p.Actions {
			if a.Verb == plan.Delete {
				deletes++
				gone[a.SecretName] = true
			}
		}
		many := len(gone) > 3 && len(gone)*2 > len(managed) || len(in.Source.Values) == 0
		want := deletes > 0 && deletes > in.Options.AllowDeletes && many
		if p.Withheld != want {
			t.Fatalf("withheld %v: %d deletes of %d names, %d managed, %d allowed, %d in the source",
				p.Withheld, deletes, len(gone), len(managed), in.Options.AllowDeletes, len(in.Source.Values))
		}
	})
}
