package github

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
)

// anApp is made once: a key takes its time.
var anApp = githubsim.New(githubsim.Config{}).AddApp(githubsim.App{Slug: "keys", ID: 12345})

const (
	public     = "https://api.github.com"
	enterprise = "https://ghe.acme.com/api/v3"
	tenancy    = "https://api.acme.ghe.com"
)

// lookup is FindCredential in an environment, where logins are those of the GitHub CLI.
func lookup(base string, env, logins map[string]string) (Credential, []string, error) {
	var asked []string
	c, err := FindCredential(Lookup{
		BaseURL:  base,
		Getenv:   func(name string) string { return env[name] },
		ReadFile: func(name string) ([]byte, error) { return nil, errors.New("no such file") },
		Login: func(host string) string {
			asked = append(asked, host)
			return logins[host]
		},
	})
	return c, asked, err
}

func TestOrderOfCredentials(t *testing.T) {
	env := map[string]string{
		"OCTOSEAL_GITHUB_APP_ID": "12345", "OCTOSEAL_GITHUB_APP_PRIVATE_KEY": string(anApp.PrivateKeyPEM()),
		"OCTOSEAL_GITHUB_TOKEN": "o", "GH_TOKEN": "h", "GITHUB_TOKEN": "g",
		"GH_ENTERPRISE_TOKEN": "he", "GITHUB_ENTERPRISE_TOKEN": "ge",
	}
	logins := map[string]string{"github.com": "lp", "ghe.acme.com": "le", "acme.ghe.com": "lt", "127.0.0.1:8080": "ls"}
	app := "GitHub App 12345"
	for base, want := range map[string][]string{
		public:                  {app, "OCTOSEAL_GITHUB_TOKEN o", "GH_TOKEN h", "GITHUB_TOKEN g", "GitHub CLI login for github.com lp"},
		enterprise:              {app, "OCTOSEAL_GITHUB_TOKEN o", "GH_ENTERPRISE_TOKEN he", "GITHUB_ENTERPRISE_TOKEN ge", "GitHub CLI login for ghe.acme.com le"},
		tenancy:                 {app, "OCTOSEAL_GITHUB_TOKEN o", "GH_ENTERPRISE_TOKEN he", "GITHUB_ENTERPRISE_TOKEN ge", "GitHub CLI login for acme.ghe.com lt"},
		"http://127.0.0.1:8080": {app, "OCTOSEAL_GITHUB_TOKEN o", "GH_ENTERPRISE_TOKEN he", "GITHUB_ENTERPRISE_TOKEN ge", "GitHub CLI login for 127.0.0.1:8080 ls"},
	} {
		left := map[string]string{}
		for k, v := range env {
			left[k] = v
		}
		for _, w := range want {
			c, _, err := lookup(base, left, logins)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSpace(c.Name() + " " + string(c.token.Expose())); got != w {
				t.Errorf("%s: got %s, want %s", base, got, w)
			}
			name, _, _ := strings.Cut(w, " ")
			delete(left, name)
			if w == app {
				delete(left, "OCTOSEAL_GITHUB_APP_ID")
				delete(left, "OCTOSEAL_GITHUB_APP_PRIVATE_KEY")
			}
		}
	}
}

// A token that is github.com's, or may be, is not even looked for when another host is asked.
func TestGitHubsTokensGoNowhereElse(t *testing.T) {
	env := map[string]string{"GH_TOKEN": "h", "GITHUB_TOKEN": "g"}
	for _, base := range []string{
		enterprise, tenancy, "http://127.0.0.1:8080", "http://localhost", "https://api.github.com.evil.example",
		"https://api.github.com:8443", "https://evil.example/api.github.com",
	} {
		c, asked, err := lookup(base, env, map[string]string{"github.com": "l", "api.github.com": "l"})
		if base != "https://api.github.com:8443" {
			wantFault(t, err, fault.IntegrationDenied, "There is no credential for", "OCTOSEAL_GITHUB_TOKEN, GH_ENTERPRISE_TOKEN")
		}
		if !c.IsZero() || slices.Contains(asked, "github.com") {
			t.Errorf("%s gets %s, asked for logins %v", base, c.Name(), asked)
		}
	}
	for _, base := range []string{"http://api.github.com", "http://ghe.acme.com"} {
		_, asked, err := lookup(base, env, nil)
		wantFault(t, err, fault.RequestInvalid, "plain http")
		if len(asked) > 0 {
			t.Errorf("%s: a login was looked for", base)
		}
	}
}

