package relay

import (
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// memory is what the Server asks of the store.
type memory interface {
	Project(ctx context.Context, id uuid.UUID) (store.Project, error)
	ProjectByRepositoryID(ctx context.Context, apiHost string, id int64) (p store.Project, found bool, err error)
	Run(ctx context.Context, id uuid.UUID) (run store.Run, found bool, err error)
	StartWaiting(ctx context.Context, now time.Time, r store.Run) (store.Run, error)
	SeeToken(ctx context.Context, now time.Time, t store.SeenToken) (fresh bool, err error)
	OpenSession(ctx context.Context, now time.Time, n store.Session) error
	SessionByToken(ctx context.Context, tokenHash string) (n store.Session, found bool, err error)
	EndSession(ctx context.Context, now time.Time, id uuid.UUID) error
	Record(ctx context.Context, now time.Time, o store.Outcome) (audit.Head, error)
}

// A Config says what a Server works with. Store, Service, APIHost, Issuer and Audience are required;
// the zero value of any other field means its default.
type Config struct {
	Store    memory
	Service  *syncing.Service
	APIHost  string // of the GitHub whose repositories claim
	Issuer   string // of the jobs' tokens, as they spell it
	Audience string // this server's public URL, as the workflow files spell it

	Client    *http.Client  // asks the issuer for its keys; only its transport is used
	WaitLimit time.Duration // how long a finish waits for its run; 55 s
	MaxHeld   int64         // bytes of boxes in memory, over all sessions, a quarter of them a project's; 256 MiB
	Metrics   Metrics
	Now       func() time.Time
	Log       *slog.Logger
}

// Metrics hear of what happens; none of them may block.
type Metrics struct {
	Claimed func(outcome string) // accepted, a Denial, or error
	Boxed   func(secrets int)    // taken in
	Held    func(bytes int64)    // by all boxes in memory
}

func (m Metrics) orSilent() Metrics {
	if m.Claimed == nil {
		m.Claimed = func(string) {}
	}
	if m.Boxed == nil {
		m.Boxed = func(int) {}
	}
	if m.Held == nil {
		m.Held = func(int64) {}
	}
	return m
}

const (
	defaultWaitLimit = 55 * time.Second
	defaultMaxHeld   = 256 << 20
)

// A Server takes the claims of jobs, their boxes, and the word that no more come, and then carries
// the run out. Boxes are in its memory alone: a process that ends takes them along, and the job
// claims again.
type Server struct {
	Config
	tokens  *verifier
	pace    *pace
	working context.Context // of the runs that are carried out
	stop    context.CancelFunc
	works   sync.WaitGroup
	opening sync.Mutex // so that the last session to be stored is the one that is kept

	mu       sync.Mutex
	sessions map[uuid.UUID]*session
	atWork   map[uuid.UUID]*work // by run
	held     int64
	heldBy   map[uuid.UUID]int64   // by project
	told     map[refusal]time.Time // when a refusal last made an event
}

// NewServer returns a server that has asked nobody anything yet. Drain ends it.
func NewServer(c Config) *Server {
	if c.WaitLimit <= 0 {
		c.WaitLimit = defaultWaitLimit
	}
	if c.MaxHeld <= 0 {
		c.MaxHeld = defaultMaxHeld
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Metrics = c.Metrics.orSilent()
	s := &Server{
		Config: c, tokens: newVerifier(c.Issuer, c.Audience, c.Client, c.Now), pace: newPace(),
		sessions: map[uuid.UUID]*session{}, atWork: map[uuid.UUID]*work{}, told: map[refusal]time.Time{},
		heldBy: map[uuid.UUID]int64{},
	}
	s.working, s.stop = context.WithCancel(context.Background())
	return s
}

// Claim opens a session for the job that bears the token, and says what it is to seal. Each claim
// takes a token of its own.
func (s *Server) Claim(ctx context.Context, bearer string, r ClaimRequest) (Claim, error) {
	c, err := s.claim(ctx, bearer, r)
	outcome := "accepted"
	if err != nil {
		if outcome = string(denialOf(err)); outcome == "" {
			outcome = "error"
		}
		s.Log.WarnContext(ctx, "relay claim refused", "outcome", outcome, "code", fault.Of(err).Code, "cause", causeOf(err))
	}
	s.Metrics.Claimed(outcome)
	return c, err
}

func (s *Server) claim(ctx context.Context, bearer string, r ClaimRequest) (Claim, error) {
	asked, err := r.check()
	if err != nil {
		return Claim{}, err
	}
	job, err := s.tokens.verify(ctx, bearer)
	if err != nil {
		return Claim{}, err
	}
	project, found, err := s.Store.ProjectByRepositoryID(ctx, s.APIHost, job.repository)
	switch {
	case err != nil:
		return Claim{}, err
	case !found:
		return Claim{}, deny(DeniedRepository, errNoProject)
	}
	if err := s.pace.charge(project.ID, s.Now()); err != nil {
		return Claim{}, err
	}
	var c Claim
	a, err := s.admit(ctx, project, job, asked)
	if err == nil {
		c, err = s.open(ctx, a)
	}
	if err != nil {
		s.tell(ctx, project, job, err)
	}
	return c, err
}

// check reads the sync id; without one it is zero.
func (r ClaimRequest) check() (uuid.UUID, error) {
	if err := checkVersion(r.Version); err != nil || r.SyncID == "" {
		return uuid.Nil, err
	}
	id, err := uuid.Parse(r.SyncID)
	if err != nil || id == uuid.Nil || r.SyncID != id.String() {
		return uuid.Nil, fault.Invalid("the sync id is no UUID").
			Hinting("Pass on what the workflow was dispatched with, through a variable.")
	}
	return id, nil
}

func checkVersion(version int) error {
	if version != Version {
		return fault.Invalid("the relay's protocol has version %d here, not %d", Version, version).
			Hinting("Have octoseal init write the workflow anew, so that it runs the action of this server's version.")
	}
	return nil
}

// An admitted claim is a job that may seal for a run.
type admitted struct {
	job   claims
	bound *syncing.Bound
	run   store.Run
	order syncing.Order
}

// admit holds a genuine job of a project's repository against everything else. The token is spent on
// the way: what is asked of GitHub before may fail for a moment, and the job may ask again.
func (s *Server) admit(ctx context.Context, p store.Project, job claims, asked uuid.UUID) (admitted, error) {
	if err := job.checkJob(); err != nil {
		return admitted{}, err
	}
	ref, err := github.ParseRef(job.Repository)
	if err != nil {
		return admitted{}, deny(DeniedToken, err)
	}
	repo, err := s.Service.Repository(ctx, ref)
	if err != nil {
		return admitted{}, err
	}
	if err := job.checkPlace(repo); err != nil {
		return admitted{}, err
	}
	// The number is right, so this is what the repository is called now; the run will note it.
	p.Owner, p.Repo, p.DefaultBranch = repo.Owner, repo.Name, repo.DefaultBranch
	fresh, err := s.Store.SeeToken(ctx, s.Now(), store.SeenToken{Issuer: job.issuer, ID: job.TokenID, ExpiresAt: job.expiresAt.Add(skew)})
	switch {
	case err != nil:
		return admitted{}, err
	case !fresh:
		return admitted{}, deny(DeniedReplay, errReplayed)
	}
	a := admitted{job: job, bound: s.Service.Bind(p)}
	return a, s.findRun(ctx, &a, asked)
}

// findRun finds the run that the job was dispatched for, or opens one for a job that a schedule, a
// push or a person started.
func (s *Server) findRun(ctx context.Context, a *admitted, asked uuid.UUID) (err error) {
	p := a.bound.Project
	if !a.bound.FromRelay() {
		return fault.New(fault.SourceUnavailable, fault.Context{"reason": "project " + p.Name + " has its values from " + p.ValueSource}).
			Hinting("Give the project the value source relay, or remove the workflow.")
	}
	if asked == uuid.Nil {
		a.run, err = s.Store.StartWaiting(ctx, s.Now(), store.Run{
			Project: p.ID, Actor: store.Relay, Trigger: store.Relayed, WorkflowRun: a.job.workflowRun,
		})
	} else {
		a.run, _, err = s.Store.Run(ctx, asked) // one that is not found is of no project
	}
	switch {
	case err != nil:
		return err
	case a.run.Project != p.ID:
		return deny(DeniedRun, errNoRun)
	case isOver(a.run.State):
		return deny(DeniedRun, errRunOver)
	case a.run.WorkflowRun != 0 && a.run.WorkflowRun != a.job.workflowRun:
		return deny(DeniedRun, errAnothersRun)
	}
	a.order, err = syncing.OrderOf(a.run)
	return err
}

// isOver says whether nothing more will become of a run. An abandoned one goes on.
func isOver(s store.RunState) bool {
	return s == store.Succeeded || s == store.Partial || s == store.RunFailed
}

// Drain waits for the runs that are carried out, until ctx ends; what is not done by then is cut
// short, and goes on with the job's next claim elsewhere. Nothing is taken in any more.
func (s *Server) Drain(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		s.works.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
	s.stop()
	<-done // a run that is cut short has a few seconds to record what it did
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range s.sessions {
		s.drop(n)
	}
}
