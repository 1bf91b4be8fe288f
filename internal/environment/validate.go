package environment

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"golang.org/x/sync/errgroup"
)

// A ValidateRequest asks how environments stand.
type ValidateRequest struct {
	Project      store.Project
	Actor        uuid.UUID
	Environments []Tier        // these; none: those applied before
	Required     []secret.Name // must be in each, beside those written before
	Strict       bool          // secrets that prove nothing are failures
}

// A Validation is the response of a validation: data-model.md's fields, then ours.
type Validation struct {
	Valid            bool                `json:"valid"`
	Missing          []plan.Finding      `json:"missing"`
	Conflicts        []plan.Disagreement `json:"conflicts"`
	Summary          plan.Tally          `json:"summary"`
	RemediationSteps []string            `json:"remediationSteps"`
	Unverified       []plan.Finding      `json:"unverified"`
	Rules            []RuleFinding       `json:"rules"`
	Notices          []plan.Notice       `json:"notices"`
	CorrelationID    uuid.UUID           `json:"correlationId"`
}

// A RuleFinding is an environment that GitHub does not have, a rule that is not what was applied
// last, or a linked resource that is gone. One that is not Weaker protects more than was asked.
type RuleFinding struct {
	Environment Tier    `json:"environment"`
	Subject     Subject `json:"subject"`
	Reason      Reason  `json:"reason"`
	Weaker      bool    `json:"weaker"`
	Have        any     `json:"have,omitzero"`
	Wanted      any     `json:"wanted,omitzero"`
}

// String is the finding as a sentence for people.
func (f RuleFinding) String() string {
	if f.Have == nil && f.Wanted == nil {
		return fmt.Sprintf("%s: %s is %s", f.Environment, f.Subject, f.Reason.Words())
	}
	return fmt.Sprintf("%s: %s is %v, not %v: %s", f.Environment, f.Subject, f.Have, f.Wanted, f.Reason.Words())
}

// Validate compares what GitHub shows with what was applied last. An environment that was never
// applied has to be what its tier is by default: a workflow that names one that is not there makes it,
// without any protection.
func (s *Service) Validate(ctx context.Context, req ValidateRequest) (Validation, error) {
	w := s.open(ctx, req.Project, req.Actor)
	if err := w.recall(ctx); err != nil {
		return Validation{}, err
	}
	tiers := slices.SortedFunc(slices.Values(req.Environments), compareTiers)
	if len(tiers) == 0 {
		for _, t := range Tiers() {
			if w.memory[t].Applied {
				tiers = append(tiers, t)
			}
		}
	}
	tiers = slices.Compact(tiers)
	v := &validation{session: w, req: req, tiers: tiers}
	if len(tiers) == 0 { // nothing was applied, so GitHub need not be asked
		return v.result(), nil
	}
	if err := w.look(ctx, tiers); err != nil {
		return Validation{}, err
	}
	if err := v.check(ctx); err != nil {
		return Validation{}, err
	}
	res := v.result()
	return res, v.note(ctx, res)
}

// A validation is one under way.
type validation struct {
	*session
	req        ValidateRequest
	tiers      []Tier
	repository map[secret.Name]bool // names of the repository's own secrets; nil: not looked for
	standings  map[Tier]map[secret.Name]plan.Standing
	rules      []RuleFinding
	notices    []plan.Notice
}

