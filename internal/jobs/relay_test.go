package jobs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

const relayText = `
on:
  workflow_dispatch:
    inputs:
      sync_id:
        type: string
jobs:
  relay:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
`

// relayed adds a repository whose values stand in Actions, with the workflow that brings them.
func (w *world) relayed(v values) store.Project {
	w.t.Helper()
	w.relay = true
	p := w.project(repo, func(p *store.Project) { p.ValueSource = "relay" })
	w.sim.SetWorkflow(repo, github.RelayWorkflow, relayText)
	for name, value := range v {
		w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: name, Value: value})
	}
	w.sim.Advance(time.Minute)
	return p
}

// hasty shortens what a run waits for its job.
func hasty(complaint, patience time.Duration) func(*jobs.Config, *github.Config) {
	return func(c *jobs.Config, _ *github.Config) {
		c.Complaint, c.Patience, c.WaitLook = complaint, patience, 100*time.Millisecond
	}
}

// A courier is the repository's job and the service's side of it in one: it claims each run whose
// workflow was started and brings what that needs.
type courier struct {
	*replica
	project store.Project

	mu     sync.Mutex
	asked  []string         // what each claim was asked for
	claims map[int64]string // by run of the workflow
}

// deliverAll has a courier work until the end of the test.
func (r *replica) deliverAll(p store.Project) *courier {
	c := &courier{replica: r, project: p, claims: map[int64]string{}}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			for _, run := range r.sim.WorkflowRuns(repo) {
				if _, did := c.claims[run.ID]; !did {
					c.claims[run.ID] = run.Inputs["sync_id"]
					if err := c.bring(ctx, run.ID, run.Inputs["sync_id"]); err != nil && ctx.Err() == nil {
						r.t.Errorf("job %d: %v", run.ID, err)
					}
				}
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	r.t.Cleanup(func() { cancel(); <-done })
	return c
}

// bring is one job, from its claim to the end of its run.
func (c *courier) bring(ctx context.Context, workflowRun int64, syncID string) error {
	run, err := c.claim(ctx, workflowRun, syncID)
	if err != nil {
		return err
	}
	bound := c.service.Bind(c.project)
	need, err := bound.Needs(ctx, run, syncing.Order{})
	if err != nil {
		return err
	}
	with := syncing.Relayed{Boxes: map[secret.Name]map[secret.Scope]secret.Box{}, Hashes: map[secret.Name]secret.Hash{}, Unusable: map[secret.Name]*fault.Fault{}}
	var names []string
	for _, n := range need.Names {
		names = append(names, n.Name.String())
		text, _ := c.sim.Value(repo, "actions", n.Name.String())
		if text == "" {
			with.Unusable[n.Name] = fault.Invalid("Secret %s is empty", n.Name)
			continue
		}
		value := secret.NewPlaintext([]byte(text))
		with.Hashes[n.Name], with.Boxes[n.Name] = need.Hasher.Hash(value), map[secret.Scope]secret.Box{}
		for _, scope := range n.Scopes {
			if with.Boxes[n.Name][scope], err = secret.Seal(value, need.Keys[scope]); err != nil {
				return err
			}
		}
	}
	c.mu.Lock()
	c.asked = append(c.asked, strings.Join(names, " "))
	c.mu.Unlock()
	_, err = bound.Apply(ctx, run, syncing.Order{}, with, nil)
	return err
}

func (c *courier) claim(ctx context.Context, workflowRun int64, syncID string) (store.Run, error) {
	id, err := uuid.Parse(syncID)
	if err != nil {
		return store.Run{}, err
	}
	token := strings.ReplaceAll(uuid.NewString(), "-", "")
	err = c.db.OpenSession(ctx, time.Now(), store.Session{
		Project: c.project.ID, Run: id, TokenHash: token + token, WorkflowRun: workflowRun, RunAttempt: 1, ExpiresAt: time.Now().Add(time.Minute),
	})
	if err != nil {
		return store.Run{}, err
	}
	run, _, err := c.db.Run(ctx, id)
	return run, err
}

func (c *courier) askedFor() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

// targets says whether Codespaces and Dependabot hold exactly these values.
func (w *world) targets(want values) bool {
	for _, scope := range syncing.DefaultScopes(true) {
		got := values{}
		for _, s := range w.sim.Secrets(repo, scope.String()) {
			got[s.Name] = s.Value
		}
		if !maps.Equal(got, want) {
			return false
		}
	}
	return true
}

// order has a run of a project wait in the queue, as somebody asked for it.
func (w *world) order(p store.Project) store.Run {
	w.t.Helper()
	run, _, err := w.db.StartRun(w.t.Context(), time.Now(), store.Run{Project: p.ID, Actor: store.Local}, store.StartOptions{OptionsHash: syncing.Order{}.Hash(), Args: []byte(`{}`)})
	if err != nil {
		w.t.Fatal(err)
	}
	return run
}

func (w *world) run(id uuid.UUID) store.Run {
	w.t.Helper()
	run, found, err := w.db.Run(w.t.Context(), id)
	if err != nil || !found {
		w.t.Fatalf("run: %v, found %v", err, found)
	}
	return run
}

// becomes waits until a run satisfies what is asked of it.
func (w *world) becomes(id uuid.UUID, what string, so func(store.Run) bool) store.Run {
	w.t.Helper()
	var run store.Run
	w.eventually(what, 10*time.Second, func() bool { run = w.run(id); return so(run) })
	return run
}

func waits(r store.Run) bool     { return r.State == store.Waiting && r.Code == "" }
func complains(r store.Run) bool { return r.State == store.Waiting && r.Code != "" }
func fails(r store.Run) bool     { return r.State == store.RunFailed }
func ends(r store.Run) bool {
	return fails(r) || r.State == store.Succeeded || r.State == store.Partial
}

// A change in Actions reaches the targets by way of a job, which is asked for what changed alone, and
// not at all when no value is needed.
func TestAChangeInActionsIsBroughtByAJob(t *testing.T) {
	onBoth(t, func(t *testing.T, dsn string) {
		w := newWorld(t, dsn)
		p := w.relayed(values{"TOKEN": "one-canary", "OTHER": "two-canary", "RUNNER_X": "excluded-canary"})
		r := w.replica(hasty(time.Minute, time.Hour))
		c := r.deliverAll(p)
		r.run()
		w.eventually("a new project has its first run", 10*time.Second, func() bool {
			return w.targets(values{"TOKEN": "one-canary", "OTHER": "two-canary"}) && w.idle(p)
		})
		w.sim.Advance(5 * time.Second)
		w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: "TOKEN", Value: "changed-canary"})
		w.sim.Advance(5 * time.Second)
		w.eventually("a changed secret reaches the targets", 10*time.Second, func() bool {
			return w.targets(values{"TOKEN": "changed-canary", "OTHER": "two-canary"}) && w.idle(p)
		})
		w.sim.DeleteSecret(repo, "actions", "OTHER")
		w.eventually("a deleted one is deleted", 10*time.Second, func() bool {
			return w.targets(values{"TOKEN": "changed-canary"}) && w.idle(p)
		})
		if asked := c.askedFor(); !slices.Equal(asked, []string{"OTHER TOKEN", "TOKEN"}) {
			t.Errorf("asked for %q", asked)
		}
		for _, r := range w.runs(p) {
			if r.State != store.Succeeded || r.Actor != store.Scheduler {
				t.Errorf("run %s of %s: %s %s", r.ID, r.Trigger, r.State, r.Error)
			}
		}
		if log := w.log.String(); strings.Contains(log, "-canary") {
			t.Error("a value is in the log")
		}
	})
}

