package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/rivertype"
)

// A Worker does jobs of one kind. A job may come twice, or beside itself when its first worker
// hangs, so doing it again must be harmless. An error is tried again later, up to 20 times.
type Worker func(ctx context.Context, job Job) error

// A Snooze is the error of a Worker that has to wait, for a rate limit or a lease, and does not
// occupy a place meanwhile: the job comes again at Until, and no attempt is counted.
type Snooze struct{ Until time.Time }

func (s Snooze) Error() string { return "waits until " + s.Until.UTC().Format(time.RFC3339) }

// A Periodic adds a job of a kind every so often, once for all replicas.
type Periodic struct {
	Kind  string
	Every time.Duration // whole seconds, at most a day
}

// WorkConfig says what to work on and how. The zero value of a field means its default.
type WorkConfig struct {
	Workers     map[string]Worker // by kind; required
	Periodic    []Periodic
	Concurrency int           // jobs at once; 10
	Cooldown    time.Duration // between looks into a queue that is not empty; 20 ms
	Grace       time.Duration // for jobs at work when ctx ends, before theirs ends; 20 s
	Replica     uuid.UUID     // who works here; made up
	Host        string        // for people; the machine's name
	Heartbeat   time.Duration // between signs of life; 5 s
	Lapse       time.Duration // without one, until a replica's jobs go to others; 30 s
	Now         func() time.Time
}

func (c WorkConfig) orDefaults() WorkConfig {
	if c.Concurrency <= 0 {
		c.Concurrency = 10
	}
	c.Cooldown = lasting(c.Cooldown, 20*time.Millisecond)
	c.Grace = lasting(c.Grace, 20*time.Second)
	c.Heartbeat = lasting(c.Heartbeat, 5*time.Second)
	c.Lapse = lasting(c.Lapse, Lapse)
	if c.Replica == uuid.Nil {
		c.Replica = uuid.New()
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname() // for people only
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

const (
	// jobTime bounds one attempt. Nothing of ours takes nearly as long; what does hangs.
	jobTime = 30 * time.Minute
	// lookEvery is how often an idle queue is looked into, should the word of a new job be lost.
	lookEvery = time.Second
	// keepDone is how long jobs that are done stay. A periodic one must stay until the next is due.
	keepDone = 25 * time.Hour
	// closing is how much longer than its grace a stop may take: the queue notes what became of
	// its jobs, and tries in vain when the database is gone.
	closing = 5 * time.Second
)

// Work takes jobs and does them until ctx ends; then it lets those at work end in their grace,
// puts back what did not, and returns nil. It goes on when the database goes away and comes back.
//
// A job whose replica gave no sign of life for the lapse is put back by any other, or by the next
// to start. So is a job of this replica that it no longer works on: the word of its end was lost.
func (s *Store) Work(ctx context.Context, cfg WorkConfig) error {
	if s.queue == nil {
		return s.noQueue()
	}
	cfg = cfg.orDefaults()
	p := &pool{WorkConfig: cfg, store: s, ctx: ctx, atWork: map[int64]time.Time{}}
	defer s.endOfWork()
	if err := p.waitForStake(ctx); err != nil {
		return unlessEnded(ctx, err)
	}
	driver, release, err := s.listeningDriver()
	if err != nil {
		return err
	}
	defer release()
	client, err := river.NewClient(driver, p.config())
	if err != nil {
		return fault.Invalid("the queue's workers: %s", err).Because(err)
	}
	if err := s.beat(ctx, cfg.Now(), cfg.Replica, cfg.Host); err != nil {
		return unlessEnded(ctx, err)
	}
	if err := client.Start(ctx); err != nil {
		return unlessEnded(ctx, s.explain(ctx, "start of the queue", err))
	}
	p.keepAlive(ctx)
	select {
	case <-client.Stopped():
	case <-time.After(cfg.Grace + closing):
		s.log.Warn("the queue did not stop in time; what it left will be done again", "replica", cfg.Replica)
	}
	return s.leave(cfg.Replica)
}

// unlessEnded drops an error that came of being told to stop.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// listeningDriver hears of new jobs at once: on PostgreSQL through a connection of its own, beside
// the pool's.
func (s *Store) listeningDriver() (d riverdriver.Driver[*sql.Tx], release func(), err error) {
	if !s.postgres() {
		return s.driver(), func() {}, nil
	}
	cfg, err := pgxpool.ParseConfig(s.conn)
	if err != nil {
		return nil, nil, err // it was parsed before
	}
	cfg.MaxConns, cfg.MinConns = 1, 0
	listeners, err := pgxpool.NewWithConfig(context.Background(), cfg)
	if err != nil {
		return nil, nil, s.unavailable(err)
	}
	return riverdatabasesql.NewWithPgxListener(s.writer, listeners), listeners.Close, nil
}

func (p *pool) config() *river.Config {
	workers := river.NewWorkers()
	for kind, work := range p.Workers {
		river.AddWorkerArgs(workers, jobArgs{kind: kind}, &adapter{pool: p, work: work})
	}
	var periodic []*river.PeriodicJob
	for _, per := range p.Periodic {
		periodic = append(periodic, river.NewPeriodicJob(river.PeriodicInterval(per.Every), func() (river.JobArgs, *river.InsertOpts) {
			// Unique in its period, so that a new leader, who begins to count anew, adds none too many.
			return jobArgs{kind: per.Kind}, &river.InsertOpts{
				MaxAttempts: maxAttempts, Priority: regular, UniqueOpts: river.UniqueOpts{ByPeriod: per.Every},
			}
		}, &river.PeriodicJobOpts{RunOnStart: true}))
	}
	return &river.Config{
		ID:                          p.Replica.String(),
		Logger:                      quiet(p.store.log),
		Workers:                     workers,
		PeriodicJobs:                periodic,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: p.Concurrency}},
		FetchCooldown:               p.Cooldown,
		FetchPollInterval:           max(lookEvery, p.Cooldown),
		JobTimeout:                  jobTime,
		RescueStuckJobsAfter:        2 * jobTime,
		CompletedJobRetentionPeriod: keepDone,
		SoftStopTimeout:             p.Grace,
		RetryPolicy:                 patience{},
	}
}

