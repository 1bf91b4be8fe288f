package environment

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// The kinds under which lists are stored. None of them is spelled like a scope: those are the lists
// of runs, which are polled.
const (
	kindRepository   = "environments/repository"
	kindEnvironments = "environments"
	kindActions      = "actions" // a run's list, read here and never stored
)

func kindSecrets(t Tier) string { return "environments/" + string(t) }

// A session is one piece of work for one project: what is remembered, and what GitHub shows.
type session struct {
	*Service
	hub     hub
	project store.Project
	actor   uuid.UUID
	id      uuid.UUID // the correlation id
	started time.Time
	hasher  secret.Hasher

	known   map[string]json.RawMessage // lists as this credential saw them last
	configs map[Tier]store.EnvironmentConfig
	memory  map[Tier]Memory

	repo    github.Repository
	date    time.Time // of the look at the repository
	list    github.EnvironmentList
	secrets map[Tier]github.Listing
}

func (s *Service) open(ctx context.Context, p store.Project, actor uuid.UUID) *session {
	return &session{
		Service: s, hub: s.hubFor(ctx, p.Owner), project: p, actor: actor, id: uuid.New(), started: s.now(),
		repo: github.Repository{ID: p.RepositoryID, Owner: p.Owner, Name: p.Repo},
	}
}

// recall reads what is remembered of the project, under its lease if there is one.
func (s *session) recall(ctx context.Context) error {
	s.hasher = secret.NewHasher(s.settings.HashKey, s.project.ID.String())
	s.known, s.configs, s.memory = map[string]json.RawMessage{}, map[Tier]store.EnvironmentConfig{}, map[Tier]Memory{}
	if s.project.ID == uuid.Nil {
		return nil
	}
	lists, err := s.store.Lists(ctx, s.project.ID, s.hub.Credential().Fingerprint())
	if err != nil {
		return err
	}
	for _, l := range lists {
		s.known[l.Kind] = l.Content
	}
	configs, err := s.store.EnvironmentConfigs(ctx, s.project.ID)
	if err != nil {
		return err
	}
	for _, c := range configs {
		t, err := ParseTier(c.Name)
		if err != nil {
			return err
		}
		s.configs[t] = c
		if s.memory[t], err = remembered(c); err != nil {
			return err
		}
	}
	return s.recallIntents(ctx)
}

func (s *session) recallIntents(ctx context.Context) error {
	intents, err := s.store.EnvironmentIntents(ctx, s.project.ID)
	if err != nil {
		return err
	}
	for _, i := range intents {
		name, _ := i.Scope.Environment()
		t, err := ParseTier(name)
		if err != nil {
			return err
		}
		m := s.memory[t]
		if m.Intents == nil {
			m.Intents = map[secret.Name]Intent{}
		}
		m.Intents[i.Name] = Intent{At: i.At, Until: i.Until}
		s.memory[t] = m
	}
	return nil
}

// remembered reads a stored environment.
func remembered(c store.EnvironmentConfig) (Memory, error) {
	m := Memory{Applied: true, Secrets: map[secret.Name]Remembered{}}
	if err := json.Unmarshal(c.Rules, &m.Rules); err != nil {
		return m, err
	}
	if err := json.Unmarshal(c.Linked, &m.Linked); err != nil {
		return m, err
	}
	for _, one := range c.Secrets {
		m.Secrets[one.Name] = Remembered{Hash: one.Hash, UpdatedAt: one.LastUpdatedAt}
	}
	return m, nil
}

// seenBefore reads a stored list. One that cannot be read was never seen.
func seenBefore[T any](s *session, kind string) *T {
	var list T
	if raw, ok := s.known[kind]; !ok || json.Unmarshal(raw, &list) != nil {
		return nil
	}
	return &list
}

