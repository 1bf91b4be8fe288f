package relay

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// tokenPrefix tells a session token from those of users, for people and for scanners of leaks.
const tokenPrefix = "osr_"

// A session is a job's claim on a run, and what it has brought so far.
type session struct {
	id      uuid.UUID
	bound   *syncing.Bound
	run     store.Run
	order   syncing.Order
	expires time.Time
	timer   *time.Timer // drops the boxes of a job that fell silent

	names     map[secret.Name][]secret.Scope
	keys      map[secret.Scope]secret.PublicKey
	hashKeyID string

	mu      sync.Mutex
	relayed syncing.Relayed
	sizes   map[secret.Name]int64
	held    int64
	closed  bool // it takes no more boxes
	carried bool // a work has the boxes
}

// open stores a session for an admitted claim, and says what the job is to seal. The session before
// it of the same run ends, and what that one brought is forgotten.
func (s *Server) open(ctx context.Context, a admitted) (Claim, error) {
	need, err := s.needs(ctx, a)
	if err != nil {
		return Claim{}, err
	}
	token, hash := mintToken()
	now := s.Now()
	row := store.Session{
		ID: uuid.New(), Project: a.bound.Project.ID, Run: a.run.ID, TokenHash: hash,
		WorkflowRun: a.job.workflowRun, RunAttempt: a.job.attempt, CreatedAt: now, ExpiresAt: now.Add(SessionLife),
	}
	if err := s.keep(ctx, newSession(a, need, row), row); err != nil {
		return Claim{}, err
	}
	s.Log.InfoContext(ctx, "relay claim accepted", "project", row.Project, "run", row.Run, "session", row.ID,
		"workflow_run", row.WorkflowRun, "attempt", row.RunAttempt, "names", len(need.Names))
	c := offer(need)
	c.Session, c.ExpiresAt, c.SyncID = token, row.ExpiresAt.UTC(), row.Run
	return c, nil
}

func newSession(a admitted, need syncing.Need, row store.Session) *session {
	n := &session{
		id: row.ID, bound: a.bound, run: a.run, order: a.order, expires: row.ExpiresAt,
		names: map[secret.Name][]secret.Scope{}, keys: need.Keys, hashKeyID: need.Hasher.KeyID(), sizes: map[secret.Name]int64{},
		relayed: syncing.Relayed{
			Boxes: map[secret.Name]map[secret.Scope]secret.Box{}, Hashes: map[secret.Name]secret.Hash{}, Unusable: map[secret.Name]*fault.Fault{},
		},
	}
	for _, wanted := range need.Names {
		n.names[wanted.Name] = wanted.Scopes
	}
	return n
}

// offer tells a job what is needed.
func offer(need syncing.Need) Claim {
	c := Claim{Version: Version, Names: []Wanted{}, Keys: []Key{}}
	for _, wanted := range need.Names {
		c.Names = append(c.Names, Wanted{Name: wanted.Name.String(), Scopes: spelled(wanted.Scopes)})
	}
	for _, scope := range slices.SortedFunc(maps.Keys(need.Keys), secret.Scope.Compare) {
		key := need.Keys[scope]
		c.Keys = append(c.Keys, Key{Scope: scope.String(), KeyID: key.ID(), Key: base64.StdEncoding.EncodeToString(key.Bytes())})
	}
	if key, id, ok := need.Hasher.Derived(); ok {
		c.Hash = &HashKey{KeyID: id, Key: base64.StdEncoding.EncodeToString(key.Expose())}
	}
	return c
}

// needs says what a run needs. A job that claims while its run is carried out here already, with
// what it brought before, has nothing left to seal.
func (s *Server) needs(ctx context.Context, a admitted) (syncing.Need, error) {
	s.mu.Lock()
	_, busy := s.atWork[a.run.ID]
	s.mu.Unlock()
	if busy {
		return syncing.Need{}, nil
	}
	return a.bound.Needs(ctx, a.run, a.order)
}

func spelled(scopes []secret.Scope) []string {
	out := make([]string, len(scopes))
	for i, scope := range scopes {
		out[i] = scope.String()
	}
	return out
}

// mintToken returns a session token and the hash that is stored of it.
func mintToken() (token, hash string) {
	raw := make([]byte, 32)
	_, _ = rand.Read(raw) // it ends the program rather than answer an error
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	return token, hashToken(token)
}

func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// keep stores the session and takes the place of those before it.
func (s *Server) keep(ctx context.Context, n *session, row store.Session) error {
	s.opening.Lock()
	defer s.opening.Unlock()
	switch err := s.Store.OpenSession(ctx, row.CreatedAt, row); {
	case errors.Is(err, store.ErrRunFinished):
		return deny(DeniedRun, errRunOver)
	case errors.Is(err, store.ErrOtherWorkflow):
		return deny(DeniedRun, errAnothersRun)
	case errors.Is(err, store.ErrEarlierAttempt):
		return deny(DeniedRun, err)
	case err != nil:
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, other := range s.sessions {
		if other.run.ID == n.run.ID || !other.expires.After(row.CreatedAt) {
			s.drop(other)
		}
	}
	s.sessions[n.id] = n
	n.timer = time.AfterFunc(SessionLife, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.drop(n)
	})
	return nil
}

// drop forgets a session with its boxes. Those that a work has in hand count until it lets them go.
// The server's lock is held.
func (s *Server) drop(n *session) {
	if s.sessions[n.id] == n {
		delete(s.sessions, n.id)
		n.timer.Stop()
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed = true
	if !n.carried {
		s.hold(n, -n.held)
		n.relayed = syncing.Relayed{}
	}
}

// hold counts what a session's boxes take in memory. The server's lock and the session's are held.
func (s *Server) hold(n *session, more int64) {
	n.held += more
	s.held += more
	project := n.run.Project
	if s.heldBy[project] += more; s.heldBy[project] == 0 {
		delete(s.heldBy, project)
	}
	s.Metrics.Held(s.held)
}

// find returns the session of a token, as it is stored and as it is in memory; the latter is nil in a
// process that does not have it.
func (s *Server) find(ctx context.Context, bearer, syncID string, version int) (store.Session, *session, error) {
	if err := checkVersion(version); err != nil {
		return store.Session{}, nil, err
	}
	if !strings.HasPrefix(bearer, tokenPrefix) {
		return store.Session{}, nil, deny(DeniedSession, errNoSession)
	}
	row, found, err := s.Store.SessionByToken(ctx, hashToken(bearer))
	switch {
	case err != nil:
		return row, nil, err
	case !found:
		return row, nil, deny(DeniedSession, errNoSession)
	case syncID != row.Run.String():
		return row, nil, deny(DeniedRun, errNoRun)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.sessions[row.ID]
	if n != nil && row.EndedAt != nil && s.atWork[row.Run] == nil { // superseded, in another process
		s.drop(n)
		n = nil
	}
	return row, n, nil
}

// isLive says whether a stored session takes messages.
func (s *Server) isLive(row store.Session) bool {
	return row.EndedAt == nil && s.Now().Before(row.ExpiresAt)
}
