package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A line is one row of design.md §3 met by one input: what is decided, and what with force, when
// force makes a difference.
type line struct {
	row    string
	given  []given
	verb   plan.Verb
	reason plan.Reason
	forced plan.Verb
}

var (
	edited   = nine.Add(time.Hour) // a target's time that is not ours
	died     = nine.Add(time.Hour) // when the interrupted run was last alive
	began    = died.Add(-time.Minute)
	during   = died.Add(-time.Second) // within the interrupted run
	afterAll = died.Add(window + time.Second)
)

var table = []line{
	// excluded name | any | any
	{"excluded and nowhere", []given{present(one), excluded}, plan.Skip, plan.Excluded, ""},
	{"excluded and a copy of ours remains", []given{present(two), listed(nine), remembered(), excluded}, plan.Skip, plan.Excluded, ""},
	{"excluded and drifted", []given{present(two), listed(edited), remembered(), excluded}, plan.Skip, plan.Excluded, ""},
	{"excluded and gone from the source", []given{listed(nine), remembered(), excluded}, plan.Skip, plan.Excluded, ""},
	{"excluded before asked for by name", []given{asked, excluded}, plan.Skip, plan.Excluded, ""},
	{"excluded before a failed list", []given{present(one), failing(secret.Codespaces), excluded}, plan.Skip, plan.Excluded, ""},

	// absent and asked for by name | any | any
	{"asked for, nowhere", []given{asked}, plan.Error, plan.NotInTheSource, ""},
	{"asked for, our copy is there", []given{asked, listed(nine), remembered()}, plan.Error, plan.NotInTheSource, ""},
	{"asked for, drifted", []given{asked, listed(edited), remembered()}, plan.Error, plan.NotInTheSource, ""},

	// The same, where the source has the name and nothing that can be written for it.
	{"asked for, not usable", []given{asked, unusable}, plan.Error, plan.Unusable, ""},
	{"asked for, not usable, our copy is there", []given{asked, unusable, listed(nine), remembered()}, plan.Error, plan.Unusable, ""},

	// Asked for by name, and left alone since a run that was to keep what it found.
	{"asked for, left alone", []given{asked, present(one), listed(edited), leftAlone}, plan.Leave, plan.Kept, ""},
	{"asked for, left alone, list failed", []given{asked, present(one), leftAlone, failing(secret.Codespaces)}, plan.Leave, plan.Kept, ""},
	{"asked for with its scope, left alone until now", []given{asked, present(one), listed(edited), leftAlone, scopes(secret.Codespaces)}, plan.Conflict, plan.Unmanaged, plan.Update},
	{"asked for, left alone and nowhere", []given{asked, leftAlone}, plan.Error, plan.NotInTheSource, ""},

	// present | absent
	{"missing", []given{present(one)}, plan.Create, plan.Missing, ""},
	{"missing, a write of it never landed", []given{present(one), begun(began, died)}, plan.Create, plan.Missing, ""},
	{"deleted outside", []given{present(one), remembered()}, plan.Create, plan.DeletedOutside, ""},
	{"deleted outside, written from another source", []given{present(one), remembered(writtenFrom(other))}, plan.Create, plan.DeletedOutside, ""},

	// present | as remembered
	{"in step by hash", []given{present(one), listed(nine), remembered()}, plan.Skip, plan.InStep, ""},
	{"in step by hash, whoever wrote it", []given{present(one), listed(nine), remembered(writtenFrom(other))}, plan.Skip, plan.InStep, ""},
	{"in step by the time Actions lists", []given{presentInActions(nine), listed(nine), writtenFromActions(nine)}, plan.Skip, plan.InStep, ""},
	{"stale by hash", []given{present(two), listed(nine), remembered()}, plan.Update, plan.Stale, ""},
	{"stale by the time Actions lists", []given{presentInActions(edited), listed(nine), writtenFromActions(nine)}, plan.Update, plan.Stale, ""},
	{"stale when the source changed from a file to Actions", []given{presentInActions(nine), listed(nine), remembered(sourceTime(nine))}, plan.Update, plan.Stale, ""},
	{"stale when nothing is known of the value", []given{present(secret.Hash{}), listed(nine), remembered()}, plan.Update, plan.Stale, ""},

	// present | differs | covered by an open intent
	{"interrupted update", []given{present(two), listed(during), remembered(interrupted(began, died))}, plan.Update, plan.Interrupted, ""},
	{"interrupted create", []given{present(one), listed(during), begun(began, died)}, plan.Update, plan.Interrupted, ""},
	{"interrupted within the second of our last write", []given{present(one), listed(nine), remembered(interrupted(nine.Add(time.Second), died))}, plan.Update, plan.Interrupted, ""},
	{"interrupted before it wrote", []given{present(two), listed(nine), remembered(interrupted(began, died))}, plan.Update, plan.Stale, ""},

	// present | differs | otherwise
	{"drift", []given{present(two), listed(edited), remembered()}, plan.Conflict, plan.Drift, plan.Update},
	{"drift although the source is as remembered", []given{present(one), listed(edited), remembered()}, plan.Conflict, plan.Drift, plan.Update},
	{"drift to an earlier time", []given{present(two), listed(nine.Add(-time.Second)), remembered()}, plan.Conflict, plan.Drift, plan.Update},
	{"drift after an interrupted run", []given{present(two), listed(afterAll), remembered(interrupted(began, died))}, plan.Conflict, plan.Drift, plan.Update},

	// present | present | none
	{"unmanaged", []given{present(one), listed(nine)}, plan.Conflict, plan.Unmanaged, plan.Update},
	{"unmanaged after an interrupted run", []given{present(one), listed(afterAll), begun(began, died)}, plan.Conflict, plan.Unmanaged, plan.Update},
	{"unmanaged before an interrupted run", []given{present(one), listed(nine), begun(began, died)}, plan.Conflict, plan.Unmanaged, plan.Update},
	{"unmanaged, adopted", []given{present(one), listed(nine), adopting(plan.AdoptOverwrite)}, plan.Update, plan.Unmanaged, ""},
	{"unmanaged, kept", []given{present(one), listed(nine), adopting(plan.AdoptKeep)}, plan.Leave, plan.Kept, ""},

	// absent, source is Actions, visible as an organisation secret
	{"moved to the organisation", []given{from(plan.ActionsSource), inOrganisation, listed(nine), writtenFromActions(nine)}, plan.Leave, plan.MovedToTheOrganisation, ""},
	{"moved to the organisation, drifted", []given{from(plan.ActionsSource), inOrganisation, listed(edited), writtenFromActions(nine)}, plan.Leave, plan.MovedToTheOrganisation, ""},
	{"moved to the organisation, target gone", []given{from(plan.ActionsSource), inOrganisation, writtenFromActions(nine)}, plan.Leave, plan.MovedToTheOrganisation, ""},
	{"an organisation secret of the name means nothing to a file", []given{inOrganisation, listed(nine), remembered()}, plan.Delete, plan.RemovedFromSource, ""},

	// absent | as remembered | written by us from this same source
	{"removed from the source", []given{listed(nine), remembered()}, plan.Delete, plan.RemovedFromSource, ""},
	{"removed from Actions", []given{from(plan.ActionsSource), listed(nine), writtenFromActions(nine)}, plan.Delete, plan.RemovedFromSource, ""},
	{"removed after an interrupted update", []given{listed(during), remembered(interrupted(began, died))}, plan.Delete, plan.RemovedFromSource, ""},
	{"removed after an interrupted create", []given{listed(during), begun(began, died)}, plan.Delete, plan.RemovedFromSource, ""},
	{"removed, and an interrupted run had not deleted it yet", []given{listed(nine), remembered(interrupted(began, died))}, plan.Delete, plan.RemovedFromSource, ""},

	// absent | differs | written by us from this same source
	{"removed and drifted", []given{listed(edited), remembered()}, plan.Conflict, plan.Drift, plan.Delete},

	// absent | any | written by us from another source
	{"another source's", []given{listed(nine), remembered(writtenFrom(other))}, plan.Leave, plan.AnotherSources, ""},
	{"another source's, drifted", []given{listed(edited), remembered(writtenFrom(other))}, plan.Leave, plan.AnotherSources, ""},
	{"another source's, gone", []given{remembered(writtenFrom(other))}, plan.Leave, plan.AnotherSources, ""},
	{"another source's, interrupted", []given{listed(during), state(writtenFrom(other), interrupted(began, died))}, plan.Leave, plan.AnotherSources, ""},
	{"written from stdin, which is never the same source", []given{from(stdin), listed(nine), remembered(writtenFrom(stdin))}, plan.Leave, plan.AnotherSources, ""},

	// absent | absent | written by us
	{"gone everywhere", []given{remembered()}, plan.Forget, plan.GoneEverywhere, ""},
	{"gone, and a create never landed", []given{begun(began, died)}, plan.Forget, plan.GoneEverywhere, ""},

	// absent | present | none
	{"never ours", []given{listed(nine), state(func(s *plan.State) { *s = plan.State{} })}, plan.Leave, plan.NeverOurs, ""},
	{"never ours, after an interrupted run", []given{listed(afterAll), begun(began, died)}, plan.Leave, plan.NeverOurs, ""},

	// The rules below the table.
	{"a list that failed", []given{present(one), failing(secret.Codespaces)}, plan.Error, plan.NotListed, ""},
	{"a scope that was not looked at", []given{present(one), scopes(secret.Dependabot)}, plan.Error, plan.NotListed, ""},
	{"the source's list failed", []given{from(plan.ActionsSource), failing(secret.Actions), listed(nine), writtenFromActions(nine)}, plan.Error, plan.NotListed, ""},
	{"missing, and there is no value to write", []given{present(one), valueless}, plan.Error, plan.NoValue, ""},
	{"stale, and there is no value to write", []given{presentInActions(edited), valueless, listed(nine), writtenFromActions(nine)}, plan.Error, plan.NoValue, ""},
	{"interrupted, and there is no value to write", []given{present(two), valueless, listed(during), remembered(interrupted(began, died))}, plan.Error, plan.NoValue, ""},
	{"in step, whether or not there is a value", []given{presentInActions(nine), valueless, listed(nine), writtenFromActions(nine)}, plan.Skip, plan.InStep, ""},
	{"excluded, whether or not there is a value", []given{present(one), valueless, excluded}, plan.Skip, plan.Excluded, ""},
	{"removed, whatever was said of its value", []given{valueless, listed(nine), remembered()}, plan.Delete, plan.RemovedFromSource, ""},
	{"removed, but the run is limited to a name like it", []given{only, listed(nine), remembered()}, plan.Leave, plan.RemovedFromSource, ""},
	{"removed, but the run leaves others out", []given{except, listed(nine), remembered()}, plan.Leave, plan.RemovedFromSource, ""},
	{"removed, but another list failed", []given{failing(secret.Dependabot), listed(nine), remembered()}, plan.Leave, plan.RemovedFromSource, ""},
	{"removed and drifted in a limited run", []given{only, listed(edited), remembered()}, plan.Conflict, plan.Drift, ""},
}

