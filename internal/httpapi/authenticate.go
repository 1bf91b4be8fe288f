package httpapi

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// authenticate returns who sent the request. Every way not to be anybody is answered alike: which
// of them it was helps nobody but a guesser, and stands in the cause for the log.
func (s *server) authenticate(r *http.Request) (caller, error) {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	token = strings.TrimSpace(token)
	switch {
	case !strings.EqualFold(scheme, "Bearer") || token == "":
		return caller{}, fault.New(fault.TokenMissing, nil)
	case strings.HasPrefix(token, tokenPrefix):
		return s.byToken(r.Context(), token)
	}
	return s.byJWT(r.Context(), token)
}

func (s *server) byToken(ctx context.Context, token string) (caller, error) {
	if !wellFormed(token) {
		return caller{}, invalidToken("the token's checksum is wrong")
	}
	now, hash := s.now(), HashToken(token)
	c, known := s.known.find(hash, now)
	if !known {
		t, u, found, err := s.store.TokenByHash(ctx, hash)
		if err != nil {
			return caller{}, err
		}
		if !found {
			return caller{}, invalidToken("nobody has this token")
		}
		c = caller{user: u, token: &t}
	}
	switch {
	case c.token.RevokedAt != nil:
		return caller{}, invalidToken("the token is revoked")
	case !c.token.ExpiresAt.After(now):
		return caller{}, invalidToken("the token is expired")
	}
	if err := active(c.user); err != nil {
		return caller{}, err
	}
	if !known {
		s.known.keep(hash, c, now)
		s.touch(ctx, c.token, now)
	}
	return c, nil
}

// active refuses users who may not sign in: those who left, and those who are nobody.
func active(u store.User) error {
	switch {
	case u.DeactivatedAt != nil:
		return invalidToken("its user is deactivated")
	case u.Kind != store.Human:
		return invalidToken("its user is the system's")
	}
	return nil
}

func invalidToken(why string) error {
	return fault.New(fault.TokenInvalid, nil).Because(reason(why))
}

// A reason is a cause that is only words.
type reason string

func (r reason) Error() string { return string(r) }

// touch notes the use of a token. It is a courtesy to whoever looks for unused ones: a database
// that is busy writing must not hold up a request that reads.
func (s *server) touch(ctx context.Context, t *store.Token, now time.Time) {
	const patience = 250 * time.Millisecond
	if t.LastUsedAt != nil && now.Sub(*t.LastUsedAt) < time.Minute {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := s.store.TouchToken(ctx, now, t.ID); err != nil {
		s.log.DebugContext(ctx, "use of token not noted", "token", t.ID, "cause", err)
	}
}

// A roster keeps callers by the hash of their token for a moment, so that a busy client does not
// cost the database two questions a request. Expiry is judged anew each time; a revocation in
// another process is noticed when the moment is over, one in this process at once.
type roster struct {
	keepFor time.Duration
	mu      sync.Mutex
	entries map[string]rostered
}

type rostered struct {
	caller
	until time.Time
}

// rosterSize bounds the roster; those who do not fit are looked up each time.
const rosterSize = 10_000

func newRoster(keepFor time.Duration) *roster {
	return &roster{keepFor: keepFor, entries: map[string]rostered{}}
}

func (r *roster) find(hash string, now time.Time) (caller, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.entries[hash]
	if !ok || !e.until.After(now) {
		return caller{}, false
	}
	return e.caller, true
}

func (r *roster) keep(hash string, c caller, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.entries) >= rosterSize {
		for h, e := range r.entries {
			if !e.until.After(now) {
				delete(r.entries, h)
			}
		}
	}
	if len(r.entries) < rosterSize {
		r.entries[hash] = rostered{caller: c, until: now.Add(r.keepFor)}
	}
}

// forget drops everybody: someone's token or role has changed.
func (r *roster) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.entries)
}