// look observes GitHub: the repository, its environments, and the secrets of the tiers asked for. It
// is one round trip where the environments are remembered, conditional on what was seen before, so
// unchanged ones cost no quota.
func (s *session) look(ctx context.Context, tiers []Tier) error {
	var mu sync.Mutex
	var wg sync.WaitGroup
	s.secrets = map[Tier]github.Listing{}
	var listErr error
	secrets := func(t Tier) {
		wg.Go(func() {
			l, err := s.hub.List(ctx, s.repo, t.Scope(), seenBefore[github.Listing](s, kindSecrets(t)))
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				s.secrets[t] = l
			} else if !errors.Is(err, github.ErrStoreMissing) { // which says that the environment is gone
				listErr = errors.Join(listErr, err)
			}
		})
	}
	asked := map[Tier]bool{}
	for _, t := range tiers {
		if asked[t] = s.memory[t].Applied; asked[t] {
			secrets(t)
		}
	}
	var envErr error
	wg.Go(func() {
		s.list, envErr = s.hub.Environments(ctx, s.repo, seenBefore[github.EnvironmentList](s, kindEnvironments))
		for _, t := range tiers {
			if _, there := s.list.Find(string(t)); there && !asked[t] {
				secrets(t)
			}
		}
	})
	repo, date, err := s.hub.Repository(ctx, s.repo.Ref(), seenBefore[github.Repository](s, kindRepository))
	wg.Wait()
	if err := s.lookFault(ctx, repo, err); err != nil {
		return err
	}
	s.repo, s.date = repo, date
	if err := cmp.Or(envErr, listErr); err != nil {
		return err
	}
	return s.listedWhole(tiers)
}

// listedWhole refuses to go on with an environment that is there and whose secrets are not to be had:
// what it holds must not be taken for nothing.
func (s *session) listedWhole(tiers []Tier) error {
	for _, t := range tiers {
		_, there := s.list.Find(string(t))
		if _, listed := s.secrets[t]; there && !listed {
			return fault.New(fault.IntegrationUnavailable, fault.Context{
				"reason": "environment " + string(t) + " is there, and its secrets are not", "environment": string(t),
			}).Hinting("If somebody is deleting it just now, try again. Otherwise %s may lack the permission to see its secrets.", s.hub.Credential().Name())
		}
	}
	return nil
}

// lookFault is why what was seen cannot be used: above all, that it is another repository's.
func (s *session) lookFault(ctx context.Context, repo github.Repository, err error) error {
	switch {
	case errors.Is(err, github.ErrReplaced), err == nil && s.project.RepositoryID != 0 && repo.ID != s.project.RepositoryID:
		return replaced(s.project)
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return err
}

// observed is what GitHub shows of the tiers, those that it does not have left out.
func (s *session) observed(tiers []Tier) map[Tier]Observed {
	out := map[Tier]Observed{}
	for _, t := range tiers {
		e, there := s.list.Find(string(t))
		if !there {
			continue
		}
		out[t] = Observed{ID: e.ID, Rules: e.Rules, Secrets: s.secrets[t].Observation()}
	}
	return out
}

// seen returns the lists as they are to be remembered.
func (s *session) seen() []store.List {
	var lists []store.List
	add := func(kind string, date time.Time, content any) {
		raw, err := json.Marshal(content)
		if err != nil { // plain structs of strings and times always marshal
			panic(err)
		}
		lists = append(lists, store.List{Kind: kind, Credential: s.hub.Credential().Fingerprint(), Date: date, Content: raw})
	}
	if s.date.IsZero() || s.repo.ID != s.project.RepositoryID {
		return nil
	}
	add(kindRepository, s.date, s.repo)
	add(kindEnvironments, s.list.Date, s.list)
	for _, t := range Tiers() {
		if l, ok := s.secrets[t]; ok {
			add(kindSecrets(t), l.Date, l)
		}
	}
	return lists
}

// tiersOf are the tiers of what was asked for, in their order.
func tiersOf(wanted []Wanted) []Tier {
	tiers := make([]Tier, len(wanted))
	for i, w := range wanted {
		tiers[i] = w.Tier
	}
	slices.SortFunc(tiers, compareTiers)
	return tiers
}
