package githubsim

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
)

const (
	suspendedMessage = "This GitHub App installation is currently suspended."
	ungranted        = "The permissions requested are not granted to this installation."
	unreachable      = "There is at least one repository that does not exist or is not accessible to the parent installation."

	tokenLife     = time.Hour
	maxTokenRepos = 500
)

func appRoutes() []route {
	return []route{
		{method: "GET", path: "/app", by: byApp, docs: "apps/apps#get-the-authenticated-app", serve: getApp},
		{method: "GET", path: "/app/installations", by: byApp,
			docs: "apps/apps#list-installations-for-the-authenticated-app", serve: listInstallations},
		{method: "GET", path: "/app/installations/{installation_id}", by: byApp,
			docs: "apps/apps#get-an-installation-for-the-authenticated-app", serve: getInstallation},
		{method: "POST", path: "/app/installations/{installation_id}/access_tokens", by: byApp,
			docs: "apps/apps#create-an-installation-access-token-for-an-app", serve: createToken},
		{method: "GET", path: "/orgs/{org}/installation", by: byApp,
			docs: "apps/apps#get-an-organization-installation-for-the-authenticated-app", serve: organizationInstallation},
		{method: "GET", path: "/{repo}/installation", by: byApp,
			docs: "apps/apps#get-a-repository-installation-for-the-authenticated-app", serve: repositoryInstallation},
		{method: "GET", path: "/installation/repositories", by: byInstallation,
			docs: "apps/installations#list-repositories-accessible-to-the-app-installation", serve: reachableRepositories},
		{method: "DELETE", path: "/installation/token", by: byInstallation,
			docs: "apps/installations#revoke-an-installation-access-token", serve: revokeOwnToken},
	}
}

func getApp(c *call) answer {
	a := c.who.app
	return ok(map[string]any{
		"id":                  a.ID,
		"slug":                a.Slug,
		"client_id":           a.ClientID,
		"node_id":             fmt.Sprintf("A_%d", a.ID),
		"owner":               c.accountJSON(a.owner),
		"name":                a.Slug,
		"description":         nil,
		"external_url":        "https://example.com",
		"html_url":            c.site() + "/apps/" + a.Slug,
		"created_at":          stamp(a.created),
		"updated_at":          stamp(a.created),
		"permissions":         withMetadata(a.Permissions),
		"events":              []string{},
		"installations_count": len(c.installations()),
	})
}

func withMetadata(p Permissions) Permissions {
	all := Permissions{"metadata": "read"}
	maps.Copy(all, p)
	return all
}

// installations are the calling App's, by id.
func (c *call) installations() []*installation {
	var out []*installation
	for _, id := range slices.Sorted(maps.Keys(c.world.installations)) {
		if i := c.world.installations[id]; i.app == c.who.app {
			out = append(out, i)
		}
	}
	return out
}

func listInstallations(c *call) answer {
	list := []map[string]any{}
	for _, i := range c.installations() {
		list = append(list, c.installationJSON(i))
	}
	p := c.page()
	a := ok(cut(p, list))
	c.link(&a, p, len(list))
	return a
}

// ownInstallation finds the installation that the path names, if it is the calling App's.
func (c *call) ownInstallation() *installation {
	id, err := strconv.ParseInt(c.param("installation_id"), 10, 64)
	if err != nil {
		return nil
	}
	if i := c.world.installations[id]; i != nil && i.app == c.who.app {
		return i
	}
	return nil
}

func getInstallation(c *call) answer {
	return c.installationAnswer(c.ownInstallation())
}

func organizationInstallation(c *call) answer {
	for _, i := range c.installations() {
		if i.account.kind == orgAccount && strings.EqualFold(i.account.login, c.param("org")) {
			return c.installationAnswer(i)
		}
	}
	return notFound()
}

func repositoryInstallation(c *call) answer {
	return c.installationAnswer(c.world.installationOn(c.who.app, c.repo))
}

func (c *call) installationAnswer(i *installation) answer {
	if i == nil {
		return notFound()
	}
	return ok(c.installationJSON(i))
}

func (c *call) installationJSON(i *installation) map[string]any {
	body := map[string]any{
		"id":                   i.id,
		"app_id":               i.app.ID,
		"app_slug":             i.app.Slug,
		"client_id":            i.app.ClientID,
		"account":              c.accountJSON(i.account),
		"target_id":            i.account.id,
		"target_type":          i.account.kind,
		"repository_selection": i.selection(),
		"permissions":          i.permissions,
		"events":               []string{},
		"single_file_name":     nil,
		"access_tokens_url":    fmt.Sprintf("%s/app/installations/%d/access_tokens", c.base, i.id),
		"repositories_url":     c.base + "/installation/repositories",
		"html_url":             fmt.Sprintf("%s/organizations/%s/settings/installations/%d", c.site(), i.account.login, i.id),
		"created_at":           stamp(i.created),
		"updated_at":           stamp(i.created),
		"suspended_at":         nil,
		"suspended_by":         nil,
	}
	if !i.suspended.IsZero() {
		body["suspended_at"] = stamp(i.suspended)
		body["suspended_by"] = c.accountJSON(c.world.account("octocat"))
	}
	return body
}

