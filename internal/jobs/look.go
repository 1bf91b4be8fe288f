package jobs

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A watched project is as much of a project as looking at it needs. Beside due, at, looking and
// hurried, which its account guards, only the one look that goes on touches it.
type watched struct {
	id          uuid.UUID
	identity    string // of everything in the row that a look depends on
	owner, repo string
	repository  int64
	valueSource string
	created     time.Time
	interval    time.Duration
	account     *account

	due     time.Time
	at      int // in line; -1 when dropped
	looking bool
	hurried bool

	lastRun atomic.Int64 // when the newest run was asked for, as the roster knows
	loaded  int64        // lastRun as it was when what follows was read; -1: never
	lists   []seenList
	stamp   string // of the source, as the last run saw it
	fullAt  time.Time

	actionsAt, targetsAt time.Time
	asked                uint64 // the state for which a run was started last
	failures             int    // looks that were refused in a row
}

// A seenList is one list: as the last run saw it, and as the last look did.
type seenList struct {
	scope secret.Scope
	run   uint64
	mark  github.Mark
}

func newWatched(row store.ActiveProject, interval time.Duration) *watched {
	w := &watched{
		id: row.ID, identity: identityOf(row), owner: row.Owner, repo: row.Repo, repository: row.RepositoryID,
		valueSource: row.ValueSource, created: row.CreatedAt, interval: interval, loaded: -1,
	}
	if row.SyncInterval > 0 {
		w.interval = row.SyncInterval
	}
	return w
}

func identityOf(r store.ActiveProject) string {
	installation := int64(0)
	if r.InstallationID != nil {
		installation = *r.InstallationID
	}
	return fmt.Sprintf("%s/%s %d %s %d %d", r.Owner, r.Repo, r.RepositoryID, r.ValueSource, r.SyncInterval, installation)
}

// phase is where in an interval the project's turn is, from 0 to 1, the same on every replica.
func (w *watched) phase() float64 { return float64(binary.BigEndian.Uint32(w.id[:4])) / (1 << 32) }

// longestWait bounds how long a project waits whose looks are refused.
const longestWait = 30 * time.Minute

// look looks at whatever of a project is due, and returns when the next look is. It starts a run when
// there is something that the last run did not see, or a full run is due.
func (a *account) look(ctx context.Context, w *watched) (next time.Time) {
	actions, targets := a.intervals(w)
	if err := a.lookAt(ctx, w, actions, targets); err != nil {
		if ctx.Err() == nil {
			a.Log.DebugContext(ctx, "project not looked at", "project", w.id, "cause", err)
		}
		return a.Now().Add(w.afterFailure(err, actions))
	}
	w.failures = 0
	next = soonest(w.actionsAt, w.targetsAt)
	if !w.fullAt.IsZero() {
		next = soonest(next, w.fullAt)
	}
	return next
}

// afterFailure is how long to wait after a look that failed. What is refused or not there is asked for
// less and less; a GitHub or a database that went away may be back any moment.
func (w *watched) afterFailure(err error, interval time.Duration) time.Duration {
	if !fault.Is(err, fault.ResourceNotFound) && !fault.Is(err, fault.IntegrationDenied) {
		return interval
	}
	w.failures++
	return min(interval<<min(w.failures-1, 10), max(interval, longestWait))
}

func (a *account) lookAt(ctx context.Context, w *watched, actions, targets time.Duration) error {
	if asOf := w.lastRun.Load(); w.loaded < 0 || asOf != w.loaded {
		if err := a.recall(ctx, w); err != nil {
			return err
		}
		w.loaded = asOf
	}
	now := a.Now()
	if !w.fullAt.IsZero() && !now.Before(w.fullAt) {
		return a.full(ctx, w, actions)
	}
	due := func(l seenList) bool {
		if l.scope == secret.Actions {
			return !now.Before(w.actionsAt)
		}
		return !now.Before(w.targetsAt)
	}
	for i := range w.lists {
		if l := &w.lists[i]; due(*l) {
			if err := a.glance(ctx, w, l); err != nil {
				return err
			}
		}
	}
	if !now.Before(w.actionsAt) {
		w.actionsAt = now.Add(actions)
	}
	if !now.Before(w.targetsAt) {
		w.targetsAt = now.Add(targets)
	}
	return a.compare(ctx, w)
}

// glance looks at one list. A store that is not there any more is the next run's to report.
func (a *account) glance(ctx context.Context, w *watched, l *seenList) error {
	if err := a.limiter.WaitN(ctx, min(burst, l.mark.Requests())); err != nil {
		return err
	}
	client := a.Accounts.Client(ctx, w.owner)
	repo := github.Repository{ID: w.repository, Owner: w.owner, Name: w.repo}
	mark, err := client.Glance(ctx, repo, l.scope, l.mark)
	outcome := "unchanged"
	switch {
	case errors.Is(err, github.ErrStoreMissing):
		mark, err = l.mark, nil
	case err != nil:
		outcome = "failed"
	case mark.Digest != l.mark.Digest:
		outcome = "changed"
	}
	a.Metrics.Looked(client.Credential().Name(), outcome)
	if err == nil {
		l.mark = mark
	}
	return err
}

