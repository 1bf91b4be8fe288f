package relay

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// audience is the public URL of the servers in these tests.
const audience = "https://octoseal.example"

// jobKeys are made once: a key of this size takes its time.
var jobKeys = sync.OnceValue(func() [3]*rsa.PrivateKey {
	var keys [3]*rsa.PrivateKey
	for i := range keys {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[i] = key
	}
	return keys
})

// An issuer signs the tokens of jobs, and serves the keys for it.
type issuer struct {
	*httptest.Server
	t     testing.TB
	down  atomic.Bool
	asked atomic.Int32 // questions for the keys

	mu   sync.Mutex
	keys map[string]*rsa.PrivateKey // by id, as served
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	i := &issuer{t: t, keys: map[string]*rsa.PrivateKey{"a": jobKeys()[0], "b": jobKeys()[1]}}
	i.Server = httptest.NewServer(i)
	t.Cleanup(i.Close)
	return i
}

// ServeHTTP describes the issuer, or lists its keys.
func (i *issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if i.down.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	if r.URL.Path != "/keys" {
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
		return
	}
	i.asked.Add(1)
	number := func(n *big.Int) string { return base64.RawURLEncoding.EncodeToString(n.Bytes()) }
	i.mu.Lock()
	defer i.mu.Unlock()
	list := []map[string]string{{"kty": "EC", "kid": "ec"}, {"kty": "RSA", "kid": "enc", "use": "enc", "n": "AQAB", "e": "AQAB"}}
	for id, key := range i.keys {
		list = append(list, map[string]string{
			"kty": "RSA", "kid": id, "use": "sig", "alg": "RS256", "n": number(key.N), "e": number(big.NewInt(int64(key.E))),
		})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"keys": list})
}

// rotate replaces the keys that are served by one of another id.
func (i *issuer) rotate(id string, key *rsa.PrivateKey) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys = map[string]*rsa.PrivateKey{id: key}
}

// genuine are the claims of a job that may claim for repository number 7, run 99, changed in pairs.
// A value of nil takes a claim away.
func (i *issuer) genuine(change ...any) jwt.MapClaims {
	now := time.Now()
	c := jwt.MapClaims{
		"iss": i.URL, "aud": audience, "sub": "repo:acme/widgets:ref:refs/heads/main", "jti": uuid.NewString(),
		"iat": now.Unix(), "nbf": now.Add(-10 * time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"repository": "acme/widgets", "repository_id": "7", "repository_owner_id": "3", "ref": "refs/heads/main", "ref_type": "branch",
		"head_ref": "", "base_ref": "", "event_name": "workflow_dispatch", "actor": "octocat", "run_id": "99", "run_attempt": "1",
		"workflow_ref":     "acme/widgets/.github/workflows/octoseal.yml@refs/heads/main",
		"job_workflow_ref": "acme/widgets/.github/workflows/octoseal.yml@refs/heads/main",
		"ref_protected":    "true", "runner_environment": "github-hosted",
	}
	for n := 0; n < len(change); n += 2 {
		if c[change[n].(string)] = change[n+1]; change[n+1] == nil {
			delete(c, change[n].(string))
		}
	}
	return c
}

// sign makes the token of claims with the key that is served as a.
func (i *issuer) sign(c jwt.MapClaims) string {
	return i.signWith(jwt.SigningMethodRS256, "a", i.keys["a"], c)
}

func (i *issuer) signWith(method jwt.SigningMethod, id string, key any, c jwt.MapClaims) string {
	i.t.Helper()
	token := jwt.NewWithClaims(method, c)
	token.Header["kid"] = id
	text, err := token.SignedString(key)
	if err != nil {
		i.t.Fatal(err)
	}
	return text
}

func (i *issuer) token(change ...any) string { return i.sign(i.genuine(change...)) }
