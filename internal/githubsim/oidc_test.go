package githubsim_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"

	"github.com/octoseal/octoseal/internal/githubsim"
)

const audience = "https://octoseal.example"

// verifier is a stranger's: it knows the issuer's URL and nothing else.
func verifier(t *testing.T, c *client) *oidc.IDTokenVerifier {
	t.Helper()
	ctx := oidc.ClientContext(context.Background(), plain)
	provider, err := oidc.NewProvider(ctx, c.gh.Issuer(c.url))
	if err != nil {
		t.Fatal(err)
	}
	return provider.VerifierContext(ctx, &oidc.Config{ClientID: audience, Now: c.gh.Now})
}

// claimsOf are a token's claims, unverified.
func claimsOf(t *testing.T, token string) map[string]any {
	t.Helper()
	var claims map[string]any
	raw, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err == nil {
		err = json.Unmarshal(raw, &claims)
	}
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func TestIDTokensVerify(t *testing.T) {
	for _, version := range []string{"", "3.19.1"} {
		c := start(t, githubsim.Config{Enterprise: version})
		token := c.gh.IDToken(githubsim.IDClaims{API: c.url, Repository: widgets, Audience: audience})
		verified, err := verifier(t, c).Verify(context.Background(), token)
		if err != nil {
			t.Fatalf("version %q: %v", version, err)
		}
		if want := strings.TrimSuffix(c.url, c.gh.Prefix()) + "/_services/token"; verified.Issuer != want {
			t.Errorf("issuer %s, want %s", verified.Issuer, want)
		}
		claims := claimsOf(t, token)
		at := func(name string) float64 { return claims[name].(float64) }
		if at("exp")-at("iat") != 300 || at("iat")-at("nbf") != 600 {
			t.Errorf("exp %v, iat %v, nbf %v", claims["exp"], claims["iat"], claims["nbf"])
		}
		for name, value := range claims {
			if _, isText := value.(string); !isText && name != "exp" && name != "iat" && name != "nbf" {
				t.Errorf("%s is %T", name, value)
			}
		}
		other := claimsOf(t, c.gh.IDToken(githubsim.IDClaims{API: c.url, Repository: widgets}))
		if other["jti"] == claims["jti"] || other["aud"] == audience || !strings.HasSuffix(other["aud"].(string), "/acme") {
			t.Errorf("jti %v and %v, default audience %v", claims["jti"], other["jti"], other["aud"])
		}
	}
}

func TestForgedIDTokens(t *testing.T) {
	c := start(t, githubsim.Config{})
	v := verifier(t, c)
	mint := func(change func(*githubsim.IDClaims)) string {
		claims := githubsim.IDClaims{API: c.url, Repository: widgets, Audience: audience}
		change(&claims)
		return c.gh.IDToken(claims)
	}
	for name, token := range map[string]string{
		"unsigned":       mint(func(k *githubsim.IDClaims) { k.Forgery = githubsim.Unsigned }),
		"public key mac": mint(func(k *githubsim.IDClaims) { k.Forgery = githubsim.PublicKeyMAC }),
		"other key":      mint(func(k *githubsim.IDClaims) { k.Forgery = githubsim.OtherKey }),
		"unknown key":    mint(func(k *githubsim.IDClaims) { k.Forgery = githubsim.UnknownKey }),
		"other issuer":   mint(func(k *githubsim.IDClaims) { k.Forgery = githubsim.OtherIssuer }),
		"wrong bytes":    mint(func(k *githubsim.IDClaims) { k.Forgery = githubsim.WrongBytes }),
		"other audience": mint(func(k *githubsim.IDClaims) { k.Audience = "https://elsewhere.example" }),
		"expired":        mint(func(k *githubsim.IDClaims) { k.Claims = map[string]any{"exp": c.gh.Now().Unix() - 1} }),
	} {
		if _, err := v.Verify(context.Background(), token); err == nil {
			t.Errorf("%s passes", name)
		}
		if parts := strings.Split(token, "."); len(parts) != 3 || (parts[2] == "") != (name == "unsigned") {
			t.Errorf("%s is no such token: %s", name, token)
		}
	}
	// The other way round: what the forgeries claim is what a genuine token would.
	forged := claimsOf(t, mint(func(k *githubsim.IDClaims) { k.Forgery = githubsim.PublicKeyMAC }))
	if forged["repository"] != widgets || forged["iss"] != c.gh.Issuer(c.url) {
		t.Errorf("a forgery that nobody would fall for: %v", forged)
	}
}

func TestSubjects(t *testing.T) {
	c := start(t, githubsim.Config{})
	owner := c.gh.AddOrganization("initech", "octocat")
	id := c.gh.AddRepository(githubsim.Repository{FullName: "initech/new", ImmutableSubject: true})
	c.gh.AddRepository(githubsim.Repository{FullName: "initech/old"})
	for _, tc := range []struct {
		claims githubsim.IDClaims
		want   string
	}{
		{githubsim.IDClaims{Repository: "initech/old"}, "repo:initech/old:ref:refs/heads/main"},
		{githubsim.IDClaims{Repository: "initech/new"}, fmt.Sprintf("repo:initech@%d/new@%d:ref:refs/heads/main", owner, id)},
		{githubsim.IDClaims{Repository: "initech/old", Ref: "refs/tags/v1"}, "repo:initech/old:ref:refs/tags/v1"},
		{githubsim.IDClaims{Repository: "initech/old", Environment: "a:b", Event: "pull_request"}, "repo:initech/old:environment:a%3Ab"},
		{githubsim.IDClaims{Repository: "initech/old", Event: "pull_request"}, "repo:initech/old:pull_request"},
	} {
		tc.claims.API = c.url
		claims := claimsOf(t, c.gh.IDToken(tc.claims))
		if claims["sub"] != tc.want {
			t.Errorf("%+v: sub is %v, want %s", tc.claims, claims["sub"], tc.want)
		}
		if _, has := claims["environment"]; has != (tc.claims.Environment != "") {
			t.Errorf("%+v: environment is %v", tc.claims, claims["environment"])
		}
	}
	// Whoever renames a repository gets the new form.
	c.gh.ChangeRepository("initech/old", func(r *githubsim.Repository) { r.FullName = "initech/older" })
	claims := claimsOf(t, c.gh.IDToken(githubsim.IDClaims{API: c.url, Repository: "initech/older"}))
	if !strings.HasPrefix(claims["sub"].(string), "repo:initech@") {
		t.Errorf("after a rename: %v", claims["sub"])
	}
	var form struct {
		Immutable bool   `json:"use_immutable_subject"`
		Prefix    string `json:"sub_claim_prefix"`
	}
	c.want(200, "GET", "/repos/initech/new/actions/oidc/customization/sub", "").into(t, &form)
	if !form.Immutable || form.Prefix != fmt.Sprintf("repo:initech@%d/new@%d", owner, id) {
		t.Errorf("customization: %+v", form)
	}
}

func TestClaimsAreReplaced(t *testing.T) {
	c := start(t, githubsim.Config{})
	claims := claimsOf(t, c.gh.IDToken(githubsim.IDClaims{
		API: c.url, Repository: widgets, Actor: "dependabot[bot]",
		Claims: map[string]any{"repository_id": "7", "job_workflow_ref": nil},
	}))
	if _, has := claims["job_workflow_ref"]; has || claims["repository_id"] != "7" || claims["actor"] != "dependabot[bot]" {
		t.Errorf("claims: %v", claims)
	}
}

func TestRotateOIDCKey(t *testing.T) {
	c := start(t, githubsim.Config{})
	v := verifier(t, c)
	token := func() string {
		return c.gh.IDToken(githubsim.IDClaims{API: c.url, Repository: widgets, Audience: audience})
	}
	verify := func(v *oidc.IDTokenVerifier, token string) error {
		_, err := v.Verify(context.Background(), token)
		return err
	}
	first := token()
	if err := verify(v, first); err != nil {
		t.Fatal(err)
	}
	kid := func(token string) any {
		parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
		if err != nil {
			t.Fatal(err)
		}
		return parsed.Header["kid"]
	}
	c.gh.RotateOIDCKey(true)
	second := token()
	if kid(first) == kid(second) {
		t.Error("the key's id stayed")
	}
	if err := verify(v, second); err != nil {
		t.Errorf("a verifier that looks again: %v", err)
	}
	if err := verify(verifier(t, c), first); err != nil {
		t.Errorf("the key before is still published: %v", err)
	}
	c.gh.RotateOIDCKey(false)
	if err := verify(verifier(t, c), second); err == nil {
		t.Error("the key before is gone, and yet its tokens verify")
	}
	if err := verify(verifier(t, c), token()); err != nil {
		t.Error(err)
	}
}

func TestTokenServiceIsNoPartOfTheAPI(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetQuota(0, c.gh.Now().Add(time.Hour))
	service := c.gh.Issuer(c.url)
	c.want(200, "GET", service+"/.well-known/jwks", "")
	c.want(404, "GET", service+"/.well-known/nothing", "")
	c.want(405, "POST", service+"/.well-known/jwks", "")
	c.want(401, "GET", service+"/idtoken/1/1?api-version=2.0", "")
	last := c.gh.Requests()
	if r := last[len(last)-1]; r.Points != 0 || r.Billed || r.Status != 401 {
		t.Errorf("remembered as %+v", r)
	}
	c.gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.Unavailable}, Path: "/jwks"}}})
	c.want(503, "GET", service+"/.well-known/jwks", "")
	c.want(200, "GET", service+"/.well-known/openid-configuration", "")
}
