package store

import (
	"context"
	"database/sql"
	"sync"
	"time"

	"github.com/google/uuid"
)

// A pool is what Work works with.
type pool struct {
	WorkConfig
	store *Store
	ctx   context.Context // ends when the pool is to stop

	mu     sync.Mutex
	atWork map[int64]time.Time // jobs at work, and when one ended that lately was
}

func (p *pool) begin(job int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.atWork[job] = time.Time{}
}

func (p *pool) end(job int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.atWork[job] = time.Now()
}

// mine says whether a job is at work here. One that just ended is for a while: its end is noted in
// the database a little later.
func (p *pool) mine(job int64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	ended, known := p.atWork[job]
	return known && (ended.IsZero() || time.Since(ended) < p.Lapse)
}

// forget drops the jobs that ended long ago.
func (p *pool) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for job, ended := range p.atWork {
		if !ended.IsZero() && time.Since(ended) >= p.Lapse {
			delete(p.atWork, job)
		}
	}
}

// keepAlive beats for this replica and looks after the jobs of others until ctx ends. What the
// database does not answer is asked again with the next beat.
func (p *pool) keepAlive(ctx context.Context) {
	tick := time.NewTicker(p.Heartbeat)
	defer tick.Stop()
	w := watch{lapse: p.Lapse}
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if err := p.store.beat(ctx, p.Now(), p.Replica, p.Host); err != nil {
			p.store.log.WarnContext(ctx, "no heartbeat", "replica", p.Replica, "error", err)
			continue
		}
		if err := p.rescue(ctx, &w); err != nil {
			p.store.log.WarnContext(ctx, "jobs of dead replicas not looked for", "error", err)
		}
		p.forget()
	}
}

// A runningJob is a job that, as far as the database knows, someone works on.
type runningJob struct {
	ID      int64     `db:"id"`
	Worker  string    `db:"worker"`
	Attempt int       `db:"attempt"`
	Max     int       `db:"max_attempts"`
	Run     uuid.UUID `db:"run"`
}

// A beating is the last heartbeat of a replica.
type beating struct {
	Replica uuid.UUID `db:"id"`
	At      time.Time `db:"heartbeat_at"`
}

// rescue puts back the jobs whose worker is dead.
func (p *pool) rescue(ctx context.Context, w *watch) error {
	jobs, err := p.store.jobsAtWork(ctx)
	if err != nil {
		return err
	}
	beats, err := all[beating](ctx, p.store.reader, "SELECT "+columns[beating]("r")+" FROM replicas r")
	if err != nil {
		return p.store.explain(ctx, "replicas", err)
	}
	for i, j := range jobs {
		if j.Worker == p.Replica.String() && p.mine(j.ID) {
			jobs[i].Worker = ""
		}
	}
	for _, j := range w.look(time.Now(), p.Replica.String(), jobs, beats) {
		if err := p.store.putBack(ctx, p.Now(), j); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) jobsAtWork(ctx context.Context) ([]runningJob, error) {
	jobs, err := all[runningJob](ctx, s.reader, "SELECT id, "+s.dialect.lastWorker+` AS worker, attempt, max_attempts,
		args ->> 'run' AS run FROM river_job WHERE state = 'running'`)
	return jobs, s.explain(ctx, "jobs at work", err)
}

// putBack makes a job available again, unless someone else did so first. One that has taken so
// many processes with it is given up, and its run with it.
func (s *Store) putBack(ctx context.Context, now time.Time, j runningJob) error {
	set, gone := "state = 'available'", j.Attempt >= j.Max
	if gone {
		set = "state = 'discarded', finalized_at = CURRENT_TIMESTAMP" // the queue's own clock
	}
	var n int64
	err := s.write(ctx, "rescue", func(tx *sql.Tx) (err error) {
		n, err = exec(ctx, tx, "UPDATE river_job SET "+set+" WHERE id = $1 AND state = 'running' AND attempt = $2 AND "+s.dialect.lastWorker+" = $3",
			j.ID, j.Attempt, j.Worker)
		return err
	})
	if err != nil || n == 0 {
		return err
	}
	s.log.WarnContext(ctx, "job put back: its worker is gone", "job", j.ID, "worker", j.Worker, "attempt", j.Attempt, "given_up", gone)
	if gone && j.Run != uuid.Nil {
		return s.giveUp(ctx, now, j.Run, "given up: its process died again and again")
	}
	return nil
}

// A watch tells which workers are dead. It compares their heartbeats with their own earlier ones,
// never with a clock: those of two machines differ.
type watch struct {
	lapse  time.Duration
	looked time.Time
	beats  map[string]time.Time
	sign   map[attempt]time.Time // of life, by our clock
}

// An attempt is one time that a job is tried.
type attempt struct {
	job int64
	n   int
}

// look returns the jobs whose workers gave no sign of life for the lapse. A job without a worker
// is in good hands; a job of me is not, since I know better.
func (w *watch) look(at time.Time, me string, jobs []runningJob, beats []beating) (dead []runningJob) {
	// After a pause in which nobody could beat, everyone gets the time to.
	fresh := at.Sub(w.looked) >= w.lapse/2
	before, signs := w.beats, make(map[attempt]time.Time, len(jobs))
	w.beats = make(map[string]time.Time, len(beats))
	moved := map[string]bool{"": true}
	for _, b := range beats {
		id := b.Replica.String()
		w.beats[id] = b.At
		moved[id] = id != me && !before[id].Equal(b.At)
	}
	for _, j := range jobs {
		key := attempt{j.ID, j.Attempt}
		sign, known := w.sign[key]
		if fresh || !known || moved[j.Worker] {
			sign = at
		}
		signs[key] = sign
		if at.Sub(sign) >= w.lapse {
			dead = append(dead, j)
		}
	}
	w.looked, w.sign = at, signs
	return dead
}
