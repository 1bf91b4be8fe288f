package environment_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// A law that breaks prints the seed that breaks it; no file is left in the tree.
	if err := flag.Set("rapid.nofailfile", "true"); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

const repo = "acme/widgets"

// A world is a simulated GitHub with one repository and a reviewer, a database, and the service
// between them.
type world struct {
	t        testing.TB
	sim      *githubsim.GitHub
	url      string
	signs    github.Credential
	db       *store.Store
	svc      *environment.Service
	log      safeBuffer
	reviewer int64
}

// A safeBuffer is a log that several requests write.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// quick are the times of an apply, as short as a test can afford.
var quick = environment.Settings{
	Lease: store.LeaseTimes{Heartbeat: 50 * time.Millisecond, Lapse: 1500 * time.Millisecond, Grace: 100 * time.Millisecond},
	Lag:   []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond},
}

func newWorld(t testing.TB, change ...func(*githubsim.Repository)) *world {
	t.Helper()
	w := &world{t: t, sim: githubsim.New(githubsim.Config{})}
	r := githubsim.Repository{FullName: repo}
	for _, c := range change {
		c(&r)
	}
	w.sim.AddRepository(r)
	w.reviewer = w.sim.AddUser("hubot")
	w.sim.AddCollaborator(repo, "hubot", githubsim.RoleRead)
	w.url = conform.Server(t, w.sim)
	db, err := store.Open(t.Context(), store.Config{DSN: "sqlite::memory:"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	w.signs = github.Token(w.sim.AddToken(githubsim.Token{}), "the test's token")
	w.svc = w.service()
	return w
}

// service returns another process's service on the same GitHub and database, changed as told.
func (w *world) service(change ...func(*environment.Config)) *environment.Service {
	w.t.Helper()
	client, err := github.New(github.Config{
		BaseURL: w.url, Credential: w.signs,
		Retry: github.Retry{Base: time.Millisecond, Cap: 5 * time.Millisecond},
		Log:   slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(client.CloseIdle)
	u, err := url.Parse(w.url)
	if err != nil {
		w.t.Fatal(err)
	}
	c := environment.Config{
		GitHub: client, Store: w.db, APIHost: u.Host, Holder: "test", Settings: quick,
		Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}
	for _, ch := range change {
		ch(&c)
	}
	return environment.New(c)
}

func (w *world) project() store.Project {
	w.t.Helper()
	ref, err := github.ParseRef(repo)
	if err != nil {
		w.t.Fatal(err)
	}
	p, err := w.svc.Project(context.Background(), ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) request(asked ...environment.Asked) environment.Request {
	w.t.Helper()
	return environment.Request{Project: w.project(), Actor: store.Local, Environments: asked}
}

// apply applies and expects an answer; faults inside it are the test's to judge.
func (w *world) apply(asked ...environment.Asked) environment.Result {
	w.t.Helper()
	res, err := w.svc.Apply(w.t.Context(), w.request(asked...))
	if err != nil {
		w.t.Fatalf("apply: %v", err)
	}
	return res
}

// done is apply that has to go well, and be all there was to do.
func (w *world) done(asked ...environment.Asked) environment.Result {
	w.t.Helper()
	res := w.apply(asked...)
	if !res.InStep() {
		w.t.Fatalf("apply: %+v", res.Errors)
	}
	w.converged(asked...)
	return res
}

func (w *world) plan(asked ...environment.Asked) environment.Preview {
	w.t.Helper()
	p, err := w.svc.Plan(w.t.Context(), w.request(asked...))
	if err != nil {
		w.t.Fatalf("plan: %v", err)
	}
	return p
}

// converged is the law: nothing is left to do.
func (w *world) converged(asked ...environment.Asked) {
	w.t.Helper()
	if p := w.plan(asked...); !p.Empty {
		w.t.Errorf("not in step: %+v", p.Actions)
	}
}

// validate validates the environments of these names, or all that were applied.
func (w *world) validate(tiers ...environment.Tier) environment.Validation {
	w.t.Helper()
	v, err := w.svc.Validate(w.t.Context(), environment.ValidateRequest{Project: w.project(), Actor: store.Local, Environments: tiers})
	if err != nil {
		w.t.Fatalf("validate: %v", err)
	}
	return v
}

func ptr[T any](v T) *T { return &v }

// asked is an environment with secrets; each value is told by its name.
func asked(name string, r environment.Rules, secrets ...string) environment.Asked {
	a := environment.Asked{Name: name, Rules: r}
	for _, s := range secrets {
		a.Secrets = append(a.Secrets, value(s, name+" "+s))
	}
	return a
}

func value(name, v string) environment.Value {
	return environment.Value{Name: name, Value: secret.NewPlaintext([]byte(v))}
}

// three are the environments of an ordinary project.
func (w *world) three(secrets ...string) []environment.Asked {
	reviewed := environment.Rules{ReviewerIDs: []int64{w.reviewer}}
	production := reviewed
	production.WaitTimer = ptr(30)
	return []environment.Asked{
		asked("dev", environment.Rules{}, secrets...), asked("staging", reviewed, secrets...), asked("production", production, secrets...),
	}
}

// shows is an environment as an administrator sees it.
func (w *world) shows(name string) githubsim.Environment {
	w.t.Helper()
	e, there := w.sim.Environment(repo, name)
	if !there {
		w.t.Fatalf("GitHub has no environment %s", name)
	}
	return e
}

// holds says that an environment has exactly these secrets, as asked makes them.
func (w *world) holds(name string, secrets ...string) {
	w.t.Helper()
	var got, want []string
	for _, s := range w.sim.Secrets(repo, "environment:"+name) {
		got = append(got, s.Name+"="+s.Value)
	}
	for _, s := range secrets {
		want = append(want, s+"="+name+" "+s)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		w.t.Errorf("%s holds %v, want %v", name, got, want)
	}
}

// config is what is remembered of an environment.
func (w *world) config(name string) (store.EnvironmentConfig, bool) {
	w.t.Helper()
	configs, err := w.db.EnvironmentConfigs(context.Background(), w.project().ID)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, c := range configs {
		if c.Name == name {
			return c, true
		}
	}
	return store.EnvironmentConfig{}, false
}

// events are those of the project, oldest first, and the chain they stand on has to be whole.
func (w *world) events() []audit.Event {
	w.t.Helper()
	anchor, head, all, err := w.db.Chain(context.Background(), w.project().ID)
	if err != nil {
		w.t.Fatal(err)
	}
	var events []audit.Event
	reached, err := audit.Verify(anchor, func(yield func(audit.Event, error) bool) {
		for e, err := range all {
			events = append(events, e)
			if !yield(e, err) {
				return
			}
		}
	})
	if err != nil || reached.Hash != head.Hash {
		w.t.Errorf("audit chain: %v", err)
	}
	return events
}

// told are events in short: operation, secret, scopes, status.
func told(events []audit.Event) []string {
	var out []string
	for _, e := range events {
		name := "-"
		if e.SecretName != nil {
			name = *e.SecretName
		}
		out = append(out, fmt.Sprintf("%s %s %v %s", e.Operation, name, e.AffectedScopes, e.Status))
	}
	return out
}

// codes are the errors in short: environment and code.
func codes(failures []environment.Failure) []string {
	out := []string{}
	for _, f := range failures {
		out = append(out, f.Environment+" "+string(f.Code))
	}
	return out
}

func same(t testing.TB, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func isCode(t testing.TB, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%v, want %s", err, code)
	}
}

// reads says which of the requests were not conditional reads.
func unconditional(requests []githubsim.Request) []string {
	var out []string
	for _, r := range requests {
		if !r.Conditional || r.Write() || r.Status != 304 {
			out = append(out, fmt.Sprintf("%s %s %d", r.Method, strings.TrimPrefix(r.Path, "/repos/"+repo), r.Status))
		}
	}
	return out
}
