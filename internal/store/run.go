package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// A RunState is how far a run has come.
type RunState string

// The states of a run; the last four are ends.
const (
	Queued    RunState = "queued"
	Running   RunState = "running"
	Waiting   RunState = "waiting" // for a relay job
	Succeeded RunState = "succeeded"
	Partial   RunState = "partial" // some secrets failed or conflict
	RunFailed RunState = "failed"
	Abandoned RunState = "abandoned" // its process died; it may begin again
)

// A Trigger is what set a run off.
type Trigger string

// The triggers.
const (
	Manual    Trigger = "manual"
	Scheduled Trigger = "schedule"
	Polled    Trigger = "poll"
	Hooked    Trigger = "webhook"
	Relayed   Trigger = "relay"
)

// A Run is one synchronisation. A zero time is one not known yet.
type Run struct {
	ID          uuid.UUID       `db:"id"` // the correlation id
	Project     uuid.UUID       `db:"project_id"`
	Actor       uuid.UUID       `db:"actor_id"`
	Trigger     Trigger         `db:"trigger"`
	State       RunState        `db:"state"`
	Credential  string          `db:"credential"` // its name, for WritesSince; never the credential itself
	StartedAt   time.Time       `db:"started_at"`
	FinishedAt  time.Time       `db:"finished_at"`
	HeartbeatAt time.Time       `db:"heartbeat_at"`
	AliveAt     time.Time       `db:"alive_at"` // GitHub's clock at the last heartbeat
	Total       int             `db:"total"`    // secrets selected
	Synced      int             `db:"synced"`
	Skipped     int             `db:"skipped"`
	Failed      int             `db:"failed"` // secrets that failed or conflict
	Writes      int             `db:"writes"` // writing requests sent
	Code        fault.Code      `db:"error_code"`
	Error       string          `db:"error_message"`
	OptionsHash string          `db:"options_hash"` // of what was asked for; empty or 64 hex characters
	Result      json.RawMessage `db:"result"`       // the response, for whoever asks again
	UpdatedAt   time.Time       `db:"updated_at"`

	Args         json.RawMessage `db:"args"`            // what it was asked to do, as StartRun was given it
	DispatchedAt time.Time       `db:"dispatched_at"`   // when a job of the repository was asked for the values
	AskedAt      time.Time       `db:"asked_at"`        // GitHub's clock: no value was read before
	WorkflowRun  int64           `db:"workflow_run_id"` // GitHub's id of that job's run; 0: not known
}

var selectRun = "SELECT " + columns[Run]("r") + " FROM sync_runs r "

// ended says whether nothing more may be recorded for the run.
func (r Run) ended() bool { return r.State == Succeeded || r.State == Partial || r.State == RunFailed }

// BeginRun stores a run that starts, running unless its State says otherwise. A run that was
// interrupted, waited or was abandoned goes on, without the complaint that NoteWaiting left; one
// that has ended answers ErrRunFinished.
func (s *Store) BeginRun(ctx context.Context, r Run) error {
	if r.State == "" {
		r.State = Running
	}
	if r.Trigger == "" {
		r.Trigger = Manual
	}
	r.HeartbeatAt, r.UpdatedAt = r.StartedAt, r.StartedAt
	return s.write(ctx, "run "+r.ID.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, r.Project); err != nil {
			return err
		}
		known, found, err := one[Run](ctx, tx, selectRun+"WHERE r.id = $1"+s.dialect.forUpdate, r.ID)
		switch {
		case err != nil:
			return err
		case !found:
			return insert(ctx, tx, "sync_runs", "", r)
		case known.ended():
			return ErrRunFinished
		case known.Project != r.Project:
			return fault.Invalid("run %s belongs to another project", r.ID)
		}
		_, err = exec(ctx, tx, `UPDATE sync_runs
			SET state = $2, finished_at = NULL, credential = $3, heartbeat_at = $4, updated_at = $4,
				error_code = '', error_message = '', result = NULL WHERE id = $1`,
			r.ID, r.State, r.Credential, r.StartedAt)
		return err
	})
}

