package syncing

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A Bound is the service for one project, known by its id and bound to its repository's number: what
// Service does for a repository that somebody names. It is made for one request and thrown away.
type Bound struct {
	Project store.Project
	service *Service
	repo    github.Ref
}

// For returns the service for a project. One that is archived is not found.
func (s *Service) For(ctx context.Context, id uuid.UUID) (*Bound, error) {
	p, err := s.store.Project(ctx, id)
	if err == nil && p.ArchivedAt != nil {
		err = fault.New(fault.ProjectNotFound, fault.Context{"projectId": id.String()})
	}
	if err != nil {
		return nil, err
	}
	return s.Bind(p), nil
}

// Bind returns the service for a project whose row is at hand.
func (s *Service) Bind(p store.Project) *Bound {
	bound := *s
	bound.store = boundTo{s.store, p}
	return &Bound{Project: p, service: &bound, repo: github.Ref{Owner: p.Owner, Name: p.Repo}}
}

// boundTo is a memory in which one project is found whatever its repository is called: a name may
// lead to another repository by now, which observing it will tell.
type boundTo struct {
	memory
	project store.Project
}

func (b boundTo) FindProject(context.Context, string, string, string) (store.Project, bool, error) {
	return b.project, true, nil
}

// Run carries out a run that stands in the queue, under the project's lease. While another run
// holds that, it answers *store.ErrLeaseHeld, having done nothing. Progress may be nil.
func (b *Bound) Run(ctx context.Context, queued store.Run, o Order, progress func(Event)) (Result, error) {
	req := b.queued(queued, o)
	req.Progress = progress
	return b.service.Sync(ctx, req)
}

// Plan says what a run would do.
func (b *Bound) Plan(ctx context.Context, o Order, actor uuid.UUID) (Preview, error) {
	req := b.request(o)
	req.Actor, req.Trigger = actor, store.Manual
	return b.service.Plan(ctx, req)
}

func (b *Bound) request(o Order) Request {
	return Request{
		Repo: b.repo, Options: o.options(b.Project.Adopt),
		Open: func(ctx context.Context) (Source, error) {
			if fromRelay(b.Project) {
				return b.service.withoutValues()
			}
			return b.service.sources.read(ctx, b.Project, o.SkipInvalid, func(names []string) (map[string]bool, error) {
				return b.excluded(ctx, names)
			})
		},
	}
}

func (b *Bound) excluded(ctx context.Context, names []string) (map[string]bool, error) {
	tested, err := b.TestNames(ctx, "", names)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(tested))
	for _, t := range tested {
		out[t.Name] = t.Excluded
	}
	return out, nil
}

// CheckSource says whether the project has a source of values that it may use, without reading it.
func (b *Bound) CheckSource() error {
	if fromRelay(b.Project) {
		_, err := b.service.withoutValues()
		return err
	}
	_, err := b.service.sources.of(b.Project)
	return err
}

// Validate compares what GitHub lists with what is remembered. Repo of the request is not used.
func (b *Bound) Validate(ctx context.Context, req ValidateRequest) (Validation, error) {
	req.Repo = b.repo
	return b.service.Validate(ctx, req)
}

// WithoutHashes is the validation as those see it who may not compare values.
func (v Validation) WithoutHashes() Validation {
	conflicts := make([]plan.Disagreement, len(v.Conflicts))
	for i, c := range v.Conflicts {
		c.ValueHashes = map[string]string{}
		conflicts[i] = c
	}
	v.Conflicts = conflicts
	return v
}

// Matrix looks at GitHub and shows what is where; Status is the part of it that needs no looking.
func (b *Bound) Matrix(ctx context.Context) (Status, error) {
	st, now, err := b.service.look(ctx, b.repo)
	if err != nil {
		return Status{}, err
	}
	b.schedule(now, &st)
	return st, nil
}

// Status tells how the project stands as of its last run, from memory alone.
func (b *Bound) Status(ctx context.Context) (Status, error) {
	st := Status{Repository: b.repo.String(), Secrets: []Standing{}, Notices: []plan.Notice{}}
	now, err := b.service.sumUp(ctx, b.Project.ID, b.repo.Owner, &st)
	if err != nil {
		return Status{}, err
	}
	b.schedule(now, &st)
	return st, nil
}

// schedule adds when the next full run is due, and that polling is slower than it should be.
func (b *Bound) schedule(now store.Standing, st *Status) {
	if at, ok := b.service.fullRunAfter(b.Project, now.LastFullAt); ok {
		if clock := b.service.now(); at.Before(clock) {
			at = clock
		}
		at = at.UTC().Truncate(time.Second)
		st.NextScheduledSyncAt = &at
	}
	if b.service.accounts == nil || !b.service.Kept(b.Project) {
		return
	}
	if inForce, usual := b.service.accounts.polling(b.repo.Owner); inForce > usual {
		st.Notices = append(st.Notices, plan.Notice{
			Code: fault.RateLimitExhausted,
			Message: fmt.Sprintf("Changes are looked for every %s instead of every %s: GitHub's limit on requests a minute is shared by all projects of this credential.",
				inForce.Round(time.Second), usual.Round(time.Second)),
			Context: fault.Context{"intervalSeconds": math.Round(inForce.Seconds()), "usualSeconds": math.Round(usual.Seconds())},
		})
	}
}

// RecentRuns is how far back one looks for a project's last full run.
const RecentRuns = 4

// Mappings returns what is remembered of each secret, by name.
func (b *Bound) Mappings(ctx context.Context) ([]store.MappingRow, error) {
	return b.service.store.Details(ctx, b.Project.ID)
}

// SetScopes narrows or widens where one secret belongs.
func (b *Bound) SetScopes(ctx context.Context, name secret.Name, scopes []secret.Scope) (dropped []secret.Scope, err error) {
	return b.service.SetScopes(ctx, b.repo, name, scopes)
}

// Rules returns the rules in force: the global ones, then the project's.
func (b *Bound) Rules(ctx context.Context) (exclusion.Rules, error) {
	return b.service.Rules(ctx, b.repo)
}

// AddRule excludes names from now on.
func (b *Bound) AddRule(ctx context.Context, pattern, reason string, by uuid.UUID) (exclusion.Rule, error) {
	return b.service.AddRule(ctx, b.repo, pattern, reason, by)
}

// RemoveRule takes one of the project's own rules back.
func (b *Bound) RemoveRule(ctx context.Context, idOrPattern string) error {
	return b.service.RemoveRule(ctx, b.repo, idOrPattern)
}

// TestNames says for each name whether a rule excludes it, and which.
func (b *Bound) TestNames(ctx context.Context, pattern string, names []string) ([]TestedName, error) {
	return b.service.TestNames(ctx, b.repo, pattern, names)
}

// Events returns a page of the audit trail, newest first, and the cursor of the next.
func (b *Bound) Events(ctx context.Context, f store.Filter) (events []audit.Event, next string, err error) {
	return b.service.Events(ctx, b.repo, f)
}

// VerifyTrail walks the project's chain of events.
func (b *Bound) VerifyTrail(ctx context.Context, kept string) (Verified, error) {
	return b.service.VerifyTrail(ctx, b.repo, kept)
}
