package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
)

type eventRow struct {
	ID            uuid.UUID              `db:"id"`
	Project       uuid.UUID              `db:"project_id"`
	Actor         uuid.UUID              `db:"actor_id"`
	Operation     audit.Operation        `db:"operation"`
	SecretName    *string                `db:"secret_name"`
	Scopes        scopeSet               `db:"affected_scopes"`
	Status        audit.Status           `db:"status"`
	SuccessCount  int                    `db:"success_count"`
	FailureCount  int                    `db:"failure_count"`
	ErrorMessage  *string                `db:"error_message"`
	CorrelationID uuid.UUID              `db:"correlation_id"`
	DurationMs    int64                  `db:"duration_ms"`
	Metadata      jsonOf[map[string]any] `db:"metadata"`
	CreatedAt     time.Time              `db:"created_at"`
	Seq           int64                  `db:"seq"`
	PrevHash      string                 `db:"prev_hash"`
	Hash          string                 `db:"hash"`
}

var selectEvent = "SELECT " + columns[eventRow]("e") + " FROM secret_sync_events e "

func rowOf(e audit.Event) eventRow {
	return eventRow{
		ID: e.ID, Project: e.ProjectID, Actor: e.ActorID, Operation: e.Operation, SecretName: e.SecretName,
		Scopes: e.AffectedScopes, Status: e.Status, SuccessCount: e.SuccessCount, FailureCount: e.FailureCount,
		ErrorMessage: e.ErrorMessage, CorrelationID: e.CorrelationID, DurationMs: e.DurationMs,
		Metadata: jsonOf[map[string]any]{e.Metadata}, CreatedAt: e.CreatedAt, Seq: e.Seq, PrevHash: e.PrevHash, Hash: e.Hash,
	}
}

func (r eventRow) event() audit.Event {
	return audit.Event{
		ID: r.ID, ProjectID: r.Project, ActorID: r.Actor, Operation: r.Operation, SecretName: r.SecretName,
		AffectedScopes: r.Scopes, Status: r.Status, SuccessCount: r.SuccessCount, FailureCount: r.FailureCount,
		ErrorMessage: r.ErrorMessage, CorrelationID: r.CorrelationID, DurationMs: r.DurationMs,
		Metadata: r.Metadata.V, CreatedAt: r.CreatedAt, Seq: r.Seq, PrevHash: r.PrevHash, Hash: r.Hash,
	}
}

// appendEvents chains the outcome's events to head and moves it. The project must be locked.
func appendEvents(ctx context.Context, tx *sql.Tx, now time.Time, head audit.Head, o Outcome) (audit.Head, error) {
	if len(o.Events) == 0 {
		return head, nil
	}
	recorded, err := recordedEvents(ctx, tx, o)
	if err != nil {
		return head, err
	}
	var rows []eventRow
	for _, e := range o.Events {
		e = o.complete(now, e)
		if recorded[keyOf(e)] {
			continue
		}
		recorded[keyOf(e)] = true
		if e.Metadata, err = storable(e.Metadata); err != nil {
			return head, fmt.Errorf("event %s: %w", e.ID, err)
		}
		if e, head, err = head.Append(e); err != nil {
			return head, err
		}
		rows = append(rows, rowOf(e))
	}
	if len(rows) == 0 {
		return head, nil
	}
	if err := insert(ctx, tx, "secret_sync_events", "", rows...); err != nil {
		return head, err
	}
	_, err = exec(ctx, tx, "UPDATE audit_heads SET seq = $2, hash = $3, at = $4 WHERE project_id = $1", o.Project, head.Seq, head.Hash, head.At)
	return head, err
}

// complete fills in what an event shares with its outcome.
func (o Outcome) complete(now time.Time, e audit.Event) audit.Event {
	e.ProjectID = o.Project
	if e.ID == uuid.Nil {
		e.ID = uuid.New()
	}
	if e.ActorID == uuid.Nil {
		e.ActorID = o.Actor
	}
	if e.CorrelationID == uuid.Nil {
		e.CorrelationID = o.Run.ID
	}
	if e.CreatedAt.IsZero() {
		e.CreatedAt = now
	}
	if e.ErrorMessage != nil {
		message := clean(*e.ErrorMessage)
		e.ErrorMessage = &message
	}
	return e
}

// An eventKey is what a run has once: one event for each secret and verb, and one for itself.
type eventKey struct {
	correlation uuid.UUID
	operation   audit.Operation
	secret      string
}

func keyOf(e audit.Event) eventKey {
	k := eventKey{correlation: e.CorrelationID, operation: e.Operation}
	if e.SecretName != nil {
		k.secret = *e.SecretName
	}
	return k
}

// recordedEvents says which events the outcome's correlations have already.
func recordedEvents(ctx context.Context, tx *sql.Tx, o Outcome) (map[eventKey]bool, error) {
	seen, out := map[uuid.UUID]bool{}, map[eventKey]bool{}
	for _, e := range o.Events {
		id := o.complete(time.Time{}, e).CorrelationID
		if seen[id] {
			continue
		}
		seen[id] = true
		rows, err := all[eventRow](ctx, tx, selectEvent+"WHERE e.correlation_id = $1 AND e.project_id = $2", id, o.Project)
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			out[keyOf(row.event())] = true
		}
	}
	return out, nil
}

// storable is metadata as it comes back from a database: plain JSON, and no text that PostgreSQL
// refuses. The hash must be made of what is stored.
func storable(metadata map[string]any) (map[string]any, error) {
	if metadata == nil {
		return nil, nil
	}
	raw, err := json.Marshal(metadata)
	if err != nil {
		return nil, err
	}
	var plain map[string]any
	if err := json.Unmarshal(raw, &plain); err != nil {
		return nil, err
	}
	return cleaned(plain).(map[string]any), nil
}

func cleaned(v any) any {
	switch v := v.(type) {
	case string:
		return clean(v)
	case []any:
		for i := range v {
			v[i] = cleaned(v[i])
		}
	case map[string]any:
		out := make(map[string]any, len(v))
		for key, member := range v {
			out[clean(key)] = cleaned(member)
		}
		return out
	}
	return v
}
