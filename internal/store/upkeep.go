package store

import (
	"context"
	"database/sql"
	"errors"
	"time"
)

const (
	// runsKept is how long a run is kept after its end. Its events say the same for as long.
	runsKept = retention
	// deliveriesKept is how long a delivery is known again. GitHub lets one be sent again for 3 days.
	deliveriesKept = 7 * 24 * time.Hour
	// replicasKept is how long a replica that fell silent is remembered, for people.
	replicasKept = 24 * time.Hour
	// sessionsKept is how long a session is known after its end, for a job that asks again how it went.
	sessionsKept = 24 * time.Hour
	// tokensKept is how much longer than it is valid a token is known again: clocks differ, and so
	// does what is allowed for that.
	tokensKept = time.Hour
	// dispatchesKept is how long dispatches are counted.
	dispatchesKept = 24 * time.Hour
	// pruned bounds the rows of one transaction, so that nobody waits long for a turn to write.
	pruned = 1000
)

// Upkeep does what has to be done now and then, and is harmless when done often or by several
// replicas at once: it makes the partitions to come, purges the events whose time is over, and
// removes runs, idempotency keys, deliveries, replicas, and the relay's sessions, tokens and dispatches
// that nobody asks for any more.
// What goes wrong with one does not keep it from the others.
func (s *Store) Upkeep(ctx context.Context, now time.Time) error {
	now = stamp(now)
	_, purging := s.Purge(ctx, now)
	return errors.Join(
		s.Partitions(ctx, now),
		purging,
		s.prune(ctx, "idempotency_keys", "expires_at <= $1", now),
		s.prune(ctx, "webhook_deliveries", "received_at < $1", now.Add(-deliveriesKept)),
		s.prune(ctx, "replicas", "heartbeat_at < $1", now.Add(-replicasKept)),
		s.prune(ctx, "relay_sessions", "expires_at < $1", now.Add(-sessionsKept)),
		s.prune(ctx, "oidc_tokens_seen", "expires_at < $1", now.Add(-tokensKept)),
		s.prune(ctx, "relay_dispatches", "at < $1", now.Add(-dispatchesKept)),
		s.prune(ctx, "sync_runs", unneededRun, now.Add(-runsKept)),
	)
}

// unneededRun is a run that ended long ago, unless something still speaks of it: a state with an
// intent of it, a status that shows the project's last success, or a schedule that counts from the
// project's last run.
const unneededRun = `finished_at < $1
	AND NOT EXISTS (SELECT 1 FROM secret_scope_states st WHERE st.intent_run = sync_runs.id)
	AND EXISTS (SELECT 1 FROM sync_runs later WHERE later.project_id = sync_runs.project_id AND later.started_at > sync_runs.started_at)
	AND (state NOT IN ('succeeded', 'partial') OR EXISTS (
		SELECT 1 FROM sync_runs later WHERE later.project_id = sync_runs.project_id
			AND later.state IN ('succeeded', 'partial') AND later.finished_at > sync_runs.finished_at))`

// prune removes the rows of a table that a condition names, in portions.
func (s *Store) prune(ctx context.Context, table, condition string, before time.Time) error {
	row := "rowid"
	if s.postgres() {
		row = "ctid"
	}
	for {
		var n int64
		err := s.write(ctx, "upkeep of "+table, func(tx *sql.Tx) (err error) {
			n, err = exec(ctx, tx, "DELETE FROM "+table+" WHERE "+row+" IN (SELECT "+row+" FROM "+table+" WHERE "+condition+" LIMIT $2)", before, pruned)
			return err
		})
		if err != nil || n < pruned {
			return err
		}
	}
}
