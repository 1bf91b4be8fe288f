package syncing_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

const hashKey = "the hash key of the deployment"

// A relayed world has a project whose values stand in Actions, and a service that jobs can reach.
type relayed struct {
	*world
	service *syncing.Service
	project store.Project
	dir     string // of the database
}

func newRelayed(t *testing.T, actions values) *relayed {
	w := newWorld(t)
	r := &relayed{world: w, dir: t.TempDir()}
	db, err := store.Open(t.Context(), store.Config{DSN: "sqlite:" + filepath.Join(r.dir, "octoseal.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	w.svc = w.service(w.token)
	r.service = w.service(w.token, func(c *syncing.Config) { c.Relay, c.Settings.HashKey = true, []byte(hashKey) })
	found, err := r.service.Repository(t.Context(), github.Ref{Owner: "acme", Name: "widgets"})
	if err != nil {
		t.Fatal(err)
	}
	r.project, err = w.db.EnsureProject(t.Context(), time.Now(), store.Project{
		APIHost: w.host(), Owner: "acme", Repo: "widgets", RepositoryID: found.ID, ValueSource: "relay", AutoSync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range actions {
		w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: name, Value: v})
	}
	w.sim.Advance(time.Minute)
	return r
}

func (r *relayed) bound() *syncing.Bound { return r.service.Bind(r.project) }

// asked is a run that has asked for its values, having seen what it needs.
func (r *relayed) asked() (store.Run, syncing.Need) {
	r.t.Helper()
	run := store.Run{ID: uuid.New(), Project: r.project.ID, Actor: store.Scheduler, Trigger: store.Polled, State: store.Queued, StartedAt: time.Now()}
	if err := r.db.BeginRun(r.t.Context(), run); err != nil {
		r.t.Fatal(err)
	}
	need := r.need(run)
	err := r.db.BeginDispatch(r.t.Context(), time.Now(), store.DispatchRequest{
		Project: run.Project, Run: run.ID, AskedAt: need.SeenAt, Limit: 100, Within: time.Hour,
	})
	if err == nil {
		err = r.db.NoteDispatch(r.t.Context(), time.Now(), run.ID, 77)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return r.stored(run.ID), need
}

func (r *relayed) stored(id uuid.UUID) store.Run {
	r.t.Helper()
	run, found, err := r.db.Run(r.t.Context(), id)
	if err != nil || !found {
		r.t.Fatalf("run: %v, found %v", err, found)
	}
	return run
}

func (r *relayed) need(run store.Run) syncing.Need {
	r.t.Helper()
	need, err := r.bound().Needs(r.t.Context(), run, syncing.Order{})
	if err != nil {
		r.t.Fatal(err)
	}
	return need
}

// needs says which names are needed, each with its scopes.
func needs(n syncing.Need) string {
	var all []string
	for _, name := range n.Names {
		for _, scope := range name.Scopes {
			all = append(all, name.Name.String()+" "+scope.String())
		}
	}
	return strings.Join(all, ", ")
}

// brought is what a job of the repository makes of a need, with the values that stand in Actions now.
func (r *relayed) brought(need syncing.Need) syncing.Relayed {
	r.t.Helper()
	out := syncing.Relayed{Boxes: map[secret.Name]map[secret.Scope]secret.Box{}, Hashes: map[secret.Name]secret.Hash{}, Unusable: map[secret.Name]*fault.Fault{}}
	key, keyID, _ := need.Hasher.Derived()
	hasher := secret.DerivedHasher(bytes.Clone(key.Expose()), keyID)
	for _, n := range need.Names {
		text, _ := r.sim.Value(repo, "actions", n.Name.String())
		if text == "" {
			out.Unusable[n.Name] = fault.Invalid("Secret %s is empty", n.Name)
			continue
		}
		value := secret.NewPlaintext([]byte(text))
		out.Hashes[n.Name], out.Boxes[n.Name] = hasher.Hash(value), map[secret.Scope]secret.Box{}
		for _, scope := range n.Scopes {
			box, err := secret.Seal(value, need.Keys[scope])
			if err != nil {
				r.t.Fatal(err)
			}
			out.Boxes[n.Name][scope] = box
		}
	}
	return out
}

func (r *relayed) apply(run store.Run, with syncing.Relayed) syncing.Result {
	r.t.Helper()
	res, err := r.bound().Apply(r.t.Context(), run, syncing.Order{}, with, nil)
	if err != nil {
		r.t.Fatalf("apply: %v", err)
	}
	r.counts(res)
	return res
}

// inStep brings everything in step by way of a job.
func (r *relayed) inStep() syncing.Result {
	r.t.Helper()
	run, need := r.asked()
	return r.apply(run, r.brought(need))
}

// targets says that Codespaces and Dependabot hold exactly these values.
func (r *relayed) targets(want values) {
	r.t.Helper()
	r.holds(secret.Codespaces, want)
	r.holds(secret.Dependabot, want)
}

func (r *relayed) setActions(name, value string) {
	r.sim.Advance(5 * time.Second)
	r.sim.SetSecret(repo, "actions", githubsim.Secret{Name: name, Value: value})
	r.sim.Advance(5 * time.Second)
}

func TestValuesThatAJobBrings(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one-canary", "TWO": "two-canary", "RUNNER_X": "excluded-canary"})
	run, need := r.asked()
	if got := needs(need); got != "ONE codespaces, ONE dependabot, TWO codespaces, TWO dependabot" || len(need.Keys) != 2 || need.Repository.FullName() != repo {
		t.Fatalf("needed: %s, for %d keys of %s", got, len(need.Keys), need.Repository.FullName())
	}
	if c := r.sim.Counts(); c.Writes != 0 {
		t.Errorf("%d writes while asking", c.Writes)
	}
	box := r.brought(need)
	res := r.apply(run, box)
	if res.SyncedCount != 2 || !res.InStep() || res.CorrelationID != run.ID {
		t.Errorf("%+v", res)
	}
	r.targets(values{"ONE": "one-canary", "TWO": "two-canary"})
	if again := r.need(store.Run{ID: uuid.New()}); len(again.Names) != 0 || len(again.Keys) != 0 || !again.Plan.Empty() {
		t.Errorf("not converged: %s", needs(again))
	}
	if record := r.stored(run.ID); record.State != store.Succeeded || record.Writes != 4 {
		t.Errorf("%s after %d writes", record.State, record.Writes)
	}
	m, _ := r.mapping("ONE")
	if want := need.Hasher.Hash(secret.NewPlaintext([]byte("one-canary"))); !m.Hash.Same(want) || want.KeyID() == "" {
		t.Errorf("the hash stored is %s", m.Hash)
	}
	r.intact()
	r.clean(box, need)
}

// clean searches the database and the log for what must be in neither.
func (r *relayed) clean(with syncing.Relayed, need syncing.Need) {
	r.t.Helper()
	dump := r.log.String()
	for _, p := range r.events() {
		raw, err := json.Marshal(p)
		if err != nil {
			r.t.Fatal(err)
		}
		dump += string(raw)
	}
	files, err := filepath.Glob(filepath.Join(r.dir, "*"))
	if err != nil || len(files) == 0 {
		r.t.Fatalf("%v: %d files of the database", err, len(files))
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		dump += string(raw)
	}
	if !strings.Contains(dump, need.Hasher.KeyID()) {
		r.t.Error("the search sees nothing")
	}
	key, _, _ := need.Hasher.Derived()
	raw := key.Expose()
	canaries := []string{"-canary", hashKey, string(raw), hex.EncodeToString(raw), base64.StdEncoding.EncodeToString(raw)}
	for _, boxes := range with.Boxes {
		for _, b := range boxes {
			canaries = append(canaries, b.Ciphertext())
		}
	}
	for _, c := range canaries {
		if strings.Contains(dump, c) {
			r.t.Errorf("%q is in the log, the trail or the database", c)
		}
	}
}

func (r *relayed) events() []audit.Event {
	r.t.Helper()
	all, _, err := r.bound().Events(r.t.Context(), store.Filter{Limit: 100})
	if err != nil {
		r.t.Fatal(err)
	}
	return all
}

// Only what changed is asked for, and a value that turns out the same is not written again.
func TestOnlyTheChangedIsAskedFor(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one", "TWO": "two"})
	r.inStep()
	r.setActions("ONE", "changed")
	run, need := r.asked()
	if got := needs(need); got != "ONE codespaces, ONE dependabot" {
		t.Fatalf("needed: %s", got)
	}
	if res := r.apply(run, r.brought(need)); res.SyncedCount != 1 || res.SkippedCount != 1 {
		t.Errorf("%+v", res)
	}
	r.targets(values{"ONE": "changed", "TWO": "two"})

	r.setActions("TWO", "two")
	run, need = r.asked()
	if got := needs(need); got != "TWO codespaces, TWO dependabot" {
		t.Fatalf("needed: %s", got)
	}
	before := r.sim.Counts().Writes
	if res := r.apply(run, r.brought(need)); res.SyncedCount != 0 || res.SkippedCount != 2 {
		t.Errorf("%+v", res)
	}
	if n := r.sim.Counts().Writes - before; n != 0 {
		t.Errorf("%d writes of a value that is there", n)
	}
	if again := r.need(run); len(again.Names) != 0 {
		t.Errorf("asked for again: %s", needs(again))
	}
}

// A secret without a usable value is an error in each of its scopes, and no reason to do less for others.
func TestANameWithoutAValue(t *testing.T) {
	r := newRelayed(t, values{"FULL": "full", "EMPTY": "", "GONE": "gone"})
	r.inStep()
	r.sim.DeleteSecret(repo, "actions", "GONE")
	r.setActions("BIG", "big")
	run, need := r.asked()
	with := r.brought(need)
	big := secret.MustName("BIG")
	delete(with.Boxes, big)
	delete(with.Hashes, big)
	with.Unusable[big] = fault.New(fault.ValueTooLarge, fault.Context{"secretName": "BIG", "size": 50000, "limit": secret.MaxValueSize})
	res := r.apply(run, with)
	var wrong []string
	for _, e := range res.Errors {
		wrong = append(wrong, e.SecretName+" "+e.Scope+" "+string(e.Code))
	}
	want := []string{
		"BIG codespaces GITHUB_SECRETS_VALUE_TOO_LARGE", "BIG dependabot GITHUB_SECRETS_VALUE_TOO_LARGE",
		"EMPTY codespaces REQUEST_INVALID", "EMPTY dependabot REQUEST_INVALID",
	}
	if !slices.Equal(wrong, want) || !strings.Contains(res.Errors[0].Error, "50000") || !strings.Contains(res.Errors[2].Error, "empty") {
		t.Errorf("%+v", res.Errors)
	}
	r.targets(values{"FULL": "full"}) // GONE was deleted all the same
	m, _ := r.mapping("EMPTY")
	if m.Status != store.Failed || !strings.Contains(m.Error, "empty") {
		t.Errorf("EMPTY is %s: %s", m.Status, m.Error)
	}
}

// What changed after the job was asked is never taken for what it brought.
func TestAChangeWhileTheJobRuns(t *testing.T) {
	t.Run("of a value that was asked for", func(t *testing.T) {
		r := newRelayed(t, values{"ONE": "old"})
		run, need := r.asked()
		with := r.brought(need)
		r.setActions("ONE", "new")
		if res := r.apply(run, with); !res.InStep() {
			t.Errorf("%+v", res.Errors)
		}
		r.targets(values{"ONE": "old"})
		if again := r.need(run); needs(again) != "ONE codespaces, ONE dependabot" {
			t.Fatalf("the change would be lost: %q", needs(again))
		}
		if r.actionsSeen().Digest == r.actionsNow().Digest {
			t.Error("whoever compares the lists finds no change")
		}
		r.inStep()
		r.targets(values{"ONE": "new"})
		if again := r.need(run); len(again.Names) != 0 {
			t.Errorf("asked for again: %s", needs(again))
		}
		if r.actionsSeen().Digest != r.actionsNow().Digest {
			t.Error("whoever compares the lists finds a change")
		}
	})
	t.Run("of another", func(t *testing.T) {
		r := newRelayed(t, values{"ONE": "one"})
		run, need := r.asked()
		with := r.brought(need)
		r.setActions("LATE", "late")
		res := r.apply(run, with)
		if len(res.Errors) != 2 || res.Errors[0].SecretName != "LATE" || res.Errors[0].Code != fault.EncryptionFailed || res.Errors[0].Hint != "Run again." {
			t.Errorf("%+v", res.Errors)
		}
		r.targets(values{"ONE": "one"})
		r.inStep()
		r.targets(values{"ONE": "one", "LATE": "late"})
	})
}

// A run that was asked for one name or one scope leaves the others for whoever looks for changes.
func TestANarrowRunHidesNoChange(t *testing.T) {
	one, err := secret.ParseName("ONE")
	if err != nil {
		t.Fatal(err)
	}
	for name, order := range map[string]syncing.Order{
		"of a name": {Names: []secret.Name{one}}, "of a scope": {Scopes: []secret.Scope{secret.Dependabot}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRelayed(t, values{"ONE": "one", "TWO": "two"})
			r.inStep()
			narrow := func() {
				run, _ := r.asked()
				need, err := r.bound().Needs(t.Context(), run, order)
				if err == nil {
					_, err = r.bound().Apply(t.Context(), run, order, r.brought(need), nil)
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			narrow()
			if r.actionsSeen().Digest != r.actionsNow().Digest {
				t.Error("without a change there is something to look into")
			}
			r.setActions("ONE", "one of today")
			r.setActions("TWO", "two of today")
			for range 2 {
				narrow()
				if r.actionsSeen().Digest == r.actionsNow().Digest {
					t.Error("whoever compares the lists finds no change")
				}
			}
			r.inStep()
			r.targets(values{"ONE": "one of today", "TWO": "two of today"})
			if r.actionsSeen().Digest != r.actionsNow().Digest {
				t.Error("whoever compares the lists finds a change")
			}
		})
	}
}

// actionsSeen is the Actions list as the last run left it behind, actionsNow as it is.
func (r *relayed) actionsSeen() github.Mark {
	r.t.Helper()
	client := r.client()
	lists, err := r.db.Lists(r.t.Context(), r.project.ID, client.Credential().Fingerprint())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, l := range lists {
		var list github.Listing
		if l.Kind == "actions" {
			if err := json.Unmarshal(l.Content, &list); err != nil {
				r.t.Fatal(err)
			}
			return list.Mark()
		}
	}
	r.t.Fatal("no Actions list is stored")
	return github.Mark{}
}

func (r *relayed) actionsNow() github.Mark {
	r.t.Helper()
	list, err := r.client().List(r.t.Context(), github.Repository{ID: r.project.RepositoryID, Owner: "acme", Name: "widgets"}, secret.Actions, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return list.Mark()
}

func (r *relayed) client() *github.Client {
	r.t.Helper()
	c, err := github.New(github.Config{BaseURL: r.url, Credential: github.Token(r.token, "the test's token")})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(c.CloseIdle)
	return c
}

func TestAKeyThatChangedMeanwhile(t *testing.T) {
	t.Run("after the job", func(t *testing.T) {
		r := newRelayed(t, values{"ONE": "one"})
		run, need := r.asked()
		with := r.brought(need)
		r.sim.RotateKey(repo, "dependabot")
		res := r.apply(run, with)
		if len(res.Errors) != 1 || res.Errors[0].Scope != "dependabot" || res.Errors[0].Code != fault.EncryptionFailed || !strings.Contains(res.Errors[0].Hint, "Run again") {
			t.Errorf("%+v", res.Errors)
		}
		r.holds(secret.Codespaces, values{"ONE": "one"})
		r.holds(secret.Dependabot, values{})
		r.inStep()
		r.targets(values{"ONE": "one"})
	})
	t.Run("before the job, unknown to this process", func(t *testing.T) {
		r := newRelayed(t, values{"ONE": "one"})
		run, _ := r.asked() // the key is known here from now on
		r.sim.RotateKey(repo, "dependabot")
		elsewhere := *r
		elsewhere.service = r.world.service(r.token, func(c *syncing.Config) { c.Relay, c.Settings.HashKey = true, []byte(hashKey) })
		if res := r.apply(run, r.brought(elsewhere.need(run))); !res.InStep() {
			t.Errorf("%+v", res.Errors)
		}
		r.targets(values{"ONE": "one"})
	})
}

// While another run writes, what a job brought waits; it does not come again.
func TestWhatAJobBroughtWaitsForTheLease(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one"})
	run, need := r.asked()
	lease, err := r.db.Acquire(t.Context(), time.Now(), store.LeaseRequest{Project: r.project.ID, Run: uuid.New(), Holder: "another", Times: quick.Lease})
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(200 * time.Millisecond)
		_ = lease.Release(t.Context())
	}()
	if res := r.apply(run, r.brought(need)); !res.InStep() {
		t.Errorf("%+v", res.Errors)
	}
	r.targets(values{"ONE": "one"})
}

// Deleting takes no value, and what turns out to need one is an error of that secret alone.
func TestARunWithoutValues(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one", "TWO": "two"})
	r.inStep()
	r.sim.DeleteSecret(repo, "actions", "TWO")
	r.sim.Advance(5 * time.Second)
	run := store.Run{ID: uuid.New(), Project: r.project.ID, Actor: store.Scheduler, State: store.Queued, StartedAt: time.Now()}
	if err := r.db.BeginRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if need := r.need(run); len(need.Names) != 0 || need.Plan.Summary.Delete != 2 {
		t.Fatalf("%s, %+v", needs(need), need.Plan.Summary)
	}
	res, err := r.bound().Run(t.Context(), run, syncing.Order{}, nil)
	if err != nil || !res.InStep() {
		t.Errorf("%v: %+v", err, res.Errors)
	}
	r.targets(values{"ONE": "one"})

	r.setActions("ONE", "changed")
	late := run
	late.ID = uuid.New()
	if err := r.db.BeginRun(t.Context(), late); err != nil {
		t.Fatal(err)
	}
	res, err = r.bound().Run(t.Context(), late, syncing.Order{}, nil)
	if err != nil || len(res.Errors) != 2 || res.Errors[0].Code != fault.SourceUnavailable || res.Errors[0].Hint != "Run again." {
		t.Errorf("%v: %+v", err, res.Errors)
	}
	r.targets(values{"ONE": "one"})
	r.inStep()
	r.targets(values{"ONE": "changed"})
}

// A run that could not have its values ends once, with its event, and remembers what it saw.
func TestARunThatEndsWithoutItsValues(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one"})
	run, _ := r.asked()
	f := fault.New(fault.SourceUnavailable, fault.Context{"reason": "no job came"}).Hinting("Look there.")
	lease, err := r.db.Acquire(t.Context(), time.Now(), store.LeaseRequest{Project: r.project.ID, Run: uuid.New(), Holder: "another"})
	if err != nil {
		t.Fatal(err)
	}
	var held *store.ErrLeaseHeld
	if err := r.bound().Fail(t.Context(), run, f); !errors.As(err, &held) {
		t.Errorf("under another's lease: %v", err)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.bound().Fail(t.Context(), run, f); err != nil {
		t.Fatal(err)
	}
	record := r.stored(run.ID)
	if record.State != store.RunFailed || record.Code != fault.SourceUnavailable || !strings.Contains(string(record.Result), "Look there.") {
		t.Errorf("%s %s: %s", record.State, record.Code, record.Result)
	}
	if r.actionsSeen().Digest != r.actionsNow().Digest {
		t.Error("the next look would start a run for the same state")
	}
	if err := r.bound().Fail(t.Context(), run, f); !errors.Is(err, store.ErrRunFinished) {
		t.Errorf("it ends twice: %v", err)
	}
	if _, err := r.bound().Apply(t.Context(), run, syncing.Order{}, syncing.Relayed{}, nil); !errors.Is(err, store.ErrRunFinished) {
		t.Errorf("it goes on after its end: %v", err)
	}
	events := r.events()
	if len(events) != 1 || events[0].Operation != audit.SyncAll || events[0].Status != audit.Failure || !slices.Equal(events[0].AffectedScopes, syncing.DefaultScopes(true)) {
		t.Errorf("%+v", events)
	}
	r.intact()
}

// The event of a run that ends early names the scopes that the run was asked for.
func TestARunEndsWithTheScopesItWasAskedFor(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one"})
	args, err := json.Marshal(syncing.Order{Scopes: []secret.Scope{secret.Dependabot}})
	if err != nil {
		t.Fatal(err)
	}
	run := store.Run{ID: uuid.New(), Project: r.project.ID, Actor: store.Scheduler, State: store.Queued, StartedAt: time.Now(), Args: args}
	if err := r.db.BeginRun(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if err := r.bound().Fail(t.Context(), run, fault.New(fault.SourceUnavailable, fault.Context{"reason": "no job came"})); err != nil {
		t.Fatal(err)
	}
	if events := r.events(); len(events) != 1 || !slices.Equal(events[0].AffectedScopes, []secret.Scope{secret.Dependabot}) {
		t.Errorf("%+v", events)
	}
	if _, err := syncing.OrderOf(store.Run{Args: []byte("[]")}); !fault.Is(err, fault.StoreUnavailable) {
		t.Errorf("args of another form: %v", err)
	}
}

// GitHub being away does not keep a run from ending.
func TestARunEndsWhenGitHubIsAway(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one"})
	run, _ := r.asked()
	r.sim.RevokeToken(r.token)
	if err := r.bound().Fail(t.Context(), run, fault.New(fault.SourceUnavailable, fault.Context{"reason": "no job came"})); err != nil {
		t.Fatal(err)
	}
	if record := r.stored(run.ID); record.State != store.RunFailed {
		t.Errorf("it is %s", record.State)
	}
}

func TestWhoseValuesComeFromTheRelay(t *testing.T) {
	r := newRelayed(t, nil)
	off := r.world.service(r.token)
	for _, c := range []struct {
		source          string
		fromRelay, kept bool
		keptWithout     bool
	}{{"", true, true, false}, {"relay", true, true, false}, {"source:local", false, true, true}} {
		p := r.project
		p.ValueSource = c.source
		if got := r.service.Bind(p).FromRelay(); got != c.fromRelay || r.service.Kept(p) != c.kept {
			t.Errorf("%q: from the relay %v, kept %v", c.source, got, r.service.Kept(p))
		}
		if off.Bind(p).FromRelay() || off.Kept(p) != c.keptWithout {
			t.Errorf("%q without a relay: from it %v, kept %v", c.source, off.Bind(p).FromRelay(), off.Kept(p))
		}
	}
	if err := r.bound().CheckSource(); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{"check": off.Bind(r.project).CheckSource(), "needs": second(off.Bind(r.project).Needs(t.Context(), store.Run{}, syncing.Order{}))} {
		if !fault.Is(err, fault.SourceUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f := fault.Of(off.Bind(r.project).CheckSource()); !strings.Contains(f.Hint, "--public-url") {
		t.Errorf("hint: %s", f.Hint)
	}
}

func second[A, B any](_ A, b B) B { return b }

// A person who asks what would happen is told without values.
func TestThePlanOfARelay(t *testing.T) {
	r := newRelayed(t, values{"ONE": "one"})
	p, err := r.bound().Plan(t.Context(), syncing.Order{}, store.Local)
	if err != nil || p.Summary.Create != 2 {
		t.Fatalf("%v: %+v", err, p.Summary)
	}
	want := map[plan.Reason]int{plan.Missing: 2}
	got := map[plan.Reason]int{}
	for _, a := range p.Actions {
		got[a.Reason]++
	}
	if !maps.Equal(got, want) {
		t.Errorf("%v", got)
	}
}
