package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
)

// A bench is a simulated GitHub and a folder, with the program to run there.
type bench struct {
	testing.TB
	github  *githubsim.GitHub
	folder  string
	environ []string
	program string // empty: this one
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{TB: t, github: githubsim.New(githubsim.Config{}), folder: t.TempDir()}
	b.github.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
	b.environ = append(settled(os.Environ()),
		"HOME="+b.folder, "XDG_STATE_HOME="+filepath.Join(b.folder, "state"), "OCTOSEAL_REPO="+widgets,
		"OCTOSEAL_GITHUB_API_URL="+conform.Server(t, b.github), "OCTOSEAL_GITHUB_TOKEN="+b.github.AddToken(githubsim.Token{}),
		"OCTOSEAL_LEASE_HEARTBEAT=200ms", "OCTOSEAL_LEASE_LAPSE=5s", "OCTOSEAL_LEASE_GRACE=100ms",
		"OCTOSEAL_RETRY_BASE=10ms", "OCTOSEAL_RETRY_CAP=50ms",
	)
	return b
}

// path is that of the program.
func (b *bench) path() string {
	if b.program != "" {
		return b.program
	}
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	return self
}

// command is the program, not started yet.
func (b *bench) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.path(), args...)
	cmd.Args[0] = "octoseal"
	cmd.Dir, cmd.Env = b.folder, b.environ
	return cmd
}

// long keeps a test out of the short run, which looks for races: it waits for processes of its own, and
// what they do at once other tests do within one.
func long(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("waits for processes of its own")
	}
}

// octoseal runs the program to its end.
func (b *bench) octoseal(args ...string) (code int, stdout, stderr string) {
	b.Helper()
	var out, talk bytes.Buffer
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &talk
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		b.Fatal(err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), talk.String()
}

// inStep demands that a command ends well.
func (b *bench) inStep(args ...string) {
	b.Helper()
	if code, out, talk := b.octoseal(args...); code != 0 {
		b.Fatalf("octoseal %s: exit code %d\n%s\n%s", strings.Join(args, " "), code, out, talk)
	}
}

// write makes a .env of n secrets whose values belong to a round.
func (b *bench) write(n, round int) {
	b.Helper()
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "SECRET_%02d=%s\n", i, valueOf(i, round))
	}
	if err := os.WriteFile(filepath.Join(b.folder, ".env"), []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
}

func valueOf(i, round int) string { return fmt.Sprintf("value-%d-of-round-%d", i, round) }

// holds demands that every scope holds the values of a round.
func (b *bench) holds(n, round int) {
	b.Helper()
	for _, scope := range []string{"actions", "codespaces", "dependabot"} {
		for i := range n {
			name := fmt.Sprintf("SECRET_%02d", i)
			if got, _ := b.github.Value(widgets, scope, name); got != valueOf(i, round) {
				b.Errorf("%s %s is %q, want %q", scope, name, got, valueOf(i, round))
			}
		}
	}
}
