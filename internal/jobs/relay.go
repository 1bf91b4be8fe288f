package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// syncInput is the workflow's only input: the run that its job is to claim.
const syncInput = "sync_id"

// relay carries out a run whose values stand in Actions. Where it needs none it is a run like any
// other; else a job of the repository is asked for them, and brings the run to its end.
func (j *Jobs) relay(ctx context.Context, b *syncing.Bound, run store.Run, order syncing.Order) error {
	if run.State != store.Queued && !run.DispatchedAt.IsZero() {
		return j.await(ctx, b, run, order)
	}
	need, err := b.Needs(ctx, run, order)
	switch {
	case ctx.Err() != nil:
		return store.Snooze{Until: j.Now()}
	case err != nil:
		return j.end(ctx, b, run, order, fault.Of(err))
	case len(need.Names) == 0:
		return j.carryOut(ctx, b, run, order)
	}
	return j.ask(ctx, b, run, order, need)
}

// ask has the workflow started, unless the values may come for another run, or too many were started.
func (j *Jobs) ask(ctx context.Context, b *syncing.Bound, run store.Run, order syncing.Order, need syncing.Need) error {
	err := j.Store.BeginDispatch(ctx, j.Now(), store.DispatchRequest{
		Project: run.Project, Run: run.ID, AskedAt: need.SeenAt, Limit: j.Dispatches, Within: time.Hour, Yield: j.Complaint,
	})
	var held *store.ErrDispatchHeld
	var limit *store.ErrDispatchLimit
	switch {
	case errors.As(err, &held):
		return store.Snooze{Until: soonest(held.Until, j.Now().Add(j.WaitLook))}
	case errors.As(err, &limit):
		return j.end(ctx, b, run, order, tooManyDispatches(need.Repository, limit))
	case errors.Is(err, store.ErrRunFinished):
		return j.settle(ctx, b.Project, run, order, ended{err: err})
	case err != nil:
		return err
	}
	client := j.Accounts.Client(ctx, need.Repository.Owner)
	id, err := client.DispatchWorkflow(ctx, need.Repository, path.Base(github.RelayWorkflow), map[string]string{syncInput: run.ID.String()})
	switch {
	case ctx.Err() != nil:
		return store.Snooze{Until: j.Now()}
	case err != nil:
		if isRefused(err) {
			if err := j.Store.ForgetDispatch(ctx, run.ID); err != nil {
				return err
			}
		}
		return j.end(ctx, b, run, order, refusedDispatch(need.Repository, err))
	}
	j.Log.InfoContext(ctx, "job asked for values", "run", run.ID, "project", run.Project, "secrets", len(need.Names), "workflow_run", id)
	if err := j.Store.NoteDispatch(ctx, j.Now(), run.ID, id); err != nil && !errors.Is(err, store.ErrRunFinished) {
		return err
	}
	return store.Snooze{Until: j.Now().Add(min(j.WaitLook, j.Complaint))}
}

// await looks after a run that asked for its values: it says so when they do not come, and ends it in
// the end. A job may claim it until then, also again after this service or the job itself has died.
func (j *Jobs) await(ctx context.Context, b *syncing.Bound, run store.Run, order syncing.Order) error {
	now := j.Now()
	if run.State != store.Waiting {
		if err := j.Store.WaitAgain(ctx, now, run.ID, now.Add(-j.Service.LeaseWindow())); err != nil {
			return err
		}
		return store.Snooze{Until: now.Add(j.WaitLook)}
	}
	session, live, err := j.Store.LiveSession(ctx, now, run.ID)
	if err != nil {
		return err
	}
	w := wait{run: run, repo: b.Project.Owner + "/" + b.Project.Repo, asked: run.DispatchedAt, until: run.DispatchedAt.Add(j.Patience)}
	if live {
		w.claimed, w.asked, w.until = true, latest(w.asked, session.CreatedAt), latest(w.until, session.ExpiresAt)
	}
	complains := w.asked.Add(j.Complaint)
	switch {
	case !now.Before(w.until):
		return j.end(ctx, b, run, order, w.end())
	case run.Code != "":
		return store.Snooze{Until: soonest(w.until, now.Add(j.WaitLook))}
	case !now.Before(complains):
		return j.complain(ctx, w, w.silence(now))
	}
	return store.Snooze{Until: soonest(complains, now.Add(j.WaitLook))}
}

