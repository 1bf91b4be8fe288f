package openid

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// A provider is an OpenID provider as far as it is asked.
type provider struct {
	*httptest.Server
	key   *rsa.PrivateKey
	down  atomic.Bool
	asked atomic.Int32
}

func newProvider(t *testing.T) *provider {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{key: key}
	p.Server = httptest.NewServer(http.HandlerFunc(p.answer))
	t.Cleanup(p.Close)
	return p
}

func (p *provider) answer(w http.ResponseWriter, r *http.Request) {
	p.asked.Add(1)
	if p.down.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if r.URL.Path == "/keys" {
		number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []map[string]string{{
			"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": number(p.key.N), "e": number(big.NewInt(int64(p.key.E))),
		}}})
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"issuer": p.URL, "jwks_uri": p.URL + "/keys", "authorization_endpoint": p.URL + "/auth", "token_endpoint": p.URL + "/token",
	})
}

func (p *provider) claims(change ...any) jwt.MapClaims {
	c := jwt.MapClaims{
		"iss": p.URL, "aud": "octoseal", "sub": "1", "preferred_username": "ann",
		"iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(),
	}
	for i := 0; i < len(change); i += 2 {
		c[change[i].(string)] = change[i+1]
	}
	return c
}

func signed(t *testing.T, method jwt.SigningMethod, key any, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = "1"
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestOnlyTheIssuersTokensCount(t *testing.T) {
	p, other := newProvider(t), newProvider(t)
	g := New(Issuer{URL: p.URL, Audience: "octoseal"}, nil)
	good := signed(t, jwt.SigningMethodRS256, p.key, p.claims())
	if login, err := g.Login(t.Context(), good); err != nil || login != "ann" {
		t.Fatalf("%q, %v", login, err)
	}
	public, err := x509.MarshalPKIXPublicKey(&p.key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asSecret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	without := p.claims()
	maps.DeleteFunc(without, func(k string, _ any) bool { return k == "preferred_username" })
	for name, token := range map[string]string{
		"another key":      signed(t, jwt.SigningMethodRS256, other.key, p.claims()),
		"another issuer":   signed(t, jwt.SigningMethodRS256, p.key, p.claims("iss", other.URL)),
		"another audience": signed(t, jwt.SigningMethodRS256, p.key, p.claims("aud", "someone else")),
		"no audience":      signed(t, jwt.SigningMethodRS256, p.key, p.claims("aud", "")),
		"expired":          signed(t, jwt.SigningMethodRS256, p.key, p.claims("exp", time.Now().Add(-time.Minute).Unix())),
		"alg none":         signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, p.claims()),
		"HS256":            signed(t, jwt.SigningMethodHS256, asSecret, p.claims()),
		"no login":         signed(t, jwt.SigningMethodRS256, p.key, without),
		"login no text":    signed(t, jwt.SigningMethodRS256, p.key, p.claims("preferred_username", 7)),
		"cut":              good[:len(good)-4],
		"nothing":          "",
	} {
		if login, err := g.Login(t.Context(), token); err == nil {
			t.Errorf("%s: %q was let in", name, login)
		}
	}
	if login, err := New(Issuer{URL: p.URL}, nil).Login(t.Context(), good); err == nil {
		t.Errorf("%q was let in without an audience", login)
	}
}

// An issuer that is away at the start is asked again, and not by every caller.
func TestAnIssuerMayBeAway(t *testing.T) {
	p := newProvider(t)
	p.down.Store(true)
	now := time.Now()
	g := New(Issuer{URL: p.URL, Audience: "octoseal", LoginClaim: "sub"}, func() time.Time { return now })
	token := signed(t, jwt.SigningMethodRS256, p.key, p.claims())
	for range 5 {
		if _, err := g.Login(t.Context(), token); err == nil {
			t.Fatal("let in by nobody")
		}
	}
	if n := p.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	p.down.Store(false)
	now = now.Add(rest)
	if login, err := g.Login(t.Context(), token); err != nil || login != "1" {
		t.Errorf("%q, %v", login, err)
	}
}
