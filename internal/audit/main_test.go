package audit_test

import (
	"flag"
	"os"
	"testing"
)

// The laws are cheap to try, so they are tried often. A law that breaks prints the seed that breaks it; no file is left in the tree.
func TestMain(m *testing.M) {
	for name, value := range map[string]string{"rapid.checks": "500", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	flag.Parse()
	os.Exit(m.Run())
}
