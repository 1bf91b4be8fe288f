package plan_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// onlyAction returns the one action of a plan about FOO in Codespaces.
func onlyAction(t *testing.T, changes ...given) plan.Action {
	t.Helper()
	p := plan.Make(input(changes...))
	if len(p.Actions) != 1 {
		t.Fatalf("%d actions, want 1: %v", len(p.Actions), p.Actions)
	}
	return p.Actions[0]
}

// "A listed time is as remembered only when equal", whatever zone it is written in.
func TestTimeIsAsRememberedOnlyWhenEqual(t *testing.T) {
	for _, by := range []time.Duration{-time.Hour, -2 * time.Second, -time.Second, time.Second, 2 * time.Second, time.Hour} {
		if a := onlyAction(t, present(one), listed(nine.Add(by)), remembered()); a.Reason != plan.Drift {
			t.Errorf("a target listed %v from the time remembered is %s, want drift", by, a.Reason)
		}
	}
	elsewhere := nine.In(time.FixedZone("elsewhere", 5*60*60))
	if a := onlyAction(t, present(one), listed(elsewhere), remembered()); a.Reason != plan.InStep {
		t.Errorf("the same moment in another zone is %s, want in step", a.Reason)
	}
}

// "An open intent makes a target time from 2 s before it to lapse + 10 s after its run's last
// heartbeat ours."
func TestIntentCoversItsWindowAndNothingElse(t *testing.T) {
	for _, c := range []struct {
		at   time.Time
		want plan.Reason
	}{
		{began.Add(-plan.Tolerance - time.Second), plan.Drift},
		{began.Add(-plan.Tolerance), plan.Interrupted},
		{began, plan.Interrupted},
		{died.Add(window), plan.Interrupted},
		{died.Add(window + time.Second), plan.Drift},
	} {
		a := onlyAction(t, present(two), listed(c.at), remembered(interrupted(began, died)))
		if a.Reason != c.want {
			t.Errorf("a target written %v after the intent is %s, want %s", c.at.Sub(began), a.Reason, c.want)
		}
	}
	never := interrupted(began, time.Time{})
	if a := onlyAction(t, present(two), listed(began), remembered(never)); a.Reason != plan.Drift {
		t.Errorf("a target under an intent whose run was never alive is %s, want drift", a.Reason)
	}
}

// A value that another source was writing over ours when it was killed is that source's.
func TestInterruptedWriteOfAnotherSourceIsNotDeleted(t *testing.T) {
	byOther := func(s *plan.State) {
		s.Intent = plan.Intent{At: began, Run: "run", Alive: died, Source: other}
	}
	if a := onlyAction(t, listed(during), remembered(byOther)); a.Reason != plan.AnotherSources {
		t.Errorf("%s %s, want to leave another source's", a.Verb, a.Reason)
	}
	if a := onlyAction(t, listed(nine), remembered(byOther)); a.Verb != plan.Delete {
		t.Errorf("the other source's write never landed, and ours is to be deleted: %s %s", a.Verb, a.Reason)
	}
	if a := onlyAction(t, from(other), listed(during), remembered(byOther)); a.Verb == plan.Delete {
		t.Errorf("within one second it may still be ours, and the other source deletes it")
	}
}

// Hashes of different keys never compare as equal, so that a new key writes every value once.
func TestNewHashKeyWritesOnce(t *testing.T) {
	keyed := secret.NewHasher([]byte("a deployment key"), "project").Hash(secret.NewPlaintext([]byte("one")))
	if a := onlyAction(t, present(keyed), listed(nine), remembered()); a.Verb != plan.Update || a.Reason != plan.Stale {
		t.Errorf("%s %s, want update stale", a.Verb, a.Reason)
	}
}

// "A known value whose hash equals the one last written makes a stale target in step without a
// write", also where Actions lists a newer time.
func TestKnownHashMakesAStaleTargetInStep(t *testing.T) {
	known := func(in *plan.Input) {
		in.Source.Identity = plan.ActionsSource
		in.Source.Values[foo] = plan.Value{UpdatedAt: edited, Hash: one}
	}
	if a := onlyAction(t, known, listed(nine), remembered(writtenFrom(plan.ActionsSource), sourceTime(nine))); a.Reason != plan.InStep {
		t.Errorf("%s %s, want in step", a.Verb, a.Reason)
	}
	known2 := func(in *plan.Input) { known(in); in.Source.Values[foo] = plan.Value{UpdatedAt: nine, Hash: two} }
	if a := onlyAction(t, known2, listed(nine), remembered(writtenFrom(plan.ActionsSource), sourceTime(nine))); a.Reason != plan.Stale {
		t.Errorf("%s %s: a known value that differs is stale whatever time is listed", a.Verb, a.Reason)
	}
}

