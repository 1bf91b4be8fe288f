package plan

import (
	"time"

	"github.com/octoseal/octoseal/internal/secret"
)

// A subject is one secret of the run, with what holds for it in every scope.
type subject struct {
	*look
	name     secret.Name
	value    Value
	present  bool // in the source
	mapping  Mapping
	mapped   bool // there is a mapping
	excluded bool
}

// turnTo makes s about name.
func (s *subject) turnTo(name secret.Name) {
	s.name = name
	s.value, s.present = s.Source.Values[name]
	s.mapping, s.mapped = s.Memory[name]
	_, s.excluded = s.Excluded[name]
}

// A cell is one secret in one scope: everything a row may ask about.
type cell struct {
	*subject
	scope     secret.Scope
	failed    bool // nothing is known of the scope
	listed    bool // the target is there
	updatedAt time.Time
	state     State
}

// turnTo makes c about scope. A scope that was not looked at is as unknown as one whose list could
// not be had: to take it for empty would be to write over whatever is there.
func (c *cell) turnTo(scope secret.Scope) {
	o, looked := c.Observed[scope]
	c.scope, c.failed, c.state = scope, o.Failed || !looked, c.mapping.States[scope]
	c.updatedAt, c.listed = o.UpdatedAt[c.name]
}

// covered says that the target's time may come from a write of ours that was never confirmed.
func (c *cell) covered() bool {
	return c.listed && c.state.Intent.Covers(c.updatedAt, c.Options.Window)
}

// begun says that memory holds anything of ours here, even if only an intent.
func (c *cell) begun() bool { return c.state.Written() || c.state.Intent.Open() }

// asRemembered says that the target is as we left it. An open intent that covers the listed time
// comes first: within one second a write of a later, interrupted run looks the same.
func (c *cell) asRemembered() bool {
	return c.listed && c.state.Written() && c.updatedAt.Equal(c.state.TargetUpdatedAt) && !c.covered()
}

// sourceAsRemembered says that the source still has the value last written: its hash where the
// value is known, else the time Actions lists.
func (c *cell) sourceAsRemembered() bool {
	if c.value.Hash.Seen() {
		return c.value.Hash.Same(c.state.Hash)
	}
	return c.Source.same(c.state.Source) && !c.value.UpdatedAt.IsZero() && c.value.UpdatedAt.Equal(c.state.SourceUpdatedAt)
}

// fromHere says that the target was written from the source of this run. A target that an open
// intent covers may hold what another source was just writing over ours.
func (c *cell) fromHere() bool {
	by := c.state.Intent.Source
	return c.Source.same(c.state.Source) && (by == "" || by == c.Source.Identity || !c.covered())
}

// unchanged says that the target holds what a run of ours put there.
func (c *cell) unchanged() bool { return c.asRemembered() || c.covered() }

// drifted says that the target is there and no longer as we left it.
func (c *cell) drifted() bool { return c.listed && c.state.Written() }

// sourceFailed says that Actions is the source and its list could not be had: who is absent from
// it is then not known.
func (c *cell) sourceFailed() bool {
	return c.Source.Identity == ActionsSource && c.Observed[secret.Actions].Failed
}

// movedUp says that the value now stands in an organisation secret that this repository sees.
func (c *cell) movedUp() bool {
	return c.Source.Identity == ActionsSource && c.Source.Organisation[c.name]
}

// A row is one line of the table: the first that fits decides.
type row struct {
	fits   func(*cell) bool
	verb   Verb
	reason Reason
	forced Verb // what it becomes with force
	keep   bool // narrows the mapping's target scopes
}

// rows is the table of design.md §3, in its order; between its lines stand those that its rules add.
var rows = []row{
	{fits: func(c *cell) bool { return c.excluded }, verb: Skip, reason: Excluded},
	{fits: func(c *cell) bool { return !c.present && c.named[c.name] && c.Source.Unusable[c.name] }, verb: Error, reason: Unusable},
	{fits: func(c *cell) bool { return !c.present && c.named[c.name] }, verb: Error, reason: NotInTheSource},
	{fits: func(c *cell) bool { return c.mapping.LeftAlone && len(c.asked) == 0 }, verb: Leave, reason: Kept},
	{fits: func(c *cell) bool { return c.failed || !c.present && c.sourceFailed() }, verb: Error, reason: NotListed},

	{fits: func(c *cell) bool { return c.present && !c.listed && !c.state.Written() }, verb: Create, reason: Missing},
	{fits: func(c *cell) bool { return c.present && !c.listed }, verb: Create, reason: DeletedOutside},
	{fits: func(c *cell) bool { return c.present && c.asRemembered() && c.sourceAsRemembered() }, verb: Skip, reason: InStep},
	{fits: func(c *cell) bool { return c.present && c.asRemembered() }, verb: Update, reason: Stale},
	{fits: func(c *cell) bool { return c.present && c.covered() }, verb: Update, reason: Interrupted},
	{fits: func(c *cell) bool { return c.present && c.drifted() }, verb: Conflict, reason: Drift, forced: Update},
	// Whoever asks to keep what is not ours means it, whatever else is forced.
	{fits: func(c *cell) bool { return c.present && c.Options.Adopt == AdoptKeep }, verb: Leave, reason: Kept, keep: true},
	{fits: func(c *cell) bool { return c.present && c.Options.Adopt == AdoptOverwrite }, verb: Update, reason: Unmanaged},
	{fits: func(c *cell) bool { return c.present }, verb: Conflict, reason: Unmanaged, forced: Update},

	{fits: func(c *cell) bool { return c.movedUp() && (c.state.Written() || c.covered()) }, verb: Leave, reason: MovedToTheOrganisation},
	{fits: func(c *cell) bool { return c.begun() && !c.fromHere() }, verb: Leave, reason: AnotherSources},
	{fits: func(c *cell) bool { return c.unchanged() && !c.deletes }, verb: Leave, reason: RemovedFromSource},
	{fits: func(c *cell) bool { return c.unchanged() }, verb: Delete, reason: RemovedFromSource},
	{fits: func(c *cell) bool { return c.drifted() && !c.deletes }, verb: Conflict, reason: Drift},
	{fits: func(c *cell) bool { return c.drifted() }, verb: Conflict, reason: Drift, forced: Delete},
	{fits: func(c *cell) bool { return c.begun() && !c.listed }, verb: Forget, reason: GoneEverywhere},
	{fits: func(*cell) bool { return true }, verb: Leave, reason: NeverOurs},
}

// A decision is an action, and whether the scope is to be dropped from the mapping.
type decision struct {
	Action
	keep bool
}

func (c *cell) decide() decision {
	for i := range rows {
		r := &rows[i]
		if !r.fits(c) {
			continue
		}
		verb := r.verb
		if c.Options.Force && r.forced != "" {
			verb = r.forced
		}
		reason := r.reason
		if verb.Writes() && c.Source.Valueless[c.name] {
			verb, reason = Error, NoValue
		}
		return decision{Action{c.name, c.scope, verb, reason}, r.keep}
	}
	panic("the last row fits everything")
}
