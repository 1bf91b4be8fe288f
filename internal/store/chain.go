package store

import (
	"context"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
)

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