// "adopt decides the unmanaged ones alone": drift stays a conflict.
func TestAdoptLeavesDriftAlone(t *testing.T) {
	for _, a := range []plan.Adopt{plan.AdoptOverwrite, plan.AdoptKeep} {
		got := onlyAction(t, present(two), listed(edited), remembered(), adopting(a))
		if got.Verb != plan.Conflict || got.Reason != plan.Drift {
			t.Errorf("adopt %s: %s %s, want conflict drift", a, got.Verb, got.Reason)
		}
	}
}

// Whoever forces the drifted ones and asks to keep those that are not ours means both.
func TestKeepHoldsUnderForce(t *testing.T) {
	p := plan.Make(input(present(one), listed(edited), adopting(plan.AdoptKeep), forced))
	if got := p.Actions[0]; got.Verb != plan.Leave || got.Reason != plan.Kept {
		t.Errorf("%s %s, want leave kept", got.Verb, got.Reason)
	}
}

// "adopt: keep narrows that mapping's target scopes, so that it is left alone from then on."
func TestKeepNarrows(t *testing.T) {
	both := []secret.Scope{secret.Codespaces, secret.Dependabot}
	wide := func(in *plan.Input) {
		in.Options.Default = both
		in.Observed[secret.Dependabot] = list()
	}
	t.Run("to the rest", func(t *testing.T) {
		p := plan.Make(input(wide, present(one), listed(nine), adopting(plan.AdoptKeep)))
		want := plan.Wanted{TargetScopes: []secret.Scope{secret.Dependabot}}
		if diff := cmp.Diff(want, p.Wanted[foo], spelled); diff != "" {
			t.Error(diff)
		}
		if p.Summary.Create != 1 || p.Summary.Leave != 1 {
			t.Errorf("summary %+v, want one create beside one leave", p.Summary)
		}
	})
	t.Run("to nothing", func(t *testing.T) {
		in := input(wide, present(one), listed(nine), adopting(plan.AdoptKeep))
		in.Observed[secret.Dependabot].UpdatedAt[foo] = nine
		p := plan.Make(in)
		w := p.Wanted[foo]
		if !w.LeftAlone || len(w.TargetScopes) == 0 {
			t.Fatalf("wanted %+v, want left alone with a scope to stand in the mapping", w)
		}
		in.Memory[foo] = plan.Mapping{TargetScopes: w.TargetScopes, LeftAlone: true}
		in.Options.Adopt = plan.AdoptNone
		if again := plan.Make(in); !again.Empty() || len(again.Actions) != 0 || !again.Wanted[foo].LeftAlone {
			t.Errorf("the next plan looks again: %+v", again)
		}
		in.Options.Scopes = []secret.Scope{secret.Dependabot}
		if again := plan.Make(in); len(again.Actions) != 1 || again.Wanted[foo].LeftAlone {
			t.Errorf("asking for a scope takes it up again: %+v", again)
		}
	})
}

