package githubsim

import (
	"maps"
	"slices"
	"strings"
)

// An organizationSecret is visible to some repositories of its organisation.
type organizationSecret struct {
	Secret
	repositories map[int64]bool // nil: all of them
}

// SetOrganizationSecret creates or updates a secret of an organisation, visible to the
// repositories named or, when none is, to all of the organisation's.
func (g *GitHub) SetOrganizationSecret(login string, s Secret, fullNames ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	made := &organizationSecret{Secret: s}
	for _, full := range fullNames {
		if made.repositories == nil {
			made.repositories = make(map[int64]bool)
		}
		made.repositories[g.world.repository(full).ID] = true
	}
	made.Name = strings.ToUpper(s.Name)
	if made.UpdatedAt.IsZero() {
		made.UpdatedAt = g.clock.now()
	}
	if made.CreatedAt.IsZero() {
		made.CreatedAt = made.UpdatedAt
	}
	g.world.account(login).secrets[made.Name] = made
}

// DeleteOrganizationSecret deletes a secret of an organisation, if it is there.
func (g *GitHub) DeleteOrganizationSecret(login, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.world.account(login).secrets, strings.ToUpper(name))
}

// visibleOrganizationSecrets lists, as a route of the Actions store, what jobs of the
// repository get from its organisation.
func visibleOrganizationSecrets(c *call) answer {
	all := c.repo.owner.secrets
	var list []Secret
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if s := all[name]; s.repositories == nil || s.repositories[c.repo.ID] {
			list = append(list, s.Secret)
		}
	}
	return c.secretList(list)
}

func organizationSecretRoutes() []route {
	return []route{{
		method: "GET", path: "/{repo}/actions/organization-secrets", need: need{"secrets", "read"},
		scope: "repo", role: RoleWrite, docs: "actions/secrets#list-repository-organization-secrets",
		serve: visibleOrganizationSecrets,
	}}
}
