package store

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Lapse is how long a replica counts as live after its last heartbeat.
const Lapse = 30 * time.Second

// beatEvery bounds how often a replica writes that it lives, however often it is asked to.
const beatEvery = 4 * time.Second

type replicaRow struct {
	ID          uuid.UUID `db:"id"`
	Name        string    `db:"name"` // the host, for people
	StartedAt   time.Time `db:"started_at"`
	HeartbeatAt time.Time `db:"heartbeat_at"`
}

// Beat notes that a replica lives, and answers how many do and which of them it is, from 0. All
// replicas agree on that order as long as none comes or goes. One that died counts until its lapse;
// with SQLite it is known to be dead.
func (s *Store) Beat(ctx context.Context, now time.Time, replica uuid.UUID, host string) (live, index int, err error) {
	now = stamp(now)
	if err := s.stake(ctx, now); err != nil && !errors.Is(err, errLockHeld) {
		return 0, 0, err
	}
	rows, err := all[beating](ctx, s.reader, "SELECT "+columns[beating]("r")+" FROM replicas r WHERE r.heartbeat_at > $1", now.Add(-Lapse))
	if err != nil {
		return 0, 0, s.explain(ctx, "replicas", err)
	}
	own := slices.IndexFunc(rows, func(b beating) bool { return b.Replica == replica })
	if own < 0 || now.Sub(rows[own].At) >= beatEvery {
		if err := s.beat(ctx, now, replica, host); err != nil {
			return 0, 0, err
		}
	}
	if own < 0 {
		rows = append(rows, beating{Replica: replica})
	}
	slices.SortFunc(rows, func(a, b beating) int { return strings.Compare(a.Replica.String(), b.Replica.String()) })
	return len(rows), slices.IndexFunc(rows, func(b beating) bool { return b.Replica == replica }), nil
}

func (s *Store) beat(ctx context.Context, now time.Time, replica uuid.UUID, host string) error {
	return s.write(ctx, "heartbeat of replica "+replica.String(), func(tx *sql.Tx) error {
		return insert(ctx, tx, "replicas", "ON CONFLICT (id) DO UPDATE SET name = excluded.name, heartbeat_at = excluded.heartbeat_at",
			replicaRow{ID: replica, Name: host, StartedAt: now, HeartbeatAt: now})
	})
}

// leave takes a replica that stopped off the list, so that the others share its limits at once. A
// database that is gone hears nothing, and the heartbeat lapses instead.
func (s *Store) leave(replica uuid.UUID) error {
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	err := s.write(ctx, "end of replica "+replica.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "DELETE FROM replicas WHERE id = $1", replica)
		return err
	})
	if err != nil {
		s.log.Warn("replica not signed off", "replica", replica, "error", err)
	}
	return nil
}
