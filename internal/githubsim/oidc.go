package githubsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// tokenService is the path of the issuer of ID tokens. github.com has a host of its own for it;
// Enterprise Server has it here.
const tokenService = "/_services/token"

// The endpoints of the issuer, below tokenService.
const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/.well-known/jwks"
	requestPath   = "/idtoken"
)

// A signingKey signs ID tokens.
type signingKey struct {
	id          string
	private     *rsa.PrivateKey
	certificate []byte // DER
}

func newSigningKey(now time.Time) signingKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic("githubsim: " + err.Error()) // crypto/rand does not fail
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(2, 0, 0),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		panic("githubsim: " + err.Error()) // the template is a good one
	}
	return signingKey{id: strings.ToUpper(uuid.NewString()), private: private, certificate: certificate}
}

// thumbprint is the key's x5t.
func (k signingKey) thumbprint() string {
	sum := sha1.Sum(k.certificate)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (k signingKey) asJSON() map[string]any {
	return map[string]any{
		"kty": "RSA", "alg": "RS256", "use": "sig", "kid": k.id,
		"n":   base64.RawURLEncoding.EncodeToString(k.private.N.Bytes()),
		"e":   base64.RawURLEncoding.EncodeToString(big.NewInt(int64(k.private.E)).Bytes()),
		"x5c": []string{base64.StdEncoding.EncodeToString(k.certificate)},
		"x5t": k.thumbprint(),
	}
}

// RotateOIDCKey has ID tokens signed with a new key from now on, unannounced as GitHub does it.
// The keys before it stay published if keep says so; otherwise tokens that they signed cannot be
// verified any more.
func (g *GitHub) RotateOIDCKey(keep bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	old := g.signers()
	g.actions.signers = []signingKey{newSigningKey(g.clock.now())}
	if keep {
		g.actions.signers = append(g.actions.signers, old...)
	}
}

// signers are the published keys, of which the first one signs. They are made when first asked
// for: a simulator whose jobs nobody runs need not wait for them. GitHub always publishes several.
func (g *GitHub) signers() []signingKey {
	if g.actions.signers == nil {
		now := g.clock.now()
		g.actions.signers = []signingKey{newSigningKey(now), newSigningKey(now)}
	}
	return g.actions.signers
}

// root is the URL of the server that the API at a URL is part of.
func (g *GitHub) root(api string) string {
	return strings.TrimSuffix(strings.TrimSuffix(api, "/"), g.Prefix())
}

// Issuer is the issuer of ID tokens of a simulator whose API answers at the URL api.
func (g *GitHub) Issuer(api string) string { return g.root(api) + tokenService }

// runTokenService answers a request to the issuer. It is no part of the API: it costs no quota and
// knows no limits. Faults befall it, and Requests shows it.
func (x *exchange) runTokenService() {
	x.arrive(0)
	strike := x.faults.draw(x.r.Method, x.r.URL.EscapedPath())
	x.note(func(e *Request) { e.Fault = strike.kind })
	c := &call{GitHub: x.GitHub, r: x.r, base: x.base(), version: oldVersion, who: &credential{kind: anonymous}}
	x.perform(c, strike, func() answer {
		x.mu.Lock()
		defer x.mu.Unlock()
		c.now = x.clock.now()
		a := c.tokenServiceAnswer()
		c.encode(&a)
		return a
	})
}

func (c *call) tokenServiceAnswer() answer {
	path := strings.TrimPrefix(c.r.URL.Path, tokenService)
	switch {
	case c.r.Method != http.MethodGet:
		return refuse(405, "The requested resource does not support http method '"+c.r.Method+"'.")
	case path == discoveryPath:
		return c.discovery()
	case path == keysPath:
		keys := []any{}
		for _, k := range c.signers() {
			keys = append(keys, k.asJSON())
		}
		return ok(map[string]any{"keys": keys})
	case strings.HasPrefix(path, requestPath+"/"):
		return c.giveIDToken()
	}
	return notFound()
}

func (c *call) discovery() answer {
	issuer := c.Issuer(c.base)
	return ok(map[string]any{
		"issuer":                                issuer,
		"jwks_uri":                              issuer + keysPath,
		"subject_types_supported":               []string{"public", "pairwise"},
		"response_types_supported":              []string{"id_token"},
		"claims_supported":                      claimNames,
		"id_token_signing_alg_values_supported": []string{"RS256"},
		"scopes_supported":                      []string{"openid"},
	})
}

// giveIDToken answers a job that asks for a token: $ACTIONS_ID_TOKEN_REQUEST_URL, which has a query
// already, with the bearer that the job was given and that dies with it.
func (c *call) giveIDToken() answer {
	scheme, bearer, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	asked, known := c.actions.requests[bearer]
	if !strings.EqualFold(scheme, "bearer") || !known || c.r.URL.Path != tokenService+requestPath+"/"+asked.path ||
		c.world.repositories[asked.repo.ID] != asked.repo {
		return refuse(401, "Unauthorized")
	}
	query := c.r.URL.Query()
	if query.Get("api-version") == "" {
		return refuse(400, "No api-version was supplied for the request.")
	}
	claims := asked.claims
	claims.Audience, claims.Repository = query.Get("audience"), asked.repo.FullName
	token := c.idToken(claims)
	return ok(map[string]any{"count": len(token), "value": token})
}

// A tokenRequest is a job's right to ask for ID tokens.
type tokenRequest struct {
	path   string // below requestPath
	repo   *repository
	claims IDClaims
}

func oidcRoutes() []route {
	return []route{{
		method: "GET", path: "/{repo}/actions/oidc/customization/sub", need: need{"actions", "read"}, scope: "repo", role: RoleWrite,
		docs:  "actions/oidc#get-the-customization-template-for-an-oidc-subject-claim-for-a-repository",
		serve: subjectCustomization,
	}}
}

// subjectCustomization tells the form of sub: no repository here has a template of its own.
func subjectCustomization(c *call) answer {
	body := map[string]any{"use_default": true}
	if !c.enterprise() {
		body["use_immutable_subject"] = c.repo.ImmutableSubject
		body["sub_claim_prefix"] = c.repo.subject()
	}
	return ok(body)
}
