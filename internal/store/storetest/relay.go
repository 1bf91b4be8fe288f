package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// The bounds under which the laws of this file start workflows.
const (
	mostDispatches = 3
	yield          = 3 * time.Minute
)

// dispatch asks leave to start a workflow for a run.
func (w *world) dispatch(run store.Run) error {
	return w.store.BeginDispatch(w.ctx, w.now, store.DispatchRequest{
		Project: w.project.ID, Run: run.ID, AskedAt: w.now.Add(-time.Second), Limit: mostDispatches, Within: time.Hour, Yield: yield,
	})
}

// run returns a run as it is stored.
func (w *world) run(id uuid.UUID) store.Run {
	w.Helper()
	r, found, err := w.store.Run(w.ctx, id)
	w.check(err)
	w.same("there is a run", found, true)
	return r
}

// queuedRun is a run that waits in the queue; no two are alike.
func (w *world) queuedRun() store.Run {
	w.Helper()
	id := uuid.New()
	run, joined := w.start(store.Scheduler, "", strings.ReplaceAll(id.String(), "-", "")+someOptions[:32])
	w.same("joined", joined, false)
	return run
}

// fail ends a run.
func (w *world) fail(run store.Run) {
	w.Helper()
	run.State, run.FinishedAt = store.RunFailed, w.now
	_, err := w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Local, Run: run})
	w.check(err)
}

// heldBy asks that err names the run that goes first.
func (w *world) heldBy(what string, err error, run store.Run, until time.Time) {
	w.Helper()
	var held *store.ErrDispatchHeld
	if !errors.As(err, &held) {
		w.Fatalf("%s: %v", what, err)
	}
	w.same(what, []any{held.Run, held.Until.UTC()}, []any{run.ID, micro(until)})
}

// dispatches counts what is started, whatever becomes of it, and starts nothing that another run of
// the project is likely to make needless.
func dispatches(w *world) {
	first := w.queuedRun()
	w.check(w.dispatch(first))
	begun := w.run(first.ID)
	w.same("begun", []any{begun.State, begun.DispatchedAt, begun.AskedAt, begun.WorkflowRun},
		[]any{store.Queued, micro(w.now), micro(w.now.Add(-time.Second)), int64(0)})
	second := w.queuedRun()
	w.heldBy("behind one whose workflow is being started", w.dispatch(second), first, w.now.Add(yield))
	w.check(w.store.NoteDispatch(w.ctx, w.now, first.ID, 77))
	at := w.now
	w.now = w.now.Add(yield - time.Second)
	w.heldBy("behind one that waits", w.dispatch(second), first, at.Add(yield))
	w.now = w.now.Add(time.Second)
	w.check(w.dispatch(second))

	// Whoever died before it heard the answer starts it once more; the values may be those of the first.
	w.now = w.now.Add(time.Minute)
	w.check(w.dispatch(second))
	again := w.run(second.ID)
	w.same("asked at", again.AskedAt, micro(w.now.Add(-time.Minute-time.Second)))
	w.same("dispatched at", again.DispatchedAt, micro(w.now))
	var limit *store.ErrDispatchLimit
	if err := w.dispatch(second); !errors.As(err, &limit) {
		w.Fatalf("a fourth: %v", err)
	}
	w.same("the next", []any{limit.Count, limit.Next.UTC()}, []any{mostDispatches, micro(at.Add(time.Hour))})
	times, err := w.store.Dispatches(w.ctx, w.project.ID, at)
	w.check(err)
	w.same("after the first", times, []time.Time{micro(at.Add(yield)), micro(w.now)})
	w.now = at.Add(time.Hour)
	w.check(w.dispatch(second))

	w.fail(second)
	w.same("of a run that has ended", errors.Is(w.dispatch(second), store.ErrRunFinished), true)
	other := w.project
	w.project = w.newProject("acme", "other", 8)
	w.same("of a run of another project", errors.Is(w.dispatch(first), store.ErrRunFinished), true)
	w.check(w.dispatch(w.queuedRun()))
	w.project = other
}

