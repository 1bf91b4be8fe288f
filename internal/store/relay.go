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

// A DispatchRequest asks whether a workflow may be started for a run now.
type DispatchRequest struct {
	Project uuid.UUID
	Run     uuid.UUID
	AskedAt time.Time     // GitHub's clock: when the run saw what it needs
	Limit   int           // so many dispatches of the project
	Within  time.Duration // in so long
	Yield   time.Duration // how long a run that waits for its job goes before others of its project
}

type dispatchRow struct {
	ID      uuid.UUID `db:"id"`
	Project uuid.UUID `db:"project_id"`
	Run     uuid.UUID `db:"run_id"`
	At      time.Time `db:"at"`
}

// BeginDispatch notes that a workflow is about to be started for a run, so that one is counted
// whatever becomes of this process. It answers *ErrDispatchHeld or *ErrDispatchLimit when none is to
// be started now, and ErrRunFinished for a run that has ended.
//
// The run's state stays: one that is found queued with a dispatch begun may or may not have its job.
func (s *Store) BeginDispatch(ctx context.Context, now time.Time, d DispatchRequest) error {
	now = stamp(now)
	return s.write(ctx, "dispatch of run "+d.Run.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, d.Project); err != nil {
			return err
		}
		n, err := exec(ctx, tx, `UPDATE sync_runs SET dispatched_at = $3, asked_at = COALESCE(asked_at, $4), updated_at = $3
			WHERE id = $1 AND project_id = $2 AND state NOT IN `+endedStates, d.Run, d.Project, now, d.AskedAt)
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrRunFinished
		}
		if err := s.dispatchHeld(ctx, tx, now, d); err != nil {
			return err
		}
		recent, err := dispatchesSince(ctx, tx, d.Project, now.Add(-d.Within))
		if err != nil {
			return err
		}
		if n := len(recent); n >= d.Limit && n > 0 {
			return &ErrDispatchLimit{Count: n, Next: recent[n-max(1, d.Limit)].Add(d.Within)}
		}
		return insert(ctx, tx, "relay_dispatches", "", dispatchRow{ID: uuid.New(), Project: d.Project, Run: d.Run, At: now})
	})
}

// endedStates are those that Run.ended knows.
const endedStates = "('succeeded', 'partial', 'failed')"

// dispatchHeld answers *ErrDispatchHeld when a run of the project is at work, be it this one elsewhere,
// or another asked for its values so lately that they are likely to come. One that complains, claimed
// or not, keeps nobody waiting: its job is over.
func (s *Store) dispatchHeld(ctx context.Context, tx *sql.Tx, now time.Time, d DispatchRequest) error {
	held, found, err := leaseOf(ctx, tx, d.Project)
	if err != nil {
		return err
	}
	if free := held.HeartbeatAt.Add(held.Lapse + held.Grace); found && now.Before(free) {
		return &ErrDispatchHeld{Run: held.Run, Until: free}
	}
	since := now.Add(-d.Yield)
	first, found, err := one[struct {
		Run uuid.UUID `db:"id"`
		At  time.Time `db:"at"`
	}](ctx, tx, `SELECT r.id, COALESCE(n.created_at, r.dispatched_at) AS at
		FROM sync_runs r LEFT JOIN relay_sessions n ON n.run_id = r.id AND n.ended_at IS NULL AND n.expires_at > $3
		WHERE r.project_id = $1 AND r.id <> $2 AND r.state IN ('queued', 'waiting')
			AND r.error_code = '' AND (r.dispatched_at > $4 OR n.created_at > $4)
		ORDER BY 2 DESC LIMIT 1`, d.Project, d.Run, now, since)
	if err == nil && found {
		err = &ErrDispatchHeld{Run: first.Run, Until: first.At.Add(d.Yield)}
	}
	return err
}

