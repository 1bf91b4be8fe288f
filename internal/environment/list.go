package environment

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A Standing is how one environment stands: what was applied last, and what GitHub shows now.
type Standing struct {
	Name                string                  `json:"environmentName"`
	GitHubEnvironmentID int64                   `json:"githubEnvironmentId"`
	Exists              bool                    `json:"exists"`  // on GitHub
	Managed             bool                    `json:"managed"` // applied by us at some time
	ProtectionRules     Rules                   `json:"protectionRules"`
	Asked               Rules                   `json:"asked"` // when it was applied last
	Differences         []RuleFinding           `json:"differences"`
	Secrets             []StandingSecret        `json:"secrets"`
	Linked              Links                   `json:"linkedResources"`
	Status              store.EnvironmentStatus `json:"status,omitempty"`
	LastDeploymentAt    *time.Time              `json:"lastDeploymentAt"`
}

// A StandingSecret is one secret of an environment, of which nothing but its name and time is shown.
type StandingSecret struct {
	Name          secret.Name   `json:"name"`
	LastUpdatedAt time.Time     `json:"lastUpdatedAt"`
	Standing      plan.Standing `json:"standing"`
}

// List shows the environments that were applied or that GitHub has, in the order of tiers. It looks
// at GitHub, conditionally but for the last deployment, and records nothing.
func (s *Service) List(ctx context.Context, p store.Project) ([]Standing, error) {
	w := s.open(ctx, p, store.Local)
	if err := w.recall(ctx); err != nil {
		return nil, err
	}
	if err := w.look(ctx, Tiers()); err != nil {
		return nil, err
	}
	standings := []Standing{}
	for _, t := range Tiers() {
		if _, there := w.list.Find(string(t)); there || w.memory[t].Applied {
			standings = append(standings, w.standing(t))
		}
	}
	return standings, w.lastDeployments(ctx, standings)
}

func (s *session) standing(t Tier) Standing {
	e, there := s.list.Find(string(t))
	config, m := s.configs[t], s.memory[t]
	st := Standing{
		Name: string(t), GitHubEnvironmentID: config.GitHubID, Exists: there, Managed: m.Applied, Asked: m.Rules,
		Differences: orEmpty(s.ruleFindings(t, e, there)), Secrets: []StandingSecret{}, Linked: m.Linked,
		Status: config.Status, LastDeploymentAt: config.LastDeploymentAt,
	}
	if there {
		st.GitHubEnvironmentID, st.ProtectionRules = e.ID, shown(e.Rules, s.repo.DefaultBranch)
	}
	listed := s.secrets[t].Observation().UpdatedAt
	var names []secret.Name
	for name := range listed {
		names = append(names, name)
	}
	standings := s.standingsOf(t, names)
	for name := range standings {
		st.Secrets = append(st.Secrets, StandingSecret{Name: name, LastUpdatedAt: listed[name], Standing: standings[name]})
	}
	slices.SortFunc(st.Secrets, func(a, b StandingSecret) int { return a.Name.Compare(b.Name) })
	return st
}

// lastDeployments fills in when each environment was deployed to last, where GitHub has a newer one
// than is remembered.
func (s *session) lastDeployments(ctx context.Context, standings []Standing) error {
	errs := make([]error, len(standings))
	var wg sync.WaitGroup
	for i := range standings {
		st := &standings[i]
		e, there := s.list.Find(st.Name)
		if !there {
			continue
		}
		wg.Go(func() {
			since := s.hub.Clock().GitHub(s.now())
			_, last, err := s.hub.Deployments(ctx, s.repo, e.Name, since)
			if errs[i] = err; last != nil {
				st.LastDeploymentAt = &last.CreatedAt
			}
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
