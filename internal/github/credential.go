package github

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Credential signs requests: a token, or a GitHub App that makes its own. It prints as its name.
// The zero Credential is none.
type Credential struct {
	name  string
	token secret.Plaintext
	app   *app
}

// Token returns the credential that is a token. Name is how people are told where it came from.
func Token(token, name string) Credential {
	return Credential{name: name, token: secret.NewPlaintext([]byte(token))}
}

// Name is how people are told which credential is used: "OCTOSEAL_GITHUB_TOKEN", "GitHub CLI login
// for github.com", "GitHub App 12345".
func (c Credential) Name() string { return c.name }

// String is Name, so that no verb prints what is inside.
func (c Credential) String() string { return c.name }

// Fingerprint tells credentials apart in storage, where ETags and limits belong to one of them. An
// App keeps its fingerprint while its tokens come and go.
func (c Credential) Fingerprint() string {
	what := "token\x00" + string(c.token.Expose())
	if c.app != nil {
		what = fmt.Sprintf("app\x00%s\x00%d", c.app.id, c.app.fixed)
		if c.app.account != "" {
			what += "\x00" + c.app.account
		}
	}
	sum := sha256.Sum256([]byte(what))
	return hex.EncodeToString(sum[:8])
}

// IsZero says whether c is no credential.
func (c Credential) IsZero() bool { return c.app == nil && c.token.Len() == 0 }

func (c Credential) isApp() bool { return c.app != nil }

// kind tells what a token is by its prefix; nothing but words for people depends on it.
func (c Credential) kind() string {
	if c.app != nil {
		return "GitHub App"
	}
	for _, k := range []struct{ prefix, kind string }{
		{"github_pat_", "fine-grained token"},
		{"ghp_", "classic token"},
		{"gho_", "OAuth token"},
		{"ghu_", "App user token"},
		{"ghs_", "installation token"},
	} {
		if strings.HasPrefix(string(c.token.Expose()), k.prefix) {
			return k.kind
		}
	}
	return "token"
}

// perhapsWorkflow says whether c may be the GITHUB_TOKEN of a workflow, which looks like any
// installation token and is often passed on under another name.
func (c Credential) perhapsWorkflow() bool { return c.kind() == "installation token" }

// granted is what the installation used last has; nil for a token, and before the first use.
func (c Credential) granted() map[string]string {
	if c.app == nil {
		return nil
	}
	return c.app.granted()
}

// A signature is what goes with one request.
type signature struct {
	token   secret.Plaintext
	expires time.Time // on GitHub's clock; zero when it does not, or nobody knows
}

func (c Credential) sign(ctx context.Context, client *Client, r request) (signature, error) {
	if c.app != nil {
		return c.app.sign(ctx, client, r)
	}
	return signature{token: c.token}, nil
}

// renew says whether a refused signature can be replaced by a better one.
func (c Credential) renew(client *Client, r request, refused signature) bool {
	return c.app != nil && c.app.renew(client, r, refused)
}

// good says whether s will outlive a request sent at now.
func (s signature) good(now time.Time) bool {
	return s.expires.IsZero() || now.Before(s.expires.Add(-time.Minute))
}

func (s signature) apply(req *http.Request) {
	req.Header.Set("Authorization", "Bearer "+string(s.token.Expose()))
}

// A Lookup is where FindCredential looks. Nil functions are the process's own.
type Lookup struct {
	BaseURL  string // of the API that the credential will be sent to; empty means github.com
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	Login    func(host string) (token string) // the GitHub CLI's login for a host; empty: none
}

// Where tokens come from, in order. Those of github.com are sent nowhere else: which host a token
// is for cannot be seen on it, and a wrong one would show it to a stranger.
var (
	publicTokens     = []string{"OCTOSEAL_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"}
	enterpriseTokens = []string{"OCTOSEAL_GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"}
)

