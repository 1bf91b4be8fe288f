package relay

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

const (
	// mostScopes is how many boxes of the largest value fit one message.
	mostScopes = 15
	// hashKeySize is that of HMAC-SHA-256's output, which a derived key is.
	hashKeySize = 32
)

// claim asks for a session. Each try bears an ID token of its own: one whose answer got lost on the
// way would be refused as replayed.
func (r *runner) claim(ctx context.Context) (Claim, error) {
	var c Claim
	err := r.persist(ctx, func() error {
		token, err := r.identity(ctx)
		if err != nil {
			return err
		}
		c = Claim{}
		return r.deliver(ctx, exchange{path: ClaimPath, bearer: token, body: ClaimRequest{Version: Version, SyncID: r.SyncID}, into: &c})
	})
	if err != nil {
		return Claim{}, err
	}
	r.Redact.Learn(secret.NewPlaintext([]byte(c.Session)))
	if !isToken(c.Session) {
		return Claim{}, r.stranger(http.StatusOK)
	}
	r.log.InfoContext(ctx, "claimed", "run", c.SyncID, "names", len(c.Names), "keys", len(c.Keys))
	return c, nil
}

var visible = regexp.MustCompile(`^[\x21-\x7e]+$`)

// isToken says whether s can be sent as a token: it may stand in a header, and is no longer than those
// that proxies let pass.
func isToken(s string) bool { return len(s) < 8<<10 && visible.MatchString(s) }

// identity asks GitHub for an ID token, which says which repository, workflow and branch is calling.
func (r *runner) identity(ctx context.Context) (string, error) {
	from, err := url.Parse(r.IDTokenURL)
	if err != nil {
		return "", fault.Invalid("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")
	}
	if err := checkAddress("ACTIONS_ID_TOKEN_REQUEST_URL", from); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	from.RawQuery = strings.TrimPrefix(from.RawQuery+"&audience="+url.QueryEscape(r.Audience), "&")
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from.String(), nil)
	if err != nil {
		return "", fault.Invalid("ACTIONS_ID_TOKEN_REQUEST_URL is no URL")
	}
	req.Header.Set("Authorization", "bearer "+string(r.IDToken.Expose()))
	status, header, raw, err := r.answer(req)
	if err != nil {
		return "", err
	}
	var body struct {
		Value string `json:"value"`
	}
	err = json.Unmarshal(raw, &body)
	switch {
	case status >= http.StatusInternalServerError || status == http.StatusTooManyRequests:
		return "", passingError{noIdentity(from.Host, status), retryAfter(header)}
	case status != http.StatusOK || err != nil || !isToken(body.Value):
		return "", noIdentity(from.Host, status)
	}
	r.Redact.Learn(secret.NewPlaintext([]byte(body.Value)))
	return body.Value, nil
}

func noIdentity(host string, status int) *fault.Fault {
	return fault.New(fault.IntegrationDenied, fault.Context{"reason": fmt.Sprintf("%s answers %d and gives no ID token", host, status)}).
		Hinting("The job needs permissions: {id-token: write}. Else look at GitHub's status, and run the workflow again.")
}

// An accepted claim is one that may be fulfilled: its keys are pinned, and what it asks for makes
// sense.
type accepted struct {
	claim  Claim
	wanted []wanted
	keys   map[secret.Scope]secret.PublicKey
	hasher secret.Hasher
}

// A wanted secret is to be sealed for some scopes.
type wanted struct {
	name   secret.Name
	scopes []secret.Scope
}

// accept checks a claim whole before any value is touched. The keys come first: what else is wrong
// does not matter when the server offers one of its own.
func (r *runner) accept(c Claim) (accepted, error) {
	a := accepted{claim: c, keys: map[secret.Scope]secret.PublicKey{}}
	for _, k := range c.Keys {
		key, err := r.trusted(k)
		if err != nil {
			return a, err
		}
		if _, twice := a.keys[key.Scope()]; twice {
			return a, unpinned(k.Scope, k.KeyID, "is the second for that scope")
		}
		a.keys[key.Scope()] = key
	}
	switch {
	case c.Version != Version:
		return a, r.nonsense("speaks version %d of the protocol, and we speak %d", c.Version, Version)
	case r.SyncID != "" && c.SyncID.String() != r.SyncID:
		return a, r.nonsense("answers for another run than was claimed")
	}
	if c.Hash != nil {
		key, err := base64.StdEncoding.Strict().DecodeString(c.Hash.Key)
		if err != nil || len(key) != hashKeySize || c.Hash.KeyID == "" {
			return a, r.nonsense("offers a hash key that is none")
		}
		r.Redact.Learn(secret.NewPlaintext([]byte(c.Hash.Key)))
		a.hasher = secret.DerivedHasher(key, c.Hash.KeyID)
	}
	return a, a.take(r, c.Names)
}

// trusted returns a key that is well made and pinned.
func (r *runner) trusted(k Key) (secret.PublicKey, error) {
	scope, err := secret.ParseScope(k.Scope)
	if err != nil {
		return secret.PublicKey{}, unpinned(k.Scope, k.KeyID, "is for a scope that there is not")
	}
	key, err := secret.ParsePublicKey(scope, k.KeyID, k.Key)
	if err != nil {
		return secret.PublicKey{}, unpinned(k.Scope, k.KeyID, "is no key to seal for").Because(err)
	}
	return key, r.Pins.vouch(key)
}

// take reads what is asked for.
func (a *accepted) take(r *runner, names []Wanted) error {
	seen := map[secret.Name]bool{}
	for _, n := range names {
		name, err := secret.ParseName(n.Name)
		if err != nil {
			return r.nonsense("asks for %q, which no secret is called", shortened(n.Name, 40))
		}
		w := wanted{name: name}
		for _, s := range n.Scopes {
			scope, err := secret.ParseScope(s)
			if _, offered := a.keys[scope]; err != nil || !offered {
				return r.nonsense("asks for %s in %q, and offers no key for it", name, shortened(s, 80))
			}
			if slices.Contains(w.scopes, scope) {
				return r.nonsense("asks for %s twice in %s", name, scope)
			}
			w.scopes = append(w.scopes, scope)
		}
		if seen[name] || len(w.scopes) == 0 || len(w.scopes) > mostScopes {
			return r.nonsense("asks for %s twice, or in %d scopes", name, len(w.scopes))
		}
		seen[name] = true
		a.wanted = append(a.wanted, w)
	}
	return nil
}

// nonsense is the fault of a claim's answer that no server of ours gives.
func (r *runner) nonsense(format string, args ...any) *fault.Fault {
	return away(r.Server.Host, "it "+tame(fmt.Sprintf(format, args...))).Hinting("Bring server and action to the same version.")
}
