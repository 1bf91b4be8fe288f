package store

import (
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
)

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

// latest is the end of the years that both engines keep.
var latest = time.Date(9999, 12, 31, 23, 59, 59, 999_999_000, time.UTC).UnixMicro()

func parseCursor(cursor string) (at time.Time, seq int64, err error) {
	var micros int64
	plain, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		_, err = fmt.Sscanf(string(plain), "%d.%d", &micros, &seq)
	}
	if err != nil || micros < 0 || micros > latest {
		return time.Time{}, 0, fault.Invalid("the cursor is not one that a page of events gave out").
			Hinting("Leave it out to begin with the newest events.")
	}
	return time.UnixMicro(micros), seq, nil
}
