package cli

import (
	"context"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A validation is of scopes, of environments, or of both.
type validation struct {
	syncing.Validation
	Rules []environment.RuleFinding `json:"rules"`
}

func parseTiers(texts []string, scopes []secret.Scope) ([]environment.Tier, error) {
	var tiers []environment.Tier
	for _, text := range texts {
		t, err := environment.ParseTier(text)
		if err != nil {
			return nil, fault.Invalid("%v", err)
		}
		tiers = append(tiers, t)
	}
	if len(tiers) > 0 && len(scopes) > 0 {
		return nil, fault.Invalid("--environment and --scopes do not go together: an environment's secrets are its own").
			Hinting("Ask for the two one after the other.")
	}
	return tiers, nil
}

func (s *session) validateEnvironments(ctx context.Context, req syncing.ValidateRequest, tiers []environment.Tier) (environment.Validation, error) {
	none := environment.Validation{}
	service, err := s.environments()
	if err != nil {
		return none, err
	}
	project, err := service.Project(ctx, s.repo)
	if err != nil {
		return none, err
	}
	return service.Validate(ctx, environment.ValidateRequest{
		Project: project, Actor: req.Actor, Environments: tiers, Required: req.Required, Strict: req.Strict,
	})
}

// beside is what was found of scopes and of environments together. A name counts once for the
// repository and once for its environments, since their secrets are their own.
func (v validation) beside(e environment.Validation) validation {
	id := v.CorrelationID
	if id == uuid.Nil {
		id = e.CorrelationID
	}
	return validation{
		Rules: joined(v.Rules, e.Rules),
		Validation: syncing.Validation{
			Valid: v.Valid && e.Valid, Missing: joined(v.Missing, e.Missing), Conflicts: joined(v.Conflicts, e.Conflicts),
			Summary: plan.Tally{
				TotalSecrets: v.Summary.TotalSecrets + e.Summary.TotalSecrets, MissingCount: v.Summary.MissingCount + e.Summary.MissingCount,
				ConflictCount: v.Summary.ConflictCount + e.Summary.ConflictCount, ValidCount: v.Summary.ValidCount + e.Summary.ValidCount,
			},
			RemediationSteps: joined(v.RemediationSteps, e.RemediationSteps), Unverified: joined(v.Unverified, e.Unverified),
			Orphans: joined(v.Orphans, nil), Unknown: joined(v.Unknown, nil), Notices: joined(v.Notices, e.Notices), CorrelationID: id,
		},
	}
}

// joined is both lists in one, which is never null in JSON.
func joined[T any](a, b []T) []T { return append(append([]T{}, a...), b...) }
