package github

import (
	"cmp"
	"context"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

const (
	// jwtBackdate lets a clock that is a little fast pass for right.
	jwtBackdate = time.Minute
	// jwtLife is counted from the backdated beginning: GitHub refuses what ends more than ten
	// minutes after its own present.
	jwtLife = 10 * time.Minute
	// renewEarly is how long before its end a token, which lives an hour, is replaced.
	renewEarly = 5 * time.Minute
)

// An AppConfig describes a GitHub App.
type AppConfig struct {
	ID           string // the App ID or the client ID
	PrivateKey   []byte // PEM; line breaks may be written as \n, as some secret stores force
	KeyName      string // where the key came from, for errors
	Installation int64  // zero: looked up for each owner
}

// App returns the credential that is a GitHub App. It signs for whichever installation covers the
// repository at hand, with a token that has those of Permissions which the installation grants,
// and no others. Its tokens are opaque: GitHub has changed their form before.
func App(cfg AppConfig) (Credential, error) {
	pem := strings.ReplaceAll(string(cfg.PrivateKey), `\n`, "\n")
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(strings.TrimSpace(pem)))
	if err != nil {
		return Credential{}, fault.Invalid("the private key of GitHub App %s is no RSA key in PEM form", cfg.ID).
			Hinting("%s must hold the whole .pem file, from its BEGIN line to its END line.", cmp.Or(cfg.KeyName, "It"))
	}
	return Credential{
		name: "GitHub App " + cfg.ID,
		app:  &app{id: cfg.ID, key: key, fixed: cfg.Installation, seats: map[string]*seat{}},
	}, nil
}

type app struct {
	id    string
	key   *rsa.PrivateKey
	fixed int64 // the one installation to use; zero: each owner's

	account string // whose repositories alone it signs for; empty: anybody's

	mu    sync.Mutex
	seats map[string]*seat // by the owner's lower-case login; one "" for the fixed or the only one
	last  *seat
}

// A seat is the App's place at one owner: its installation there and the token in use.
type seat struct {
	turn chan struct{} // holds one token: whoever takes it may look up and mint

	mu      sync.Mutex
	id      int64             // zero until looked up
	granted map[string]string // nil until looked up
	current signature
}

func (a *app) sign(ctx context.Context, c *Client, r request) (signature, error) {
	if r.asApp {
		return a.jwt(c)
	}
	s := a.seatFor(r.repo)
	if current, ok := s.fresh(c); ok {
		return current, nil
	}
	select {
	case <-s.turn:
	case <-ctx.Done():
		return signature{}, ctx.Err()
	}
	defer func() { s.turn <- struct{}{} }()
	if current, ok := s.fresh(c); ok {
		return current, nil // somebody else saw to it
	}
	return a.refresh(ctx, c, s, r.repo)
}

// fresh returns the token in use unless it is about to end.
func (s *seat) fresh(c *Client) (signature, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := c.Clock().GitHub(time.Now())
	return s.current, s.current.token.Len() > 0 && now.Before(s.current.expires.Add(-renewEarly))
}

// found returns the installation, if it was looked up.
func (s *seat) found() (installationBody, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return installationBody{s.id, maps.Clone(s.granted)}, s.granted != nil
}

// seatFor returns where to sign for ref. Questions that are about no repository are signed where
// the last one was.
func (a *app) seatFor(ref Ref) *seat {
	owner := strings.ToLower(ref.Owner)
	if a.fixed != 0 {
		owner = ""
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if owner == "" && a.last != nil {
		return a.last
	}
	s := a.seats[owner]
	if s == nil {
		s = &seat{id: a.fixed, turn: make(chan struct{}, 1)}
		s.turn <- struct{}{}
		a.seats[owner] = s
	}
	a.last = s
	return s
}

// renew drops a refused token, unless another request has replaced it already. A refused JWT is
// worth another try when the answer's Date has shown that our clock was wrong.
func (a *app) renew(c *Client, r request, refused signature) bool {
	if r.asApp {
		return c.Clock().Skew.Abs() > jwtBackdate/2
	}
	s := a.seatFor(r.repo)
	s.mu.Lock()
	defer s.mu.Unlock()
	if string(s.current.token.Expose()) == string(refused.token.Expose()) {
		s.current = signature{}
	}
	return true
}

func (a *app) granted() map[string]string {
	a.mu.Lock()
	s := a.last
	a.mu.Unlock()
	if s == nil {
		return nil
	}
	installation, _ := s.found()
	return installation.Permissions
}

// jwt is the App's own signature, by GitHub's clock as far as it is known.
func (a *app) jwt(c *Client) (signature, error) {
	from := c.Clock().GitHub(time.Now()).Add(-jwtBackdate)
	to := from.Add(jwtLife)
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.RegisteredClaims{
		Issuer: a.id, IssuedAt: jwt.NewNumericDate(from), ExpiresAt: jwt.NewNumericDate(to),
	}).SignedString(a.key)
	if err != nil {
		return signature{}, fault.Invalid("the private key of GitHub App %s does not sign", a.id).Because(err)
	}
	return signature{token: secret.NewPlaintext([]byte(signed)), expires: to}, nil
}

// refresh gets a token. What is asked for is never more than what was granted, so that a
// permission that only one store needs does not cost all of them the token.
func (a *app) refresh(ctx context.Context, c *Client, s *seat, ref Ref) (signature, error) {
	installation, known := s.found()
	if !known {
		var err error
		if installation, err = a.find(ctx, c, installation.ID, ref); err != nil {
			return signature{}, err
		}
	}
	token, err := a.mint(ctx, c, installation)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.id, s.granted, s.current = installation.ID, installation.Permissions, token
	if err != nil {
		// What was granted may have changed since it was looked up, the installation too.
		s.id, s.granted = a.fixed, nil
	}
	return token, err
}

