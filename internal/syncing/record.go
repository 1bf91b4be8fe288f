package syncing

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// finish records what the run did, in one transaction, and sums it up. It runs to its end even
// when the run was cancelled: what was confirmed is remembered, the rest keeps its intent. A
// cancellation that came too late to cut anything short is none.
func (r *run) finish(ctx context.Context) (Result, error) {
	res, cancelled := r.result(), context.Cause(ctx)
	if res.InStep() {
		cancelled = nil
	}
	ctx, stop := r.ending(ctx)
	defer stop()
	r.req.Progress(Event{Stage: Recording})
	head, err := r.store.Record(ctx, r.now(), r.outcome(ctx, res, cancelled))
	if err != nil {
		return Result{}, r.unrecorded(ctx, err)
	}
	r.log.InfoContext(ctx, "run recorded", "run", r.record.ID, "project", r.project.ID, "synced", res.SyncedCount,
		"skipped", res.SkippedCount, "errors", len(res.Errors), "head_seq", head.Seq, "head_hash", head.Hash)
	return res, cancelled
}

// unrecorded ends a run whose outcome the database refused. Its intents stand, so the next run puts
// right what this one wrote; its row is closed, or it would seem to be under way for good.
func (r *run) unrecorded(ctx context.Context, why error) error {
	f := fault.Of(why)
	record := r.ended(store.Abandoned)
	record.Code, record.Error, record.Writes = f.Code, f.Message, r.writes()
	if _, err := r.store.Record(ctx, r.now(), store.Outcome{Project: r.project.ID, Actor: r.req.Actor, Lease: r.lease, Run: record}); err != nil {
		r.log.WarnContext(ctx, "end of the run not recorded", "run", r.record.ID, "cause", err)
	}
	if r.writes() == 0 {
		return why
	}
	return fault.New(f.Code, f.Context).Saying("%s What this run wrote is on GitHub, and not recorded.", f.Message).
		Hinting("Run again when the database can be written: the next run settles it.").Because(why)
}

// abandon records a run that ended before it wrote anything, and returns why it ended.
func (r *run) abandon(ctx context.Context, why error) error {
	if cause := context.Cause(ctx); cause != nil {
		why = cause // a lease that was lost, rather than what was cut short by it
	}
	if err := r.recordEnd(ctx, why); err != nil {
		r.log.WarnContext(ctx, "abandoned run not recorded", "run", r.record.ID, "cause", err)
	}
	return why
}

// recordEnd records a run that ended for a reason before it wrote anything.
func (r *run) recordEnd(ctx context.Context, why error) error {
	ending, stop := r.ending(ctx)
	defer stop()
	record := r.ended(store.RunFailed)
	reason := "interrupted before anything was written"
	switch {
	case errors.Is(why, ErrDeclined):
		record.State, reason = store.Abandoned, ErrDeclined.Error()
	case ctx.Err() != nil && (r.isQueued() || errors.Is(why, context.Canceled)):
		record.State = store.Abandoned
	default:
		f := fault.Of(why)
		record.Code, record.Error, record.Result, reason = f.Code, f.Message, refusal(f), f.Message
	}
	o := store.Outcome{Project: r.project.ID, Actor: r.req.Actor, Run: record, Lists: r.seen()}
	if record.State == store.Abandoned && r.isQueued() {
		o.Lease = r.lease // it goes on elsewhere, perhaps already, and has its event there
	} else {
		o.Events = []audit.Event{r.syncAll(allFailed(r.runScopes()), reason)}
	}
	if r.view.repo.ID == r.project.RepositoryID {
		o.Quotas = r.quotas(ending)
	}
	_, err := r.store.Record(ending, r.now(), o)
	return err
}

// isQueued says whether the run was queued before, and so goes on in another process after this one.
func (r *run) isQueued() bool { return r.req.Run != uuid.Nil }

func (r *run) ended(state store.RunState) store.Run {
	record := r.record
	record.State, record.FinishedAt = state, r.now()
	return record
}

func allFailed(scopes []secret.Scope) map[secret.Scope]bool {
	failed := map[secret.Scope]bool{}
	for _, s := range scopes {
		failed[s] = true
	}
	return failed
}