// dispatchBehindWork waits for a run that writes: after it there may be nothing left to do.
func dispatchBehindWork(w *world) {
	busy, next := w.begin(), w.queuedRun()
	lease, err := w.store.Acquire(w.ctx, w.now, store.LeaseRequest{Project: w.project.ID, Run: busy.ID})
	w.check(err)
	w.heldBy("behind one at work", w.dispatch(next), busy, w.now.Add(40*time.Second))
	w.heldBy("behind itself, at work elsewhere", w.dispatch(busy), busy, w.now.Add(40*time.Second))
	w.check(lease.Release(w.ctx))
	w.fail(busy)
	w.check(w.dispatch(next))
}

// dispatchRefused: what GitHub refused to start does not count, and what it may have started does.
func dispatchRefused(w *world) {
	run := w.queuedRun()
	w.check(w.dispatch(run))
	w.now = w.now.Add(time.Second)
	for range 2 * mostDispatches {
		w.check(w.dispatch(run))
		w.check(w.store.ForgetDispatch(w.ctx, run.ID))
	}
	times, err := w.store.Dispatches(w.ctx, w.project.ID, noon.Add(-time.Hour))
	w.check(err)
	w.same("what counts", times, []time.Time{micro(w.now.Add(-time.Second))})
	w.check(w.store.ForgetDispatch(w.ctx, uuid.New())) // of which there is none
}

// dispatchBehindClaim waits for a run whose job has claimed it, unless that is known to have ended.
func dispatchBehindClaim(w *world) {
	claimed, next := w.queuedRun(), w.queuedRun()
	w.check(w.dispatch(claimed))
	w.check(w.store.NoteDispatch(w.ctx, w.now, claimed.ID, 77))
	w.now = w.now.Add(time.Minute)
	session := w.session(claimed, 77)
	session.CreatedAt = w.now
	w.check(w.store.OpenSession(w.ctx, w.now, session))
	w.heldBy("behind one that is claimed", w.dispatch(next), claimed, w.now.Add(yield))
	w.check(w.store.NoteWaiting(w.ctx, w.now, claimed.ID, fault.New(fault.SourceUnavailable, fault.Context{"reason": "its job has ended"})))
	w.check(w.dispatch(next))
}

// dispatchTogether: of several runs of one project one has its workflow started.
func dispatchTogether(w *world) {
	var runs []store.Run
	for range 6 {
		runs = append(runs, w.queuedRun())
	}
	var mu sync.Mutex
	var group sync.WaitGroup
	started := 0
	for _, r := range runs {
		group.Go(func() {
			err := w.dispatch(r)
			var held *store.ErrDispatchHeld
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				started++
			} else if !errors.As(err, &held) {
				w.Error(err)
			}
		})
	}
	group.Wait()
	w.same("started", started, 1)
}

