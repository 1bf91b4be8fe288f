package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverdatabasesql"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
)

// SyncJob is the kind of the jobs that StartRun makes.
const SyncJob = "sync"

// A Job is work that waits in the database until a worker of some replica takes it. It is done at
// least once: a worker that dies at it leaves it to another.
type Job struct {
	Kind    string
	Project uuid.UUID // may be uuid.Nil
	// Key, unless empty, keeps jobs of one kind apart: as long as one of them waits, another with
	// its key is not added. A job at work waits no longer, since it may have looked already.
	Key string
	// At is when the job may begin; at once unless set.
	At   time.Time
	Args json.RawMessage

	// What follows is set for the worker.
	Run     uuid.UUID // of a SyncJob
	Attempt int       // 1 the first time; a snooze does not count
}

// jobArgs is a job as the queue's table keeps it.
type jobArgs struct {
	kind    string
	Project uuid.UUID       `json:"project"`
	Key     string          `json:"key,omitempty"`
	Run     uuid.UUID       `json:"run"`
	Args    json.RawMessage `json:"args,omitempty"`
}

// Kind is what the queue calls the job.
func (a jobArgs) Kind() string { return a.kind }

// maxAttempts bounds how often a job is tried that fails or takes its process with it.
const maxAttempts = 20

// The queue works on what is most urgent first.
const (
	urgent  = 1 // someone waits
	regular = 2
)

// queueLock keeps replicas from migrating the queue's tables at once.
const queueLock = 0x6f63746f71756575

// driver is what the queue's client speaks to the database through.
func (s *Store) driver() riverdriver.Driver[*sql.Tx] {
	if s.postgres() {
		return riverdatabasesql.New(s.writer)
	}
	return riversqlite.New(s.writer)
}

// openQueue brings the queue's tables up to date and makes the client that adds jobs.
func (s *Store) openQueue(ctx context.Context) error {
	migrator, err := rivermigrate.New(s.driver(), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	versions := migrator.AllVersions()
	s.queueVersion = int64(versions[len(versions)-1].Version)
	version, err := s.versionOfQueue(ctx)
	if err != nil {
		return s.explain(ctx, "read the queue's version of "+s.name, err)
	}
	if version > s.queueVersion {
		return s.unusableVersion("its queue", version, s.queueVersion, "Use the newer octoseal, or name another place with --database.")
	}
	if version < s.queueVersion {
		if err := s.migrateQueue(ctx, migrator); err != nil {
			return err
		}
	}
	s.queue, err = river.NewClient(s.driver(), &river.Config{Logger: quiet(s.log)})
	return err
}

func (s *Store) versionOfQueue(ctx context.Context) (int64, error) {
	known, err := number(ctx, s.reader, s.dialect.hasTable, "river_migration")
	if err != nil || known == 0 {
		return 0, err
	}
	// There is one line of migrations here, and while another replica is migrating, the column that
	// tells lines apart may not be there yet.
	return number(ctx, s.reader, "SELECT max(version) AS n FROM river_migration")
}

// migrateQueue lets one replica migrate while the others wait. PostgreSQL refuses to use a state in
// the transaction that added it, so there each step has its own, under a lock that a connection
// holds which is neither of the pool nor lasts longer. SQLite does all in one.
func (s *Store) migrateQueue(ctx context.Context, migrator *rivermigrate.Migrator[*sql.Tx]) error {
	doing := "migrate the queue of " + s.name
	if s.postgres() {
		conn, err := pgx.Connect(ctx, s.conn)
		if err != nil {
			return s.explain(ctx, doing, err)
		}
		defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
		if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(queueLock)); err != nil {
			return s.explain(ctx, doing, err)
		}
		if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
			return s.explain(ctx, doing, err)
		}
	}
	err := s.write(ctx, doing, func(tx *sql.Tx) error {
		if !s.postgres() {
			//nolint:staticcheck // what cannot be batched is PostgreSQL's enum; SQLite has none
			if _, err := migrator.MigrateTx(ctx, tx, rivermigrate.DirectionUp, nil); err != nil {
				return err
			}
		}
		// Ours: it finds the job that waits with a key.
		_, err := exec(ctx, tx, "CREATE INDEX IF NOT EXISTS idx_river_job_waiting ON river_job (kind, (args ->> 'key')) WHERE "+waiting)
		return err
	})
	if err == nil {
		s.log.InfoContext(ctx, "queue migrated", "database", s.name, "version", s.queueVersion)
	}
	return err
}

