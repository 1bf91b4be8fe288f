package secret

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// HashLength is the length of a hash in hex characters.
const HashLength = 2 * sha256.Size

// NeverSeen is how the hash of a value that was never seen is written down.
var NeverSeen = strings.Repeat("0", HashLength)

// A Hash is what is remembered of a value: 64 hex characters, and the id of the key it was made
// with (empty for a plain SHA-256). It is compared with Same alone; == does not compile, because
// hashes of different keys are never equal and an unseen value equals nothing, itself included.
// The zero Hash is that of a value never seen.
type Hash struct {
	_     [0]func()
	sum   string
	keyID string
}

// ParseHash returns the hash written down as sum, made with the key called keyID.
func ParseHash(sum, keyID string) (Hash, error) {
	if sum == NeverSeen {
		return Hash{}, nil
	}
	if b, err := hex.DecodeString(sum); err != nil || len(b) != sha256.Size || sum != strings.ToLower(sum) {
		return Hash{}, fmt.Errorf("a hash has %d lower-case hex characters, this one has %d bytes of another form", HashLength, len(sum))
	}
	return Hash{sum: sum, keyID: keyID}, nil
}

// Seen says whether h is the hash of a value at all.
func (h Hash) Seen() bool { return h.sum != "" }

// Same says whether h and o are known to be hashes of one value.
func (h Hash) Same(o Hash) bool { return h.Seen() && h.sum == o.sum && h.keyID == o.keyID }

// KeyID names the key h was made with; empty means none.
func (h Hash) KeyID() string { return h.keyID }

// String returns the 64 hex characters, all zeros for a value never seen.
func (h Hash) String() string {
	if !h.Seen() {
		return NeverSeen
	}
	return h.sum
}

// A Hasher makes the hashes of one project. The zero Hasher makes plain SHA-256. Its key is as
// secret as a value: whoever has it can guess weak values from their hashes.
type Hasher struct {
	key   Plaintext
	keyID string
}

// NewHasher returns the hasher of a project. With a deployment key it is HMAC-SHA-256 under
// HMAC(deployment key, project id), so that a weak value cannot be guessed from its hash and no
// project's key opens another's; without one it is plain SHA-256, as data-model.md says.
func NewHasher(deploymentKey []byte, projectID string) Hasher {
	if len(deploymentKey) == 0 {
		return Hasher{}
	}
	return Hasher{
		key:   NewPlaintext(mac(deploymentKey, "octoseal project hash key\x00"+projectID)),
		keyID: hex.EncodeToString(mac(deploymentKey, "octoseal hash key id"))[:16],
	}
}

// DerivedHasher returns the hasher of a project from what Derived told of it, elsewhere. It takes
// ownership of key; without one it makes plain SHA-256.
func DerivedHasher(key []byte, keyID string) Hasher {
	if len(key) == 0 {
		return Hasher{}
	}
	return Hasher{key: NewPlaintext(key), keyID: keyID}
}

// Derived returns the project's own key, for whoever is to make its hashes elsewhere: it opens no
// other project's, and does not lead to the deployment's. ok is false for plain SHA-256, which has
// none. The key is the hasher's own, not a copy.
func (h Hasher) Derived() (key Plaintext, keyID string, ok bool) {
	return h.key, h.keyID, h.key.Len() > 0
}

func mac(key []byte, message string) []byte {
	m := hmac.New(sha256.New, key)
	m.Write([]byte(message))
	return m.Sum(nil)
}

// KeyID names the deployment key; it tells nothing about the key itself.
func (h Hasher) KeyID() string { return h.keyID }

// Hash returns the hash of value.
func (h Hasher) Hash(value Plaintext) Hash {
	if h.key.Len() == 0 {
		sum := sha256.Sum256(value.Expose())
		return Hash{sum: hex.EncodeToString(sum[:])}
	}
	m := hmac.New(sha256.New, h.key.Expose())
	m.Write(value.Expose())
	return Hash{sum: hex.EncodeToString(m.Sum(nil)), keyID: h.keyID}
}
