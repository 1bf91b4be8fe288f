package secret

import (
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"sync"

	"golang.org/x/crypto/nacl/box"
)

// A PublicKey is GitHub's key of one scope: each store and each environment has its own, and a box
// sealed for another's is refused by github.com but silently unusable on older Enterprise Servers.
// So the key knows its scope, and only ParsePublicKey makes one.
type PublicKey struct {
	scope Scope
	id    string
	bytes *[32]byte
}

// checkKey is any private key: agreeing with it is how a public key of low order shows itself.
var checkKey = sync.OnceValues(func() (*ecdh.PrivateKey, error) {
	return ecdh.X25519().GenerateKey(rand.Reader)
})

// ParsePublicKey returns the key of scope that GitHub calls id, from its standard base64. It
// refuses a key of another length than 32 bytes, and one of low order, which nacl/box would
// accept and which would let anybody open the box.
func ParsePublicKey(scope Scope, id, encoded string) (PublicKey, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%s: public key %q is not base64", scope, id)
	}
	if len(raw) != 32 {
		return PublicKey{}, fmt.Errorf("%s: public key %q is %d bytes, want 32", scope, id, len(raw))
	}
	if id == "" {
		return PublicKey{}, fmt.Errorf("%s: public key has no id", scope)
	}
	theirs, err := ecdh.X25519().NewPublicKey(raw)
	if err != nil {
		return PublicKey{}, fmt.Errorf("%s: public key %q: %w", scope, id, err)
	}
	ours, err := checkKey()
	if err != nil {
		return PublicKey{}, err
	}
	if _, err := ours.ECDH(theirs); err != nil {
		return PublicKey{}, fmt.Errorf("%s: public key %q is of low order: a box for it would be open to all", scope, id)
	}
	return PublicKey{scope: scope, id: id, bytes: (*[32]byte)(raw)}, nil
}

// Scope is the store whose key this is.
func (k PublicKey) Scope() Scope { return k.scope }

// ID is what GitHub calls the key.
func (k PublicKey) ID() string { return k.id }

// Bytes returns a copy of the key's 32 bytes.
func (k PublicKey) Bytes() []byte {
	if k.bytes == nil {
		return nil
	}
	return append([]byte(nil), k.bytes[:]...)
}

// A Box is a sealed value: only the holder of the private key of its scope can open it.
type Box struct {
	scope      Scope
	keyID      string
	ciphertext string
}

// boxOverhead is what sealing adds: the ephemeral public key and the authenticator.
const boxOverhead = box.AnonymousOverhead

var errNoKey = errors.New("seal: no public key")

// Seal seals value for key. An empty value and one over MaxValueSize are refused: GitHub takes
// neither for sure, and "empty" is not a value to keep in step.
func Seal(value Plaintext, key PublicKey) (Box, error) { return sealFrom(rand.Reader, value, key) }

func sealFrom(random io.Reader, value Plaintext, key PublicKey) (Box, error) {
	if key.bytes == nil {
		return Box{}, errNoKey
	}
	switch n := value.Len(); {
	case n == 0:
		return Box{}, fmt.Errorf("%s: seal: the value is empty", key.scope)
	case n > MaxValueSize:
		return Box{}, fmt.Errorf("%s: seal: the value has %d bytes, at most %d are allowed", key.scope, n, MaxValueSize)
	}
	sealed, err := box.SealAnonymous(make([]byte, 0, value.Len()+boxOverhead), value.Expose(), key.bytes, random)
	if err != nil {
		return Box{}, fmt.Errorf("%s: seal: %w", key.scope, err)
	}
	return Box{scope: key.scope, keyID: key.id, ciphertext: base64.StdEncoding.EncodeToString(sealed)}, nil
}

// ParseBox returns a box that was sealed elsewhere. It is checked here, before anything is sent,
// since GitHub's refusal of a malformed box echoes what was submitted.
func ParseBox(scope Scope, keyID, ciphertext string) (Box, error) {
	raw, err := base64.StdEncoding.Strict().DecodeString(ciphertext)
	switch {
	case err != nil, len(ciphertext) != base64.StdEncoding.EncodedLen(len(raw)): // the decoder skips line ends
		return Box{}, fmt.Errorf("%s: box is not base64", scope)
	case len(raw) <= boxOverhead:
		return Box{}, fmt.Errorf("%s: box has %d bytes, a sealed value has more than %d", scope, len(raw), boxOverhead)
	case len(raw) > boxOverhead+MaxValueSize:
		return Box{}, fmt.Errorf("%s: box has %d bytes, at most %d are allowed", scope, len(raw), boxOverhead+MaxValueSize)
	case keyID == "":
		return Box{}, fmt.Errorf("%s: box names no key", scope)
	}
	return Box{scope: scope, keyID: keyID, ciphertext: ciphertext}, nil
}

// Scope is the store the box is sealed for.
func (b Box) Scope() Scope { return b.scope }

// KeyID names the key the box is sealed for.
func (b Box) KeyID() string { return b.keyID }

// Ciphertext is the sealed value in standard padded base64, as GitHub wants it.
func (b Box) Ciphertext() string { return b.ciphertext }

// IsZero says whether b holds nothing.
func (b Box) IsZero() bool { return b.ciphertext == "" }
