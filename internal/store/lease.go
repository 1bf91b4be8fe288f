package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
)

// LeaseTimes are the times of a lease. A zero one is the default.
type LeaseTimes struct {
	Heartbeat time.Duration // how often the holder is to beat; 5 s
	Lapse     time.Duration // how long after a beat the holder may still write; 30 s
	Grace     time.Duration // how much longer others wait, for what was sent to arrive; 10 s
}

func (t LeaseTimes) orDefaults() LeaseTimes {
	return LeaseTimes{
		Heartbeat: lasting(t.Heartbeat, 5*time.Second),
		Lapse:     lasting(t.Lapse, 30*time.Second),
		Grace:     lasting(t.Grace, 10*time.Second),
	}
}

// lasting is d, or what it is unless set, and no shorter than what the database keeps.
func lasting(d, unlessSet time.Duration) time.Duration {
	if d <= 0 {
		return unlessSet
	}
	return max(d, time.Millisecond)
}

// A LeaseRequest says who wants the lease of which project.
type LeaseRequest struct {
	Project uuid.UUID
	Run     uuid.UUID
	Holder  string // for people: host and process
	Times   LeaseTimes
}

type leaseRow struct {
	Project     uuid.UUID     `db:"project_id"`
	ID          uuid.UUID     `db:"lease_id"`
	Run         uuid.UUID     `db:"run_id"`
	Holder      string        `db:"holder"`
	Locked      bool          `db:"locked"`
	AcquiredAt  time.Time     `db:"acquired_at"`
	HeartbeatAt time.Time     `db:"heartbeat_at"`
	Lapse       time.Duration `db:"lapse_ms"`
	Grace       time.Duration `db:"grace_ms"`
}

// A Lease is the right to write a project's secrets, of one run at a time. Its methods may be
// called from several goroutines.
type Lease struct {
	Project uuid.UUID
	Run     uuid.UUID
	Times   LeaseTimes

	store *Store
	id    uuid.UUID
	lock  *fileLock // nil where there is none to have

	mu   sync.Mutex
	beat time.Time // of the last heartbeat
	lost bool
}

// Acquire takes the lease of a project, or answers *ErrLeaseHeld at once.
//
// A lease that is not beaten any more can be taken over once its lapse and grace have passed. In a
// directory with an SQLite file its holder also holds a lock file; when that lock is free the
// holder is dead, and only the grace has to pass. A holder that could not have the lock (its
// predecessor hangs and still has it) is judged by its heartbeat alone.
func (s *Store) Acquire(ctx context.Context, now time.Time, r LeaseRequest) (*Lease, error) {
	l := &Lease{Project: r.Project, Run: r.Run, Times: r.Times.orDefaults(), store: s, id: uuid.New(), beat: now}
	if s.path != "" {
		// Any answer but a lock means judging by heartbeats alone.
		l.lock, _ = tryLock(s.path + "." + r.Project.String() + ".lock")
	}
	err := s.write(ctx, "lease of project "+r.Project.String(), func(tx *sql.Tx) error {
		return l.take(ctx, tx, stamp(now), r.Holder)
	})
	if err != nil {
		l.unlock()
		return nil, err
	}
	return l, nil
}

func (l *Lease) take(ctx context.Context, tx *sql.Tx, now time.Time, holder string) error {
	if err := l.store.lockProject(ctx, tx, l.Project); err != nil {
		return err
	}
	held, found, err := leaseOf(ctx, tx, l.Project)
	if err != nil {
		return err
	}
	if found {
		dead := held.Locked && l.lock != nil
		freeAt := held.HeartbeatAt.Add(held.Grace)
		if !dead {
			freeAt = freeAt.Add(held.Lapse)
		}
		if now.Before(freeAt) {
			return &ErrLeaseHeld{
				Project: l.Project, Run: held.Run, Holder: held.Holder, HeartbeatAt: held.HeartbeatAt, FreeAt: freeAt, Dead: dead,
			}
		}
		if err := takeOver(ctx, tx, now, held, l.Run); err != nil {
			return err
		}
	}
	return insert(ctx, tx, "run_leases", "", leaseRow{
		Project: l.Project, ID: l.id, Run: l.Run, Holder: holder, Locked: l.lock != nil,
		AcquiredAt: now, HeartbeatAt: now, Lapse: l.Times.Lapse, Grace: l.Times.Grace,
	})
}