// An installationBody is GitHub's description of an installation.
type installationBody struct {
	ID          int64             `json:"id"`
	Permissions map[string]string `json:"permissions"`
}

// find looks up which installation covers ref and what it was granted; id is zero unless known.
func (a *app) find(ctx context.Context, c *Client, id int64, ref Ref) (installationBody, error) {
	r := request{method: http.MethodGet, asApp: true, repo: ref, subject: subject{what: "GitHub App " + a.id}}
	switch {
	case id != 0:
		r.route, r.path = "/app/installations/{installation}", fmt.Sprintf("/app/installations/%d", id)
		r.subject.what = fmt.Sprintf("installation %d of GitHub App %s", id, a.id)
		r.repo = Ref{}
	case ref != Ref{}:
		r.route, r.path = repositoryRoute+"/installation", repositoryPath(ref)+"/installation"
		r.subject.what = fmt.Sprintf("GitHub App %s on %s", a.id, ref)
	default:
		return a.findOnly(ctx, c, r)
	}
	answer, err := c.read(ctx, r)
	if err != nil {
		return installationBody{}, err
	}
	var body installationBody
	if err := answer.decode(&body); err != nil {
		return installationBody{}, err
	}
	return body.orNothing(), nil
}

// findOnly serves questions about no repository before any other was asked.
func (a *app) findOnly(ctx context.Context, c *Client, r request) (installationBody, error) {
	r.route, r.path = "/app/installations", "/app/installations?per_page=100"
	answer, err := c.read(ctx, r)
	if err != nil {
		return installationBody{}, err
	}
	var all []installationBody
	if err := answer.decode(&all); err != nil {
		return installationBody{}, err
	}
	if len(all) != 1 {
		return installationBody{}, fault.Invalid("GitHub App %s has %d installations, and nothing says which is meant", a.id, len(all)).
			Hinting("Set %s, or ask about a repository.", appInstallationID)
	}
	return all[0].orNothing(), nil
}

// orNothing tells a grant of nothing from one that was not looked up.
func (b installationBody) orNothing() installationBody {
	if b.Permissions == nil {
		b.Permissions = map[string]string{}
	}
	return b
}

func (a *app) mint(ctx context.Context, c *Client, i installationBody) (signature, error) {
	var asked struct {
		Permissions map[string]string `json:"permissions,omitempty"`
	}
	asked.Permissions = leastOf(i.Permissions)
	body, err := json.Marshal(asked)
	if err != nil {
		return signature{}, err
	}
	answer, err := c.send(ctx, request{
		method: http.MethodPost, asApp: true, body: body,
		route: "/app/installations/{installation}/access_tokens",
		path:  fmt.Sprintf("/app/installations/%d/access_tokens", i.ID),
		subject: subject{
			what:  fmt.Sprintf("a token of installation %d of GitHub App %s", i.ID, a.id),
			asked: asked.Permissions,
		},
	})
	if err != nil {
		return signature{}, err
	}
	var token struct {
		Token   string    `json:"token"`
		Expires time.Time `json:"expires_at"`
	}
	if err := answer.decode(&token); err != nil {
		return signature{}, err
	}
	c.log.DebugContext(ctx, "installation token made", "app", a.id, "installation", i.ID, "expires", token.Expires)
	return signature{token: secret.NewPlaintext([]byte(token.Token)), expires: token.Expires}, nil
}

// leastOf returns the part of a grant that the calls of this package use.
func leastOf(granted map[string]string) map[string]string {
	least := map[string]string{}
	for _, p := range append(Permissions(), metadata, actions, administration, deployments) {
		switch level := granted[p.Slug]; level {
		case "":
		case "read":
			least[p.Slug] = "read"
		default:
			least[p.Slug] = p.Write
		}
	}
	return least
}

// appRefused explains a refusal of what the App itself asked.
func (c *Client) appRefused(r request, a answer) *fault.Fault {
	name, text := c.credential.Name(), a.message()
	has := func(s string) bool { return strings.Contains(text, s) }
	switch {
	case has("could not be decoded"):
		return denied(r, a, "the private key is not one of "+name).
			Hinting("It was revoked, or belongs to another App. Generate a key in the App's settings and set it as %s.", appPrivateKeyFile)
	case has("Integration not found"), has("must generate a public key"):
		return denied(r, a, "it knows no "+name+" with a key").Hinting("Check %s: it is the App ID that the App's settings page shows.", appID)
	case has("Expiration time"), has("Issued at"):
		return denied(r, a, fmt.Sprintf("the signature of %s has a wrong time", name)).
			Hinting("Set this machine's clock: it is %s off GitHub's.", c.Clock().Skew.Abs().Round(time.Second))
	case has("suspended"):
		return denied(r, a, "the installation of "+name+" is suspended").
			Hinting("An owner of the account can unsuspend it under Settings, GitHub Apps.")
	case a.status == http.StatusUnprocessableEntity:
		return denied(r, a, fmt.Sprintf("%s: the permissions %s are not all granted", r.subject.what, permissionList(r.subject.asked))).
			Hinting("An owner of the account must accept the App's new permissions.")
	case a.status == http.StatusNotFound && r.repo != Ref{}:
		return fault.New(fault.ResourceNotFound, fault.Context{"resource": r.repo.String()}).
			Hinting("It is misspelt, or %s is not installed on it.", name).Because(trace(r, a))
	case a.status == http.StatusNotFound:
		return fault.New(fault.ResourceNotFound, fault.Context{"resource": r.subject.what}).
			Hinting("It was uninstalled, or %s names another one.", appInstallationID).Because(trace(r, a))
	}
	return denied(r, a, fmt.Sprintf("%s: the App's request was answered with %d", r.subject.what, a.status))
}
