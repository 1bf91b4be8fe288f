package secret

import (
	"bytes"
	"crypto/ecdh"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/nacl/box"
)

// counted returns n bytes that count up from first.
func counted(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

func parsedKey(t testing.TB, scope Scope, raw []byte) PublicKey {
	t.Helper()
	k, err := ParsePublicKey(scope, "key-1", base64.StdEncoding.EncodeToString(raw))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// The known answer of github-api.md §4, which libsodium opens.
func TestSealKnownAnswer(t *testing.T) {
	key, err := ParsePublicKey(Actions, "012345", "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=")
	if err != nil {
		t.Fatal(err)
	}
	ephemeral := bytes.NewReader(counted(0x41, 32))
	got, err := sealFrom(ephemeral, NewPlaintext([]byte("s3cr3t-value")), key)
	if err != nil {
		t.Fatal(err)
	}
	const want = "ZLEBsdC+WocEvQePmJUAH8A+jp+VIvGI3RKNmEbUhGaMgtZJyolAw0mIKq3sbmf5jBRrJSRJAkoND5fU"
	if got.Ciphertext() != want || got.Scope() != Actions || got.KeyID() != "012345" {
		t.Errorf("sealed as %+v, want %s", got, want)
	}
	var priv, pub [32]byte
	copy(priv[:], counted(0x01, 32))
	copy(pub[:], key.Bytes())
	raw, _ := base64.StdEncoding.DecodeString(want)
	if opened, ok := box.OpenAnonymous(nil, raw, &pub, &priv); !ok || string(opened) != "s3cr3t-value" {
		t.Errorf("opens as %q", opened)
	}
}

// Whoever has the private key opens what Seal made, byte for byte, and no two boxes are alike.
func TestOpensWhatSealMade(t *testing.T) {
	pub, priv, err := box.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := parsedKey(t, Dependabot, pub[:])
	for _, value := range []string{"x", " leading and trailing\n", "\x00\xff binary", strings.Repeat("v", MaxValueSize)} {
		first, err := Seal(NewPlaintext([]byte(value)), key)
		if err != nil {
			t.Fatal(err)
		}
		second, err := Seal(NewPlaintext([]byte(value)), key)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := base64.StdEncoding.DecodeString(first.Ciphertext())
		if err != nil {
			t.Fatal(err)
		}
		opened, ok := box.OpenAnonymous(nil, raw, pub, priv)
		if !ok || string(opened) != value {
			t.Errorf("%d bytes do not come back", len(value))
		}
		if first.Ciphertext() == second.Ciphertext() {
			t.Errorf("two boxes of %d bytes are alike", len(value))
		}
		if again, err := ParseBox(Dependabot, key.ID(), first.Ciphertext()); err != nil || again != first {
			t.Errorf("a box of %d bytes is not parsed: %v", len(value), err)
		}
	}
}

func TestSealRefuses(t *testing.T) {
	pub, _, _ := box.GenerateKey(rand.Reader)
	key := parsedKey(t, Codespaces, pub[:])
	for what, c := range map[string]struct {
		value string
		key   PublicKey
		says  string
	}{
		"an empty value":   {"", key, "codespaces: seal: the value is empty"},
		"a value too long": {strings.Repeat("v", MaxValueSize+1), key, "49153 bytes, at most 49152"},
		"no key":           {"v", PublicKey{}, "no public key"},
	} {
		b, err := Seal(NewPlaintext([]byte(c.value)), c.key)
		if err == nil || !b.IsZero() || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
	}
	if b, err := sealFrom(strings.NewReader("short"), NewPlaintext([]byte("v")), key); err == nil || !b.IsZero() {
		t.Error("a broken source of randomness seals")
	}
}

// Every point of small order on the curve and on its twist, in every encoding of 32 bytes: a box
// for one of them is open to everybody.
var smallOrder = []string{
	"0000000000000000000000000000000000000000000000000000000000000000", // 0
	"0100000000000000000000000000000000000000000000000000000000000000", // 1
	"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800", // order 8
	"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157", // order 8
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p − 1
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", // p + 1
}

func TestKeysOfLowOrderAreRefused(t *testing.T) {
	for _, digits := range smallOrder {
		raw, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		for _, high := range []byte{0, 0x80} { // the highest bit is ignored by the curve
			raw[31] |= high
			_, err := ParsePublicKey(Actions, "k", base64.StdEncoding.EncodeToString(raw))
			if err == nil || !strings.Contains(err.Error(), "low order") {
				t.Errorf("%x: %v", raw, err)
			}
		}
	}
}

func TestParsePublicKeyRefuses(t *testing.T) {
	good := base64.StdEncoding.EncodeToString(counted(1, 32))
	for what, c := range map[string]struct{ id, encoded, says string }{
		"nothing":         {"k", "", "0 bytes, want 32"},
		"31 bytes":        {"k", base64.StdEncoding.EncodeToString(counted(1, 31)), "31 bytes, want 32"},
		"33 bytes":        {"k", base64.StdEncoding.EncodeToString(counted(1, 33)), "33 bytes, want 32"},
		"no padding":      {"k", strings.TrimRight(good, "="), "not base64"},
		"URL alphabet":    {"k", base64.URLEncoding.EncodeToString(bytes.Repeat([]byte{0xfb}, 32)), "not base64"},
		"bits left over":  {"k", strings.TrimRight(good, "=")[:42] + "B=", "not base64"},
		"no id":           {"", good, "no id"},
		"hex, not base64": {"k", hex.EncodeToString(counted(1, 32)), "48 bytes, want 32"},
	} {
		k, err := ParsePublicKey(Codespaces, c.id, c.encoded)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.HasPrefix(err.Error(), "codespaces: ") {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
		if k.Bytes() != nil {
			t.Errorf("%s: a key comes with the error", what)
		}
	}
	k := parsedKey(t, Actions, counted(1, 32))
	k.Bytes()[0] = 0xff
	if k.Bytes()[0] != 1 {
		t.Error("the key can be changed through its bytes")
	}
}

func TestParseBoxRefuses(t *testing.T) {
	encode := base64.StdEncoding.EncodeToString
	for what, c := range map[string]struct{ id, ciphertext, says string }{
		"nothing":       {"k", "", "0 bytes"},
		"no base64":     {"k", "s3cr3t value!", "not base64"},
		"over lines":    {"k", encode(counted(0, 49))[:20] + "\n" + encode(counted(0, 49))[20:], "not base64"},
		"overhead only": {"k", encode(counted(0, boxOverhead)), "48 bytes"},
		"too long":      {"k", encode(make([]byte, boxOverhead+MaxValueSize+1)), "at most 49200"},
		"no key":        {"", encode(counted(0, 49)), "names no key"},
	} {
		b, err := ParseBox(Actions, c.id, c.ciphertext)
		if err == nil || !b.IsZero() || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %q", what, err, c.says)
		}
		if err != nil && c.ciphertext != "" && strings.Contains(err.Error(), c.ciphertext) {
			t.Errorf("%s: the error repeats what was sent", what)
		}
	}
	if _, err := ParseBox(Actions, "k", encode(make([]byte, boxOverhead+MaxValueSize))); err != nil {
		t.Errorf("the largest box: %v", err)
	}
}

// FuzzParseBox: whatever parses is standard padded base64 of a size that GitHub takes, and stays
// what it was.
func FuzzParseBox(f *testing.F) {
	f.Add("ZLEBsdC+WocEvQePmJUAH8A+jp+VIvGI3RKNmEbUhGaMgtZJyolAw0mIKq3sbmf5jBRrJSRJAkoND5fU")
	f.Add(base64.StdEncoding.EncodeToString(counted(0, 49)))
	f.Add("AAAA\n" + base64.StdEncoding.EncodeToString(counted(0, 60)))
	f.Fuzz(func(t *testing.T, ciphertext string) {
		b, err := ParseBox(Actions, "k", ciphertext)
		if err != nil {
			return
		}
		raw, err := base64.StdEncoding.DecodeString(b.Ciphertext())
		if err != nil || base64.StdEncoding.EncodeToString(raw) != ciphertext || len(raw) <= 48 || len(raw) > 48+MaxValueSize {
			t.Errorf("%q is a box of %d bytes: %v", ciphertext, len(raw), err)
		}
	})
}

// BenchmarkSeal seals in turn with Seal, with box.SealAnonymous alone, and with that and the base64
// that GitHub wants, so that whatever else the machine does slows all three alike. The metrics are
// what Seal takes in proportion to the others.
func BenchmarkSeal(b *testing.B) {
	private, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	key := parsedKey(b, Actions, private.PublicKey().Bytes())
	var sealed []byte
	for _, size := range []int{64, MaxValueSize} {
		value := bytes.Repeat([]byte("v"), size)
		ways := []func(){
			func() { _, err = Seal(NewPlaintext(value), key) },
			func() { sealed, err = box.SealAnonymous(nil, value, key.bytes, rand.Reader) },
			func() {
				sealed, err = box.SealAnonymous(nil, value, key.bytes, rand.Reader)
				encoded = base64.StdEncoding.EncodeToString(sealed)
			},
		}
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			took := make([]time.Duration, len(ways))
			for b.Loop() {
				for i, way := range ways {
					began := time.Now()
					way()
					took[i] += time.Since(began)
				}
			}
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(took[0].Seconds()/took[1].Seconds(), "×bare")
			b.ReportMetric(took[0].Seconds()/took[2].Seconds(), "×bare+base64")
			b.ReportMetric(float64(b.N)/took[0].Seconds(), "seals/s")
		})
	}
}

var encoded string // keeps the compiler from leaving the encoding out