// takeOver ends a lease that lapsed, and notes that its run was abandoned.
func takeOver(ctx context.Context, tx *sql.Tx, now time.Time, held leaseRow, run uuid.UUID) error {
	if _, err := exec(ctx, tx, "DELETE FROM run_leases WHERE project_id = $1", held.Project); err != nil {
		return err
	}
	if held.Run == run {
		return nil // the same run, begun again
	}
	_, err := exec(ctx, tx, `UPDATE sync_runs SET state = $2, finished_at = $3, updated_at = $3, error_message = $4
		WHERE id = $1 AND state = $5`,
		held.Run, Abandoned, now, fmt.Sprintf("its process ended without a word; run %s went on", run), Running)
	return err
}

func leaseOf(ctx context.Context, tx *sql.Tx, projectID uuid.UUID) (leaseRow, bool, error) {
	return one[leaseRow](ctx, tx, "SELECT "+columns[leaseRow]("l")+" FROM run_leases l WHERE l.project_id = $1", projectID)
}

// Heartbeat keeps the lease: now is this machine's clock, githubNow GitHub's, as far as known. It
// answers ErrLeaseLost when another run has taken the lease.
func (l *Lease) Heartbeat(ctx context.Context, now, githubNow time.Time) error {
	err := l.store.write(ctx, "heartbeat of run "+l.Run.String(), func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, `UPDATE run_leases
			SET heartbeat_at = CASE WHEN heartbeat_at < $3 THEN $3 ELSE heartbeat_at END
			WHERE project_id = $1 AND lease_id = $2`, l.Project, l.id, now)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrLeaseLost
		}
		if err := beat(ctx, tx, l.Project, l.Run, now, githubNow); !errors.Is(err, ErrRunFinished) {
			return err
		}
		return nil // the run's row is not there yet, or says its end already
	})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, ErrLeaseLost):
		l.lost = true
	case err == nil && now.After(l.beat):
		l.beat = now
	}
	return err
}

// Check says, from memory alone, whether the lease is ours at now: no one has taken it as far as
// we know, and no one may take it before the writes that begin now are through. Otherwise it
// answers ErrLeaseLost.
func (l *Lease) Check(now time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	end := l.beat.Add(l.Times.Lapse)
	// Without its monotonic part a time says how long the machine slept; with it, how long it was
	// awake when someone set its clock back. Whichever is later is believed.
	if l.lost || !now.Before(end) || !now.Round(0).Before(end.Round(0)) {
		return ErrLeaseLost
	}
	return nil
}

// Release gives the lease back. It does so even when ctx has ended, since a run that was
// interrupted should not keep the next one waiting; and it may be called more than once.
func (l *Lease) Release(ctx context.Context) error {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	// First the row, then the lock: a free lock with a row means a dead holder.
	defer l.unlock()
	return l.store.write(ctx, "release of run "+l.Run.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "DELETE FROM run_leases WHERE project_id = $1 AND lease_id = $2", l.Project, l.id)
		return err
	})
}

func (l *Lease) unlock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lost = true
	if l.lock != nil {
		l.lock.unlock()
		l.lock = nil
	}
}

// stillHeld asks the database whether the lease is ours.
func (l *Lease) stillHeld(ctx context.Context, tx *sql.Tx) error {
	held, found, err := leaseOf(ctx, tx, l.Project)
	if err == nil && (!found || held.ID != l.id) {
		err = ErrLeaseLost
	}
	return err
}

// notAnothers answers ErrLeaseLost when another run than this one holds the project's lease. No
// lease at all is no objection: not everything that is recorded was written to GitHub.
func (s *Store) notAnothers(ctx context.Context, tx *sql.Tx, projectID, run uuid.UUID) error {
	held, found, err := leaseOf(ctx, tx, projectID)
	if err == nil && found && held.Run != run {
		err = ErrLeaseLost
	}
	return err
}
