package syncing

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"golang.org/x/sync/errgroup"
)

// A step is one action on its way: what was done, what came back, and what a list showed.
type step struct {
	plan.Action
	intent    bool      // an intent is stored
	resumed   bool      // so was one of an earlier run
	before    time.Time // when the target was written last, as listed before this run
	sent      int       // requests that may have left
	answered  bool      // GitHub answered 2xx
	written   github.Written
	hash      secret.Hash
	confirmed bool      // a list showed it
	listed    time.Time // the target's time in that list
	took      time.Duration
	err       *fault.Fault
}

func (s *step) deletes() bool { return s.Verb == plan.Delete }

// begun says whether GitHub may have heard of the step.
func (s *step) begun() bool { return s.sent > 0 }

// changes says whether the step asks GitHub for a change.
func (s *step) changes() bool { return s.Verb.Writes() || s.deletes() }

// openIntents stores, in one transaction, that these writes are about to happen.
func (r *run) openIntents(ctx context.Context) error {
	r.steps = make([]step, len(r.plan.Actions))
	intents := store.Intents{
		Project: r.project.ID, Run: r.record.ID, At: r.hub.Clock().GitHub(r.now()), Source: r.source.Identity,
		Scopes: map[secret.Name][]secret.Scope{}, Covered: map[store.Target]bool{},
	}
	for i, a := range r.plan.Actions {
		s := &r.steps[i]
		s.Action = a
		if !s.changes() || s.deletes() && r.plan.Withheld {
			continue
		}
		s.intent = true
		s.resumed = r.memory[a.SecretName].States[a.Scope].Intent.Open()
		s.before = r.view.observed[a.Scope].UpdatedAt[a.SecretName]
		target := store.Target{Name: a.SecretName, Scope: a.Scope}
		intents.Targets = append(intents.Targets, target)
		intents.Covered[target] = r.covered(a)
		intents.Scopes[a.SecretName] = r.plan.Wanted[a.SecretName].TargetScopes
	}
	if len(intents.Targets) == 0 {
		return nil
	}
	return r.store.OpenIntents(ctx, r.now(), intents)
}

// covered says that an older intent must keep its time under a new one: an interrupted run may have
// written the target. One that is not listed may be so because the list lags.
func (r *run) covered(a plan.Action) bool {
	left := r.memory[a.SecretName].States[a.Scope].Intent
	_, listed := r.view.observed[a.Scope].UpdatedAt[a.SecretName]
	return left.Open() && !listed || r.mayBeOurs(a, left)
}

// apply sends the writes, then the deletes, then looks whether they arrived.
func (r *run) apply(ctx context.Context) {
	ctx, end := r.span(ctx, "apply")
	defer end(nil) // what went wrong with a secret is its own
	w := &writer{run: r, refused: map[secret.Scope]*fault.Fault{}}
	for i := range r.steps {
		if r.steps[i].intent {
			w.total++
		}
	}
	if w.total == 0 {
		return
	}
	w.send(ctx, Writing, plan.Verb.Writes)
	if r.everyWriteAnswered() {
		w.send(ctx, Deleting, func(v plan.Verb) bool { return v == plan.Delete })
	} else {
		r.postponeDeletes()
	}
	r.confirm(ctx)
}

func (r *run) everyWriteAnswered() bool {
	for i := range r.steps {
		if s := &r.steps[i]; s.Verb.Writes() && !s.answered {
			return false
		}
	}
	return true
}

// postponeDeletes: a value may have been renamed in the source, and its old copy is not deleted
// before the new one is safe.
func (r *run) postponeDeletes() {
	for i := range r.steps {
		if s := &r.steps[i]; s.deletes() && s.intent {
			s.err = fault.New(fault.SyncPartialFailure, fault.Context{"secretName": s.SecretName.String(), "scope": s.Scope.String()}).
				Saying("not deleted, because a write of this run did not succeed").Hinting("Run again.")
		}
	}
}

// A writer sends the steps of one run.
type writer struct {
	*run
	total   int
	done    atomic.Int64
	mu      sync.Mutex
	refused map[secret.Scope]*fault.Fault
}

