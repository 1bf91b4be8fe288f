package jobs

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// peoples are the codes of secrets that wait for a person: trying again changes nothing about them.
var peoples = []fault.Code{fault.ConflictDetected, fault.RequestInvalid, fault.ValueTooLarge, fault.NameInvalid}

// failed says whether trying a run again may help: it failed as a whole, or some of its secrets did
// for a reason that does not wait for people.
func failed(r store.Run) bool {
	switch r.State {
	case store.RunFailed:
		return true
	case store.Partial:
	default:
		return false
	}
	var left struct {
		Errors []struct {
			Code fault.Code `json:"code"`
		} `json:"errors"`
	}
	if json.Unmarshal(r.Result, &left) != nil {
		return false
	}
	for _, e := range left.Errors {
		if !slices.Contains(peoples, e.Code) {
			return true
		}
	}
	return false
}

// tryAgain has another run of a project that is kept in step wait its time, unless so many failed in
// a row that the next scheduled one is soon enough. It waits in the queue, where no restart loses it.
func (j *Jobs) tryAgain(ctx context.Context, p store.Project, run store.Run) error {
	if !j.Service.Kept(p) {
		return nil
	}
	last, err := j.Store.LastRuns(ctx, p.ID, len(j.Retries)+1)
	if err != nil {
		return err
	}
	inARow := 0
	for inARow < len(last) && failed(last[inARow]) {
		inARow++
	}
	if inARow == 0 || inARow > len(j.Retries) {
		return nil
	}
	at := j.Now().Add(j.Retries[inARow-1])
	if reset := resetOf(run); reset.After(at) {
		at = reset
	}
	j.Log.InfoContext(ctx, "failed run is tried again", "project", p.ID, "failed_in_a_row", inARow, "at", at)
	return j.Store.Enqueue(ctx, j.Now(), store.Job{Kind: retryJob, Project: p.ID, Key: p.ID.String(), At: at})
}

// resetOf is when what a run failed for lack of is there again: a quota, or leave to start a workflow.
func resetOf(r store.Run) time.Time {
	f, _ := complaintOf(r)
	text, _ := f.Context["resetAt"].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return at
}

// retry starts the run that was put off, unless one went well or is under way by now.
func (j *Jobs) retry(ctx context.Context, job store.Job) error {
	p, err := j.Store.Project(ctx, job.Project)
	if fault.Is(err, fault.ProjectNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	last, err := j.Store.LastRuns(ctx, p.ID, 1)
	if err != nil || len(last) == 0 || !failed(last[0]) || !j.Service.Kept(p) {
		return err
	}
	return j.start(ctx, p.ID, store.Scheduler, store.Scheduled, time.Time{})
}