// A run that no job claims says so in time, holds no worker, and can be claimed all the same.
func TestALateClaim(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.relayed(values{"TOKEN": "one"})
	r := w.replica(func(c *jobs.Config, gh *github.Config) {
		deaf(c, gh)
		hasty(300*time.Millisecond, time.Hour)(c, gh)
		c.Concurrency = 1
	})
	r.run()
	run := w.order(p)
	w.becomes(run.ID, "it waits", waits)
	other := w.project("acme/other")
	w.write(values{"A": "b"})
	_ = other // its source is not for it: the run fails at once, by the only worker
	second := w.order(other)
	w.becomes(second.ID, "the worker is free meanwhile", fails)

	told := w.becomes(run.ID, "it complains", complains)
	if told.Code != fault.SourceUnavailable || !strings.Contains(string(told.Result), "octoseal init") || !strings.Contains(string(told.Result), "claimableUntil") {
		t.Errorf("%s: %s", told.Code, told.Result)
	}
	runs := w.sim.WorkflowRuns(repo)
	if len(runs) != 1 || runs[0].ID != told.WorkflowRun || runs[0].Inputs["sync_id"] != run.ID.String() {
		t.Fatalf("%+v", runs)
	}
	r.deliverAll(p)
	done := w.becomes(run.ID, "a late job brings it to its end", ends)
	if done.State != store.Succeeded || done.Code != "" || strings.Contains(string(done.Result), "error\":{") {
		t.Errorf("%s %s: %s", done.State, done.Code, done.Result)
	}
	if !w.targets(values{"TOKEN": "one"}) {
		t.Error("not in step")
	}
}

