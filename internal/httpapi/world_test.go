package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"go.uber.org/goleak"
)

// The regular expressions' clock sleeps on for a moment after the last match, and so do connections
// that the test's client keeps.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}

const repo = "acme/widgets"

// A world is a simulated GitHub, a database, a worker on its queue, and the API before them.
type world struct {
	t       testing.TB
	sim     *githubsim.GitHub
	api     string // its URL
	hub     *github.Client
	db      *store.Store
	service *syncing.Service
	envs    *environment.Service
	srv     *server
	http    *httptest.Server
	client  *http.Client
	project store.Project
	log     locked

	mu     sync.Mutex
	values []string // of the source local, as an environment spells them
}

// A locked buffer takes logs from many goroutines.
type locked struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func newWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	return newWorldOn(t, "sqlite::memory:", change...)
}

func newWorldOn(t testing.TB, dsn string, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, sim: githubsim.New(githubsim.Config{}), values: []string{"V_API_KEY=key-canary", "V_DB_URL=db-canary"}}
	w.sim.AddRepository(githubsim.Repository{FullName: repo})
	w.sim.AddRepository(githubsim.Repository{FullName: "acme/gadgets"})
	base := conform.Server(t, w.sim)
	w.api = base
	var err error
	w.db, err = store.Open(context.Background(), store.Config{DSN: dsn, Queue: true})
	must(t, err)
	t.Cleanup(func() { _ = w.db.Close() })
	hub, err := github.New(github.Config{
		BaseURL: base, Credential: github.Token(w.sim.AddToken(githubsim.Token{}), "the test's token"),
		Retry: github.Retry{Base: time.Millisecond, Cap: 5 * time.Millisecond},
	})
	must(t, err)
	t.Cleanup(hub.CloseIdle)
	host, err := url.Parse(base)
	must(t, err)
	w.hub = hub
	w.service = w.newService(host.Host, false)
	w.envs = environment.New(environment.Config{
		GitHub: hub, Store: w.db, APIHost: host.Host, Holder: "test",
		Settings: environment.Settings{
			Lease: store.LeaseTimes{Heartbeat: 50 * time.Millisecond, Lapse: 300 * time.Millisecond, Grace: 100 * time.Millisecond},
			Lag:   []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond},
		},
	})
	w.serve(host.Host, change...)
	w.project = w.addProject(repo, "source:local")
	return w
}

func (w *world) newService(host string, relayed bool) *syncing.Service {
	gh, err := github.ParseRef(repo)
	must(w.t, err)
	sources, err := syncing.NewSources([]syncing.Origin{{Name: "local", From: "env:V_", Repositories: []github.Ref{gh}}}, source.Options{
		Environ: func() []string {
			w.mu.Lock()
			defer w.mu.Unlock()
			return append([]string(nil), w.values...)
		},
	})
	must(w.t, err)
	return syncing.New(syncing.Config{
		GitHub: w.hub, Store: w.db, Sources: sources, Relay: relayed, APIHost: host, Holder: "test",
		Settings: syncing.Settings{
			Lease: store.LeaseTimes{Heartbeat: 50 * time.Millisecond, Lapse: 300 * time.Millisecond, Grace: 100 * time.Millisecond},
			Lag:   []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond},
		},
	})
}

// serve starts the API. Rates are raised: those tests that are about them set their own.
func (w *world) serve(host string, change ...func(*Config)) {
	plenty := Rate{PerMinute: 600_000, Burst: 600_000}
	c := Config{
		Store: w.db, Service: w.service, Environments: w.envs, APIHost: host, HookSecrets: []string{"old secret", hookSecret}, Deliver: w.deliver,
		UserRate: plenty, ProjectRate: plenty, TokenCache: time.Millisecond, Version: "test",
		Log: slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, do := range change {
		do(&c)
	}
	w.srv = newServer(c)
	w.http = httptest.NewServer(w.srv)
	w.client = w.http.Client()
	w.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	w.t.Cleanup(w.http.Close)
}

// work carries out the queue's runs until the test ends.
func (w *world) work() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		err := w.db.Work(ctx, store.WorkConfig{Grace: time.Second, Workers: map[string]store.Worker{
			store.SyncJob: func(ctx context.Context, job store.Job) error {
				var order syncing.Order
				if err := json.Unmarshal(job.Args, &order); err != nil {
					return err
				}
				run, _, err := w.db.Run(ctx, job.Run)
				if err != nil {
					return err
				}
				bound, err := w.service.For(ctx, job.Project)
				if err != nil {
					return err
				}
				_, _ = bound.Run(ctx, run, order, nil) // how it ended stands in its row
				return nil
			},
		}})
		if err != nil {
			w.t.Error(err)
		}
	}()
	w.t.Cleanup(func() { stop(); <-done })
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) addProject(fullName, source string) store.Project {
	w.t.Helper()
	ref, err := github.ParseRef(fullName)
	must(w.t, err)
	found, err := w.service.Repository(context.Background(), ref)
	must(w.t, err)
	p, err := w.db.EnsureProject(context.Background(), time.Now(), store.Project{
		APIHost: w.srv.APIHost, Owner: found.Owner, Repo: found.Name, RepositoryID: found.ID, DefaultBranch: found.DefaultBranch, ValueSource: source,
	})
	must(w.t, err)
	return p
}

