package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A ValidateRequest is data-model.md's request, then ours.
type ValidateRequest struct {
	ProjectID       uuid.UUID `json:"projectId" format:"uuid"`
	RequiredSecrets []string  `json:"requiredSecrets,omitempty" maxItems:"10000" nullable:"false" doc:"Look at these only, each of which must be everywhere."`
	TargetScopes    []string  `json:"targetScopes,omitempty" maxItems:"20" nullable:"false" doc:"Look at these scopes only; left out: all that are wanted."`
	Strict          bool      `json:"strict,omitempty" doc:"Copies that prove nothing are failures, too."`
}

// A ValidateResponse is data-model.md's answer, then ours.
type ValidateResponse struct {
	Valid            bool       `json:"valid"`
	Missing          []Place    `json:"missing" nullable:"false" doc:"Secrets that a scope should have and has not."`
	Conflicts        []Conflict `json:"conflicts" nullable:"false" doc:"Secrets that somebody else changed since Octoseal wrote them."`
	Summary          Tally      `json:"summary"`
	RemediationSteps []string   `json:"remediationSteps" nullable:"false" doc:"Each is a command or a sentence one can act on."`
	Unverified       []Place    `json:"unverified" nullable:"false" doc:"Copies that Octoseal did not write: they exist, and prove nothing."`
	Orphans          []Place    `json:"orphans" nullable:"false" doc:"Copies that the source does not have and Octoseal did not write."`
	Unknown          []Place    `json:"unknown" nullable:"false" doc:"What could not be told, since a scope could not be listed."`
	Notices          []Notice   `json:"notices" nullable:"false"`
	CorrelationID    uuid.UUID  `json:"correlationId" format:"uuid" doc:"Of the event in the history."`
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

// A Tally counts each secret once.
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
	req := syncing.ValidateRequest{Actor: a.user.ID, Strict: in.Body.Strict}
	var err error
	if req.Required, req.Scopes, err = selectionOf(in.Body.RequiredSecrets, in.Body.TargetScopes); err != nil {
		return nil, err
	}
	found, err := s.Service.Bind(a.project).Validate(ctx, req)
	if err != nil {
		return nil, err
	}
	exchangeOf(ctx).run = found.CorrelationID
	if !a.seesHashes() {
		found = found.WithoutHashes()
	}
	out := &validateOutput{}
	return out, reshape(found, &out.Body)
}

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
