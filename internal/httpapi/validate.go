package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A ValidateRequest is data-model.md's request, then ours.
type ValidateRequest struct {
	ProjectID       uuid.UUID `json:"projectId" format:"uuid"`
	RequiredSecrets []string  `json:"requiredSecrets,omitempty" maxItems:"10000" nullable:"false" doc:"Look at these only, each of which must be everywhere."`
	TargetScopes    []string  `json:"targetScopes,omitempty" maxItems:"20" nullable:"false" doc:"Look at these scopes only; left out: all that are wanted."`
	Strict          bool      `json:"strict,omitempty" doc:"Copies that prove nothing are failures, too."`
	Environments    []string  `json:"environments,omitempty" maxItems:"20" nullable:"false" doc:"Look at these of dev, staging and production, and at no scope; requiredSecrets have to be in each. Left out: every environment that was applied, beside the scopes, unless requiredSecrets or targetScopes narrow the look."`
}

// A ValidateResponse is data-model.md's answer, then ours.
type ValidateResponse struct {
	Valid            bool          `json:"valid"`
	Missing          []Place       `json:"missing" nullable:"false" doc:"Secrets that a scope should have and has not."`
	Conflicts        []Conflict    `json:"conflicts" nullable:"false" doc:"Secrets that somebody else changed since Octoseal wrote them."`
	Summary          Tally         `json:"summary"`
	RemediationSteps []string      `json:"remediationSteps" nullable:"false" doc:"Each is a command or a sentence one can act on."`
	Unverified       []Place       `json:"unverified" nullable:"false" doc:"Copies that Octoseal did not write: they exist, and prove nothing."`
	Orphans          []Place       `json:"orphans" nullable:"false" doc:"Copies that the source does not have and Octoseal did not write."`
	Unknown          []Place       `json:"unknown" nullable:"false" doc:"What could not be told, since a scope could not be listed."`
	Rules            []RuleFinding `json:"rules" nullable:"false" doc:"Environments whose protection is not as it was applied, and linked resources that are gone."`
	Notices          []Notice      `json:"notices" nullable:"false"`
	CorrelationID    uuid.UUID     `json:"correlationId" format:"uuid" doc:"Of the event in the history."`
}

// A Place is one secret in one scope.
type Place struct {
	SecretName string `json:"secretName"`
	Scope      string `json:"scope"`
}

// A Conflict is one secret that differs between scopes.
type Conflict struct {
	SecretName  string            `json:"secretName"`
	Scopes      []string          `json:"scopes" nullable:"false"`
	ValueHashes map[string]string `json:"valueHashes" doc:"By scope, where the hash is known and current: 64 hex characters. Empty for viewers."`
}

// A Tally counts each secret once. An environment's secrets are its own, so a name counts once for
// the repository and once for its environments.
type Tally struct {
	TotalSecrets  int `json:"totalSecrets" minimum:"0"`
	MissingCount  int `json:"missingCount" minimum:"0"`
	ConflictCount int `json:"conflictCount" minimum:"0"`
	ValidCount    int `json:"validCount" minimum:"0"`
}

type validateInput struct{ Body ValidateRequest }

func (in *validateInput) project() uuid.UUID { return in.Body.ProjectID }

type validateOutput struct{ Body ValidateResponse }

func (s *server) validate(ctx context.Context, a access, in *validateInput) (*validateOutput, error) {
	out := &validateOutput{Body: ValidateResponse{Valid: true}}
	looks, err := s.looksOf(a, in.Body)
	if err != nil {
		return nil, err
	}
	for _, look := range looks {
		var part ValidateResponse
		found, err := look(ctx)
		if err == nil {
			err = reshape(found, &part)
		}
		if err != nil {
			return nil, err
		}
		out.Body = out.Body.beside(part)
	}
	exchangeOf(ctx).run = out.Body.CorrelationID
	return out, nil
}

// A look is one part of a validation.
type look func(context.Context) (any, error)

// looksOf are the parts of a validation: the scopes, the environments, or both.
func (s *server) looksOf(a access, r ValidateRequest) ([]look, error) {
	req := syncing.ValidateRequest{Actor: a.user.ID, Strict: r.Strict}
	var err error
	if req.Required, req.Scopes, err = selectionOf(r.RequiredSecrets, r.TargetScopes); err != nil {
		return nil, err
	}
	in := environment.ValidateRequest{Project: a.project, Actor: a.user.ID, Required: req.Required, Strict: r.Strict}
	for _, spelled := range r.Environments {
		t, err := environment.ParseTier(shortened(spelled))
		if err != nil {
			return nil, fault.Invalid("environments: %v", err)
		}
		in.Environments = append(in.Environments, t)
	}
	scopes := func(ctx context.Context) (any, error) {
		found, err := s.Service.Bind(a.project).Validate(ctx, req)
		if !a.seesHashes() {
			found = found.WithoutHashes()
		}
		return found, err
	}
	environments := func(ctx context.Context) (any, error) { return s.Environments.Validate(ctx, in) }
	switch {
	case len(r.Environments) > 0 && len(r.TargetScopes) > 0:
		return nil, fault.Invalid("targetScopes and environments do not go together: an environment's secrets are its own").
			Hinting("Ask for the two one after the other.")
	case len(r.Environments) > 0:
		return []look{environments}, nil
	case len(r.RequiredSecrets)+len(r.TargetScopes) > 0:
		return []look{scopes}, nil
	}
	return []look{scopes, environments}, nil
}

