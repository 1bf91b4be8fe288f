package relay

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

func TestARelayBringsTheTargetsInStep(t *testing.T) {
	w := newRelayWorld(t)
	w.sim.SetSecret(widgets, "actions", githubsim.Secret{Name: strings.Repeat("L", 120), Value: "odd-canary"})
	w.sim.SetSecret(widgets, "actions", githubsim.Secret{Name: "EMPTY", Value: "not for the job"})
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	if len(c.Names) != 4 || c.Names[0].Name != "API_KEY" || !slices.Equal(c.Names[0].Scopes, []string{"codespaces", "dependabot"}) || len(c.Keys) != 2 {
		t.Fatalf("%+v", c)
	}
	if c.Hash == nil || strings.Contains(c.Hash.Key, string(hashKey)) || c.SyncID != run.ID || !strings.HasPrefix(c.Session, "osr_") {
		t.Errorf("%+v", c)
	}
	batch := w.all(c)[0]
	batch.Secrets = slices.DeleteFunc(batch.Secrets, func(s Sealed) bool { return s.Name == "EMPTY" })
	batch.Secrets = append(batch.Secrets, Sealed{Name: "EMPTY", Problem: ProblemEmpty})
	got, err := w.server.Boxes(t.Context(), c.Session, batch)
	if err != nil || got != (Received{Received: 4, Wanted: 4}) {
		t.Fatalf("%+v, %v", got, err)
	}
	r := w.finish(c)
	if !r.Done || r.State != "partial" || r.Synced != 3 || r.Failure != nil || len(r.Outcomes) != 8 {
		t.Errorf("%+v", r)
	}
	for _, o := range r.Outcomes {
		if o.OK == (o.SecretName == "EMPTY") || !o.OK && (o.Code != fault.RequestInvalid || o.Hint == "") {
			t.Errorf("%+v", o)
		}
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
	if again := w.finish(c); !slices.Equal(again.Outcomes, r.Outcomes) || again.State != r.State {
		t.Errorf("asked again: %+v", again)
	}
	if strings.Contains(w.log.String(), "canary") || strings.Contains(w.log.String(), c.Session) || strings.Contains(w.log.String(), batch.Secrets[0].Boxes[0].Box) {
		t.Error("the log tells more than it may")
	}
	if n := w.next(t); len(n) != 1 || n[0].Name.String() != "EMPTY" {
		t.Errorf("the next run would need %v", n)
	}
}

// next is what a run would need now.
func (w *world) next(t *testing.T) []syncing.NeededName {
	t.Helper()
	need, err := w.service.Bind(w.project).Needs(t.Context(), store.Run{ID: uuid.New(), Actor: store.Scheduler, Trigger: store.Manual}, syncing.Order{})
	check(t, err)
	return need.Names
}

// Only what changed is asked for, and what turns out to be the same is not written.
func TestOnlyChangesAreAskedFor(t *testing.T) {
	w := newRelayWorld(t)
	w.relayAll(w.wait(syncing.Order{}))
	w.sim.Advance(time.Minute)
	w.sim.SetSecret(widgets, "actions", githubsim.Secret{Name: "DB_URL", Value: "db-canary-2"})
	w.sim.SetSecret(widgets, "actions", githubsim.Secret{Name: "ZIP", Value: values["ZIP"]}) // touched, and the same
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	if len(c.Names) != 2 || c.Names[0].Name != "DB_URL" || c.Names[1].Name != "ZIP" {
		t.Fatalf("%+v", c.Names)
	}
	w.send(c, w.all(c)...)
	if r := w.finish(c); r.State != "succeeded" || r.Synced != 1 || len(r.Outcomes) != 2 {
		t.Errorf("%+v", r)
	}
	if run = w.run(run.ID); run.Writes != 2 {
		t.Errorf("%d writes", run.Writes)
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
}

// A run that needs nothing by now is carried out all the same.
func TestAClaimMayFindNothingToDo(t *testing.T) {
	w := newRelayWorld(t)
	w.relayAll(w.wait(syncing.Order{}))
	c := w.claim(w.wait(syncing.Order{}))
	if len(c.Names) != 0 || len(c.Keys) != 0 {
		t.Errorf("%+v", c)
	}
	if r := w.finish(c); r.State != "succeeded" || r.Skipped != 3 {
		t.Errorf("%+v", r)
	}
}

// The order of a run holds when its job comes.
func TestTheOrderIsKept(t *testing.T) {
	w := newRelayWorld(t)
	c := w.claim(w.wait(syncing.Order{Names: []secret.Name{secret.MustName("ZIP")}, Scopes: []secret.Scope{secret.Dependabot}}))
	if len(c.Names) != 1 || c.Names[0].Name != "ZIP" || !slices.Equal(c.Names[0].Scopes, []string{"dependabot"}) || len(c.Keys) != 1 {
		t.Errorf("%+v", c)
	}
	w.send(c, w.all(c)...)
	if r := w.finish(c); r.State != "succeeded" || r.Synced != 1 {
		t.Errorf("%+v", r)
	}
}

// Each claim that must not be is refused for its own reason, and nothing comes of it.
func TestClaimsAreRefused(t *testing.T) {
	w := newRelayWorld(t)
	gadgets := w.sim.AddRepository(githubsim.Repository{FullName: "acme/gadgets"})
	run, elsewhere := w.wait(syncing.Order{}), w.wait(syncing.Order{Force: true})
	other, err := w.db.EnsureProject(t.Context(), time.Now(), store.Project{APIHost: w.project.APIHost, Owner: "acme", Repo: "gadgets", RepositoryID: gadgets, ValueSource: "relay"})
	check(t, err)
	others, _, err := w.db.StartRun(t.Context(), time.Now(), store.Run{Project: other.ID, Actor: store.Scheduler}, store.StartOptions{OptionsHash: syncing.Order{}.Hash()})
	check(t, err)
	id := run.ID.String()
	used := w.token(run)
	_, err = w.server.Claim(t.Context(), used, ClaimRequest{Version: Version, SyncID: id})
	check(t, err)
	for name, c := range map[string]struct {
		token, id string
		why       Denial
	}{
		"replayed":                    {used, id, DeniedReplay},
		"re-created repository":       {w.token(run, "repository_id", "999999"), id, DeniedRepository},
		"other repository's job":      {w.token(run, "repository_id", decimal(gadgets), "repository", "acme/gadgets"), id, DeniedWorkflow},
		"another under our name":      {w.token(run, "repository_id", decimal(gadgets)), id, DeniedRepository},
		"owner":                       {w.token(run, "repository_owner_id", "999999"), id, DeniedOwner},
		"pull request":                {w.token(run, "event_name", "pull_request", "ref", "refs/pull/3/merge", "head_ref", "x", "base_ref", "main"), id, DeniedEvent},
		"pull_request_target":         {w.token(run, "event_name", "pull_request_target", "head_ref", "x", "base_ref", "main"), id, DeniedEvent},
		"dependabot":                  {w.token(run, "actor", "dependabot[bot]"), id, DeniedActor},
		"environment":                 {w.token(run, "environment", "production"), id, DeniedEnvironment},
		"branch":                      {w.token(run, "ref", "refs/heads/dev"), id, DeniedBranch},
		"workflow":                    {w.token(run, "workflow_ref", "acme/widgets/.github/workflows/ci.yml@refs/heads/main"), id, DeniedWorkflow},
		"audience":                    {w.token(run, "aud", "https://github.com/acme"), id, DeniedToken},
		"expired":                     {w.token(run, "exp", time.Now().Add(-2*time.Minute).Unix()), id, DeniedExpired},
		"another run of ours":         {w.token(run), elsewhere.ID.String(), DeniedRun},
		"another project's run":       {w.token(run), others.ID.String(), DeniedRun},
		"no run":                      {w.token(run), uuid.NewString(), DeniedRun},
		"another run of the workflow": {w.token(run, "run_id", "77"), id, DeniedRun},
		"session token":               {w.claim(run).Session, id, DeniedToken},
	} {
		_, err := w.server.Claim(t.Context(), c.token, ClaimRequest{Version: Version, SyncID: c.id})
		denied(t, name, err, c.why)
	}
	for _, sync := range []string{`"; curl evil`, "$(id)", "../x", "%", strings.ToUpper(uuid.NewString()), uuid.Nil.String(), "{" + id + "}", id + " "} {
		_, err := w.server.Claim(t.Context(), "nobody's", ClaimRequest{Version: Version, SyncID: sync})
		refused(t, sync, err, fault.RequestInvalid)
	}
	_, err = w.server.Claim(t.Context(), w.token(run), ClaimRequest{Version: Version + 1, SyncID: id})
	refused(t, "version", err, fault.RequestInvalid)
	if w.claimed["accepted"] != 2 || w.claimed[string(DeniedRun)] != 4 {
		t.Errorf("%v", w.claimed)
	}
	w.claim(run, "run_attempt", "2")
	told := len(w.events())
	w.server.told = map[refusal]time.Time{} // a minute later
	_, err = w.server.Claim(t.Context(), w.token(run), ClaimRequest{Version: Version, SyncID: id})
	denied(t, "an earlier attempt", err, DeniedRun)
	if n := len(w.events()); n != told+1 {
		t.Errorf("an earlier attempt made %d events", n-told)
	}
	check(t, w.db.Archive(t.Context(), time.Now(), w.project.ID))
	_, err = w.server.Claim(t.Context(), w.token(run), ClaimRequest{Version: Version, SyncID: id})
	denied(t, "archived", err, DeniedRepository)
}

// The repository under the project's name is another one: its number is not the project's, and the
// project's number is not what GitHub finds under the name.
func TestARepositoryMadeAgainIsAnother(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	w.sim.DeleteRepository(widgets)
	again := w.sim.AddRepository(githubsim.Repository{FullName: widgets})
	_, err := w.server.Claim(t.Context(), w.token(run, "repository_id", decimal(again)), ClaimRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "the new one", err, DeniedRepository)
	_, err = w.server.Claim(t.Context(), w.token(run), ClaimRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "the old one's token", err, DeniedRepository)
}

// A repository that was renamed is the same one, and its job says what it is called now.
func TestARenamedRepositoryIsTheSame(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	const now = "acme/gizmos"
	w.sim.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName, r.DefaultBranch = now, "trunk" })
	w.sim.AddRepository(githubsim.Repository{FullName: widgets}) // somebody took the old name
	file := now + "/" + workflowFile + "@refs/heads/trunk"
	c, err := w.server.Claim(t.Context(), w.token(run, "repository", now, "ref", "refs/heads/trunk", "workflow_ref", file, "job_workflow_ref", file),
		ClaimRequest{Version: Version, SyncID: run.ID.String()})
	check(t, err)
	if len(c.Names) != 3 {
		t.Errorf("%+v", c.Names)
	}
	_, err = w.server.Claim(t.Context(), w.token(run, "repository", now), ClaimRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "the branch of before", err, DeniedBranch)
}

