package plan_test

import (
	"maps"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

// survey returns FOO with its mapping and lists, as validation sees them.
func survey(changes ...given) plan.Survey {
	in := input(changes...)
	return plan.Survey{Observed: in.Observed, Memory: in.Memory, Excluded: in.Excluded, Default: in.Options.Default, Window: window}
}

// inActions makes Actions list FOO.
func inActions(at time.Time) given {
	return func(in *plan.Input) {
		in.Observed[secret.Actions] = plan.Observation{Date: noon, UpdatedAt: map[secret.Name]time.Time{foo: at}}
	}
}

func actionsEmpty(in *plan.Input) { in.Observed[secret.Actions] = list() }

func leftAlone(in *plan.Input) {
	in.Memory[foo] = plan.Mapping{TargetScopes: []secret.Scope{secret.Codespaces}, LeftAlone: true}
}

// narrowedTo says that FOO belongs in these scopes alone.
func narrowedTo(s ...secret.Scope) given {
	return func(in *plan.Input) {
		m := in.Memory[foo]
		m.TargetScopes = s
		in.Memory[foo] = m
	}
}

// cells spells the standings of FOO.
func cells(s plan.Survey) map[string]plan.Standing {
	out := map[string]plan.Standing{}
	for _, r := range plan.Check(s) {
		for scope, standing := range r.Cells {
			out[scope.String()] = standing
		}
	}
	return out
}

// TestStandings holds how a secret stands, for a local source and for Actions.
func TestStandings(t *testing.T) {
	for _, c := range []struct {
		name  string
		given []given
		want  map[string]plan.Standing
	}{
		{"in step", []given{listed(nine), remembered()}, map[string]plan.Standing{"codespaces": plan.StandsIn}},
		{"missing", []given{remembered()}, map[string]plan.Standing{"codespaces": plan.StandsGone}},
		{"drift", []given{listed(edited), remembered()}, map[string]plan.Standing{"codespaces": plan.StandsDrift}},
		{"interrupted", []given{listed(during), remembered(interrupted(began, died))}, map[string]plan.Standing{"codespaces": plan.StandsOpen}},
		{"drift after an interrupted run", []given{listed(afterAll), remembered(interrupted(began, died))}, map[string]plan.Standing{"codespaces": plan.StandsDrift}},
		{"unmanaged where it belongs", []given{listed(nine), begun(noon, noon)}, map[string]plan.Standing{"codespaces": plan.StandsAlien}},
		{"left alone", []given{listed(nine), leftAlone}, map[string]plan.Standing{"codespaces": plan.StandsAlien}},
		{"left alone and gone", []given{leftAlone}, map[string]plan.Standing{}},
		{"excluded", []given{listed(nine), remembered(), excluded}, map[string]plan.Standing{"codespaces": plan.StandsOut}},
		{"excluded and gone", []given{remembered(), excluded}, map[string]plan.Standing{}},
		{"not listed", []given{remembered(), failing(secret.Codespaces)}, map[string]plan.Standing{"codespaces": plan.Unknown}},
		{"no such store", []given{remembered(), observed(secret.Codespaces, plan.Observation{Missing: true})}, map[string]plan.Standing{}},
		{"outside the mapping's scopes", []given{listed(nine), remembered(), inActions(nine)}, map[string]plan.Standing{"codespaces": plan.StandsIn, "actions": plan.StandsAlien}},

		{"Actions: in step", []given{inActions(nine), listed(nine), writtenFromActions(nine)}, map[string]plan.Standing{"actions": plan.StandsFirst, "codespaces": plan.StandsIn}},
		{"Actions: stale", []given{inActions(edited), listed(nine), writtenFromActions(nine)}, map[string]plan.Standing{"actions": plan.StandsFirst, "codespaces": plan.StandsStale}},
		{"Actions: new", []given{inActions(nine)}, map[string]plan.Standing{"actions": plan.StandsFirst, "codespaces": plan.StandsGone}},
		{"Actions: unmanaged", []given{inActions(nine), listed(nine)}, map[string]plan.Standing{"actions": plan.StandsFirst, "codespaces": plan.StandsAlien}},
		{"Actions: orphan", []given{actionsEmpty, listed(nine)}, map[string]plan.Standing{"codespaces": plan.StandsAlone}},
		{"Actions: not looked at, so nobody is an orphan", []given{listed(nine)}, map[string]plan.Standing{"codespaces": plan.StandsAlien}},
		{"Actions: not listed, so nobody is an orphan", []given{failing(secret.Actions), listed(nine)}, map[string]plan.Standing{"actions": plan.Unknown, "codespaces": plan.StandsAlien}},
		{"Actions: listed in the second of its edit, and in step for now", []given{inActions(noon), listed(nine), writtenFromActions(noon.Add(-time.Second))},
			map[string]plan.Standing{"actions": plan.StandsFirst, "codespaces": plan.StandsIn}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, cells(survey(c.given...))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// A file's orphans are told without asking Actions, which is a target like the others.
func TestOrphanOfALocalSource(t *testing.T) {
	s := survey(remembered(), listed(nine))
	s.Observed[secret.Codespaces].UpdatedAt[bar] = nine
	f := s.Judge(plan.Check(s))
	if diff := cmp.Diff([]plan.Finding{{SecretName: bar, Scope: secret.Codespaces}}, f.Orphans, spelled); diff != "" {
		t.Errorf("orphans (-want +got):\n%s", diff)
	}
	if f.Summary.TotalSecrets != 1 {
		t.Errorf("%+v: an orphan is counted", f.Summary)
	}
}

// Required names must be everywhere, remembered or not, in Actions too when that is the source.
func TestRequired(t *testing.T) {
	require := func(s plan.Survey) plan.Survey { s.Required = []secret.Name{foo}; return s }
	for _, c := range []struct {
		name string
		s    plan.Survey
		want map[string]plan.Standing
	}{
		{"nowhere", survey(actionsEmpty), map[string]plan.Standing{"actions": plan.StandsGone, "codespaces": plan.StandsGone}},
		{"absent at the source", survey(actionsEmpty, listed(nine), writtenFromActions(nine)), map[string]plan.Standing{"actions": plan.StandsGone, "codespaces": plan.StandsIn}},
		{"local source", survey(listed(nine), remembered(), actionsEmpty), map[string]plan.Standing{"codespaces": plan.StandsIn}},
		{"left alone and gone", survey(leftAlone, actionsEmpty), map[string]plan.Standing{"actions": plan.StandsGone, "codespaces": plan.StandsGone}},
		{"excluded", survey(actionsEmpty, excluded), map[string]plan.Standing{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, cells(require(c.s))); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// "Each name counts once: missing before conflict before valid."
func TestCounting(t *testing.T) {
	both := narrowedTo(secret.Codespaces, secret.Dependabot)
	dependabot := func(at time.Time, changes ...func(*plan.State)) given {
		return func(in *plan.Input) {
			in.Observed[secret.Dependabot] = list()
			in.Observed[secret.Dependabot].UpdatedAt[foo] = at
			st := in.Memory[foo].States[secret.Codespaces]
			for _, change := range changes {
				change(&st)
			}
			in.Memory[foo].States[secret.Dependabot] = st
		}
	}
	gone := func(in *plan.Input) { in.Observed[secret.Dependabot] = list() }
	none := func(s *plan.State) { *s = plan.State{} }
	for _, c := range []struct {
		name  string
		given []given
		want  plan.Tally
	}{
		{"valid in two", []given{listed(nine), remembered(), both, dependabot(nine)}, plan.Tally{TotalSecrets: 1, ValidCount: 1}},
		{"missing in one", []given{listed(nine), remembered(), both, gone}, plan.Tally{TotalSecrets: 1, MissingCount: 1}},
		{"missing before conflict", []given{listed(edited), remembered(), both, gone}, plan.Tally{TotalSecrets: 1, MissingCount: 1}},
		{"conflict before valid", []given{listed(nine), remembered(), both, dependabot(edited)}, plan.Tally{TotalSecrets: 1, ConflictCount: 1}},
		{"conflict in two", []given{listed(edited), remembered(), both, dependabot(edited)}, plan.Tally{TotalSecrets: 1, ConflictCount: 1}},
		{"an unmanaged copy proves nothing and is valid", []given{listed(nine), remembered(), both, dependabot(nine, none)}, plan.Tally{TotalSecrets: 1, ValidCount: 1}},
		{"not known is not valid", []given{listed(nine), remembered(), both, failing(secret.Dependabot)}, plan.Tally{TotalSecrets: 1}},
		{"excluded is left out", []given{listed(edited), remembered(), both, gone, excluded}, plan.Tally{}},
		{"left alone is left out", []given{listed(nine), leftAlone}, plan.Tally{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := survey(c.given...)
			if got := s.Judge(plan.Check(s)).Summary; got != c.want {
				t.Errorf("%+v, want %+v", got, c.want)
			}
		})
	}
}

// Copies that we did not write are told where the secret belongs; one that was narrowed away or is
// left alone was decided about.
func TestUnverified(t *testing.T) {
	unverified := func(changes ...given) int {
		s := survey(changes...)
		return len(s.Judge(plan.Check(s)).Unverified)
	}
	if n := unverified(inActions(nine), listed(nine)); n != 1 {
		t.Errorf("%d unverified, want the unmanaged copy", n)
	}
	if n := unverified(inActions(nine), listed(nine), leftAlone); n != 0 {
		t.Errorf("%d unverified: it was left alone for good", n)
	}
	if n := unverified(inActions(nine), listed(nine), narrowedTo(secret.Dependabot)); n != 0 {
		t.Errorf("%d unverified: it does not belong there", n)
	}
}

// "valueHashes holds only scopes whose hash is known and current."
func TestDisagreementShowsKnownHashesOnly(t *testing.T) {
	s := survey(inActions(edited), listed(edited), writtenFromActions(nine), narrowedTo(secret.Codespaces, secret.Dependabot, prod))
	states := s.Memory[foo].States
	for _, at := range []secret.Scope{secret.Dependabot, prod} {
		s.Observed[at] = plan.Observation{Date: noon, UpdatedAt: map[secret.Name]time.Time{foo: nine}}
		states[at] = states[secret.Codespaces]
	}
	st := states[secret.Codespaces] // drifted: what it holds is not known any more
	st.Hash = one
	states[secret.Codespaces] = st
	st.Hash = two // stale: what it holds is what we wrote
	states[secret.Dependabot] = st

	f := s.Judge(plan.Check(s))
	want := []plan.Disagreement{{
		SecretName: foo, Scopes: []secret.Scope{secret.Codespaces, secret.Dependabot, prod},
		ValueHashes: map[string]string{"dependabot": two.String()},
	}}
	if diff := cmp.Diff(want, f.Conflicts, spelled); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A survey may be narrowed to scopes.
func TestSurveyOfSomeScopes(t *testing.T) {
	s := survey(inActions(nine), listed(edited), writtenFromActions(nine))
	s.Scopes = []secret.Scope{secret.Actions}
	if diff := cmp.Diff(map[string]plan.Standing{"actions": plan.StandsFirst}, cells(s)); diff != "" {
		t.Error(diff)
	}
}

// The findings add up whatever is surveyed, every row is in order, and the survey is left alone.
func TestFindingsAddUp(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := anyInput(t)
		s := plan.Survey{
			Observed: in.Observed, Memory: in.Memory, Excluded: in.Excluded, Default: in.Options.Default, Window: window,
			Required: some(t, "required", someNames, 5), Scopes: some(t, "scopes", someScopes, 6),
		}
		before := copied(in)
		rows := plan.Check(s)
		f := s.Judge(rows)
		if !reflect.DeepEqual(in.Memory, before.Memory) || !reflect.DeepEqual(in.Observed, before.Observed) {
			t.Fatal("the survey was changed")
		}
		unknown := map[secret.Name]bool{}
		for _, u := range f.Unknown {
			unknown[u.SecretName] = true
		}
		rest := f.Summary.TotalSecrets - f.Summary.MissingCount - f.Summary.ConflictCount - f.Summary.ValidCount
		if rest < 0 || rest > len(unknown) {
			t.Fatalf("%+v with %d unknown does not add up", f.Summary, len(unknown))
		}
		missing := map[secret.Name]bool{}
		for _, m := range f.Missing {
			missing[m.SecretName] = true
			if _, there := s.Observed[m.Scope].UpdatedAt[m.SecretName]; there {
				t.Fatalf("%+v is there", m)
			}
		}
		if len(missing) != f.Summary.MissingCount {
			t.Fatalf("%d names are missing, %d are counted", len(missing), f.Summary.MissingCount)
		}
		for i, r := range rows {
			if _, out := s.Excluded[r.Name]; i > 0 && rows[i-1].Name.Compare(r.Name) >= 0 || out && !onlyExcluded(r) {
				t.Fatalf("row %d, %s, is out of order or not left out", i, r.Name)
			}
		}
	})
}

func onlyExcluded(r plan.Row) bool {
	for standing := range maps.Values(r.Cells) {
		if standing != plan.StandsOut {
			return false
		}
	}
	return true
}

// Validation and planning tell the same story: what a plan from Actions finds in step, stale,
// drifted or gone, the survey of the same lists calls so too.
func TestCheckAgreesWithMake(t *testing.T) {
	same := map[plan.Reason]plan.Standing{
		plan.InStep: plan.StandsIn, plan.Stale: plan.StandsStale, plan.Drift: plan.StandsDrift, plan.Interrupted: plan.StandsOpen,
		plan.Missing: plan.StandsGone, plan.DeletedOutside: plan.StandsGone, plan.Unmanaged: plan.StandsAlien,
	}
	rapid.Check(t, func(t *rapid.T) {
		h := &history{newWorld()}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			a := anyAttempt(t)
			a.source = plan.ActionsSource
			pick(t, "step", []func(*rapid.T){h.sourceChanges, h.targetEdited, func(t *rapid.T) { h.takeOver(t); h.run(a) }, h.timePasses})(t)
		}
		in := h.input(attempt{source: plan.ActionsSource, opts: input().Options})
		s := plan.Survey{Observed: in.Observed, Memory: in.Memory, Default: in.Options.Default, Window: window}
		if !s.FromActions() {
			t.Skip("another source wrote")
		}
		standing := map[pair]plan.Standing{}
		for _, r := range plan.Check(s) {
			for scope, st := range r.Cells {
				standing[pair{r.Name, scope}] = st
			}
		}
		for _, act := range plan.Make(in).Actions {
			_, present := in.Source.Values[act.SecretName]
			if want, told := same[act.Reason]; told && present && standing[pair{act.SecretName, act.Scope}] != want {
				t.Fatalf("%s in %s: the plan says %s, the survey %q", act.SecretName, act.Scope, act.Reason, standing[pair{act.SecretName, act.Scope}])
			}
		}
	})
}
