//go:build unix

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// The benchmarks in this file run octoseal as a whole process against a simulated GitHub in this
// one. They report ratios and counts; docs/performance.md says how to read them.

const latency = 80 * time.Millisecond

var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "octoseal-bench")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "octoseal")
	out, err := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", bin, "github.com/octoseal/octoseal/cmd/octoseal").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return bin, nil
})

// A machine is what octoseal runs on: a simulated GitHub, a database, a .env.
type machine struct {
	b     *testing.B
	sim   *githubsim.GitHub
	url   string
	dir   string
	token string
}

func newMachine(b *testing.B, secrets int) *machine {
	b.Helper()
	m := &machine{b: b, sim: githubsim.New(githubsim.Config{}), dir: b.TempDir()}
	m.sim.AddRepository(githubsim.Repository{FullName: "acme/widgets"})
	m.token = m.sim.AddToken(githubsim.Token{})
	srv := httptest.NewServer(m.sim)
	b.Cleanup(srv.Close)
	m.url = srv.URL
	m.write(secrets, "first")
	return m
}

func (m *machine) write(secrets int, generation string) {
	m.b.Helper()
	var env strings.Builder
	for i := range secrets {
		g := "first"
		if i == 0 {
			g = generation
		}
		fmt.Fprintf(&env, "SECRET_%03d=%s-value-%d-%s\n", i, g, i, strings.Repeat("x", 40))
	}
	if err := os.WriteFile(filepath.Join(m.dir, ".env"), []byte(env.String()), 0o600); err != nil {
		m.b.Fatal(err)
	}
}

// A process is what one run of octoseal cost.
type process struct {
	wall  time.Duration
	first time.Duration // start to first request
	rss   float64       // MiB
	sync  struct {
		SyncedCount  int `json:"syncedCount"`
		SkippedCount int `json:"skippedCount"`
		Errors       []struct{ Error string }
	}
}

func (m *machine) run(args ...string) process {
	m.b.Helper()
	bin, err := binary()
	if err != nil {
		m.b.Fatal(err)
	}
	m.sim.ResetRequests()
	ctx, cancel := context.WithTimeout(m.b.Context(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, bin, append(args, "--repo", "acme/widgets", "--github-api-url", m.url, "--database", filepath.Join(m.dir, "octoseal.db"))...)
	cmd.Dir = m.dir
	cmd.Env = append(os.Environ(), "OCTOSEAL_GITHUB_TOKEN="+m.token, "HOME="+m.dir)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	began := time.Now()
	err = cmd.Run()
	p := process{wall: time.Since(began)}
	if err != nil {
		m.b.Fatalf("%v: %v\n%s%s", args, err, out.String(), talk.String())
	}
	if args[len(args)-1] == "--json" {
		if err := json.Unmarshal(out.Bytes(), &p.sync); err != nil {
			m.b.Fatalf("%v: %s", err, out.String())
		}
	}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		p.rss = float64(usage.Maxrss) / 1024
	}
	if reqs := m.sim.Requests(); len(reqs) > 0 {
		p.first = reqs[0].Arrived.Sub(began)
	}
	return p
}

// right says that every scope holds every value of the .env.
func (m *machine) right(secrets int, scopes ...string) int {
	n := 0
	for _, scope := range scopes {
		for _, s := range m.sim.Secrets("acme/widgets", scope) {
			if strings.Contains(s.Value, "-value-") {
				n++
			}
		}
	}
	return n
}