// Refusals stand in the audit trail when the job was genuine and the repository a project's, once a
// minute for each reason; nobody else can write there.
func TestRefusalsAreAudited(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	w := newRelayWorld(t, func(c *Config) { c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } })
	run := w.wait(syncing.Order{})
	claim := func(token string) {
		_, err := w.server.Claim(t.Context(), token, ClaimRequest{Version: Version, SyncID: run.ID.String()})
		if err == nil {
			t.Error("accepted")
		}
	}
	for range 3 {
		claim(w.token(run, "ref", "refs/heads/evil\nname"))
		claim(w.token(run, "actor", "dependabot[bot]"))
		claim(w.token(run, "repository_id", "999999"))
		claim(w.token(run, "aud", "https://github.com/acme"))
		claim("noise")
	}
	mu.Lock()
	now = now.Add(toldEvery)
	mu.Unlock()
	claim(w.token(run, "ref", "refs/heads/evil"))
	var reasons []string
	for _, e := range w.events() {
		check(t, e.Check())
		reasons = append(reasons, e.Metadata["reason"].(string))
		if e.Operation != audit.SyncAll || e.Status != audit.Failure || e.ActorID != store.Relay || e.CorrelationID == run.ID ||
			strings.Contains(e.Metadata["ref"].(string), "\n") || e.ErrorMessage == nil {
			t.Errorf("%+v", e)
		}
	}
	if slices.Sort(reasons); !slices.Equal(reasons, []string{"actor_denied", "branch_denied", "branch_denied"}) {
		t.Errorf("%v", reasons)
	}
	if w.claimed["token_invalid"] != 6 || w.claimed["repository_unknown"] != 3 {
		t.Errorf("%v", w.claimed)
	}
}