// waiting is the condition of a job that nobody has begun, or whose next attempt is to come.
const waiting = "state IN ('available', 'pending', 'retryable', 'scheduled')"

// Enqueue adds a job, unless one of its kind and key waits already. Its time counts from now.
func (s *Store) Enqueue(ctx context.Context, now time.Time, j Job) error {
	if s.queue == nil {
		return s.noQueue()
	}
	return s.write(ctx, "job "+j.Kind, func(tx *sql.Tx) error {
		if j.Key != "" {
			if s.postgres() {
				if _, err := exec(ctx, tx, "SELECT pg_advisory_xact_lock(hashtextextended($1, $2))", j.Kind+" "+j.Key, int64(queueLock)); err != nil {
					return err
				}
			}
			n, err := number(ctx, tx, "SELECT count(*) AS n FROM river_job WHERE kind = $1 AND args ->> 'key' = $2 AND "+waiting, j.Kind, clean(j.Key))
			if err != nil || n > 0 {
				return err
			}
		}
		opts := river.InsertOpts{MaxAttempts: maxAttempts, Priority: regular}
		if j.At.After(now) {
			opts.ScheduledAt = time.Now().Add(j.At.Sub(now))
		}
		return s.add(ctx, tx, jobArgs{kind: j.Kind, Project: j.Project, Key: clean(j.Key), Args: j.Args}, opts)
	})
}

// noQueue is the fault of asking for work where the queue was not opened.
func (s *Store) noQueue() error { return fault.Invalid("%s was opened without its queue", s.name) }

func (s *Store) add(ctx context.Context, tx *sql.Tx, a jobArgs, opts river.InsertOpts) error {
	_, err := s.queue.InsertTx(ctx, tx, a, &opts)
	return err
}

// A Depth is how much waits in the queue.
type Depth struct {
	Waiting int // could begin now
	Later   int // scheduled, snoozed, or to be tried again
	Running int
}

// QueueDepth counts the jobs that are not done.
func (s *Store) QueueDepth(ctx context.Context) (Depth, error) {
	counts, err := all[struct {
		State string `db:"state"`
		N     int    `db:"n"`
	}](ctx, s.reader, `SELECT CAST(state AS text) AS state, count(*) AS n FROM river_job
		WHERE state IN ('available', 'pending', 'retryable', 'scheduled', 'running') GROUP BY state`)
	var d Depth
	for _, c := range counts {
		switch c.State {
		case "available":
			d.Waiting += c.N
		case "running":
			d.Running += c.N
		default:
			d.Later += c.N
		}
	}
	return d, s.explain(ctx, "depth of the queue", err)
}

// Ready says whether the store can do its work: the database answers, and its tables and the
// queue's are those that this program knows.
func (s *Store) Ready(ctx context.Context) error {
	version, err := s.version(ctx)
	if err != nil {
		return s.explain(ctx, "readiness", err)
	}
	if version != schemaVersion {
		return s.unusableVersion("its schema", version, schemaVersion, "Run octoseal migrate, then start octoseal again.")
	}
	if s.queue == nil {
		return fault.New(fault.StoreUnavailable, fault.Context{"reason": s.name + ": it was opened without its queue", "database": s.name})
	}
	if version, err = s.versionOfQueue(ctx); err != nil {
		return s.explain(ctx, "readiness", err)
	}
	if version != s.queueVersion {
		return s.unusableVersion("its queue", version, s.queueVersion, "Run octoseal migrate, then start octoseal again.")
	}
	return nil
}
