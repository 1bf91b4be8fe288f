package cli_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// A process that was killed at any moment leaves nothing that the next plain run does not put
// right. OCTOSEAL_KILL_ROUNDS=50 kills as often as the issue asks for.
func TestKilledAnywhere(t *testing.T) {
	long(t)
	const secrets = 12
	rounds := 6
	if n, err := strconv.Atoi(os.Getenv("OCTOSEAL_KILL_ROUNDS")); err == nil {
		rounds = n
	}
	b := newBench(t)
	b.github.SetFaults(githubsim.Faults{Latency: 20 * time.Millisecond})
	b.write(secrets, 0)
	began := time.Now()
	b.inStep("sync", "--from", ".env")
	whole := time.Since(began)
	for round := 1; round <= rounds; round++ {
		b.write(secrets, round)
		cmd := b.command("sync", "--from", ".env")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		after := rand.N(whole)
		time.Sleep(after)
		if err := cmd.Process.Kill(); err != nil {
			t.Logf("round %d had ended by itself after %s", round, after)
		}
		_ = cmd.Wait()
		b.inStep("sync", "--from", ".env")
		b.holds(secrets, round)
		b.inStep("plan", "--from", ".env", "--exit-code")
		if t.Failed() {
			t.Fatalf("round %d, killed after %s", round, after)
		}
	}
}

// Ctrl-C ends a run cleanly, says so with 130, and the next run finishes what was begun.
func TestInterrupted(t *testing.T) {
	const secrets = 12
	b := newBench(t)
	b.write(secrets, 0)
	b.inStep("sync", "--from", ".env")
	b.github.SetFaults(githubsim.Faults{Latency: 30 * time.Millisecond})
	b.write(secrets, 1)
	cmd := b.command("sync", "--from", ".env", "--concurrency", "1")
	started := make(chan struct{}, 1)
	b.github.OnAnswer(func(r githubsim.Request) {
		if r.Method == "PUT" {
			select {
			case started <- struct{}{}:
			default:
			}
		}
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != 130 {
		t.Errorf("exit code %d, want 130", code)
	}
	if writes := b.github.Counts().Writes; writes >= 2*3*secrets {
		t.Errorf("%d writes: the run went on to its end", writes)
	}
	b.github.OnAnswer(nil)
	b.inStep("sync", "--from", ".env")
	b.holds(secrets, 1)
}
