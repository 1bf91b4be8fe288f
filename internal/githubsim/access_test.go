package githubsim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

const badCredentials = "Bad credentials"

func TestWhoSeesWhat(t *testing.T) {
	c := start(t, githubsim.Config{})
	gh := c.gh
	gh.AddRepository(githubsim.Repository{FullName: "acme/public"})
	gh.AddRepository(githubsim.Repository{FullName: "acme/other", Private: true})
	gh.AddUser("mona")
	gh.AddUser("hubot")
	gh.AddCollaborator(widgets, "mona", githubsim.RoleWrite)
	gh.AddCollaborator(widgets, "hubot", githubsim.RoleRead)
	fine := func(p githubsim.Permissions) string {
		return gh.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Repositories: []string{widgets}, Permissions: p})
	}
	const (
		byToken = "Resource not accessible by personal access token"
		byApp   = "Resource not accessible by integration"
		admin   = "Must have admin rights to Repository."
	)
	secrets, public := "/repos/acme/widgets/actions/secrets", "/repos/acme/public"
	for name, tc := range map[string]struct {
		token, path string
		status      int
		message     string
	}{
		"nobody, private":      {"", "/repos/acme/widgets", 404, "Not Found"},
		"nobody, public":       {"", public, 200, ""},
		"nobody, a list":       {"", public + "/actions/secrets", 401, "Requires authentication"},
		"nobody, /user":        {"", "/user", 401, "Requires authentication"},
		"wrong token":          {"ghp_wrong", public, 401, badCredentials},
		"no scope, private":    {gh.AddToken(githubsim.Token{Scopes: []string{"gist"}}), "/repos/acme/widgets", 404, "Not Found"},
		"no scope, public":     {gh.AddToken(githubsim.Token{Scopes: []string{}}), public + "/actions/secrets", 403, admin},
		"no scope, public key": {gh.AddToken(githubsim.Token{Scopes: []string{}}), public + "/actions/secrets/public-key", 200, ""},
		"stranger":             {gh.AddToken(githubsim.Token{User: "mona"}), "/repos/acme/other", 404, "Not Found"},
		"writer":               {gh.AddToken(githubsim.Token{User: "mona"}), secrets, 200, ""},
		"reader":               {gh.AddToken(githubsim.Token{User: "hubot"}), secrets, 403, admin},
		"expired":              {gh.AddToken(githubsim.Token{Expires: gh.Now()}), public, 401, badCredentials},
		"fine, granted":        {fine(githubsim.Permissions{"secrets": "read"}), secrets, 200, ""},
		"fine, other slug":     {fine(githubsim.Permissions{"dependabot_secrets": "write"}), secrets, 403, byToken},
		"fine, other repo":     {fine(githubsim.Permissions{"secrets": "read"}), "/repos/acme/other", 404, "Not Found"},
		"fine, public repo":    {fine(nil), public, 200, ""},
		"fine, codespaces read": {
			fine(githubsim.Permissions{"codespaces_secrets": "read"}), "/repos/acme/widgets/codespaces/secrets", 403, byToken,
		},
		"workflow, write-all": {gh.AddToken(githubsim.Token{
			Kind: githubsim.Workflow, Repositories: []string{widgets}, Permissions: githubsim.Permissions{"secrets": "write"},
		}), secrets, 403, byApp},
		"workflow, repository": {gh.AddToken(githubsim.Token{
			Kind: githubsim.Workflow, Repositories: []string{widgets},
		}), "/repos/acme/widgets", 200, ""},
		"a token on /app": {c.token, "/app", 401, "A JSON web token could not be decoded"},
	} {
		r := c.as(tc.token).get(tc.path)
		if r.Status != tc.status || r.message() != tc.message {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
}

func TestPermissionIsNamed(t *testing.T) {
	c := start(t, githubsim.Config{})
	bare := c.as(c.gh.AddToken(githubsim.Token{
		Kind: githubsim.FineGrained, Repositories: []string{widgets}, Expires: c.gh.Now().Add(time.Hour),
	}))
	c.gh.AddEnvironment(widgets, "a/b c")
	for prefix, want := range map[string][2]string{
		prefixes["actions"]:           {"secrets=read", "secrets=write"},
		prefixes["codespaces"]:        {"codespaces_secrets=write", "codespaces_secrets=write"},
		prefixes["dependabot"]:        {"dependabot_secrets=read", "dependabot_secrets=write"},
		prefixes["environment:a/b c"]: {"environments=read", "environments=write"},
	} {
		read, write := bare.get(prefix), bare.do("DELETE", prefix+"/A", "")
		for r, want := range map[*reply]string{&read: want[0], &write: want[1]} {
			if got := r.Header.Get("X-Accepted-GitHub-Permissions"); r.Status != 403 || got != want {
				t.Errorf("%s: %d, %s, want %s", prefix, r.Status, got, want)
			}
		}
		if !strings.HasSuffix(read.Header.Get("GitHub-Authentication-Token-Expiration"), " UTC") {
			t.Errorf("headers: %v", read.Header)
		}
	}
}

func TestCodespacesWritesNeedAnAdministrator(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddUser("mona")
	c.gh.AddCollaborator(widgets, "mona", githubsim.RoleMaintain)
	mona := c.as(c.gh.AddToken(githubsim.Token{User: "mona"}))
	for scope, want := range map[string]int{"actions": 201, "dependabot": 201, "agents": 201, "codespaces": 403} {
		k := mona.key(prefixes[scope])
		mona.want(want, "PUT", prefixes[scope]+"/A", k.seal(t, "v"))
		mona.want(200, "GET", prefixes[scope], "")
	}
}

func TestRevokedToken(t *testing.T) {
	c := start(t, githubsim.Config{})
	for _, scheme := range []string{"token ", "bearer ", "Bearer "} {
		c.as("").with("Authorization", scheme+c.token).want(200, "GET", "/user", "")
	}
	c.gh.RevokeToken(c.token)
	if r := c.want(401, "GET", "/user", ""); r.message() != badCredentials || !strings.Contains(r.Body, `"https://docs.github.com/rest"`) {
		t.Error(r.Body)
	}
}