// ForgetDispatch takes back the latest note of a run's workflow: GitHub refused to start it, so that it
// counts for nothing.
func (s *Store) ForgetDispatch(ctx context.Context, run uuid.UUID) error {
	return s.write(ctx, "dispatch of run "+run.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, `DELETE FROM relay_dispatches
			WHERE id = (SELECT id FROM relay_dispatches WHERE run_id = $1 ORDER BY at DESC, id DESC LIMIT 1)`, run)
		return err
	})
}

// Dispatches returns when workflows were started for a project, the oldest first.
func (s *Store) Dispatches(ctx context.Context, project uuid.UUID, since time.Time) ([]time.Time, error) {
	times, err := dispatchesSince(ctx, s.reader, project, since)
	return times, s.explain(ctx, "dispatches of project "+project.String(), err)
}

func dispatchesSince(ctx context.Context, q querier, project uuid.UUID, since time.Time) ([]time.Time, error) {
	rows, err := all[dispatchRow](ctx, q, "SELECT "+columns[dispatchRow]("d")+
		" FROM relay_dispatches d WHERE d.project_id = $1 AND d.at > $2 ORDER BY d.at, d.id", project, since)
	times := make([]time.Time, len(rows))
	for i, r := range rows {
		times[i] = r.At
	}
	return times, err
}

// NoteDispatch notes that a workflow was started for a run, which waits for its job from now on. A
// job that was quicker, and has claimed the run or is at work on it, stays bound to it.
func (s *Store) NoteDispatch(ctx context.Context, now time.Time, run uuid.UUID, workflowRun int64) error {
	return s.write(ctx, "dispatch of run "+run.String(), func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, `UPDATE sync_runs SET
				state = CASE WHEN state = 'running' THEN state ELSE 'waiting' END, finished_at = NULL,
				dispatched_at = COALESCE(dispatched_at, $2), asked_at = COALESCE(asked_at, $2), updated_at = $2,
				workflow_run_id = CASE WHEN workflow_run_id = 0 THEN $3 ELSE workflow_run_id END
			WHERE id = $1 AND state NOT IN `+endedStates, run, now, workflowRun)
		if err == nil && n == 0 {
			err = ErrRunFinished
		}
		return err
	})
}

// NoteWaiting notes what a run that waits seems to wait for in vain. It goes on waiting; its claim
// or its end takes the complaint back. A run that does not wait stays as it is.
func (s *Store) NoteWaiting(ctx context.Context, now time.Time, run uuid.UUID, f *fault.Fault) error {
	told := map[string]any{"code": f.Code, "message": f.Message, "hint": f.Hint, "context": f.Context}
	result, err := json.Marshal(map[string]any{"error": told})
	if err != nil { // something odd in the context: the message says it too
		delete(told, "context")
		result, _ = json.Marshal(map[string]any{"error": told})
	}
	return s.write(ctx, "complaint of run "+run.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, `UPDATE sync_runs SET error_code = $2, error_message = $3, result = $4, updated_at = $5
			WHERE id = $1 AND state = 'waiting'`, run, f.Code, f.Message, json.RawMessage(result), now)
		return err
	})
}

// WaitAgain has a run wait for its job again that was at work with the job's boxes and gave no sign of
// life since silent: the boxes went with its process, and the job may bring them once more.
func (s *Store) WaitAgain(ctx context.Context, now time.Time, run uuid.UUID, silent time.Time) error {
	return s.write(ctx, "run "+run.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, `UPDATE sync_runs SET state = 'waiting', finished_at = NULL, updated_at = $2
			WHERE id = $1 AND dispatched_at IS NOT NULL AND (state = 'abandoned' OR state = 'running' AND heartbeat_at <= $3)`, run, now, silent)
		return err
	})
}

// queueLimit is how long a job of GitHub's may stand in its queue. What it reads was there when the
// job was queued, so nothing is known of a later time.
const queueLimit = 24 * time.Hour

