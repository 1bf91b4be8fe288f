package plan

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// An Action is what is to be done about one secret in one scope.
type Action struct {
	SecretName secret.Name  `json:"secretName"`
	Scope      secret.Scope `json:"scope"`
	Verb       Verb         `json:"verb"`
	Reason     Reason       `json:"reason"`
}

// A Summary counts the actions by verb. Its JSON is public: people parse it.
type Summary struct {
	Create   int `json:"create"`
	Update   int `json:"update"`
	Delete   int `json:"delete"`
	Skip     int `json:"skip"`
	Leave    int `json:"leave"`
	Forget   int `json:"forget"`
	Conflict int `json:"conflict"`
	Error    int `json:"error"`
}

// A Notice is something worth knowing that is no error.
type Notice struct {
	Code       fault.Code    `json:"code"`
	Message    string        `json:"message"`
	SecretName string        `json:"secretName,omitempty"`
	Scope      string        `json:"scope,omitempty"`
	Context    fault.Context `json:"context"`
}

// Wanted is what a mapping is to remember of where its secret belongs.
type Wanted struct {
	TargetScopes []secret.Scope
	LeftAlone    bool
}

// A Plan is a decision, complete and ordered: actions by name, then by scope.
type Plan struct {
	Actions  []Action
	Summary  Summary
	Selected []secret.Name          // what the run is about, each counted once
	Wanted   map[secret.Name]Wanted // of each selected name that a pattern does not exclude
	Notices  []Notice
	// Withheld says that the plan deletes more than may be deleted unasked: everything else is
	// done, and each delete is reported as a conflict.
	Withheld bool
}

// Empty says whether there is nothing to do and nothing wrong.
func (p Plan) Empty() bool {
	s := p.Summary
	return s.Create+s.Update+s.Delete+s.Forget+s.Conflict+s.Error == 0
}

// A Cost is what applying a plan asks of GitHub, as far as the plan can tell: one key and one
// closing list for each scope written, and the writes.
type Cost struct {
	Requests int `json:"requests"`
	Writes   int `json:"writes"`
}

// Cost counts the requests that applying p needs when all goes well.
func (p Plan) Cost() Cost {
	var c Cost
	keys, lists := map[secret.Scope]bool{}, map[secret.Scope]bool{}
	for _, a := range p.Actions {
		deletes := a.Verb == Delete && !p.Withheld
		if a.Verb.Writes() {
			keys[a.Scope] = true
		}
		if a.Verb.Writes() || deletes {
			c.Writes++
			lists[a.Scope] = true
		}
	}
	c.Requests = len(keys) + len(lists) + c.Writes
	return c
}

// Make decides what brings the targets in step.
func Make(in Input) Plan {
	l := in.look()
	names := l.selected()
	p := Plan{
		Actions:  make([]Action, 0, len(names)*max(len(l.asked), len(l.usual))),
		Selected: names,
		Wanted:   make(map[secret.Name]Wanted, len(names)),
	}
	s := subject{look: &l}
	c := cell{subject: &s} // one for all: a plan of thousands is made without a piece of garbage for each
	for _, name := range names {
		s.turnTo(name)
		wanted := s.wanted()
		for _, scope := range s.targets() {
			c.turnTo(scope)
			a := c.decide()
			if a.keep {
				wanted = wanted.without(scope)
			}
			p.Actions = append(p.Actions, a.Action)
			p.Summary.count(a.Verb)
		}
		if s.excluded {
			p.Notices = append(p.Notices, s.excludedNotice())
		} else {
			p.Wanted[name] = wanted
		}
	}
	p.Withheld = in.withholds(p)
	return p
}

func (s *Summary) count(v Verb) {
	switch v {
	case Create:
		s.Create++
	case Update:
		s.Update++
	case Delete:
		s.Delete++
	case Skip:
		s.Skip++
	case Leave:
		s.Leave++
	case Forget:
		s.Forget++
	case Conflict:
		s.Conflict++
	case Error:
		s.Error++
	}
}

// A look is an Input with what holds for every secret of the run alike, worked out once.
type look struct {
	*Input
	deletes      bool // this run may delete at all
	named        map[secret.Name]bool
	asked, usual []secret.Scope // the options' Scopes and Default, sorted
	reachable    func(secret.Scope) bool
}

// look says, too, that a run deletes nothing when it was limited by name, or when any list is not
// whole: a name that was not looked at is no name that is gone.
func (in *Input) look() look {
	l := look{Input: in, deletes: !in.Options.Limited(), named: make(map[secret.Name]bool, len(in.Options.Names))}
	for _, o := range in.Observed {
		l.deletes = l.deletes && !o.Failed
	}
	for _, n := range in.Options.Names {
		l.named[n] = true
	}
	// Actions is never its own target, and a store that does not exist here is left out: the run
	// says so once, not per secret.
	l.reachable = func(s secret.Scope) bool {
		return !in.Observed[s].Missing && (s != secret.Actions || in.Source.Identity != ActionsSource)
	}
	l.asked, l.usual = sorted(in.Options.Scopes), sorted(in.Options.Default)
	return l
}