func TestMissingCredentialTellsTheWays(t *testing.T) {
	_, asked, err := lookup("", nil, nil)
	wantFault(t, err, fault.IntegrationDenied, "github.com", "OCTOSEAL_GITHUB_TOKEN, GH_TOKEN, GITHUB_TOKEN",
		"OCTOSEAL_GITHUB_APP_ID", "OCTOSEAL_GITHUB_APP_PRIVATE_KEY_FILE", "gh auth login --hostname github.com")
	if len(asked) != 1 {
		t.Errorf("the CLI was asked %d times", len(asked))
	}
}

func TestMalformedCredentials(t *testing.T) {
	pem := string(anApp.PrivateKeyPEM())
	for name, c := range map[string]struct {
		env  map[string]string
		part string
	}{
		"line break in a token": {map[string]string{"GH_TOKEN": "ghp_canary\nX-Evil: 1"}, "GH_TOKEN holds white space"},
		"quotes of a browser":   {map[string]string{"GH_TOKEN": "“ghp_canary”"}, "GH_TOKEN holds"},
		"key without App":       {map[string]string{"OCTOSEAL_GITHUB_APP_PRIVATE_KEY": pem}, "OCTOSEAL_GITHUB_APP_ID"},
		"App without key":       {map[string]string{"OCTOSEAL_GITHUB_APP_ID": "1"}, "private key is missing"},
		"unreadable file":       {map[string]string{"OCTOSEAL_GITHUB_APP_ID": "1", "OCTOSEAL_GITHUB_APP_PRIVATE_KEY_FILE": "/k.pem"}, "/k.pem is not readable"},
		"no PEM":                {map[string]string{"OCTOSEAL_GITHUB_APP_ID": "1", "OCTOSEAL_GITHUB_APP_PRIVATE_KEY": "canary"}, "no RSA key in PEM form"},
		"half a PEM":            {map[string]string{"OCTOSEAL_GITHUB_APP_ID": "1", "OCTOSEAL_GITHUB_APP_PRIVATE_KEY": pem[:300]}, "no RSA key in PEM form"},
		"installation":          {map[string]string{"OCTOSEAL_GITHUB_APP_ID": "1", "OCTOSEAL_GITHUB_APP_PRIVATE_KEY": pem, "OCTOSEAL_GITHUB_APP_INSTALLATION_ID": "x"}, "not a number"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := lookup("", c.env, nil)
			wantFault(t, err, fault.RequestInvalid, c.part)
			for _, hidden := range []string{"canary", pem[40:80]} {
				if strings.Contains(everything(err), hidden) {
					t.Errorf("the credential is shown: %s", everything(err))
				}
			}
		})
	}
}

func TestKeyWithWrittenLineBreaks(t *testing.T) {
	oneLine := strings.ReplaceAll(string(anApp.PrivateKeyPEM()), "\n", `\n`)
	if _, err := App(AppConfig{ID: "1", PrivateKey: []byte(oneLine)}); err != nil {
		t.Error(err)
	}
}

