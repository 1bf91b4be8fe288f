package environment

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// An Input is everything a plan is made from.
type Input struct {
	Wanted        []Wanted
	Observed      map[Tier]Observed // one that GitHub does not have is not in it
	Memory        map[Tier]Memory
	Excluded      map[secret.Name]exclusion.Rule // names that a rule excludes, computed before: a regex has a clock
	DefaultBranch string
	Force         bool // write over secrets in conflict
}

// A Wanted is one environment as asked for, checked, and with the tier's defaults filled in.
type Wanted struct {
	Tier    Tier
	Rules   Rules
	Secrets map[secret.Name]secret.Hash // those named; others are left
	Linked  Links                       // those remembered included

	// Objections are what was found against it by looking: reviewers who are not there, deployments
	// that could not be looked at, resources that are gone.
	Objections []Objection
}

// An Objection is why an environment is to be left alone. One about anything but a link counts only
// where rules are to change.
type Objection struct {
	Subject Subject
	Reason  Reason
	Fault   *fault.Fault
}

// An Observed is one environment as GitHub shows it now.
type Observed struct {
	ID        int64
	Rules     github.EnvironmentRules
	Secrets   plan.Observation
	Deploying []int64 // deployments under way; only looked for where rules are to change
}

// A Memory is what is remembered of one environment.
type Memory struct {
	Applied bool  // it is remembered at all, and not merely about to be written to
	Rules   Rules // as they were asked for when they were applied last
	Secrets map[secret.Name]Remembered
	Intents map[secret.Name]Intent // open ones
	Linked  Links
}

// A Remembered is what is known of one secret that we wrote.
type Remembered struct {
	Hash      secret.Hash
	UpdatedAt time.Time // as GitHub listed it after our write
}

// An Intent is a note that a secret was about to be written, still open: a write under it may have
// happened from At to Until, on GitHub's clock. The zero Intent is none.
type Intent struct{ At, Until time.Time }

// covers says whether a write under the intent can have left the listed time.
func (i Intent) covers(listed time.Time) bool {
	return !i.At.IsZero() && !listed.Before(i.At.Add(-plan.Tolerance)) && !listed.After(i.Until.Add(plan.Tolerance))
}

// A Decision is what becomes of one environment.
type Decision struct {
	Tier    Tier
	Exists  bool                    // GitHub has it already
	Rules   github.EnvironmentRules // as GitHub is to have them
	Put     bool                    // the environment is to be made, or its rules to be changed
	Blocked bool                    // left alone: an action objects to all of it
	Actions []Action                // the environment, its rules, its secrets by name, its links
}

// Writes are the secrets that are to be written.
func (d Decision) Writes() []secret.Name {
	var names []secret.Name
	for _, a := range d.Actions {
		if name, ok := a.SecretName(); ok && a.Verb.Writes() {
			names = append(names, name)
		}
	}
	return names
}

// A Plan is a decision about every environment asked for, in the order of tiers.
type Plan struct {
	Environments []Decision
	Notices      []plan.Notice
}

// Actions are those of all environments.
func (p Plan) Actions() []Action {
	actions := []Action{}
	for _, d := range p.Environments {
		actions = append(actions, d.Actions...)
	}
	return actions
}

// Summary counts the verbs.
func (p Plan) Summary() plan.Summary {
	var s plan.Summary
	counters := map[plan.Verb]*int{
		plan.Create: &s.Create, plan.Update: &s.Update, plan.Delete: &s.Delete, plan.Skip: &s.Skip,
		plan.Leave: &s.Leave, plan.Forget: &s.Forget, plan.Conflict: &s.Conflict, plan.Error: &s.Error,
	}
	for _, a := range p.Actions() {
		*counters[a.Verb]++
	}
	return s
}

// Empty says whether there is nothing to do and nothing wrong.
func (p Plan) Empty() bool {
	return !slices.ContainsFunc(p.Actions(), func(a Action) bool { return a.Verb != plan.Skip && a.Verb != plan.Leave })
}

// Cost counts the requests that applying p needs when all goes well.
func (p Plan) Cost() plan.Cost {
	var c plan.Cost
	for _, d := range p.Environments {
		if d.Put { // the environment and a pattern, and both looked at again
			c.Requests, c.Writes = c.Requests+4, c.Writes+2
		}
		if n := len(d.Writes()); n > 0 { // a key and a closing list
			c.Requests, c.Writes = c.Requests+n+2, c.Writes+n
		}
	}
	return c
}

// Make decides what gives every environment what is asked for. It does no IO and reads no clock;
// equal inputs, in whatever order, give equal plans.
func Make(in Input) Plan {
	wanted := slices.SortedFunc(slices.Values(in.Wanted), func(a, b Wanted) int { return compareTiers(a.Tier, b.Tier) })
	var p Plan
	for _, w := range wanted {
		observed, exists := in.Observed[w.Tier]
		s := side{Input: &in, Wanted: w, observed: observed, exists: exists, memory: in.Memory[w.Tier]}
		p.Environments = append(p.Environments, s.decide())
		p.Notices = append(p.Notices, s.notices()...)
	}
	return p
}