// "A request without scopes uses each mapping's own (new ones: the default); a request with scopes
// writes exactly these and adds them."
func TestTargetScopes(t *testing.T) {
	remember := func(s ...secret.Scope) given {
		return func(in *plan.Input) { in.Memory[foo] = plan.Mapping{TargetScopes: s} }
	}
	all := func(in *plan.Input) {
		for _, s := range []secret.Scope{secret.Actions, secret.Dependabot, prod} {
			in.Observed[s] = list()
		}
	}
	for _, c := range []struct {
		name           string
		given          []given
		targets, after []secret.Scope
	}{
		{"new: the default", nil, []secret.Scope{secret.Codespaces}, []secret.Scope{secret.Codespaces}},
		{"known: its own", []given{remember(secret.Dependabot)}, []secret.Scope{secret.Dependabot}, []secret.Scope{secret.Dependabot}},
		{"in the order of tables", []given{remember(prod, secret.Dependabot, secret.Actions)}, []secret.Scope{secret.Actions, secret.Dependabot, prod}, []secret.Scope{prod, secret.Dependabot, secret.Actions}},
		{"new, asked for scopes", []given{scopes(prod, secret.Actions, prod)}, []secret.Scope{secret.Actions, prod}, []secret.Scope{secret.Actions, prod}},
		{"known, asked for scopes", []given{remember(secret.Dependabot), scopes(secret.Actions)}, []secret.Scope{secret.Actions}, []secret.Scope{secret.Actions, secret.Dependabot}},
		{"a store that is not there", []given{remember(secret.Dependabot, prod), observed(prod, plan.Observation{Missing: true})}, []secret.Scope{secret.Dependabot}, []secret.Scope{secret.Dependabot, prod}},
		{"Actions as the source", []given{from(plan.ActionsSource), remember(secret.Actions, secret.Dependabot)}, []secret.Scope{secret.Dependabot}, []secret.Scope{secret.Actions, secret.Dependabot}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := plan.Make(input(append([]given{all, present(one)}, c.given...)...))
			var targets []secret.Scope
			for _, a := range p.Actions {
				targets = append(targets, a.Scope)
			}
			if diff := cmp.Diff(c.targets, targets, spelled); diff != "" {
				t.Errorf("targets (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.after, p.Wanted[foo].TargetScopes, spelled); diff != "" {
				t.Errorf("remembered (-want +got):\n%s", diff)
			}
		})
	}
}

// A request with scopes does not spread what its source does not have: it may be another source's,
// whose next run would then write it to where nobody wanted it.
func TestScopesAreNotAddedToWhatTheSourceLacks(t *testing.T) {
	p := plan.Make(input(remembered(writtenFrom(other)), listed(nine), scopes(secret.Dependabot), observed(secret.Dependabot, list())))
	if diff := cmp.Diff([]secret.Scope{secret.Codespaces}, p.Wanted[foo].TargetScopes, spelled); diff != "" {
		t.Errorf("target scopes (-want +got):\n%s", diff)
	}
	if !p.Empty() {
		t.Errorf("a scope it never was in makes something to do: %v", p.Actions)
	}
}

// "Deleting more than half of a project's managed secrets (and more than three), or anything when
// the source listing is empty, needs allowDeletes: N, at least the plan's summary.delete."
func TestWithheldDeletes(t *testing.T) {
	// remove returns a project of managed secrets in two scopes, of which some left the source.
	remove := func(managed, removed, unmanaged, allowed int) plan.Plan {
		in := input()
		in.Options.AllowDeletes = allowed
		in.Observed[secret.Dependabot] = list()
		both := []secret.Scope{secret.Codespaces, secret.Dependabot}
		for i := range managed + unmanaged {
			n := secret.MustName(fmt.Sprintf("S%02d", i))
			m := plan.Mapping{TargetScopes: both, States: map[secret.Scope]plan.State{}}
			for _, s := range both {
				if i < managed {
					m.States[s] = plan.State{Source: file, Hash: one, TargetUpdatedAt: nine, WrittenAt: nine}
					in.Observed[s].UpdatedAt[n] = nine
				}
			}
			in.Memory[n] = m
			if i >= removed {
				in.Source.Values[n] = plan.Value{Hash: one}
			}
		}
		return plan.Make(in)
	}
	for _, c := range []struct {
		managed, removed, unmanaged, allowed int
		want                                 bool
	}{
		{managed: 8, removed: 4, want: false},              // half is not more than half
		{managed: 7, removed: 4, want: true},               // more than half, more than three
		{managed: 4, removed: 3, want: false},              // more than half, not more than three
		{managed: 6, removed: 4, unmanaged: 9, want: true}, // only managed ones count
		{managed: 1, removed: 1, want: true},               // the source is empty
		{managed: 7, removed: 4, allowed: 7, want: true},   // eight are to be deleted: secret × scope
		{managed: 7, removed: 4, allowed: 8, want: false},
		{managed: 1, removed: 1, allowed: 2, want: false},
	} {
		p := remove(c.managed, c.removed, c.unmanaged, c.allowed)
		if p.Summary.Delete != 2*c.removed {
			t.Errorf("%+v: %d deletes, want %d", c, p.Summary.Delete, 2*c.removed)
		}
		if p.Withheld != c.want {
			t.Errorf("%+v: withheld %v", c, p.Withheld)
		}
		writes := 2 * c.removed
		if c.want {
			writes = 0
		}
		if got := p.Cost().Writes - p.Summary.Create; got != writes {
			t.Errorf("%+v: the cost counts %d deletes, want %d", c, got, writes)
		}
	}
}