// waiting is the life of a run that waits for its job.
func waiting(w *world) {
	run := w.queuedRun()
	complaint := fault.New(fault.SourceUnavailable, fault.Context{"reason": "no job came"}).Hinting("Look.")
	w.check(w.store.NoteWaiting(w.ctx, w.now, run.ID, complaint))
	w.same("nothing to complain about", w.run(run.ID).Code, fault.Code(""))
	w.check(w.dispatch(run))
	w.check(w.store.NoteDispatch(w.ctx, w.now, run.ID, 0))
	known := w.run(run.ID)
	w.same("waits", []any{known.State, known.WorkflowRun, known.FinishedAt.IsZero()}, []any{store.Waiting, int64(0), true})
	w.check(w.store.NoteDispatch(w.ctx, w.now, run.ID, 77))
	w.check(w.store.NoteDispatch(w.ctx, w.now, run.ID, 78))
	w.same("the first that is known", w.run(run.ID).WorkflowRun, int64(77))

	w.now = w.now.Add(time.Minute)
	w.check(w.store.NoteWaiting(w.ctx, w.now, run.ID, complaint))
	known = w.run(run.ID)
	var told struct {
		Error struct{ Code, Message, Hint string }
	}
	w.check(json.Unmarshal(known.Result, &told))
	w.same("complaint", []any{known.State, known.Code, known.Error, told.Error.Hint, told.Error.Code},
		[]any{store.Waiting, fault.SourceUnavailable, "No value to be had: no job came.", "Look.", string(fault.SourceUnavailable)})
	next := w.queuedRun()
	w.check(w.dispatch(next)) // not held back by one that waits in vain

	known.State, known.StartedAt = store.Running, w.now
	w.check(w.store.BeginRun(w.ctx, known))
	begun := w.run(run.ID)
	w.same("at work", []any{begun.State, begun.Code, begun.Error, begun.Result == nil}, []any{store.Running, fault.Code(""), "", true})
	w.check(w.store.NoteWaiting(w.ctx, w.now, run.ID, complaint))
	w.check(w.store.NoteDispatch(w.ctx, w.now, run.ID, 0))
	w.check(w.store.WaitAgain(w.ctx, w.now, run.ID, w.now.Add(-time.Second)))
	w.same("goes on working", []any{w.run(run.ID).State, w.run(run.ID).Code}, []any{store.Running, fault.Code("")})
	w.check(w.store.WaitAgain(w.ctx, w.now, run.ID, w.now))
	w.same("died, and waits again", w.run(run.ID).State, store.Waiting)
	abandoned := w.run(run.ID)
	abandoned.State = store.Abandoned
	_, err := w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: run.Actor, Run: abandoned})
	w.check(err)
	w.check(w.store.WaitAgain(w.ctx, w.now, run.ID, time.Time{}))
	known = w.run(run.ID)
	w.same("was interrupted, and waits again", []any{known.State, known.FinishedAt.IsZero(), known.WorkflowRun}, []any{store.Waiting, true, int64(77)})
	w.fail(known)
	w.same("ended", errors.Is(w.store.NoteDispatch(w.ctx, w.now, run.ID, 1), store.ErrRunFinished), true)
	w.check(w.store.WaitAgain(w.ctx, w.now, run.ID, w.now))
	w.same("stays ended", w.run(run.ID).State, store.RunFailed)

	never := w.queuedRun()
	w.check(w.store.WaitAgain(w.ctx, w.now, never.ID, w.now.Add(time.Hour)))
	w.same("asked for no job", w.run(never.ID).State, store.Queued)
}

// startWaiting opens one run for each run of a workflow.
func startWaiting(w *world) {
	made, err := w.store.StartWaiting(w.ctx, w.now, store.Run{Project: w.project.ID, WorkflowRun: 5})
	w.check(err)
	known := w.run(made.ID)
	w.same("stored", known, made)
	w.same("made", []any{made.State, made.Trigger, made.Actor, made.DispatchedAt, made.AskedAt},
		[]any{store.Waiting, store.Relayed, store.Relay, micro(w.now), micro(w.now.Add(-24 * time.Hour))})
	w.same("its job", w.depth(), store.Depth{Waiting: 1})
	times, err := w.store.Dispatches(w.ctx, w.project.ID, noon.Add(-time.Hour))
	w.check(err)
	w.same("nothing was dispatched", len(times), 0)

	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			again, err := w.store.StartWaiting(w.ctx, w.now, store.Run{Project: w.project.ID, WorkflowRun: 5})
			if err != nil || again.ID != made.ID {
				w.Errorf("%v: %s", err, again.ID)
			}
		})
	}
	group.Wait()
	w.same("still one job", w.depth(), store.Depth{Waiting: 1})
	found, ok, err := w.store.RunOfWorkflow(w.ctx, w.project.ID, 5)
	w.check(err)
	w.same("found by the workflow's run", []any{ok, found.ID}, []any{true, made.ID})
	_, ok, err = w.store.RunOfWorkflow(w.ctx, w.newProject("acme", "other", 8).ID, 5)
	w.check(err)
	w.same("in another project", ok, false)
	w.fail(made)
	_, ok, err = w.store.RunOfWorkflow(w.ctx, w.project.ID, 5)
	w.check(err)
	w.same("once it has ended", ok, false)
	next, err := w.store.StartWaiting(w.ctx, w.now, store.Run{Project: w.project.ID, WorkflowRun: 5})
	w.check(err)
	w.same("another run", next.ID != made.ID, true)

	_, err = w.store.StartWaiting(w.ctx, w.now, store.Run{Project: w.project.ID})
	w.same("without its number", fault.Is(err, fault.RequestInvalid), true)
	_, err = w.store.StartWaiting(w.ctx, w.now, store.Run{Project: uuid.New(), WorkflowRun: 6})
	w.same("of no project", fault.Is(err, fault.ProjectNotFound), true)
}

