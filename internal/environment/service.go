package environment

import (
	"context"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// hub is what is asked of GitHub.
type hub interface {
	Repository(ctx context.Context, ref github.Ref, known *github.Repository) (github.Repository, time.Time, error)
	Environments(ctx context.Context, repo github.Repository, known *github.EnvironmentList) (github.EnvironmentList, error)
	Environment(ctx context.Context, repo github.Repository, name string) (e github.Environment, found bool, err error)
	PutEnvironment(ctx context.Context, repo github.Repository, name string, rules github.EnvironmentRules) (github.Environment, error)
	DeleteEnvironment(ctx context.Context, repo github.Repository, name string) error
	Deployments(ctx context.Context, repo github.Repository, environment string, since time.Time) (active []github.Deployment, last *github.Deployment, err error)
	ReviewDeployment(ctx context.Context, callbackURL, environment, state, comment string) error
	User(ctx context.Context, id int64) (u github.User, found bool, err error)
	HasAccess(ctx context.Context, repo github.Repository, login string) (bool, error)
	List(ctx context.Context, repo github.Repository, scope secret.Scope, known *github.Listing) (github.Listing, error)
	PublicKey(ctx context.Context, repo github.Repository, scope secret.Scope) (secret.PublicKey, error)
	ForgetKey(repo github.Repository, scope secret.Scope)
	Put(ctx context.Context, repo github.Repository, name secret.Name, box secret.Box) (github.Written, error)
	Clock() github.Clock
	Quota() github.Quota
	Credential() github.Credential
}

// accounts has the client of each repository's owner.
type accounts interface {
	Client(ctx context.Context, owner string) *github.Client
}

// memory is what is remembered and recorded. Forgetful stands in where there is no database.
type memory interface {
	FindProject(ctx context.Context, apiHost, owner, repo string) (store.Project, bool, error)
	EnsureProject(ctx context.Context, now time.Time, p store.Project) (store.Project, error)
	Lists(ctx context.Context, project uuid.UUID, credential string) ([]store.List, error)
	Rules(ctx context.Context, project uuid.UUID) (exclusion.Rules, error)
	EnvironmentConfigs(ctx context.Context, project uuid.UUID) ([]store.EnvironmentConfig, error)
	EnvironmentIntents(ctx context.Context, project uuid.UUID) ([]store.EnvironmentIntent, error)
	Acquire(ctx context.Context, now time.Time, r store.LeaseRequest) (*store.Lease, error)
	OpenEnvironmentIntents(ctx context.Context, l *store.Lease, intents []store.EnvironmentIntent) error
	RecordEnvironments(ctx context.Context, now time.Time, o store.EnvironmentOutcome) (audit.Head, error)
}

// Settings are the times and bounds of an apply. The zero value of each field means its default.
type Settings struct {
	Concurrency int              // secrets in flight in each environment; 10
	Lease       store.LeaseTimes // heartbeat 5 s, lapse 30 s, grace 10 s
	LeaseWait   time.Duration    // how long to wait for a run or another apply to end; 5 minutes
	Lag         []time.Duration  // waits before looking again for a write that is not listed yet; 0.5, 1 and 2 s
	// WriteTime is how long secrets are sent under one intent; 2 minutes. What is not written by then
	// is an error, and the next apply goes on.
	WriteTime time.Duration
	HashKey   []byte // the deployment's hash key; none: plain SHA-256
}

const (
	defaultConcurrency = 10
	maxConcurrency     = 50
)

func (s Settings) withDefaults() Settings {
	if s.Concurrency <= 0 {
		s.Concurrency = defaultConcurrency
	}
	s.Concurrency = min(s.Concurrency, maxConcurrency)
	lasting := func(d *time.Duration, unlessSet time.Duration) {
		if *d <= 0 {
			*d = unlessSet
		}
	}
	lasting(&s.Lease.Heartbeat, 5*time.Second)
	lasting(&s.Lease.Lapse, 30*time.Second)
	lasting(&s.Lease.Grace, 10*time.Second)
	lasting(&s.LeaseWait, 5*time.Minute)
	lasting(&s.WriteTime, 2*time.Minute)
	if s.Lag == nil {
		s.Lag = []time.Duration{500 * time.Millisecond, time.Second, 2 * time.Second}
	}
	return s
}

// A Config is what a Service works with.
type Config struct {
	GitHub    hub      // for every repository; nil where Accounts are set
	Accounts  accounts // the client of each repository's owner
	Store     memory
	Resources *Resources // where linked resources are looked for; nil: nowhere
	APIHost   string     // of the GitHub that is spoken to, part of a project's identity
	Holder    string     // names this process in a lease
	Settings  Settings
	Now       func() time.Time // leases, durations, created_at; compared times come from GitHub
	Log       *slog.Logger
}

// A Service keeps the environments of projects.
type Service struct {
	hub       hub // nil where accounts are set
	accounts  accounts
	store     memory
	resources *Resources
	apiHost   string
	holder    string
	settings  Settings
	now       func() time.Time
	log       *slog.Logger
}

// New returns a service.
func New(c Config) *Service {
	s := &Service{
		hub: c.GitHub, accounts: c.Accounts, store: c.Store, resources: c.Resources, apiHost: c.APIHost,
		holder: c.Holder, settings: c.Settings.withDefaults(), now: c.Now, log: c.Log,
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

func (s *Service) hubFor(ctx context.Context, owner string) hub {
	if s.accounts == nil {
		return s.hub
	}
	return s.accounts.Client(ctx, owner)
}

// Project returns the project of a repository as it is stored. One that has none yet is returned with
// what is known of it, and gets its row from the first apply.
func (s *Service) Project(ctx context.Context, repo github.Ref) (store.Project, error) {
	p, known, err := s.store.FindProject(ctx, s.apiHost, repo.Owner, repo.Name)
	if err != nil || known {
		return p, err
	}
	return store.Project{APIHost: s.apiHost, Owner: repo.Owner, Repo: repo.Name}, nil
}

// A Request is what somebody asks for.
type Request struct {
	Project      store.Project // as stored, or as Project returns it
	Actor        uuid.UUID
	Environments []Asked
	Force        bool  // write over secrets in conflict
	Reviewer     int64 // stands for the project's default reviewer; zero: the project's own
}

// replaced ends what is asked of a project that is bound to another repository than its name leads
// to now. Whoever makes a repository under a deleted one's name must not be sent its secrets.
func replaced(p store.Project) error {
	name := p.Owner + "/" + p.Repo
	return fault.New(fault.ResourceNotFound, fault.Context{"resource": "The repository that was known as " + name, "repositoryId": p.RepositoryID}).
		Saying("%s is another repository now: the one that the project belongs to has the number %d. Nothing was written.", name, p.RepositoryID).
		Hinting("If that one was renamed, sync it once by its new name. If the new repository is meant, forget the old one: octoseal project remove --repo %s.", name).
		Because(github.ErrReplaced)
}
