package plan

import (
	"slices"
	"time"

	"github.com/octoseal/octoseal/internal/secret"
)

// A Standing is how one secret stands in one scope, as far as lists and memory tell.
type Standing string

// The standings.
const (
	Absent      Standing = ""            // not there and not wanted there
	StandsIn    Standing = "in_step"     // as we left it
	StandsGone  Standing = "missing"     // wanted and not there
	StandsDrift Standing = "drift"       // changed by someone else since our last write
	StandsStale Standing = "stale"       // the source changed since
	StandsOpen  Standing = "interrupted" // an interrupted run left it unsettled
	StandsAlien Standing = "unmanaged"   // there, and not written by us: proves nothing
	StandsAlone Standing = "orphan"      // there, and neither in the source nor written by us
	StandsOut   Standing = "excluded"    // a pattern excludes it
	StandsFirst Standing = "source"      // the source itself
	Unknown     Standing = "unknown"     // its scope could not be listed
)

// A Row is one secret with its standing in each scope that has one.
type Row struct {
	Name   secret.Name
	Wanted bool // tracked by a mapping, in the source, or required
	Cells  map[secret.Scope]Standing
}

// A Survey is what Check compares: lists and memory, without a source at hand.
type Survey struct {
	Observed map[secret.Scope]Observation
	Memory   map[secret.Name]Mapping
	Excluded map[secret.Name]Exclusion
	Required []secret.Name  // must be everywhere, whether remembered or not
	Scopes   []secret.Scope // look at these only; none: all
	Default  []secret.Scope // target scopes of a name without a mapping
	Window   time.Duration  // as in Options
}

// FromActions says whether Actions is the source: nothing was ever written from anywhere else.
func (s Survey) FromActions() bool {
	for _, m := range s.Memory {
		for _, st := range m.States {
			if st.Source != ActionsSource {
				return false
			}
		}
	}
	return true
}

// Check returns every name that is listed, remembered or required, in order, with its standings.
func Check(s Survey) []Row {
	fromActions := s.FromActions()
	required := s.required()
	var rows []Row
	for _, name := range s.names() {
		row := Row{Name: name, Wanted: required[name] || s.tracks(name, fromActions), Cells: map[secret.Scope]Standing{}}
		for scope := range s.Observed {
			if len(s.Scopes) > 0 && !slices.Contains(s.Scopes, scope) {
				continue
			}
			if st := s.standing(name, scope, row.Wanted, fromActions); st != Absent {
				row.Cells[scope] = st
			}
		}
		if len(row.Cells) > 0 {
			rows = append(rows, row)
		}
	}
	return rows
}

func (s Survey) names() []secret.Name {
	names := slices.Clone(s.Required)
	for n := range s.Memory {
		names = append(names, n)
	}
	for _, o := range s.Observed {
		for n := range o.UpdatedAt {
			names = append(names, n)
		}
	}
	slices.SortFunc(names, secret.Name.Compare)
	return slices.Compact(names)
}

func (s Survey) required() map[secret.Name]bool {
	m := make(map[secret.Name]bool, len(s.Required))
	for _, n := range s.Required {
		m[n] = true
	}
	return m
}

func (s Survey) tracks(name secret.Name, fromActions bool) bool {
	m, remembered := s.Memory[name]
	_, inActions := s.Observed[secret.Actions].UpdatedAt[name]
	return remembered && !m.LeftAlone || fromActions && inActions
}

// belongs says whether name is to stand in scope: where its mapping says, or by default. A secret
// that was left alone for good belongs nowhere, unless it is required.
func (s Survey) belongs(name secret.Name, scope secret.Scope) bool {
	m, remembered := s.Memory[name]
	switch {
	case !remembered:
		return slices.Contains(s.Default, scope)
	case m.LeftAlone:
		return slices.Contains(s.Required, name) && slices.Contains(m.TargetScopes, scope)
	}
	return slices.Contains(m.TargetScopes, scope)
}

func (s Survey) standing(name secret.Name, scope secret.Scope, wanted, fromActions bool) Standing {
	o := s.Observed[scope]
	updated, listed := o.UpdatedAt[name]
	_, excluded := s.Excluded[name]
	_, remembered := s.Memory[name]
	isSource := fromActions && scope == secret.Actions
	belongs := wanted && (s.belongs(name, scope) || isSource && slices.Contains(s.Required, name))
	switch {
	case o.Missing:
		return Absent
	case excluded && listed:
		return StandsOut
	case excluded:
		return Absent
	case o.Failed && (belongs || isSource):
		return Unknown
	case isSource && listed:
		return StandsFirst
	case belongs && !listed:
		return StandsGone
	case belongs:
		return s.compare(name, scope, updated)
	case listed && !wanted && !remembered && s.knowsSource(fromActions):
		return StandsAlone
	case listed:
		return StandsAlien
	}
	return Absent
}