// send carries out the steps with the verbs asked for: so many secrets in flight, each with its
// scopes side by side. One that goes wrong does not stop the rest.
func (w *writer) send(ctx context.Context, stage Stage, verbs func(plan.Verb) bool) {
	var g errgroup.Group
	g.SetLimit(w.settings.Concurrency)
	for _, group := range w.byName(verbs) {
		g.Go(func() error {
			var wg sync.WaitGroup
			for _, s := range group {
				wg.Go(func() { w.carryOut(ctx, stage, s) })
			}
			wg.Wait()
			return nil
		})
	}
	_ = g.Wait() // outcomes stand in the steps
}

// byName groups the steps of each secret; the plan has them side by side.
func (w *writer) byName(verbs func(plan.Verb) bool) [][]*step {
	var groups [][]*step
	for i := range w.steps {
		s := &w.steps[i]
		if !s.intent || !verbs(s.Verb) {
			continue
		}
		if n := len(groups); n > 0 && groups[n-1][0].SecretName == s.SecretName {
			groups[n-1] = append(groups[n-1], s)
		} else {
			groups = append(groups, []*step{s})
		}
	}
	return groups
}

func (w *writer) carryOut(ctx context.Context, stage Stage, s *step) {
	began := w.now()
	err := w.attempt(ctx, s)
	s.took = w.now().Sub(began)
	if err != nil {
		s.err = w.explain(ctx, s, err)
	}
	w.req.Progress(Event{Stage: stage, Name: s.SecretName, Scope: s.Scope, Done: int(w.done.Add(1)), Total: w.total, Selected: len(w.plan.Selected), Failed: err != nil})
}

// attempt makes one change, unless the run was cancelled, the lease is gone, or the scope has
// refused us before: a permission that is missing is missing for every secret.
func (w *writer) attempt(ctx context.Context, s *step) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if f := w.refusal(s.Scope); f != nil {
		return f
	}
	if err := w.lease.Check(w.now()); err != nil {
		return leaseLost(err)
	}
	var err error
	if s.deletes() {
		s.sent++
		s.written, err = w.hub.Delete(ctx, w.view.repo, s.Scope, s.SecretName)
	} else {
		err = w.put(ctx, s)
		if errors.Is(err, github.StaleKey) {
			w.forgetKey(s.Scope)
			err = w.put(ctx, s)
		}
	}
	s.answered = err == nil
	s.sent += max(0, s.written.Attempts-1)
	return err
}

// put seals the value for the scope's key and sends the box.
func (w *writer) put(ctx context.Context, s *step) error {
	key, err := w.key(ctx, s.Scope)
	if err != nil {
		return err
	}
	var box secret.Box
	box, s.hash, err = w.req.Source.Seal(ctx, w.hasher, s.SecretName, key)
	if err != nil {
		var f *fault.Fault
		if errors.As(err, &f) {
			return f
		}
		return fault.New(fault.EncryptionFailed, fault.Context{"secretName": s.SecretName.String(), "error": err.Error()}).Because(err)
	}
	s.sent++
	s.written, err = w.hub.Put(ctx, w.view.repo, s.SecretName, box)
	return err
}

// key returns the scope's key: the one that came with the lists, or what GitHub answers now.
func (w *writer) key(ctx context.Context, scope secret.Scope) (secret.PublicKey, error) {
	w.mu.Lock()
	key, ok := w.view.keys[scope]
	w.mu.Unlock()
	if ok {
		return key, nil
	}
	return w.hub.PublicKey(ctx, w.view.repo, scope)
}

func (w *writer) forgetKey(scope secret.Scope) {
	w.mu.Lock()
	delete(w.view.keys, scope)
	w.mu.Unlock()
	w.hub.ForgetKey(w.view.repo, scope)
}

// explain turns what went wrong into the fault that is reported, and remembers a refusal that
// holds for the whole scope.
func (w *writer) explain(ctx context.Context, s *step, err error) *fault.Fault {
	if cause := context.Cause(ctx); cause != nil {
		var f *fault.Fault
		if errors.As(cause, &f) {
			return f
		}
		return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the run was interrupted"}).Because(err)
	}
	if errors.Is(err, github.StaleKey) {
		return fault.New(fault.EncryptionFailed, fault.Context{"secretName": s.SecretName.String(), "error": err.Error()}).
			Hinting("GitHub changed the key of %s meanwhile. Run again.", s.Scope).Because(err)
	}
	f := fault.Of(err)
	if f.Code == fault.IntegrationDenied {
		w.mu.Lock()
		w.refused[s.Scope] = f
		w.mu.Unlock()
	}
	return f
}

func (w *writer) refusal(s secret.Scope) *fault.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused[s]
}