// runScopes are the scopes the run was about, without the stores that are not there.
func (r *run) runScopes() []secret.Scope {
	scopes := slices.Clone(r.req.Options.Scopes)
	if len(scopes) == 0 {
		scopes = slices.Clone(r.req.Options.Default)
	}
	for _, a := range r.plan.Actions {
		scopes = append(scopes, a.Scope)
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	scopes = slices.Compact(scopes)
	there := slices.DeleteFunc(slices.Clone(scopes), func(s secret.Scope) bool { return r.view.observed[s].Missing })
	if len(there) == 0 {
		return scopes
	}
	return there
}

// outcome is everything the run changes in memory.
func (r *run) outcome(ctx context.Context, res Result, cancelled error) store.Outcome {
	o := store.Outcome{Project: r.project.ID, Actor: r.req.Actor, Lease: r.lease}
	byName := r.stepsByName()
	for _, name := range r.plan.Selected {
		r.remember(&o, name, byName[name])
	}
	o.Events = r.events(byName, res)
	o.Lists = r.seen()
	o.Quotas = r.quotas(ctx)
	o.Run = r.ended(res.state())
	if o.Run.State == store.Partial {
		o.Run.Code = fault.SyncPartialFailure
	}
	o.Run.Result = res.kept()
	if cancelled != nil {
		o.Run.State = store.Abandoned
	}
	o.Run.Synced, o.Run.Skipped, o.Run.Failed = res.SyncedCount, res.SkippedCount, res.failedNames()
	o.Run.Total, o.Run.Writes = len(r.plan.Selected), r.writes()
	return o
}

func (r *run) stepsByName() map[secret.Name][]*step {
	m := map[secret.Name][]*step{}
	for i := range r.steps {
		s := &r.steps[i]
		m[s.SecretName] = append(m[s.SecretName], s)
	}
	return m
}

// writes counts the writing requests.
func (r *run) writes() int {
	n := 0
	for i := range r.steps {
		n += r.steps[i].sent
	}
	return n
}

// remember turns the steps of one secret into what memory is to hold of it.
func (r *run) remember(o *store.Outcome, name secret.Name, steps []*step) {
	old, had := r.memory[name]
	left := maps.Clone(old.States)
	if left == nil {
		left = map[secret.Scope]plan.State{}
	}
	for _, s := range steps {
		state, verdict := r.stateAfter(s, old.States[s.Scope])
		switch target := (store.Target{Name: name, Scope: s.Scope}); verdict {
		case put:
			o.States = append(o.States, store.StateRecord{
				Name: name, Scope: s.Scope, Source: state.Source, Hash: state.Hash, TargetUpdatedAt: state.TargetUpdatedAt,
				SourceUpdatedAt: state.SourceUpdatedAt, WrittenAt: state.WrittenAt,
			})
			left[s.Scope] = state
		case drop:
			if _, stood := old.States[s.Scope]; stood || s.intent {
				o.ForgetStates = append(o.ForgetStates, target)
			}
			delete(left, s.Scope)
		case keep:
			if s.intent {
				left[s.Scope] = plan.State{} // an open intent is a memory too
			}
		}
	}
	_, inSource := r.source.Values[name]
	wanted, included := r.plan.Wanted[name]
	switch {
	case !inSource && included && len(left) == 0 && !wanted.LeftAlone:
		if had || slices.ContainsFunc(steps, func(s *step) bool { return s.intent }) {
			o.ForgetMappings = append(o.ForgetMappings, name)
		}
	case included || had:
		o.Mappings = append(o.Mappings, r.mappingAfter(name, old, steps))
	}
}

// What becomes of a state.
type verdict int

const (
	keep verdict = iota // as it stands, open intent included
	put
	drop
)

// stateAfter says what is to be remembered of one secret in one scope after its step.
func (r *run) stateAfter(s *step, old plan.State) (plan.State, verdict) {
	switch {
	case s.Verb == plan.Forget, s.deletes() && s.answered && (s.confirmed || s.overtaken()):
		return plan.State{}, drop
	case s.Verb.Writes() && (s.confirmed || s.overtaken()):
		return r.written(s), put
	case s.begun(), s.Verb == plan.Error, r.mayBeOurs(s.Action, old.Intent):
		return plan.State{}, keep // the next run settles it
	}
	// Nothing was sent. Whatever intent is open here, this run's or an older one's, a list has
	// shown by now that nothing came of it.
	if !old.Written() {
		return plan.State{}, drop
	}
	fresh := old
	fresh.Intent = plan.Intent{}
	if v, ok := r.source.Values[s.SecretName]; ok && s.Verb == plan.Skip && v.Hash.Same(old.Hash) {
		fresh.SourceUpdatedAt = v.UpdatedAt // an unchanged value under a newer time
	}
	if !s.intent && !old.Intent.Open() && fresh.SourceUpdatedAt.Equal(old.SourceUpdatedAt) {
		return plan.State{}, keep
	}
	return fresh, put
}

// mayBeOurs says that an interrupted run may have written what the target holds. To forget its
// intent would make a stranger's of it.
func (r *run) mayBeOurs(a plan.Action, left plan.Intent) bool {
	o, looked := r.view.observed[a.Scope]
	at, listed := o.UpdatedAt[a.SecretName]
	return left.Open() && (!looked || o.Failed) || listed && left.Covers(at, r.settings.window())
}

// overtaken says that our write arrived and someone else wrote over it since.
func (s *step) overtaken() bool {
	return s.answered && !s.confirmed && s.err != nil && s.err.Code == fault.ConflictDetected
}

func (r *run) written(s *step) plan.State {
	st := plan.State{
		Source: r.source.Identity, Hash: s.hash, TargetUpdatedAt: s.listed, WrittenAt: r.now(),
		SourceUpdatedAt: r.source.Values[s.SecretName].UpdatedAt,
	}
	if s.overtaken() {
		st.TargetUpdatedAt = s.written.Date.Truncate(time.Second)
	}
	return st
}

func (r *run) mappingAfter(name secret.Name, old plan.Mapping, steps []*step) store.MappingRecord {
	w, included := r.plan.Wanted[name]
	m := store.MappingRecord{Name: name, TargetScopes: w.TargetScopes, LeftAlone: w.LeftAlone, Status: store.Synced}
	if !included {
		m.TargetScopes, m.LeftAlone, m.Excluded, m.Status = old.TargetScopes, old.LeftAlone, true, store.Pending
		return m
	}
	for _, s := range steps {
		if s.Verb.Writes() && (s.confirmed || s.overtaken()) {
			m.Hash = s.hash
		}
		f := r.failure(s)
		switch {
		case f == nil:
		case f.Code == fault.ConflictDetected && m.Status != store.Failed:
			m.Status, m.Error = store.Conflict, s.Scope.String()+": "+f.Message
		case f.Code != fault.ConflictDetected:
			m.Status, m.Error = store.Failed, s.Scope.String()+": "+f.Message
		}
	}
	if m.Status == store.Synced {
		m.Status, m.Error = r.elsewhere(name, m, steps)
	}
	if m.Status == store.Synced {
		m.LastSyncedAt = r.now()
	}
	return m
}

// elsewhere says how a secret stands in those of its scopes that this run was not to look at, as
// far as the last lists and memory tell. A run for one scope must not clear a conflict in another.
func (r *run) elsewhere(name secret.Name, m store.MappingRecord, steps []*step) (store.SyncStatus, string) {
	status := store.Synced
	if m.LeftAlone || len(r.req.Options.Scopes) == 0 {
		return status, ""
	}
	for _, scope := range m.TargetScopes {
		if scope == secret.Actions && r.req.Source.FromActions() || slices.ContainsFunc(steps, func(s *step) bool { return s.Scope == scope }) {
			continue
		}
		state := r.memory[name].States[scope]
		at, listed := r.lastSeen(scope).UpdatedAt[name]
		switch {
		case listed && !at.Equal(state.TargetUpdatedAt) && !state.Intent.Open():
			return store.Conflict, scope.String() + ": " + plan.Drift.Explain().Words
		case !listed || !state.Written() || !r.sameValue(name, state):
			status = store.Pending
		}
	}
	return status, ""
}

// sameValue says that a copy was written from the value that the source has now.
func (r *run) sameValue(name secret.Name, st plan.State) bool {
	v := r.source.Values[name]
	if v.Hash.Seen() {
		return v.Hash.Same(st.Hash)
	}
	return v.UpdatedAt.Equal(st.SourceUpdatedAt)
}

// quotas are what is known of GitHub's limits after this run. The quota called secrets has no
// counterpart at GitHub: it is our own count of the credential's writes, against the documented 500.
func (r *run) quotas(ctx context.Context) []store.Quota {
	now := r.now()
	var out []store.Quota
	if q := r.hub.Quota(); q.Known {
		out = append(out, store.Quota{Type: quotaCore, Remaining: q.Remaining, Limit: q.Limit, ResetAt: q.Reset.Add(-r.hub.Clock().Skew), CheckedAt: now})
	}
	left, err := r.writesLeft(ctx, r.record.Credential)
	if err != nil {
		return out
	}
	return append(out, store.Quota{
		Type: quotaSecrets, Remaining: max(0, left-r.writes()), Limit: WritesPerHour, ResetAt: now.Add(time.Hour), CheckedAt: now,
	})
}

// writesLeft is how many more writes the recorded runs of a credential leave for the hour.
func (s *Service) writesLeft(ctx context.Context, credential string) (int, error) {
	n, err := s.store.WritesSince(ctx, credential, s.now().Add(-time.Hour))
	return max(0, WritesPerHour-n), err
}

// WritesPerHour is GitHub's documented bound on requests that create content, in an hour.
const WritesPerHour = 500

// event is what all events of a run have in common.
func (r *run) event(op audit.Operation) audit.Event {
	return audit.Event{
		ID: uuid.New(), ProjectID: r.project.ID, ActorID: r.req.Actor, Operation: op,
		CorrelationID: r.record.ID, CreatedAt: r.started,
	}
}

func (r *run) syncAll(failed map[secret.Scope]bool, why string) audit.Event {
	e := r.event(audit.SyncAll).Outcome(r.runScopes(), failed, why)
	e.DurationMs = r.lasted().Milliseconds()
	e.Metadata = map[string]any{"trigger": r.req.Trigger, "source": r.req.Source.Identity, "writes": r.writes()}
	if q := r.hub.Quota(); q.Known {
		e.Metadata["quotaRemaining"] = q.Remaining
	}
	return e
}

// events are one for the run and one for each secret and verb.
func (r *run) events(byName map[secret.Name][]*step, res Result) []audit.Event {
	failed := map[secret.Scope]bool{}
	var events []audit.Event
	for _, name := range r.plan.Selected {
		for _, op := range []audit.Operation{audit.Create, audit.Update, audit.Delete} {
			if e, ok := r.secretEvent(name, op, byName[name]); ok {
				events = append(events, e)
			}
		}
		for _, s := range byName[name] {
			failed[s.Scope] = failed[s.Scope] || r.failure(s) != nil
		}
	}
	why := ""
	if n := len(res.Errors); n > 0 {
		why = fault.New(fault.SyncPartialFailure, fault.Context{"failureCount": n, "totalCount": len(r.steps)}).Message
	}
	return append([]audit.Event{r.syncAll(failed, why)}, events...)
}

func (r *run) secretEvent(name secret.Name, op audit.Operation, steps []*step) (audit.Event, bool) {
	var scopes []secret.Scope
	failed := map[secret.Scope]bool{}
	why := ""
	var took time.Duration
	for _, s := range steps {
		if operation(s.Verb) != op {
			continue
		}
		scopes = append(scopes, s.Scope)
		took = max(took, s.took)
		if f := r.failure(s); f != nil {
			failed[s.Scope], why = true, s.Scope.String()+": "+f.Message
		}
	}
	if len(scopes) == 0 {
		return audit.Event{}, false
	}
	spelled := name.String()
	e := r.event(op)
	e.SecretName, e.DurationMs = &spelled, took.Milliseconds()
	return e.Outcome(scopes, failed, why), true
}

// operation is what the audit trail calls a verb; a conflict is an update that failed.
func operation(v plan.Verb) audit.Operation {
	switch v {
	case plan.Create:
		return audit.Create
	case plan.Update, plan.Conflict:
		return audit.Update
	case plan.Delete:
		return audit.Delete
	}
	return ""
}
