package githubsim

import (
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A Runner says how jobs are carried out: as processes of this machine, with the environment that
// a hosted runner would give them and nothing of ours.
type Runner struct {
	// URL is that of the API, as jobs reach it. The issuer of ID tokens follows from it.
	URL string

	// Command is the program that jobs find as octoseal, with arguments that come first; empty if
	// the workflows need none. It stands for what the action's step with the id install installs.
	Command []string

	// Action is the action.yml that a step gets which uses OWNER/octoseal@COMMIT. Only a whole
	// commit will do, unless AnyRef is set.
	Action string
	AnyRef bool

	QueueTime time.Duration     // how long a run waits before its job starts
	Limit     int               // jobs at once; 0 is 20, as on GitHub's free plan
	Env       map[string]string // variables that jobs have besides

	// Log gets the masked logs as they are written, a line at a time. It must not ask the simulator.
	Log io.Writer

	// OnJob, if set, hears of every process that a step starts: the moment to kill it, or with it
	// the group of the same number that its children are in.
	OnJob func(pid int, run WorkflowRun)
}

const freePlanJobs = 20

// A WorkflowRun is one attempt of a run of a workflow.
type WorkflowRun struct {
	ID         int64 // the same for each attempt
	Attempt    int
	Number     int    // counts the runs of the repository
	Repository string // full name, as it was when the run was queued
	Workflow   string // path of the file
	Name       string // of the workflow
	Event      string
	Ref        string // in full
	SHA        string
	Inputs     map[string]string
	Actor      string

	Status     string // queued, in_progress or completed
	Conclusion string // once completed: success, failure, cancelled, skipped or startup_failure

	Queued, Started, Ended time.Time // on GitHub's clock

	// Log and Summary are what GitHub shows: secrets are masked. The raw ones are what the job
	// wrote; they are there to find out what it should not have written.
	Log, Summary       string
	RawLog, RawSummary string
}

// The statuses of a run and the conclusions that the runner comes to.
const (
	runQueued    = "queued"
	runStarted   = "in_progress"
	runCompleted = "completed"

	runSucceeded = "success"
	runFailed    = "failure"
	runCanceled  = "cancelled"
	runBroken    = "startup_failure"
	runSkipped   = "skipped"
)

// A run is a WorkflowRun with what GitHub does not show. GitHub.mu guards it.
type run struct {
	WorkflowRun
	repo    *repository
	file    *workflowFile
	flow    *workflow
	secrets map[string]string // of repository and organisation, as they were when it was queued
	group   string            // of concurrency; empty: none
	log     *transcript
	summary []byte

	end     context.CancelCauseFunc // ends the run; nil until a crew has it
	running context.Context
}

// Why a run ends early.
var (
	errCanceled = errors.New("the run was canceled")
	errClosed   = errors.New("the simulator was closed")
)

// A crew carries out runs. There is one from SetRunner to Close.
type crew struct {
	runner Runner // guarded by GitHub.mu
	alive  context.Context
	end    context.CancelCauseFunc
	work   sync.WaitGroup
	busy   int // jobs in progress; guarded by GitHub.mu
}

// SetRunner has jobs carried out, those first that are queued already. Given another Runner later,
// jobs that start from then on are carried out as that one says.
func (g *GitHub) SetRunner(r Runner) {
	if r.URL == "" {
		panic("githubsim: a runner needs the URL of the API")
	}
	if r.Limit == 0 {
		r.Limit = freePlanJobs
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	r.URL = g.root(r.URL) + g.Prefix()
	if r.Log != nil {
		r.Log = &turns{to: r.Log}
	}
	if g.actions.crew != nil {
		g.actions.crew.runner = r
		g.actions.stir()
		return
	}
	c := &crew{runner: r}
	c.alive, c.end = context.WithCancelCause(context.Background())
	g.actions.crew = c
	for _, r := range g.actions.runs {
		if r.Status == runQueued {
			g.hand(r)
		}
	}
}

// turns lets several jobs write to one place.
type turns struct {
	mu sync.Mutex
	to io.Writer
}

func (t *turns) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.to.Write(p)
}

// Close kills the jobs that run, leaves the queued ones queued, tells no more webhooks, and returns
// when no goroutine and no process is left of them. The simulator still answers; SetRunner and
// SetWebhook start anew.
func (g *GitHub) Close() {
	g.mu.Lock()
	c, hook := g.actions.crew, g.actions.hook
	g.actions.crew, g.actions.hook = nil, nil
	g.mu.Unlock()
	if c != nil {
		c.end(errClosed)
		c.work.Wait()
	}
	if hook != nil {
		hook.close()
	}
}

// StartRun starts the runs that an event starts on the default branch, schedule or push, and
// returns their ids. There are none where Actions is disabled.
func (g *GitHub) StartRun(fullName, event string) []int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	if g.actions.of(repo).disabled {
		return nil
	}
	ref := branchPrefix + repo.DefaultBranch
	var ids []int64
	for _, path := range slices.Sorted(maps.Keys(g.actions.of(repo).files)) {
		file := g.actions.of(repo).files[path]
		text, there := file.text[ref]
		if !there || file.disabled {
			continue
		}
		flow, err := parseWorkflow(text)
		if err == nil {
			if _, listens := flow.On[event]; !listens {
				continue
			}
		}
		made := &run{repo: repo, file: file, flow: flow, WorkflowRun: WorkflowRun{Event: event, Ref: ref, Actor: "octocat"}}
		if err != nil {
			// A file that cannot be read shows up as a run that never started.
			g.addRun(made)
			made.log.say("Invalid workflow file: %v", err)
			g.finish(made, runBroken)
		} else {
			g.queue(made)
		}
		ids = append(ids, made.ID)
	}
	if ids == nil {
		panic("githubsim: no workflow of " + fullName + " runs on " + event)
	}
	return ids
}