// A schedule, a push, or a person starts the job without a sync id: it opens a run of its own.
func TestAJobMayOpenItsRun(t *testing.T) {
	w := newRelayWorld(t)
	var c Claim
	for _, event := range []string{"schedule", "push", "workflow_dispatch"} {
		var err error
		c, err = w.server.Claim(t.Context(), w.token(store.Run{WorkflowRun: 5}, "event_name", event), ClaimRequest{Version: Version})
		check(t, err)
	}
	run := w.run(c.SyncID)
	if run.Actor != store.Relay || run.Trigger != store.Relayed || run.WorkflowRun != 5 || len(c.Names) != 3 {
		t.Errorf("%+v", run)
	}
	w.send(c, w.all(c)...)
	if r := w.finish(c); r.State != "succeeded" {
		t.Errorf("%+v", r)
	}
	runs, err := w.db.LastRuns(t.Context(), w.project.ID, 5)
	check(t, err)
	if len(runs) != 1 {
		t.Errorf("%d runs for one workflow run", len(runs))
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
}

// A job that lost its sync id on the way is still the job of the run that it was started for, and
// brings what that was asked to do, not more.
func TestAJobWithoutItsSyncIDKeepsTheOrder(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{Names: []secret.Name{secret.MustName("ZIP")}})
	c, err := w.server.Claim(t.Context(), w.token(run), ClaimRequest{Version: Version})
	check(t, err)
	if c.SyncID != run.ID || len(c.Names) != 1 || c.Names[0].Name != "ZIP" {
		t.Errorf("%s instead of %s is asked for %+v", c.SyncID, run.ID, c.Names)
	}
}

