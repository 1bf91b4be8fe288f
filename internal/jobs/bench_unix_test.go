//go:build unix

package jobs_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// An unchanging GitHub answers as GitHub does while nothing happens, after 5 ms. It keeps nothing, so
// that what is measured is the poller.
type unchanging struct{ lists, billed atomic.Int64 }

const etag = `W/"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"`

func (u *unchanging) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(5 * time.Millisecond)
	w.Header().Set("X-Ratelimit-Limit", "12500")
	w.Header().Set("X-Ratelimit-Remaining", "12000")
	w.Header().Set("X-Ratelimit-Reset", fmt.Sprint(time.Now().Add(time.Hour).Unix()))
	w.Header().Set("X-Ratelimit-Resource", "core")
	switch {
	case strings.HasSuffix(r.URL.Path, "/installation"):
		_, _ = io.WriteString(w, `{"id":7,"permissions":{"secrets":"write","codespaces_secrets":"write","dependabot_secrets":"write"}}`)
	case strings.HasSuffix(r.URL.Path, "/access_tokens"):
		w.WriteHeader(http.StatusCreated)
		_, _ = fmt.Fprintf(w, `{"token":"ghs_0123456789","expires_at":%q}`, time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	case r.Header.Get("If-None-Match") == etag:
		u.lists.Add(1)
		w.WriteHeader(http.StatusNotModified)
	default:
		u.billed.Add(1)
		_, _ = io.WriteString(w, `{"total_count":0,"secrets":[]}`)
	}
}

// BenchmarkTenThousandIdleProjects measures one replica that looks after 10,000 projects of 50
// installations for a minute, once it has looked at each of them.
func BenchmarkTenThousandIdleProjects(b *testing.B) {
	const projects, owners = 10_000, 50
	u := &unchanging{}
	server := httptest.NewServer(u)
	defer server.Close()
	dsn := filepath.Join(b.TempDir(), "octoseal.db")
	db, err := store.Open(b.Context(), store.Config{DSN: dsn, Queue: true})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = db.Close() }()

	app := githubsim.New(githubsim.Config{}).AddApp(githubsim.App{Slug: "octoseal"})
	credential, err := github.App(github.AppConfig{ID: fmt.Sprint(app.ID), PrivateKey: app.PrivateKeyPEM()})
	if err != nil {
		b.Fatal(err)
	}
	accounts, err := syncing.NewAccounts(github.Config{BaseURL: server.URL, Credential: credential}, db, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer accounts.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	origin := syncing.Origin{Name: "local", From: "env:OCTOSEAL_BENCH_", Repositories: []github.Ref{{Owner: "acme", Name: "widgets"}}}
	sources, err := syncing.NewSources([]syncing.Origin{origin}, source.Options{})
	if err != nil {
		b.Fatal(err)
	}
	service := syncing.New(syncing.Config{Accounts: accounts, Sources: sources, Store: db, APIHost: host, Holder: "bench"})
	for i := range projects {
		remembered(b, db, accounts, host, fmt.Sprintf("owner%02d", i%owners), i)
	}

	var inForce atomic.Int64
	j := jobs.New(jobs.Config{Store: db, Service: service, Accounts: accounts, APIHost: host, Metrics: jobs.Metrics{
		Polling: func(_ string, _ int, now, _ time.Duration) { inForce.Store(int64(now)) },
	}})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error)
	go func() { done <- j.Run(ctx) }()
	time.Sleep(75 * time.Second)
	debug.FreeOSMemory()
	for b.Loop() {
		lists, cpu := u.lists.Load(), processorTime()
		time.Sleep(time.Minute)
		b.ReportMetric((processorTime()-cpu).Seconds()/60, "cores")
		b.ReportMetric(float64(u.lists.Load()-lists)/60, "looks/s")
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	b.ReportMetric(float64(m.HeapInuse)/(1<<20), "heap-MiB")
	b.ReportMetric(resident()/(1<<20), "resident-MiB")
	b.ReportMetric(float64(runtime.NumGoroutine()), "goroutines")
	b.ReportMetric(time.Duration(inForce.Load()).Seconds(), "interval-s")
	b.ReportMetric(float64(u.billed.Load()), "billed")
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
}

// remembered makes a project that ran a moment ago.
func remembered(b *testing.B, db *store.Store, accounts *syncing.Accounts, host, owner string, i int) {
	b.Helper()
	now := time.Now()
	p, err := db.EnsureProject(b.Context(), now, store.Project{
		APIHost: host, Owner: owner, Repo: fmt.Sprintf("repository-%05d", i), RepositoryID: int64(1000 + i), AutoSync: true, ValueSource: "source:local",
	})
	if err != nil {
		b.Fatal(err)
	}
	credential := accounts.Client(b.Context(), owner).Credential().Fingerprint()
	o := store.Outcome{Project: p.ID, Actor: store.Scheduler, Run: store.Run{ID: uuid.New(), State: store.Succeeded, StartedAt: now}}
	for _, scope := range syncing.DefaultScopes(false) {
		l := github.Listing{Scope: scope, Date: now, Pages: []github.Page{{ETag: etag, Total: 20, Secrets: twenty(now)}}}
		raw, err := json.Marshal(l)
		if err != nil {
			b.Fatal(err)
		}
		o.Lists = append(o.Lists, store.List{Kind: scope.String(), Credential: credential, Date: now, Content: raw})
	}
	if _, err := db.Record(b.Context(), now, o); err != nil {
		b.Fatal(err)
	}
}

func twenty(now time.Time) []github.Listed {
	list := make([]github.Listed, 20)
	for i := range list {
		list[i] = github.Listed{Name: secret.MustName(fmt.Sprintf("SECRET_%02d", i)).String(), CreatedAt: now, UpdatedAt: now}
	}
	return list
}

func processorTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// resident is the process's memory as the operating system counts it; 0 where it does not say.
func resident() float64 {
	raw, err := os.ReadFile("/proc/self/statm")
	var size, pages float64
	if err == nil {
		_, _ = fmt.Sscan(string(raw), &size, &pages)
	}
	return pages * float64(os.Getpagesize())
}
