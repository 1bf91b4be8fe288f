package cli_test

import (
	"strings"
	"testing"
)

// Where no job can be carried out, the demo shows the rest all the same.
func TestDemoWithoutJobs(t *testing.T) {
	b := newBench(t)
	b.environ = append(b.environ, "PATH="+t.TempDir(), "TMPDIR="+t.TempDir())
	code, out, talk := b.octoseal("demo", "--exit")
	if code != 0 || !strings.Contains(talk, "note: jobs of GitHub's runners take bash") ||
		strings.Contains(out, "--public-url") || !strings.Contains(out, "valid: valid 13") {
		t.Errorf("exit code %d\n%s\n%s", code, out, talk)
	}
}