// compare starts a run when what was looked at differs from what the last run saw. That is read
// again first: a run of somebody else's may have come in between. While one is under way there is
// nothing to compare with; and what a run was started for once is not what the next is started
// for: should that one have failed without seeing it, it is tried again by other rules.
func (a *account) compare(ctx context.Context, w *watched) error {
	if !a.differs(w) {
		w.asked = 0
		return nil
	}
	last, err := a.Store.LastRuns(ctx, w.id, 1)
	if err != nil {
		return err
	}
	if len(last) > 0 && underWay(last[0]) {
		return nil
	}
	if err := a.recallSeen(ctx, w); err != nil {
		return err
	}
	state := a.state(w)
	if !a.differs(w) || state == w.asked {
		return nil
	}
	if err := a.start(ctx, w.id, store.Scheduler, store.Polled, a.since(w)); err != nil {
		return err
	}
	w.asked = state
	return nil
}

// underWay says whether a run will see what is to be seen now. One that waits for a job in vain may
// not come to it.
func underWay(r store.Run) bool {
	return r.State == store.Queued || r.State == store.Running || r.State == store.Waiting && r.Code == ""
}

// differs says whether the lists or the source are not as the last run saw them.
func (a *account) differs(w *watched) bool {
	if stamp := a.poller.stamp(w.valueSource); stamp != "" && stamp != w.stamp {
		return true
	}
	for _, l := range w.lists {
		if l.mark.Digest != l.run {
			return true
		}
	}
	return false
}

// state sums up what a run would find.
func (a *account) state(w *watched) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(a.poller.stamp(w.valueSource)))
	for _, l := range w.lists {
		_, _ = h.Write(binary.BigEndian.AppendUint64(nil, l.mark.Digest))
	}
	return max(1, h.Sum64())
}

// since is when the newest of what differs happened.
func (a *account) since(w *watched) time.Time {
	var at time.Time
	if stamp := a.poller.stamp(w.valueSource); stamp != w.stamp {
		at = syncing.StampTime(stamp)
	}
	for _, l := range w.lists {
		if ours := l.mark.Newest.Add(-a.client.Clock().Skew); l.mark.Digest != l.run && ours.After(at) {
			at = ours
		}
	}
	return at
}

// recall reads what the last runs left behind: the lists to compare with, and when a full run is due.
func (a *account) recall(ctx context.Context, w *watched) error {
	if err := a.recallSeen(ctx, w); err != nil {
		return err
	}
	return a.recallSchedule(ctx, w)
}

// recallSeen reads the lists as the last run saw them. What was looked at since stays known.
func (a *account) recallSeen(ctx context.Context, w *watched) error {
	stored, err := a.Store.Lists(ctx, w.id, a.client.Credential().Fingerprint())
	if err != nil {
		return err
	}
	before := w.lists
	w.lists, w.stamp = nil, ""
	for _, s := range stored {
		if s.Kind == syncing.SourceKind {
			_ = json.Unmarshal(s.Content, &w.stamp) // unreadable is unknown
			continue
		}
		scope, err := secret.ParseScope(s.Kind)
		var list github.Listing
		if err != nil || json.Unmarshal(s.Content, &list) != nil {
			continue // not a list of secrets that a run compares
		}
		seen := seenList{scope: scope, mark: list.Mark()}
		seen.run = seen.mark.Digest
		for _, b := range before {
			if b.scope == scope && b.mark.Digest != 0 && w.loaded == w.lastRun.Load() {
				seen.mark = b.mark
			}
		}
		w.lists = append(w.lists, seen)
	}
	return nil
}

func (a *account) recallSchedule(ctx context.Context, w *watched) error {
	last, err := a.Store.LastRuns(ctx, w.id, syncing.RecentRuns)
	if err != nil {
		return err
	}
	w.fullAt = time.Time{}
	p := store.Project{ID: w.id, AutoSync: true, ValueSource: w.valueSource, CreatedAt: w.created}
	if at, ok := a.Service.NextFullRun(p, last); ok {
		w.fullAt = at
	}
	// Without lists there is nothing to compare with: the project never ran, or under another
	// credential. One run finds out; when it fails it is tried again by other rules.
	if len(w.lists) == 0 && (len(last) == 0 || last[0].State == store.Succeeded || last[0].State == store.Partial) {
		w.fullAt = a.Now()
	}
	return nil
}

// full starts the full run that is due, unless one came in between.
func (a *account) full(ctx context.Context, w *watched, wait time.Duration) error {
	if err := a.recall(ctx, w); err != nil {
		return err
	}
	now := a.Now()
	if now.Before(w.fullAt) {
		return nil
	}
	if err := a.start(ctx, w.id, store.Scheduler, store.Scheduled, time.Time{}); err != nil && !fault.Is(err, fault.ProjectNotFound) {
		return err
	}
	w.fullAt, w.actionsAt, w.targetsAt = now.Add(wait), now.Add(wait), now.Add(wait)
	return nil
}
