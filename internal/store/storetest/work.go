package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// The times of tests: those of a service, shortened.
const (
	soon   = 10 * time.Second // for what happens at once, on a busy machine
	aBeat  = 50 * time.Millisecond
	aLapse = 600 * time.Millisecond
)

// working is a Work that runs.
type working struct {
	w    *world
	stop context.CancelFunc
	done chan error
}

// work works with one kind of job until the test ends or stop is called.
func (w *world) work(s *store.Store, workers map[string]store.Worker, periodic ...store.Periodic) *working {
	ctx, stop := context.WithCancel(w.ctx)
	running := &working{w: w, stop: stop, done: make(chan error, 1)}
	go func() {
		running.done <- s.Work(ctx, store.WorkConfig{
			Workers: workers, Periodic: periodic, Cooldown: 5 * time.Millisecond, Grace: time.Second, Heartbeat: aBeat, Lapse: aLapse,
		})
	}()
	w.Cleanup(running.end)
	return running
}

// end stops the work and waits for its end. It may be called more than once.
func (r *working) end() {
	r.w.Helper()
	r.stop()
	if r.done == nil {
		return
	}
	select {
	case err := <-r.done:
		r.done = nil
		if err != nil {
			r.w.Error(err)
		}
	case <-time.After(2 * soon):
		r.w.Error("the work does not end")
	}
}

// eventually waits until something is so.
func (w *world) eventually(what string, so func() bool) {
	w.Helper()
	for deadline := time.Now().Add(3 * soon); !so(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatalf("not in time: %s", what)
		}
	}
}

func (w *world) enqueue(j store.Job) {
	w.Helper()
	w.check(w.store.Enqueue(w.ctx, w.now, j))
}

// jobs does what was added, with what it was added with, once each.
func jobs(w *world) {
	got := make(chan store.Job, 10)
	take := func(_ context.Context, j store.Job) error { got <- j; return nil }
	run, _ := w.start(store.Local, "", someOptions)
	w.work(w.store, map[string]store.Worker{store.SyncJob: take, "hook": take})
	j := <-got
	w.same("a run's job", []any{j.Kind, j.Project, j.Run, strings.ReplaceAll(string(j.Args), " ", ""), j.Attempt},
		[]any{store.SyncJob, w.project.ID, run.ID, `{"force":true}`, 1})
	begun := time.Now()
	w.enqueue(store.Job{Kind: "hook", Project: w.project.ID, Key: "a", Args: json.RawMessage(`{"x":[1]}`)})
	j = <-got
	w.Logf("taken %s after it was added", time.Since(begun))
	w.same("another", []any{j.Kind, j.Project, j.Key, j.Run}, []any{"hook", w.project.ID, "a", uuid.Nil})

	w.enqueue(store.Job{Kind: "hook", At: w.now.Add(time.Hour)})
	w.eventually("what is done is no longer counted", func() bool { return w.depth() == store.Depth{Later: 1} })
}

// uniqueJobs adds a job of one key while another waits, is at work, and is done.
func uniqueJobs(w *world) {
	key := store.Job{Kind: "hook", Key: "k"}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if err := w.store.Enqueue(w.ctx, w.now, key); err != nil {
				w.Error(err)
			}
		})
	}
	group.Wait()
	w.same("one waits", w.depth(), store.Depth{Waiting: 1})
	w.enqueue(store.Job{Kind: "hook", Key: "other"})
	w.enqueue(store.Job{Kind: "drift", Key: "k"})
	w.enqueue(store.Job{Kind: "drift", Key: "later", At: w.now.Add(time.Hour)})
	w.enqueue(store.Job{Kind: "drift", Key: "later"})
	w.same("other keys and kinds", w.depth(), store.Depth{Waiting: 3, Later: 1})

	begun, goOn := make(chan string, 10), make(chan struct{})
	w.work(w.store, map[string]store.Worker{
		"hook":  func(_ context.Context, j store.Job) error { begun <- j.Key; <-goOn; return nil },
		"drift": func(context.Context, store.Job) error { return nil },
	})
	<-begun
	<-begun
	w.enqueue(key) // the first may have looked already
	<-begun
	close(goOn)
	w.eventually("all are done", func() bool { return w.depth() == store.Depth{Later: 1} })
}

// retries fails twice, snoozes in between, and is counted right.
func retries(w *world) {
	var mu sync.Mutex
	var attempts []int
	w.enqueue(store.Job{Kind: "hook"})
	w.work(w.store, map[string]store.Worker{"hook": func(_ context.Context, j store.Job) error {
		mu.Lock()
		defer mu.Unlock()
		switch attempts = append(attempts, j.Attempt); len(attempts) {
		case 1:
			return errors.New("GitHub is away")
		case 2, 3:
			return fmt.Errorf("limited: %w", store.Snooze{Until: time.Now().Add(300 * time.Millisecond)})
		case 4:
			panic("no such luck")
		}
		return nil
	}})
	w.eventually("done at last", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(attempts) == 5
	})
	w.same("attempts", attempts, []int{1, 2, 2, 2, 3})
}

