package storetest

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

var someOptions, otherOptions = strings.Repeat("ab", 32), strings.Repeat("cd", 32)

// start starts a run that must be answered without an error.
func (w *world) start(actor uuid.UUID, key, options string) (store.Run, bool) {
	w.Helper()
	run, joined, err := w.store.StartRun(w.ctx, w.now, store.Run{Project: w.project.ID, Actor: actor},
		store.StartOptions{IdempotencyKey: key, OptionsHash: options, Args: json.RawMessage(`{"force":true}`)})
	w.check(err)
	return run, joined
}

func (w *world) depth() store.Depth {
	w.Helper()
	d, err := w.store.QueueDepth(w.ctx)
	w.check(err)
	return d
}

func startRun(w *world) {
	ada, bob := w.user("ada"), w.user("bob")
	first, joined := w.start(ada.ID, "k", someOptions)
	w.same("new", []any{joined, first.State, first.Trigger, first.OptionsHash}, []any{false, store.Queued, store.Manual, someOptions})
	stored, found, err := w.store.Run(w.ctx, first.ID)
	w.check(err)
	w.same("stored", []any{found, stored}, []any{true, first})
	w.same("one job", w.depth(), store.Depth{Waiting: 1})

	again, joined := w.start(ada.ID, "k", someOptions)
	w.same("the same key", []any{joined, again.ID}, []any{true, first.ID})
	again, joined = w.start(ada.ID, "", someOptions)
	w.same("nobody began it yet", []any{joined, again.ID}, []any{true, first.ID})
	_, joined = w.start(ada.ID, "", otherOptions)
	w.same("other options", joined, false)
	_, joined = w.start(bob.ID, "k", someOptions)
	w.same("another user's key", joined, false)
	_, _, err = w.store.StartRun(w.ctx, w.now, store.Run{Project: w.project.ID, Actor: ada.ID}, store.StartOptions{IdempotencyKey: "k", OptionsHash: otherOptions})
	w.same("the same key for something else", fault.Is(err, fault.RequestInvalid), true)
	w.same("a job for each run", w.depth(), store.Depth{Waiting: 3})

	w.check(w.store.BeginRun(w.ctx, store.Run{ID: first.ID, Project: w.project.ID, Actor: ada.ID, StartedAt: w.now}))
	next, joined := w.start(ada.ID, "", someOptions)
	w.same("begun already", joined, false)
	w.record(store.Run{ID: first.ID}, store.Outcome{})
	w.now = w.now.Add(24*time.Hour - time.Microsecond)
	again, joined = w.start(ada.ID, "k", someOptions)
	w.same("ended, and answered again", []any{joined, again.ID, again.State}, []any{true, first.ID, store.Succeeded})
	w.now = w.now.Add(time.Microsecond)
	again, _ = w.start(ada.ID, "k", someOptions)
	w.same("a day later the key is another's", again.ID, next.ID)

	w.refusedStarts(ada.ID)
}

func (w *world) refusedStarts(actor uuid.UUID) {
	w.Helper()
	for name, bad := range map[string]struct {
		project uuid.UUID
		options store.StartOptions
		code    fault.Code
	}{
		"unknown project": {uuid.New(), store.StartOptions{OptionsHash: someOptions}, fault.ProjectNotFound},
		"no hash":         {w.project.ID, store.StartOptions{}, fault.RequestInvalid},
		"a long key":      {w.project.ID, store.StartOptions{OptionsHash: someOptions, IdempotencyKey: strings.Repeat("k", 256)}, fault.RequestInvalid},
		"a key of bytes":  {w.project.ID, store.StartOptions{OptionsHash: someOptions, IdempotencyKey: "\xff"}, fault.RequestInvalid},
	} {
		_, _, err := w.store.StartRun(w.ctx, w.now, store.Run{Project: bad.project, Actor: actor}, bad.options)
		w.same(name, fault.Is(err, bad.code), true)
	}
}

// startTogether sends one request many times at once, with a key and without.
func startTogether(w *world) {
	for _, key := range []string{"once", ""} {
		before := w.depth().Waiting
		options := someOptions
		if key == "" {
			options = otherOptions
		}
		ids, made := make([]uuid.UUID, 16), make([]bool, 16)
		var group sync.WaitGroup
		for i := range ids {
			group.Go(func() {
				run, joined, err := w.store.StartRun(w.ctx, w.now, store.Run{Project: w.project.ID, Actor: store.Local},
					store.StartOptions{IdempotencyKey: key, OptionsHash: options})
				if err != nil {
					w.Error(err)
				}
				ids[i], made[i] = run.ID, !joined
			})
		}
		group.Wait()
		runs := 0
		for i := range ids {
			w.same("the run", ids[i], ids[0])
			if made[i] {
				runs++
			}
		}
		w.same("made once", []int{runs, w.depth().Waiting - before}, []int{1, 1})
	}
}

// startWholly asks that a start which is cut off leaves neither run nor job.
func startWholly(w *world) {
	for range 50 {
		ctx, cancel := context.WithCancel(w.ctx)
		go cancel()
		_, _, _ = w.store.StartRun(ctx, w.now, store.Run{Project: w.project.ID, Actor: store.Local}, store.StartOptions{OptionsHash: someOptions})
	}
	runs, err := w.store.LastRuns(w.ctx, w.project.ID, 100)
	w.check(err)
	w.same("a job for each run", w.depth().Waiting, len(runs))
}

func progress(w *world) {
	run := w.begin()
	w.check(w.store.RunProgress(w.ctx, w.now, run.ID, store.Progress{Total: 9, Synced: 3, Skipped: 2, Failed: 1, Writes: 4}))
	known, _, err := w.store.Run(w.ctx, run.ID)
	w.check(err)
	w.same("so far", []int{known.Total, known.Synced, known.Skipped, known.Failed, known.Writes}, []int{9, 3, 2, 1, 4})
	run.Total = 10
	w.record(run, store.Outcome{})
	w.check(w.store.RunProgress(w.ctx, w.now, run.ID, store.Progress{}))
	known, _, err = w.store.Run(w.ctx, run.ID)
	w.check(err)
	w.same("once ended", known.Total, 10)
}