// createToken mints an installation token, for all the installation has or for a subset.
func createToken(c *call) answer {
	i := c.ownInstallation()
	switch {
	case i == nil:
		return notFound()
	case !i.suspended.IsZero():
		return refuse(403, suspendedMessage)
	}
	var wish struct {
		Repositories  []string    `json:"repositories"`
		RepositoryIDs []int64     `json:"repository_ids"`
		Permissions   Permissions `json:"permissions"`
	}
	if len(c.body) > 0 && json.Unmarshal(c.body, &wish) != nil {
		return refuse(400, "Problems parsing JSON")
	}
	if len(wish.Repositories)+len(wish.RepositoryIDs) > maxTokenRepos {
		return refuse(422, "A token is for at most 500 repositories.")
	}
	made := &credential{kind: installationToken, app: i.app, installation: i, owner: i.account, permissions: i.permissions}
	for slug, level := range wish.Permissions {
		if !slices.Contains(levels[1:], level) || !i.permissions.allow(need{slug, level}) {
			return refuse(422, ungranted)
		}
		made.permissions = withMetadata(wish.Permissions)
	}
	for _, name := range wish.Repositories {
		if !made.restrict(c.world.named[strings.ToLower(i.account.login+"/"+name)]) {
			return refuse(422, unreachable)
		}
	}
	for _, id := range wish.RepositoryIDs {
		if !made.restrict(c.world.repositories[id]) {
			return refuse(422, unreachable)
		}
	}
	return c.tokenAnswer(made)
}

// restrict adds a repository to those a token is for, if the installation reaches it.
func (c *credential) restrict(repo *repository) bool {
	if repo == nil || !c.installation.covers(repo) {
		return false
	}
	if c.repositories == nil {
		c.repositories = make(map[int64]bool)
	}
	c.repositories[repo.ID] = true
	return true
}

func (c *call) tokenAnswer(made *credential) answer {
	i := made.installation
	made.bucket = fmt.Sprintf("installation:%d", i.id)
	made.id = fmt.Sprintf("%s:%d", made.bucket, c.world.nextID())
	made.expires = seconds(c.now.Add(tokenLife))
	token := c.installationTokenText(made)
	c.world.credentials[token] = made
	body := map[string]any{
		"token":                token,
		"expires_at":           stamp(made.expires),
		"permissions":          made.permissions,
		"repository_selection": i.selection(),
	}
	if made.repositories != nil {
		body["repository_selection"] = "selected"
	}
	if body["repository_selection"] == "selected" {
		list := []map[string]any{}
		for _, repo := range c.reached(made) {
			list = append(list, c.repositoryJSON(repo))
		}
		body["repositories"] = list
	}
	return answer{status: 201, body: body}
}

// installationTokenText makes a token of about 520 characters with dots in it, the form
// that replaces the 40 characters of old; Enterprise Server has the old form, and for now
// a header asks for either.
func (c *call) installationTokenText(made *credential) string {
	stateless := !c.enterprise()
	switch c.r.Header.Get("X-GitHub-Stateless-S2S-Token") {
	case "enabled":
		stateless = true
	case "disabled":
		stateless = false
	}
	if !stateless {
		return "ghs_" + randomText(36)
	}
	part := base64.RawURLEncoding.EncodeToString
	signature := make([]byte, 256)
	rand.Read(signature)
	header := part([]byte(`{"alg":"RS256","typ":"JWT"}`))
	claims := part(fmt.Appendf(nil, `{"iss":"github","sub":%q,"exp":%d}`, made.id, made.expires.Unix()))
	return fmt.Sprintf("ghs_%d_%s.%s.%s", made.app.ID, header, claims, part(signature))
}

// reached are the repositories an installation token is for, by id.
func (c *call) reached(who *credential) []*repository {
	var out []*repository
	for _, id := range slices.Sorted(maps.Keys(c.world.repositories)) {
		if repo := c.world.repositories[id]; who.covers(repo) {
			out = append(out, repo)
		}
	}
	return out
}

func reachableRepositories(c *call) answer {
	list := []map[string]any{}
	for _, repo := range c.reached(c.who) {
		list = append(list, c.repositoryJSON(repo))
	}
	selection := "all"
	if c.who.repositories != nil || c.who.installation.repositories != nil {
		selection = "selected"
	}
	p := c.page()
	a := ok(map[string]any{"total_count": len(list), "repositories": cut(p, list), "repository_selection": selection})
	c.link(&a, p, len(list))
	return a
}

func revokeOwnToken(c *call) answer {
	maps.DeleteFunc(c.world.credentials, func(_ string, known *credential) bool { return known == c.who })
	return answer{status: 204}
}