// A side is one environment of an Input.
type side struct {
	*Input
	Wanted
	observed Observed
	exists   bool
	memory   Memory
}

// now are GitHub's rules; one that is not there has none.
func (s *side) now() github.EnvironmentRules {
	if !s.exists {
		return github.EnvironmentRules{Branches: github.AnyBranch}
	}
	return s.observed.Rules
}

func (s *side) decide() Decision {
	d := Decision{Tier: s.Tier, Exists: s.exists, Rules: s.Rules.over(s.now(), s.DefaultBranch)}
	rules := s.rules(d.Rules)
	d.Put = !s.exists || len(rules) > 0
	d.Actions = slices.Concat([]Action{s.itself()}, rules)
	if d.Put {
		d.Actions = append(d.Actions, s.objections(d.Rules)...)
	}
	d.Actions = slices.Concat(d.Actions, s.secrets(), s.links())
	if d.Blocked = slices.ContainsFunc(d.Actions, Action.isBlock); d.Blocked {
		d.Put = false
		for i, a := range d.Actions {
			if !a.Verb.Failed() && a.Verb != plan.Skip {
				d.Actions[i].Verb, d.Actions[i].Reason = plan.Leave, LeftAlone
			}
		}
	}
	return d
}

func (s *side) action(subject Subject, v plan.Verb, r Reason) Action {
	return Action{Environment: s.Tier, Subject: subject, Verb: v, Reason: r}
}

func (s *side) itself() Action {
	if s.exists {
		return s.action(SubjectEnvironment, plan.Skip, InStep)
	}
	return s.action(SubjectEnvironment, plan.Create, Missing)
}

// rules returns an action for each rule that is not as wanted. Rules are written over without being
// asked twice: what they are worth lies in their being in force.
func (s *side) rules(want github.EnvironmentRules) []Action {
	var actions []Action
	for _, diff := range differences(s.now(), want) {
		verb, reason := plan.Update, s.whyRuleDiffers(diff)
		if !s.exists {
			verb, reason = plan.Create, Missing
		}
		a := s.action(diff.Subject, verb, reason)
		a.Have, a.Wanted = diff.Have, diff.Wanted
		actions = append(actions, a)
	}
	return actions
}

// whyRuleDiffers asks memory: GitHub has not what was applied last, or something else is asked for.
func (s *side) whyRuleDiffers(now difference) Reason {
	if !s.memory.Applied {
		return Differs
	}
	applied := s.memory.Rules.over(s.now(), s.DefaultBranch)
	for _, since := range differences(s.now(), applied) {
		switch {
		case since.Subject == now.Subject && since.Weaker:
			return Loosened
		case since.Subject == now.Subject:
			return Drift
		}
	}
	return Stale
}

// objections are what keeps the environment from being made or its rules from being changed.
func (s *side) objections(want github.EnvironmentRules) []Action {
	var actions []Action
	for _, o := range s.Objections {
		if !o.Subject.isLink() {
			actions = append(actions, s.action(o.Subject, "", "").failing(plan.Error, o.Reason, o.Fault))
		}
	}
	if n := len(want.Reviewers); n > MaxReviewers {
		actions = append(actions, s.action(SubjectReviewers, "", "").failing(plan.Error, TooManyReviewers,
			fault.Invalid("environment %s would have %d reviewers, its teams included; GitHub takes %d", s.Tier, n, MaxReviewers)))
	}
	if n := len(s.observed.Deploying); n > 0 {
		f := fault.New(fault.ProtectionRuleConflict, fault.Context{
			"environment": string(s.Tier), "activeDeployments": slices.Sorted(slices.Values(s.observed.Deploying)),
		})
		actions = append(actions, s.action(SubjectEnvironment, "", "").failing(plan.Conflict, Deploying, f))
	}
	return actions
}

// secrets decides about every secret that is named, listed or remembered, by name.
func (s *side) secrets() []Action {
	names := slices.Collect(maps.Keys(s.Wanted.Secrets))
	names = slices.AppendSeq(names, maps.Keys(s.observed.Secrets.UpdatedAt))
	slices.SortFunc(names, secret.Name.Compare)
	var actions []Action
	for _, name := range slices.Compact(names) {
		actions = append(actions, s.secret(name))
	}
	return actions
}

