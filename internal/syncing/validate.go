package syncing

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A ValidateRequest asks how a repository's secrets stand.
type ValidateRequest struct {
	Repo     github.Ref
	Actor    uuid.UUID
	Required []secret.Name  // look at these only, each of which must be everywhere
	Scopes   []secret.Scope // look at these only; none: all that are wanted
	Strict   bool           // copies that prove nothing are failures
}

// A Validation is the response of a validation: data-model.md's fields, then ours.
type Validation struct {
	Valid            bool                `json:"valid"`
	Missing          []plan.Finding      `json:"missing"`
	Conflicts        []plan.Disagreement `json:"conflicts"`
	Summary          plan.Tally          `json:"summary"`
	RemediationSteps []string            `json:"remediationSteps"`
	Unverified       []plan.Finding      `json:"unverified"`
	Orphans          []plan.Finding      `json:"orphans"`
	Unknown          []plan.Finding      `json:"unknown"`
	Notices          []plan.Notice       `json:"notices"`
	CorrelationID    uuid.UUID           `json:"correlationId"`
}

// A survey is the view of a repository that validation and status share: lists against memory,
// without a source.
type survey struct {
	*run
	plan.Survey
	rows []plan.Row
}

// survey looks at every scope that is asked for, wanted by a mapping, or written by default.
func (s *Service) survey(ctx context.Context, repo github.Ref, scopes []secret.Scope) (*survey, error) {
	r := s.newRun(ctx, Request{Repo: repo, Options: plan.Options{Scopes: scopes, Default: DefaultScopes(false)}})
	r.planning = true
	if err := r.recall(ctx); err != nil {
		return nil, err
	}
	if err := r.look(ctx); err != nil {
		return nil, err
	}
	v := &survey{run: r, Survey: plan.Survey{Observed: r.view.observed, Memory: r.memory, Scopes: scopes, Window: s.settings.window()}}
	v.Default = DefaultScopes(v.FromActions())
	return v, nil
}

// check compares, once Required is set.
func (v *survey) check(ctx context.Context) error {
	rules, err := v.store.Rules(ctx, v.project.ID)
	if err != nil {
		return err
	}
	var names []secret.Name
	for _, row := range plan.Check(v.Survey) {
		names = append(names, row.Name)
	}
	if v.Excluded, err = Excluded(ctx, rules, names); err != nil {
		return err
	}
	v.rows = plan.Check(v.Survey)
	return nil
}

