package syncing

import (
	"context"
	"iter"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"go.opentelemetry.io/otel/trace"
)

// hub is what a run asks of GitHub.
type hub interface {
	Repository(ctx context.Context, ref github.Ref, known *github.Repository) (github.Repository, time.Time, error)
	List(ctx context.Context, repo github.Repository, scope secret.Scope, known *github.Listing) (github.Listing, error)
	OrganizationSecrets(ctx context.Context, repo github.Repository, known *github.Listing) (github.Listing, error)
	PublicKey(ctx context.Context, repo github.Repository, scope secret.Scope) (secret.PublicKey, error)
	ForgetKey(repo github.Repository, scope secret.Scope)
	Put(ctx context.Context, repo github.Repository, name secret.Name, box secret.Box) (github.Written, error)
	Delete(ctx context.Context, repo github.Repository, scope secret.Scope, name secret.Name) (github.Written, error)
	Clock() github.Clock
	Quota() github.Quota
	Credential() github.Credential
	Governor() *github.Governor
}

// memory is what a run remembers and records. Forgetful stands in where there is no database.
type memory interface {
	Project(ctx context.Context, id uuid.UUID) (store.Project, error)
	Details(ctx context.Context, project uuid.UUID) ([]store.MappingRow, error)
	FindProject(ctx context.Context, apiHost, owner, repo string) (store.Project, bool, error)
	EnsureProject(ctx context.Context, now time.Time, p store.Project) (store.Project, error)
	Archive(ctx context.Context, now time.Time, project uuid.UUID) error
	Memory(ctx context.Context, project uuid.UUID) (map[secret.Name]plan.Mapping, error)
	Rules(ctx context.Context, project uuid.UUID) (exclusion.Rules, error)
	Lists(ctx context.Context, project uuid.UUID, credential string) ([]store.List, error)
	Acquire(ctx context.Context, now time.Time, r store.LeaseRequest) (*store.Lease, error)
	LastRuns(ctx context.Context, project uuid.UUID, n int) ([]store.Run, error)
	BeginRun(ctx context.Context, r store.Run) error
	OpenIntents(ctx context.Context, now time.Time, i store.Intents) error
	Record(ctx context.Context, now time.Time, o store.Outcome) (audit.Head, error)
	Standing(ctx context.Context, of store.Inquiry) (store.Standing, error)
	SetScopes(ctx context.Context, now time.Time, project uuid.UUID, name secret.Name, scopes []secret.Scope) ([]secret.Scope, error)
	WritesSince(ctx context.Context, credential string, t time.Time) (int, error)
	AddRule(ctx context.Context, now time.Time, project *uuid.UUID, pattern, reason string, by uuid.UUID) (exclusion.Rule, error)
	RemoveRule(ctx context.Context, project *uuid.UUID, idOrPattern string) error
	Events(ctx context.Context, f store.Filter) (events []audit.Event, next string, err error)
	Chain(ctx context.Context, project uuid.UUID) (anchor, head audit.Head, events iter.Seq2[audit.Event, error], err error)
}

// Settings are the times and bounds of a run. The zero value of each field means its default.
type Settings struct {
	Concurrency int              // secrets in flight; 10, at most 50
	Lease       store.LeaseTimes // heartbeat 5 s, lapse 30 s, grace 10 s
	LeaseWait   time.Duration    // how long to wait for another run to end; 5 minutes
	Lag         []time.Duration  // waits before looking again for a write that is not listed yet; 0.5, 1 and 2 s
	HashKey     []byte           // the deployment's hash key; none: plain SHA-256
	FullRun     time.Duration    // how often a project that is kept in step has a full run; 6 hours, negative: never
}

// MaxConcurrency is the most secrets that may be in flight at once.
const MaxConcurrency = 50

// DefaultConcurrency is the number of secrets in flight unless asked otherwise.
const DefaultConcurrency = 10

func (s Settings) withDefaults() Settings {
	if s.Concurrency <= 0 {
		s.Concurrency = DefaultConcurrency
	}
	s.Concurrency = min(s.Concurrency, MaxConcurrency)
	if s.Lease.Heartbeat <= 0 {
		s.Lease.Heartbeat = 5 * time.Second
	}
	if s.Lease.Lapse <= 0 {
		s.Lease.Lapse = 30 * time.Second
	}
	if s.Lease.Grace <= 0 {
		s.Lease.Grace = 10 * time.Second
	}
	if s.FullRun == 0 {
		s.FullRun = DefaultFullRun
	}
	if s.LeaseWait <= 0 {
		s.LeaseWait = 5 * time.Minute
	}
	if s.Lag == nil {
		s.Lag = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}
	}
	return s
}

// window is how long after the last heartbeat of a run a write of its may still land.
func (s Settings) window() time.Duration { return s.Lease.Lapse + s.Lease.Grace }

// A Config is what a Service works with.
type Config struct {
	GitHub   hub       // for every repository; nil where Accounts are set
	Accounts *Accounts // the client of each repository's owner
	Store    memory
	Sources  *Sources // that projects may name; nil where there are none
	Relay    bool     // jobs of the repositories can bring values here
	APIHost  string   // of the GitHub that is spoken to, part of a project's identity
	Holder   string   // names this process in a lease
	Settings Settings
	Now      func() time.Time // leases, durations, created_at; compared times come from GitHub
	Log      *slog.Logger
	Traces   trace.TracerProvider // receives a span for each run; nil: none
}

// A Service keeps repositories in step.
type Service struct {
	hub      hub // nil where accounts are set
	accounts *Accounts
	sources  *Sources
	relay    bool
	store    memory
	apiHost  string
	holder   string
	settings Settings
	now      func() time.Time
	log      *slog.Logger
	tracer   trace.Tracer
}

// New returns a service.
func New(c Config) *Service {
	s := &Service{hub: c.GitHub, accounts: c.Accounts, sources: c.Sources, relay: c.Relay, store: c.Store, apiHost: c.APIHost, holder: c.Holder, settings: c.Settings.withDefaults(), now: c.Now, log: c.Log, tracer: tracerOf(c.Traces)}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// hubFor returns what speaks to GitHub about the repositories of owner.
func (s *Service) hubFor(ctx context.Context, owner string) hub {
	if s.accounts == nil {
		return s.hub
	}
	return s.accounts.Client(ctx, owner)
}

// client is hubFor for who sends nothing: others' pauses need not be known for it.
func (s *Service) client(owner string) hub {
	if s.accounts == nil {
		return s.hub
	}
	return s.accounts.github.Client(owner)
}

// Repository looks a repository up that may have no project yet.
func (s *Service) Repository(ctx context.Context, ref github.Ref) (github.Repository, error) {
	found, _, err := s.hubFor(ctx, ref.Owner).Repository(ctx, ref, nil)
	return found, err
}

// SourceStamps returns the stamp of each of the operator's sources, as Sources.Stamps does.
func (s *Service) SourceStamps() map[string]string { return s.sources.Stamps() }