func (s *side) secret(name secret.Name) Action {
	want, named := s.Wanted.Secrets[name]
	listed, there := s.observed.Secrets.UpdatedAt[name]
	known, ours := s.memory.Secrets[name]
	a := s.action(secretSubject(name), plan.Update, Stale)
	a.name = name
	as := func(v plan.Verb, r Reason) Action {
		a.Verb, a.Reason = v, r
		return a
	}
	_, excluded := s.Excluded[name]
	switch {
	case !named && ours:
		return as(plan.Leave, NotNamed)
	case !named:
		return as(plan.Leave, NeverOurs)
	case excluded:
		return as(plan.Skip, Excluded)
	case !there && ours && s.exists:
		return as(plan.Create, DeletedOutside)
	case !there:
		return as(plan.Create, Missing)
	case s.memory.Intents[name].covers(listed):
		return as(plan.Update, Interrupted)
	case ours && listed.Equal(known.UpdatedAt) && known.Hash.Same(want):
		return as(plan.Skip, InStep)
	case ours && listed.Equal(known.UpdatedAt):
		return a
	case ours:
		return s.contested(a, Drift)
	}
	return s.contested(a, Unmanaged)
}

// contested is a secret that holds what somebody else put there.
func (s *side) contested(a Action, r Reason) Action {
	if s.Force {
		a.Reason = r
		return a
	}
	scope := s.Tier.Scope().String()
	f := fault.New(fault.ConflictDetected, fault.Context{"secretName": a.name.String(), "conflictingScopes": []string{scope}, "environment": string(s.Tier)}).
		Saying("Secret %s of environment %s %s.", a.name, s.Tier, contestedWords[r]).
		Hinting("To write over it: --force. To leave it: take %s out of the environment's secrets.", a.name)
	return a.failing(plan.Conflict, r, f)
}

var contestedWords = map[Reason]string{
	Drift:     "was changed by someone else since our last write",
	Unmanaged: "exists already, and was not written by us",
}

// links decides about the resources that the environment is linked to. Remembering them is all
// there is to do, their secrets aside.
func (s *side) links() []Action {
	var actions []Action
	for _, link := range s.Linked.each() {
		if link.Value == "" {
			continue
		}
		before := s.memory.Linked.at(link.Subject)
		a := s.action(link.Subject, plan.Skip, InStep)
		switch {
		case before == "":
			a.Verb, a.Reason, a.Wanted = plan.Create, Linked, link.Value
		case before != link.Value:
			a.Verb, a.Reason, a.Have, a.Wanted = plan.Update, Linked, before, link.Value
		}
		for _, o := range s.Objections {
			if o.Subject == link.Subject {
				a = a.failing(plan.Error, o.Reason, o.Fault)
			}
		}
		actions = append(actions, a)
	}
	return actions
}

// notices are what is worth knowing and no error.
func (s *side) notices() []plan.Notice {
	var notices []plan.Notice
	scope := s.Tier.Scope().String()
	if s.exists {
		f := fault.New(fault.EnvironmentExists, fault.Context{"environmentName": string(s.Tier), "githubEnvironmentId": s.observed.ID})
		notices = append(notices, plan.Notice{Code: f.Code, Message: f.Message, Scope: scope, Context: f.Context})
	}
	notices = append(notices, s.excludedNotices()...)
	about := fault.Context{"environment": string(s.Tier)}
	if n := s.Rules.RequiredReviewers; n != nil && *n > 1 {
		notices = append(notices, plan.Notice{
			Code: fault.RequestInvalid, Scope: scope, Context: about,
			Message: fmt.Sprintf("Environment %s asks for %d approvals. GitHub lets a deployment go with one approval of any of its %d reviewers.", s.Tier, *n, len(s.Rules.ReviewerIDs)),
		})
	}
	if left := s.Rules.over(s.now(), s.DefaultBranch).Reviewers; s.Rules.ReviewerIDs != nil && len(left) > len(s.Rules.ReviewerIDs) {
		notices = append(notices, plan.Notice{
			Code: fault.EnvironmentExists, Scope: scope, Context: about,
			Message: fmt.Sprintf("Environment %s keeps %d reviewers that a spec has no word for, such as teams; each of them may approve.", s.Tier, len(left)-len(s.Rules.ReviewerIDs)),
		})
	}
	return notices
}

// excludedNotices name the rules that keep what is named from being written.
func (s *side) excludedNotices() []plan.Notice {
	var notices []plan.Notice
	for _, name := range slices.SortedFunc(maps.Keys(s.Wanted.Secrets), secret.Name.Compare) {
		rule, excluded := s.Excluded[name]
		if !excluded {
			continue
		}
		f := fault.New(fault.Excluded, fault.Context{"secretName": name.String(), "pattern": rule.Pattern.String(), "isGlobal": rule.Global})
		n := plan.Notice{Code: f.Code, Message: f.Message, SecretName: name.String(), Scope: s.Tier.Scope().String(), Context: f.Context}
		_, ours := s.memory.Secrets[name]
		if _, there := s.observed.Secrets.UpdatedAt[name]; there && ours {
			n.Message += fmt.Sprintf(" A copy that was written before remains in %s.", n.Scope)
		}
		notices = append(notices, n)
	}
	return notices
}