// complain notes what a run seems to wait for in vain, and has it looked after further.
func (j *Jobs) complain(ctx context.Context, w wait, f *fault.Fault) error {
	j.Log.WarnContext(ctx, "run waits for its job in vain", "run", w.run.ID, "project", w.run.Project, "why", f.Message, "until", w.until)
	if err := j.Store.NoteWaiting(ctx, j.Now(), w.run.ID, f); err != nil {
		return err
	}
	return store.Snooze{Until: soonest(w.until, j.Now().Add(j.WaitLook))}
}

// jobEnded hears that a run of the relay's workflow is over. A run of ours that still waits for it
// says at once what went wrong; the workflow may be run once more.
func (j *Jobs) jobEnded(ctx context.Context, news github.News, p store.Project) error {
	run, found, err := j.Store.RunOfWorkflow(ctx, p.ID, news.WorkflowRun)
	if err != nil || !found || run.State != store.Waiting {
		return err
	}
	_, claimed, err := j.Store.LiveSession(ctx, j.Now(), run.ID)
	if err != nil {
		return err
	}
	w := wait{run: run, repo: p.Owner + "/" + p.Repo, claimed: claimed, until: run.DispatchedAt.Add(j.Patience)}
	err = j.complain(ctx, w, w.over(news.Conclusion))
	if errors.As(err, new(store.Snooze)) {
		return nil // its own job looks after it
	}
	return err
}

