package githubsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// A repository as far as tests look at it.
type repository struct {
	ID            int64  `json:"id"`
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
}

func (c *client) repository(path string) repository {
	c.t.Helper()
	var r repository
	c.want(200, "GET", path, "").into(c.t, &r)
	return r
}

func TestRepositoryByNameAndID(t *testing.T) {
	c := start(t, githubsim.Config{})
	byName := c.repository("/repos/ACME/Widgets")
	if byName.ID < 1<<32 || byName.FullName != widgets || byName.DefaultBranch != "main" {
		t.Errorf("%+v", byName)
	}
	byID := c.repository(fmt.Sprintf("/repositories/%d", byName.ID))
	if byID != byName {
		t.Errorf("%+v by id, %+v by name", byID, byName)
	}
	for _, path := range []string{
		"/repos/acme/widgets/", "/repos/acme", "/repositories/1", "/repositories/x", "/nonsense", "/",
		"/repos/acme/widgets/actions/secrets/", "/repos/acme//actions/secrets",
	} {
		c.want(404, "GET", path, "")
	}
	c.want(404, "POST", "/repos/acme/widgets", "")
	if r := c.want(200, "HEAD", "/repos/acme/widgets", ""); r.Body != "" {
		t.Errorf("HEAD answered %q", r.Body)
	}
}

func TestRenamedRepositoryRedirects(t *testing.T) {
	c := start(t, githubsim.Config{})
	id := c.repository("/repos/acme/widgets").ID
	k := c.key(prefixes["actions"])
	c.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName = "acme/gadgets" })

	want := fmt.Sprintf("%s/repositories/%d/actions/secrets?per_page=5", c.url, id)
	r := c.want(301, "GET", "/repos/acme/widgets/actions/secrets?per_page=5", "")
	if r.Header.Get("Location") != want || r.message() != "Moved Permanently" || !strings.Contains(r.Body, want) {
		t.Errorf("Location %s, body %s", r.Header.Get("Location"), r.Body)
	}
	r = c.want(307, "PUT", prefixes["actions"]+"/A", k.seal(t, "v"))
	c.want(201, "PUT", r.Header.Get("Location"), k.seal(t, "v"))
	c.want(204, "PUT", "/repos/acme/gadgets/actions/secrets/A", k.seal(t, "v"))

	// Somebody takes the old name: same path, another repository.
	c.gh.AddRepository(githubsim.Repository{FullName: widgets})
	if taken := c.repository("/repos/acme/widgets"); taken.ID == id {
		t.Error("the new repository has the old id")
	}
	if n := c.list("/repos/acme/widgets/actions/secrets").TotalCount; n != 0 {
		t.Errorf("the new repository has %d secrets", n)
	}
}

func TestTransferredAndRecreatedRepository(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName = "octocat/widgets" })
	c.want(301, "GET", "/repos/acme/widgets", "")
	id := c.repository("/repos/octocat/widgets").ID
	c.gh.DeleteRepository("octocat/widgets")
	c.want(404, "GET", "/repos/acme/widgets", "")
	c.want(404, "GET", fmt.Sprintf("/repositories/%d", id), "")
	if again := c.gh.AddRepository(githubsim.Repository{FullName: "octocat/widgets"}); again == id {
		t.Error("a new repository has an old id")
	}
}

func TestArchivedRepositoryIsReadOnly(t *testing.T) {
	c := start(t, githubsim.Config{})
	k := c.key(prefixes["actions"])
	c.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Archived = true })
	if r := c.want(403, "PUT", prefixes["actions"]+"/A", k.seal(t, "v")); r.message() != "Repository was archived so is read-only." {
		t.Error(r.Body)
	}
	c.want(200, "GET", prefixes["actions"], "")
}