// token returns a token of a user who is made with that role in the world's project; platform makes
// a platform admin, anyone nobody's member.
func (w *world) token(login string, role store.Role, change ...func(*store.Token)) string {
	w.t.Helper()
	ctx := context.Background()
	u, err := w.db.EnsureUser(ctx, time.Now(), login)
	must(w.t, err)
	switch role {
	case platform:
		must(w.t, w.db.SetAdmin(ctx, time.Now(), u.ID, true))
	case anyone:
	default:
		must(w.t, w.db.SetMember(ctx, time.Now(), w.project.ID, u.ID, role))
	}
	token, hash := MintToken()
	t := store.Token{UserID: u.ID, Role: store.Admin, Hash: hash, ExpiresAt: time.Now().Add(time.Hour)}
	for _, do := range change {
		do(&t)
	}
	_, err = w.db.CreateToken(ctx, time.Now(), t)
	must(w.t, err)
	return token
}

// A reply is an answer as a test looks at it.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// send sends a request; a body that is no string or bytes is sent as JSON.
func (w *world) send(token, method, path string, body any, change ...func(*http.Request)) reply {
	w.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	case []byte:
		r = bytes.NewReader(b)
	default:
		raw, err := json.Marshal(b)
		must(w.t, err)
		r = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, w.http.URL+path, r)
	must(w.t, err)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, do := range change {
		do(req)
	}
	res, err := w.client.Do(req)
	must(w.t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(w.t, err)
	return reply{t: w.t, status: res.StatusCode, header: res.Header, body: raw}
}

// into holds the status against what is wanted and reads the body.
func (r reply) into(status int, v any) {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	if v != nil {
		if err := json.Unmarshal(r.body, v); err != nil {
			r.t.Fatalf("%v: %s", err, r.body)
		}
	}
}

// refused holds that the answer is the envelope, whole, with that status and code.
func (r reply) refused(status int, code string) fault.Problem {
	r.t.Helper()
	p := r.envelope()
	if r.status != status || string(p.Code) != code {
		r.t.Errorf("status %d %s, want %d %s: %s", r.status, p.Code, status, code, r.body)
	}
	return p
}

// unfilled is a place in the table's text for which the context had nothing.
var unfilled = regexp.MustCompile(`\{[a-z]\w*\}`)

// envelope holds that the answer is the envelope with every field of it.
func (r reply) envelope() fault.Problem {
	r.t.Helper()
	var fields struct {
		Error map[string]json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(r.body, &fields); err != nil {
		r.t.Fatalf("status %d, no envelope: %s", r.status, r.body)
	}
	for _, field := range []string{"code", "message", "severity", "retryPolicy", "requestId", "timestamp", "context", "hint", "causeChain"} {
		if _, ok := fields.Error[field]; !ok {
			r.t.Fatalf("status %d, the envelope has no %s: %s", r.status, field, r.body)
		}
	}
	var e fault.Envelope
	if err := json.Unmarshal(r.body, &e); err != nil {
		r.t.Fatal(err)
	}
	if e.Problem.RequestID == uuid.Nil || e.Problem.RequestID.String() != r.header.Get(requestIDHeader) {
		r.t.Errorf("request id %s, header %s", e.Problem.RequestID, r.header.Get(requestIDHeader))
	}
	if e.Problem.Context == nil || e.Problem.CauseChain == nil || e.Problem.Message == "" || unfilled.MatchString(e.Problem.Message+e.Problem.Hint) {
		r.t.Errorf("envelope: %s", r.body)
	}
	if kind := r.header.Get("Content-Type"); kind != "application/json" {
		r.t.Errorf("content type %s", kind)
	}
	return e.Problem
}
