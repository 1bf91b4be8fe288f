package syncing

import (
	"context"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
)

// A TestedName is what the rules say of one name.
type TestedName struct {
	Name     string `json:"name"`
	Excluded bool   `json:"excluded"`
	Pattern  string `json:"pattern"`
	Reason   string `json:"reason"`
}

// Rules returns the rules in force for a repository: the global ones, then its own. The zero Ref
// means the global ones alone.
func (s *Service) Rules(ctx context.Context, repo github.Ref) (exclusion.Rules, error) {
	p, err := s.projectOf(ctx, repo)
	if err != nil {
		return nil, err
	}
	return s.store.Rules(ctx, p.ID)
}

// projectOf returns the project of repo, or the zero Project when there is none.
func (s *Service) projectOf(ctx context.Context, repo github.Ref) (store.Project, error) {
	if repo == (github.Ref{}) {
		return store.Project{}, nil
	}
	p, _, err := s.store.FindProject(ctx, s.apiHost, repo.Owner, repo.Name)
	return p, err
}

// AddRule excludes names from now on: in one repository, or everywhere when repo is the zero Ref.
func (s *Service) AddRule(ctx context.Context, repo github.Ref, pattern, reason string, by uuid.UUID) (exclusion.Rule, error) {
	if _, err := exclusion.Compile(pattern); err != nil {
		return exclusion.Rule{}, invalidPattern(err)
	}
	id, err := s.ruleProject(ctx, repo)
	if err != nil {
		return exclusion.Rule{}, err
	}
	return s.store.AddRule(ctx, s.now(), id, pattern, reason, by)
}

// RemoveRule takes a rule back, named by its id or its pattern.
func (s *Service) RemoveRule(ctx context.Context, repo github.Ref, idOrPattern string) error {
	id, err := s.ruleProject(ctx, repo)
	if err != nil {
		return err
	}
	return s.store.RemoveRule(ctx, id, idOrPattern)
}

func (s *Service) ruleProject(ctx context.Context, repo github.Ref) (*uuid.UUID, error) {
	if repo == (github.Ref{}) {
		return nil, nil
	}
	p, known, err := s.store.FindProject(ctx, s.apiHost, repo.Owner, repo.Name)
	if err == nil && !known {
		// A rule may come before the first sync, and it belongs to the repository's number.
		found, _, lookup := s.hubFor(ctx, repo.Owner).Repository(ctx, repo, nil)
		if lookup != nil {
			return nil, lookup
		}
		p, err = s.store.EnsureProject(ctx, s.now(), s.projectFor(found))
	}
	if err != nil {
		return nil, err
	}
	return &p.ID, nil
}

// TestNames says for each name whether a rule excludes it, and which. A pattern, when given, is
// tried instead of the rules in force.
func (s *Service) TestNames(ctx context.Context, repo github.Ref, pattern string, names []string) ([]TestedName, error) {
	rules, err := s.Rules(ctx, repo)
	if pattern != "" {
		var p exclusion.Pattern
		if p, err = exclusion.Compile(pattern); err != nil {
			return nil, invalidPattern(err)
		}
		rules = exclusion.Rules{{Pattern: p, Reason: "the pattern being tried"}}
	}
	if err != nil {
		return nil, err
	}
	verdicts, err := rules.Verdicts(ctx, names)
	if err != nil {
		return nil, undecided(err)
	}
	out := make([]TestedName, len(names))
	for i, n := range names {
		v := verdicts[n]
		out[i] = TestedName{Name: n, Excluded: v.Excluded, Pattern: v.Rule.Pattern.String(), Reason: v.Rule.Reason}
	}
	return out, nil
}

func invalidPattern(err error) error {
	return fault.Invalid("The pattern is no JavaScript regular expression: %v", err).Because(err)
}
