package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/store"
)

// A RunResponse is data-model.md's answer to a synchronisation, then ours. While the run is under
// way the counts are those so far.
type RunResponse struct {
	SyncedCount   int           `json:"syncedCount" minimum:"0" doc:"Secrets that are in step everywhere they were asked to be, with at least one write or delete."`
	SkippedCount  int           `json:"skippedCount" minimum:"0" doc:"Secrets for which nothing needed doing, and those excluded, left or forgotten."`
	Errors        []SecretError `json:"errors" nullable:"false" doc:"One entry for each secret and scope that failed or conflicts."`
	CorrelationID uuid.UUID     `json:"correlationId" format:"uuid" doc:"The run; its events carry the same id."`
	DurationMs    int64         `json:"durationMs" minimum:"0" doc:"Milliseconds, so far or in all."`

	State      store.RunState `json:"state" enum:"queued,running,waiting,succeeded,partial,failed,abandoned" doc:"succeeded, partial (some secrets are in errors) and failed are ends; an abandoned run's process died, and another takes it up."`
	ProjectID  uuid.UUID      `json:"projectId" format:"uuid"`
	ActorID    uuid.UUID      `json:"actorId" format:"uuid" doc:"The user who asked for it."`
	Trigger    store.Trigger  `json:"trigger" enum:"manual,schedule,poll,webhook,relay"`
	StartedAt  time.Time      `json:"startedAt"`
	FinishedAt *time.Time     `json:"finishedAt"`
	TotalCount int            `json:"totalCount" minimum:"0" doc:"Secrets selected."`

	Notices         []Notice      `json:"notices" nullable:"false"`
	Summary         *plan.Summary `json:"summary,omitempty"`
	Actions         []DoneAction  `json:"actions,omitempty" nullable:"false" doc:"What the run decided, and how each ended."`
	WithheldDeletes int           `json:"withheldDeletes,omitempty" doc:"Deletions that would need allowDeletes."`
	Failure         *RunFailure   `json:"error,omitempty" doc:"Why a run failed as a whole; of one that is waiting, what it seems to wait for in vain: its job may still come until context.claimableUntil."`
}

// A SecretError is one secret in one scope that is not in step.
type SecretError struct {
	SecretName string     `json:"secretName"`
	Scope      string     `json:"scope"`
	Error      string     `json:"error" doc:"What is wrong, in a sentence."`
	Code       fault.Code `json:"code"`
	Hint       string     `json:"hint,omitempty" doc:"What to do next."`
}

// A Notice is worth knowing and no error.
type Notice struct {
	Code       fault.Code     `json:"code"`
	Message    string         `json:"message"`
	SecretName string         `json:"secretName,omitempty"`
	Scope      string         `json:"scope,omitempty"`
	Context    map[string]any `json:"context"`
}

// An Action is what a run decided about one secret in one scope.
type Action struct {
	SecretName string `json:"secretName"`
	Scope      string `json:"scope"`
	Verb       string `json:"verb" enum:"create,update,delete,skip,leave,forget,conflict,error"`
	Reason     string `json:"reason" doc:"Why, as a word that programs may compare."`
}

// A DoneAction is an action with how it ended.
type DoneAction struct {
	Action
	OK bool `json:"ok"`
}

// A RunFailure is why a run failed as a whole.
type RunFailure struct {
	Code    fault.Code     `json:"code"`
	Message string         `json:"message"`
	Hint    string         `json:"hint,omitempty"`
	Context map[string]any `json:"context,omitempty"`
}

const runsPath = "/github/secrets/sync/runs/"

type getRunInput struct {
	ID uuid.UUID `path:"correlationId" format:"uuid" doc:"As a synchronisation answered it."`
}

type getRunOutput struct{ Body RunResponse }