// beat notes that a run lives: now is this machine's clock, githubNow GitHub's, which only moves
// forward. It answers ErrRunFinished for one that has ended.
func beat(ctx context.Context, tx *sql.Tx, project, run uuid.UUID, now, githubNow time.Time) error {
	n, err := exec(ctx, tx, `UPDATE sync_runs
		SET heartbeat_at = $3, updated_at = $3,
			alive_at = CASE WHEN alive_at IS NULL OR alive_at < $4 THEN $4 ELSE alive_at END
		WHERE id = $1 AND project_id = $2 AND finished_at IS NULL`, run, project, now, githubNow)
	if err == nil && n == 0 {
		err = ErrRunFinished
	}
	return err
}

// finish stores a run as it ended. What is known of it already and not said again stays.
func finish(ctx context.Context, tx *sql.Tx, now time.Time, known, r Run) error {
	r.HeartbeatAt, r.UpdatedAt = now, now
	if r.StartedAt.IsZero() {
		r.StartedAt = known.StartedAt
	}
	if r.AliveAt.Before(known.AliveAt) {
		r.AliveAt = known.AliveAt
	}
	if r.FinishedAt.IsZero() && (r.ended() || r.State == Abandoned) {
		r.FinishedAt = now
	}
	r.Trigger = either(r.Trigger, known.Trigger, Manual)
	r.Credential = either(r.Credential, known.Credential)
	r.OptionsHash = either(r.OptionsHash, known.OptionsHash)
	if known.ID == uuid.Nil {
		return insert(ctx, tx, "sync_runs", "", r)
	}
	_, err := exec(ctx, tx, `UPDATE sync_runs
		SET state = $2, credential = $3, started_at = $4, finished_at = $5, heartbeat_at = $6, alive_at = $7, total = $8, synced = $9,
			skipped = $10, failed = $11, writes = $12, error_code = $13, error_message = $14, options_hash = $15, result = $16,
			updated_at = $17, trigger = $18
		WHERE id = $1`,
		r.ID, r.State, r.Credential, r.StartedAt, r.FinishedAt, r.HeartbeatAt, r.AliveAt, r.Total, r.Synced,
		r.Skipped, r.Failed, r.Writes, r.Code, r.Error, r.OptionsHash, r.Result, r.UpdatedAt, r.Trigger)
	return err
}

// either returns the first that says something.
func either[T ~string](options ...T) T {
	for _, o := range options {
		if o != "" {
			return o
		}
	}
	return ""
}

// Run returns a run by its correlation id.
func (s *Store) Run(ctx context.Context, correlationID uuid.UUID) (r Run, found bool, err error) {
	r, found, err = one[Run](ctx, s.reader, selectRun+"WHERE r.id = $1", correlationID)
	return r, found, s.explain(ctx, "run "+correlationID.String(), err)
}

// LastRuns returns up to n runs of a project, the newest first.
func (s *Store) LastRuns(ctx context.Context, projectID uuid.UUID, n int) ([]Run, error) {
	runs, err := all[Run](ctx, s.reader, selectRun+"WHERE r.project_id = $1 ORDER BY r.started_at DESC, r.id LIMIT $2", projectID, n)
	return runs, s.explain(ctx, "runs of project "+projectID.String(), err)
}

// WritesSince counts the writing requests of the runs under a credential that were alive at t or
// later. GitHub tells nothing of its limit on writes, so our own count stands in for it; a run
// that began before t counts whole, since too careful is the side to err on.
func (s *Store) WritesSince(ctx context.Context, credential string, t time.Time) (int, error) {
	n, err := number(ctx, s.reader,
		"SELECT sum(writes) AS n FROM sync_runs WHERE credential = $1 AND heartbeat_at >= $2", credential, t)
	return int(n), s.explain(ctx, fmt.Sprintf("writes under %s", credential), err)
}