// TestTable holds every row of the table, with and without force.
func TestTable(t *testing.T) {
	for _, l := range table {
		t.Run(l.row, func(t *testing.T) {
			check := func(in plan.Input, verb plan.Verb) {
				t.Helper()
				p := plan.Make(in)
				scope := secret.Codespaces
				if len(in.Options.Scopes) > 0 {
					scope = in.Options.Scopes[0]
				}
				want := []plan.Action{{SecretName: foo, Scope: scope, Verb: verb, Reason: l.reason}}
				if diff := cmp.Diff(want, p.Actions, spelled); diff != "" {
					t.Errorf("force %v (-want +got):\n%s", in.Options.Force, diff)
				}
			}
			check(input(l.given...), l.verb)
			withForce := l.forced
			if withForce == "" {
				withForce = l.verb
			}
			check(input(append(l.given, forced)...), withForce)
		})
	}
}

// TestTableMeetsEveryReason keeps the table above whole: a reason that no line meets is one whose
// row nobody holds.
func TestTableMeetsEveryReason(t *testing.T) {
	met := map[plan.Reason]bool{}
	for _, l := range table {
		met[l.reason] = true
	}
	for _, e := range plan.Reasons() {
		if !met[e.Reason] {
			t.Errorf("no line of the table meets %s", e.Reason)
		}
	}
}

// spelled lets cmp compare names and scopes, which have one spelling each.
var spelled = cmp.Options{
	cmp.Transformer("name", secret.Name.String),
	cmp.Transformer("scope", secret.Scope.String),
}
