package store_test

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

const patience = 30 * time.Second

// someHash stands in for the hash of a run's options.
var someHash = strings.Repeat("ab", 32)

// work works until the test ends, with the times of a service shortened.
func work(t *testing.T, s *store.Store, workers map[string]store.Worker) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- s.Work(ctx, store.WorkConfig{
			Workers: workers, Cooldown: 5 * time.Millisecond, Grace: time.Second, Heartbeat: 50 * time.Millisecond, Lapse: time.Second,
		})
	}()
	t.Cleanup(func() {
		stop()
		select {
		case err := <-done:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(patience):
			t.Error("the work does not end")
		}
	})
}

// queued opens a database with its queue, and starts a run in it.
func queued(t *testing.T, dsn string) (*store.Store, store.Run) {
	t.Helper()
	s := storetest.Open(t, store.Config{DSN: dsn, Queue: true})
	p := remember(t, s)
	run, _, err := s.StartRun(t.Context(), time.Now(), store.Run{Project: p.ID, Actor: store.Local}, store.StartOptions{OptionsHash: someHash})
	if err != nil {
		t.Fatal(err)
	}
	return s, run
}

func receive(t *testing.T, jobs <-chan store.Job) store.Job {
	t.Helper()
	select {
	case j := <-jobs:
		return j
	case <-time.After(patience):
		t.Fatal("the job does not come")
		return store.Job{}
	}
}

// TestKilledWorker kills a process in the middle of a run: another takes the run up.
func TestKilledWorker(t *testing.T) {
	for name, fresh := range map[string]func(testing.TB) string{"sqlite": storetest.SQLite, "postgres": storetest.Postgres} {
		t.Run(name, func(t *testing.T) {
			dsn := fresh(t)
			s, run := queued(t, dsn)
			self, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			other := exec.Command(self, "-test.run=^TestWorkingProcess$")
			other.Env = append(os.Environ(), workVariable+"="+dsn)
			out, err := other.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := other.Start(); err != nil {
				t.Fatal(err)
			}
			said := make([]byte, len("begun"))
			if _, err := out.Read(said); err != nil || string(said) != "begun" {
				t.Fatalf("the other process says %q: %v", said, err)
			}
			if err := other.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			killed := time.Now()
			other.Wait()
			// The lock of the file is free, so its holder is dead; with PostgreSQL nobody can tell yet.
			want := map[string]int{"sqlite": 1, "postgres": 2}[name]
			if live, _, err := s.Beat(t.Context(), time.Now(), uuid.New(), "here"); err != nil || live != want {
				t.Errorf("%d replicas live after the kill, want %d: %v", live, want, err)
			}
			jobs := make(chan store.Job, 1)
			work(t, s, map[string]store.Worker{store.SyncJob: func(_ context.Context, j store.Job) error { jobs <- j; return nil }})
			j := receive(t, jobs)
			t.Logf("taken up %s after the kill", time.Since(killed))
			if j.Run != run.ID || j.Attempt != 2 {
				t.Errorf("job of run %s, attempt %d; want %s, 2", j.Run, j.Attempt, run.ID)
			}
		})
	}
}