// A project with values from elsewhere has no use for a job's.
func TestAProjectMayHaveItsValuesElsewhere(t *testing.T) {
	w := newRelayWorld(t)
	elsewhere := "source:local"
	_, err := w.db.PatchProject(t.Context(), time.Now(), w.project.ID, store.ProjectPatch{ValueSource: &elsewhere})
	check(t, err)
	_, err = w.server.Claim(t.Context(), w.token(store.Run{WorkflowRun: 5}), ClaimRequest{Version: Version})
	refused(t, "elsewhere", err, fault.SourceUnavailable)
}

// What was decided about a project while its job was at work holds for what the job brought.
func TestWhatChangesWhileTheJobSealsCounts(t *testing.T) {
	elsewhere := "source:local"
	for name, c := range map[string]struct {
		change  func(*world) error
		arrives []string // in Codespaces
	}{
		"nothing": {func(*world) error { return nil }, []string{"API_KEY", "DB_URL", "ZIP"}},
		"another source": {func(w *world) error {
			_, err := w.db.PatchProject(t.Context(), time.Now(), w.project.ID, store.ProjectPatch{ValueSource: &elsewhere})
			return err
		}, nil},
		"archived": {func(w *world) error { return w.db.Archive(t.Context(), time.Now(), w.project.ID) }, nil},
		"excluded": {func(w *world) error {
			_, err := w.service.Bind(w.project).AddRule(t.Context(), "^ZIP$", "meanwhile", store.Local)
			return err
		}, []string{"API_KEY", "DB_URL"}},
		"another key":        {func(w *world) error { w.sim.RotateKey(widgets, "codespaces"); return nil }, nil},
		"deleted in Actions": {func(w *world) error { w.sim.DeleteSecret(widgets, "actions", "ZIP"); return nil }, []string{"API_KEY", "DB_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newRelayWorld(t)
			run := w.wait(syncing.Order{})
			claimed := w.claim(run)
			w.send(claimed, w.all(claimed)...)
			row, n, err := w.server.find(t.Context(), claimed.Session, run.ID.String(), Version)
			check(t, err)
			check(t, c.change(w))
			work, err := w.server.begin(row, n, nil) // a finish that was on its way
			check(t, err)
			<-work.done
			var arrived []string
			for _, s := range w.sim.Secrets(widgets, "codespaces") {
				arrived = append(arrived, s.Name)
			}
			if slices.Sort(arrived); !slices.Equal(arrived, c.arrives) {
				t.Errorf("%v arrived", arrived)
			}
			if w.server.held != 0 {
				t.Errorf("%d bytes are held", w.server.held)
			}
		})
	}
}

