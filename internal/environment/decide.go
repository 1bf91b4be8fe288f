package environment

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// deploymentAge is how old a deployment may be and still hold rules back. GitHub lets an approval
// lapse after as long.
const deploymentAge = 30 * 24 * time.Hour

// A job is what was asked for on its way: checked, looked into, decided.
type job struct {
	*session
	spec
	force    bool
	excluded map[secret.Name]exclusion.Rule
	people   *people
	plan     Plan
	notices  []plan.Notice

	mu        sync.Mutex                  // guards the following, which are found side by side
	deployed  map[Tier]*github.Deployment // the last one, where it was looked for
	unchecked []Link                      // linked without credentials to look for them
}

// knowledge is what a spec is checked against.
func (s *session) knowledge() Known {
	k := Known{Linked: map[Tier]Links{}}
	if id := s.project.DefaultReviewerID; id != nil {
		k.DefaultReviewer = *id
	}
	for t, m := range s.memory {
		k.Linked[t] = m.Linked
	}
	return k
}

// job checks what was asked for, against what is remembered.
func (s *session) job(req Request) (*job, error) {
	k := s.knowledge()
	if req.Reviewer != 0 {
		k.DefaultReviewer = req.Reviewer
	}
	if problems := Check(req.Environments, k); len(problems) > 0 {
		return nil, Refuse(problems)
	}
	j := &job{session: s, spec: want(req.Environments, k, s.hasher), force: req.Force, deployed: map[Tier]*github.Deployment{}}
	j.people = &people{hub: s.hub, found: map[int64]error{}}
	return j, nil
}

// observe looks at GitHub and, beside that, for the reviewers who will be needed unless GitHub has
// changed in the meantime.
func (j *job) observe(ctx context.Context) error {
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if ids := j.likelyReviewers(); len(ids) > 0 {
		wg.Go(func() { j.people.look(ctx, j.repo, ids) })
	}
	err := j.look(ctx, tiersOf(j.wanted))
	if err != nil {
		cancel()
	}
	wg.Wait()
	return err
}

// likelyReviewers are those of environments that are asked for as something else than was applied.
func (j *job) likelyReviewers() []int64 {
	var ids []int64
	for _, w := range j.wanted {
		before := slices.Sorted(slices.Values(j.memory[w.Tier].Rules.ReviewerIDs))
		if !slices.Equal(before, slices.Sorted(slices.Values(w.Rules.ReviewerIDs))) {
			ids = append(ids, w.Rules.ReviewerIDs...)
		}
	}
	return ids
}

func (j *job) input(observed map[Tier]Observed) Input {
	return Input{
		Wanted: j.wanted, Observed: observed, Memory: j.memory, Excluded: j.excluded, DefaultBranch: j.repo.DefaultBranch, Force: j.force,
	}
}

// decide makes the plan: once to learn what has to be looked into, and again with what was found.
func (j *job) decide(ctx context.Context) error {
	observed := j.observed(tiersOf(j.wanted))
	first := Make(j.input(observed))
	var wg sync.WaitGroup
	for i, d := range first.Environments {
		w := &j.wanted[i] // the plan has the order of the spec
		w.Objections = nil
		object := func(o ...Objection) {
			j.mu.Lock()
			defer j.mu.Unlock()
			w.Objections = append(w.Objections, o...)
		}
		asked := *w
		if d.Put {
			wg.Go(func() { object(j.reviewers(ctx, asked)...) })
		}
		if d.Put && d.Exists {
			wg.Go(func() {
				active, o := j.deployments(ctx, asked.Tier)
				object(o...)
				j.mu.Lock()
				defer j.mu.Unlock()
				e := observed[asked.Tier]
				e.Deploying = active
				observed[asked.Tier] = e
			})
		}
		wg.Go(func() { object(j.resourcesOf(ctx, asked)...) })
	}
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return err
	}
	for i := range j.wanted { // the order in which they were found is nobody's concern
		slices.SortFunc(j.wanted[i].Objections, compareObjections)
	}
	j.plan = Make(j.input(observed))
	j.notices = slices.Concat(j.plan.Notices, j.uncheckedNotices())
	return nil
}

func compareObjections(a, b Objection) int {
	switch {
	case a.Subject != b.Subject && a.Subject < b.Subject:
		return -1
	case a.Subject != b.Subject:
		return 1
	case a.Fault.Message < b.Fault.Message:
		return -1
	}
	return 1
}

// deployments are those under way to a tier, which hold its rules back.
func (j *job) deployments(ctx context.Context, t Tier) (active []int64, o []Objection) {
	e, _ := j.list.Find(string(t))
	under, last, err := j.hub.Deployments(ctx, j.repo, e.Name, j.hub.Clock().GitHub(j.now()).Add(-deploymentAge))
	if err != nil {
		return nil, []Objection{{SubjectEnvironment, NotLookedUp, fault.Of(err)}}
	}
	for _, d := range under {
		active = append(active, d.ID)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.deployed[t] = last
	return active, nil
}

// reviewers objects to every reviewer who is not there or was given no access: GitHub would drop
// them without a word.
func (j *job) reviewers(ctx context.Context, w Wanted) []Objection {
	j.people.look(ctx, j.repo, w.Rules.ReviewerIDs)
	var objections []Objection
	for _, id := range w.Rules.ReviewerIDs {
		err := j.people.verdict(id)
		switch {
		case err == nil:
		case errors.Is(err, errNobody):
			objections = append(objections, Objection{SubjectReviewers, ReviewerUnknown,
				fault.New(fault.ReviewerNotFound, fault.Context{"reviewerId": id, "environment": string(w.Tier)})})
		default:
			objections = append(objections, Objection{SubjectReviewers, NotLookedUp, fault.Of(err)})
		}
	}
	return objections
}

// people are the reviewers that were looked for, each once.
type people struct {
	hub   hub
	mu    sync.Mutex
	found map[int64]error // nil: exists and has access
}

var errNobody = errors.New("no such user, or one without access")

func (p *people) verdict(id int64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.found[id]
}

// look looks for those who were not looked for yet.
func (p *people) look(ctx context.Context, repo github.Repository, ids []int64) {
	ids = slices.Compact(slices.Sorted(slices.Values(ids)))
	var wg sync.WaitGroup
	for _, id := range ids {
		p.mu.Lock()
		err, known := p.found[id]
		p.mu.Unlock()
		if known && (err == nil || errors.Is(err, errNobody)) {
			continue
		}
		wg.Go(func() {
			err := p.find(ctx, repo, id)
			p.mu.Lock()
			defer p.mu.Unlock()
			p.found[id] = err
		})
	}
	wg.Wait()
}

func (p *people) find(ctx context.Context, repo github.Repository, id int64) error {
	user, found, err := p.hub.User(ctx, id)
	if err != nil {
		return err
	}
	if !found || user.Type != userReviewer {
		return errNobody
	}
	access, err := p.hub.HasAccess(ctx, repo, user.Login)
	if err == nil && !access {
		err = errNobody
	}
	return err
}