// An adapter does the queue's jobs with a Worker.
type adapter struct {
	river.WorkerDefaults[jobArgs]
	pool *pool
	work Worker
}

// Work does one job.
func (a *adapter) Work(ctx context.Context, j *river.Job[jobArgs]) error {
	p := a.pool
	p.begin(j.ID)
	defer p.end(j.ID)
	err := a.work(ctx, Job{
		Kind: j.Kind, Project: j.Args.Project, Key: j.Args.Key, At: j.ScheduledAt, Args: j.Args.Args, Run: j.Args.Run, Attempt: j.Attempt,
	})
	var snooze Snooze
	switch {
	case err == nil:
		return nil
	case errors.As(err, &snooze):
		return river.JobSnooze(max(0, snooze.Until.Sub(p.Now())))
	case p.ctx.Err() != nil:
		return river.JobSnooze(0) // we are stopping, so it is not the job's fault
	}
	if j.Attempt >= j.MaxAttempts && j.Args.Run != uuid.Nil {
		why := fmt.Sprintf("given up after %d attempts: %s", j.Attempt, err)
		if ending := p.store.giveUp(ctx, p.Now(), j.Args.Run, why); ending != nil {
			err = errors.Join(err, ending)
		}
	}
	return err
}

// patience waits 1 s before the second attempt, then twice as long each time, up to 2 minutes.
type patience struct{}

// NextRetry is when a job that was refused is tried again.
func (patience) NextRetry(job *rivertype.JobRow) time.Time {
	const longest = 2 * time.Minute
	wait := min(time.Second<<min(len(job.Errors), 10), longest)
	return time.Now().Add(wait/2 + rand.N(wait/2+1))
}

// quiet lets only warnings and errors of the queue through: it tells of each of its steps.
func quiet(log *slog.Logger) *slog.Logger { return slog.New(warnings{log.Handler()}) }

type warnings struct{ slog.Handler }

// Enabled leaves out what is less than a warning.
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs keeps the bound.
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the bound.
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