// StartWaiting stores a run whose job is there already, since a schedule or a push has started its
// workflow, together with its SyncJob; or it joins the one that this run of the workflow began.
//
// The run's ID and actor are made unless given; its state, trigger and times are set here.
func (s *Store) StartWaiting(ctx context.Context, now time.Time, r Run) (Run, error) {
	if r.WorkflowRun <= 0 {
		return Run{}, fault.Invalid("a run that waits for its job is started with the number of the workflow's run")
	}
	now = stamp(now)
	if r.ID == uuid.Nil {
		r.ID = uuid.New()
	}
	if r.Actor == uuid.Nil {
		r.Actor = Relay
	}
	r.State, r.Trigger = Waiting, Relayed
	r.StartedAt, r.HeartbeatAt, r.UpdatedAt, r.DispatchedAt, r.FinishedAt = now, now, now, now, time.Time{}
	r.AskedAt = now.Add(-queueLimit)
	err := s.write(ctx, "start of run "+r.ID.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, r.Project); err != nil {
			return err
		}
		known, found, err := openRunOf(ctx, tx, r.Project, r.WorkflowRun)
		switch {
		case err != nil:
			return err
		case found:
			r = known
			return nil
		}
		return s.queueRun(ctx, tx, r)
	})
	if err != nil {
		return Run{}, err
	}
	return r, nil
}

// RunOfWorkflow returns the run of a project that waits for a run of its workflow, or is at work
// with what that brought.
func (s *Store) RunOfWorkflow(ctx context.Context, project uuid.UUID, workflowRun int64) (r Run, found bool, err error) {
	r, found, err = openRunOf(ctx, s.reader, project, workflowRun)
	return r, found, s.explain(ctx, fmt.Sprintf("run of workflow run %d", workflowRun), err)
}

func openRunOf(ctx context.Context, q querier, project uuid.UUID, workflowRun int64) (Run, bool, error) {
	return one[Run](ctx, q, selectRun+`WHERE r.project_id = $1 AND r.workflow_run_id = $2 AND r.workflow_run_id <> 0
		AND r.state NOT IN `+endedStates+" ORDER BY r.started_at DESC LIMIT 1", project, workflowRun)
}

// A Session lets one attempt of a job bring the values of one run. Its token is remembered by its
// hash, never itself.
type Session struct {
	ID          uuid.UUID  `db:"id"`
	Project     uuid.UUID  `db:"project_id"`
	Run         uuid.UUID  `db:"run_id"`
	TokenHash   string     `db:"token_hash"` // SHA-256, 64 hex characters
	WorkflowRun int64      `db:"workflow_run_id"`
	RunAttempt  int        `db:"run_attempt"`
	CreatedAt   time.Time  `db:"created_at"`
	ExpiresAt   time.Time  `db:"expires_at"`
	EndedAt     *time.Time `db:"ended_at"`
}

var selectSession = "SELECT " + columns[Session]("n") + " FROM relay_sessions n "

// Live says whether the session's token works at now.
func (n Session) Live(now time.Time) bool { return n.EndedAt == nil && now.Before(n.ExpiresAt) }

// OpenSession stores a session that begins now, and ends the one before it of the same run. A run
// whose workflow run was not known is bound to the session's; a complaint that it waited is taken
// back. One that has ended answers ErrRunFinished, one bound to another ErrOtherWorkflow, and
// one that a later attempt has claimed ErrEarlierAttempt.
func (s *Store) OpenSession(ctx context.Context, now time.Time, n Session) error {
	now = stamp(now)
	if n.ID == uuid.Nil {
		n.ID = uuid.New()
	}
	n.CreatedAt, n.ExpiresAt, n.EndedAt = now, stamp(n.ExpiresAt), nil
	switch {
	case !hexHash.MatchString(n.TokenHash):
		return fault.Invalid("a session is stored by the SHA-256 hash of its token, in 64 hex characters")
	case !n.ExpiresAt.After(now):
		return fault.Invalid("a session expires later than now, not at %s", n.ExpiresAt.Format(time.RFC3339))
	}
	return s.write(ctx, "session of run "+n.Run.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, n.Project); err != nil {
			return err
		}
		if err := s.claim(ctx, tx, now, n); err != nil {
			return err
		}
		if _, err := exec(ctx, tx, "UPDATE relay_sessions SET ended_at = $2 WHERE run_id = $1 AND ended_at IS NULL", n.Run, now); err != nil {
			return err
		}
		return insert(ctx, tx, "relay_sessions", "", n)
	})
}

