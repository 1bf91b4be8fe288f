//go:build unix

package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// chain is how many requests a first apply is long, of which each needs the one before: repository,
// reviewer, access, environment, branch, looking at both, key, secret, closing list.
const chain = 9

// withEnvironments gives a machine a file of three environments with rules and ten secrets each.
func withEnvironments(b *testing.B) *machine {
	b.Helper()
	m := newMachine(b, 10)
	reviewer := m.sim.AddUser("grace")
	m.sim.AddCollaborator("acme/widgets", "grace", githubsim.RoleRead)
	var text strings.Builder
	text.WriteString("environments:\n")
	for _, name := range []string{"dev", "staging", "production"} {
		fmt.Fprintf(&text, "  - name: %s\n    protectionRules: {reviewerIds: [%d], restrictToMainBranch: true, waitTimer: 10}\n    secrets:\n", name, reviewer)
		for i := range 10 {
			fmt.Fprintf(&text, "      - SECRET_%03d\n", i)
		}
	}
	if err := os.WriteFile(filepath.Join(m.dir, "environments.yaml"), []byte(text.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	return m
}

// BenchmarkEnvironments makes three environments with rules and ten secrets each at 80 ms latency,
// then applies the same file again, then with one value changed.
func BenchmarkEnvironments(b *testing.B) {
	apply := []string{"env", "apply", "--from", ".env", "--yes", "--json"}
	for _, c := range []struct {
		name       string
		before     bool
		generation string
		writes     int
		longest    float64
	}{
		{"first", false, "first", 36, chain},
		{"unchanged", true, "first", 0, 1},
		{"one of 10 changed everywhere", true, "second", 3, 4},
	} {
		b.Run(c.name, func(b *testing.B) {
			var wall, rss float64
			var counts githubsim.Counts
			for b.Loop() {
				m := withEnvironments(b)
				if c.before {
					m.run(apply...)
				}
				m.write(10, c.generation)
				m.sim.SetFaults(githubsim.Faults{Latency: latency})
				p := m.run(apply...)
				counts = m.sim.Counts()
				if right := m.right(10, "environment:dev", "environment:staging", "environment:production"); counts.Writes != c.writes || right != 30 {
					b.Fatalf("%+v, %d right", counts, right)
				}
				wall, rss = wall+p.wall.Seconds(), rss+p.rss
			}
			n := float64(b.N)
			b.ReportMetric(wall/n, "wall-s")
			b.ReportMetric(wall/n/(c.longest*latency.Seconds()), "wall/longest")
			b.ReportMetric(float64(counts.Requests), "requests")
			b.ReportMetric(float64(counts.Billed), "billed")
			b.ReportMetric(rss/n, "MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}
