package audit_test

import (
	"flag"
	"os"
	"testing"
)

// A law that breaks prints the seed that breaks it; no file is left in the tree.
func TestMain(m *testing.M) {
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	flag.Parse()
	os.Exit(m.Run())
}
