package environment

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// An apply is a job under the project's lease, being carried out.
type apply struct {
	*job
	lease   *grip
	works   []*work
	opened  time.Time  // when the intents were
	listing sync.Mutex // guards the lists of secrets, which environments renew side by side
}

// A work is one environment on its way.
type work struct {
	Decision
	before github.EnvironmentRules // as GitHub had them; meaningless for one that did not exist
	shown  github.Environment      // as GitHub shows it now; zero where it is not there
	fault  *fault.Fault            // what went wrong with the environment itself
	steps  []*step

	mu      sync.Mutex
	refused *fault.Fault // what GitHub refused one secret for good, and so every other
}

// Plan says what Apply would do, and does nothing: it takes no lease and records nothing.
func (s *Service) Plan(ctx context.Context, req Request) (Preview, error) {
	j, err := s.prepare(ctx, s.open(ctx, req.Project, req.Actor), req)
	if err != nil {
		return Preview{}, err
	}
	if err := j.observe(ctx); err != nil {
		return Preview{}, err
	}
	if err := j.decide(ctx); err != nil {
		return Preview{}, err
	}
	return j.preview(), nil
}

func (s *Service) prepare(ctx context.Context, w *session, req Request) (*job, error) {
	if err := w.recall(ctx); err != nil {
		return nil, err
	}
	j, err := w.job(req)
	if err == nil {
		j.excluded, err = w.exclude(ctx, j.named())
	}
	return j, err
}

// Apply gives GitHub the environments that are asked for. The order is the safety: lease, look, plan,
// gates, intents; then each environment by itself, its rules before its secrets, since no secret goes
// where it would be less protected than asked; the closing lists, the record. The result is valid
// together with a cancellation when anything was written before.
func (s *Service) Apply(ctx context.Context, req Request) (Result, error) {
	w := s.open(ctx, req.Project, req.Actor)
	if _, err := s.prepare(ctx, w, req); err != nil { // bad input is refused before anything is asked of GitHub
		return Result{}, err
	}
	if err := w.ensureProject(ctx); err != nil {
		return Result{}, err
	}
	ctx, lease, err := w.hold(ctx)
	if err != nil {
		return Result{}, err
	}
	defer lease.release()
	a, err := w.begin(ctx, req, lease)
	if err != nil {
		return Result{}, w.abandon(ctx, req, err)
	}
	a.carryOut(ctx)
	return a.finish(ctx)
}

// ensureProject finds or makes the project of a repository that is seen for the first time.
func (s *session) ensureProject(ctx context.Context) error {
	if s.project.ID != uuid.Nil {
		return nil
	}
	found, _, err := s.hub.Repository(ctx, s.repo.Ref(), nil)
	if err != nil {
		return err
	}
	s.repo = found
	return s.follow(ctx)
}

// follow stores the project as GitHub calls its repository now.
func (s *session) follow(ctx context.Context) error {
	r := s.repo
	if s.project.ID != uuid.Nil && r.Owner == s.project.Owner && r.Name == s.project.Repo && r.DefaultBranch == s.project.DefaultBranch {
		return nil
	}
	p, err := s.store.EnsureProject(ctx, s.started, store.Project{
		Name: r.Owner + "/" + r.Name, APIHost: s.apiHost, Owner: r.Owner, Repo: r.Name, RepositoryID: r.ID, DefaultBranch: r.DefaultBranch,
	})
	if err == nil {
		s.project = p
	}
	return err
}

// begin does everything that comes before the first write.
func (s *session) begin(ctx context.Context, req Request, lease *grip) (*apply, error) {
	j, err := s.prepare(ctx, s, req)
	if err != nil {
		return nil, err
	}
	if err := j.observe(ctx); err != nil {
		return nil, err
	}
	if err := j.follow(ctx); err != nil {
		return nil, err
	}
	if err := j.decide(ctx); err != nil {
		return nil, err
	}
	if err := j.passQuota(); err != nil {
		return nil, err
	}
	a := &apply{job: j, lease: lease}
	for _, d := range j.plan.Environments {
		w := &work{Decision: d}
		if e, there := j.list.Find(string(d.Tier)); there {
			w.shown, w.before = e, e.Rules
		}
		a.works = append(a.works, w)
	}
	return a, a.openIntents(ctx)
}

// quotaFloor is how much of the core quota is left to everybody else.
const quotaFloor = 100

// passQuota refuses to begin what the hourly quota would not let end.
func (j *job) passQuota() error {
	cost, q := j.plan.Cost().Requests, j.hub.Quota()
	if cost == 0 || !q.Known || q.Remaining-cost >= quotaFloor {
		return nil
	}
	return fault.New(fault.RateLimitExhausted, fault.Context{
		"quotaType": "core", "remaining": q.Remaining, "resetAt": q.Reset.UTC().Format(time.RFC3339), "cost": cost,
	})
}

// carryOut does each environment by itself, side by side. Once all have their rules, the environments
// are listed anew beside the writing of secrets, for the next look to compare with.
func (a *apply) carryOut(ctx context.Context) {
	var all, rules sync.WaitGroup
	put := false
	for _, w := range a.works {
		if w.Blocked {
			continue
		}
		put = put || w.Put
		rules.Add(1)
		all.Go(func() {
			a.protect(ctx, w)
			rules.Done()
			if w.fault == nil {
				a.fill(ctx, w)
			}
		})
	}
	if put {
		rules.Wait()
		a.listAgain(ctx)
	}
	all.Wait()
}