// Validate compares what GitHub lists with what is remembered.
func (s *Service) Validate(ctx context.Context, req ValidateRequest) (Validation, error) {
	v, err := s.survey(ctx, req.Repo, req.Scopes)
	if err != nil {
		return Validation{}, err
	}
	v.Required = req.Required
	if err := v.check(ctx); err != nil {
		return Validation{}, err
	}
	if len(req.Required) > 0 {
		v.rows = slices.DeleteFunc(v.rows, func(r plan.Row) bool { return !slices.Contains(req.Required, r.Name) })
	}
	f := v.Judge(v.rows)
	res := Validation{
		Missing: orEmpty(f.Missing), Conflicts: orEmpty(f.Conflicts), Unverified: orEmpty(f.Unverified), Orphans: orEmpty(f.Orphans),
		Unknown: orEmpty(f.Unknown), Summary: f.Summary, Notices: orEmpty(v.view.notices), CorrelationID: v.record.ID,
	}
	res.Valid = len(f.Missing)+len(f.Conflicts)+len(f.Unknown) == 0 && !v.anyFailed() && (!req.Strict || len(f.Unverified) == 0)
	res.RemediationSteps = v.remedies(f, req)
	return res, v.note(ctx, req, res)
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (v *survey) anyFailed() bool {
	for _, o := range v.view.observed {
		if o.Failed {
			return true
		}
	}
	return false
}

// note records the validation in the audit trail of a project that has one.
func (v *survey) note(ctx context.Context, req ValidateRequest, res Validation) error {
	if !v.isKnown {
		return nil
	}
	scopes := req.Scopes
	if len(scopes) == 0 {
		for scope, o := range v.view.observed {
			if !o.Missing {
				scopes = append(scopes, scope)
			}
		}
	}
	failed := map[secret.Scope]bool{}
	for scope, o := range v.view.observed {
		failed[scope] = o.Failed
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	v.req.Actor = req.Actor
	e := v.event(audit.Validate).Outcome(scopes, failed, "a scope could not be listed")
	e.DurationMs = v.now().Sub(v.started).Milliseconds()
	e.Metadata = map[string]any{"valid": res.Valid, "missing": res.Summary.MissingCount, "conflicts": res.Summary.ConflictCount}
	_, err := v.store.Record(ctx, v.now(), store.Outcome{Project: v.project.ID, Actor: req.Actor, Events: []audit.Event{e}})
	return err
}

// remedies says, for each kind of finding, the command that mends it.
func (v *survey) remedies(f plan.Findings, req ValidateRequest) []string {
	steps := []string{}
	sync := fmt.Sprintf("octoseal sync --repo %s --from %s", req.Repo, v.from())
	if names := namesOf(f.Missing); len(names) > 0 {
		steps = append(steps, fmt.Sprintf("%s missing: %s (or octoseal set NAME --repo %s for a single value)", listed(names), sync, req.Repo))
	}
	for _, c := range f.Conflicts {
		where := make([]string, len(c.Scopes))
		for i, s := range c.Scopes {
			where[i] = s.String()
		}
		if !v.drifted(c.SecretName) { // the source moved on, or a run was interrupted: a plain sync is enough
			steps = append(steps, fmt.Sprintf("%s is behind in %s: %s --secret %s", c.SecretName, strings.Join(where, ", "), sync, c.SecretName))
			continue
		}
		steps = append(steps, fmt.Sprintf("%s differs in %s: %s --secret %s --force writes over it; octoseal scopes set %s --repo %s --scopes … leaves a scope alone",
			c.SecretName, strings.Join(where, ", "), sync, c.SecretName, c.SecretName, req.Repo))
	}
	if names := namesOf(f.Unverified); len(names) > 0 {
		steps = append(steps, fmt.Sprintf("%s not written by Octoseal, so nothing is known of the value: %s --adopt overwrite takes it over, --adopt keep leaves it alone", listed(names), sync))
	}
	if names := namesOf(f.Unknown); len(names) > 0 || v.anyFailed() {
		steps = append(steps, "A scope could not be listed: run octoseal validate again; octoseal doctor tells what is missing")
	}
	return steps
}

// drifted says that somebody else changed a copy of the secret.
func (v *survey) drifted(name secret.Name) bool {
	return slices.ContainsFunc(v.rows, func(r plan.Row) bool {
		return r.Name == name && slices.Contains(slices.Collect(maps.Values(r.Cells)), plan.StandsDrift)
	})
}

// from guesses the --from that the remembered copies were written with, for people to paste.
func (v *survey) from() string {
	sources := map[string]bool{}
	for _, m := range v.Memory {
		for _, s := range m.States {
			sources[s.Source] = true
		}
	}
	for s := range sources {
		path, isFile := strings.CutPrefix(s, "file:")
		switch {
		case len(sources) > 1:
		case isFile && strings.ContainsAny(path, " \t\"'$`\\&;()<>|*?#"):
			return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
		case isFile:
			return path
		case strings.HasPrefix(s, "env:"), strings.HasPrefix(s, "json-env:"):
			return s
		}
	}
	return "FILE"
}

func namesOf(findings []plan.Finding) []string {
	var names []string
	for _, f := range findings {
		if n := f.SecretName.String(); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	return names
}

// listed spells some names and counts the rest.
func listed(names []string) string {
	const shown = 5
	verb := " are"
	if len(names) == 1 {
		verb = " is"
	}
	if len(names) > shown {
		return fmt.Sprintf("%s and %d more are", strings.Join(names[:shown], ", "), len(names)-shown)
	}
	return strings.Join(names, ", ") + verb
}