// Without any claim a run ends; it is tried again less and less, and never beyond the hour's workflows.
func TestNoJobEverComes(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.relayed(values{"TOKEN": "one"})
	r := w.replica(func(c *jobs.Config, gh *github.Config) {
		hasty(100*time.Millisecond, 400*time.Millisecond)(c, gh)
		c.Dispatches = 2
	})
	r.run()
	w.eventually("the first run and two more, the last one refused", 40*time.Second, func() bool { return len(w.runs(p)) == 3 && w.idle(p) })
	time.Sleep(500 * time.Millisecond)
	runs := w.runs(p)
	if n := len(w.sim.WorkflowRuns(repo)); n != 2 || len(runs) != 3 {
		t.Errorf("%d workflows for %d runs", n, len(runs))
	}
	for i, words := range []string{"2 workflows of acme/widgets were started within the hour", "no job of acme/widgets has claimed", "no job of acme/widgets has claimed"} {
		if runs[i].State != store.RunFailed || runs[i].Code != fault.SourceUnavailable || !strings.Contains(runs[i].Error, words) {
			t.Errorf("run %d: %s %s: %s", i, runs[i].State, runs[i].Code, runs[i].Error)
		}
	}
	if !strings.Contains(string(runs[0].Result), "The next can be started at ") {
		t.Errorf("%s", runs[0].Result)
	}
}

// Each refusal of a dispatch ends the run at once and says what is missing.
func TestARefusedDispatch(t *testing.T) {
	for name, c := range map[string]struct {
		stage func(*world)
		words []string
	}{
		"no workflow": {func(w *world) { w.sim.RemoveWorkflow(repo, github.RelayWorkflow) }, []string{"octoseal.yml of acme/widgets not found", "octoseal init", "into main"}},
		"another trigger": {func(w *world) {
			w.sim.SetWorkflow(repo, github.RelayWorkflow, strings.Replace(relayText, "workflow_dispatch", "workflow_call", 1))
		}, []string{"workflow_dispatch", "octoseal init --check"}},
		"another input": {func(w *world) {
			w.sim.SetWorkflow(repo, github.RelayWorkflow, strings.Replace(relayText, "sync_id", "id", 1))
		}, []string{"Unexpected inputs", "input sync_id"}},
		"Actions disabled": {func(w *world) { w.sim.DisableActions(repo, true) }, []string{"Actions has been disabled", "Settings, Actions"}},
		"archived": {func(w *world) {
			w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.Archived = true })
		}, []string{"archived", "Unarchive"}},
		"no permission": {func(w *world) {
			w.token = w.sim.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Owner: "acme", Permissions: githubsim.Permissions{
				"secrets": "write", "codespaces_secrets": "write", "dependabot_secrets": "write", "metadata": "read",
			}})
		}, []string{"lacks the permission actions:write", "Actions"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, memoryDSN)
			p := w.relayed(values{"TOKEN": "one"})
			c.stage(w)
			w.replica(deaf).run()
			run := w.becomes(w.order(p).ID, "it ends", ends)
			text := run.Error + string(run.Result)
			if run.State != store.RunFailed || run.Code != fault.SourceUnavailable {
				t.Errorf("%s %s: %s", run.State, run.Code, text)
			}
			for _, word := range c.words {
				if !strings.Contains(text, word) {
					t.Errorf("%q is missing in %s", word, text)
				}
			}
			events, _, err := w.db.Events(t.Context(), store.Filter{Project: p.ID, CorrelationID: run.ID})
			if err != nil || len(events) != 1 {
				t.Errorf("%v: %d events", err, len(events))
			}
		})
	}
}

