//go:build linux

package cli_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// BenchmarkRelay relays 80 secrets that have changed to two scopes, with service and job as processes and
// 80 ms latency to GitHub; with more, the pace that GitHub's limits ask for would be what is measured. The overhead is the time in which the job waits for the service and no
// request to GitHub is open; job-ms is the job's process but for the time in which it waits for anybody;
// the memory is by how much the service's grows at its peak.
func BenchmarkRelay(b *testing.B) {
	program, err := binary()
	if err != nil {
		b.Fatal(err)
	}
	var overhead, job, rss float64
	for b.Loop() {
		o := newOffice(b)
		o.program = program
		watch := &stopwatch{}
		front := func(h http.Handler) string {
			server := httptest.NewServer(watch.before(h))
			b.Cleanup(server.Close)
			return server.URL
		}
		o.api, o.url = front(o.github), front(githubsim.NewWiretap(o.url))
		o.environ = append(o.environ, "OCTOSEAL_GITHUB_API_URL="+o.api, "OCTOSEAL_LOG_LEVEL=info")
		o.employ(githubsim.Runner{})
		o.serve("--poll-interval", "off", "--log-level", "info")
		o.fill("first", 5)
		o.open()
		if code, talk := o.sync(); code != 0 {
			b.Fatalf("%s\n%s", talk, o.told())
		}
		o.jobsOver()
		o.fill("second", 80)
		o.github.SetFaults(githubsim.Faults{Latency: latency})
		watch.reset()
		before := o.memory("VmRSS")
		o.resetPeak()
		if code, talk := o.sync(); code != 0 {
			b.Fatalf("%s\n%s", talk, o.told())
		}
		runs := o.jobsOver()
		rss += o.memory("VmHWM") - before
		last := runs[len(runs)-1]
		overhead += float64(watch.alone.Microseconds()) / 1000
		job += float64((last.Ended.Sub(last.Started) - watch.waited).Microseconds()) / 1000
	}
	n := float64(b.N)
	b.ReportMetric(overhead/n, "overhead-ms")
	b.ReportMetric(job/n, "job-ms")
	b.ReportMetric(rss/n, "MiB")
	b.ReportMetric(0, "ns/op")
}

// fill sets secrets; eighty are about as much as one variable holds.
func (o *office) fill(generation string, n int) {
	for i := range n {
		o.set(fmt.Sprintf("SECRET_%03d", i), generation+strings.Repeat("x", 1100))
	}
	o.github.Advance(time.Minute)
}

// A stopwatch adds up how long the job waited for somebody, and how much of that the service was by
// itself.
type stopwatch struct {
	mu            sync.Mutex
	job, github   int // requests that are open
	since         time.Time
	waited, alone time.Duration
}

func (s *stopwatch) change(job, github int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.job > 0 {
		s.waited += now.Sub(s.since)
		if s.github == 0 {
			s.alone += now.Sub(s.since)
		}
	}
	s.since = now
	s.job, s.github = s.job+job, s.github+github
}

func (s *stopwatch) reset() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waited, s.alone = 0, 0
}

// before measures what is said to the service and to GitHub: the job waits for its messages and its ID
// token, and the service for all else.
func (s *stopwatch) before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		job, github := 0, 0
		switch {
		case strings.HasPrefix(r.URL.Path, "/relay/"):
			job = 1
		case strings.Contains(r.URL.Path, "/idtoken/"):
			job, github = 1, 1
		case strings.HasPrefix(r.URL.Path, "/repos/"):
			github = 1
		}
		s.change(job, github)
		defer s.change(-job, -github)
		next.ServeHTTP(w, r)
	})
}

// memory is a figure of the service's process, in MiB.
func (o *office) memory(figure string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", o.service.Process.Pid))
	if err != nil {
		o.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), figure+":")
	fields := strings.Fields(rest)
	kib, err := strconv.Atoi(fields[0])
	if err != nil {
		o.Fatal(err)
	}
	return float64(kib) / 1024
}

// resetPeak has the peak of the service's memory counted from now.
func (o *office) resetPeak() {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", o.service.Process.Pid), []byte("5"), 0o600); err != nil {
		o.Fatal(err)
	}
}