// getRun finds the project by the run. A run of another's project answers as one that is not there.
func (s *server) getRun(ctx context.Context, a access, in *getRunInput) (*getRunOutput, error) {
	run, found, err := s.store.Run(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if found {
		_, err = s.authorise(ctx, a.caller, operationsByID["getRun"], run.Project)
		found = !fault.Is(err, fault.ProjectNotFound)
	}
	if !found {
		return nil, fault.New(fault.ResourceNotFound, fault.Context{"resource": "Run " + in.ID.String(), "correlationId": in.ID.String()})
	}
	if err != nil {
		return nil, err
	}
	exchangeOf(ctx).run = run.ID
	return &getRunOutput{Body: s.told(run)}, nil
}

// told is a run as it is answered: what its end left behind, or the counts so far.
func (s *server) told(run store.Run) RunResponse {
	res := RunResponse{}
	if len(run.Result) > 0 {
		_ = json.Unmarshal(run.Result, &res) // what does not read has the run's own counts all the same
	}
	if res.CorrelationID != run.ID {
		res.SyncedCount, res.SkippedCount, res.DurationMs = run.Synced, run.Skipped, s.lasted(run).Milliseconds()
	}
	if res.Errors == nil {
		res.Errors = []SecretError{}
	}
	if res.Notices == nil {
		res.Notices = []Notice{}
	}
	res.CorrelationID, res.ProjectID, res.ActorID, res.Trigger = run.ID, run.Project, run.Actor, run.Trigger
	res.State, res.StartedAt, res.TotalCount = run.State, run.StartedAt.UTC(), run.Total
	if !run.FinishedAt.IsZero() {
		at := run.FinishedAt.UTC()
		res.FinishedAt = &at
	}
	if run.State == store.RunFailed || complains(run) {
		f := failureOf(run)
		res.Failure = &RunFailure{Code: f.Code, Message: f.Message, Hint: f.Hint, Context: f.Context}
	}
	return res
}

func (s *server) lasted(run store.Run) time.Duration {
	end := run.FinishedAt
	if end.IsZero() {
		end = s.now()
	}
	return max(0, end.Sub(run.StartedAt))
}

// failureOf is the fault that a run ended with.
func failureOf(run store.Run) *fault.Fault {
	f := fault.New(run.Code, nil).Saying("%s", run.Error).Hinting("")
	var left struct {
		Failure *RunFailure `json:"error"`
	}
	if json.Unmarshal(run.Result, &left) == nil && left.Failure != nil {
		f.Hint, f.Context = left.Failure.Hint, left.Failure.Context
	}
	if f.Context == nil {
		f.Context = fault.Context{}
	}
	f.Context["correlationId"] = run.ID.String()
	if f.Kind().Code == fault.Unexpected { // what it was is for the log
		f.Message = fault.KindOf(fault.Unexpected).Message
	}
	return f
}

// complains says whether a run waits for a job that ought to have come.
func complains(run store.Run) bool { return run.State == store.Waiting && run.Code != "" }

// isOver says whether a run has come to its end. An abandoned one begins again.
func isOver(state store.RunState) bool {
	return state == store.Succeeded || state == store.Partial || state == store.RunFailed
}

// The first look comes soon, since most runs have nothing to do; a long one is not asked often.
const (
	firstLook = 50 * time.Millisecond
	lastLook  = 500 * time.Millisecond
)

// await watches a run until it is over or complains, or the wait limit is over, or the process is
// about to end.
func (s *server) await(ctx context.Context, id uuid.UUID) (store.Run, error) {
	limit := time.NewTimer(s.WaitLimit)
	defer limit.Stop()
	for pause := firstLook; ; pause = min(pause*5/4, lastLook) {
		run, _, err := s.store.Run(ctx, id)
		if err != nil || isOver(run.State) || complains(run) {
			return run, err
		}
		look := time.NewTimer(pause)
		select {
		case <-look.C:
			continue
		case <-limit.C:
		case <-draining(ctx):
		case <-ctx.Done():
			err = ctx.Err()
		}
		look.Stop()
		return run, err
	}
}

// statusOf is the answer's status for a run that did not fail.
func statusOf(run store.Run) int {
	if isOver(run.State) {
		return http.StatusOK
	}
	return http.StatusAccepted
}