// stopping lets what is at work end, and puts back what does not.
func stopping(w *world) {
	var quick, slow atomic.Int32
	w.enqueue(store.Job{Kind: "quick"})
	w.enqueue(store.Job{Kind: "slow"})
	workers := map[string]store.Worker{
		"quick": func(ctx context.Context, _ store.Job) error {
			quick.Add(1)
			time.Sleep(300 * time.Millisecond)
			return ctx.Err()
		},
		"slow": func(ctx context.Context, j store.Job) error {
			if slow.Add(1) > 1 {
				w.same("no attempt is counted", j.Attempt, 1)
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		},
	}
	r := w.work(w.store, workers)
	w.eventually("both are at work", func() bool { return quick.Load() == 1 && slow.Load() == 1 })
	r.end()
	w.same("one is put back", w.depth(), store.Depth{Waiting: 1})
	w.work(w.store, workers)
	w.eventually("it is done again", func() bool { return w.depth() == store.Depth{} })
	w.same("the other was done", quick.Load(), int32(1))
}

// deadWorker takes the job of a replica that gives no sign of life, and leaves alone that of one
// which does, however long it takes.
func deadWorker(w *world) {
	w.enqueue(store.Job{Kind: "long"})
	var begun atomic.Int32
	goOn := make(chan struct{})
	long := map[string]store.Worker{
		"long": func(context.Context, store.Job) error { begun.Add(1); <-goOn; return nil },
		"dead": func(context.Context, store.Job) error { begun.Add(1); return nil },
	}
	w.work(w.store, long)
	w.eventually("it is at work", func() bool { return begun.Load() == 1 })
	w.work(w.second(), long)
	time.Sleep(3 * aLapse)
	w.same("begun", begun.Load(), int32(1))

	w.abandoned("dead")
	w.eventually("the dead one's is done", func() bool { return begun.Load() == 2 })
	close(goOn)
	w.eventually("all is done", func() bool { return w.depth() == store.Depth{} })
}

// abandoned adds a job that a replica took and died of.
func (w *world) abandoned(kind string) {
	w.Helper()
	w.enqueue(store.Job{Kind: kind, At: w.now.Add(time.Hour)})
	by := "json_array('" + uuid.NewString() + "')"
	if w.onPostgres() {
		by = "ARRAY['" + uuid.NewString() + "']"
	}
	_, err := w.raw().ExecContext(w.ctx, "UPDATE river_job SET state = 'running', scheduled_at = created_at, attempt = 1, attempted_by = "+by+" WHERE kind = '"+kind+"'")
	w.check(err)
}

// poison is a job that kills whoever takes it: at last it is given up, and its run with it.
func poison(w *world) {
	run, _ := w.start(store.Local, "", someOptions)
	by := "json_array('gone')"
	if w.onPostgres() {
		by = "ARRAY['gone']"
	}
	_, err := w.raw().ExecContext(w.ctx, "UPDATE river_job SET state = 'running', attempt = max_attempts, attempted_by = "+by)
	w.check(err)
	w.work(w.store, map[string]store.Worker{store.SyncJob: func(context.Context, store.Job) error {
		w.Error("it is tried again")
		return nil
	}})
	w.eventually("the run ends", func() bool {
		known, _, err := w.store.Run(w.ctx, run.ID)
		w.check(err)
		return known.State == store.RunFailed && known.Code == fault.Unexpected
	})
	w.same("no job is left", w.depth(), store.Depth{})
	told := w.page(store.Filter{CorrelationID: run.ID, Limit: 5})
	w.same("events", len(told), 1)
	w.same("event", []any{told[0].Operation, told[0].Status, told[0].ActorID, len(told[0].AffectedScopes)}, []any{audit.SyncAll, audit.Failure, store.Local, 3})
	w.verify(1)
}

// second is another store on the same database, as another replica has.
func (w *world) second() *store.Store {
	w.Helper()
	return Open(w, w.config())
}

// periodic adds its job once for all replicas, and goes on when their leader ends. With SQLite the next
// one begins only then.
func periodic(w *world) {
	var n atomic.Int32
	count := map[string]store.Worker{"often": func(context.Context, store.Job) error { n.Add(1); return nil }}
	often := store.Periodic{Kind: "often", Every: 2 * time.Second}
	begun := time.Now()
	first := w.work(w.store, count, often)
	second, several := w.second(), w.store.Dialect() == "postgres"
	if several {
		w.work(second, count, often)
	}
	w.eventually("it runs again", func() bool { return n.Load() >= 2 })
	first.end()
	if !several {
		w.work(second, count, often)
	}
	had := n.Load()
	w.eventually("it runs without the first replica", func() bool { return n.Load() > had })
	if most := int32(time.Since(begun)/often.Every) + 2; n.Load() > most {
		w.Errorf("%d in %s: more than one a period", n.Load(), time.Since(begun))
	}
}

func withoutQueue(w *world) {
	cfg := w.config()
	cfg.Queue = false
	s := Open(w, cfg)
	w.same("ready", fault.Is(s.Ready(w.ctx), fault.StoreUnavailable), true)
	_, _, err := s.StartRun(w.ctx, w.now, store.Run{Project: w.project.ID, Actor: store.Local}, store.StartOptions{OptionsHash: someOptions})
	w.same("starting a run", fault.Is(err, fault.RequestInvalid), true)
	w.same("adding a job", fault.Is(s.Enqueue(w.ctx, w.now, store.Job{Kind: "any"}), fault.RequestInvalid), true)
	w.same("working", fault.Is(s.Work(w.ctx, store.WorkConfig{}), fault.RequestInvalid), true)
	w.check(w.store.Ready(w.ctx))
}
