package relay

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"golang.org/x/crypto/nacl/box"
)

// keyFor makes a key of a scope, and the private key that opens what is sealed for it.
func keyFor(t testing.TB, scope, id string) (secret.PublicKey, *[32]byte) {
	t.Helper()
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	where, err := secret.ParseScope(scope)
	if err != nil {
		t.Fatal(err)
	}
	key, err := secret.ParsePublicKey(where, id, base64.StdEncoding.EncodeToString(public[:]))
	if err != nil {
		t.Fatal(err)
	}
	return key, private
}

func TestPinIsTheSumOfTheKeysBytes(t *testing.T) {
	key, _ := keyFor(t, "codespaces", "3380204578043523366")
	sum := sha256.Sum256(key.Bytes())
	want := "codespaces=3380204578043523366:" + hex.EncodeToString(sum[:])
	if got := PinOf(key).String(); got != want {
		t.Errorf("pin is %s, want %s", got, want)
	}
}

func TestParsePin(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for _, s := range []string{
		"codespaces=1:" + sum, "dependabot=key-1_x.2:" + sum, "environment:production=1:" + sum,
		"environment:a=b:c, d=1:" + sum, "environment:größe ✓=1:" + sum,
	} {
		p, err := ParsePin(s)
		if err != nil || p.String() != s {
			t.Errorf("%q becomes %q: %v", s, p, err)
		}
	}
	for s, says := range map[string]string{
		"":                                    "not of the form",
		sum:                                   "not of the form",
		"codespaces:" + sum:                   "not of the form",
		"codespaces=:" + sum:                  "no key id",
		"codespaces=a b:" + sum:               "no key id",
		"codespaces=1":                        "not of the form",
		"codespaces=1:":                       "64 lower-case hex",
		"codespaces=1:" + sum[2:]:             "64 lower-case hex",
		"codespaces=1:" + sum + "00":          "64 lower-case hex",
		"codespaces=1:" + "AB" + sum[2:]:      "64 lower-case hex",
		"codespaces=1:" + "xy" + sum[2:]:      "64 lower-case hex",
		"nowhere=1:" + sum:                    "names no scope",
		"environment:=1:" + sum:               "names no scope",
		"environment:a\x1b[31m=1:" + sum:      "control character",
		"codespaces=1:" + sum + "\n::error::": "no key id",
	} {
		_, err := ParsePin(s)
		if !fault.Is(err, fault.RequestInvalid) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", s, err, says)
		}
	}
}

func TestParsePins(t *testing.T) {
	one, _ := keyFor(t, "codespaces", "1")
	two, _ := keyFor(t, "dependabot", "2")
	pins, err := ParsePins("\n  " + PinOf(one).String() + "\r\n\n" + PinOf(two).String())
	if err != nil || len(pins) != 2 || pins[0] != PinOf(one) || pins[1] != PinOf(two) {
		t.Errorf("%v, %v", pins, err)
	}
	if _, err := ParsePins(PinOf(one).String() + " " + PinOf(two).String()); err == nil {
		t.Error("two pins on one line pass")
	}
}

// Only the very key of the very scope under the very id is trusted, and each refusal says what is wrong.
func TestVouch(t *testing.T) {
	codespaces, _ := keyFor(t, "codespaces", "1")
	dependabot, _ := keyFor(t, "dependabot", "2")
	pins := Pins{PinOf(codespaces), PinOf(dependabot)}
	for _, key := range []secret.PublicKey{codespaces, dependabot} {
		if err := pins.vouch(key); err != nil {
			t.Errorf("a pinned key is refused: %v", err)
		}
	}
	as := func(scope, id string, key secret.PublicKey) secret.PublicKey {
		where, _ := secret.ParseScope(scope)
		k, err := secret.ParsePublicKey(where, id, base64.StdEncoding.EncodeToString(key.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		return k
	}
	own, _ := keyFor(t, "codespaces", "1")
	other, _ := keyFor(t, "codespaces", "9")
	agents, _ := keyFor(t, "agents", "1")
	for says, key := range map[string]secret.PublicKey{
		"has the id of the pinned key":     own,
		"is not the pinned one, 1":         other,
		"is the one pinned for dependabot": as("codespaces", "2", dependabot),
		"is pinned under another id, 1":    as("codespaces", "7", codespaces),
		"is for a scope that has no pin":   agents,
	} {
		err := pins.vouch(key)
		if !fault.Is(err, fault.EncryptionFailed) || !strings.Contains(err.Error(), says) || !strings.Contains(fault.Of(err).Hint, "octoseal init --pin") {
			t.Errorf("%v, want %q", err, says)
		}
	}
	if err := (Pins)(nil).vouch(codespaces); err == nil {
		t.Error("without pins a key is trusted")
	}
}

// FuzzParsePin: what parses has one spelling, and pins one key of one scope.
func FuzzParsePin(f *testing.F) {
	sum := strings.Repeat("0f", 32)
	for _, s := range []string{"codespaces=1:" + sum, "environment:a=b:c=1:" + sum, "=:" + sum, "codespaces=1:" + sum + ":" + sum, "environment:İ=1:" + sum} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := ParsePin(s)
		if err != nil {
			return
		}
		spelled := p.String()
		again, err := ParsePin(spelled)
		if err != nil || again != p {
			t.Errorf("%q becomes %q, and that %q: %v", s, spelled, again, err)
		}
		if p.Scope.IsZero() || p.KeyID == "" || strings.ContainsAny(spelled, "\r\n") {
			t.Errorf("%q becomes %q", s, spelled)
		}
	})
}
