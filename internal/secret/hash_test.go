package secret

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
)

func hashed(h Hasher, value string) Hash { return h.Hash(NewPlaintext([]byte(value))) }

// Known answers: SHA-256 of FIPS 180-2, and of nothing.
func TestHashKnownAnswers(t *testing.T) {
	for value, want := range map[string]string{
		"abc": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"":    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	} {
		h := hashed(Hasher{}, value)
		if h.String() != want || h.KeyID() != "" || !h.Seen() {
			t.Errorf("%q: %s with key %q", value, h, h.KeyID())
		}
	}
}

// A keyed hash is HMAC under the project's key: the same everywhere, and another for every project
// and every deployment key.
func TestKeyedHash(t *testing.T) {
	one := NewHasher([]byte("deployment key"), "project one")
	same := NewHasher([]byte("deployment key"), "project one")
	if a, b := hashed(one, "v"), hashed(same, "v"); !a.Same(b) || len(a.String()) != HashLength {
		t.Errorf("%s and %s", a, b)
	}
	if one.KeyID() == "" || one.KeyID() != NewHasher([]byte("deployment key"), "project two").KeyID() {
		t.Error("the key id names the deployment key")
	}
	plain := hashed(Hasher{}, "v")
	for what, other := range map[string]Hasher{
		"another project":        NewHasher([]byte("deployment key"), "project two"),
		"another deployment key": NewHasher([]byte("another key"), "project one"),
		"no key":                 NewHasher(nil, "project one"),
	} {
		h := hashed(other, "v")
		if h.Same(hashed(one, "v")) || h.String() == hashed(one, "v").String() {
			t.Errorf("%s: the same hash", what)
		}
		if want := what == "no key"; h.Same(plain) != want {
			t.Errorf("%s: same as plain %v", what, !want)
		}
	}
}

// "Hashes of different keys never compare as equal. A value never seen equals nothing."
func TestSame(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	parse := func(sum, key string) Hash {
		h, err := ParseHash(sum, key)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	never := parse(NeverSeen, "key")
	for _, c := range []struct {
		a, b Hash
		want bool
	}{
		{parse(sum, ""), parse(sum, ""), true},
		{parse(sum, "k"), parse(sum, "k"), true},
		{parse(sum, "k"), parse(sum, ""), false},
		{parse(sum, "k"), parse(sum, "l"), false},
		{parse(sum, ""), parse(strings.Repeat("ac", 32), ""), false},
		{never, never, false},
		{Hash{}, Hash{}, false},
		{never, parse(sum, ""), false},
	} {
		if c.a.Same(c.b) != c.want || c.b.Same(c.a) != c.want {
			t.Errorf("%s (%q) and %s (%q): same %v", c.a, c.a.KeyID(), c.b, c.b.KeyID(), !c.want)
		}
	}
	if never.Seen() || never.String() != NeverSeen || len(NeverSeen) != HashLength {
		t.Errorf("never seen is written %q", never)
	}
}

func TestParseHash(t *testing.T) {
	h := hashed(NewHasher([]byte("key"), "p"), "v")
	if again, err := ParseHash(h.String(), h.KeyID()); err != nil || !again.Same(h) {
		t.Errorf("%v: %v", again, err)
	}
	for _, bad := range []string{"", "ab", strings.Repeat("AB", 32), strings.Repeat("zz", 32), strings.Repeat("ab", 33), strings.Repeat("0", 63)} {
		if h, err := ParseHash(bad, ""); err == nil || h.Seen() {
			t.Errorf("%q is a hash", bad)
		} else if bad != "" && strings.Contains(err.Error(), bad) {
			t.Errorf("%q is repeated: it may be a value in the wrong place", bad)
		}
	}
}

// A hasher's key is as secret as a value, and no way of printing shows it.
func TestHasherHidesItsKey(t *testing.T) {
	h := NewHasher([]byte("deployment key"), "project")
	key := bytes.Clone(h.key.Expose())
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%X", "%d", "%q"} {
		got := fmt.Sprintf(verb+" "+verb, h, struct{ h Hasher }{h})
		for _, form := range []string{string(key), hex.EncodeToString(key), strings.ToUpper(hex.EncodeToString(key)), strings.Trim(fmt.Sprint(key), "[]")} {
			if strings.Contains(got, form) {
				t.Errorf("%s shows the key: %s", verb, got)
			}
		}
	}
}

// What Derived tells makes the same hashes elsewhere, and is not the deployment's key.
func TestDerivedMakesTheSameHashes(t *testing.T) {
	value := NewPlaintext([]byte("swordfish"))
	deployment := []byte("the deployment's own key")
	here := NewHasher(deployment, "a project")
	key, id, ok := here.Derived()
	if !ok || id != here.KeyID() || bytes.Contains(key.Expose(), deployment) {
		t.Fatalf("%v %q", ok, id)
	}
	there := DerivedHasher(bytes.Clone(key.Expose()), id)
	if !there.Hash(value).Same(here.Hash(value)) {
		t.Error("another hash elsewhere")
	}
	if NewHasher(deployment, "another").Hash(value).Same(there.Hash(value)) {
		t.Error("the key of one project makes the hashes of another")
	}
	if _, _, ok := (Hasher{}).Derived(); ok {
		t.Error("plain SHA-256 has a key")
	}
	if !DerivedHasher(nil, "").Hash(value).Same(Hasher{}.Hash(value)) {
		t.Error("without a key it is not plain SHA-256")
	}
}
