package redact

import (
	"bytes"
	"slices"
	"testing"
)

// Forget overwrites what was learned, and does not merely let go of it.
func TestForgetOverwrites(t *testing.T) {
	var b book
	b.learn([]byte("a value to forget"))
	kept := slices.Clone(b.values)
	for _, forms := range b.forms {
		for _, f := range forms {
			kept = append(kept, f.head)
		}
	}
	b.forget()
	if len(kept) < 5 {
		t.Fatalf("only %d forms were kept", len(kept))
	}
	for _, k := range kept {
		if !bytes.Equal(k, make([]byte, len(k))) {
			t.Errorf("%q is still in memory", k)
		}
	}
}
