package syncing_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A fragile store stops recording what runs did: to memory a run looks as if it had been killed
// after its last write.
type fragile struct {
	*store.Store
	broken atomic.Bool
}

var errDiskFull = errors.New("the disk is full")

func (f *fragile) Record(ctx context.Context, now time.Time, o store.Outcome) (audit.Head, error) {
	if f.broken.Load() && len(o.Mappings)+len(o.States)+len(o.ForgetStates) > 0 {
		return audit.Head{}, errDiskFull
	}
	return f.Store.Record(ctx, now, o)
}

// killed lets a run write everything and remember nothing.
func (w *world) killed(v values, change ...func(*syncing.Request)) {
	w.t.Helper()
	f := &fragile{Store: w.db}
	f.broken.Store(true)
	svc := w.service(w.sim.AddToken(githubsim.Token{}), func(c *syncing.Config) { c.Store = f })
	if _, err := svc.Sync(w.t.Context(), w.request(v, change...)); err == nil {
		w.t.Fatal("the run was recorded")
	}
}

// cancelledAt ends a run when the condition holds of a request that was just answered.
func (w *world) cancelledAt(svc *syncing.Service, v values, when func(githubsim.Request) bool) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	defer cancel()
	w.sim.OnAnswer(func(r githubsim.Request) {
		if when(r) {
			cancel()
		}
	})
	defer w.sim.OnAnswer(nil)
	if _, err := svc.Sync(ctx, w.request(v)); !errors.Is(err, context.Canceled) {
		w.t.Errorf("cancelled: %v", err)
	}
}

func (w *world) heals(v values, change ...func(*syncing.Request)) {
	w.t.Helper()
	if res := w.sync(v, change...); !res.InStep() {
		w.t.Errorf("the next plain run: %+v", res.Errors)
	}
	w.everywhere(v)
	w.converged(v, change...)
	w.intact()
}

// What a killed run wrote is ours, also when the run after it is cancelled before it wrote again.
func TestKilledThenCancelled(t *testing.T) {
	for _, first := range []bool{true, false} {
		w := newWorld(t)
		v := numbered(6)
		if !first {
			w.sync(v)
			w.sim.Advance(10 * time.Second)
			for n := range v {
				v[n] += " changed"
			}
		}
		w.killed(v)
		one := w.service(w.sim.AddToken(githubsim.Token{}), func(c *syncing.Config) { c.Settings.Concurrency = 1 })
		w.cancelledAt(one, v, githubsim.Request.Write)
		w.heals(v)
	}
}

// A run of another source, or one to which the name is excluded, has nothing to do with what a
// killed run wrote, and must not forget that it did.
func TestKilledThenPassedBy(t *testing.T) {
	t.Run("another source", func(t *testing.T) {
		w := newWorld(t)
		v := values{"TOKEN": "ours"}
		w.killed(v)
		w.sync(values{"OTHER": "x"}, from("file:/src/second.env"))
		if res := w.sync(v); !res.InStep() {
			t.Errorf("%+v", res.Errors)
		}
		w.converged(v)
	})
	t.Run("excluded for a while", func(t *testing.T) {
		w := newWorld(t)
		v := values{"TOKEN": "ours"}
		w.sync(v)
		w.sim.Advance(10 * time.Second)
		v["TOKEN"] = "changed"
		w.killed(v)
		ref := w.request(nil).Repo
		if _, err := w.svc.AddRule(t.Context(), ref, "^TOKEN$", "for a while", store.Local); err != nil {
			t.Fatal(err)
		}
		w.sync(v)
		if err := w.svc.RemoveRule(t.Context(), ref, "^TOKEN$"); err != nil {
			t.Fatal(err)
		}
		w.heals(v)
	})
}

// A run whose outcome the database refuses says so, keeps nobody waiting, and is put right.
func TestARefusedRecord(t *testing.T) {
	w := newWorld(t)
	v := numbered(3)
	f := &fragile{Store: w.db}
	f.broken.Store(true)
	svc := w.service(w.sim.AddToken(githubsim.Token{}), func(c *syncing.Config) { c.Store = f })
	_, err := svc.Sync(t.Context(), w.request(v))
	if !errors.Is(err, errDiskFull) {
		t.Errorf("%v", err)
	}
	if run := w.lastRun(); run.State != store.Abandoned || run.Error == "" || run.Writes != 9 {
		t.Errorf("the run is stored as %s, %q, %d writes", run.State, run.Error, run.Writes)
	}
	w.heals(v)
}

// Cancelled when all is written, the run still looks whether it arrived.
func TestCancelledDuringTheClosingLists(t *testing.T) {
	w := newWorld(t)
	v := numbered(3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var wrote atomic.Bool
	w.sim.OnAnswer(func(r githubsim.Request) {
		if wrote.Store(wrote.Load() || r.Write()); wrote.Load() && !r.Write() {
			cancel()
		}
	})
	res, err := w.svc.Sync(ctx, w.request(v))
	if err != nil || res.SyncedCount != 3 {
		t.Errorf("%v %+v", err, res)
	}
	w.sim.ResetRequests()
	w.heals(v)
	if c := w.sim.Counts(); c.Writes != 0 {
		t.Errorf("%d writes, want none: everything had arrived", c.Writes)
	}
}

func TestCancelledWhileRecording(t *testing.T) {
	w := newWorld(t)
	v := numbered(3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	_, err := w.svc.Sync(ctx, w.request(v, func(r *syncing.Request) {
		r.Progress = func(e syncing.Event) {
			if e.Stage == syncing.Recording {
				cancel()
			}
		}
	}))
	if err != nil {
		t.Errorf("there was nothing left to cancel: %v", err)
	}
	if run := w.lastRun(); run.State != store.Succeeded {
		t.Errorf("the run is stored as %s", run.State)
	}
	w.heals(v)
}

// Rules that cannot be asked stop a run; the run says so in its row.
func TestARunThatEndsBeforeItsFirstWrite(t *testing.T) {
	w := newWorld(t)
	w.sync(values{"TOKEN": "t"})
	w.svc = w.service(w.sim.AddToken(githubsim.Token{}), func(c *syncing.Config) { c.Store = ruleless{w.db} })
	if _, err := w.svc.Sync(t.Context(), w.request(values{"TOKEN": "changed"})); err == nil {
		t.Error("written without rules")
	}
	if run := w.lastRun(); run.State != store.RunFailed || run.Code == "" {
		t.Errorf("the run is stored as %s, %q", run.State, run.Code)
	}
	w.intact()
}

type ruleless struct{ *store.Store }

func (ruleless) Rules(context.Context, uuid.UUID) (exclusion.Rules, error) {
	return nil, errors.New("the rules cannot be read")
}

// A list that lags shows the write before ours, and a second ago is near enough to be taken for it.
func TestTwoWritesASecondApartAndAListThatLags(t *testing.T) {
	w := newWorld(t)
	w.sim.Freeze()
	v := values{"TOKEN": "one"}
	w.sync(v)
	w.sim.Advance(time.Second)
	w.sim.Thaw()
	v["TOKEN"] = "two"
	w.sim.SetFaults(githubsim.Faults{ListLag: 30 * time.Millisecond})
	w.sync(v)
	w.sim.SetFaults(githubsim.Faults{})
	w.heals(v)
}