// FindCredential returns the first credential there is: a GitHub App, a token in the environment,
// or the GitHub CLI's login for that host.
func FindCredential(l Lookup) (Credential, error) {
	base, err := parseBase(l.BaseURL)
	if err != nil {
		return Credential{}, err
	}
	if l.Getenv == nil {
		l.Getenv = os.Getenv
	}
	if l.ReadFile == nil {
		l.ReadFile = os.ReadFile
	}
	if l.Login == nil {
		l.Login = cliLogin{getenv: l.Getenv, readFile: l.ReadFile}.token
	}
	if c, err := l.app(); err != nil || !c.IsZero() {
		return c, err
	}
	for _, name := range tokenNames(base) {
		if token := strings.TrimSpace(l.Getenv(name)); token != "" {
			return checked(token, name)
		}
	}
	if token := strings.TrimSpace(l.Login(loginHost(base))); token != "" {
		return checked(token, "GitHub CLI login for "+loginHost(base))
	}
	return Credential{}, missingCredential(base)
}

func tokenNames(base *url.URL) []string {
	if isPublic(base) {
		return publicTokens
	}
	return enterpriseTokens
}

// checked refuses what no header can carry, without showing it. Nothing else is asked of a token:
// GitHub changes their length and characters.
func checked(token, name string) (Credential, error) {
	for _, b := range []byte(token) {
		if b <= ' ' || b >= 0x7f {
			return Credential{}, fault.Invalid("%s holds white space or other characters that no token has", name).
				Hinting("Check for a line break or quotes that were copied along.")
		}
	}
	return Token(token, name), nil
}

const (
	appID             = "OCTOSEAL_GITHUB_APP_ID"
	appPrivateKey     = "OCTOSEAL_GITHUB_APP_PRIVATE_KEY"
	appPrivateKeyFile = "OCTOSEAL_GITHUB_APP_PRIVATE_KEY_FILE"
	appInstallationID = "OCTOSEAL_GITHUB_APP_INSTALLATION_ID"
)

// app returns the App that the environment describes; the zero Credential when it names none.
func (l Lookup) app() (Credential, error) {
	id, file := strings.TrimSpace(l.Getenv(appID)), l.Getenv(appPrivateKeyFile)
	cfg := AppConfig{ID: id, PrivateKey: []byte(l.Getenv(appPrivateKey)), KeyName: appPrivateKey}
	switch {
	case id == "" && len(cfg.PrivateKey) == 0 && file == "":
		return Credential{}, nil
	case id == "":
		return Credential{}, fault.Invalid("there is a GitHub App's private key, but %s does not say whose", appID).
			Hinting("Set %s to the App ID that the App's settings page shows.", appID)
	case len(cfg.PrivateKey) == 0 && file == "":
		return Credential{}, fault.Invalid("%s names a GitHub App, but its private key is missing", appID).
			Hinting("Set %s to the PEM text, or %s to the path of the .pem file.", appPrivateKey, appPrivateKeyFile)
	case len(cfg.PrivateKey) == 0:
		pem, err := l.ReadFile(file)
		if err != nil {
			return Credential{}, fault.Invalid("the private key of GitHub App %s at %s is not readable", id, file).
				Hinting("Check the path in %s and the file's permissions.", appPrivateKeyFile).Because(err)
		}
		cfg.PrivateKey, cfg.KeyName = pem, appPrivateKeyFile
	}
	if text := strings.TrimSpace(l.Getenv(appInstallationID)); text != "" {
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n <= 0 {
			return Credential{}, fault.Invalid("%s is not a number", appInstallationID).
				Hinting("It is the number at the end of the installation's settings URL; without it the installation is looked up.")
		}
		cfg.Installation = n
	}
	return App(cfg)
}

func missingCredential(base *url.URL) error {
	host := loginHost(base)
	ways := fmt.Sprintf("Set %s, or a GitHub App with %s and %s", strings.Join(tokenNames(base), ", "), appID, appPrivateKeyFile)
	return fault.New(fault.IntegrationDenied, fault.Context{"reason": "no credential for " + host + " was found"}).
		Saying("There is no credential for %s.", host).
		Hinting("%s, or log in with: gh auth login --hostname %s.", ways, host)
}
