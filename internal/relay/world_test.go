package relay

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"log/slog"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

const widgets = "acme/widgets"

// A world is a simulated GitHub with a repository whose values stand in Actions, a database, and a
// relay before them. Jobs are played by the test.
type world struct {
	t       testing.TB
	sim     *githubsim.GitHub
	db      *store.Store
	service *syncing.Service
	issuer  *issuer
	server  *Server
	project store.Project
	repo    github.Repository
	log     *noise
	jobs    int64 // workflow runs started so far
	claimed map[string]int
	mu      sync.Mutex
}

// Noise is a log that several goroutines write.
type noise struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (n *noise) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.Write(p)
}

func (n *noise) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.b.String()
}

var hashKey = []byte("the deployment's key of the tests")

func newRelayWorld(t testing.TB, change ...func(*Config)) *world {
	t.Helper()
	return newRelayWorldOn(t, "sqlite::memory:", change...)
}

func newRelayWorldOn(t testing.TB, dsn string, change ...func(*Config)) *world {
	t.Helper()
	w := &world{t: t, sim: githubsim.New(githubsim.Config{}), issuer: newIssuer(t), log: &noise{}, claimed: map[string]int{}}
	w.sim.AddRepository(githubsim.Repository{FullName: widgets})
	for name, value := range values {
		w.sim.SetSecret(widgets, "actions", githubsim.Secret{Name: name, Value: value, UpdatedAt: w.sim.Now().Add(-time.Hour)})
	}
	base := conform.Server(t, w.sim)
	var err error
	w.db, err = store.Open(context.Background(), store.Config{DSN: dsn, Queue: true})
	check(t, err)
	t.Cleanup(func() { _ = w.db.Close() })
	hub, err := github.New(github.Config{
		BaseURL: base, Credential: github.Token(w.sim.AddToken(githubsim.Token{}), "the test's token"),
		Retry:    github.Retry{Base: time.Millisecond, Cap: 5 * time.Millisecond},
		Governor: github.NewGovernor(github.Limits{Concurrent: 100, PointsPerMinute: 1_000_000}), // GitHub's pace is not ours to measure
	})
	check(t, err)
	t.Cleanup(hub.CloseIdle)
	host, err := url.Parse(base)
	check(t, err)
	w.service = syncing.New(syncing.Config{
		GitHub: hub, Store: w.db, Relay: true, APIHost: host.Host, Holder: "test",
		Settings: syncing.Settings{
			Lease: store.LeaseTimes{Heartbeat: 50 * time.Millisecond, Lapse: 300 * time.Millisecond, Grace: 100 * time.Millisecond},
			Lag:   []time.Duration{20 * time.Millisecond, 40 * time.Millisecond, 80 * time.Millisecond}, HashKey: hashKey,
		},
	})
	w.repo, err = w.service.Repository(context.Background(), github.Ref{Owner: "acme", Name: "widgets"})
	check(t, err)
	w.project, err = w.db.EnsureProject(context.Background(), time.Now(), store.Project{
		APIHost: host.Host, Owner: "acme", Repo: "widgets", RepositoryID: w.repo.ID, DefaultBranch: w.repo.DefaultBranch, ValueSource: "relay",
	})
	check(t, err)
	w.server = w.newServer(change...)
	return w
}

// values are what the repository has in Actions.
var values = map[string]string{"API_KEY": "key-canary", "DB_URL": "db-canary", "ZIP": "zip-canary"}

