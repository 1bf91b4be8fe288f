package secret

import (
	"fmt"
	"io"
	"log/slog"
)

// MaxValueSize is the largest value GitHub takes, in bytes of plaintext (48 KB).
const MaxValueSize = 48 * 1024

const redacted = "[redacted]"

// A Plaintext is a secret value in the clear. It prints as [redacted] everywhere: under every fmt
// verb, in JSON and text, in slog, and as a field of another struct. It is incomparable with ==.
//
// The bytes sit behind a function because fmt skips our methods when a Plaintext is an unexported
// field of another struct, and would print the bytes themselves. The zero Plaintext is empty.
type Plaintext struct{ read func() []byte }

// NewPlaintext takes ownership of value: the caller must neither keep nor change it.
func NewPlaintext(value []byte) Plaintext {
	return Plaintext{read: func() []byte { return value }}
}

// Expose returns the bytes themselves, not a copy. Whoever calls it answers for where they go;
// the only callers are sealing, hashing, the redactor and the checks on a value's form.
func (p Plaintext) Expose() []byte {
	if p.read == nil {
		return nil
	}
	return p.read()
}

// Len is the size of the value in bytes.
func (p Plaintext) Len() int { return len(p.Expose()) }

// Zero overwrites the value in memory. A Plaintext that shares its bytes with this one is zeroed too.
func (p Plaintext) Zero() { clear(p.Expose()) }

// Format prints [redacted] whatever the verb.
func (Plaintext) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, redacted) }

// String returns [redacted].
func (Plaintext) String() string { return redacted }

// MarshalText returns [redacted]; it serves JSON, YAML and map keys alike.
func (Plaintext) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns [redacted].
func (Plaintext) LogValue() slog.Value { return slog.StringValue(redacted) }
