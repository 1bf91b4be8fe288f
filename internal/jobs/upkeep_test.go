package jobs_test

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// Three months of events go by whole months as the clock of a service moves ahead, and what is left of
// the trail verifies at each step.
func TestUpkeepPurgesWholeMonths(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p := w.project(repo)
		first, last := time.Date(2026, time.August, 20, 12, 0, 0, 0, time.UTC), time.Date(2026, time.November, 20, 12, 0, 0, 0, time.UTC)
		weeks := 0
		for at := first; at.Before(last); at = at.AddDate(0, 0, 7) {
			w.recordEvent(p, at)
			weeks++
		}
		var days atomic.Int64
		clock := func() time.Time { return last.AddDate(0, 0, int(days.Load())) }
		r := w.replica(func(j *jobs.Config, _ *github.Config) { j.Now, j.Upkeep, j.Interval = clock, time.Second, -1 })
		bound, err := r.service.For(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		whole := w.verified(bound, "")
		if whole.Events != int64(weeks) || whole.Anchor != 0 {
			t.Fatalf("before any upkeep: %+v", whole)
		}
		r.run()
		for _, step := range []struct {
			days int64
			left int64
			head string // kept elsewhere
		}{
			{0, int64(weeks), whole.HeadHash},
			{30, int64(weeks) - 2, whole.HeadHash}, // the two weeks in August
			{120, 0, whole.HeadHash},               // it is the anchor by now
		} {
			days.Store(step.days)
			w.eventually("the months that are over go", 20*time.Second, func() bool { return w.verified(bound, step.head).Events == step.left })
			if v := w.verified(bound, step.head); v.Anchor != int64(weeks)-step.left || v.HeadHash != whole.HeadHash {
				t.Errorf("%d days later: %+v", step.days, v)
			}
		}
		w.recordEvent(p, clock())
		if v := w.verified(bound, ""); v.Events != 1 || v.HeadSeq != int64(weeks)+1 {
			t.Errorf("after the next run: %+v", v)
		}
	})
}

// recordEvent records a run that ended at a time.
func (w *world) recordEvent(p store.Project, at time.Time) {
	w.t.Helper()
	if err := w.db.Partitions(w.t.Context(), at); err != nil {
		w.t.Fatal(err)
	}
	_, err := w.db.Record(w.t.Context(), at, store.Outcome{
		Project: p.ID, Actor: store.Scheduler,
		Run:    store.Run{ID: uuid.New(), State: store.Succeeded, Trigger: store.Scheduled, StartedAt: at, FinishedAt: at},
		Events: []audit.Event{audit.Event{Operation: audit.SyncAll}.Outcome([]secret.Scope{secret.Codespaces}, nil, "")},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// verified walks the trail, which has to hold, and to have the head that was kept on it.
func (w *world) verified(b *syncing.Bound, kept string) syncing.Verified {
	w.t.Helper()
	v, err := b.VerifyTrail(w.t.Context(), kept)
	if err != nil || !v.Intact {
		w.t.Fatalf("the trail: %+v, %v", v, err)
	}
	return v
}