// newServer is another process of the service, on the same database.
func (w *world) newServer(change ...func(*Config)) *Server {
	c := Config{
		Store: w.db, Service: w.service, APIHost: w.project.APIHost, Issuer: w.issuer.URL, Audience: audience, WaitLimit: 20 * time.Second,
		Metrics: Metrics{Claimed: func(outcome string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.claimed[outcome]++
		}},
		Log: slog.New(slog.NewTextHandler(w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, do := range change {
		do(&c)
	}
	s := NewServer(c)
	w.t.Cleanup(func() {
		ctx, stop := context.WithTimeout(context.Background(), 5*time.Second)
		defer stop()
		s.Drain(ctx)
	})
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wait has a run wait for its job, as if it had been dispatched just now.
func (w *world) wait(o syncing.Order) store.Run {
	w.t.Helper()
	ctx := context.Background()
	args, err := json.Marshal(o)
	check(w.t, err)
	run, _, err := w.db.StartRun(ctx, time.Now(), store.Run{Project: w.project.ID, Actor: store.Scheduler, Trigger: store.Manual},
		store.StartOptions{OptionsHash: o.Hash(), Args: args})
	check(w.t, err)
	w.jobs++
	check(w.t, w.db.NoteDispatch(ctx, time.Now(), run.ID, 1000+w.jobs))
	return w.run(run.ID)
}

func (w *world) run(id uuid.UUID) store.Run {
	w.t.Helper()
	run, found, err := w.db.Run(context.Background(), id)
	check(w.t, err)
	if !found {
		w.t.Fatalf("no run %s", id)
	}
	return run
}

// events are those of the project's audit trail, the newest first.
func (w *world) events() []audit.Event {
	w.t.Helper()
	events, _, err := w.db.Events(context.Background(), store.Filter{Project: w.project.ID, Limit: 50})
	check(w.t, err)
	return events
}

// token is one of the job that was dispatched for run, changed in pairs.
func (w *world) token(run store.Run, change ...any) string {
	return w.issuer.token(append([]any{
		"repository_id", decimal(w.repo.ID), "repository_owner_id", decimal(w.repo.OwnerID), "run_id", decimal(run.WorkflowRun),
	}, change...)...)
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }

func (w *world) claim(run store.Run, change ...any) Claim {
	w.t.Helper()
	c, err := w.server.Claim(context.Background(), w.token(run, change...), ClaimRequest{Version: Version, SyncID: run.ID.String()})
	check(w.t, err)
	return c
}

// seal does what a job does with a claim: a hash and a box for each scope.
func (w *world) seal(c Claim, name, value string) Sealed {
	w.t.Helper()
	plain := secret.NewPlaintext([]byte(value))
	sealed := Sealed{Name: name, Hash: plainHash(value)}
	if c.Hash != nil {
		key, err := base64.StdEncoding.DecodeString(c.Hash.Key)
		check(w.t, err)
		sealed.Hash = secret.DerivedHasher(key, c.Hash.KeyID).Hash(plain).String()
	}
	for _, wanted := range c.Names {
		if wanted.Name != name {
			continue
		}
		for _, scope := range wanted.Scopes {
			sealed.Boxes = append(sealed.Boxes, w.box(c, scope, plain))
		}
	}
	return sealed
}

func plainHash(value string) string {
	sum := sha256.Sum256([]byte(value))
	return hex.EncodeToString(sum[:])
}

func (w *world) box(c Claim, scope string, value secret.Plaintext) Box {
	w.t.Helper()
	for _, k := range c.Keys {
		if k.Scope != scope {
			continue
		}
		parsed, err := secret.ParseScope(scope)
		check(w.t, err)
		key, err := secret.ParsePublicKey(parsed, k.KeyID, k.Key)
		check(w.t, err)
		box, err := secret.Seal(value, key)
		check(w.t, err)
		return Box{Scope: scope, KeyID: k.KeyID, Box: box.Ciphertext()}
	}
	w.t.Fatalf("no key for %s", scope)
	return Box{}
}

// all are the batches with the values of every name asked for.
func (w *world) all(c Claim) []Boxes {
	w.t.Helper()
	var batches []Boxes
	for i, wanted := range c.Names {
		if i%MaxBatchSecrets == 0 {
			batches = append(batches, Boxes{Version: Version, SyncID: c.SyncID.String()})
		}
		last := &batches[len(batches)-1]
		value, ok := w.sim.Value(widgets, "actions", wanted.Name)
		if !ok {
			w.t.Fatalf("%s is asked for, and not in Actions", wanted.Name)
		}
		last.Secrets = append(last.Secrets, w.seal(c, wanted.Name, value))
	}
	return batches
}

func (w *world) send(c Claim, batches ...Boxes) {
	w.t.Helper()
	for _, b := range batches {
		_, err := w.server.Boxes(context.Background(), c.Session, b)
		check(w.t, err)
	}
}

func (w *world) finish(c Claim) Report {
	w.t.Helper()
	r, err := w.server.Finish(context.Background(), c.Session, FinishRequest{Version: Version, SyncID: c.SyncID.String()})
	check(w.t, err)
	return r
}

// relayAll plays a job from beginning to end.
func (w *world) relayAll(run store.Run) Report {
	w.t.Helper()
	c := w.claim(run)
	w.send(c, w.all(c)...)
	return w.finish(c)
}

// inStep holds that every target has what Actions has, as the simulator opened it.
func (w *world) inStep(names ...string) {
	w.t.Helper()
	for _, name := range names {
		want, _ := w.sim.Value(widgets, "actions", name)
		for _, scope := range []string{"codespaces", "dependabot"} {
			if got, _ := w.sim.Value(widgets, scope, name); got != want {
				w.t.Errorf("%s has %q for %s", scope, got, name)
			}
		}
	}
}

// denied holds that err is a denial for that reason.
func denied(t testing.TB, what string, err error, why Denial) {
	t.Helper()
	if denialOf(err) != why {
		t.Errorf("%s: %v, want %s", what, err, why)
	}
}

// refused holds that err has a code.
func refused(t testing.TB, what string, err error, code fault.Code) {
	t.Helper()
	if !fault.Is(err, code) {
		t.Errorf("%s: %v, want %s", what, err, code)
	}
}
