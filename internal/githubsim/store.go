package githubsim

import (
	"crypto/rand"
	"math/big"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/nacl/box"
)

// maxSecrets is how many secrets a store holds.
const maxSecrets = 100

// maxValue is the largest value in bytes.
const maxValue = 48 << 10

const environmentScope = "environment"

// A storeKind says where a kind of store is found in the API and what its calls need.
type storeKind struct {
	scope string // or environmentScope, for the stores of all environments
	path  string // under the repository
	read  need
	write need

	// What a person must be to write, whatever their token.
	writer Role
	cloud  bool // Enterprise Server does not have it
	docs   string
}

// storeKinds is the list of stores; routes, checks and AddRepository follow it.
var storeKinds = []storeKind{
	{
		scope: "actions", path: "actions/secrets", writer: RoleWrite, docs: "actions/secrets",
		read: need{"secrets", "read"}, write: need{"secrets", "write"},
	},
	{
		scope: "codespaces", path: "codespaces/secrets", writer: RoleAdmin, cloud: true, docs: "codespaces/repository-secrets",
		read: need{"codespaces_secrets", "write"}, write: need{"codespaces_secrets", "write"},
	},
	{
		scope: "dependabot", path: "dependabot/secrets", writer: RoleWrite, docs: "dependabot/secrets",
		read: need{"dependabot_secrets", "read"}, write: need{"dependabot_secrets", "write"},
	},
	{
		scope: "agents", path: "agents/secrets", writer: RoleWrite, cloud: true, docs: "agents/secrets",
		read: need{"agent_secrets", "read"}, write: need{"agent_secrets", "write"},
	},
	{
		scope: environmentScope, path: "environments/{environment_name}/secrets", writer: RoleWrite, docs: "actions/secrets",
		read: need{"environments", "read"}, write: need{"environments", "write"},
	},
}

// A Secret is a secret with its value, as only a simulator has it.
type Secret struct {
	Name      string // GitHub keeps it in upper case
	Value     string
	CreatedAt time.Time // zero in SetSecret: as it was, or UpdatedAt
	UpdatedAt time.Time // zero in SetSecret: now
}

// SetSecret creates or updates a secret as somebody else than the client would, on GitHub's
// pages: no request, no limit, in lists at once. Two edits in one second show the same
// UpdatedAt; give one, or Advance the clock, where that matters.
func (g *GitHub) SetSecret(fullName, scope string, s Secret) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.now()
	if s.UpdatedAt.IsZero() {
		s.UpdatedAt = now
	}
	g.world.repository(fullName).store(scope).put(s, now, now)
}

// DeleteSecret deletes a secret as SetSecret sets one, and tells whether it was there.
func (g *GitHub) DeleteSecret(fullName, scope, name string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.now()
	return g.world.repository(fullName).store(scope).delete(name, now, now)
}

// Value returns the plaintext that was found in the box last written under a name.
func (g *GitHub) Value(fullName, scope, name string) (string, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s, found := g.world.repository(fullName).store(scope).secrets[strings.ToUpper(name)]
	return s.Value, found
}

// Secrets returns the secrets of a store by name, as they are, list lag or not.
func (g *GitHub) Secrets(fullName, scope string) []Secret {
	g.mu.Lock()
	defer g.mu.Unlock()
	return sorted(g.world.repository(fullName).store(scope).secrets)
}

// RotateKey gives a store a new key pair. Boxes sealed for the old one cannot be opened
// any more; secrets stored before stay.
func (g *GitHub) RotateKey(fullName, scope string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.world.repository(fullName).store(scope).key = newKeyPair()
}

// store returns the store that a stage direction names.
func (repo *repository) store(scope string) *store {
	if name, isEnvironment := strings.CutPrefix(scope, environmentScope+":"); isEnvironment {
		if e := repo.environments[strings.ToLower(name)]; e != nil {
			return e.secrets
		}
	} else if s := repo.stores[scope]; s != nil {
		return s
	}
	panic("githubsim: " + repo.FullName + " has no store " + scope)
}

// A store holds the secrets of one scope of one repository, under a key pair of its own.
type store struct {
	key     keyPair
	secrets map[string]Secret // by name

	// What lists show: the writes whose lag has passed. The others wait in pending.
	listed  map[string]Secret
	pending []write
}

// A write waits to be seen in lists. A nil secret is a deletion.
type write struct {
	name   string
	secret *Secret
	seen   time.Time
}

type keyPair struct {
	id              string
	public, private [32]byte
}

func newStore() *store {
	return &store{key: newKeyPair(), secrets: make(map[string]Secret), listed: make(map[string]Secret)}
}

// newKeyPair makes a pair whose id has 19 digits, more than fit a float64.
func newKeyPair() keyPair {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		panic("githubsim: " + err.Error()) // crypto/rand does not fail
	}
	n, err := rand.Int(rand.Reader, big.NewInt(8e18))
	if err != nil {
		panic("githubsim: " + err.Error())
	}
	return keyPair{id: n.Add(n, big.NewInt(1e18)).String(), public: *public, private: *private}
}

// open returns what is in a sealed box.
func (k *keyPair) open(sealed []byte) (string, bool) {
	plain, opened := box.OpenAnonymous(nil, sealed, &k.public, &k.private)
	return string(plain), opened
}

// put stores s, to be listed from seen on.
func (s *store) put(secret Secret, now, seen time.Time) (created bool) {
	secret.Name = strings.ToUpper(secret.Name)
	secret.UpdatedAt = seconds(secret.UpdatedAt)
	old, exists := s.secrets[secret.Name]
	switch {
	case !secret.CreatedAt.IsZero():
		secret.CreatedAt = seconds(secret.CreatedAt)
	case exists:
		secret.CreatedAt = old.CreatedAt
	default:
		secret.CreatedAt = secret.UpdatedAt
	}
	s.secrets[secret.Name] = secret
	s.show(write{secret.Name, &secret, seen}, now)
	return !exists
}

// delete removes a secret, from lists at seen.
func (s *store) delete(name string, now, seen time.Time) (existed bool) {
	name = strings.ToUpper(name)
	if _, existed = s.secrets[name]; !existed {
		return false
	}
	delete(s.secrets, name)
	s.show(write{name, nil, seen}, now)
	return true
}

func (s *store) show(w write, now time.Time) {
	s.pending = append(s.pending, w)
	s.settle(now)
}

// settle lets lists show the pending writes whose time has come. A newer write of a name
// is never overtaken by an older one.
func (s *store) settle(now time.Time) {
	var waiting []write
	for _, w := range s.pending {
		if w.seen.After(now) {
			waiting = append(waiting, w)
			continue
		}
		waiting = slices.DeleteFunc(waiting, func(older write) bool { return older.name == w.name })
		if w.secret == nil {
			delete(s.listed, w.name)
		} else {
			s.listed[w.name] = *w.secret
		}
	}
	s.pending = waiting
}

// list returns what a list shows now, by name.
func (s *store) list(now time.Time) []Secret {
	s.settle(now)
	return sorted(s.listed)
}

func sorted(secrets map[string]Secret) []Secret {
	out := make([]Secret, 0, len(secrets))
	for _, s := range secrets {
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b Secret) int { return strings.Compare(a.Name, b.Name) })
	return out
}
