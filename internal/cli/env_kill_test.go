package cli_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// An apply that was killed at any moment leaves nothing that the next one does not put right, without
// force: rules, secrets and what is remembered of both.
func TestAppliesKilledAnywhere(t *testing.T) {
	long(t)
	const secrets, rounds = 6, 5
	b := newBench(t)
	b.environments(secrets)
	reviewer := b.github.AddUser("grace")
	b.github.AddCollaborator(widgets, "grace", githubsim.RoleRead)
	apply := []string{"env", "apply", "--from", ".env", "--yes", "--reviewer", fmt.Sprint(reviewer)}
	b.github.SetFaults(githubsim.Faults{Latency: 20 * time.Millisecond})
	whole := 400 * time.Millisecond
	for round := range rounds {
		for _, tier := range []string{"dev", "staging", "production"} {
			if _, there := b.github.Environment(widgets, tier); there && round%2 == 0 {
				b.github.DeleteEnvironment(widgets, tier)
			}
		}
		b.write(secrets, round)
		cmd := b.command(apply...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := rand.N(whole)
		time.Sleep(after)
		if err := cmd.Process.Kill(); err != nil {
			t.Logf("round %d had ended by itself after %s", round, after)
		}
		_ = cmd.Wait()
		b.inStep(apply...)
		b.inStep("env", "plan", "--exit-code", "--from", ".env", "--reviewer", fmt.Sprint(reviewer))
		for i := range secrets {
			if got, _ := b.github.Value(widgets, "environment:production", fmt.Sprintf("SECRET_%02d", i)); got != valueOf(i, round) {
				t.Fatalf("round %d, killed after %s: SECRET_%02d is %q", round, after, i, got)
			}
		}
	}
	b.inStep("audit", "verify")
}

// environments writes a file of all three, each with n secrets.
func (b *bench) environments(n int) {
	b.Helper()
	names := make([]string, n)
	for i := range n {
		names[i] = fmt.Sprintf("SECRET_%02d", i)
	}
	text := "environments:\n"
	for _, tier := range []string{"dev", "staging", "production"} {
		text += fmt.Sprintf("  - {name: %s, secrets: [%s]}\n", tier, strings.Join(names, ", "))
	}
	if err := os.WriteFile(filepath.Join(b.folder, "environments.yaml"), []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
}