func TestPeople(t *testing.T) {
	c := start(t, githubsim.Config{})
	for _, login := range []string{"mona", "hubot", "ghost"} {
		c.gh.AddUser(login)
	}
	c.gh.AddCollaborator(widgets, "mona", githubsim.RoleMaintain)
	c.gh.AddTeam(githubsim.Team{
		Organization: "acme", Slug: "platform", Members: []string{"hubot"},
		Repositories: map[string]githubsim.Role{widgets: githubsim.RoleTriage},
	})
	for login, want := range map[string][2]string{
		"octocat": {"admin", "admin"}, "mona": {"write", "maintain"}, "hubot": {"read", "triage"}, "ghost": {"none", "none"},
	} {
		var got struct {
			Permission string `json:"permission"`
			RoleName   string `json:"role_name"`
		}
		c.want(200, "GET", "/repos/acme/widgets/collaborators/"+login+"/permission", "").into(t, &got)
		if got.Permission != want[0] || got.RoleName != want[1] {
			t.Errorf("%s: %+v, want %v", login, got, want)
		}
	}
	c.want(204, "GET", "/repos/acme/widgets/collaborators/hubot", "")
	c.want(404, "GET", "/repos/acme/widgets/collaborators/ghost", "")
	c.want(404, "GET", "/repos/acme/widgets/collaborators/nobody/permission", "")

	count := func(path string) int {
		var list []any
		c.want(200, "GET", path, "").into(t, &list)
		return len(list)
	}
	for path, want := range map[string]int{
		"collaborators": 3, "collaborators?permission=push": 2, "collaborators?affiliation=direct": 1, "teams": 1,
	} {
		if got := count("/repos/acme/widgets/" + path); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
	}

	var mona struct {
		ID   int64  `json:"id"`
		Type string `json:"type"`
	}
	c.want(200, "GET", "/users/MONA", "").into(t, &mona)
	c.want(200, "GET", fmt.Sprintf("/user/%d", mona.ID), "")
	c.want(404, "GET", "/user/1", "")
	c.want(200, "GET", "/users/acme", "")
	c.want(200, "GET", "/user", "")
}

func TestVersionsAndHeaders(t *testing.T) {
	c := start(t, githubsim.Config{})
	r := c.want(200, "GET", "/versions", "")
	for _, name := range []string{
		"X-Github-Request-Id", "X-Github-Media-Type", "X-Github-Api-Version-Selected", "Etag", "Vary", "Cache-Control", "Date",
		"X-Ratelimit-Limit", "X-Ratelimit-Remaining", "X-Ratelimit-Used", "X-Ratelimit-Reset", "X-Ratelimit-Resource",
		"X-Oauth-Scopes", "X-Accepted-Oauth-Scopes", "Sunset",
	} {
		if len(r.Header[http.CanonicalHeaderKey(name)]) == 0 {
			t.Errorf("no %s", name)
		}
	}
	newer := c.with("X-GitHub-Api-Version", "2026-03-10")
	if got := newer.get("/rate_limit"); strings.Contains(got.Body, `"rate":`) || got.Header.Get("Sunset") != "" {
		t.Errorf("2026-03-10: %v %s", got.Header, got.Body)
	}
	if got := newer.get("/repos/acme/widgets").Body; strings.Contains(got, "has_downloads") {
		t.Error("2026-03-10 has has_downloads")
	}
	c.with("X-GitHub-Api-Version", "2021-01-01").want(400, "GET", "/versions", "")
	if r := c.with("User-Agent", "").want(403, "GET", "/versions", ""); strings.HasPrefix(r.Body, "{") {
		t.Errorf("no User-Agent: %s", r.Body)
	}
}

func TestEnterpriseServer(t *testing.T) {
	c := start(t, githubsim.Config{Enterprise: "3.19.1"})
	r := c.want(200, "GET", "/repos/acme/widgets", "")
	if r.Header.Get("X-GitHub-Enterprise-Version") != "3.19.1" || r.Header.Get("X-RateLimit-Limit") != "" {
		t.Errorf("headers: %v", r.Header)
	}
	c.want(404, "GET", prefixes["codespaces"], "")
	c.want(404, "GET", prefixes["agents"], "")
	c.want(404, "GET", "/versions", "")
	c.want(404, "GET", "/rate_limit", "")
	c.want(404, "GET", strings.TrimSuffix(c.url, "/api/v3")+"/repos/acme/widgets", "")
	c.with("X-GitHub-Api-Version", "2026-03-10").want(400, "GET", "/user", "")

	body := c.get(prefixes["actions"] + "/public-key").Body
	if strings.Contains(body, `"key_id":"`) {
		t.Errorf("key_id is text: %s", body)
	}
	if r.Header.Get("Link") != "" || c.gh.Counts().Billed != 0 {
		t.Error("billed")
	}
}
