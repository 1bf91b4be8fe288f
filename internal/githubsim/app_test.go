package githubsim_test

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// sign makes an App's JWT.
func sign(t testing.TB, app githubsim.App, claims jwt.MapClaims) string {
	t.Helper()
	block, _ := pem.Decode(app.PrivateKeyPEM())
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodRS256, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// asApp installs an App on acme and returns it, its installation's id, and a client with
// its JWT. The clock stands still, so that the JWT's seconds count.
func asApp(t testing.TB, c *client, p githubsim.Permissions) (githubsim.App, int64, *client) {
	t.Helper()
	c.gh.Freeze()
	app := c.gh.AddApp(githubsim.App{Slug: "octoseal", Permissions: p})
	id := c.gh.Install(githubsim.Installation{App: app.ID, Account: "acme", Repositories: []string{widgets}})
	now := c.gh.Now().Unix()
	return app, id, c.as(sign(t, app, jwt.MapClaims{"iss": app.ClientID, "iat": now - 60, "exp": now + 540}))
}

func TestAppJWT(t *testing.T) {
	c := start(t, githubsim.Config{})
	app, _, _ := asApp(t, c, nil)
	other := c.gh.AddApp(githubsim.App{Slug: "other"})
	now := c.gh.Now().Unix()
	const (
		undecodable = "A JSON web token could not be decoded"
		far         = "'Expiration time' claim ('exp') is too far in the future"
	)
	claims := func(iss any, iat, exp int64) jwt.MapClaims { return jwt.MapClaims{"iss": iss, "iat": iat, "exp": exp} }
	for name, tc := range map[string]struct {
		token   string
		status  int
		message string
	}{
		"client id":     {sign(t, app, claims(app.ClientID, now, now+600)), 200, ""},
		"id as number":  {sign(t, app, claims(app.ID, now, now+600)), 200, ""},
		"id as text":    {sign(t, app, claims(fmt.Sprint(app.ID), now, now+600)), 200, ""},
		"601 s ahead":   {sign(t, app, claims(app.ID, now, now+601)), 401, far},
		"expired":       {sign(t, app, claims(app.ID, now-600, now)), 401, "'Expiration time' claim ('exp') must be a numeric value"},
		"from tomorrow": {sign(t, app, claims(app.ID, now+1, now+600)), 401, "'Issued at' claim ('iat') must be an Integer"},
		"unknown":       {sign(t, app, claims("Iv1.unknown", now, now+600)), 404, "Integration not found"},
		"wrong key":     {sign(t, other, claims(app.ID, now, now+600)), 401, undecodable},
		"no issuer":     {sign(t, app, jwt.MapClaims{"iat": now, "exp": now + 600}), 401, undecodable},
		"nonsense":      {"a.b.c", 401, undecodable},
	} {
		r := c.as(tc.token).get("/app")
		if r.Status != tc.status || !strings.HasPrefix(r.message(), tc.message) {
			t.Errorf("%s: %d %s", name, r.Status, r.Body)
		}
	}
	good := sign(t, app, claims(app.ID, now, now+600))
	c.as("").with("Authorization", "token "+good).want(401, "GET", "/app", "")
	c.as(good).want(403, "GET", "/repos/acme/widgets", "")
}

func TestInstallationEndpoints(t *testing.T) {
	c := start(t, githubsim.Config{})
	_, id, app := asApp(t, c, githubsim.Permissions{"secrets": "write"})
	c.gh.AddRepository(githubsim.Repository{FullName: "acme/other"})
	app.want(200, "GET", "/app", "")
	app.want(200, "GET", "/app/installations", "")
	app.want(200, "GET", fmt.Sprintf("/app/installations/%d", id), "")
	app.want(404, "GET", "/app/installations/1", "")
	app.want(200, "GET", "/orgs/acme/installation", "")
	app.want(404, "GET", "/orgs/nobody/installation", "")
	app.want(200, "GET", "/repos/acme/widgets/installation", "")
	app.want(404, "GET", "/repos/acme/other/installation", "")
}

// An installationToken as the API gives it.
type installationToken struct {
	Token       string            `json:"token"`
	ExpiresAt   time.Time         `json:"expires_at"`
	Permissions map[string]string `json:"permissions"`
	Selection   string            `json:"repository_selection"`
}

func TestInstallationToken(t *testing.T) {
	c := start(t, githubsim.Config{})
	app, id, asJWT := asApp(t, c, githubsim.Permissions{"secrets": "write", "dependabot_secrets": "read"})
	mint := fmt.Sprintf("/app/installations/%d/access_tokens", id)
	var made installationToken
	asJWT.want(201, "POST", mint, "").into(t, &made)
	if n := len(made.Token); n < 480 || n > 560 || !strings.HasPrefix(made.Token, fmt.Sprintf("ghs_%d_", app.ID)) {
		t.Errorf("token of %d characters", n)
	}
	if left := made.ExpiresAt.Sub(c.gh.Now().Truncate(time.Second)); left != time.Hour {
		t.Errorf("expires in %v", left)
	}
	inst := c.as(made.Token)
	prefix := prefixes["actions"]
	inst.want(201, "PUT", prefix+"/A", inst.key(prefix).seal(t, "v"))
	inst.want(200, "GET", prefixes["dependabot"], "")
	inst.want(403, "DELETE", prefixes["dependabot"]+"/A", "")
	inst.want(403, "GET", "/user", "")
	inst.want(200, "GET", "/installation/repositories", "")
	inst.want(204, "DELETE", "/installation/token", "")
	inst.want(401, "GET", "/installation/repositories", "")

	asJWT.with("X-GitHub-Stateless-S2S-Token", "disabled").want(201, "POST", mint, "").into(t, &made)
	if len(made.Token) != 40 {
		t.Errorf("short form: %d characters", len(made.Token))
	}
	c.gh.Advance(time.Hour)
	if r := c.as(made.Token).want(401, "GET", prefix, ""); r.message() != badCredentials {
		t.Error(r.Body)
	}
}

func TestInstallationTokenSubsets(t *testing.T) {
	c := start(t, githubsim.Config{})
	_, id, app := asApp(t, c, githubsim.Permissions{"secrets": "write", "dependabot_secrets": "read"})
	c.gh.AddRepository(githubsim.Repository{FullName: "acme/other", ID: 77})
	mint := fmt.Sprintf("/app/installations/%d/access_tokens", id)
	repo := c.repository("/repos/acme/widgets").ID
	const (
		ungranted   = "The permissions requested are not granted to this installation."
		unreachable = "There is at least one repository that does not exist or is not accessible to the parent installation."
	)
	for body, message := range map[string]string{
		`{"permissions":{"codespaces_secrets":"write"}}`: ungranted,
		`{"permissions":{"dependabot_secrets":"write"}}`: ungranted,
		`{"permissions":{"secrets":"all"}}`:              ungranted,
		`{"repositories":["other"]}`:                     unreachable,
		`{"repository_ids":[1]}`:                         unreachable,
		`{"repository_ids":[77]}`:                        unreachable,
	} {
		if r := app.want(422, "POST", mint, body); r.message() != message {
			t.Errorf("%s: %s", body, r.Body)
		}
	}
	var made installationToken
	app.want(201, "POST", mint, fmt.Sprintf(`{"repository_ids":[%d],"permissions":{"secrets":"read"}}`, repo)).into(t, &made)
	if made.Selection != "selected" || made.Permissions["secrets"] != "read" || made.Permissions["metadata"] != "read" {
		t.Errorf("%+v", made)
	}
	c.as(made.Token).want(403, "DELETE", prefixes["actions"]+"/A", "")
	app.want(404, "POST", "/app/installations/1/access_tokens", "")
}

func TestSuspendedInstallation(t *testing.T) {
	c := start(t, githubsim.Config{})
	_, id, app := asApp(t, c, githubsim.Permissions{"secrets": "write"})
	mint := fmt.Sprintf("/app/installations/%d/access_tokens", id)
	var made installationToken
	app.want(201, "POST", mint, "").into(t, &made)
	c.gh.SuspendInstallation(id, true)
	const suspended = "This GitHub App installation is currently suspended."
	if r := app.want(403, "POST", mint, ""); r.message() != suspended {
		t.Error(r.Body)
	}
	if r := c.as(made.Token).want(403, "GET", prefixes["actions"], ""); r.message() != suspended {
		t.Error(r.Body)
	}
	app.want(200, "GET", fmt.Sprintf("/app/installations/%d", id), "")
	c.gh.SuspendInstallation(id, false)
	c.as(made.Token).want(200, "GET", prefixes["actions"], "")
	c.gh.Uninstall(id)
	c.as(made.Token).want(401, "GET", prefixes["actions"], "")
	app.want(404, "POST", mint, "")
}
