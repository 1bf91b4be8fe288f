package environment

import (
	"context"
	"errors"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"golang.org/x/sync/errgroup"
)

// A step is one secret on its way: what was sent, what came back, and what the list showed.
type step struct {
	name      secret.Name
	tier      Tier
	before    time.Time // when it was written last, as listed before
	resumed   bool      // an interrupted apply may have written that
	sent      bool      // GitHub may have heard of it
	answered  bool      // GitHub answered 2xx
	written   github.Written
	confirmed bool      // a list showed it
	listed    time.Time // the time in that list
	took      time.Duration
	fault     *fault.Fault
}

// timeUp ends the sending of secrets under an intent.
func timeUp() error {
	return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the time in which secrets are sent ran out"}).
		Hinting("Apply again: it goes on where this one ended.")
}

// fill writes the secrets of an environment that is protected as asked, so many at once, and looks
// whether they arrived. One that goes wrong does not stop the others.
func (a *apply) fill(ctx context.Context, w *work) {
	if len(w.steps) == 0 {
		return
	}
	sending, stop := context.WithTimeoutCause(ctx, a.settings.WriteTime-a.now().Sub(a.opened), timeUp())
	defer stop()
	// One asks for the key before all need it, so that a refusal is heard once.
	if _, err := a.hub.PublicKey(sending, a.repo, w.Tier.Scope()); err != nil {
		_ = w.noted(explain(sending, err))
	}
	var g errgroup.Group
	g.SetLimit(a.settings.Concurrency)
	for _, s := range w.steps {
		g.Go(func() error {
			began := a.now()
			if s.fault = w.refusal(); s.fault == nil {
				s.fault = w.noted(a.explainStep(sending, s, a.send(sending, s)))
			}
			s.took = a.now().Sub(began)
			return nil
		})
	}
	_ = g.Wait() // outcomes stand in the steps
	a.confirm(ctx, w)
}

func (a *apply) send(ctx context.Context, s *step) error {
	err := a.put(ctx, s)
	if errors.Is(err, github.StaleKey) {
		a.hub.ForgetKey(a.repo, s.tier.Scope())
		err = a.put(ctx, s)
	}
	s.answered = err == nil
	return err
}

// put seals the value for the environment's own key and sends the box.
func (a *apply) put(ctx context.Context, s *step) error {
	if err := a.allowed(ctx); err != nil {
		return err
	}
	key, err := a.hub.PublicKey(ctx, a.repo, s.tier.Scope())
	if err != nil {
		return err
	}
	box, err := secret.Seal(a.value(s.tier, s.name), key)
	if err != nil {
		return fault.New(fault.EncryptionFailed, fault.Context{"secretName": s.name.String(), "error": err.Error()}).Because(err)
	}
	s.sent = true
	s.written, err = a.hub.Put(ctx, a.repo, s.name, box)
	return err
}

// refusal is what GitHub refused a secret of the environment for: a permission that is missing is
// missing for every one.
func (w *work) refusal() *fault.Fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.refused
}

func (w *work) noted(f *fault.Fault) *fault.Fault {
	if f != nil && f.Code == fault.IntegrationDenied {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.refused = f
	}
	return f
}

// explainStep turns what went wrong with a secret into the fault that is reported; nil stays nil.
func (a *apply) explainStep(ctx context.Context, s *step, err error) *fault.Fault {
	if err == nil {
		return nil
	}
	if errors.Is(err, github.StaleKey) {
		return fault.New(fault.EncryptionFailed, fault.Context{"secretName": s.name.String(), "error": err.Error()}).Because(err)
	}
	return explain(ctx, err)
}

// confirm lists the environment's secrets until every step is settled or the last wait is over. An
// answer 2xx alone is no proof: only a listed time tells what the next apply may call ours.
func (a *apply) confirm(ctx context.Context, w *work) {
	var pending []*step
	for _, s := range w.steps {
		if s.answered {
			pending = append(pending, s)
		}
	}
	ctx, stop := ending(ctx)
	defer stop()
	why := errors.New("accepted by GitHub, not yet visible in its list")
	list := a.listed(w.Tier)
	for i := 0; len(pending) > 0; i++ {
		next, err := a.hub.List(ctx, a.repo, w.Tier.Scope(), list)
		if err != nil {
			why = err
			break
		}
		list = &next
		a.keep(w.Tier, next)
		last := i == len(a.settings.Lag)
		pending = unsettled(pending, next.Observation(), last)
		if last || len(pending) > 0 && sleep(ctx, a.settings.Lag[i]) != nil {
			break
		}
	}
	for _, s := range pending {
		s.fault = fault.New(fault.IntegrationUnavailable, fault.Context{"reason": why.Error(), "secretName": s.name.String(), "environment": string(s.tier)}).
			Hinting("Apply again: that settles it.").Because(why)
	}
}

// listed is the list of a tier's secrets as it was seen last.
func (a *apply) listed(t Tier) *github.Listing {
	a.listing.Lock()
	defer a.listing.Unlock()
	if l, ok := a.secrets[t]; ok {
		return &l
	}
	return nil
}

func (a *apply) keep(t Tier, l github.Listing) {
	a.listing.Lock()
	defer a.listing.Unlock()
	a.secrets[t] = l
}

// unsettled settles what the list decides and returns the rest.
func unsettled(steps []*step, o plan.Observation, last bool) []*step {
	var rest []*step
	for _, s := range steps {
		at, listed := o.UpdatedAt[s.name]
		if !s.settle(at, listed, last) {
			rest = append(rest, s)
		}
	}
	return rest
}

// settle compares one step with the list. A write counts when its time lies between the tolerance
// before the first attempt and the tolerance after the last answer; later, someone else wrote over
// it. A list may lag, so an earlier time says nothing yet, and neither does one that may be that of
// the write before ours; unless this is the last look, by which all lag is over.
func (s *step) settle(at time.Time, listed, last bool) bool {
	earliest, latest := s.written.FirstAttempt.Add(-plan.Tolerance), s.written.Date.Add(plan.Tolerance)
	switch {
	case listed && at.After(latest):
		s.fault = fault.New(fault.ConflictDetected, fault.Context{
			"secretName": s.name.String(), "environment": string(s.tier), "conflictingScopes": []string{s.tier.Scope().String()},
		}).Saying("Secret %s of environment %s was changed by someone else just after it was written.", s.name, s.tier)
		return true
	case !last && at.Before(s.written.Date) && (s.resumed || at.Equal(s.before)):
		return false
	case listed && !at.Before(earliest):
		s.confirmed, s.listed = true, at
		return true
	}
	return false
}

// overtaken says that our write arrived and someone else wrote over it since.
func (s *step) overtaken() bool {
	return s.answered && !s.confirmed && s.fault != nil && s.fault.Code == fault.ConflictDetected
}