// What GitHub says of a job's end is told at once, and the job may run again.
func TestAJobThatEndedWithoutBringingAnything(t *testing.T) {
	for name, c := range map[string]struct {
		conclusion string
		claimed    bool
		words      []string
	}{
		"failed":          {"failure", false, []string{"(failure) before it claimed", "96 KiB", "--names", "--split N", "--pin", "log"}},
		"never started":   {"startup_failure", false, []string{"(startup failure)", "log"}},
		"cancelled":       {"cancelled", false, []string{"was cancelled"}},
		"ended well":      {"success", false, []string{"does not run octoseal relay"}},
		"after the claim": {"failure", true, []string{"after it claimed", "--pin"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, memoryDSN)
			p := w.relayed(values{"TOKEN": "one"})
			r := w.replica(deaf)
			r.run()
			run := w.becomes(w.order(p).ID, "it waits", func(r store.Run) bool { return waits(r) && r.WorkflowRun != 0 })
			courier := &courier{replica: r, project: p}
			if c.claimed {
				if _, err := courier.claim(t.Context(), run.WorkflowRun, run.ID.String()); err != nil {
					t.Fatal(err)
				}
			}
			r.deliver("1", "workflow_run", over(p, run.WorkflowRun+1, c.conclusion))
			r.deliver("2", "workflow_run", over(p, run.WorkflowRun, c.conclusion))
			told := w.becomes(run.ID, "it complains", complains)
			for _, word := range c.words {
				if !strings.Contains(told.Error+string(told.Result), word) {
					t.Errorf("%q is missing in %s %s", word, told.Error, told.Result)
				}
			}
			if err := courier.bring(t.Context(), run.WorkflowRun, run.ID.String()); err != nil {
				t.Fatal(err)
			}
			if done := w.run(run.ID); done.State != store.Succeeded || done.Code != "" {
				t.Errorf("the job, run again: %s %s", done.State, done.Code)
			}
			r.deliver("3", "workflow_run", over(p, run.WorkflowRun, "failure"))
		})
	}
}

// over is the delivery that a run of the relay's workflow is over.
func over(p store.Project, workflowRun int64, conclusion string) []byte {
	return fmt.Appendf(nil, `{"action":"completed","workflow_run":{"id":%d,"path":%q,"conclusion":%q},"repository":{"id":%d,"full_name":"acme/widgets"}}`,
		workflowRun, github.RelayWorkflow, conclusion, p.RepositoryID)
}

