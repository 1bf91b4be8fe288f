package relay

import (
	"context"
	"crypto"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/time/rate"
)

const (
	// issuerTime bounds one question to the issuer.
	issuerTime = 10 * time.Second
	// issuerAnswer bounds what it answers.
	issuerAnswer = 1 << 20
	// refetchEvery and refetchBurst bound how often the keys are asked for, since anybody can send a
	// token with a key id that nobody knows.
	refetchEvery = 10 * time.Second
	refetchBurst = 3
	// shortestKey is the least that RS256 allows, in bits.
	shortestKey = 2048
)

var (
	errUnknownKey = errors.New("the issuer has no key of this id")
	errNoIssuer   = errors.New("the issuer cannot be asked for its keys")
)

// A keySet holds the keys of one issuer. GitHub has several at a time and replaces them unannounced:
// an id that is not among them has the set fetched once more, but never more often than refetchEvery.
type keySet struct {
	issuer   string
	client   *http.Client
	now      func() time.Time
	fetching chan struct{} // has room for one: the others wait for what it brings
	budget   *rate.Limiter

	mu     sync.Mutex
	known  map[string]*rsa.PublicKey
	failed error // how the last fetch ended
}

func newKeySet(issuer string, client *http.Client, now func() time.Time) *keySet {
	asking := http.Client{Timeout: issuerTime}
	if client != nil {
		asking.Transport = client.Transport
	}
	asking.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &keySet{
		issuer: issuer, client: &asking, now: now, fetching: make(chan struct{}, 1),
		budget: rate.NewLimiter(rate.Every(refetchEvery), refetchBurst),
	}
}

// VerifySignature returns the payload of a token whose algorithm was found to be RS256.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	key, err := k.key(ctx, keyID(token))
	if err != nil {
		return nil, err
	}
	only := oidc.StaticKeySet{PublicKeys: []crypto.PublicKey{key}}
	return only.VerifySignature(ctx, token)
}

// keyID reads which key is said to have signed.
func keyID(token string) string {
	head, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(head)
	if err != nil {
		return ""
	}
	var header struct {
		KeyID string `json:"kid"`
	}
	_ = json.Unmarshal(raw, &header) // what is not JSON names no key
	return header.KeyID
}

func (k *keySet) key(ctx context.Context, id string) (*rsa.PublicKey, error) {
	if key := k.cached(id); key != nil {
		return key, nil
	}
	if id == "" {
		return nil, errUnknownKey
	}
	select {
	case k.fetching <- struct{}{}:
		defer func() { <-k.fetching }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if key := k.cached(id); key != nil { // whoever was before us brought it
		return key, nil
	}
	if err := k.refetch(ctx); err != nil {
		return nil, fmt.Errorf("%w: %w", errNoIssuer, err)
	}
	if key := k.cached(id); key != nil {
		return key, nil
	}
	return nil, errUnknownKey
}

func (k *keySet) cached(id string) *rsa.PublicKey {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.known[id]
}

// refetch asks for the keys, or answers as the last time where it is too soon to ask again. A caller
// that goes away does not spoil it for those who wait.
func (k *keySet) refetch(ctx context.Context) error {
	k.mu.Lock()
	failed := k.failed
	k.mu.Unlock()
	if !k.budget.AllowN(k.now(), 1) {
		return failed
	}
	keys, err := k.fetch(context.WithoutCancel(ctx))
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failed = err; err == nil {
		k.known = keys
	}
	return err
}

func (k *keySet) fetch(ctx context.Context) (map[string]*rsa.PublicKey, error) {
	var described struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration", &described); err != nil {
		return nil, err
	}
	if described.Issuer != k.issuer {
		return nil, fmt.Errorf("it calls itself %q", described.Issuer)
	}
	if err := safeURL(described.Keys); err != nil {
		return nil, fmt.Errorf("its keys: %w", err)
	}
	var set struct {
		Keys []jsonKey `json:"keys"`
	}
	if err := k.get(ctx, described.Keys, &set); err != nil {
		return nil, err
	}
	keys := map[string]*rsa.PublicKey{}
	for _, j := range set.Keys {
		if key := j.key(); key != nil {
			keys[j.ID] = key
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("it has no key for RS256")
	}
	return keys, nil
}

func (k *keySet) get(ctx context.Context, from string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return err
	}
	res, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %d", from, res.StatusCode)
	}
	if err := json.NewDecoder(io.LimitReader(res.Body, issuerAnswer)).Decode(into); err != nil {
		return fmt.Errorf("%s answers no JSON: %w", from, err)
	}
	return nil
}

// A jsonKey is one member of a JWKS, as far as RS256 needs it.
type jsonKey struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	N         string `json:"n"`
	E         string `json:"e"`
}

// key returns the key, or nil when it is for something else or too weak.
func (j jsonKey) key() *rsa.PublicKey {
	if j.Type != "RSA" || j.ID == "" || j.Use != "" && j.Use != "sig" || j.Algorithm != "" && j.Algorithm != oidc.RS256 {
		return nil
	}
	n, errN := base64.RawURLEncoding.DecodeString(j.N)
	e, errE := base64.RawURLEncoding.DecodeString(j.E)
	if errN != nil || errE != nil || len(e) > 4 {
		return nil
	}
	key := &rsa.PublicKey{N: new(big.Int).SetBytes(n), E: int(new(big.Int).SetBytes(e).Int64())}
	if key.N.BitLen() < shortestKey || key.E < 3 || key.E%2 == 0 {
		return nil
	}
	return key
}

// safeURL refuses what others on the way could change.
func safeURL(text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is no URL", text)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%q is neither https nor on this machine", text)
}
