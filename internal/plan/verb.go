package plan

import "github.com/octoseal/octoseal/internal/fault"

// A Verb is what an action does.
type Verb string

// The verbs, in the order in which summaries count them.
const (
	Create   Verb = "create"   // write a secret that the target does not have
	Update   Verb = "update"   // write over what the target has
	Delete   Verb = "delete"   // remove what we wrote from the target
	Skip     Verb = "skip"     // nothing needs doing
	Leave    Verb = "leave"    // not ours to touch
	Forget   Verb = "forget"   // drop our memory of it
	Conflict Verb = "conflict" // writing would destroy something we did not put there
	Error    Verb = "error"    // cannot be decided or done
)

// Writes says whether the verb sends a value to GitHub.
func (v Verb) Writes() bool { return v == Create || v == Update }

// Failed says whether the verb puts its secret among the errors of a run.
func (v Verb) Failed() bool { return v == Conflict || v == Error }

// A Reason says why an action has its verb. It is for people: nothing may branch on it.
type Reason string

// The reasons: the rows of design.md §3, then the rules beneath them.
const (
	Excluded               Reason = "excluded"
	NotInTheSource         Reason = "not_in_the_source"
	Unusable               Reason = "unusable"
	Missing                Reason = "missing"
	DeletedOutside         Reason = "drift_deleted_outside"
	InStep                 Reason = "in_step"
	Stale                  Reason = "stale"
	Interrupted            Reason = "interrupted"
	Drift                  Reason = "drift"
	Unmanaged              Reason = "unmanaged"
	MovedToTheOrganisation Reason = "moved_to_the_organisation"
	RemovedFromSource      Reason = "removed_from_source"
	AnotherSources         Reason = "another_sources"
	GoneEverywhere         Reason = "gone_everywhere"
	NeverOurs              Reason = "never_ours"
	Kept                   Reason = "kept"
	NotListed              Reason = "not_listed"
	NoValue                Reason = "no_value"
)

// An Explanation is what is known of a reason: the code it is reported under when its action is a
// conflict or an error, and the words a person reads.
type Explanation struct {
	Reason Reason
	Code   fault.Code
	Words  string
}

// Reasons returns the table of all reasons, in the order of the rows.
func Reasons() []Explanation { return append([]Explanation(nil), explanations...) }

// Explain returns the table's row of r.
func (r Reason) Explain() Explanation { return byReason[r] }

var byReason = func() map[Reason]Explanation {
	m := make(map[Reason]Explanation, len(explanations))
	for _, e := range explanations {
		m[e.Reason] = e
	}
	return m
}()

var explanations = []Explanation{
	{Excluded, fault.Excluded, "excluded by a pattern"},
	{NotInTheSource, fault.SourceUnavailable, "not in the source"},
	{Unusable, fault.SourceUnavailable, "in the source, and not usable there"},
	{Missing, "", "missing in the target"},
	{DeletedOutside, "", "deleted by someone else since our last write"},
	{InStep, "", "in step"},
	{Stale, "", "the source changed since our last write"},
	{Interrupted, "", "an interrupted run left it unsettled"},
	{Drift, fault.ConflictDetected, "changed by someone else since our last write"},
	{Unmanaged, fault.ConflictDetected, "exists, and was not written by us"},
	{MovedToTheOrganisation, "", "moved to an organisation secret"},
	{RemovedFromSource, fault.ConflictDetected, "removed from the source"},
	{AnotherSources, "", "written from another source"},
	{GoneEverywhere, "", "gone from the source and from the target"},
	{NeverOurs, "", "not in the source and never written by us"},
	{Kept, "", "left alone from now on, as asked"},
	{NotListed, fault.IntegrationUnavailable, "GitHub gave no whole list of its scope"},
	{NoValue, fault.RequestInvalid, "the source has no value of it that can be written"},
}
