package store

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

// A claim is the lock file of the one process that works on the queue of an SQLite file. Several
// would gain nothing, since one of them writes at a time, and the lock tells what heartbeats tell only
// after their lapse: whoever gets it knows that every other process that worked here is dead.
type claim struct {
	mu      sync.Mutex
	lock    *fileLock
	workers int // calls of Work that count on it
}

// stake takes the claim, unless this store has it. What dead processes left is cleared away then: their
// places among the replicas, and the jobs that they were at. Another process that has the claim is
// errLockHeld; PostgreSQL, memory, and places without locks have no claims, which is no error.
func (s *Store) stake(ctx context.Context, now time.Time) error {
	if s.path == "" || s.reader == s.writer {
		return nil
	}
	s.sole.mu.Lock()
	defer s.sole.mu.Unlock()
	if s.sole.lock != nil {
		return nil
	}
	lock, err := tryLock(s.path + ".work.lock")
	if errors.Is(err, errLockHeld) {
		return err
	}
	if err != nil {
		s.log.DebugContext(ctx, "no lock for the work on the queue; heartbeats have to do", "database", s.name, "cause", err)
		return nil
	}
	if err := s.clearAway(ctx, now); err != nil {
		lock.unlock()
		return err
	}
	s.sole.lock = lock
	return nil
}

func (s *Store) clearAway(ctx context.Context, now time.Time) error {
	err := s.write(ctx, "end of dead replicas", func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "DELETE FROM replicas")
		return err
	})
	if err != nil || s.queue == nil {
		return err
	}
	left, err := s.jobsAtWork(ctx)
	if err != nil {
		return err
	}
	for _, j := range left {
		if err := s.putBack(ctx, now, j); err != nil {
			return err
		}
	}
	return nil
}

// waitForStake takes the claim for a call of Work, as soon as another process lets go of it: one that is
// being replaced takes its grace to end. One that does not end is not joined: each would take the
// other for dead.
func (p *pool) waitForStake(ctx context.Context) error {
	const between = 50 * time.Millisecond
	p.store.sole.mu.Lock()
	p.store.sole.workers++
	p.store.sole.mu.Unlock()
	told := false
	for deadline := time.Now().Add(p.Grace + closing); ; {
		err := p.store.stake(ctx, p.Now())
		switch {
		case !errors.Is(err, errLockHeld):
			return err
		case time.Now().After(deadline):
			return fault.New(fault.StoreUnavailable, fault.Context{
				"reason": p.store.name + ": another process works on it, and an SQLite file is for one", "database": p.store.name,
			}).Hinting("End the other octoseal serve first, or use PostgreSQL, which takes several.")
		}
		if !told {
			told = true
			p.store.log.InfoContext(ctx, "another process works on this database; waiting for it to end", "database", p.store.name)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(between):
		}
	}
}

// endOfWork gives the claim back when no call of Work counts on it any more.
func (s *Store) endOfWork() {
	s.sole.mu.Lock()
	s.sole.workers--
	last := s.sole.workers == 0
	s.sole.mu.Unlock()
	if last {
		s.unstake()
	}
}

// unstake gives the claim back.
func (s *Store) unstake() {
	s.sole.mu.Lock()
	defer s.sole.mu.Unlock()
	if s.sole.lock != nil {
		s.sole.lock.unlock()
		s.sole.lock = nil
	}
}
