// Package audit is the event and its invariants, and the chain that makes a record of events
// tamper-evident.
//
// Every run yields one sync_all event and one event for each secret and verb. The events of a
// project form one chain: each carries its sequence number, the hash of the one before it, and
// its own hash over its canonical JSON (RFC 8785). Whoever changes, drops, adds or reorders an
// event breaks the chain from there on; whoever rewrites the chain whole changes its head, which
// every run logs.
package audit

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/secret"
)

// An Operation is what an event records.
type Operation string

// The operations of data-model.md.
const (
	Create   Operation = "create"
	Update   Operation = "update"
	Delete   Operation = "delete"
	SyncAll  Operation = "sync_all"
	Validate Operation = "validate"
)

// Operations returns all operations.
func Operations() []Operation { return []Operation{Create, Update, Delete, SyncAll, Validate} }

// A Status says how an event's scopes fared: all well, none, or some.
type Status string

// The statuses of data-model.md.
const (
	Success Status = "success"
	Failure Status = "failure"
	Partial Status = "partial"
)

// Statuses returns all statuses.
func Statuses() []Status { return []Status{Success, Failure, Partial} }

// An Event is one record of the audit trail. SuccessCount + FailureCount is the number of its
// scopes; Status follows from them.
type Event struct {
	ID             uuid.UUID      `json:"id"`
	ProjectID      uuid.UUID      `json:"projectId"`
	ActorID        uuid.UUID      `json:"actorId"`
	Operation      Operation      `json:"operation"`
	SecretName     *string        `json:"secretName"`
	AffectedScopes []secret.Scope `json:"affectedScopes"`
	Status         Status         `json:"status"`
	SuccessCount   int            `json:"successCount"`
	FailureCount   int            `json:"failureCount"`
	ErrorMessage   *string        `json:"errorMessage"`
	CorrelationID  uuid.UUID      `json:"correlationId"`
	DurationMs     int64          `json:"durationMs"`
	Metadata       map[string]any `json:"metadata"`
	CreatedAt      time.Time      `json:"createdAt"`
	Seq            int64          `json:"seq"`
	PrevHash       string         `json:"prevHash"`
	Hash           string         `json:"hash"`
}

// Outcome sets the counts and the status that follows from them: failed says which of the scopes
// went wrong, and why is the message kept when any did.
func (e Event) Outcome(scopes []secret.Scope, failed map[secret.Scope]bool, why string) Event {
	e.AffectedScopes = append([]secret.Scope(nil), scopes...)
	e.SuccessCount, e.FailureCount, e.ErrorMessage = 0, 0, nil
	for _, s := range scopes {
		if failed[s] {
			e.FailureCount++
		} else {
			e.SuccessCount++
		}
	}
	switch {
	case e.FailureCount == 0:
		e.Status = Success
	case e.SuccessCount == 0:
		e.Status = Failure
	default:
		e.Status = Partial
	}
	if e.FailureCount > 0 && why != "" {
		e.ErrorMessage = &why
	}
	return e
}

// Check says which invariant of data-model.md the event breaks, if any.
func (e Event) Check() error {
	switch {
	case !slices.Contains(Operations(), e.Operation):
		return fmt.Errorf("event %s: %q is no operation", e.ID, e.Operation)
	case len(e.AffectedScopes) == 0:
		return fmt.Errorf("event %s names no scope", e.ID)
	case e.SuccessCount < 0 || e.FailureCount < 0 || e.SuccessCount+e.FailureCount != len(e.AffectedScopes):
		return fmt.Errorf("event %s counts %d + %d outcomes for %d scopes", e.ID, e.SuccessCount, e.FailureCount, len(e.AffectedScopes))
	case (e.Status == Success) != (e.FailureCount == 0),
		(e.Status == Failure) != (e.SuccessCount == 0),
		(e.Status == Partial) != (e.SuccessCount > 0 && e.FailureCount > 0):
		return fmt.Errorf("event %s has status %q with %d + %d outcomes", e.ID, e.Status, e.SuccessCount, e.FailureCount)
	case (e.Operation == SyncAll || e.Operation == Validate) != (e.SecretName == nil):
		return fmt.Errorf("event %s: operation %s and a secret's name do not go together", e.ID, e.Operation)
	}
	return nil
}
