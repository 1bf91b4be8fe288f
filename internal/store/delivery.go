package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

const (
	maxDelivery = 100 // the lengths of the columns
	maxEvent    = 60
	// unfinished is how long a delivery that nobody finished keeps another try of it out. What
	// takes longer died.
	unfinished = time.Minute
)

// RememberDelivery notes a webhook delivery by GitHub's id and says whether it is new. One that
// was handled is not; one whose handling failed, or began and never ended, is.
func (s *Store) RememberDelivery(ctx context.Context, now time.Time, guid, event string) (fresh bool, err error) {
	if guid == "" || len(guid) > maxDelivery || len(event) > maxEvent {
		return false, fault.Invalid("a delivery has an id of at most %d bytes and an event of at most %d", maxDelivery, maxEvent)
	}
	err = s.write(ctx, "delivery "+guid, func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, `INSERT INTO webhook_deliveries (id, event, received_at) VALUES ($1, $2, $3)
			ON CONFLICT (id) DO UPDATE SET received_at = excluded.received_at
			WHERE webhook_deliveries.handled_at IS NULL AND webhook_deliveries.received_at <= $4`, guid, event, now, now.Add(-unfinished))
		fresh = n > 0
		return err
	})
	return fresh, err
}

// FinishDelivery notes how the handling of a delivery ended. One that failed is forgotten, so that
// GitHub's next try passes.
func (s *Store) FinishDelivery(ctx context.Context, now time.Time, guid string, ok bool) error {
	return s.write(ctx, "delivery "+guid, func(tx *sql.Tx) (err error) {
		if ok {
			_, err = exec(ctx, tx, "UPDATE webhook_deliveries SET handled_at = $2 WHERE id = $1", guid, now)
		} else {
			_, err = exec(ctx, tx, "DELETE FROM webhook_deliveries WHERE id = $1", guid)
		}
		return err
	})
}