// listAgain renews the list of environments. Without it the next look costs a little more.
func (a *apply) listAgain(ctx context.Context) {
	ctx, stop := ending(ctx)
	defer stop()
	if list, err := a.hub.Environments(ctx, a.repo, &a.list); err == nil {
		a.list = list
	}
}

// protect makes the environment or changes its rules, and holds what GitHub shows then against what
// was asked.
func (a *apply) protect(ctx context.Context, w *work) {
	if !w.Put {
		return
	}
	if err := a.allowed(ctx); err != nil {
		w.fault = explain(ctx, err)
		return
	}
	if w.Exists && len(w.steps) > 0 { // its key can be had meanwhile; whoever needs it hears why not
		var key sync.WaitGroup
		key.Go(func() { _, _ = a.hub.PublicKey(ctx, a.repo, w.Tier.Scope()) })
		defer key.Wait()
	}
	shown, err := a.hub.PutEnvironment(ctx, a.repo, string(w.Tier), w.Rules)
	if err != nil {
		w.fault = explain(ctx, err)
		a.afterFault(ctx, w, shown)
		return
	}
	w.shown = shown
	w.fault = shortfall(w.Tier, shown.Rules, w.Rules)
}

// afterFault finds out what stands on GitHub after a write that went wrong: it may have been carried
// out, or in part. That is said, and remembered for the next apply to mend.
func (a *apply) afterFault(ctx context.Context, w *work, shown github.Environment) {
	ctx, stop := ending(ctx)
	defer stop()
	switch found, _, err := a.hub.Environment(ctx, a.repo, string(w.Tier)); {
	case err == nil:
		w.shown = found
	case shown.ID != 0:
		w.shown = shown
	}
	if !w.Exists && w.shown.ID != 0 {
		w.fault = retold(w.fault, "%s Environment %s was made all the same, without all the rules asked for: until the next apply it may be unprotected.", w.fault.Message, w.Tier)
	}
}

// retold is a fault with other words.
func retold(f *fault.Fault, format string, args ...any) *fault.Fault {
	return fault.New(f.Code, f.Context).Saying(format, args...).Hinting("%s", f.Hint).Because(f)
}

// shortfall is what GitHub shows less or else than was asked, if anything: it drops reviewers without
// access in silence.
func shortfall(t Tier, shown, want github.EnvironmentRules) *fault.Fault {
	lost := differences(shown, want)
	if len(lost) == 0 {
		return nil
	}
	for _, r := range want.Reviewers {
		if r.Type == userReviewer && !sameReviewers(shown.Reviewers, want.Reviewers) && !hasReviewer(shown, r) {
			return fault.New(fault.ReviewerNotFound, fault.Context{"reviewerId": r.ID, "environment": string(t)}).
				Saying("Environment %s is less protected than asked: GitHub dropped the reviewer %d without a word.", t, r.ID)
		}
	}
	first := lost[0]
	return fault.New(fault.IntegrationDenied, fault.Context{
		"environment": string(t), "field": string(first.Subject),
		"reason": fmt.Sprintf("environment %s came back less protected than asked: %s is %v, not %v", t, first.Subject, first.Have, first.Wanted),
	}).Hinting("Somebody may have changed it meanwhile, or the plan of the repository's owner does not include the rule. Apply again.")
}

func hasReviewer(r github.EnvironmentRules, who github.Reviewer) bool {
	for _, one := range r.Reviewers {
		if one.Type == who.Type && one.ID == who.ID {
			return true
		}
	}
	return false
}

// allowed says whether something may still be written: the lease is ours and nobody gave up.
func (a *apply) allowed(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	if err := a.lease.Check(a.now()); err != nil {
		return leaseLost(err)
	}
	return nil
}

// explain turns what went wrong into the fault that is reported.
func explain(ctx context.Context, err error) *fault.Fault {
	if cause := context.Cause(ctx); cause != nil {
		var f *fault.Fault
		if errors.As(cause, &f) {
			return f
		}
		return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the apply was interrupted"}).
			Hinting("Apply again: what was begun is settled then.").Because(err)
	}
	return fault.Of(err)
}

// openIntents notes, in one transaction and before the first write, every secret that is about to be
// written. An older intent that covers what is listed hands its beginning on.
func (a *apply) openIntents(ctx context.Context) error {
	a.opened = a.now()
	at := a.hub.Clock().GitHub(a.opened)
	var intents []store.EnvironmentIntent
	for _, w := range a.works {
		listed := a.secrets[w.Tier].Observation().UpdatedAt
		for _, name := range w.Writes() {
			older := a.memory[w.Tier].Intents[name]
			s := &step{name: name, tier: w.Tier, before: listed[name]}
			// One that is not listed may be so because the list lags.
			s.resumed = older.covers(s.before) || s.before.IsZero() && !older.At.IsZero()
			i := store.EnvironmentIntent{Target: store.Target{Name: name, Scope: w.Tier.Scope()}, At: at, Until: at.Add(a.settings.WriteTime + landing)}
			if s.resumed && older.At.Before(at) {
				i.At = older.At
			}
			intents, w.steps = append(intents, i), append(w.steps, s)
		}
	}
	if len(intents) == 0 {
		return nil
	}
	return a.store.OpenEnvironmentIntents(ctx, a.lease.Lease, intents)
}

// landing is how long after it was given up a request may still take effect: GitHub ends those that
// take longer.
const landing = 10 * time.Second

// value is what a secret is to hold.
func (a *apply) value(t Tier, name secret.Name) secret.Plaintext { return a.values[t][name] }