// A mapping that was narrowed meanwhile is not widened by what the job brought.
func TestAMappingNarrowedMeanwhile(t *testing.T) {
	w := newRelayWorld(t)
	w.relayAll(w.wait(syncing.Order{}))
	before, _ := w.sim.Value(widgets, "codespaces", "ZIP")
	w.sim.Advance(time.Minute)
	w.sim.SetSecret(widgets, "actions", githubsim.Secret{Name: "ZIP", Value: "zip-canary-2"})
	c := w.claim(w.wait(syncing.Order{}))
	w.send(c, w.all(c)...)
	_, err := w.service.Bind(w.project).SetScopes(t.Context(), secret.MustName("ZIP"), []secret.Scope{secret.Dependabot})
	check(t, err)
	if r := w.finish(c); r.State != "succeeded" {
		t.Errorf("%+v", r)
	}
	narrowed, _ := w.sim.Value(widgets, "codespaces", "ZIP")
	kept, _ := w.sim.Value(widgets, "dependabot", "ZIP")
	if narrowed != before || kept != "zip-canary-2" {
		t.Errorf("%q in codespaces, %q in dependabot", narrowed, kept)
	}
}

// A job that lost its session claims again; what it brought before is gone, and so is the old token.
func TestAJobMayClaimAgain(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	first := w.claim(run)
	w.send(first, w.all(first)...)
	second := w.claim(run)
	_, err := w.server.Boxes(t.Context(), first.Session, w.all(first)[0])
	denied(t, "boxes under the old token", err, DeniedSession)
	_, err = w.server.Finish(t.Context(), first.Session, FinishRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "finish under the old token", err, DeniedSession)
	third := w.claim(run, "run_attempt", "2")
	_, err = w.server.Claim(t.Context(), w.token(run), ClaimRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "an earlier attempt", err, DeniedRun)
	_, err = w.newServer().Claim(t.Context(), w.token(run), ClaimRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "an earlier attempt, at another process", err, DeniedRun)
	_, err = w.server.Boxes(t.Context(), second.Session, w.all(second)[0])
	denied(t, "boxes under the second", err, DeniedSession)
	w.server.mu.Lock()
	sessions, held := len(w.server.sessions), w.server.held
	w.server.mu.Unlock()
	if sessions != 1 || held != 0 {
		t.Errorf("%d sessions hold %d bytes", sessions, held)
	}
	w.send(third, w.all(third)...)
	if r := w.finish(third); r.State != "succeeded" || r.Synced != 3 {
		t.Errorf("%+v", r)
	}
	_, err = w.server.Claim(t.Context(), w.token(run, "run_attempt", "3"), ClaimRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "a run that is over", err, DeniedRun)
}