func TestCredentialShowsNothing(t *testing.T) {
	const canary = "ghp_canary5ecret"
	app, err := App(AppConfig{ID: "12345", PrivateKey: anApp.PrivateKeyPEM()})
	if err != nil {
		t.Fatal(err)
	}
	c, d := Token(canary, "GH_TOKEN"), Token(canary+"2", "GH_TOKEN")
	shown := fmt.Sprintf("%v %+v %#v %s %x %q %v %+v", c, c, c, c, c, c, struct{ C Credential }{c}, Config{Credential: c})
	shown += fmt.Sprintf("%v %+v %#v", app, app, app) + fmt.Sprintf("%+v %#v", signature{token: c.token}, answer{signed: signature{token: c.token}})
	for _, hidden := range []string{canary, fmt.Sprintf("%x", canary), anApp.Key.D.String()} {
		if strings.Contains(shown, hidden) {
			t.Errorf("the credential is shown in %s", shown)
		}
	}
	prints := map[string]bool{c.Fingerprint(): true, d.Fingerprint(): true, app.Fingerprint(): true}
	if len(prints) != 3 || len(c.Fingerprint()) != 16 || c.Fingerprint() != Token(canary, "other name").Fingerprint() {
		t.Errorf("fingerprints %v", prints)
	}
}