// claim binds a run to the workflow run of a session, and has it wait for the boxes: it may be queued
// still, when the job was quicker than the note of its dispatch, or abandoned.
func (s *Store) claim(ctx context.Context, tx *sql.Tx, now time.Time, n Session) error {
	run, found, err := one[Run](ctx, tx, selectRun+"WHERE r.id = $1"+s.dialect.forUpdate, n.Run)
	switch {
	case err != nil:
		return err
	case !found || run.Project != n.Project:
		return fault.New(fault.ResourceNotFound, fault.Context{"resource": "Run " + n.Run.String()})
	case run.ended():
		return ErrRunFinished
	case run.WorkflowRun != 0 && run.WorkflowRun != n.WorkflowRun:
		return ErrOtherWorkflow
	}
	later, err := number(ctx, tx, "SELECT count(*) AS n FROM relay_sessions WHERE run_id = $1 AND run_attempt > $2", n.Run, n.RunAttempt)
	switch {
	case err != nil:
		return err
	case later > 0:
		return ErrEarlierAttempt
	}
	_, err = exec(ctx, tx, `UPDATE sync_runs SET workflow_run_id = $2, updated_at = $3,
			state = CASE WHEN state = 'running' THEN state ELSE 'waiting' END, finished_at = NULL,
			dispatched_at = COALESCE(dispatched_at, $3), asked_at = COALESCE(asked_at, $4),
			error_code = '', error_message = '', result = NULL WHERE id = $1`, n.Run, n.WorkflowRun, now, now.Add(-queueLimit))
	return err
}

// SessionByToken returns a session by the hash of its token, one that has ended or expired included.
func (s *Store) SessionByToken(ctx context.Context, tokenHash string) (n Session, found bool, err error) {
	n, found, err = one[Session](ctx, s.reader, selectSession+"WHERE n.token_hash = $1", tokenHash)
	return n, found, s.explain(ctx, "session", err)
}

// LiveSession returns the session of a run whose token works at now.
func (s *Store) LiveSession(ctx context.Context, now time.Time, run uuid.UUID) (n Session, live bool, err error) {
	n, live, err = one[Session](ctx, s.reader, selectSession+"WHERE n.run_id = $1 AND n.ended_at IS NULL AND n.expires_at > $2", run, now)
	return n, live, s.explain(ctx, "session of run "+run.String(), err)
}

// EndSession ends a session at once. One that has ended already stays so.
func (s *Store) EndSession(ctx context.Context, now time.Time, id uuid.UUID) error {
	return s.write(ctx, "session "+id.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "UPDATE relay_sessions SET ended_at = COALESCE(ended_at, $2) WHERE id = $1", id, now)
		return err
	})
}

// A SeenToken is a token of an OIDC issuer, by the id that the issuer gave it.
type SeenToken struct {
	Issuer    string
	ID        string
	ExpiresAt time.Time
}

// maxToken bounds a token's issuer and id.
const maxToken = 500

// SeeToken remembers a token, and says whether it was not seen before. It is known again until well
// after it has expired.
func (s *Store) SeeToken(ctx context.Context, now time.Time, t SeenToken) (fresh bool, err error) {
	if t.Issuer == "" || t.ID == "" || len(t.Issuer) > maxToken || len(t.ID) > maxToken || clean(t.ID) != t.ID || t.ExpiresAt.IsZero() {
		return false, fault.Invalid("a token has an issuer, an id of at most %d bytes of text, and an end", maxToken)
	}
	err = s.write(ctx, "token of "+t.Issuer, func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "INSERT INTO oidc_tokens_seen (issuer, jti, seen_at, expires_at) VALUES ($1, $2, $3, $4) ON CONFLICT (issuer, jti) DO NOTHING",
			t.Issuer, t.ID, now, t.ExpiresAt)
		fresh = n > 0
		return err
	})
	return fresh && err == nil, err
}
