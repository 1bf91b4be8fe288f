package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/riverqueue/river"
)

const (
	// keyLife is how long an Idempotency-Key joins the run it was first sent with.
	keyLife = 24 * time.Hour
	maxKey  = 255
)

// StartOptions are what a run is asked to do, and how it is told from others.
type StartOptions struct {
	// IdempotencyKey joins the run that the same user started with it in the same project.
	IdempotencyKey string
	// OptionsHash tells one request from another: 64 hex characters.
	OptionsHash string
	// Args reach the worker as the Args of its job.
	Args json.RawMessage
}

type idempotencyRow struct {
	Project     uuid.UUID `db:"project_id"`
	User        uuid.UUID `db:"user_id"`
	Key         string    `db:"key"`
	Run         uuid.UUID `db:"run_id"`
	OptionsHash string    `db:"options_hash"`
	CreatedAt   time.Time `db:"created_at"`
	ExpiresAt   time.Time `db:"expires_at"`
}

// StartRun stores a queued run together with the SyncJob that will do it, or joins an earlier run
// that does the same: the one of the same idempotency key, or one of the same actor and options
// that nobody has begun yet. A key that came with other options before is REQUEST_INVALID.
//
// The run's ID is made unless given; its state, options and times are set here.
func (s *Store) StartRun(ctx context.Context, now time.Time, r Run, o StartOptions) (run Run, joined bool, err error) {
	if s.queue == nil {
		return Run{}, false, s.noQueue()
	}
	if !hexHash.MatchString(o.OptionsHash) {
		return Run{}, false, fault.Invalid("a run is started with the hash of its options, in 64 hex characters")
	}
	if len(o.IdempotencyKey) > maxKey || clean(o.IdempotencyKey) != o.IdempotencyKey {
		return Run{}, false, fault.Invalid("an Idempotency-Key has at most %d bytes, all of them text", maxKey)
	}
	now = stamp(now)
	if r.ID == uuid.Nil {
		r.ID = uuid.New()
	}
	r.State, r.OptionsHash, r.Args, r.Trigger = Queued, o.OptionsHash, o.Args, either(r.Trigger, Manual)
	r.StartedAt, r.HeartbeatAt, r.UpdatedAt, r.FinishedAt = now, now, now, time.Time{}
	err = s.write(ctx, "start of run "+r.ID.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, r.Project); err != nil {
			return err
		}
		if run, joined, err = joinable(ctx, tx, now, r, o); err != nil {
			return err
		}
		if !joined {
			run = r
			if err := s.queueRun(ctx, tx, r); err != nil {
				return err
			}
		}
		return keepKey(ctx, tx, now, run, r.Actor, o)
	})
	return run, joined, err
}

// joinable finds the run that a request joins. The project is locked, so that of several equal
// requests the first one makes the run and the others find it.
func joinable(ctx context.Context, tx *sql.Tx, now time.Time, r Run, o StartOptions) (Run, bool, error) {
	if o.IdempotencyKey != "" {
		known, found, err := one[idempotencyRow](ctx, tx, "SELECT "+columns[idempotencyRow]("k")+` FROM idempotency_keys k
			WHERE k.project_id = $1 AND k.user_id = $2 AND k.key = $3 AND k.expires_at > $4`, r.Project, r.Actor, o.IdempotencyKey, now)
		switch {
		case err != nil:
			return Run{}, false, err
		case found && known.OptionsHash != o.OptionsHash:
			return Run{}, false, fault.Invalid("this Idempotency-Key came with another request before").
				Hinting("Send another key, or exactly the request that it was first sent with.")
		case found:
			return one[Run](ctx, tx, selectRun+"WHERE r.id = $1", known.Run)
		}
	}
	return one[Run](ctx, tx, selectRun+`
		WHERE r.project_id = $1 AND r.actor_id = $2 AND r.options_hash = $3 AND r.state = 'queued'
		ORDER BY r.started_at LIMIT 1`, r.Project, r.Actor, o.OptionsHash)
}

func (s *Store) queueRun(ctx context.Context, tx *sql.Tx, r Run) error {
	if err := insert(ctx, tx, "sync_runs", "", r); err != nil {
		return err
	}
	opts := river.InsertOpts{MaxAttempts: maxAttempts, Priority: regular}
	if r.Trigger == Manual {
		opts.Priority = urgent
	}
	return s.add(ctx, tx, jobArgs{kind: SyncJob, Project: r.Project, Run: r.ID, Args: r.Args}, opts)
}