// Rerun starts another attempt of a completed run: the same commit and inputs, and the secrets as
// they are now.
func (g *GitHub) Rerun(fullName string, id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	var last *run
	for _, r := range g.actions.runs {
		if r.repo == repo && r.ID == id {
			last = r
		}
	}
	if last == nil || last.Status != runCompleted {
		panic("githubsim: " + fullName + " has no completed run " + strconv.FormatInt(id, 10))
	}
	again := &run{repo: repo, file: last.file, flow: last.flow, WorkflowRun: last.WorkflowRun}
	again.Attempt++
	again.Status, again.Conclusion = "", ""
	again.Started, again.Ended = time.Time{}, time.Time{}
	g.queue(again)
}

// CancelRuns cancels every run that is not completed, as a click in GitHub's pages does: the jobs
// are interrupted, and killed when they do not end.
func (g *GitHub) CancelRuns() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, r := range g.actions.runs {
		g.cancel(r)
	}
}

// WorkflowRuns returns the runs of a repository, oldest first, each attempt on its own. Logs are as
// they are by now.
func (g *GitHub) WorkflowRuns(fullName string) []WorkflowRun {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	var out []WorkflowRun
	for _, r := range g.actions.runs {
		if r.repo == repo {
			out = append(out, r.show())
		}
	}
	return out
}