// TestOneProcessToAFile keeps a second process from the work on an SQLite file as long as the first
// one is at it, and no longer.
func TestOneProcessToAFile(t *testing.T) {
	dsn := storetest.SQLite(t)
	first, err := store.Open(t.Context(), store.Config{DSN: dsn, Queue: true})
	if err != nil {
		t.Fatal(err)
	}
	me := uuid.New()
	second := storetest.Open(t, store.Config{DSN: dsn, Queue: true})
	if _, _, err := first.Beat(t.Context(), time.Now(), uuid.New(), "the first"); err != nil {
		t.Fatal(err)
	}
	if live, _, err := second.Beat(t.Context(), time.Now(), me, "the second"); err != nil || live != 2 {
		t.Errorf("%d replicas live, want both: %v", live, err)
	}
	waiting := store.WorkConfig{Workers: map[string]store.Worker{"none": nil}, Grace: time.Millisecond}
	if err := second.Work(t.Context(), waiting); !fault.Is(err, fault.StoreUnavailable) {
		t.Errorf("beside another process: %v", err)
	}
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() { done <- second.Work(ctx, waiting) }()
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	for { // until it holds the work, and the first is forgotten
		live, _, err := second.Beat(t.Context(), time.Now(), me, "the second")
		if err != nil {
			t.Fatal(err)
		}
		if live == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	if err := <-done; err != nil {
		t.Errorf("once the other was gone: %v", err)
	}
}

const workVariable = "OCTOSEAL_STORE_TEST_WORK"

// TestWorkingProcess is the other process of TestKilledWorker.
func TestWorkingProcess(t *testing.T) {
	dsn := os.Getenv(workVariable)
	if dsn == "" {
		t.Skip("only as another test's process")
	}
	s, err := store.Open(t.Context(), store.Config{DSN: dsn, Queue: true})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Work(t.Context(), store.WorkConfig{Workers: map[string]store.Worker{store.SyncJob: func(context.Context, store.Job) error {
		os.Stdout.WriteString("begun")
		select {}
	}}})
	t.Fatal(err)
}

// TestDatabaseAway cuts the line to PostgreSQL in the middle of a job.
func TestDatabaseAway(t *testing.T) {
	dsn, line := storetest.Severable(t)
	s, run := queued(t, dsn)
	jobs := make(chan store.Job, 10)
	away := make(chan struct{})
	var cut atomic.Bool
	work(t, s, map[string]store.Worker{
		store.SyncJob: func(ctx context.Context, j store.Job) error {
			jobs <- j
			if j.Run == run.ID && cut.CompareAndSwap(false, true) {
				line.Cut()
				close(away)
			}
			return nil // and nobody hears of it
		},
		"after": func(_ context.Context, j store.Job) error { jobs <- j; return nil },
	})
	receive(t, jobs)
	<-away
	for name, call := range everything(s, run) {
		begun := time.Now()
		if err := call(t.Context()); !fault.Is(err, fault.StoreUnavailable) {
			t.Errorf("%s without a database: %v", name, err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("%s took %s to find out", name, took)
		}
	}
	time.Sleep(2 * time.Second)
	line.Mend()
	mended := time.Now()
	for name, call := range everything(s, run) {
		if err := call(t.Context()); err != nil {
			t.Errorf("%s with its database again: %v", name, err)
		}
	}
	if err := s.Enqueue(t.Context(), time.Now(), store.Job{Kind: "after"}); err != nil {
		t.Fatal(err)
	}
	for deadline := mended.Add(patience); ; time.Sleep(5 * time.Millisecond) {
		d, err := s.QueueDepth(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if d == (store.Depth{Later: 1}) { // the one that never comes
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("left in the queue: %+v", d)
		}
	}
	t.Logf("all was done %s after the database was back", time.Since(mended))
}

// everything calls methods of all sorts.
func everything(s *store.Store, run store.Run) map[string]func(context.Context) error {
	now := time.Now()
	return map[string]func(context.Context) error{
		"Ready": s.Ready,
		"Ping":  s.Ping,
		"EnsureUser": func(ctx context.Context) error {
			_, err := s.EnsureUser(ctx, now, uuid.NewString())
			return err
		},
		"TokenByHash": func(ctx context.Context) error {
			_, _, _, err := s.TokenByHash(ctx, someHash)
			return err
		},
		"Projects": func(ctx context.Context) error {
			_, _, err := s.Projects(ctx, store.ProjectFilter{})
			return err
		},
		"ActiveProjects": func(ctx context.Context) error {
			for _, err := range s.ActiveProjects(ctx) {
				return err
			}
			return nil
		},
		"StartRun": func(ctx context.Context) error {
			_, _, err := s.StartRun(ctx, now, store.Run{Project: run.Project, Actor: store.Scheduler}, store.StartOptions{OptionsHash: someHash})
			return err
		},
		"Standing": func(ctx context.Context) error {
			_, err := s.Standing(ctx, store.Inquiry{Project: run.Project})
			return err
		},
		"Acquire": func(ctx context.Context) error {
			l, err := s.Acquire(ctx, now, store.LeaseRequest{Project: run.Project, Run: run.ID})
			if err == nil {
				err = l.Release(ctx)
			}
			return err
		},
		"Record": func(ctx context.Context) error {
			_, err := s.Record(ctx, now, store.Outcome{Project: run.Project, Actor: store.Local, Events: []audit.Event{}})
			return err
		},
		"Enqueue": func(ctx context.Context) error {
			return s.Enqueue(ctx, now, store.Job{Kind: "never", Key: "k", At: now.Add(time.Hour)})
		},
		"QueueDepth": func(ctx context.Context) error {
			_, err := s.QueueDepth(ctx)
			return err
		},
		"Beat": func(ctx context.Context) error {
			_, _, err := s.Beat(ctx, now, run.ID, "here")
			return err
		},
		"Upkeep": func(ctx context.Context) error { return s.Upkeep(ctx, now) },
	}
}
