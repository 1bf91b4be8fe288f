package syncing

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// confirm lists each scope that was written once more, and settles its steps by what is listed. An
// answer 2xx alone is no proof: only a listed time tells what the next run may call ours.
func (r *run) confirm(ctx context.Context) {
	pending := map[secret.Scope][]*step{}
	for i := range r.steps {
		if s := &r.steps[i]; s.answered {
			pending[s.Scope] = append(pending[s.Scope], s)
		}
	}
	if len(pending) == 0 {
		return
	}
	r.req.Progress(Event{Stage: Confirming})
	ctx, stop := r.ending(ctx)
	defer stop()
	latest := make(map[secret.Scope]github.Listing, len(pending))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for scope, steps := range pending {
		wg.Go(func() {
			list, ok := r.confirmScope(ctx, scope, steps)
			mu.Lock()
			defer mu.Unlock()
			if ok {
				latest[scope] = list
			}
		})
	}
	wg.Wait()
	for scope, list := range maps.All(latest) {
		r.view.lists[scope.String()] = list
	}
}

// confirmScope looks until every step is settled or the last wait is over. It returns the newest
// list, which is what the next run compares with.
func (r *run) confirmScope(ctx context.Context, scope secret.Scope, steps []*step) (github.Listing, bool) {
	list := r.view.lists[scope.String()]
	seen := false
	for i := 0; ; i++ {
		next, err := r.hub.List(ctx, r.view.repo, scope, &list)
		if err != nil {
			unconfirmed(steps, err)
			return list, seen
		}
		list, seen = next, true
		last := i == len(r.settings.Lag)
		steps = unsettled(steps, list.Observation(), last)
		if len(steps) == 0 || last {
			break
		}
		if err := sleep(ctx, r.settings.Lag[i]); err != nil {
			break
		}
	}
	unconfirmed(steps, errNotVisible)
	return list, true
}

var errNotVisible = errors.New("accepted by GitHub, not yet visible in its list")

func unconfirmed(steps []*step, why error) {
	for _, s := range steps {
		f := fault.New(fault.IntegrationUnavailable, fault.Context{"reason": why.Error(), "secretName": s.SecretName.String(), "scope": s.Scope.String()}).
			Hinting("Run again: the next run settles it.").Because(why)
		s.err = f
	}
}

// unsettled settles what the list decides and returns the rest.
func unsettled(steps []*step, o plan.Observation, last bool) []*step {
	var rest []*step
	for _, s := range steps {
		at, listed := o.UpdatedAt[s.SecretName]
		if !s.settle(at, listed, last) {
			rest = append(rest, s)
		}
	}
	return rest
}

// settle compares one step with the list. A write counts when its time lies between the tolerance
// before the first attempt and the tolerance after the last answer; later, someone else wrote over
// it. A list may lag, so an earlier time says nothing yet, and neither does one that may be that of
// the write before ours, a second or two ago; unless this is the last look, by which all lag is over.
func (s *step) settle(at time.Time, listed, last bool) bool {
	earliest, latest := s.written.FirstAttempt.Add(-plan.Tolerance), s.written.Date.Add(plan.Tolerance)
	overwritten := listed && at.After(latest)
	switch {
	case overwritten:
		s.err = fault.New(fault.ConflictDetected, fault.Context{"secretName": s.SecretName.String(), "conflictingScopes": []string{s.Scope.String()}}).
			Saying("changed by someone else just after it was written")
		return true
	case s.deletes():
		s.confirmed = !listed
		return !listed
	case !last && at.Before(s.written.Date) && (s.resumed || at.Equal(s.before)):
		return false
	case listed && !at.Before(earliest):
		s.confirmed, s.listed = true, at
		return true
	}
	return false
}