// What cannot be read of a source is no wish to delete, and no reason to take it for whole.
func TestEmptySourceDeletesNothingUnasked(t *testing.T) {
	in := input(listed(nine), remembered())
	in.Options.AllowDeletes = 0
	if p := plan.Make(in); !p.Withheld || p.Empty() {
		t.Errorf("withheld %v, empty %v: a source without a single value deletes", p.Withheld, p.Empty())
	}
}

// An excluded name is a notice that names the pattern, and the copy of ours that remains.
func TestExcludedNotice(t *testing.T) {
	about := func(changes ...given) string {
		p := plan.Make(input(append(changes, excluded)...))
		if len(p.Notices) != 1 || !p.Empty() {
			t.Fatalf("%d notices, empty %v", len(p.Notices), p.Empty())
		}
		if _, ok := p.Wanted[foo]; ok {
			t.Error("an excluded secret changes what its mapping remembers")
		}
		return p.Notices[0].Message
	}
	if m := about(present(one), listed(nine), remembered()); !strings.Contains(m, "^FOO$") || !strings.Contains(m, "remains in codespaces") {
		t.Errorf("%q names neither pattern nor copy", m)
	}
	for what, m := range map[string]string{
		"never written":             about(present(one), listed(nine)),
		"deleted outside":           about(present(one), remembered()),
		"being written, unfinished": about(present(one), begun(began, died)),
	} {
		if strings.Contains(m, "remains") {
			t.Errorf("%s: %q tells of a copy", what, m)
		}
	}
	if m := about(present(one), remembered(), failing(secret.Codespaces)); !strings.Contains(m, "remains in codespaces") {
		t.Errorf("%q: what could not be listed may still be there", m)
	}
}

// Limits narrow what is selected, and those asked for by name are always among them.
func TestSelected(t *testing.T) {
	names := func(in plan.Input) string {
		in.Source.Values[foo], in.Memory[bar] = plan.Value{Hash: one}, plan.Mapping{TargetScopes: in.Options.Default}
		var out []string
		for _, n := range plan.Make(in).Selected {
			out = append(out, n.String())
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct {
		change given
		want   string
	}{
		{func(*plan.Input) {}, "BAR FOO"},
		{asked, "FOO"},
		{func(in *plan.Input) { in.Options.Names = []secret.Name{secret.MustName("NEW"), foo, foo} }, "FOO NEW"},
		{only, "FOO"},
		{func(in *plan.Input) { in.Options.Except = []string{"B?R"} }, "FOO"},
		{func(in *plan.Input) { in.Options.Only, in.Options.Except = []string{"*"}, []string{"*O"} }, "BAR"},
	} {
		in := input(c.change)
		if got := names(in); got != c.want {
			t.Errorf("%+v selects %q, want %q", in.Options, got, c.want)
		}
	}
}

// The JSON of an action and a summary is public: people parse it.
func TestJSON(t *testing.T) {
	p := plan.Make(input(present(one)))
	raw, err := json.Marshal(struct {
		Actions []plan.Action `json:"actions"`
		Summary plan.Summary  `json:"summary"`
		Cost    plan.Cost     `json:"cost"`
	}{p.Actions, p.Summary, p.Cost()})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"actions":[{"secretName":"FOO","scope":"codespaces","verb":"create","reason":"missing"}],` +
		`"summary":{"create":1,"update":0,"delete":0,"skip":0,"leave":0,"forget":0,"conflict":0,"error":0},` +
		`"cost":{"requests":3,"writes":1}}`
	if diff := cmp.Diff(want, string(raw)); diff != "" {
		t.Error(diff)
	}
}

// "Reasons: the last column in snake_case, one enum, beside one table that gives each its code."
func TestReasons(t *testing.T) {
	snake := regexp.MustCompile(`^[a-z]+(_[a-z]+)*$`)
	var seen []plan.Reason
	for _, e := range plan.Reasons() {
		if !snake.MatchString(string(e.Reason)) || e.Words == "" || slices.Contains(seen, e.Reason) {
			t.Errorf("%+v: not in snake_case, without words, or there twice", e)
		}
		if e.Reason.Explain() != e {
			t.Errorf("%s is explained as %+v", e.Reason, e.Reason.Explain())
		}
		seen = append(seen, e.Reason)
	}
	for _, l := range table {
		if code := l.reason.Explain().Code; l.verb.Failed() && code == "" {
			t.Errorf("%s is a %s and has no code", l.reason, l.verb)
		}
	}
}