// keepKey remembers which run a key joins from now on. One that is remembered stays as it is,
// unless its time is over.
func keepKey(ctx context.Context, tx *sql.Tx, now time.Time, run Run, user uuid.UUID, o StartOptions) error {
	if o.IdempotencyKey == "" {
		return nil
	}
	return insert(ctx, tx, "idempotency_keys", `ON CONFLICT (project_id, user_id, key) DO UPDATE SET
		run_id = excluded.run_id, options_hash = excluded.options_hash, created_at = excluded.created_at, expires_at = excluded.expires_at
		WHERE idempotency_keys.expires_at <= excluded.created_at`, idempotencyRow{
		Project: run.Project, User: user, Key: o.IdempotencyKey, Run: run.ID, OptionsHash: o.OptionsHash,
		CreatedAt: now, ExpiresAt: now.Add(keyLife),
	})
}

// A Progress is how far a run has come.
type Progress struct {
	Total   int // secrets selected
	Synced  int
	Skipped int
	Failed  int
	Writes  int // writing requests sent
}

// RunProgress notes how far a run has come, for those who ask meanwhile. A run that has ended
// keeps its counts.
func (s *Store) RunProgress(ctx context.Context, now time.Time, runID uuid.UUID, p Progress) error {
	return s.write(ctx, "progress of run "+runID.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, `UPDATE sync_runs SET total = $2, synced = $3, skipped = $4, failed = $5, writes = $6, updated_at = $7
			WHERE id = $1 AND finished_at IS NULL`, runID, p.Total, p.Synced, p.Skipped, p.Failed, p.Writes, now)
		return err
	})
}

// giveUp ends a run whose job will not be tried again, and tells of it in the trail: a run that nobody
// finishes is one that happened all the same.
func (s *Store) giveUp(ctx context.Context, now time.Time, runID uuid.UUID, why string) error {
	now = stamp(now)
	return s.write(ctx, "end of run "+runID.String(), func(tx *sql.Tx) error {
		run, found, err := one[Run](ctx, tx, selectRun+"WHERE r.id = $1", runID)
		if err != nil || !found {
			return err
		}
		if err := s.lockProject(ctx, tx, run.Project); fault.Is(err, fault.ProjectNotFound) {
			return nil // archived, which ended its runs
		} else if err != nil {
			return err
		}
		n, err := exec(ctx, tx, `UPDATE sync_runs SET state = $2, finished_at = $3, updated_at = $3, error_code = $4, error_message = $5
			WHERE id = $1 AND state NOT IN ('succeeded', 'partial', 'failed')`, runID, RunFailed, now, fault.Unexpected, why)
		if err != nil || n == 0 {
			return err
		}
		head, err := headOf(ctx, tx, run.Project)
		if err != nil {
			return err
		}
		scopes, err := scopesOf(ctx, tx, run.Project)
		if err != nil {
			return err
		}
		_, err = appendEvents(ctx, tx, now, head.head(), Outcome{
			Project: run.Project, Actor: run.Actor, Run: run, Events: []audit.Event{givenUp(run, now, scopes, why)},
		})
		return err
	})
}

// givenUp is the event of a run that came to no end by itself.
func givenUp(run Run, now time.Time, scopes []secret.Scope, why string) audit.Event {
	failed := make(map[secret.Scope]bool, len(scopes))
	for _, scope := range scopes {
		failed[scope] = true
	}
	e := audit.Event{Operation: audit.SyncAll, Metadata: map[string]any{"trigger": run.Trigger, "writes": run.Writes}}.Outcome(scopes, failed, why)
	e.DurationMs = max(0, now.Sub(run.StartedAt).Milliseconds())
	return e
}

// scopesOf are the scopes that a project's secrets belong in; of one without any, those that a first
// run would write.
func scopesOf(ctx context.Context, tx *sql.Tx, projectID uuid.UUID) ([]secret.Scope, error) {
	mappings, err := mappingsOf(ctx, tx, projectID)
	scopes := []secret.Scope{secret.Actions, secret.Codespaces, secret.Dependabot}
	if len(mappings) > 0 {
		scopes = nil
	}
	for _, m := range mappings {
		scopes = append(scopes, m.TargetScopes...)
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	return slices.Compact(scopes), err
}
