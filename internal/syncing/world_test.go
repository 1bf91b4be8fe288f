package syncing_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"go.uber.org/goleak"
)

// The regular expressions' clock sleeps on for a moment after the last match.
func TestMain(m *testing.M) {
	// A history takes a moment, so few are tried each time; -rapid.checks asks for more. A law that
	// breaks prints the seed that breaks it; no file is left in the tree.
	for name, value := range map[string]string{"rapid.checks": "12", "rapid.nofailfile": "true"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

const repo = "acme/widgets"

// A world is a simulated GitHub with one repository, a database, and the service between them.
type world struct {
	t     testing.TB
	sim   *githubsim.GitHub
	url   string
	token string
	db    *store.Store
	svc   *syncing.Service
	log   bytes.Buffer
}

// quick are a run's times, as short as a test can afford.
var quick = syncing.Settings{
	Lease: store.LeaseTimes{Heartbeat: 50 * time.Millisecond, Lapse: 1500 * time.Millisecond, Grace: 100 * time.Millisecond},
	Lag:   []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond},
}

func newWorld(t testing.TB) *world {
	t.Helper()
	return newWorldOf(t, githubsim.Config{})
}

func newWorldOf(t testing.TB, c githubsim.Config) *world {
	t.Helper()
	w := &world{t: t, sim: githubsim.New(c)}
	w.sim.AddRepository(githubsim.Repository{FullName: repo})
	w.url = conform.Server(t, w.sim)
	db, err := store.Open(t.Context(), store.Config{DSN: "sqlite::memory:"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	w.token = w.sim.AddToken(githubsim.Token{})
	w.svc = w.service(w.token)
	return w
}

// service returns another process's service on the same GitHub and database, changed as told.
func (w *world) service(token string, change ...func(*syncing.Config)) *syncing.Service {
	w.t.Helper()
	client, err := github.New(github.Config{
		BaseURL: w.url, Credential: github.Token(token, "the test's token"),
		Retry: github.Retry{Base: time.Millisecond, Cap: 5 * time.Millisecond},
		Log:   slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.CloseIdle)
	c := syncing.Config{GitHub: client, Store: w.db, APIHost: w.host(), Holder: "test", Settings: quick}
	for _, ch := range change {
		ch(&c)
	}
	return syncing.New(c)
}

// project is the one of the world's repository.
func (w *world) project() store.Project {
	w.t.Helper()
	owner, name, _ := strings.Cut(repo, "/")
	p, found, err := w.db.FindProject(context.Background(), w.host(), owner, name)
	if err != nil || !found {
		w.t.Fatalf("project: %v, found %v", err, found)
	}
	return p
}

// mapping returns what is stored of one secret.
func (w *world) mapping(name string) (store.MappingRow, bool) {
	w.t.Helper()
	rows, err := w.db.Details(context.Background(), w.project().ID)
	if err != nil {
		w.t.Fatal(err)
	}
	i := slices.IndexFunc(rows, func(r store.MappingRow) bool { return r.Name.String() == name })
	if i < 0 {
		return store.MappingRow{}, false
	}
	return rows[i], true
}

// lastRun is the newest run as it is stored.
func (w *world) lastRun() store.Run {
	w.t.Helper()
	runs, err := w.db.LastRuns(context.Background(), w.project().ID, 1)
	if err != nil || len(runs) == 0 {
		w.t.Fatalf("runs: %v, %d of them", err, len(runs))
	}
	return runs[0]
}

func (w *world) host() string {
	w.t.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	return u.Host
}

// values is a source's content as a test writes it.
type values map[string]string

func (v values) plaintexts() map[secret.Name]secret.Plaintext {
	m := map[secret.Name]secret.Plaintext{}
	for n, s := range v {
		m[secret.MustName(n)] = secret.NewPlaintext([]byte(s))
	}
	return m
}

func numbered(n int) values {
	v := values{}
	for i := range n {
		v[fmt.Sprintf("SECRET_%03d", i)] = fmt.Sprintf("value-%03d-canary", i)
	}
	return v
}

func (w *world) request(v values, change ...func(*syncing.Request)) syncing.Request {
	w.t.Helper()
	ref, err := github.ParseRef(repo)
	if err != nil {
		w.t.Fatal(err)
	}
	req := syncing.Request{Repo: ref, Actor: store.Local, Trigger: store.Manual, Source: syncing.Local("file:/src/.env", v.plaintexts())}
	for _, c := range change {
		c(&req)
	}
	return req
}

func force(r *syncing.Request)      { r.Options.Force = true }
func overwrite(r *syncing.Request)  { r.Options.Adopt = plan.AdoptOverwrite }
func keepTheirs(r *syncing.Request) { r.Options.Adopt = plan.AdoptKeep }
func from(identity string) func(*syncing.Request) {
	return func(r *syncing.Request) { r.Source.Identity = identity }
}

func into(scopes ...secret.Scope) func(*syncing.Request) {
	return func(r *syncing.Request) { r.Options.Scopes = scopes }
}

// sync runs and holds the law of counting against the result.
func (w *world) sync(v values, change ...func(*syncing.Request)) syncing.Result {
	w.t.Helper()
	res, err := w.svc.Sync(w.t.Context(), w.request(v, change...))
	if err != nil {
		w.t.Fatalf("sync: %v", err)
	}
	w.counts(res)
	return res
}

// counts: every selected secret is synced, skipped, or among the errors, and in one of them only;
// and what is stored of the run says the same.
func (w *world) counts(res syncing.Result) {
	w.t.Helper()
	wrong, acted := map[string]bool{}, map[string]bool{}
	for _, e := range res.Errors {
		wrong[e.SecretName] = true
	}
	for _, a := range res.Actions {
		acted[a.SecretName.String()] = true
	}
	run, found, err := w.db.Run(context.Background(), res.CorrelationID)
	if err != nil || !found {
		w.t.Fatalf("run %s: %v, found %v", res.CorrelationID, err, found)
	}
	if res.SyncedCount+res.SkippedCount+len(wrong) != run.Total || len(acted) > run.Total {
		w.t.Errorf("synced %d + skipped %d + wrong %d do not make %d selected, %d acted on", res.SyncedCount, res.SkippedCount, len(wrong), run.Total, len(acted))
	}
	if run.Synced != res.SyncedCount || run.Skipped != res.SkippedCount || run.Failed != len(wrong) {
		w.t.Errorf("the run is stored as %d, %d, %d, not %d, %d, %d", run.Synced, run.Skipped, run.Failed, res.SyncedCount, res.SkippedCount, len(wrong))
	}
}

// converged is the law of the whole product: nothing is left to do.
func (w *world) converged(v values, change ...func(*syncing.Request)) {
	w.t.Helper()
	again, err := w.svc.Plan(w.t.Context(), w.request(v, change...))
	if err != nil {
		w.t.Fatalf("plan: %v", err)
	}
	if !again.Empty {
		w.t.Errorf("not in step: %+v", again.Actions)
	}
}

// holds says that a scope has exactly these values.
func (w *world) holds(scope secret.Scope, want values) {
	w.t.Helper()
	got := values{}
	for _, s := range w.sim.Secrets(repo, scope.String()) {
		got[s.Name] = s.Value
	}
	if !maps.Equal(got, want) {
		w.t.Errorf("%s holds %v\nwant %v", scope, slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(want)))
		for n, v := range want {
			if got[n] != v {
				w.t.Errorf("%s %s is %q, want %q", scope, n, got[n], v)
			}
		}
	}
}

func (w *world) everywhere(want values) {
	w.t.Helper()
	for _, scope := range syncing.DefaultScopes(false) {
		w.holds(scope, want)
	}
}

// edit changes a target behind our back, some seconds later.
func (w *world) edit(scope secret.Scope, name, value string) {
	w.sim.Advance(5 * time.Second)
	w.sim.SetSecret(repo, scope.String(), githubsim.Secret{Name: name, Value: value})
	w.sim.Advance(5 * time.Second)
}

// intact walks the audit chain.
func (w *world) intact() syncing.Verified {
	w.t.Helper()
	ref, _ := github.ParseRef(repo)
	v, err := w.svc.VerifyTrail(context.Background(), ref, "")
	if err != nil {
		w.t.Fatal(err)
	}
	if !v.Intact {
		w.t.Errorf("audit chain: %+v", v)
	}
	return v
}
