//go:build !linux

package cli_test

import "github.com/rogpeppe/go-internal/testscript"

// terminal makes its pseudo-terminal the way Linux does; pages that use it are skipped elsewhere.
func terminal(ts *testscript.TestScript, _ bool, _ []string) { ts.Fatalf("terminal needs Linux") }
