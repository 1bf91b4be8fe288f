package githubsim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Account types as GitHub writes them.
const (
	userAccount = "User"
	orgAccount  = "Organization"
)

// An account is a user or an organisation.
type account struct {
	id      int64
	login   string
	kind    string
	created time.Time

	// Of organisations only.
	owners  map[int64]bool
	teams   []*team
	secrets map[string]*organizationSecret
}

type team struct {
	id           int64
	slug         string
	members      map[int64]bool
	repositories map[int64]Role
}

// AddUser adds a user and returns their id.
func (g *GitHub) AddUser(login string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.world.addAccount(login, userAccount, g.clock.now()).id
}

// AddOrganization adds an organisation with its owners, who are administrators of all its
// repositories, and returns its id.
func (g *GitHub) AddOrganization(login string, owners ...string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	org := g.world.addAccount(login, orgAccount, g.clock.now())
	for _, owner := range owners {
		org.owners[g.world.account(owner).id] = true
	}
	return org.id
}

// A Team describes a team to add.
type Team struct {
	Organization string
	Slug         string
	Members      []string        // logins
	Repositories map[string]Role // by full name
}

// AddTeam adds a team and returns its id.
func (g *GitHub) AddTeam(t Team) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.world
	made := &team{id: w.nextID(), slug: t.Slug, members: make(map[int64]bool), repositories: make(map[int64]Role)}
	for _, login := range t.Members {
		made.members[w.account(login).id] = true
	}
	for full, role := range t.Repositories {
		made.repositories[w.repository(full).ID] = role
	}
	org := w.account(t.Organization)
	org.teams = append(org.teams, made)
	return made.id
}

// AddCollaborator gives a user a role in a repository; the empty role takes it away.
func (g *GitHub) AddCollaborator(fullName, login string, role Role) {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo, user := g.world.repository(fullName), g.world.account(login)
	if role == "" {
		delete(repo.collaborators, user.id)
		return
	}
	repo.collaborators[user.id] = role
}

func (w *world) addAccount(login, kind string, now time.Time) *account {
	if w.accounts[strings.ToLower(login)] != nil {
		panic("githubsim: there is an account " + login + " already")
	}
	a := &account{
		id: w.nextID(), login: login, kind: kind, created: now,
		owners: make(map[int64]bool), secrets: make(map[string]*organizationSecret),
	}
	w.accounts[strings.ToLower(login)] = a
	w.accountsByID[a.id] = a
	return a
}

// account returns an account that a stage direction names.
func (w *world) account(login string) *account {
	a := w.accounts[strings.ToLower(login)]
	if a == nil {
		panic("githubsim: no account " + login)
	}
	return a
}

// granted is the role a user was given in a repository, on any way; empty if on none.
func (repo *repository) granted(user *account) Role {
	if user == repo.owner || repo.owner.owners[user.id] {
		return RoleAdmin
	}
	role := repo.collaborators[user.id]
	for _, t := range repo.owner.teams {
		if given := t.repositories[repo.ID]; t.members[user.id] && given.rank() > role.rank() {
			role = given
		}
	}
	return role
}

// role is what a user can do in a repository: everyone can read public ones.
func (repo *repository) role(user *account) Role {
	role := repo.granted(user)
	if role == "" && !repo.Private {
		return RoleRead
	}
	return role
}

// people returns all users who were given a role in a repository, by id.
func (w *world) people(repo *repository) []*account {
	var out []*account
	for _, a := range w.accountsByID {
		if a.kind == userAccount && repo.granted(a) != "" {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, func(a, b *account) int { return cmp.Compare(a.id, b.id) })
	return out
}

// site is where people look at things, beside the API.
func (c *call) site() string {
	if c.enterprise() {
		return strings.TrimSuffix(c.base, c.Prefix())
	}
	return "https://github.com"
}

// accountJSON is a simple-user.
func (c *call) accountJSON(a *account) map[string]any {
	url := c.base + "/users/" + a.login
	return map[string]any{
		"login":               a.login,
		"id":                  a.id,
		"node_id":             fmt.Sprintf("U_%d", a.id),
		"avatar_url":          fmt.Sprintf("https://avatars.githubusercontent.com/u/%d?v=4", a.id),
		"gravatar_id":         "",
		"url":                 url,
		"html_url":            c.site() + "/" + a.login,
		"followers_url":       url + "/followers",
		"following_url":       url + "/following{/other_user}",
		"gists_url":           url + "/gists{/gist_id}",
		"starred_url":         url + "/starred{/owner}{/repo}",
		"subscriptions_url":   url + "/subscriptions",
		"organizations_url":   url + "/orgs",
		"repos_url":           url + "/repos",
		"events_url":          url + "/events{/privacy}",
		"received_events_url": url + "/received_events",
		"type":                a.kind,
		"user_view_type":      "public",
		"site_admin":          false,
	}
}
