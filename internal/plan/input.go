package plan

import (
	"time"

	"github.com/octoseal/octoseal/internal/secret"
)

// Tolerance is how far two readings of GitHub's clock may lie apart and still mean one moment:
// GitHub's times have a resolution of one second, and an answer's Date is not its updated_at.
const Tolerance = 2 * time.Second

// An Input is everything a plan is made from.
type Input struct {
	Source   Source
	Observed map[secret.Scope]Observation // one for each scope that may be written; others are unknown
	Memory   map[secret.Name]Mapping
	Excluded map[secret.Name]Exclusion // verdicts of the names that a pattern excludes
	Options  Options
}

// ActionsSource is the identity of the source that Actions itself is.
const ActionsSource = "actions"

// A Source is what the values come from, without the values.
type Source struct {
	Identity     string                // design.md §2; empty for stdin, which has none and never deletes
	Values       map[secret.Name]Value // by name; one that is neither here nor Unusable is gone
	Organisation map[secret.Name]bool  // names visible to the repository as organisation secrets
	// Unusable names stand in the source without a value that can be used. They are not looked at,
	// unless asked for by name: a value that is empty or misspelt is no wish to delete.
	Unusable map[secret.Name]bool
	// Valueless names stand in the source, and it is known that no value of theirs can be had that
	// could be written. They are looked at like any other, and what would write them is an error.
	Valueless map[secret.Name]bool
}

// same says whether a state was written from this very source.
func (s Source) same(identity string) bool { return s.Identity != "" && s.Identity == identity }

// A Value is what is known of one value of the source: its hash, when the value was seen, and for
// Actions the time GitHub lists.
type Value struct {
	Hash      secret.Hash
	UpdatedAt time.Time
}

// An Observation is what GitHub lists in one scope now.
type Observation struct {
	Date      time.Time // of the answer, on GitHub's clock
	UpdatedAt map[secret.Name]time.Time
	Failed    bool // the list could not be had whole: nothing is known of the scope
	Missing   bool // this repository's plan or server does not have the store
}

// SourceTime returns the time by which the source's value of name is to be remembered when o is the
// source's list: one second early when it was listed within the tolerance of the list's Date, since
// a second write in that second would look the same, and the next run has to look again.
func (o Observation) SourceTime(name secret.Name) (at time.Time, listed bool) {
	at, listed = o.UpdatedAt[name]
	if listed && o.Date.Sub(at) <= Tolerance {
		at = at.Add(-time.Second)
	}
	return at, listed
}

// A Mapping is what is remembered of one secret.
type Mapping struct {
	TargetScopes []secret.Scope
	LeftAlone    bool // adopt: keep decided that none of its scopes is ours
	States       map[secret.Scope]State
}

// A State is what is remembered of one secret in one scope.
type State struct {
	Source          string // written from; for a first write that is still open, being written from
	Hash            secret.Hash
	TargetUpdatedAt time.Time // as GitHub listed it after our write
	SourceUpdatedAt time.Time // as GitHub listed the source when the value was asked for
	WrittenAt       time.Time // zero: we never completed a write
	Intent          Intent
}

// Written says whether a write of ours was seen to arrive.
func (s State) Written() bool { return !s.WrittenAt.IsZero() }

// An Intent is a note that a write was about to happen, still open. The zero Intent is none.
//
// A run may open one over another that was left open. If that one covers what is listed, At stays
// the first's: a run that is killed before its write must not hide what the run before it wrote. If
// not, nothing came of it and At is the new run's: what was listed is somebody else's.
type Intent struct {
	At    time.Time // GitHub's clock when the first of them was stored
	Run   string
	Alive time.Time // GitHub's clock at the last heartbeat of its run
	// Source is being written from: NoIdentity, or SeveralSources when a run of another source took
	// an intent over. Empty means the State's.
	Source string
}

// What stands for the identity of an intent's source when there is not exactly one.
const (
	NoIdentity     = "-"
	SeveralSources = "several"
)

// Open says whether there is an intent.
func (i Intent) Open() bool { return !i.At.IsZero() }

// Covers says whether a write under the intent can have left updated in the target: from the
// tolerance before it until its run must have been dead for window. Whoever forgets an intent that
// covers what is listed forgets a write of ours.
func (i Intent) Covers(updated time.Time, window time.Duration) bool {
	return i.Open() && !updated.Before(i.At.Add(-Tolerance)) && !updated.After(i.Alive.Add(window))
}

// An Exclusion is the verdict on a name that a pattern excludes.
type Exclusion struct {
	Pattern string
	Reason  string
	Global  bool
}

// Adopt decides what happens to secrets in targets that we did not write.
type Adopt string

// The decisions: none is a conflict, overwrite writes over them, keep leaves them alone for good.
const (
	AdoptNone      Adopt = ""
	AdoptOverwrite Adopt = "overwrite"
	AdoptKeep      Adopt = "keep"
)

// Options are what the person asked for.
type Options struct {
	Scopes       []secret.Scope // exactly these; none: each mapping's own, and Default for new names
	Default      []secret.Scope
	Names        []secret.Name // only these, each of which must be in the source
	Only, Except []string      // globs over names
	Force        bool
	Adopt        Adopt
	AllowDeletes int
	// Window is how long after a run's last heartbeat a write of its may still land.
	Window time.Duration
}

// Limited says whether the run was limited by name; such a run deletes nothing.
func (o Options) Limited() bool { return len(o.Names)+len(o.Only)+len(o.Except) > 0 }
