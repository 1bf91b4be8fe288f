package httpapi

import (
	"context"
	"log/slog"
	"net/http"
	"reflect"
	"strconv"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel/trace"
)

// A Config is what the door stands on. Store, Service, Environments and APIHost are required; the zero
// value of any other field means its default.
type Config struct {
	Store        *store.Store
	Service      *syncing.Service
	Environments *environment.Service
	// Learn is told every value that a body brings, before anything is done with it, and Unlearn once
	// all is done: whoever may send values must not have us keep them, or blot out the log.
	Learn, Unlearn func(secret.Plaintext)
	// APIHost is the host of the GitHub that new projects are on.
	APIHost string
	// Ready says whether this process can do its work, beyond the store's own readiness.
	Ready func(ctx context.Context) error
	// HookSecrets are the secrets of GitHub's webhooks, any of which will do, so that one can be
	// changed for another. Without any, the path takes nothing.
	HookSecrets []string
	Deliver     Deliver // takes in what was signed with one of them
	// Relay hears the jobs of repositories. Without one their paths take nothing.
	Relay *relay.Server
	// Gatekeepers are of the OpenID providers whose tokens are accepted beside our own.
	Gatekeepers []Gatekeeper
	// Meters are what /metrics shows besides the requests.
	Meters *Meters
	// Traces, when set, receives a span for each request.
	Traces trace.TracerProvider

	UserRate    Rate          // 60 a minute, 120 at once
	ProjectRate Rate          // 300 a minute, 600 at once
	AddressRate Rate          // of the jobs' messages, for each address they come from: 1,200 a minute and at once
	WaitLimit   time.Duration // how long a synchronisation's request waits for its run; 55 s
	TokenCache  time.Duration // how long a token is not asked about again; 2 s
	Version     string        // shown in the OpenAPI document
	Log         *slog.Logger
	Now         func() time.Time
}

// server is the handler that New returns.
type server struct {
	Config
	store     *store.Store
	log       *slog.Logger
	now       func() time.Time
	maxBody   int64
	mux       *http.ServeMux
	api       huma.API
	known     *roster
	issuers   map[string]Gatekeeper
	users     *budgets
	projects  *budgets
	addresses *budgets
	metrics   *Meters
}

const (
	defaultWaitLimit  = 55 * time.Second
	defaultTokenCache = 2 * time.Second
	// beyondWait is what a request may take besides waiting for its run.
	beyondWait = 10 * time.Second
)

// New returns the handler of the whole API.
func New(c Config) http.Handler {
	s := newServer(c)
	if c.Traces == nil {
		return s
	}
	return otelhttp.NewHandler(s, "http", otelhttp.WithTracerProvider(c.Traces),
		otelhttp.WithFilter(func(r *http.Request) bool { return !isProbe(r.URL.Path) }))
}

func newServer(c Config) *server {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.WaitLimit <= 0 {
		c.WaitLimit = defaultWaitLimit
	}
	if c.TokenCache <= 0 {
		c.TokenCache = defaultTokenCache
	}
	if c.Meters == nil {
		c.Meters = NewMeters()
	}
	if c.Learn == nil {
		c.Learn = func(secret.Plaintext) {}
	}
	if c.Unlearn == nil {
		c.Unlearn = func(secret.Plaintext) {}
	}
	s := &server{
		Config: c, store: c.Store, log: c.Log, now: c.Now, maxBody: defaultMaxBody, mux: http.NewServeMux(), metrics: c.Meters,
		known: newRoster(c.TokenCache), issuers: map[string]Gatekeeper{},
		users:     newBudgets(c.UserRate.or(defaultUserRate), fault.RateLimitUser),
		projects:  newBudgets(c.ProjectRate.or(defaultProjectRate), fault.RateLimitProject),
		addresses: newBudgets(c.AddressRate.or(defaultAddressRate), fault.RateLimitUser),
	}
	for _, g := range c.Gatekeepers {
		s.issuers[g.Issuer()] = g
	}
	speakEnvelope()
	s.api = humago.New(guarded{s}, documentConfig(c.Version))
	s.registerAll()
	alsoAnswers(s.api.OpenAPI().Paths["/github/secrets/sync"].Post, http.StatusOK, http.StatusAccepted, "The run goes on; the counts are those so far.")
	alsoAnswers(s.api.OpenAPI().Paths["/projects"].Post, http.StatusCreated, http.StatusOK, "The project that is there already, unchanged.")
	s.registerOpen()
	return s
}

// registerAll gives each operation of the table its handler.
func (s *server) registerAll() {
	register(s, "syncSecrets", s.sync)
	register(s, "planSecrets", s.plan)
	register(s, "validateSecrets", s.validate)
	register(s, "getSyncStatus", s.status)
	register(s, "listMappings", s.listMappings)
	register(s, "setMapping", s.setMapping)
	register(s, "listHistory", s.listHistory)
	register(s, "getRun", s.getRun)
	registerWithValues(s, "applyEnvironments", s.applyEnvironments)
	registerWithValues(s, "planEnvironments", s.planEnvironments)
	register(s, "listEnvironments", s.listEnvironments)
	register(s, "deleteEnvironment", s.deleteEnvironment)
	register(s, "listProjects", s.listProjects)
	register(s, "createProject", s.createProject)
	register(s, "getProject", s.getProject)
	register(s, "patchProject", s.patchProject)
	register(s, "deleteProject", s.deleteProject)
	register(s, "listMembers", s.listMembers)
	register(s, "setMember", s.setMember)
	register(s, "removeMember", s.removeMember)
	register(s, "listExclusions", s.listExclusions)
	register(s, "addExclusion", s.addExclusion)
	register(s, "removeExclusion", s.removeExclusion)
	register(s, "testExclusions", s.testExclusions)
	register(s, "listGlobalExclusions", s.listGlobalExclusions)
	register(s, "addGlobalExclusion", s.addGlobalExclusion)
	register(s, "removeGlobalExclusion", s.removeGlobalExclusion)
	register(s, "listTokens", s.listTokens)
	register(s, "createToken", s.createToken)
	register(s, "revokeToken", s.revokeToken)
	registerJob(s, "claimRelay", s.claim)
	registerJob(s, "sendRelayBoxes", s.takeBoxes)
	registerJob(s, "finishRelay", s.finish)
}

