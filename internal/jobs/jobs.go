package jobs

import (
	"context"
	"encoding/json"
	"iter"
	"log/slog"
	"os"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"golang.org/x/sync/errgroup"
)

// queue is where work waits and replicas meet.
type queue interface {
	Work(ctx context.Context, cfg store.WorkConfig) error
	Enqueue(ctx context.Context, now time.Time, j store.Job) error
	QueueDepth(ctx context.Context) (store.Depth, error)
	Beat(ctx context.Context, now time.Time, replica uuid.UUID, host string) (live, index int, err error)
	Upkeep(ctx context.Context, now time.Time) error
	RememberDelivery(ctx context.Context, now time.Time, guid, event string) (fresh bool, err error)
	FinishDelivery(ctx context.Context, now time.Time, guid string, ok bool) error
}

// runs is what is known of runs.
type runs interface {
	StartRun(ctx context.Context, now time.Time, r store.Run, o store.StartOptions) (run store.Run, joined bool, err error)
	Run(ctx context.Context, id uuid.UUID) (run store.Run, found bool, err error)
	LastRuns(ctx context.Context, project uuid.UUID, n int) ([]store.Run, error)
	RunProgress(ctx context.Context, now time.Time, run uuid.UUID, p store.Progress) error
	Lists(ctx context.Context, project uuid.UUID, credential string) ([]store.List, error)
}

// projects is what is known of projects.
type projects interface {
	ActiveProjects(ctx context.Context) iter.Seq2[store.ActiveProject, error]
	Project(ctx context.Context, id uuid.UUID) (store.Project, error)
	ProjectByRepositoryID(ctx context.Context, apiHost string, id int64) (p store.Project, found bool, err error)
	EnsureProject(ctx context.Context, now time.Time, p store.Project) (store.Project, error)
	PatchProject(ctx context.Context, now time.Time, id uuid.UUID, patch store.ProjectPatch) (store.Project, error)
	Archive(ctx context.Context, now time.Time, id uuid.UUID) error
}

// relays is what is known of runs that wait for a job of their repository.
type relays interface {
	BeginDispatch(ctx context.Context, now time.Time, d store.DispatchRequest) error
	NoteDispatch(ctx context.Context, now time.Time, run uuid.UUID, workflowRun int64) error
	ForgetDispatch(ctx context.Context, run uuid.UUID) error
	NoteWaiting(ctx context.Context, now time.Time, run uuid.UUID, f *fault.Fault) error
	WaitAgain(ctx context.Context, now time.Time, run uuid.UUID, silent time.Time) error
	LiveSession(ctx context.Context, now time.Time, run uuid.UUID) (session store.Session, live bool, err error)
	RunOfWorkflow(ctx context.Context, project uuid.UUID, workflowRun int64) (run store.Run, found bool, err error)
}

// memory is everything that is asked of the store.
type memory interface {
	queue
	runs
	projects
	relays
}

// A Config says what to work with. Store, Service, Environments, Accounts and APIHost are required; the
// zero value of any other field means its default.
type Config struct {
	Store        memory
	Service      *syncing.Service
	Environments *environment.Service
	Accounts     *syncing.Accounts
	APIHost      string // of the GitHub whose projects are worked for

	Interval time.Duration   // between looks at a project's Actions list, unless it has its own; 60 s, negative: no looks, and no runs that nobody asks for
	Drift    time.Duration   // at most so long between looks at its target lists; 5 minutes
	Retries  []time.Duration // after which a failed run is tried again; 1, 5 and 30 minutes
	Roster   time.Duration   // between looks into the database for new projects; 20 s
	Files    time.Duration   // between looks at the files behind sources; 5 s
	Upkeep   time.Duration   // between upkeeps; an hour

	Dispatches int           // workflows started for one project in an hour; 6
	Complaint  time.Duration // after which a run says that no job has claimed it; 3 minutes
	Patience   time.Duration // after which a run that no job has claimed ends; 30 minutes
	WaitLook   time.Duration // between looks at a run that waits for its job; 10 s

	Concurrency int           // jobs at once; 10
	Lapse       time.Duration // after which the jobs of a silent replica are others'; 30 s
	Grace       time.Duration // for jobs at work when Run is to end; 20 s
	Host        string        // this replica's name, for people; the machine's
	Metrics     Metrics
	Now         func() time.Time // leases, due times, created_at; GitHub's own times are GitHub's
	Log         *slog.Logger
}

func (c Config) withDefaults() Config {
	for _, d := range []struct {
		field  *time.Duration
		unless time.Duration
	}{
		{&c.Interval, time.Minute}, {&c.Drift, 5 * time.Minute}, {&c.Roster, 20 * time.Second}, {&c.Files, 5 * time.Second}, {&c.Upkeep, time.Hour},
		{&c.Complaint, 3 * time.Minute}, {&c.Patience, 30 * time.Minute}, {&c.WaitLook, 10 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.unless
		}
	}
	if c.Dispatches <= 0 {
		c.Dispatches = 6
	}
	if c.Retries == nil {
		c.Retries = []time.Duration{time.Minute, 5 * time.Minute, 30 * time.Minute}
	}
	if c.Host == "" {
		c.Host, _ = os.Hostname() // for people only
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Metrics = c.Metrics.orSilent()
	return c
}

// Jobs is one replica's part of the work.
type Jobs struct {
	Config
	replica uuid.UUID
}

// New returns a replica that does nothing yet.
func New(c Config) *Jobs { return &Jobs{Config: c.withDefaults(), replica: uuid.New()} }

// The kinds of jobs, beside store.SyncJob.
const (
	retryJob   = "retry"
	webhookJob = "webhook"
	upkeepJob  = "upkeep"
)

// beatsPerLapse is how often a replica gives a sign of life before its silence would be noticed.
const beatsPerLapse = 6

// Run works until ctx ends, lets what is at work end in its grace, and returns nil. It goes on when
// the database or GitHub goes away and comes back; it returns an error only when it cannot begin.
func (j *Jobs) Run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return j.Store.Work(ctx, store.WorkConfig{
			Workers: map[string]store.Worker{
				store.SyncJob: j.sync, retryJob: j.retry, webhookJob: j.webhook, upkeepJob: j.upkeep,
			},
			Periodic:    []store.Periodic{{Kind: upkeepJob, Every: j.Upkeep}},
			Concurrency: j.Concurrency, Grace: j.Grace, Lapse: j.Lapse, Heartbeat: j.Lapse / beatsPerLapse, Replica: j.replica, Host: j.Host, Now: j.Now,
		})
	})
	g.Go(func() error {
		newPoller(j).run(ctx)
		return nil
	})
	return g.Wait()
}

func (j *Jobs) upkeep(ctx context.Context, _ store.Job) error { return j.Store.Upkeep(ctx, j.Now()) }

// start has a run of a project wait in the queue, unless one like it waits already.
func (j *Jobs) start(ctx context.Context, project uuid.UUID, actor uuid.UUID, why store.Trigger, since time.Time) error {
	order := syncing.Order{Since: since}
	args, err := json.Marshal(order)
	if err != nil {
		return err
	}
	run, joined, err := j.Store.StartRun(ctx, j.Now(), store.Run{Project: project, Actor: actor, Trigger: why},
		store.StartOptions{OptionsHash: order.Hash(), Args: args})
	if err == nil && !joined {
		j.Log.InfoContext(ctx, "run queued", "run", run.ID, "project", project, "trigger", why)
	}
	return err
}
