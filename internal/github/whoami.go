package github

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

// An Identity is who a credential is, as far as GitHub tells.
type Identity struct {
	Kind        string            // "classic token", "fine-grained token", "GitHub App", …
	Login       string            // the user's login, or the App's slug; empty for a bare installation token
	UserID      int64             // the user's number; zero for an App and a bare installation token
	Scopes      []string          // of a classic token, sorted
	Permissions map[string]string // of an App's installation, if one was used: slug → read or write
	Expiry      time.Time         // zero when none was announced
}

// Whoami asks GitHub who the credential is.
func (c *Client) Whoami(ctx context.Context) (Identity, error) {
	id := Identity{Kind: c.credential.kind()}
	r := request{
		method: http.MethodGet, route: "/user", path: "/user",
		subject: subject{what: "the user of " + c.credential.Name()},
	}
	if c.credential.isApp() {
		r.route, r.path, r.asApp = "/app", "/app", true
		r.subject.what = c.credential.Name()
	}
	a, err := c.read(ctx, r)
	if fault.Is(err, fault.IntegrationDenied) && a.status == http.StatusForbidden && strings.HasPrefix(id.Kind, "installation") {
		return id, nil // such a token has no user: that it was recognised is all there is to know
	}
	if err != nil {
		return Identity{}, err
	}
	var body struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Slug  string `json:"slug"`
	}
	if err := a.decode(&body); err != nil {
		return Identity{}, err
	}
	id.Login = body.Login
	if r.asApp {
		id.Login, id.Permissions = body.Slug, c.credential.granted()
		return id, nil
	}
	id.UserID = body.ID
	scopes, _ := scopesOf(a.header)
	for s := range scopes {
		id.Scopes = append(id.Scopes, s)
	}
	slices.Sort(id.Scopes)
	id.Expiry = c.knownExpiry()
	return id, nil
}

// sawExpiry remembers when the token expires: the 401 after that will not tell.
func (c *Client) sawExpiry(a answer) {
	at, ok := parseExpiry(a.header.Get("Github-Authentication-Token-Expiration"))
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.expiry = at
}

// knownExpiry is zero when GitHub never announced one.
func (c *Client) knownExpiry() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.expiry
}

// parseExpiry reads both forms of the header: "2026-12-01 08:00:00 UTC" and "… +0200".
func parseExpiry(s string) (time.Time, bool) {
	if zoneless, ok := strings.CutSuffix(s, " UTC"); ok {
		s = zoneless + " +0000"
	}
	at, err := time.Parse("2006-01-02 15:04:05 -0700", s)
	return at.UTC(), err == nil
}