// session is one that can be opened for a run.
func (w *world) session(run store.Run, workflow int64) store.Session {
	id := strings.ReplaceAll(uuid.NewString(), "-", "")
	return store.Session{
		Project: w.project.ID, Run: run.ID, TokenHash: id + id, WorkflowRun: workflow, RunAttempt: 1, ExpiresAt: w.now.Add(15 * time.Minute),
	}
}

func sessions(w *world) {
	run := w.queuedRun()
	w.check(w.dispatch(run)) // the job comes before its number was noted
	first := w.session(run, 77)
	w.check(w.store.OpenSession(w.ctx, w.now, first))
	got, found, err := w.store.SessionByToken(w.ctx, first.TokenHash)
	w.check(err)
	first.ID, first.CreatedAt, first.ExpiresAt = got.ID, micro(w.now), micro(first.ExpiresAt)
	w.same("opened", []any{found, got}, []any{true, first})
	w.same("live", []bool{got.Live(w.now), got.Live(first.ExpiresAt)}, []bool{true, false})
	known := w.run(run.ID)
	w.same("its run", []any{known.State, known.WorkflowRun}, []any{store.Waiting, int64(77)})

	w.check(w.store.NoteWaiting(w.ctx, w.now, run.ID, fault.New(fault.SourceUnavailable, fault.Context{"reason": "late"})))
	w.now = w.now.Add(time.Minute)
	second := w.session(run, 77)
	second.RunAttempt = 2
	w.check(w.store.OpenSession(w.ctx, w.now, second))
	known = w.run(run.ID)
	w.same("the complaint is taken back", []any{known.Code, known.Error, known.Result == nil}, []any{fault.Code(""), "", true})
	got, _, err = w.store.SessionByToken(w.ctx, first.TokenHash)
	w.check(err)
	w.same("the one before has ended", got.EndedAt.UTC(), micro(w.now))
	live, found, err := w.store.LiveSession(w.ctx, w.now, run.ID)
	w.check(err)
	w.same("the live one", []any{found, live.TokenHash}, []any{true, second.TokenHash})
	_, found, err = w.store.LiveSession(w.ctx, second.ExpiresAt, run.ID)
	w.check(err)
	w.same("expired", found, false)

	next := w.queuedRun()
	w.now = w.now.Add(yield - time.Second)
	w.heldBy("behind one that a job has claimed", w.dispatch(next), run, live.CreatedAt.Add(yield))
	w.now = w.now.Add(time.Second)
	w.check(w.dispatch(next))

	w.check(w.store.EndSession(w.ctx, w.now, live.ID))
	ended := w.now
	w.now = w.now.Add(time.Second)
	w.check(w.store.EndSession(w.ctx, w.now, live.ID))
	got, _, err = w.store.SessionByToken(w.ctx, second.TokenHash)
	w.check(err)
	w.same("ended once", got.EndedAt.UTC(), micro(ended))
	_, found, err = w.store.SessionByToken(w.ctx, someOptions)
	w.check(err)
	w.same("unknown", found, false)
	w.refusedSessions(run)
}