// AwaitRuns returns when no run of any repository is queued or in progress, or with the context's
// error. Without a runner the queued ones stay.
func (g *GitHub) AwaitRuns(ctx context.Context) error {
	for {
		g.mu.Lock()
		open := slices.ContainsFunc(g.actions.runs, func(r *run) bool { return r.Status != runCompleted })
		changed := g.actions.changed
		g.mu.Unlock()
		if !open {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (r *run) show() WorkflowRun {
	out := r.WorkflowRun
	out.Inputs = maps.Clone(r.Inputs)
	out.RawLog, out.Log = r.log.texts()
	out.RawSummary = string(r.summary)
	out.Summary = r.log.masked(out.RawSummary)
	return out
}

// queue adds a run, reads its secrets, and hands it to the crew if there is one.
func (g *GitHub) queue(r *run) *run {
	g.addRun(r)
	r.secrets = r.repo.actionsSecrets()
	if err := g.enterGroup(r); err != nil {
		r.log.say("The template is not valid. %v", err)
		g.finish(r, runBroken)
		return r
	}
	g.tell(r, "requested")
	if g.actions.crew != nil {
		g.hand(r)
	}
	return r
}

func (g *GitHub) addRun(r *run) {
	if r.ID == 0 {
		known := g.actions.of(r.repo)
		known.runs++
		r.ID, r.Number, r.Attempt = g.world.nextID(), known.runs, 1
		r.SHA = g.head(r.repo, r.Ref)
	}
	r.Repository, r.Workflow = r.repo.FullName, r.file.path
	r.Name = r.file.path
	if r.flow != nil {
		r.Name = r.flow.title(r.file.path)
	}
	r.Status, r.Queued, r.log = runQueued, g.clock.now(), &transcript{}
	g.actions.runs = append(g.actions.runs, r)
	g.actions.stir()
}

// actionsSecrets are what a job of the repository gets: the organisation's, and before those the
// repository's own. Of the organisation's a run sees the first hundred by name.
func (repo *repository) actionsSecrets() map[string]string {
	const seen = 100
	out := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(repo.owner.secrets)) {
		if s := repo.owner.secrets[name]; len(out) < seen && (s.repositories == nil || s.repositories[repo.ID]) {
			out[name] = s.Value
		}
	}
	for name, s := range repo.stores["actions"].secrets {
		out[name] = s.Value
	}
	return out
}

// enterGroup applies concurrency: a new run takes the place of the one that is pending in its
// group, and ends the one in progress if the workflow says so.
func (g *GitHub) enterGroup(r *run) error {
	c := r.flow.Concurrency
	if _, j, err := r.flow.only(); err == nil && j.Concurrency != nil {
		c = j.Concurrency
	}
	if c == nil {
		return nil
	}
	s := scope{contexts: map[string]any{"github": g.githubContext(r), "inputs": r.Inputs, "vars": map[string]any{}}}
	group, err := s.expand(string(c.Group))
	if err != nil {
		return err
	}
	cancels, err := s.expand(string(c.Cancel))
	if err != nil {
		return err
	}
	r.group = strings.ToLower(group)
	for _, other := range g.actions.runs {
		if other != r && other.sharesGroup(r) && (other.Status == runQueued || other.Status == runStarted && cancels == "true") {
			g.cancel(other)
		}
	}
	return nil
}

func (r *run) sharesGroup(other *run) bool {
	return r.repo == other.repo && r.group != "" && r.group == other.group
}

func (g *GitHub) cancel(r *run) {
	switch {
	case r.Status == runCompleted:
	case r.Status == runQueued:
		g.finish(r, runCanceled)
		fallthrough
	default:
		if r.end != nil {
			r.end(errCanceled)
		}
	}
}

func (g *GitHub) finish(r *run, conclusion string) {
	r.Status, r.Conclusion, r.Ended = runCompleted, conclusion, g.clock.now()
	g.actions.stir()
	g.tell(r, "completed")
}

// hand gives a queued run to the crew.
func (g *GitHub) hand(r *run) {
	c := g.actions.crew
	r.running, r.end = context.WithCancelCause(c.alive)
	wait := c.runner.QueueTime
	c.work.Go(func() {
		defer r.end(nil)
		if pause(r.running, wait) && g.begin(c, r) {
			g.carryOut(c, r)
		}
	})
}

// begin waits until the run may start, and starts it. False: it ended before.
func (g *GitHub) begin(c *crew, r *run) bool {
	for {
		g.mu.Lock()
		if r.running.Err() != nil || r.Status != runQueued {
			g.mu.Unlock()
			return false
		}
		taken := slices.ContainsFunc(g.actions.runs, func(other *run) bool {
			return other != r && other.Status == runStarted && other.sharesGroup(r)
		})
		if c.busy < c.runner.Limit && !taken {
			c.busy++
			r.Status, r.Started = runStarted, g.clock.now()
			g.actions.stir()
			g.tell(r, "in_progress")
			g.mu.Unlock()
			return true
		}
		changed := g.actions.changed
		g.mu.Unlock()
		select {
		case <-changed:
		case <-r.running.Done():
			return false
		}
	}
}

// carryOut does the run's job and records how it ended.
func (g *GitHub) carryOut(c *crew, r *run) {
	g.mu.Lock()
	runner := c.runner
	g.mu.Unlock()
	conclusion := g.doJob(r, runner)
	g.mu.Lock()
	defer g.mu.Unlock()
	c.busy--
	if r.running.Err() != nil {
		conclusion = runCanceled
	}
	g.finish(r, conclusion)
}
