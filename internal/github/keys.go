package github

import (
	"context"
	"encoding/json"
	"net/http"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// keyLife is how long a public key is believed. GitHub rotates keys without notice.
const keyLife = 5 * time.Minute

// A keyring keeps public keys, and lets concurrent callers share one request for one.
type keyring struct {
	mu      sync.Mutex
	keys    map[keyPlace]*keptKey
	refused map[keyPlace]string // id of the key for which a box was refused last
}

type keyPlace struct {
	repository int64
	scope      secret.Scope
}

// A keptKey is being fetched until done is closed.
type keptKey struct {
	done    chan struct{}
	key     secret.PublicKey
	err     error
	fetched time.Time
}

// PublicKey returns the key to seal for scope with. It is kept for five minutes.
func (c *Client) PublicKey(ctx context.Context, repo Repository, scope secret.Scope) (secret.PublicKey, error) {
	place := keyPlace{repo.ID, scope}
	for {
		kept, mine := c.keys.at(place)
		if mine {
			kept.key, kept.err = c.fetchKey(ctx, repo, scope)
			c.keys.settle(place, kept)
			return kept.key, kept.err
		}
		select {
		case <-kept.done:
		case <-ctx.Done():
			return secret.PublicKey{}, ctx.Err()
		}
		// The fetcher may have given up for reasons of its own; then one of the others takes over.
		if !isGivingUp(kept.err) {
			return kept.key, kept.err
		}
		if ctx.Err() != nil {
			return secret.PublicKey{}, ctx.Err()
		}
	}
}

// ForgetKey makes the next PublicKey ask GitHub again. When several writers find the same key
// stale, the first one's forgetting counts: a key other than the refused one stays.
func (c *Client) ForgetKey(repo Repository, scope secret.Scope) {
	place := keyPlace{repo.ID, scope}
	k := &c.keys
	k.mu.Lock()
	defer k.mu.Unlock()
	kept, refused := k.keys[place], k.refused[place]
	if kept == nil || !kept.settled() || refused != "" && kept.key.ID() != refused {
		return
	}
	delete(k.keys, place)
}

// refuse notes that a box for the key was refused, and forgets that key if it is still kept.
func (k *keyring) refuse(place keyPlace, keyID string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.refused == nil {
		k.refused = map[keyPlace]string{}
	}
	k.refused[place] = keyID
	if kept := k.keys[place]; kept != nil && kept.settled() && kept.key.ID() == keyID {
		delete(k.keys, place)
	}
}

// at returns what is kept at place. mine says that it is new and that the caller must fetch it.
func (k *keyring) at(place keyPlace) (kept *keptKey, mine bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept = k.keys[place]
	if kept != nil && (!kept.settled() || time.Since(kept.fetched) < keyLife) {
		return kept, false
	}
	if k.keys == nil {
		k.keys = map[keyPlace]*keptKey{}
	}
	kept = &keptKey{done: make(chan struct{})}
	k.keys[place] = kept
	return kept, true
}

// settle shows the fetched key to those who wait. An error is shown to them and not kept.
func (k *keyring) settle(place keyPlace, kept *keptKey) {
	k.mu.Lock()
	defer k.mu.Unlock()
	kept.fetched = time.Now()
	if kept.err != nil && k.keys[place] == kept {
		delete(k.keys, place)
	}
	close(kept.done)
}

func (kept *keptKey) settled() bool {
	select {
	case <-kept.done:
		return true
	default:
		return false
	}
}

func (c *Client) fetchKey(ctx context.Context, repo Repository, scope secret.Scope) (secret.PublicKey, error) {
	r, err := secretsRequest(http.MethodGet, c.current(repo), scope, "/public-key", "/public-key")
	if err != nil {
		return secret.PublicKey{}, err
	}
	a, err := c.read(ctx, r)
	if err != nil {
		return secret.PublicKey{}, err
	}
	var body struct {
		ID  keyID  `json:"key_id"`
		Key string `json:"key"`
	}
	if err := a.decode(&body); err != nil {
		return secret.PublicKey{}, err
	}
	key, err := secret.ParsePublicKey(scope, string(body.ID), body.Key)
	if err != nil {
		return secret.PublicKey{}, fault.New(fault.EncryptionFailed, fault.Context{"scope": scope.String()}).
			Saying("The public key of %s cannot be sealed for: %s.", r.subject.what, err).Because(err)
	}
	c.log.DebugContext(ctx, "public key fetched", "scope", scope, "repository", repo.FullName(), "key_id", key.ID())
	return key, nil
}

// A keyID is text on github.com and a number, with more digits than a float64 holds, on some
// Enterprise Servers.
type keyID string

func (k *keyID) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err == nil {
		*k = keyID(text)
		return nil
	}
	var number json.Number
	if err := json.Unmarshal(b, &number); err != nil {
		return err
	}
	*k = keyID(number)
	return nil
}