// A job that was started although GitHub's answer says otherwise, and ended its run meanwhile, leaves a
// failed run like any other: it is tried again.
func TestARunThatItsJobEndedIsTriedAgain(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.relayed(values{"TOKEN": "one"})
	w.sim.RemoveWorkflow(repo, github.RelayWorkflow)
	r := w.replica(hasty(time.Minute, time.Hour))
	var once sync.Once
	w.sim.OnRequest(func(q githubsim.Request) {
		if !strings.HasSuffix(q.Path, "/dispatches") {
			return
		}
		once.Do(func() {
			run, err := (&courier{replica: r, project: p}).claim(context.Background(), 7, w.runs(p)[0].ID.String())
			if err == nil {
				err = r.service.Bind(p).Fail(context.Background(), run, fault.New(fault.EncryptionFailed, nil).Saying("a key is not pinned"))
			}
			if err != nil {
				t.Error(err)
			}
		})
	})
	r.run()
	w.eventually("another run", 20*time.Second, func() bool { return len(w.runs(p)) > 1 })
	if first := w.runs(p)[len(w.runs(p))-1]; first.Code != fault.EncryptionFailed {
		t.Errorf("%s: %s", first.Code, first.Error)
	}
}

// A second run of a project waits for the first and then finds nothing to do.
func TestASecondRunStartsNoSecondJob(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.relayed(values{"TOKEN": "one"})
	r := w.replica(func(c *jobs.Config, gh *github.Config) {
		deaf(c, gh)
		hasty(time.Minute, time.Hour)(c, gh)
	})
	r.run()
	first := w.order(p)
	w.becomes(first.ID, "it waits", waits)
	second := w.order(p)
	time.Sleep(500 * time.Millisecond)
	if state := w.run(second.ID).State; state != store.Queued {
		t.Errorf("the second is %s", state)
	}
	c := r.deliverAll(p)
	done := w.becomes(second.ID, "it ends", ends)
	if done.State != store.Succeeded || done.Synced != 0 || done.Skipped != 1 || len(c.askedFor()) != 1 {
		t.Errorf("%s, %d synced, jobs asked for %q", done.State, done.Synced, c.askedFor())
	}
}

// Wherever the service is killed, the run goes on.
func TestKilledWhileARunWaits(t *testing.T) {
	t.Run("after the dispatch, before its note", func(t *testing.T) {
		w := newWorld(t, memoryDSN)
		p := w.relayed(values{"TOKEN": "one"})
		run := w.order(p)
		if err := w.db.BeginDispatch(t.Context(), time.Now(), store.DispatchRequest{Project: p.ID, Run: run.ID, AskedAt: w.sim.Now(), Limit: 6, Within: time.Hour}); err != nil {
			t.Fatal(err)
		}
		r := w.replica(deaf)
		r.deliverAll(p)
		r.run()
		if done := w.becomes(run.ID, "it ends", ends); done.State != store.Succeeded || !w.targets(values{"TOKEN": "one"}) {
			t.Errorf("%s %s", done.State, done.Error)
		}
		if times, err := w.db.Dispatches(t.Context(), p.ID, time.Now().Add(-time.Hour)); err != nil || len(times) != 2 {
			t.Errorf("%v: %d dispatches counted", err, len(times))
		}
	})
	t.Run("after it was claimed, with the boxes", func(t *testing.T) {
		w := newWorld(t, memoryDSN)
		p := w.relayed(values{"TOKEN": "one"})
		r := w.replica(func(c *jobs.Config, gh *github.Config) {
			deaf(c, gh)
			hasty(time.Minute, time.Hour)(c, gh)
		})
		stop := r.run()
		run := w.becomes(w.order(p).ID, "it waits", func(r store.Run) bool { return waits(r) && r.WorkflowRun != 0 })
		courier := &courier{replica: r, project: p}
		if _, err := courier.claim(t.Context(), run.WorkflowRun, run.ID.String()); err != nil {
			t.Fatal(err)
		}
		// A process that took the lease and began, and was killed there.
		if _, err := w.db.Acquire(t.Context(), time.Now(), store.LeaseRequest{Project: p.ID, Run: run.ID, Holder: "dead", Times: quick}); err != nil {
			t.Fatal(err)
		}
		begun := run
		begun.State, begun.StartedAt = store.Running, time.Now()
		if err := w.db.BeginRun(t.Context(), begun); err != nil {
			t.Fatal(err)
		}
		stop()
		again := w.replica(func(c *jobs.Config, gh *github.Config) {
			deaf(c, gh)
			hasty(time.Minute, time.Hour)(c, gh)
		})
		again.run()
		w.becomes(run.ID, "it waits again", func(r store.Run) bool { return r.State == store.Waiting })
		courier.replica = again
		if err := courier.bring(t.Context(), run.WorkflowRun, run.ID.String()); err != nil {
			t.Fatal(err)
		}
		if done := w.run(run.ID); done.State != store.Succeeded || !w.targets(values{"TOKEN": "one"}) {
			t.Errorf("%s %s", done.State, done.Error)
		}
		if n := len(w.sim.WorkflowRuns(repo)); n != 1 {
			t.Errorf("%d workflows were started", n)
		}
	})
}