// The process that took the claim is gone, or the message reached another one: it is sent again, and
// then claimed again. Nothing is written twice.
func TestAServerMayDieBetweenMessages(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	w.send(c, w.all(c)...)
	w.server = w.newServer()
	_, err := w.server.Boxes(t.Context(), c.Session, w.all(c)[0])
	refused(t, "boxes", err, fault.RelayElsewhere)
	_, err = w.server.Finish(t.Context(), c.Session, FinishRequest{Version: Version, SyncID: run.ID.String()})
	refused(t, "finish", err, fault.RelayElsewhere)
	if r := w.relayAll(run); r.State != "succeeded" || r.Synced != 3 {
		t.Errorf("%+v", r)
	}
	w.server = w.newServer()
	_, err = w.server.Finish(t.Context(), c.Session, FinishRequest{Version: Version, SyncID: run.ID.String()})
	check(t, err) // what became of the run is no secret to the job that began it
	if w.run(run.ID).Writes != 6 {
		t.Errorf("%d writes", w.run(run.ID).Writes)
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
}

// A session is over after its time, and its boxes go with it.
func TestASessionEnds(t *testing.T) {
	now := time.Now()
	var mu sync.Mutex
	w := newRelayWorld(t, func(c *Config) { c.Now = func() time.Time { mu.Lock(); defer mu.Unlock(); return now } })
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	w.send(c, w.all(c)...)
	mu.Lock()
	now = now.Add(SessionLife)
	mu.Unlock()
	_, err := w.server.Boxes(t.Context(), c.Session, w.all(c)[0])
	denied(t, "boxes", err, DeniedSession)
	_, err = w.server.Finish(t.Context(), c.Session, FinishRequest{Version: Version, SyncID: run.ID.String()})
	denied(t, "finish", err, DeniedSession)
	for _, token := range []string{"", "osr_", "osl_x", c.Session + "x"} {
		_, err := w.server.Boxes(t.Context(), token, w.all(c)[0])
		denied(t, token, err, DeniedSession)
	}
}

// A claim that comes after the caller was told is as good as any.
func TestALateClaimSucceeds(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	check(t, w.db.NoteWaiting(t.Context(), time.Now(), run.ID, fault.New(fault.SourceUnavailable, fault.Context{"reason": "no job has come"})))
	if r := w.relayAll(run); r.State != "succeeded" {
		t.Errorf("%+v", r)
	}
	if run = w.run(run.ID); run.Code != "" || run.State != store.Succeeded {
		t.Errorf("%+v", run)
	}
}

// What was asked for and never came is an error of that secret; the rest is written.
func TestWhatDoesNotComeIsAnError(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	batch := w.all(c)[0]
	batch.Secrets = []Sealed{batch.Secrets[0], {Name: "DB_URL", Problem: ProblemTooLarge, Size: 60_000}}
	w.send(c, batch)
	r := w.finish(c)
	codes := map[string]fault.Code{}
	for _, o := range r.Outcomes {
		codes[o.SecretName] = o.Code
	}
	if r.State != "partial" || r.Synced != 1 || codes["DB_URL"] != fault.ValueTooLarge || codes["ZIP"] != fault.SourceUnavailable || codes["API_KEY"] != "" {
		t.Errorf("%+v", r)
	}
	w.inStep("API_KEY")
	if _, there := w.sim.Value(widgets, "dependabot", "ZIP"); there {
		t.Error("a value came from nowhere")
	}
}

// A job that gives up ends its run with its own words, as far as they are fit to be shown.
func TestAJobMayGiveUp(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	w.send(c, w.all(c)...)
	end := func(f Failure) (Report, error) {
		return w.server.Finish(t.Context(), c.Session, FinishRequest{Version: Version, SyncID: run.ID.String(), Failure: &f})
	}
	for _, f := range []Failure{{Code: fault.Unexpected, Message: "x"}, {Code: "NOPE", Message: "x"}, {Code: fault.EncryptionFailed, Message: "\x1b\n"}} {
		_, err := end(f)
		refused(t, string(f.Code), err, fault.RequestInvalid)
	}
	r, err := end(Failure{Code: fault.EncryptionFailed, Message: "key \x1b[31mof codespaces\r\n::error::is not pinned\u202e", Hint: strings.Repeat("h", 5000)})
	check(t, err)
	if !r.Done || r.State != "failed" || r.Failure == nil || r.Failure.Code != fault.EncryptionFailed ||
		r.Failure.Message != "key  [31mof codespaces  ::error::is not pinned" || len(r.Failure.Hint) > 600 {
		t.Errorf("%+v %+v", r, r.Failure)
	}
	if _, there := w.sim.Value(widgets, "codespaces", "API_KEY"); there {
		t.Error("a run that failed wrote something")
	}
	if run = w.run(run.ID); run.State != store.RunFailed || run.Code != fault.EncryptionFailed {
		t.Errorf("%+v", run)
	}
}

// A client that goes away stops nothing, and a finish that is repeated finds the one run.
func TestAFinishOutlivesItsCaller(t *testing.T) {
	w := newRelayWorld(t, func(c *Config) { c.WaitLimit = 10 * time.Millisecond })
	w.sim.SetFaults(githubsim.Faults{Latency: 100 * time.Millisecond})
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	w.send(c, w.all(c)...)
	gone, leave := context.WithTimeout(t.Context(), time.Millisecond)
	defer leave()
	_, _ = w.server.Finish(gone, c.Session, FinishRequest{Version: Version, SyncID: run.ID.String()})
	var r Report
	asked := 0
	for ; !r.Done && asked < 2000; asked++ {
		r = w.finish(c)
	}
	if asked < 2 || r.State != "succeeded" || r.Synced != 3 || w.run(run.ID).Writes != 6 {
		t.Errorf("asked %d times: %+v", asked, r)
	}
	again := w.claim(w.wait(syncing.Order{})) // the next run is none the worse
	if r := w.finish(again); r.Done && r.State != "succeeded" {
		t.Errorf("%+v", r)
	}
}

// What GitHub or the database refuses for a moment does not lose the boxes.
func TestARunIsTriedAgain(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	w.send(c, w.all(c)...)
	lease, err := w.db.Acquire(t.Context(), time.Now(), store.LeaseRequest{
		Project: w.project.ID, Run: uuid.New(), Holder: "another", Times: store.LeaseTimes{Heartbeat: time.Second, Lapse: time.Minute, Grace: time.Second},
	})
	check(t, err)
	time.AfterFunc(300*time.Millisecond, func() { _ = lease.Release(context.Background()) })
	if r := w.finish(c); r.State != "succeeded" || r.Synced != 3 {
		t.Errorf("%+v", r)
	}
}

// Draining lets a run at work end, and takes none up any more.
func TestDrain(t *testing.T) {
	w := newRelayWorld(t, func(c *Config) { c.WaitLimit = time.Millisecond })
	w.sim.SetFaults(githubsim.Faults{Latency: 50 * time.Millisecond})
	run, later := w.wait(syncing.Order{}), w.wait(syncing.Order{Force: true})
	c, other := w.claim(run), w.claim(later)
	w.send(c, w.all(c)...)
	if r := w.finish(c); r.Done {
		t.Fatalf("%+v", r)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	w.server.Drain(ctx)
	if run = w.run(run.ID); run.State != store.Succeeded {
		t.Errorf("%+v", run)
	}
	_, err := w.server.Finish(t.Context(), other.Session, FinishRequest{Version: Version, SyncID: later.ID.String()})
	refused(t, "finish after the drain", err, fault.RelayElsewhere)
	if w.server.held != 0 || len(w.server.sessions) != 0 {
		t.Errorf("%d sessions hold %d bytes", len(w.server.sessions), w.server.held)
	}
}

// A run that is cut short goes on with the next claim, and writes nothing twice.
func TestACutShortRunGoesOn(t *testing.T) {
	w := newRelayWorld(t, func(c *Config) { c.WaitLimit = time.Millisecond })
	w.sim.SetFaults(githubsim.Faults{Latency: 100 * time.Millisecond})
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	w.send(c, w.all(c)...)
	w.finish(c)
	time.Sleep(350 * time.Millisecond) // somewhere in the middle
	now, stop := context.WithCancel(t.Context())
	stop()
	w.server.Drain(now)
	w.sim.SetFaults(githubsim.Faults{})
	w.server = w.newServer()
	if run = w.run(run.ID); isOver(run.State) {
		t.Skipf("it was %s before it was cut short", run.State)
	}
	time.Sleep(500 * time.Millisecond) // the lease of the one cut short
	if r := w.relayAll(run); r.State != "succeeded" {
		t.Errorf("%+v", r)
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
	if n := w.next(t); len(n) != 0 {
		t.Errorf("the next run would need %v", n)
	}
}

// Everybody at once: claims of one job, boxes, finishes. One run comes of it.
func TestEverybodyAtOnce(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	var group sync.WaitGroup
	for range 6 {
		group.Go(func() {
			c, err := w.server.Claim(t.Context(), w.token(run), ClaimRequest{Version: Version, SyncID: run.ID.String()})
			if err != nil {
				return // the run is over
			}
			for _, b := range w.all(c) {
				if _, err := w.server.Boxes(t.Context(), c.Session, b); err != nil {
					return // a later claim took its place
				}
			}
			for range 2 {
				group.Go(func() {
					_, err := w.server.Finish(t.Context(), c.Session, FinishRequest{Version: Version, SyncID: run.ID.String()})
					if err != nil && denialOf(err) != DeniedSession && !fault.Is(err, fault.RelayElsewhere) { // a later claim, again
						t.Error(err)
					}
				})
			}
		})
	}
	group.Wait()
	if run = w.run(run.ID); run.State != store.Succeeded || run.Writes != 6 {
		t.Errorf("%s with %d writes", run.State, run.Writes)
	}
	w.inStep("API_KEY", "DB_URL", "ZIP")
}

// A finish whose session another claim has just taken the place of carries nothing out: its boxes are gone,
// and a run without them would end with nothing but errors.
func TestAFinishBesideANewClaim(t *testing.T) {
	w := newRelayWorld(t)
	run := w.wait(syncing.Order{})
	c := w.claim(run)
	w.send(c, w.all(c)...)
	row, n, err := w.server.find(t.Context(), c.Session, run.ID.String(), Version)
	check(t, err)
	again := w.claim(run) // between looking the session up and taking its boxes
	_, err = w.server.begin(row, n, nil)
	refused(t, "finish", err, fault.RelayElsewhere)
	denied(t, "boxes", w.server.take(n, []delivery{{name: secret.MustName("ZIP")}}), DeniedSession)
	w.send(again, w.all(again)...)
	if r := w.finish(again); r.State != "succeeded" || r.Synced != 3 {
		t.Errorf("%+v", r)
	}
}

// A repository's jobs do not claim without end.
func TestClaimsHaveAPace(t *testing.T) {
	w := newRelayWorld(t)
	var err error
	for range claimsPerMinute + 1 {
		_, err = w.server.Claim(t.Context(), w.token(store.Run{WorkflowRun: 5}, "environment", "x"), ClaimRequest{Version: Version})
	}
	refused(t, "one too many", err, fault.RateLimitProject)
	var f *fault.Fault
	if !errors.As(err, &f) || f.Context["retryAfter"] != 2 {
		t.Errorf("%+v", f)
	}
}