// BenchmarkFirstSync writes 50 secrets to two scopes at 80 ms latency. floor is what that many
// requests take when as many are in flight as the concurrency allows.
func BenchmarkFirstSync(b *testing.B) {
	for _, concurrency := range []int{10, 50} {
		b.Run(fmt.Sprintf("concurrency=%d", concurrency), func(b *testing.B) {
			var wall, first, rss, requests float64
			for b.Loop() {
				m := newMachine(b, 50)
				m.sim.SetFaults(githubsim.Faults{Latency: latency})
				p := m.run("sync", "--from", ".env", "--scopes", "codespaces,dependabot", "--concurrency", fmt.Sprint(concurrency), "--yes", "--json")
				c := m.sim.Counts()
				if m.right(50, "codespaces", "dependabot") != 100 || c.Writes != 100 {
					b.Fatalf("%+v, %d right", c, m.right(50, "codespaces", "dependabot"))
				}
				wall, first, rss, requests = wall+p.wall.Seconds(), first+p.first.Seconds(), rss+p.rss, float64(c.Requests)
			}
			n := float64(b.N)
			floor := math.Ceil(requests/float64(2*concurrency)) * latency.Seconds()
			b.ReportMetric(wall/n, "wall-s")
			b.ReportMetric(wall/n/floor, "wall/floor")
			b.ReportMetric(requests, "requests")
			b.ReportMetric(first/n*1000, "first-ms")
			b.ReportMetric(rss/n, "MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkSecondSync runs over 50 secrets that are in step, then with one changed.
func BenchmarkSecondSync(b *testing.B) {
	for _, c := range []struct {
		name       string
		generation string
		writes     int
	}{{"unchanged", "first", 0}, {"one of 50 changed", "second", 2}} {
		b.Run(c.name, func(b *testing.B) {
			var wall, first, rss float64
			var counts githubsim.Counts
			for b.Loop() {
				m := newMachine(b, 50)
				m.run("sync", "--from", ".env", "--scopes", "codespaces,dependabot", "--yes")
				m.write(50, c.generation)
				m.sim.SetFaults(githubsim.Faults{Latency: latency})
				p := m.run("sync", "--from", ".env", "--scopes", "codespaces,dependabot", "--json")
				if counts = m.sim.Counts(); counts.Writes != c.writes {
					b.Fatalf("%d writes, want %d", counts.Writes, c.writes)
				}
				wall, first, rss = wall+p.wall.Seconds(), first+p.first.Seconds(), rss+p.rss
			}
			n := float64(b.N)
			b.ReportMetric(wall/n/latency.Seconds(), "round-trips")
			b.ReportMetric(float64(counts.Billed), "billed")
			b.ReportMetric(float64(counts.Requests), "requests")
			b.ReportMetric(first/n*1000, "first-ms")
			b.ReportMetric(rss/n, "MiB")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkLimits writes under GitHub's secondary limits, announced and not.
func BenchmarkLimits(b *testing.B) {
	for _, c := range []struct {
		name    string
		secrets int
		limits  githubsim.Limits
	}{
		{"900 points a minute, 200 writes, Retry-After", 100, githubsim.Limits{Points: 900, Concurrent: 100, RetryAfter: true}},
		{"900 points a minute, 200 writes, no Retry-After", 100, githubsim.Limits{Points: 900, Concurrent: 100}},
		{"80 writes a minute unannounced, 100 writes, Retry-After", 50, githubsim.Limits{Writes: 80, RetryAfter: true, Status: 429}},
		{"80 writes a minute unannounced, 100 writes, no Retry-After", 50, githubsim.Limits{Writes: 80}},
	} {
		b.Run(c.name, func(b *testing.B) {
			var wall float64
			var counts githubsim.Counts
			right := 0
			for b.Loop() {
				m := newMachine(b, c.secrets)
				m.sim.SetFaults(githubsim.Faults{Latency: latency})
				m.sim.SetLimits(c.limits)
				p := m.run("sync", "--from", ".env", "--scopes", "codespaces,dependabot", "--yes", "--json")
				counts, right = m.sim.Counts(), m.right(c.secrets, "codespaces", "dependabot")
				wall += p.wall.Seconds()
			}
			b.ReportMetric(wall/float64(b.N), "wall-s")
			b.ReportMetric(float64(right), "right")
			b.ReportMetric(float64(counts.InPenalty), "in-penalty")
			b.ReportMetric(float64(counts.Refused), "refused")
			b.ReportMetric(float64(counts.PeakPoints), "peak-points")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkFailures lets 2 % of all requests fail in every way but silence.
func BenchmarkFailures(b *testing.B) {
	var right, writes, applied float64
	for b.Loop() {
		m := newMachine(b, 50)
		m.sim.SetFaults(githubsim.Faults{Seed: uint64(b.N), Failures: []githubsim.Failure{{Rate: 0.02}}})
		m.run("sync", "--from", ".env", "--scopes", "codespaces,dependabot", "--yes", "--json")
		right += float64(m.right(50, "codespaces", "dependabot"))
		writes += float64(m.sim.Counts().Writes)
		for _, r := range m.sim.Requests() {
			if r.Write() && r.Status/100 == 2 {
				applied++
			}
		}
	}
	b.ReportMetric(right/float64(b.N), "right")
	b.ReportMetric(writes/float64(b.N), "writes-sent")
	b.ReportMetric(applied/float64(b.N), "writes-answered")
	b.ReportMetric(0, "ns/op")
}
