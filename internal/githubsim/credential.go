package githubsim

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// A TokenKind is a kind of token that a person or a workflow has. Installation tokens are
// not among them: clients get those from the API, see AddApp.
type TokenKind int

// The kinds of token.
const (
	Classic     TokenKind = iota // ghp_, with scopes, for all its user can reach
	FineGrained                  // github_pat_, with permissions, for one owner
	Workflow                     // a job's GITHUB_TOKEN, for one repository
)

// A Token describes a token to add. The zero Token is a classic one of octocat's with the
// scope repo.
type Token struct {
	Kind   TokenKind
	Value  string // the token itself; empty: one is made up
	User   string // whose it is; empty: octocat
	Scopes []string

	// Permissions are those of a fine-grained token or a GITHUB_TOKEN. A GITHUB_TOKEN never
	// gets permissions that workflows cannot have, secrets first among them.
	Permissions Permissions

	// Repositories, by full name, are those a fine-grained token or a GITHUB_TOKEN is for.
	// They must have one owner. A fine-grained token without any is for all of Owner's.
	Repositories []string
	Owner        string // empty: the user

	Expires time.Time // zero: never
}

type kind int

const (
	anonymous kind = iota
	classicToken
	fineGrainedToken
	workflowToken
	installationToken
	appKey
)

// A credential is what a request proves to have.
type credential struct {
	kind         kind
	id           string // for the record and for ETags; differs for each token
	bucket       string // whose limits it uses
	user         *account
	scopes       []string
	permissions  Permissions
	owner        *account
	repositories map[int64]bool // nil: all of the owner's
	app          *app
	installation *installation
	expires      time.Time // zero: never
}

// AddToken adds a token and returns it.
func (g *GitHub) AddToken(t Token) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.world
	if t.User == "" {
		t.User = "octocat"
	}
	c := &credential{user: w.account(t.User), permissions: t.Permissions, expires: t.Expires}
	w.narrow(c, t)
	c.bucket = fmt.Sprintf("user:%d", c.user.id)
	name, prefix, size := "classic", "ghp_", 36
	switch t.Kind {
	case Classic:
		c.kind, c.scopes = classicToken, t.Scopes
		if t.Scopes == nil {
			c.scopes = []string{"repo"}
		}
	case FineGrained:
		c.kind, name, prefix, size = fineGrainedToken, "fine-grained", "github_pat_", 82
	case Workflow:
		if len(c.repositories) != 1 {
			panic("githubsim: a workflow's token is for exactly one repository")
		}
		c.kind, c.user, name, prefix = workflowToken, nil, "workflow", "ghs_"
		c.bucket = fmt.Sprintf("repository:%d", w.repository(t.Repositories[0]).ID)
	}
	c.id = fmt.Sprintf("%s:%s:%d", name, t.User, len(w.credentials)+1)
	if t.Value == "" {
		t.Value = prefix + randomText(size)
	}
	w.credentials[t.Value] = c
	return t.Value
}

// narrow sets whose repositories, and which of them, a token with permissions is for.
func (w *world) narrow(c *credential, t Token) {
	c.owner = c.user
	for _, full := range t.Repositories {
		repo := w.repository(full)
		if c.repositories == nil {
			c.repositories = make(map[int64]bool)
		}
		c.repositories[repo.ID] = true
		c.owner = repo.owner
	}
	if t.Owner != "" {
		c.owner = w.account(t.Owner)
	}
}

// RevokeToken makes a token of any kind worthless.
func (g *GitHub) RevokeToken(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.world.credentials, token)
}

// identify finds out who sent a request. The refusals tell little, as GitHub's do: wrong,
// revoked and expired are one answer.
func (x *exchange) identify(r *http.Request) (*credential, *answer) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	nobody := &credential{kind: anonymous, id: "anonymous", bucket: "ip:" + host}
	header := r.Header.Get("Authorization")
	if header == "" {
		return nobody, nil
	}
	token := presented(r, header)
	if isJWT(token) && strings.HasPrefix(strings.ToLower(header), "bearer ") {
		who, refusal := x.world.identifyApp(token, x.clock.now())
		if who == nil {
			who = nobody
		}
		return who, refusal
	}
	c := x.world.credentials[token]
	if c == nil || !c.expires.IsZero() && !x.clock.now().Before(c.expires) {
		a := refuse(401, "Bad credentials")
		return nobody, &a
	}
	if c.installation != nil && !c.installation.suspended.IsZero() {
		a := refuse(403, suspendedMessage)
		return c, &a
	}
	return c, nil
}

// presented is the token in an Authorization header of any scheme GitHub takes.
func presented(r *http.Request, header string) string {
	if _, password, isBasic := r.BasicAuth(); isBasic {
		return password
	}
	scheme, token, _ := strings.Cut(header, " ")
	switch strings.ToLower(scheme) {
	case "bearer", "token":
		return strings.TrimSpace(token)
	}
	return ""
}

// personal tells whether a person is behind the credential.
func (c *credential) personal() bool { return c.kind == classicToken || c.kind == fineGrainedToken }

func (c *credential) noun() string {
	if c.kind == fineGrainedToken {
		return "personal access token"
	}
	return "integration"
}

func (c *credential) hasScope(any string) bool {
	return any == "" || slices.ContainsFunc(strings.Split(any, ", "), func(scope string) bool { return slices.Contains(c.scopes, scope) })
}

// covers tells whether a token with permissions is for a repository.
func (c *credential) covers(repo *repository) bool {
	if c.installation != nil && !c.installation.covers(repo) {
		return false
	}
	if c.repositories != nil {
		return c.repositories[repo.ID]
	}
	return c.owner == repo.owner
}

// workflowSlugs are the permissions a GITHUB_TOKEN can have. Asking for more in a workflow,
// write-all included, changes nothing.
var workflowSlugs = []string{
	"actions", "attestations", "checks", "contents", "deployments", "discussions",
	"issues", "packages", "pages", "pull_requests", "security_events", "statuses",
}

func (c *credential) allows(n need) bool {
	if c.kind == workflowToken && n != metadataRead && !slices.Contains(workflowSlugs, n.slug) {
		return false
	}
	return c.permissions.allow(n)
}

// hourly is the credential's primary limit.
func (c *credential) hourly() int {
	switch c.kind {
	case anonymous:
		return 60
	case workflowToken:
		return 1000
	case installationToken:
		return min(5000+50*max(c.installation.size()-20, 0), 12_500)
	}
	return 5000
}

// exhausted is what GitHub says when the primary limit is used up.
func (c *credential) exhausted() string {
	whose, id, _ := strings.Cut(c.bucket, ":")
	switch whose {
	case "ip":
		return "API rate limit exceeded for " + id + ". (But here's the good news: Authenticated requests " +
			"get a higher rate limit. Check out the documentation for more details.)"
	case "user":
		return "API rate limit exceeded for user ID " + id + "."
	}
	return "API rate limit exceeded for installation ID " + id + "."
}

const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// randomText returns n letters and digits.
func randomText(n int) string {
	b := make([]byte, n)
	rand.Read(b)
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