// selected returns the names the run is about, in order: those that the source has or a mapping
// remembers, narrowed by the options, and those asked for by name whether anyone has them or not. A
// name without a usable value is none of them, unless it was asked for: then somebody is to hear of it.
func (l look) selected() []secret.Name {
	names := make([]secret.Name, 0, max(len(l.Source.Values), len(l.Memory))+len(l.named))
	for n := range l.named {
		names = append(names, n)
	}
	for n := range l.Source.Values {
		if !l.named[n] && l.selects(n) {
			names = append(names, n)
		}
	}
	for n := range l.Memory {
		if _, twice := l.Source.Values[n]; !twice && !l.named[n] && l.selects(n) {
			names = append(names, n)
		}
	}
	if len(l.Source.Unusable) > 0 {
		names = slices.DeleteFunc(names, func(n secret.Name) bool { return l.Source.Unusable[n] && !l.named[n] })
	}
	slices.SortFunc(names, secret.Name.Compare)
	return names
}

// selects says whether the options let a name in that was not asked for by name.
func (l look) selects(n secret.Name) bool {
	if !l.Options.Limited() {
		return true
	}
	matches := func(globs []string) bool {
		return slices.ContainsFunc(globs, func(g string) bool {
			ok, _ := path.Match(g, n.String()) // a malformed glob was refused when it was read
			return ok
		})
	}
	o := l.Options
	return len(o.Names) == 0 && (len(o.Only) == 0 || matches(o.Only)) && !matches(o.Except)
}

// targets returns the scopes in which the secret is looked at in this run. One that is left alone is
// looked at nowhere, unless it was asked for by name: then the plan says that it is.
func (s *subject) targets() []secret.Scope {
	scopes := s.asked
	if len(scopes) == 0 {
		scopes = s.usual
		if s.mapped {
			scopes = sorted(s.mapping.TargetScopes)
		}
		if s.mapping.LeftAlone && !s.named[s.name] {
			return nil
		}
	}
	unreachable := func(sc secret.Scope) bool { return !s.reachable(sc) }
	if !slices.ContainsFunc(scopes, unreachable) {
		return scopes
	}
	return slices.DeleteFunc(slices.Clone(scopes), unreachable)
}

// wanted returns what the mapping is to remember after this run. A request with scopes adds them
// to the secrets that the source has, and one without changes nothing. A secret that the source
// does not have is not spread further: it may be another source's.
func (s *subject) wanted() Wanted {
	m := s.mapping
	switch {
	case len(s.asked) == 0 && !s.mapped:
		return Wanted{TargetScopes: slices.Clone(s.usual)}
	case s.mapped && (len(s.asked) == 0 || !s.present):
		return Wanted{TargetScopes: slices.Clone(m.TargetScopes), LeftAlone: m.LeftAlone}
	case m.LeftAlone:
		return Wanted{TargetScopes: slices.Clone(s.asked)}
	}
	return Wanted{TargetScopes: sorted(slices.Concat(m.TargetScopes, s.asked))}
}

// sorted returns scopes in order, each once; it may be scopes itself.
func sorted(scopes []secret.Scope) []secret.Scope {
	if ordered(scopes) {
		return scopes
	}
	out := slices.Clone(scopes)
	slices.SortFunc(out, secret.Scope.Compare)
	return slices.Compact(out)
}

func ordered(scopes []secret.Scope) bool {
	for i := 1; i < len(scopes); i++ {
		if scopes[i-1].Compare(scopes[i]) >= 0 {
			return false
		}
	}
	return true
}

// without narrows w by a scope that is to be left alone. The last scope stays written down, since
// a mapping has at least one, and LeftAlone says that it is not ours.
func (w Wanted) without(scope secret.Scope) Wanted {
	rest := slices.DeleteFunc(slices.Clone(w.TargetScopes), func(s secret.Scope) bool { return s == scope })
	if len(rest) == 0 {
		return Wanted{TargetScopes: w.TargetScopes, LeftAlone: true}
	}
	return Wanted{TargetScopes: rest, LeftAlone: w.LeftAlone}
}

// withholds says whether the deletions of p go beyond what a run may do unasked: more than half of
// the managed secrets (and more than three), or any at all when the source is empty.
func (in *Input) withholds(p Plan) bool {
	if p.Summary.Delete == 0 || in.Options.AllowDeletes >= p.Summary.Delete {
		return false
	}
	managed := 0
	for _, m := range in.Memory {
		if m.managed() {
			managed++
		}
	}
	gone := map[secret.Name]bool{}
	for _, a := range p.Actions {
		if a.Verb == Delete {
			gone[a.SecretName] = true
		}
	}
	return len(in.Source.Values) == 0 || len(gone) > 3 && 2*len(gone) > managed
}

func (m Mapping) managed() bool {
	for _, s := range m.States {
		if s.Written() {
			return true
		}
	}
	return false
}

// excludedNotice names the pattern, and the copies of ours that remain as far as is known.
func (s *subject) excludedNotice() Notice {
	x := s.Excluded[s.name]
	f := fault.New(fault.Excluded, fault.Context{"secretName": s.name.String(), "pattern": x.Pattern, "isGlobal": x.Global})
	n := Notice{Code: f.Code, Message: f.Message, SecretName: s.name.String(), Context: f.Context}
	var remains []string
	for scope, st := range s.mapping.States {
		o, looked := s.Observed[scope]
		_, listed := o.UpdatedAt[s.name]
		if st.Written() && (listed || !looked || o.Failed) {
			remains = append(remains, scope.String())
		}
	}
	if len(remains) > 0 {
		slices.Sort(remains)
		n.Message += fmt.Sprintf(" A copy that was written before remains in %s.", strings.Join(remains, ", "))
	}
	return n
}
