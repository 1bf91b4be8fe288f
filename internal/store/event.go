package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
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

// A headRow is both ends of a project's chain: its last event, and the last one purged.
type headRow struct {
	Project    uuid.UUID `db:"project_id"`
	Seq        int64     `db:"seq"`
	Hash       string    `db:"hash"`
	At         time.Time `db:"at"`
	AnchorSeq  int64     `db:"anchor_seq"`
	AnchorHash string    `db:"anchor_hash"`
	AnchorAt   time.Time `db:"anchor_at"`
}

func newHead(projectID uuid.UUID) headRow {
	return headRow{Project: projectID, Hash: audit.Genesis, AnchorHash: audit.Genesis}
}

func headOf(ctx context.Context, q querier, projectID uuid.UUID) (headRow, error) {
	row, found, err := one[headRow](ctx, q, "SELECT "+columns[headRow]("h")+" FROM audit_heads h WHERE h.project_id = $1", projectID)
	if !found {
		row = newHead(projectID)
	}
	return row, err
}

func (h headRow) head() audit.Head   { return headAt(h.Seq, h.Hash, h.At) }
func (h headRow) anchor() audit.Head { return headAt(h.AnchorSeq, h.AnchorHash, h.AnchorAt) }

func headAt(seq int64, hash string, at time.Time) audit.Head {
	if seq == 0 {
		return audit.Head{}
	}
	return audit.Head{Seq: seq, Hash: hash, At: at}
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

// A Filter selects events; a zero field selects all.
type Filter struct {
	Project       uuid.UUID // required
	Operation     audit.Operation
	Status        audit.Status
	Actor         uuid.UUID
	Secret        string
	From          time.Time // inclusive
	To            time.Time // exclusive
	CorrelationID uuid.UUID
	Before        string // the cursor that Events returned
	Limit         int    // 50 unless set, at most 500
}

const (
	defaultPage = 50
	maxPage     = 500
)

// Events returns a page of events, newest first, and the cursor of the next page, which is empty
// on the last.
func (s *Store) Events(ctx context.Context, f Filter) (events []audit.Event, next string, err error) {
	if f.Limit <= 0 {
		f.Limit = defaultPage
	}
	f.Limit = min(f.Limit, maxPage)
	var w where
	w.and("e.project_id = ?", f.Project)
	if err := f.narrow(&w); err != nil {
		return nil, "", err
	}
	limit := w.value(f.Limit + 1) // one more tells whether there is a next page
	rows, err := all[eventRow](ctx, s.reader, selectEvent+w.clause()+" ORDER BY e.created_at DESC, e.seq DESC LIMIT "+limit, w.args...)
	if err != nil {
		return nil, "", s.explain(ctx, "events of project "+f.Project.String(), err)
	}
	if len(rows) > f.Limit {
		rows = rows[:f.Limit]
		next = cursorAfter(rows[f.Limit-1])
	}
	events = make([]audit.Event, len(rows))
	for i, row := range rows {
		events[i] = row.event()
	}
	return events, next, nil
}

// narrow adds the conditions of the filter.
func (f Filter) narrow(w *where) error {
	if f.Operation != "" {
		w.and("e.operation = ?", f.Operation)
	}
	if f.Status != "" {
		w.and("e.status = ?", f.Status)
	}
	if f.Actor != uuid.Nil {
		w.and("e.actor_id = ?", f.Actor)
	}
	if f.Secret != "" {
		w.and("e.secret_name = ?", f.Secret)
	}
	if f.CorrelationID != uuid.Nil {
		w.and("e.correlation_id = ?", f.CorrelationID)
	}
	if !f.From.IsZero() {
		w.and("e.created_at >= ?", f.From)
	}
	if !f.To.IsZero() {
		w.and("e.created_at < ?", f.To)
	}
	if f.Before != "" {
		at, seq, err := parseCursor(f.Before)
		if err != nil {
			return err
		}
		w.and("(e.created_at, e.seq) < (?, ?)", at, seq)
	}
	return nil
}

func cursorAfter(e eventRow) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", e.CreatedAt.UnixMicro(), e.Seq))
}

func parseCursor(cursor string) (at time.Time, seq int64, err error) {
	var micros int64
	plain, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(plain), "%d.%d", &micros, &seq)
	}
	if err != nil {
		return time.Time{}, 0, fault.Invalid("the cursor is not one that a page of events gave out").
			Hinting("Leave it out to begin with the newest events.")
	}
	return time.UnixMicro(micros), seq, nil
}

// Chain returns both ends of a project's chain and the events between them, oldest first. They are
// read in pages as the caller goes, and end where the head was when Chain was called.
func (s *Store) Chain(ctx context.Context, projectID uuid.UUID) (anchor, head audit.Head, events iter.Seq2[audit.Event, error], err error) {
	row, err := headOf(ctx, s.reader, projectID)
	if err != nil {
		return audit.Head{}, audit.Head{}, nil, s.explain(ctx, "chain of project "+projectID.String(), err)
	}
	return row.anchor(), row.head(), func(yield func(audit.Event, error) bool) {
		for after := row.AnchorSeq; after < row.Seq; {
			page, err := all[eventRow](ctx, s.reader, selectEvent+
				"WHERE e.project_id = $1 AND e.seq > $2 AND e.seq <= $3 ORDER BY e.seq LIMIT $4", projectID, after, row.Seq, maxPage)
			if err != nil {
				yield(audit.Event{}, s.explain(ctx, "chain of project "+projectID.String(), err))
				return
			}
			for _, e := range page {
				if !yield(e.event(), nil) {
					return
				}
				after = e.Seq
			}
			if len(page) < maxPage {
				return
			}
		}
	}, nil
}