func (w *world) refusedSessions(run store.Run) {
	w.Helper()
	w.same("another run of the workflow", errors.Is(w.store.OpenSession(w.ctx, w.now, w.session(run, 78)), store.ErrOtherWorkflow), true)
	w.same("an earlier attempt", errors.Is(w.store.OpenSession(w.ctx, w.now, w.session(run, 77)), store.ErrEarlierAttempt), true)
	none := w.session(store.Run{ID: uuid.New()}, 77)
	w.same("no such run", fault.Is(w.store.OpenSession(w.ctx, w.now, none), fault.ResourceNotFound), true)
	other := w.session(run, 77)
	other.Project = w.newProject("acme", "other", 8).ID
	w.same("a run of another project", fault.Is(w.store.OpenSession(w.ctx, w.now, other), fault.ResourceNotFound), true)
	for name, change := range map[string]func(*store.Session){
		"a token itself": func(n *store.Session) { n.TokenHash = "osr_token" },
		"expired":        func(n *store.Session) { n.ExpiresAt = w.now },
	} {
		bad := w.session(run, 77)
		change(&bad)
		w.same(name, fault.Is(w.store.OpenSession(w.ctx, w.now, bad), fault.RequestInvalid), true)
	}
	w.fail(run)
	w.same("a run that has ended", errors.Is(w.store.OpenSession(w.ctx, w.now, w.session(run, 77)), store.ErrRunFinished), true)

	// An interrupted run waits for its job once more.
	again := w.begin()
	again.State = store.Abandoned
	_, err := w.store.Record(w.ctx, w.now, store.Outcome{Project: w.project.ID, Actor: store.Local, Run: again})
	w.check(err)
	w.check(w.store.OpenSession(w.ctx, w.now, w.session(again, 80)))
	known := w.run(again.ID)
	w.same("interrupted, and claimed", []any{known.State, known.FinishedAt.IsZero()}, []any{store.Waiting, true})
}

// seenTokens works once.
func seenTokens(w *world) {
	token := store.SeenToken{Issuer: "https://issuer", ID: "jti", ExpiresAt: w.now.Add(5 * time.Minute)}
	var mu sync.Mutex
	var group sync.WaitGroup
	fresh := 0
	for range 6 {
		group.Go(func() {
			ok, err := w.store.SeeToken(w.ctx, w.now, token)
			if err != nil {
				w.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if ok {
				fresh++
			}
		})
	}
	group.Wait()
	w.same("fresh once", fresh, 1)
	other := token
	other.Issuer = "https://another"
	ok, err := w.store.SeeToken(w.ctx, w.now, other)
	w.check(err)
	w.same("of another issuer", ok, true)
	for _, bad := range []store.SeenToken{{}, {Issuer: "i", ExpiresAt: w.now}, {Issuer: "i", ID: "\x00", ExpiresAt: w.now}, {Issuer: "i", ID: "j"},
		{Issuer: "i", ID: strings.Repeat("x", 501), ExpiresAt: w.now}} {
		ok, err := w.store.SeeToken(w.ctx, w.now, bad)
		w.same(fmt.Sprintf("%.20q", bad.ID), []any{ok, fault.Is(err, fault.RequestInvalid)}, []any{false, true})
	}
}

// relayUpkeep forgets what is over, and nothing before.
func relayUpkeep(w *world) {
	run := w.queuedRun()
	w.check(w.dispatch(run))
	session := w.session(run, 77)
	w.check(w.store.OpenSession(w.ctx, w.now, session))
	token := store.SeenToken{Issuer: "i", ID: "j", ExpiresAt: w.now.Add(5 * time.Minute)}
	_, err := w.store.SeeToken(w.ctx, w.now, token)
	w.check(err)
	left := func() []any {
		w.Helper()
		w.check(w.store.Upkeep(w.ctx, w.now))
		times, err := w.store.Dispatches(w.ctx, w.project.ID, noon.Add(-time.Hour))
		w.check(err)
		_, known, err := w.store.SessionByToken(w.ctx, session.TokenHash)
		w.check(err)
		return []any{len(times), known}
	}
	w.now = w.now.Add(time.Hour)
	w.same("within the hour", left(), []any{1, true})
	fresh, err := w.store.SeeToken(w.ctx, w.now, token)
	w.check(err)
	w.same("the token is still known", fresh, false)
	w.now = w.now.Add(2 * 24 * time.Hour)
	w.same("days later", left(), []any{0, false})
	fresh, err = w.store.SeeToken(w.ctx, w.now, token)
	w.check(err)
	w.same("the token is forgotten", fresh, true)
}