func TestCLILogin(t *testing.T) {
	dir := t.TempDir()
	hosts := "github.com:\n    user: octocat\n    oauth_token: gho_file\n    git_protocol: https\nghe.acme.com:\n    user: octocat\n"
	if err := os.MkdirAll(filepath.Join(dir, "xdg", "gh"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "home", ".config", "gh"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"hosts.yml", "xdg/gh/hosts.yml", "home/.config/gh/hosts.yml"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(hosts), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// A gh that tells what it was asked, and whether it saw a token that is not the login's.
	gh := filepath.Join(dir, "gh")
	if err := os.WriteFile(gh, []byte("#!/bin/sh\necho keyring:$4:$GH_TOKEN$GITHUB_TOKEN$GH_ENTERPRISE_TOKEN\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN"} {
		t.Setenv(name, "leak")
	}
	for _, env := range []map[string]string{
		{"GH_CONFIG_DIR": dir, "XDG_CONFIG_HOME": "/nowhere"},
		{"XDG_CONFIG_HOME": filepath.Join(dir, "xdg")},
		{"HOME": filepath.Join(dir, "home")},
	} {
		env["GH_PATH"] = gh
		l := cliLogin{getenv: func(n string) string { return env[n] }, readFile: os.ReadFile}
		for host, want := range map[string]string{"github.com": "gho_file", "ghe.acme.com": "keyring:ghe.acme.com:", "other.example": ""} {
			if got := l.token(host); got != want {
				t.Errorf("%v, %s: got %q, want %q", env, host, got, want)
			}
		}
	}
	for _, env := range []map[string]string{{"GH_CONFIG_DIR": "/nowhere"}, {"GH_CONFIG_DIR": dir, "GH_PATH": "/nowhere/gh"}} {
		l := cliLogin{getenv: func(n string) string { return env[n] }, readFile: os.ReadFile}
		if got := l.token("ghe.acme.com"); got != "" {
			t.Errorf("%v: got %q", env, got)
		}
	}
	broken := cliLogin{getenv: func(string) string { return "" }, readFile: func(string) ([]byte, error) { return []byte("a: [b"), nil }}
	if got := broken.token("github.com"); got != "" {
		t.Errorf("a broken file gave %q", got)
	}
}

func TestWhoami(t *testing.T) {
	s := perform(t, nil)
	for name, c := range map[string]struct {
		token githubsim.Token
		kind  string
	}{
		"classic":      {githubsim.Token{Scopes: []string{"workflow", "repo"}}, "classic token"},
		"fine-grained": {githubsim.Token{Kind: githubsim.FineGrained, Expires: s.Now().Add(time.Hour)}, "fine-grained token"},
		"workflow":     {githubsim.Token{Kind: githubsim.Workflow, Repositories: []string{widgets}}, "installation token"},
	} {
		t.Run(name, func(t *testing.T) {
			client := s.connect(t, func(cfg *Config) { cfg.Credential = Token(s.AddToken(c.token), "GH_TOKEN") })
			id, err := client.Whoami(t.Context())
			if err != nil || id.Kind != c.kind {
				t.Fatalf("got %+v, %v", id, err)
			}
			if name != "workflow" && id.Login != "octocat" {
				t.Errorf("got login %q", id.Login)
			}
			if name == "classic" && !slices.Equal(id.Scopes, []string{"repo", "workflow"}) {
				t.Errorf("got scopes %v", id.Scopes)
			}
			if !id.Expiry.Equal(c.token.Expires.Truncate(time.Second)) {
				t.Errorf("got expiry %s, want %s", id.Expiry, c.token.Expires)
			}
		})
	}
	stranger := s.connect(t, func(cfg *Config) { cfg.Credential = Token("ghp_stranger", "GH_TOKEN") })
	_, err := stranger.Whoami(t.Context())
	wantFault(t, err, fault.IntegrationDenied, "GH_TOKEN is not accepted")
}

func TestExpiryHeader(t *testing.T) {
	want := time.Date(2026, 12, 1, 8, 0, 0, 0, time.UTC)
	for _, text := range []string{"2026-12-01 08:00:00 UTC", "2026-12-01 10:00:00 +0200"} {
		if got, ok := parseExpiry(text); !ok || !got.Equal(want) {
			t.Errorf("%s: got %s", text, got)
		}
	}
	for _, text := range []string{"", "tomorrow", "2026-12-01"} {
		if _, ok := parseExpiry(text); ok {
			t.Errorf("%q passed for a time", text)
		}
	}
}

// everyPermission is what an App needs for all stores.
func everyPermission() githubsim.Permissions {
	p := githubsim.Permissions{"contents": "write", "administration": "write"}
	for _, need := range append(Permissions(), actions) {
		p[need.Slug] = need.Write
	}
	return p
}

// An appStage is a stage whose client is a GitHub App installed at acme.
type appStage struct {
	*stage
	app          githubsim.App
	installation int64
}

func performAsApp(t *testing.T, grant githubsim.Permissions) appStage {
	t.Helper()
	s := perform(t, nil)
	app := s.AddApp(githubsim.App{Slug: "keys", Permissions: grant, Key: anApp.Key})
	a := appStage{stage: s, app: app, installation: s.Install(githubsim.Installation{App: app.ID, Account: "acme"})}
	s.client = s.connect(t, func(cfg *Config) { cfg.Credential = a.credential(t, 0) })
	return a
}

func (a appStage) credential(t *testing.T, installation int64) Credential {
	t.Helper()
	c, err := App(AppConfig{ID: fmt.Sprint(a.app.ID), PrivateKey: a.app.PrivateKeyPEM(), Installation: installation})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAppSignsForItsInstallation(t *testing.T) {
	a := performAsApp(t, everyPermission())
	for _, scope := range secret.Stores() {
		if _, err := a.put(t, scope, "TOKEN", "v"); err != nil {
			t.Errorf("%s: %v", scope, err)
		}
	}
	if n := count(a.paths(), "GET /repos/acme/widgets/installation"); n != 1 {
		t.Errorf("the installation was looked up %d times", n)
	}
	if n := count(a.paths(), "POST "); n != 1 {
		t.Errorf("%d tokens were made", n)
	}
	id, err := a.client.Whoami(t.Context())
	if err != nil || id.Login != "keys" || id.Kind != "GitHub App" || id.Permissions["secrets"] != "write" {
		t.Errorf("got %+v, %v", id, err)
	}
	if q := a.client.Quota(); !q.Known || q.Remaining >= 5000 {
		t.Errorf("got %+v: the App's own quota is another", q)
	}
}

// A token may do what these calls need and the installation grants, and nothing else.
func TestAppAsksForTheLeast(t *testing.T) {
	granted := map[string]string{"secrets": "write", "environments": "read", "contents": "write", "metadata": "read"}
	got := leastOf(granted)
	want := map[string]string{"secrets": "write", "environments": "read", "metadata": "read"}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("asks for %v, want %v", got, want)
	}
	a := performAsApp(t, githubsim.Permissions{"secrets": "write"})
	if _, err := a.put(t, secret.Actions, "TOKEN", "v"); err != nil {
		t.Error(err)
	}
	_, err := a.client.List(t.Context(), a.repo, secret.Dependabot, nil)
	wantFault(t, err, fault.IntegrationDenied, "lacks the permission dependabot_secrets:read", "GitHub App")
}

func TestAppWithAFixedInstallation(t *testing.T) {
	a := performAsApp(t, everyPermission())
	c := a.connect(t, func(cfg *Config) { cfg.Credential = a.credential(t, a.installation) })
	if _, err := c.RateLimit(t.Context()); err != nil {
		t.Error(err)
	}
	gone := a.connect(t, func(cfg *Config) { cfg.Credential = a.credential(t, 99) })
	_, err := gone.List(t.Context(), a.repo, secret.Actions, nil)
	wantFault(t, err, fault.ResourceNotFound, "installation 99 of GitHub App", "OCTOSEAL_GITHUB_APP_INSTALLATION_ID")
}

func TestAppWithoutARepositoryAtHand(t *testing.T) {
	a := performAsApp(t, everyPermission())
	if repo, err := a.client.RepositoryByID(t.Context(), a.repo.ID); err != nil || repo.FullName() != widgets {
		t.Errorf("the only installation: %v, %v", repo, err)
	}
	a.AddRepository(githubsim.Repository{FullName: "other/one"})
	a.Install(githubsim.Installation{App: a.app.ID, Account: "other"})
	c := a.connect(t, func(cfg *Config) { cfg.Credential = a.credential(t, 0) })
	_, err := c.RateLimit(t.Context())
	wantFault(t, err, fault.RequestInvalid, "has 2 installations", "OCTOSEAL_GITHUB_APP_INSTALLATION_ID")
	for _, ref := range []Ref{{"acme", "widgets"}, {"other", "one"}} {
		if _, _, err := c.Repository(t.Context(), ref, nil); err != nil {
			t.Errorf("%s: %v", ref, err)
		}
	}
	if _, err := c.RateLimit(t.Context()); err != nil {
		t.Errorf("after a repository was asked: %v", err)
	}
}

func TestAppTokenIsRenewed(t *testing.T) {
	a := performAsApp(t, everyPermission())
	list := func() error {
		_, err := a.client.List(t.Context(), a.repo, secret.Actions, nil)
		return err
	}
	for _, step := range []struct {
		forth  time.Duration
		tokens int
	}{{0, 1}, {50 * time.Minute, 1}, {6 * time.Minute, 2}, {3 * time.Hour, 3}} {
		a.Advance(step.forth)
		// The first request after a jump shows the new time; the second goes by it.
		for range 2 {
			if err := list(); err != nil {
				t.Fatal(err)
			}
		}
		if n := count(a.paths(), "POST "); n != step.tokens {
			t.Errorf("%d tokens were made after another %s, want %d", n, step.forth, step.tokens)
		}
	}
}

// All tokens die at once; twenty requests find out together, and one new token serves them.
func TestDeadAppTokenIsRenewedOnce(t *testing.T) {
	a := performAsApp(t, everyPermission())
	if _, err := a.client.List(t.Context(), a.repo, secret.Actions, nil); err != nil {
		t.Fatal(err)
	}
	sealed := a.client.credential.app.seatFor(a.repo.Ref())
	a.RevokeToken(string(sealed.current.token.Expose()))
	a.ResetRequests()
	done := make(chan error, 20)
	for range 20 {
		go func() {
			_, err := a.client.List(t.Context(), a.repo, secret.Actions, nil)
			done <- err
		}()
	}
	for range 20 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := count(a.paths(), "POST "); n != 1 {
		t.Errorf("%d tokens were made", n)
	}
}

func TestAppRefusals(t *testing.T) {
	a := performAsApp(t, everyPermission())
	list := func(c *Client) error {
		_, err := c.List(t.Context(), a.repo, secret.Actions, nil)
		return err
	}
	with := func(cfg AppConfig) *Client {
		credential, err := App(cfg)
		if err != nil {
			t.Fatal(err)
		}
		return a.connect(t, func(cfg *Config) { cfg.Credential = credential })
	}
	other := githubsim.New(githubsim.Config{}).AddApp(githubsim.App{Slug: "other"})
	wantFault(t, list(with(AppConfig{ID: fmt.Sprint(a.app.ID), PrivateKey: other.PrivateKeyPEM()})),
		fault.IntegrationDenied, "the private key is not one of GitHub App", "revoked", "OCTOSEAL_GITHUB_APP_PRIVATE_KEY_FILE")
	wantFault(t, list(with(AppConfig{ID: "77", PrivateKey: a.app.PrivateKeyPEM()})),
		fault.IntegrationDenied, "knows no GitHub App 77", "OCTOSEAL_GITHUB_APP_ID")

	a.AddRepository(githubsim.Repository{FullName: "elsewhere/secret", Private: true})
	_, _, err := a.client.Repository(t.Context(), Ref{"elsewhere", "secret"}, nil)
	wantFault(t, err, fault.ResourceNotFound, "elsewhere/secret not found", "is not installed on it")

	if err := list(a.client); err != nil {
		t.Fatal(err)
	}
	a.SuspendInstallation(a.installation, true)
	wantFault(t, list(a.client), fault.IntegrationDenied, "is suspended")
	a.SuspendInstallation(a.installation, false)
	if err := list(a.client); err != nil {
		t.Errorf("after the suspension: %v", err)
	}
	a.Uninstall(a.installation)
	if err := list(a.client); err == nil {
		t.Error("an uninstalled App still lists")
	}
}

// The clock of this machine is wrong by more than a JWT tolerates; GitHub's first answer tells.
func TestAppWithAWrongClock(t *testing.T) {
	for _, off := range []time.Duration{-20 * time.Minute, -5 * time.Minute, 30 * time.Second, 20 * time.Minute} {
		t.Run(off.String(), func(t *testing.T) {
			a := performAsApp(t, everyPermission())
			a.Advance(off)
			if _, err := a.client.List(t.Context(), a.repo, secret.Actions, nil); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPermissionsNotGrantedAreNamed(t *testing.T) {
	a := performAsApp(t, everyPermission())
	a.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "POST", Path: "/access_tokens", Answer: &githubsim.Answer{
		Status: 422, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}},
		Body: `{"message":"The permissions requested are not granted to this installation.","documentation_url":"https://docs.github.com/rest"}`,
	}}}})
	_, err := a.client.List(t.Context(), a.repo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationDenied, "secrets:write", "codespaces_secrets:write", "accept the App's new permissions")
}

// A token that ends while its request waits for a pause to end is replaced before it is sent.
func TestTokenThatEndsDuringAPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		gh := githubsim.New(githubsim.Config{})
		gh.AddRepository(githubsim.Repository{FullName: widgets})
		app := gh.AddApp(githubsim.App{Slug: "keys", Permissions: everyPermission(), Key: anApp.Key})
		gh.Install(githubsim.Installation{App: app.ID, Account: "acme"})
		a := appStage{app: app}
		c := against(t, gh, func(cfg *Config) { cfg.Credential = a.credential(t, 0) })
		repo, _, err := c.Repository(t.Context(), Ref{"acme", "widgets"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		c.Governor().Restore(Pause{Until: time.Now().Add(2 * time.Hour)})
		if _, err := c.List(t.Context(), repo, secret.Actions, nil); err != nil {
			t.Error(err)
		}
		for _, r := range gh.Requests() {
			if r.Status == 401 {
				t.Errorf("%s was sent with a token that had ended", r.Path)
			}
		}
	})
}