// A located input names the project it is about; uuid.Nil where it may name none and does.
type located interface{ project() uuid.UUID }

// register puts an operation's handler behind its schema and its role.
func register[I, O any](s *server, id string, handle func(context.Context, access, *I) (*O, error)) {
	op := operationsByID[id]
	huma.Register(s.api, s.documented(op), func(ctx context.Context, in *I) (*O, error) {
		a, err := s.admit(ctx, op, in)
		if err == nil {
			var out *O
			if out, err = handle(ctx, a, in); err == nil {
				return out, nil
			}
		}
		return nil, s.refusal(ctx, err)
	})
}

// admit decides whether the caller may have the operation, and charges the project for it.
func (s *server) admit(ctx context.Context, op operation, in any) (access, error) {
	c := callerOf(ctx)
	about, ok := in.(located)
	if !ok {
		return authoriseAlone(c, op)
	}
	if about.project() == uuid.Nil && op.Apart {
		return authoriseAlone(c, op)
	}
	a, err := s.authorise(ctx, c, op, about.project())
	if err != nil {
		return a, err
	}
	return a, s.projects.charge(exchangeOf(ctx).header, a.project.ID, op.Cost, s.now())
}

type callerKey struct{}

func callerOf(ctx context.Context) caller {
	c, _ := ctx.Value(callerKey{}).(caller)
	return c
}

// guarded is the mux as huma fills it: each of its routes lies behind guard.
type guarded struct{ *server }

func (g guarded) HandleFunc(pattern string, next func(http.ResponseWriter, *http.Request)) {
	for _, op := range operationsByID {
		if op.pattern() == pattern {
			guard := g.guard
			if op.Job {
				guard = g.guardJob
			}
			g.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) { guard(w, r, op, next) })
			return
		}
	}
	panic("no operation " + pattern) // a handler was registered that the table does not know
}

// guard lets through who is somebody and has budget left, with a body that is here and bounded.
func (s *server) guard(w http.ResponseWriter, r *http.Request, op operation, next http.HandlerFunc) {
	x := exchangeOf(r.Context())
	x.route = op.Path
	w.Header().Set("Cache-Control", "no-store")
	c, err := s.authenticate(r)
	if err == nil {
		x.user = c.user.ID
		err = s.users.charge(w.Header(), c.user.ID, op.Cost, s.now())
	}
	if err == nil {
		err = s.takeBody(w, r, op)
		defer func() { clear(x.values) }()
	}
	if err != nil {
		if fault.Is(err, fault.TokenMissing) || fault.Is(err, fault.TokenInvalid) {
			w.Header().Set("WWW-Authenticate", `Bearer realm="octoseal"`)
		}
		s.answerFault(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), callerKey{}, c), s.WaitLimit+beyondWait)
	defer cancel()
	next(w, r.WithContext(ctx))
}

// A server finds itself in huma's error hooks, which are the package's and not an API's.
type serverKey struct{}

var speakOnce sync.Once

// speakEnvelope makes huma speak of errors as we do. Its hooks are variables of its package; what
// they need of a server comes with the request.
func speakEnvelope() {
	speakOnce.Do(func() {
		huma.NewError = func(status int, message string, _ ...error) huma.StatusError {
			return &Envelope{Envelope: fault.Envelope{Problem: fault.Problem{Message: message}}, status: status}
		}
		huma.NewErrorWithContext = func(ctx huma.Context, status int, message string, errs ...error) huma.StatusError {
			if ctx != nil {
				if s, ok := ctx.Context().Value(serverKey{}).(*server); ok {
					return s.humaError(ctx.Context(), status, message, errs...)
				}
			}
			return huma.NewError(status, message, errs...)
		}
	})
}

// documented is an operation as huma and the OpenAPI document know it.
func (s *server) documented(op operation) huma.Operation {
	o := huma.Operation{
		OperationID: op.ID, Method: op.Method, Path: op.Path, Tags: []string{op.Tag}, Summary: op.Brief, Description: op.Text, DefaultStatus: op.Good,
		Security:   []map[string][]string{{"bearer": {}}},
		Extensions: map[string]any{"x-required-role": op.roleText(), "x-cost": op.Cost},
		// The body is here already, within its own bounds: huma is to set neither.
		MaxBodyBytes: -1, BodyReadTimeout: -1,
		Responses: map[string]*huma.Response{},
	}
	envelope := s.api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Envelope](), true, "Envelope")
	if op.Job {
		o.Security = []map[string][]string{{jobScheme: {}}}
	}
	for _, status := range op.refusals() {
		o.Responses[strconv.Itoa(status)] = &huma.Response{
			Description: op.refusalText(status),
			Content:     map[string]*huma.MediaType{"application/json": {Schema: envelope}},
		}
	}
	return o
}

// isProbe says whether a path is one that machines ask every few seconds.
func isProbe(path string) bool { return path == "/healthz" || path == "/readyz" || path == "/metrics" }
