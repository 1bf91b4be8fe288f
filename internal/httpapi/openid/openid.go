// Package openid verifies the bearer tokens of an OpenID provider for the HTTP door.
//
// A provider says who somebody is and nothing more: its tokens yield a login, and what that login
// may do is decided where all roles are.
package openid

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

// An Issuer is an OpenID provider whose tokens are accepted. Its users are ours by login.
type Issuer struct {
	URL      string
	Audience string
	// LoginClaim is the claim that holds the login; preferred_username unless set.
	LoginClaim string
	// Client asks the issuer for its keys; one with a timeout of 10 s unless set.
	Client *http.Client
}

// Only signatures with a public key count. HMAC would make a secret of the issuer's public key,
// and none is no signature.
var signatures = []string{
	oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256, oidc.PS384, oidc.PS512, oidc.EdDSA,
}

// A Gatekeeper verifies the tokens of one issuer. It asks for the issuer's description when the
// first token comes, so that the service starts while the issuer is away.
type Gatekeeper struct {
	issuer   Issuer
	now      func() time.Time
	mu       sync.Mutex
	verifier *oidc.IDTokenVerifier
	failed   error     // why the issuer could not be asked
	failedAt time.Time // and when
}

// rest is how long an issuer that could not be asked is left alone: callers are refused meanwhile,
// instead of waiting for it one behind the other.
const rest = 5 * time.Second

// New returns the gatekeeper of an issuer; now is the clock that expiry is judged by,
// time.Now unless set.
func New(i Issuer, now func() time.Time) *Gatekeeper {
	if i.LoginClaim == "" {
		i.LoginClaim = "preferred_username"
	}
	if now == nil {
		now = time.Now
	}
	if i.Client == nil {
		i.Client = &http.Client{Timeout: 10 * time.Second}
	}
	return &Gatekeeper{issuer: i, now: now}
}

func (g *Gatekeeper) ready(ctx context.Context) (*oidc.IDTokenVerifier, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.verifier != nil {
		return g.verifier, nil
	}
	if g.failed != nil && g.now().Sub(g.failedAt) < rest {
		return nil, g.failed
	}
	// The key set lives on after the request, and fetches new keys by itself.
	provider, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), g.issuer.Client), g.issuer.URL)
	if err != nil {
		g.failed, g.failedAt = err, g.now()
		return nil, err
	}
	g.verifier = provider.Verifier(&oidc.Config{ClientID: g.issuer.Audience, SupportedSigningAlgs: signatures, Now: g.now})
	return g.verifier, nil
}

// Issuer is the provider's URL, as its tokens spell it.
func (g *Gatekeeper) Issuer() string { return g.issuer.URL }

// Login verifies a token and returns the login it is for.
func (g *Gatekeeper) Login(ctx context.Context, token string) (string, error) {
	verifier, err := g.ready(ctx)
	if err != nil {
		return "", fmt.Errorf("the issuer cannot be asked: %w", err)
	}
	verified, err := verifier.Verify(ctx, token)
	if err != nil {
		return "", err
	}
	claims := map[string]any{}
	if err := verified.Claims(&claims); err != nil {
		return "", fmt.Errorf("claims: %w", err)
	}
	login, _ := claims[g.issuer.LoginClaim].(string)
	if login == "" {
		return "", errors.New("no claim " + g.issuer.LoginClaim)
	}
	return login, nil
}