// knowsSource says whether a name that is not in the source is known not to be: while Actions is
// the source and its list is not at hand, nobody is an orphan.
func (s Survey) knowsSource(fromActions bool) bool {
	o, looked := s.Observed[secret.Actions]
	return !fromActions || looked && !o.Failed && !o.Missing
}

// compare is the standing of a target that is there and wanted.
func (s Survey) compare(name secret.Name, scope secret.Scope, updated time.Time) Standing {
	state := s.Memory[name].States[scope]
	switch {
	case state.Intent.Covers(updated, s.Window):
		return StandsOpen
	case !state.Written():
		return StandsAlien
	case !updated.Equal(state.TargetUpdatedAt):
		return StandsDrift
	case s.sourceMoved(name, state):
		return StandsStale
	}
	return StandsIn
}

// sourceMoved says that Actions, as the source, lists another time than the one written from.
func (s Survey) sourceMoved(name secret.Name, state State) bool {
	if state.Source != ActionsSource {
		return false
	}
	now, listed := s.Observed[secret.Actions].SourceTime(name)
	return listed && !now.Equal(state.SourceUpdatedAt)
}

// A Finding is one secret in one scope.
type Finding struct {
	SecretName secret.Name  `json:"secretName"`
	Scope      secret.Scope `json:"scope"`
}

// A Disagreement is a secret whose scopes are not known to hold one value, with the hashes that
// are known and current.
type Disagreement struct {
	SecretName  secret.Name       `json:"secretName"`
	Scopes      []secret.Scope    `json:"scopes"`
	ValueHashes map[string]string `json:"valueHashes"`
}

// A Tally counts secrets, each once: missing before conflict before valid.
type Tally struct {
	TotalSecrets  int `json:"totalSecrets"`
	MissingCount  int `json:"missingCount"`
	ConflictCount int `json:"conflictCount"`
	ValidCount    int `json:"validCount"`
}

// Findings are what validation reports of rows.
type Findings struct {
	Missing    []Finding
	Conflicts  []Disagreement
	Unverified []Finding // there, wanted, and not written by us
	Orphans    []Finding
	Unknown    []Finding // in scopes that could not be listed
	Summary    Tally
}

// Judge sums up the rows of Check.
func (s Survey) Judge(rows []Row) Findings {
	var f Findings
	for _, r := range rows {
		s.judge(r, &f)
	}
	return f
}

func (s Survey) judge(r Row, f *Findings) {
	var differing []secret.Scope
	missing, unknown, counted := false, false, false
	for _, scope := range r.scopes() {
		at := Finding{r.Name, scope}
		switch st := r.Cells[scope]; st {
		case StandsGone:
			f.Missing, missing = append(f.Missing, at), true
		case StandsDrift, StandsStale, StandsOpen:
			differing = append(differing, scope)
		case StandsAlien:
			if r.Wanted && s.belongs(r.Name, scope) {
				f.Unverified = append(f.Unverified, at)
			}
		case StandsAlone:
			f.Orphans = append(f.Orphans, at)
		case Unknown:
			f.Unknown, unknown = append(f.Unknown, at), true
		}
		counted = counted || r.Cells[scope] != StandsOut
	}
	if !r.Wanted || !counted {
		return
	}
	f.Summary.TotalSecrets++
	if len(differing) > 0 {
		f.Conflicts = append(f.Conflicts, Disagreement{r.Name, differing, s.hashes(r)})
	}
	switch {
	case missing:
		f.Summary.MissingCount++
	case len(differing) > 0:
		f.Summary.ConflictCount++
	case !unknown:
		f.Summary.ValidCount++
	}
}

func (r Row) scopes() []secret.Scope {
	scopes := make([]secret.Scope, 0, len(r.Cells))
	for s := range r.Cells {
		scopes = append(scopes, s)
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	return scopes
}

// hashes returns those of the scopes that are still as we left them; of a changed target nothing
// is known any more.
func (s Survey) hashes(r Row) map[string]string {
	out := map[string]string{}
	for scope, st := range r.Cells {
		if h := s.Memory[r.Name].States[scope].Hash; h.Seen() && (st == StandsIn || st == StandsStale) {
			out[scope.String()] = h.String()
		}
	}
	return out
}