// beside is what two parts of a validation found together.
func (r ValidateResponse) beside(other ValidateResponse) ValidateResponse {
	sum := Tally{
		TotalSecrets: r.Summary.TotalSecrets + other.Summary.TotalSecrets, MissingCount: r.Summary.MissingCount + other.Summary.MissingCount,
		ConflictCount: r.Summary.ConflictCount + other.Summary.ConflictCount, ValidCount: r.Summary.ValidCount + other.Summary.ValidCount,
	}
	id := r.CorrelationID
	if id == uuid.Nil {
		id = other.CorrelationID
	}
	return ValidateResponse{
		Valid: r.Valid && other.Valid, Missing: joined(r.Missing, other.Missing), Conflicts: joined(r.Conflicts, other.Conflicts), Summary: sum,
		RemediationSteps: joined(r.RemediationSteps, other.RemediationSteps), Unverified: joined(r.Unverified, other.Unverified),
		Orphans: joined(r.Orphans, other.Orphans), Unknown: joined(r.Unknown, other.Unknown), Rules: joined(r.Rules, other.Rules),
		Notices: joined(r.Notices, other.Notices), CorrelationID: id,
	}
}

// joined is both lists in one, which is never null.
func joined[T any](a, b []T) []T { return append(append([]T{}, a...), b...) }

// seesHashes says whether the caller may compare values. A plain hash of a weak secret can be
// guessed, so those who only look do not see it.
func (a access) seesHashes() bool { return a.may(store.Developer) == nil }

// A StatusResponse is data-model.md's answer, then ours.
type StatusResponse struct {
	LastSyncAt          *time.Time     `json:"lastSyncAt" doc:"When the last run ended that succeeded, wholly or in part."`
	Status              syncing.State  `json:"status" enum:"synced,pending,error,never_synced"`
	PendingCount        int            `json:"pendingCount" minimum:"0" doc:"Secrets that wait for a run."`
	ErrorCount          int            `json:"errorCount" minimum:"0" doc:"Secrets that failed or conflict."`
	NextScheduledSyncAt *time.Time     `json:"nextScheduledSyncAt" doc:"null: none is scheduled."`
	QuotaRemaining      QuotaRemaining `json:"quotaRemaining"`
	Repository          string         `json:"repository" doc:"OWNER/NAME"`
	Notices             []Notice       `json:"notices" nullable:"false"`
	Secrets             []Standing     `json:"secrets,omitempty" nullable:"false" doc:"With look: how each secret stands in each scope."`
}

// A Standing is how one secret stands.
type Standing struct {
	SecretName string            `json:"secretName"`
	Scopes     map[string]string `json:"scopes" doc:"By scope: in_step, missing, drift, stale, interrupted, unmanaged, orphan and the like."`
}

// A QuotaRemaining is what is left of GitHub's quota.
type QuotaRemaining struct {
	Core      int  `json:"core" doc:"Requests left in the hour; the last limit seen while nothing newer is known."`
	Secrets   int  `json:"secrets" doc:"Writing requests left in the hour, by our own count against the 500 that GitHub documents."`
	Unlimited bool `json:"unlimited,omitempty" doc:"The server names no limit; core is then 2147483647."`
}

type statusInput struct {
	OfProject
	Look bool `query:"look" doc:"Look at GitHub too, and tell how each secret stands in each scope."`
}

type statusOutput struct{ Body StatusResponse }

// An OfProject is the part of a request that names its project in the query.
type OfProject struct {
	ProjectID uuid.UUID `query:"projectId" required:"true" format:"uuid" doc:"The project."`
}

func (p OfProject) project() uuid.UUID { return p.ProjectID }

func (s *server) status(ctx context.Context, a access, in *statusInput) (*statusOutput, error) {
	bound := s.Service.Bind(a.project)
	sumUp := bound.Status
	if in.Look {
		sumUp = bound.Matrix
	}
	st, err := sumUp(ctx)
	if err != nil {
		return nil, err
	}
	out := &statusOutput{}
	return out, reshape(st, &out.Body)
}
