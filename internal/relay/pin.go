package relay

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Pin is the one key of a scope that a workflow file trusts. It stands in the file, where a review
// sees it, so a server that offers another key gets no box sealed for it.
type Pin struct {
	Scope secret.Scope
	KeyID string
	Sum   [sha256.Size]byte // SHA-256 of the key's 32 bytes
}

// keyIDPattern keeps a pin readable from its end: neither = nor : may stand in the id of a key, as
// both may in the name of an environment.
var keyIDPattern = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,100}$`)

// PinOf pins key.
func PinOf(key secret.PublicKey) Pin {
	return Pin{Scope: key.Scope(), KeyID: key.ID(), Sum: sha256.Sum256(key.Bytes())}
}

// ParsePin reads SCOPE=KEY_ID:HEX, where HEX is the SHA-256 of the key in lower case.
func ParsePin(s string) (Pin, error) {
	bad := func(why string) (Pin, error) {
		return Pin{}, fault.Invalid("pin %q %s", shortened(s, 80), why).
			Hinting("A pin is SCOPE=KEY_ID:HEX, with the SHA-256 of the key in hex; octoseal init --pin writes them.")
	}
	colon := strings.LastIndexByte(s, ':')
	equals := strings.LastIndexByte(s[:max(colon, 0)], '=')
	if equals < 0 {
		return bad("is not of the form SCOPE=KEY_ID:HEX")
	}
	p := Pin{KeyID: s[equals+1 : colon]}
	if !keyIDPattern.MatchString(p.KeyID) {
		return bad("has no key id of letters, digits, dots, dashes and underscores")
	}
	sum, err := hex.DecodeString(s[colon+1:])
	if err != nil || len(sum) != len(p.Sum) || s[colon+1:] != strings.ToLower(s[colon+1:]) {
		return bad(fmt.Sprintf("does not end with %d lower-case hex characters", hex.EncodedLen(len(p.Sum))))
	}
	copy(p.Sum[:], sum)
	if strings.ContainsFunc(s[:equals], unicode.IsControl) {
		return bad("has a control character in its scope")
	}
	if p.Scope, err = secret.ParseScope(s[:equals]); err != nil {
		return bad("names no scope: " + err.Error())
	}
	return p, nil
}

// String spells the pin.
func (p Pin) String() string {
	return fmt.Sprintf("%s=%s:%x", p.Scope, p.KeyID, p.Sum)
}

// Pins are all that a workflow file trusts. A scope may have several.
type Pins []Pin

// ParsePins reads one pin a line. Empty lines do not count.
func ParsePins(text string) (Pins, error) {
	var pins Pins
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		p, err := ParsePin(line)
		if err != nil {
			return nil, err
		}
		pins = append(pins, p)
	}
	return pins, nil
}

// pinHint is what to do about a key that is not pinned. The first sentence is for the honest case,
// which is by far the most frequent one.
const pinHint = "Run octoseal init --pin, review what changes, commit it. If nothing changes, the server offers keys that are not GitHub's: do not trust it."

// vouch refuses a key that is not pinned for its scope.
func (pins Pins) vouch(key secret.PublicKey) error {
	offered := PinOf(key)
	why := "is for a scope that has no pin"
	for _, p := range pins {
		switch {
		case p == offered:
			return nil
		case p.Sum == offered.Sum && p.Scope != offered.Scope:
			why = "is the one pinned for " + p.Scope.String()
		case p.Sum == offered.Sum:
			why = "is pinned under another id, " + p.KeyID
		case p.Scope == offered.Scope && p.KeyID == offered.KeyID:
			why = "has the id of the pinned key, and is another one"
		case p.Scope == offered.Scope:
			why = "is not the pinned one, " + p.KeyID
		default:
			continue
		}
	}
	return unpinned(key.Scope().String(), key.ID(), why)
}

// unpinned ends a job: with a key that nobody reviewed nothing is sealed.
func unpinned(scope, keyID, why string) *fault.Fault {
	return fault.New(fault.EncryptionFailed, fault.Context{"scope": scope, "keyId": keyID}).
		Saying("The key %s that the server offers for %s %s, so nothing was sealed.", shortened(keyID, 40), shortened(scope, 80), why).
		Hinting("%s", pinHint)
}
