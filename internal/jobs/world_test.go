package jobs_test

import (
	"bytes"
	"context"
	"log/slog"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"go.uber.org/goleak"
)

// The regular expressions' clock sleeps on for a moment after the last match.
func TestMain(m *testing.M) {
	if dsn := os.Getenv(childVariable); dsn != "" {
		child(dsn)
		return
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

const repo = "acme/widgets"

// A world is a simulated GitHub with one repository, a database, a source of values in a file, and
// whatever replicas a test starts.
type world struct {
	t     testing.TB
	sim   *githubsim.GitHub
	url   string
	token string
	dsn   string
	db    *store.Store
	env   string        // the file
	full  time.Duration // between full runs; zero: the default
	relay bool          // jobs of the repositories can bring values
	log   lockedBuffer
}

type lockedBuffer struct {
	mu sync.Mutex
	bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Buffer.String()
}

func newWorld(t testing.TB, dsn string) *world {
	t.Helper()
	w := &world{t: t, dsn: dsn, sim: githubsim.New(githubsim.Config{}), env: filepath.Join(t.TempDir(), ".env")}
	w.url = conform.Server(t, w.sim)
	w.token = w.sim.AddToken(githubsim.Token{})
	db, err := store.Open(t.Context(), store.Config{DSN: dsn, Queue: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log:\n%s", w.log.String())
		}
	})
	return w
}

// project adds a repository with a project that is kept in step from the world's file.
func (w *world) project(name string, change ...func(*store.Project)) store.Project {
	w.t.Helper()
	id := w.sim.AddRepository(githubsim.Repository{FullName: name})
	ref, err := github.ParseRef(name)
	if err != nil {
		w.t.Fatal(err)
	}
	p := store.Project{
		APIHost: w.host(), Owner: ref.Owner, Repo: ref.Name, RepositoryID: id, DefaultBranch: "main",
		ValueSource: "source:local", AutoSync: true,
	}
	for _, c := range change {
		c(&p)
	}
	p, err = w.db.EnsureProject(w.t.Context(), time.Now(), p)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) host() string {
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Host
}

// A replica is one process of the service, in this one.
type replica struct {
	*world
	*jobs.Jobs
	accounts *syncing.Accounts
	service  *syncing.Service
}

// quick are lease times that a test can wait for.
var quick = store.LeaseTimes{Heartbeat: 50 * time.Millisecond, Lapse: 600 * time.Millisecond, Grace: 200 * time.Millisecond}

// replica makes a replica that may use the file for the repositories named.
func (w *world) replica(change func(*jobs.Config, *github.Config), repos ...string) *replica {
	w.t.Helper()
	log := slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	gh := github.Config{
		BaseURL: w.url, Credential: github.Token(w.token, "the test's token"), Log: log,
		Retry:  github.Retry{Base: time.Millisecond, Cap: 5 * time.Millisecond},
		Limits: github.Limits{PointsPerMinute: 1_000_000},
	}
	c := jobs.Config{
		Store: w.db, APIHost: w.host(), Interval: 100 * time.Millisecond, Drift: 200 * time.Millisecond, Roster: 100 * time.Millisecond,
		Files: 50 * time.Millisecond, Retries: []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, 900 * time.Millisecond},
		Lapse: time.Second, Grace: time.Second, Log: log,
	}
	if change != nil {
		change(&c, &gh)
	}
	r := &replica{world: w}
	var err error
	if r.accounts, err = syncing.NewAccounts(gh, w.db, nil); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(r.accounts.Close)
	sources, err := syncing.NewSources([]syncing.Origin{w.origin(repos)}, source.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	r.service = syncing.New(syncing.Config{
		Accounts: r.accounts, Sources: sources, Store: w.db, APIHost: w.host(), Holder: "test", Log: log, Relay: w.relay,
		Settings: syncing.Settings{FullRun: w.full, Lease: quick, Lag: []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}},
	})
	environments := environment.New(environment.Config{
		Accounts: r.accounts, Store: w.db, APIHost: w.host(), Holder: "test", Log: log,
		Settings: environment.Settings{Lease: quick, Lag: []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}},
	})
	c.Service, c.Environments, c.Accounts = r.service, environments, r.accounts
	r.Jobs = jobs.New(c)
	return r
}

func (w *world) origin(repos []string) syncing.Origin {
	o := syncing.Origin{Name: "local", From: "file:" + w.env}
	for _, name := range append(repos, repo) {
		ref, err := github.ParseRef(name)
		if err != nil {
			w.t.Fatal(err)
		}
		o.Repositories = append(o.Repositories, ref)
	}
	return o
}

// run has the replica work until stop, or the end of the test.
func (r *replica) run() (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := r.Run(ctx); err != nil {
			r.t.Errorf("run: %v", err)
		}
	}()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	r.t.Cleanup(stop)
	return stop
}

// values is the file's content.
type values map[string]string

// write replaces the file.
func (w *world) write(v values) {
	w.t.Helper()
	var b bytes.Buffer
	for _, name := range slices.Sorted(maps.Keys(v)) {
		b.WriteString(name + "=" + v[name] + "\n")
	}
	if err := os.WriteFile(w.env, b.Bytes(), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// eventually fails the test unless it comes true in time.
func (w *world) eventually(what string, in time.Duration, true_ func() bool) {
	w.t.Helper()
	deadline := time.Now().Add(in)
	for !true_() {
		if time.Now().After(deadline) {
			w.t.Fatalf("not within %s: %s", in, what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// holds says whether every scope of a repository has exactly these values.
func (w *world) holds(name string, want values) bool {
	for _, scope := range syncing.DefaultScopes(false) {
		got := values{}
		for _, s := range w.sim.Secrets(name, scope.String()) {
			got[s.Name] = s.Value
		}
		if !maps.Equal(got, want) {
			return false
		}
	}
	return true
}

// runs returns a project's runs, newest first.
func (w *world) runs(p store.Project) []store.Run {
	w.t.Helper()
	all, err := w.db.LastRuns(w.t.Context(), p.ID, 100)
	if err != nil {
		w.t.Fatal(err)
	}
	return all
}

// idle says whether no run waits or goes on.
func (w *world) idle(p store.Project) bool {
	for _, r := range w.runs(p) {
		if r.State == store.Queued || r.State == store.Running || r.State == store.Waiting {
			return false
		}
	}
	return true
}

// next is when a project's status says that its next full run is due.
func (w *world) next(p store.Project) (time.Time, bool) {
	w.t.Helper()
	bound, err := w.replica(nil).service.For(w.t.Context(), p.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	st, err := bound.Status(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	if st.NextScheduledSyncAt == nil {
		return time.Time{}, false
	}
	return *st.NextScheduledSyncAt, true
}
