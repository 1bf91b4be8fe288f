package redact

import (
	"bytes"
	"testing"
)

// kept are the bytes that b holds of values.
func kept(b *book) [][]byte {
	var all [][]byte
	for _, l := range b.values {
		all = append(all, l.value)
	}
	for _, forms := range b.forms {
		for _, f := range forms {
			all = append(all, f.head)
		}
	}
	return all
}

// Forget and Unlearn overwrite what was learned, and do not merely let go of it.
func TestForgetOverwrites(t *testing.T) {
	value := []byte("a value to forget")
	for name, forget := range map[string]func(*book){"forget": (*book).forget, "unlearn": func(b *book) { b.unlearn(value) }} {
		var b book
		b.learn(value)
		before := kept(&b)
		forget(&b)
		if len(before) < 5 {
			t.Fatalf("only %d forms were kept", len(before))
		}
		for _, k := range before {
			if !bytes.Equal(k, make([]byte, len(k))) {
				t.Errorf("%s: %q is still in memory", name, k)
			}
		}
		if len(kept(&b)) != 0 || b.filter != [1 << 10]uint64{} {
			t.Errorf("%s: %d forms are left", name, len(kept(&b)))
		}
	}
}
