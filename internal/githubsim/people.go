package githubsim

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

func peopleRoutes() []route {
	collaborators := "collaborators/collaborators"
	return []route{
		{method: "GET", path: "/user", by: byPerson, docs: "users/users#get-the-authenticated-user", serve: currentUser},
		{method: "GET", path: "/user/{account_id}", by: byAnyone, docs: "users/users#get-a-user-using-their-id", serve: userByID},
		{method: "GET", path: "/users/{username}", by: byAnyone, docs: "users/users#get-a-user", serve: userByLogin},
		{method: "GET", path: "/{repo}/collaborators", need: metadataRead, scope: "repo", role: RoleWrite,
			docs: collaborators + "#list-repository-collaborators", serve: listCollaborators},
		{method: "GET", path: "/{repo}/collaborators/{username}", need: metadataRead, scope: "repo", role: RoleWrite,
			docs: collaborators + "#check-if-a-user-is-a-repository-collaborator", serve: isCollaborator},
		{method: "GET", path: "/{repo}/collaborators/{username}/permission", need: metadataRead, scope: "repo", role: RoleRead,
			docs: collaborators + "#get-repository-permissions-for-a-user", serve: permissionOf},
		{method: "GET", path: "/{repo}/teams", need: need{"administration", "read"}, scope: "repo", role: RoleWrite,
			docs: "repos/repos#list-repository-teams", serve: listTeams},
	}
}

func currentUser(c *call) answer {
	body := c.profileJSON(c.who.user)
	maps.Copy(body, map[string]any{
		"user_view_type":            "private",
		"collaborators":             0,
		"disk_usage":                0,
		"owned_private_repos":       0,
		"private_gists":             0,
		"total_private_repos":       0,
		"two_factor_authentication": true,
	})
	return ok(body)
}

func userByID(c *call) answer {
	id, err := strconv.ParseInt(c.param("account_id"), 10, 64)
	if err != nil {
		return notFound()
	}
	return c.userAnswer(c.world.accountsByID[id])
}

func userByLogin(c *call) answer {
	return c.userAnswer(c.world.accounts[strings.ToLower(c.param("username"))])
}

func (c *call) userAnswer(a *account) answer {
	if a == nil {
		return notFound()
	}
	return answer{status: 200, body: c.profileJSON(a), modified: a.created}
}

// profileJSON is a public-user.
func (c *call) profileJSON(a *account) map[string]any {
	body := c.accountJSON(a)
	maps.Copy(body, map[string]any{
		"name": a.login, "company": nil, "blog": "", "location": nil, "email": nil, "hireable": nil,
		"bio": nil, "twitter_username": nil, "public_repos": 0, "public_gists": 0, "followers": 0,
		"following": 0, "created_at": stamp(a.created), "updated_at": stamp(a.created),
	})
	return body
}

func listCollaborators(c *call) answer {
	wanted := map[string]Role{
		"pull": RoleRead, "triage": RoleTriage, "push": RoleWrite, "maintain": RoleMaintain, "admin": RoleAdmin,
	}[c.r.URL.Query().Get("permission")]
	affiliation := c.r.URL.Query().Get("affiliation")
	list := []map[string]any{}
	for _, user := range c.world.people(c.repo) {
		_, direct := c.repo.collaborators[user.id]
		if !c.repo.granted(user).atLeast(wanted) || (affiliation == "direct" || affiliation == "outside") && !direct {
			continue
		}
		list = append(list, c.collaboratorJSON(user))
	}
	p := c.page()
	a := ok(cut(p, list))
	c.link(&a, p, len(list))
	return a
}

func (c *call) collaboratorJSON(user *account) map[string]any {
	role := c.repo.role(user)
	body := c.accountJSON(user)
	body["role_name"] = string(role)
	body["permissions"] = role.asJSON()
	return body
}

func isCollaborator(c *call) answer {
	user := c.world.accounts[strings.ToLower(c.param("username"))]
	if user == nil || c.repo.granted(user) == "" {
		return notFound()
	}
	return answer{status: 204}
}

// permissionOf tells a role twice: as it is, and in the older words that know only four.
func permissionOf(c *call) answer {
	user := c.world.accounts[strings.ToLower(c.param("username"))]
	if user == nil {
		return notFound()
	}
	role := c.repo.role(user)
	old := map[Role]string{RoleMaintain: "write", RoleTriage: "read", "": "none"}[role]
	if old == "" {
		old = string(role)
	}
	name := string(role)
	if name == "" {
		name = "none"
	}
	body := c.collaboratorJSON(user)
	body["role_name"] = name
	return ok(map[string]any{"permission": old, "role_name": name, "user": body})
}

func listTeams(c *call) answer {
	list := []map[string]any{}
	for _, t := range c.repo.owner.teams {
		if role := t.repositories[c.repo.ID]; role != "" {
			list = append(list, c.teamJSON(c.repo.owner, t, role))
		}
	}
	p := c.page()
	a := ok(cut(p, list))
	c.link(&a, p, len(list))
	return a
}

func (c *call) teamJSON(org *account, t *team, role Role) map[string]any {
	url := fmt.Sprintf("%s/organizations/%d/team/%d", c.base, org.id, t.id)
	permission := map[Role]string{RoleRead: "pull", RoleWrite: "push"}[role]
	if permission == "" {
		permission = string(role)
	}
	return map[string]any{
		"id":                   t.id,
		"node_id":              fmt.Sprintf("T_%d", t.id),
		"name":                 t.slug,
		"slug":                 t.slug,
		"description":          nil,
		"privacy":              "closed",
		"notification_setting": "notifications_enabled",
		"permission":           permission,
		"permissions":          role.asJSON(),
		"url":                  url,
		"html_url":             fmt.Sprintf("%s/orgs/%s/teams/%s", c.site(), org.login, t.slug),
		"members_url":          url + "/members{/member}",
		"repositories_url":     url + "/repos",
		"type":                 "organization",
		"organization_id":      org.id,
		"access_source":        "direct",
		"parent":               nil,
	}
}