func (v *validation) check(ctx context.Context) error {
	v.standings = map[Tier]map[secret.Name]plan.Standing{}
	names := slices.Clone(v.req.Required)
	for _, t := range v.tiers {
		names = slices.AppendSeq(names, maps.Keys(v.memory[t].Secrets))
	}
	excluded, err := v.exclude(ctx, names)
	if err != nil {
		return err
	}
	gone, err := v.linksGone(ctx)
	if err != nil {
		return err
	}
	for _, t := range v.tiers {
		e, there := v.list.Find(string(t))
		v.rules = slices.Concat(v.rules, v.ruleFindings(t, e, there), gone[t])
		v.standings[t] = v.standingsOf(t, v.req.Required)
		maps.DeleteFunc(v.standings[t], func(n secret.Name, _ plan.Standing) bool { _, out := excluded[n]; return out })
		if err := v.lookElsewhere(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

// ruleFindings are what is not as it was applied, or as the tier is by default.
func (s *session) ruleFindings(t Tier, e github.Environment, there bool) []RuleFinding {
	if !there {
		return []RuleFinding{{Environment: t, Subject: SubjectEnvironment, Reason: Missing, Weaker: true}}
	}
	if !s.memory[t].Applied {
		return unprotected(t, e.Rules, s.repo.DefaultBranch)
	}
	var findings []RuleFinding
	for _, d := range differences(e.Rules, s.memory[t].Rules.over(e.Rules, s.repo.DefaultBranch)) {
		f := RuleFinding{Environment: t, Subject: d.Subject, Reason: Drift, Weaker: d.Weaker, Have: d.Have, Wanted: d.Wanted}
		if d.Weaker {
			f.Reason = Loosened
		}
		findings = append(findings, f)
	}
	return findings
}

// unprotected says what an environment that nobody applied lacks of its tier's defaults.
func unprotected(t Tier, now github.EnvironmentRules, branch string) []RuleFinding {
	findings := []RuleFinding{{Environment: t, Subject: SubjectEnvironment, Reason: NotApplied}}
	d := t.defaults()
	if d.RequiredReviewers != nil && len(now.Reviewers) == 0 {
		findings = append(findings, RuleFinding{t, SubjectReviewers, Missing, true, "nobody", "a reviewer"})
	}
	if d.RestrictToMainBranch != nil && !mainOnly(now, branch) {
		findings = append(findings, RuleFinding{t, SubjectBranches, Missing, true, branchNames(now), "the default branch"})
	}
	return findings
}

// linksGone looks for the linked resources, side by side, where there are credentials for it, and
// finds those that are gone.
func (v *validation) linksGone(ctx context.Context) (map[Tier][]RuleFinding, error) {
	gone := map[Tier][]RuleFinding{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, t := range v.tiers {
		for _, link := range v.memory[t].Linked.each() {
			if link.Value == "" {
				continue
			}
			g.Go(func() error {
				found, looked, err := v.resources.exists(ctx, link)
				if err == nil && looked && !found {
					mu.Lock()
					defer mu.Unlock()
					gone[t] = append(gone[t], RuleFinding{t, link.Subject, Unlinked, true, "nothing", link.Value})
				}
				return err
			})
		}
	}
	err := g.Wait()
	for _, findings := range gone {
		slices.SortFunc(findings, func(a, b RuleFinding) int { return strings.Compare(string(a.Subject), string(b.Subject)) })
	}
	return gone, err
}

// standingsOf compares the secrets that have to be in an environment with those that are.
func (s *session) standingsOf(t Tier, required []secret.Name) map[secret.Name]plan.Standing {
	m, out := s.memory[t], map[secret.Name]plan.Standing{}
	listed := s.secrets[t].Observation().UpdatedAt
	names := slices.Concat(required, slices.Collect(maps.Keys(m.Secrets)))
	for _, name := range names {
		at, there := listed[name]
		known, ours := m.Secrets[name]
		switch {
		case !there:
			out[name] = plan.StandsGone
		case m.Intents[name].covers(at):
			out[name] = plan.StandsOpen
		case ours && at.Equal(known.UpdatedAt):
			out[name] = plan.StandsIn
		case ours:
			out[name] = plan.StandsDrift
		default:
			out[name] = plan.StandsAlien
		}
	}
	return out
}

// lookElsewhere finds required secrets of an environment that are kept as secrets of the repository,
// under the name that says whose they are: NAME_PROD is NAME of production. For one that was written
// to the environment itself, and is gone from there, nothing stands.
func (v *validation) lookElsewhere(ctx context.Context, t Tier) error {
	for name, st := range v.standings[t] {
		if _, ours := v.memory[t].Secrets[name]; ours || st != plan.StandsGone {
			continue
		}
		if v.repository == nil {
			list, err := v.hub.List(ctx, v.repo, secret.Actions, seenBefore[github.Listing](v.session, kindActions))
			if err != nil {
				return err
			}
			v.repository = map[secret.Name]bool{}
			for n := range list.Observation().UpdatedAt {
				v.repository[n] = true
			}
		}
		if v.repository[suffixed(name, t)] {
			v.standings[t][name] = plan.StandsAlien
			v.notices = append(v.notices, plan.Notice{
				Code: fault.SourceUnavailable, SecretName: name.String(), Scope: t.Scope().String(), Context: fault.Context{"environment": string(t)},
				Message: fmt.Sprintf("Environment %s has no %s of its own; the repository's secret %s stands for it.", t, name, suffixed(name, t)),
			})
		}
	}
	return nil
}

// suffixed is the name of a repository's secret that stands for the tier's.
func suffixed(name secret.Name, t Tier) secret.Name {
	if strings.HasSuffix(name.String(), t.Suffix()) {
		return name
	}
	n, err := secret.ParseName(name.String() + t.Suffix())
	if err != nil {
		return name // too long for a suffix
	}
	return n
}

func (v *validation) result() Validation {
	res := Validation{
		Missing: []plan.Finding{}, Conflicts: []plan.Disagreement{}, Unverified: []plan.Finding{}, Rules: orEmpty(v.rules),
		Notices: orEmpty(v.notices), CorrelationID: v.id,
	}
	names := map[secret.Name]bool{}
	for _, standings := range v.standings {
		for n := range standings {
			names[n] = true
		}
	}
	for _, name := range slices.SortedFunc(maps.Keys(names), secret.Name.Compare) {
		v.judge(name, &res)
	}
	weaker := slices.ContainsFunc(v.rules, func(f RuleFinding) bool { return f.Weaker })
	res.Valid = len(res.Missing)+len(res.Conflicts) == 0 && !weaker && (!v.req.Strict || len(res.Unverified)+len(v.rules) == 0)
	res.RemediationSteps = v.remedies(res)
	return res
}

// judge counts a name once: missing before conflict before valid.
func (v *validation) judge(name secret.Name, res *Validation) {
	var differing []secret.Scope
	missing := false
	for _, t := range v.tiers {
		st, wanted := v.standings[t][name]
		at := plan.Finding{SecretName: name, Scope: t.Scope()}
		switch {
		case !wanted:
		case st == plan.StandsGone:
			res.Missing, missing = append(res.Missing, at), true
		case st == plan.StandsDrift, st == plan.StandsOpen:
			differing = append(differing, at.Scope)
		case st == plan.StandsAlien:
			res.Unverified = append(res.Unverified, at)
		}
	}
	if len(differing) > 0 {
		res.Conflicts = append(res.Conflicts, plan.Disagreement{SecretName: name, Scopes: differing, ValueHashes: map[string]string{}})
	}
	res.Summary.TotalSecrets++
	switch {
	case missing:
		res.Summary.MissingCount++
	case len(differing) > 0:
		res.Summary.ConflictCount++
	default:
		res.Summary.ValidCount++
	}
}

// remedies says what mends each finding.
func (v *validation) remedies(res Validation) []string {
	steps := []string{}
	apply := fmt.Sprintf("octoseal env apply -f environments.yaml --repo %s", v.repo.FullName())
	for _, f := range v.rules {
		switch {
		case f.Subject.isLink():
			steps = append(steps, f.String()+": link another, or make it again")
		case f.Weaker:
			steps = append(steps, f.String()+": "+apply)
		}
	}
	for _, f := range res.Missing {
		steps = append(steps, fmt.Sprintf("%s is missing in %s: add it to the environment's secrets, then %s", f.SecretName, f.Scope, apply))
	}
	for _, c := range res.Conflicts {
		for _, scope := range c.Scopes {
			steps = append(steps, v.remedyOf(c.SecretName, scope, apply))
		}
	}
	for _, f := range res.Unverified {
		steps = append(steps, fmt.Sprintf("%s in %s was not written by Octoseal, so nothing is known of the value: add it to the environment's secrets, then %s --force", f.SecretName, f.Scope, apply))
	}
	return steps
}

func (v *validation) remedyOf(name secret.Name, scope secret.Scope, apply string) string {
	tier, _ := scope.Environment()
	if v.standings[Tier(tier)][name] == plan.StandsOpen {
		return fmt.Sprintf("%s was left unsettled in %s by an interrupted apply: %s", name, scope, apply)
	}
	return fmt.Sprintf("%s was changed in %s by someone else: %s --force writes over it", name, scope, apply)
}

// note records the validation in the audit trail of a project that has one.
func (v *validation) note(ctx context.Context, res Validation) error {
	if v.project.ID == uuid.Nil || len(v.tiers) == 0 {
		return nil
	}
	var scopes []secret.Scope
	for _, t := range v.tiers {
		scopes = append(scopes, t.Scope())
	}
	e := v.event(audit.Validate).Outcome(scopes, nil, "")
	e.Metadata = map[string]any{
		"environments": true, "valid": res.Valid, "missing": res.Summary.MissingCount, "conflicts": res.Summary.ConflictCount, "rules": len(res.Rules),
	}
	_, err := v.store.RecordEnvironments(ctx, v.now(), store.EnvironmentOutcome{
		Project: v.project.ID, Actor: v.actor, Run: v.id, Lists: v.seen(), Events: []audit.Event{e},
	})
	return err
}
