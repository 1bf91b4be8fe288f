package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/store"
)

// An Event is data-model.md's SecretSyncEvent, then its place in the project's chain.
type Event struct {
	ID             uuid.UUID       `json:"id" format:"uuid"`
	ProjectID      uuid.UUID       `json:"projectId" format:"uuid"`
	ActorID        uuid.UUID       `json:"actorId" format:"uuid" doc:"Who set it off: a user, or one of the system's."`
	Operation      audit.Operation `json:"operation" enum:"create,update,delete,sync_all,validate"`
	SecretName     *string         `json:"secretName" doc:"null for sync_all and validate."`
	AffectedScopes []string        `json:"affectedScopes" nullable:"false"`
	Status         audit.Status    `json:"status" enum:"success,failure,partial"`
	SuccessCount   int             `json:"successCount" minimum:"0" doc:"Scopes that fared well."`
	FailureCount   int             `json:"failureCount" minimum:"0" doc:"Scopes that did not."`
	ErrorMessage   *string         `json:"errorMessage"`
	CorrelationID  uuid.UUID       `json:"correlationId" format:"uuid"`
	DurationMs     int64           `json:"durationMs" minimum:"0" doc:"Milliseconds."`
	Metadata       map[string]any  `json:"metadata"`
	CreatedAt      time.Time       `json:"createdAt"`
	Seq            int64           `json:"seq" minimum:"1" doc:"Its number in the project's chain."`
	PrevHash       string          `json:"prevHash" doc:"Of the event before it."`
	Hash           string          `json:"hash" doc:"SHA-256 over its canonical JSON (RFC 8785), 64 hex characters."`
}

type listHistoryInput struct {
	OfProject
	Operation     audit.Operation `query:"operation" enum:"create,update,delete,sync_all,validate"`
	Status        audit.Status    `query:"status" enum:"success,failure,partial"`
	Actor         uuid.UUID       `query:"actor" format:"uuid" doc:"A user's id."`
	Secret        string          `query:"secret" pattern:"^[A-Z][A-Z0-9_]*$" maxLength:"100" doc:"A secret's name."`
	From          time.Time       `query:"from" doc:"RFC 3339, inclusive."`
	To            time.Time       `query:"to" doc:"RFC 3339, exclusive."`
	CorrelationID uuid.UUID       `query:"correlationId" format:"uuid" doc:"A run's or a validation's."`
	Page
}

// A Page is the part of a request that says where a listing goes on.
type Page struct {
	Cursor string `query:"cursor" maxLength:"500" pattern:"^[A-Za-z0-9_-]*$" doc:"nextCursor of the page before; left out: the first page."`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"50" doc:"Entries in a page."`
}

type listHistoryOutput struct {
	Body struct {
		Events     []Event `json:"events" nullable:"false"`
		NextCursor *string `json:"nextCursor" doc:"null on the last page."`
	}
}

func (s *server) listHistory(ctx context.Context, a access, in *listHistoryInput) (*listHistoryOutput, error) {
	events, next, err := s.Service.Bind(a.project).Events(ctx, store.Filter{
		Operation: in.Operation, Status: in.Status, Actor: in.Actor, Secret: in.Secret, From: in.From, To: in.To,
		CorrelationID: in.CorrelationID, Before: in.Cursor, Limit: in.Limit,
	})
	if err != nil {
		return nil, err
	}
	out := &listHistoryOutput{}
	out.Body.NextCursor = cursor(next)
	out.Body.Events = make([]Event, len(events))
	return out, reshape(events, &out.Body.Events)
}

// cursor is null where there is no next page, so that nobody compares with an empty text.
func cursor(next string) *string {
	if next == "" {
		return nil
	}
	return &next
}