// A run that a schedule's job opened is looked after like one that was asked for.
func TestAJobThatCameByItself(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.relayed(values{"TOKEN": "one"})
	r := w.replica(func(c *jobs.Config, gh *github.Config) {
		deaf(c, gh)
		hasty(200*time.Millisecond, 600*time.Millisecond)(c, gh)
	})
	r.run()
	silent, err := w.db.StartWaiting(t.Context(), time.Now(), store.Run{Project: p.ID, WorkflowRun: 4})
	if err != nil {
		t.Fatal(err)
	}
	w.becomes(silent.ID, "one that says nothing more ends", fails)
	good, err := w.db.StartWaiting(t.Context(), time.Now(), store.Run{Project: p.ID, WorkflowRun: 5})
	if err != nil {
		t.Fatal(err)
	}
	courier := &courier{replica: r, project: p}
	if err := courier.bring(t.Context(), 5, good.ID.String()); err != nil {
		t.Fatal(err)
	}
	if done := w.run(good.ID); done.State != store.Succeeded || done.Actor != store.Relay || !w.targets(values{"TOKEN": "one"}) {
		t.Errorf("%s by %s: %s", done.State, done.Actor, done.Error)
	}
	if _, err := courier.claim(t.Context(), 5, good.ID.String()); !errors.Is(err, store.ErrRunFinished) {
		t.Errorf("a claim of a run that is over: %v", err)
	}
	if n := len(w.sim.WorkflowRuns(repo)); n != 0 {
		t.Errorf("%d workflows were started", n)
	}
}

// What only people can mend is not tried again and again.
func TestAnEmptySecretIsNoReasonToTryAgain(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.relayed(values{"TOKEN": "one", "EMPTY": ""})
	r := w.replica(hasty(time.Minute, time.Hour))
	r.deliverAll(p)
	r.run()
	w.eventually("in step but for the empty one", 10*time.Second, func() bool { return w.targets(values{"TOKEN": "one"}) && w.idle(p) })
	time.Sleep(6 * time.Second) // the queue looks for retries that are due every five
	if runs := w.runs(p); len(runs) != 1 || runs[0].State != store.Partial || runs[0].Failed != 1 || len(w.sim.WorkflowRuns(repo)) != 1 {
		t.Errorf("%d runs, %d jobs, the last %s", len(runs), len(w.sim.WorkflowRuns(repo)), runs[0].State)
	}
}

// A server that no job can reach says so, and looks after nothing by itself.
func TestAServerWithoutARelay(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.relayed(values{"TOKEN": "one"})
	w.relay = false
	w.replica(nil).run()
	time.Sleep(500 * time.Millisecond)
	if n := len(w.runs(p)); n != 0 {
		t.Errorf("%d runs that nobody asked for", n)
	}
	run := w.becomes(w.order(p).ID, "it ends", ends)
	if run.Code != fault.SourceUnavailable || !bytes.Contains(run.Result, []byte("--public-url")) {
		t.Errorf("%s: %s", run.Code, run.Result)
	}
}
