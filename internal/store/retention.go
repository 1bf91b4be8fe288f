package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
)

const (
	// retention is how long an event is kept at least. Only whole months go, so the oldest events
	// are up to a month older.
	retention = 90 * 24 * time.Hour
	// monthsAhead is how many months have their partition before they begin. Should nothing run
	// for so long, the default partition takes the events.
	monthsAhead = 3
	// upkeepLock keeps replicas from making or dropping the same partition at once.
	upkeepLock = 0x6f63746f75706b70
)

const monthLayout = "2006-01"

func monthOf(t time.Time) time.Time {
	t = t.UTC()
	return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
}

// partitionNames lists the partitions. By bytes, those of the months sort by time, and the default
// one after them.
const partitionNames = `SELECT c.relname::text COLLATE "C" AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
	WHERE i.inhparent = 'secret_sync_events'::regclass`

func partitionOf(month time.Time) string { return "secret_sync_events_" + month.Format("2006_01") }

// Partitions makes the monthly partitions of the events, for now's month and the next three. Any
// number of replicas may do so at once. SQLite keeps all events in one table.
func (s *Store) Partitions(ctx context.Context, now time.Time) error {
	if !s.postgres() {
		return nil
	}
	first := monthOf(now)
	there, err := number(ctx, s.reader, "SELECT count(*) AS n FROM ("+partitionNames+") AS p WHERE p.name >= $1 AND p.name <= $2",
		partitionOf(first), partitionOf(first.AddDate(0, monthsAhead, 0)))
	if err != nil {
		return s.explain(ctx, "partitions", err)
	}
	if there == monthsAhead+1 {
		return nil
	}
	return s.write(ctx, "partitions", func(tx *sql.Tx) error {
		if _, err := exec(ctx, tx, "SELECT pg_advisory_xact_lock($1)", int64(upkeepLock)); err != nil {
			return err
		}
		for n := range monthsAhead + 1 {
			if err := s.makePartition(ctx, tx, first.AddDate(0, n, 0)); err != nil {
				return err
			}
		}
		return nil
	})
}

// makePartition leaves a month alone that has its partition, and one whose events have begun to
// go to the default partition: they cannot be moved, and are found there as well.
func (s *Store) makePartition(ctx context.Context, tx *sql.Tx, month time.Time) error {
	name, end := partitionOf(month), month.AddDate(0, 1, 0)
	taken, err := number(ctx, tx, `SELECT (to_regclass($1) IS NOT NULL OR EXISTS (
		SELECT 1 FROM secret_sync_events_default WHERE created_at >= $2 AND created_at < $3))::int AS n`, name, month, end)
	if err != nil || taken != 0 {
		return err
	}
	for _, statement := range []string{
		fmt.Sprintf("CREATE TABLE %s PARTITION OF secret_sync_events FOR VALUES FROM ('%s') TO ('%s')",
			name, month.Format(time.RFC3339), end.Format(time.RFC3339)),
		// The trigger against UPDATE and DELETE comes with the partition, this one does not.
		fmt.Sprintf("CREATE TRIGGER no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT EXECUTE FUNCTION secret_sync_events_append_only()", name),
	} {
		if _, err := exec(ctx, tx, statement); err != nil {
			return err
		}
	}
	s.log.InfoContext(ctx, "partition made", "name", name)
	return nil
}

// Purge removes the events of all months wholly older than 90 days, and returns how many went.
// The last of each project's chain becomes its anchor, so that the rest still verifies. Archived
// projects go with their last event.
func (s *Store) Purge(ctx context.Context, now time.Time) (int64, error) {
	before := monthOf(now.Add(-retention)) // this month is not wholly older; those before it are
	var purged int64
	err := s.write(ctx, "purge of events before "+before.Format(monthLayout), func(tx *sql.Tx) error {
		if s.postgres() {
			if _, err := exec(ctx, tx, "SELECT pg_advisory_xact_lock($1)", int64(upkeepLock)); err != nil {
				return err
			}
		}
		if err := moveAnchors(ctx, tx, before); err != nil {
			return err
		}
		if err := markPurged(ctx, tx, now, before); err != nil {
			return err
		}
		var err error
		if purged, err = s.dropEvents(ctx, tx, before); err != nil {
			return err
		}
		_, err = exec(ctx, tx, `DELETE FROM projects WHERE archived_at < $1
			AND NOT EXISTS (SELECT 1 FROM secret_sync_events e WHERE e.project_id = projects.id)`, before)
		return err
	})
	if err == nil && purged > 0 {
		s.log.InfoContext(ctx, "events purged", "before", before, "events", purged)
	}
	return purged, err
}

// moveAnchors keeps number and hash of the last event of each project that is about to go. Times
// never go back along a chain, so what goes is its beginning.
func moveAnchors(ctx context.Context, tx *sql.Tx, before time.Time) error {
	last, err := all[struct {
		Project uuid.UUID `db:"project_id"`
		Seq     int64     `db:"seq"`
		Hash    string    `db:"hash"`
		At      time.Time `db:"created_at"`
	}](ctx, tx, `SELECT e.project_id, e.seq, e.hash, e.created_at FROM secret_sync_events e
		JOIN (SELECT project_id, max(seq) AS seq FROM secret_sync_events WHERE created_at < $1 GROUP BY project_id) AS last
			ON last.project_id = e.project_id AND last.seq = e.seq
		WHERE e.created_at < $1`, before)
	if err != nil {
		return err
	}
	for _, e := range last {
		if _, err := exec(ctx, tx, "UPDATE audit_heads SET anchor_seq = $2, anchor_hash = $3, anchor_at = $4 WHERE project_id = $1",
			e.Project, e.Seq, e.Hash, e.At); err != nil {
			return err
		}
	}
	return nil
}

// markPurged notes every month that has events to go: the triggers let only those go.
func markPurged(ctx context.Context, tx *sql.Tx, now, before time.Time) error {
	oldest, found, err := one[struct {
		At time.Time `db:"at"`
	}](ctx, tx, "SELECT min(created_at) AS at FROM secret_sync_events WHERE created_at < $1", before)
	if err != nil || !found || oldest.At.IsZero() {
		return err
	}
	type monthRow struct {
		Month    string    `db:"month"`
		PurgedAt time.Time `db:"purged_at"`
	}
	var months []monthRow
	for month := monthOf(oldest.At); month.Before(before); month = month.AddDate(0, 1, 0) {
		months = append(months, monthRow{month.Format(monthLayout), now})
	}
	return insert(ctx, tx, "purged_months", "ON CONFLICT DO NOTHING", months...)
}

// dropEvents removes the events: partitions whole, the rest by rows.
func (s *Store) dropEvents(ctx context.Context, tx *sql.Tx, before time.Time) (int64, error) {
	if !s.postgres() {
		return exec(ctx, tx, "DELETE FROM secret_sync_events WHERE created_at < $1", before)
	}
	purged, err := number(ctx, tx, "SELECT count(*) AS n FROM secret_sync_events WHERE created_at < $1", before)
	if err != nil {
		return 0, err
	}
	old, err := all[struct {
		Name string `db:"name"`
	}](ctx, tx, "SELECT p.name FROM ("+partitionNames+") AS p WHERE p.name < $1", partitionOf(before))
	if err != nil {
		return 0, err
	}
	for _, partition := range old {
		if _, err := exec(ctx, tx, "DROP TABLE "+partition.Name); err != nil {
			return 0, err
		}
	}
	_, err = exec(ctx, tx, "DELETE FROM secret_sync_events_default WHERE created_at < $1", before)
	return purged, err
}