// end ends a run that cannot have its values.
func (j *Jobs) end(ctx context.Context, b *syncing.Bound, run store.Run, order syncing.Order, f *fault.Fault) error {
	began := j.Now()
	err := b.Fail(ctx, run, f)
	return j.settle(ctx, b.Project, run, order, ended{err, j.Now().Sub(began)})
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// A wait is a run that waits for its job, in the words of its complaints.
type wait struct {
	run     store.Run
	repo    string
	claimed bool
	asked   time.Time // when something was last heard of the job, or it was asked for
	until   time.Time // when the run ends unless a job has brought its values
}

func (w wait) complaint(reason, hint string) *fault.Fault {
	about := fault.Context{"reason": reason, "claimableUntil": w.until.UTC().Format(time.RFC3339)}
	if w.run.WorkflowRun != 0 {
		about["workflowRun"] = w.run.WorkflowRun
	}
	return fault.New(fault.SourceUnavailable, about).Hinting("%s", hint)
}

// What keeps a job from coming to its claim, or from ending well after it.
const (
	notStarted = github.RelayWorkflow + " is not on the default branch (octoseal init writes it), Actions is disabled, or no runner is free and the job stands in GitHub's queue."
	notClaimed = "The job's log tells more: it lacks the permission id-token: write, or its secrets are larger than one variable may be (toJSON(secrets) fits 96 KiB; octoseal init --names or --split N writes a workflow for more)."
	notPinned  = "If a key is not the one that the workflow pins: octoseal init --pin, review, commit."
)

// silence is said of a job of which nothing is heard.
func (w wait) silence(now time.Time) *fault.Fault {
	after := now.Sub(w.asked).Round(time.Second)
	if w.claimed {
		return w.complaint(fmt.Sprintf("the job of %s claimed the run %s ago and has not finished", w.repo, after),
			"Look at the log of the workflow "+github.RelayWorkflow+". It may go on until "+w.deadline()+"; run the workflow again if it died. "+notPinned)
	}
	return w.complaint(fmt.Sprintf("no job of %s has claimed the run, %s after its workflow was started", w.repo, after),
		"Look at the repository's Actions page. Without a run of the workflow: "+notStarted+" With one that is over: "+notClaimed+" "+notPinned+" A job can claim this run until "+w.deadline()+".")
}

// over is said of a job that ended and left its run waiting.
func (w wait) over(conclusion string) *fault.Fault {
	log := "Look at the log of the workflow's run " + fmt.Sprint(w.run.WorkflowRun) + " of " + w.repo + ". "
	what := fmt.Sprintf("the job of %s ended (%s) before it claimed the run", w.repo, strings.ReplaceAll(conclusion, "_", " "))
	switch {
	case conclusion == "cancelled":
		return w.complaint("the job of "+w.repo+" was cancelled", "Run the workflow's job again until "+w.deadline()+", or ask for another run.")
	case w.claimed:
		return w.complaint(fmt.Sprintf("the job of %s ended (%s) after it claimed the run and before it brought all values", w.repo, conclusion), log+notPinned)
	case conclusion == "success":
		return w.complaint(what, github.RelayWorkflow+" does not run octoseal relay with its input "+syncInput+": octoseal init writes one that does.")
	}
	return w.complaint(what, log+notClaimed+" "+notPinned)
}

// end is why a run ends that no job brought to its end: what it complained of, if it did.
func (w wait) end() *fault.Fault {
	if f, told := complaintOf(w.run); told {
		return f
	}
	return w.silence(w.until)
}

func (w wait) deadline() string { return w.until.UTC().Format("15:04 MST") }

// complaintOf is what a run was noted to wait for in vain, or why it failed.
func complaintOf(r store.Run) (f *fault.Fault, told bool) {
	f = fault.New(r.Code, nil).Saying("%s", r.Error).Hinting("")
	var left struct {
		Error *struct {
			Hint    string        `json:"hint"`
			Context fault.Context `json:"context"`
		} `json:"error"`
	}
	if json.Unmarshal(r.Result, &left) == nil && left.Error != nil {
		f.Hint, f.Context = left.Error.Hint, left.Error.Context
	}
	return f, r.Code != ""
}

func tooManyDispatches(repo github.Repository, l *store.ErrDispatchLimit) *fault.Fault {
	next := l.Next.UTC().Format(time.RFC3339)
	return fault.New(fault.SourceUnavailable, fault.Context{
		"reason": fmt.Sprintf("%d workflows of %s were started within the hour, which is as many as are started unasked", l.Count, repo.FullName()), "resetAt": next,
	}).Hinting("The next can be started at %s. If the earlier ones brought nothing, their logs on the Actions page tell why.", next)
}

// isRefused says whether GitHub certainly started nothing: it said no, for a reason of the repository's.
// Such a start does not count. Somebody puts the reason right, and is not to wait for an hour then.
func isRefused(err error) bool {
	return fault.Is(err, fault.IntegrationDenied) || fault.Is(err, fault.ResourceNotFound)
}

// refusedDispatch is why no job was started. What concerns GitHub as a whole, a limit or an outage,
// passes as it is.
func refusedDispatch(repo github.Repository, err error) *fault.Fault {
	f := fault.Of(err)
	if !isRefused(f) {
		return f
	}
	reason, _ := f.Context["reason"].(string)
	if reason == "" {
		reason = strings.TrimSuffix(f.Message, ".")
	}
	hint := f.Hint
	switch {
	case errors.Is(err, github.ErrNoWorkflow):
		hint = fmt.Sprintf("Run octoseal init in a clone of %s and merge %s, which it writes, into %s.", repo.FullName(), github.RelayWorkflow, repo.DefaultBranch)
	case errors.Is(err, github.ErrNotDispatchable):
		hint = fmt.Sprintf("%s on %s has to take workflow_dispatch with the input %s: octoseal init writes it so, octoseal init --check tells what differs.", github.RelayWorkflow, repo.DefaultBranch, syncInput)
	}
	about := fault.Context{"reason": "GitHub did not start the job that would bring it: " + reason}
	if p, ok := f.Context["permission"]; ok {
		about["permission"] = p
	}
	return fault.New(fault.SourceUnavailable, about).Hinting("%s", hint).Because(err)
}
