package httpapi

import (
	"context"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
)

const environmentsPath = "/github/environments"

// maxValues is the most that a body with values may hold: the secrets of three environments, unless
// they are many and of the largest size.
const maxValues = 4 << 20

// registerWithValues puts a handler behind its role like register, and reads the body itself: huma
// would make texts of the values.
func registerWithValues[O any](s *server, id string, handle func(context.Context, environment.Request) (*O, error)) {
	op := operationsByID[id]
	huma.Register(s.api, s.documented(op), func(ctx context.Context, _ *struct{}) (*O, error) {
		out, err := withValues(ctx, s, op, handle)
		if err != nil {
			return nil, s.refusal(ctx, err)
		}
		return out, nil
	})
	schemas := s.api.OpenAPI().Components.Schemas
	s.api.OpenAPI().Paths[op.Path].Post.RequestBody = &huma.RequestBody{Required: true, Content: map[string]*huma.MediaType{
		"application/json": {Schema: schemas.Schema(reflect.TypeFor[EnvironmentsRequest](), true, "")},
	}}
}

// withValues reads the body, decides whether the caller may, and overwrites the values in the end.
// What is wrong with the body is told to those alone who may have the operation.
func withValues[O any](ctx context.Context, s *server, op operation, handle func(context.Context, environment.Request) (*O, error)) (*O, error) {
	w, err := readWish(exchangeOf(ctx).values)
	if err != nil {
		return nil, err
	}
	defer w.zero()
	w.each(s.Learn)
	defer w.each(s.Unlearn)
	a, err := s.admit(ctx, op, w)
	if err != nil {
		return nil, err
	}
	if len(w.problems) > 0 {
		return nil, environment.Refuse(w.problems)
	}
	return handle(ctx, environment.Request{Project: a.project, Actor: a.user.ID, Environments: w.environments, Force: w.force})
}

// An EnvironmentsResponse is data-model.md's answer to applying environments, then ours.
type EnvironmentsResponse struct {
	Created       []string             `json:"created" nullable:"false" doc:"Environments that GitHub did not have before."`
	Updated       []string             `json:"updated" nullable:"false" doc:"Environments that GitHub had, and that have other rules or secrets now."`
	Errors        []EnvironmentError   `json:"errors" nullable:"false" doc:"What is not as it was asked for."`
	CorrelationID uuid.UUID            `json:"correlationId" format:"uuid" doc:"Of the events in the history."`
	DurationMs    int64                `json:"durationMs" minimum:"0" doc:"Milliseconds."`
	Notices       []Notice             `json:"notices" nullable:"false" doc:"Among them the environments that existed already."`
	Summary       plan.Summary         `json:"summary"`
	Actions       []EnvironmentOutcome `json:"actions" nullable:"false" doc:"What was decided, and how each ended."`
}

// An EnvironmentError is something about one environment that is not as asked.
type EnvironmentError struct {
	Environment string         `json:"environment"`
	Error       string         `json:"error" doc:"What is wrong, in a sentence."`
	Code        fault.Code     `json:"code"`
	SecretName  string         `json:"secretName,omitempty" doc:"When it is about one secret, and the others are in order."`
	Hint        string         `json:"hint,omitempty" doc:"What to do next."`
	Context     map[string]any `json:"context,omitempty"`
}

// An EnvironmentAction is what was decided about one part of one environment.
type EnvironmentAction struct {
	Environment string `json:"environment" enum:"dev,staging,production"`
	Subject     string `json:"subject" doc:"environment, a key of protectionRules, secrets.NAME, or linkedResources.KEY."`
	Verb        string `json:"verb" enum:"create,update,delete,skip,leave,forget,conflict,error"`
	Reason      string `json:"reason" doc:"Why, as a word that programs may compare."`
	Have        any    `json:"have,omitempty" doc:"What GitHub has, of rules and links."`
	Wanted      any    `json:"wanted,omitempty" doc:"What it is to have."`
}

// An EnvironmentOutcome is an action with how it ended.
type EnvironmentOutcome struct {
	EnvironmentAction
	OK bool `json:"ok"`
}

type environmentsOutput struct{ Body EnvironmentsResponse }

// applyEnvironments goes on when its client goes away. What the time does not suffice for stands in
// the errors, and the next request goes on from there.
func (s *server) applyEnvironments(ctx context.Context, req environment.Request) (*environmentsOutput, error) {
	working, stop := s.outlasting(ctx)
	defer stop()
	res, err := s.Environments.Apply(working, req)
	if err != nil && len(res.Actions) == 0 {
		return nil, err
	}
	exchangeOf(ctx).run = res.CorrelationID
	out := &environmentsOutput{}
	return out, reshape(res, &out.Body)
}

// outlasting returns a context for work that its client's going away does not stop. It ends at the
// wait limit, and when the process is about to end.
func (s *server) outlasting(ctx context.Context) (context.Context, context.CancelFunc) {
	timed, stop := context.WithTimeoutCause(context.WithoutCancel(ctx), s.WaitLimit, cutShort("it took longer than a request may"))
	work, cancel := context.WithCancelCause(timed)
	go func() {
		select {
		case <-draining(ctx):
			cancel(cutShort("the server is about to end"))
		case <-work.Done():
		}
	}()
	return work, func() {
		cancel(nil)
		stop()
	}
}

func cutShort(why string) *fault.Fault {
	return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": why}).
		Saying("The work was cut short: %s.", why).Hinting("Send the same request again: it goes on where this one ended.")
}

// An EnvironmentsPlan says what applying environments would do.
type EnvironmentsPlan struct {
	CorrelationID uuid.UUID           `json:"correlationId" format:"uuid"`
	Actions       []EnvironmentAction `json:"actions" nullable:"false"`
	Summary       plan.Summary        `json:"summary"`
	Cost          EnvironmentsCost    `json:"cost"`
	Errors        []EnvironmentError  `json:"errors" nullable:"false" doc:"What applying would answer without trying."`
	Notices       []Notice            `json:"notices" nullable:"false"`
	Empty         bool                `json:"empty" doc:"Nothing is left to do, and nothing is wrong."`
}

// An EnvironmentsCost is what applying takes when all goes well.
type EnvironmentsCost struct {
	Requests int `json:"requests" doc:"To GitHub, in all."`
	Writes   int `json:"writes" doc:"Of them, those that write."`
}

type environmentsPlanOutput struct{ Body EnvironmentsPlan }

func (s *server) planEnvironments(ctx context.Context, req environment.Request) (*environmentsPlanOutput, error) {
	p, err := s.Environments.Plan(ctx, req)
	if err != nil {
		return nil, err
	}
	out := &environmentsPlanOutput{}
	return out, reshape(p, &out.Body)
}

// An Environment is how one environment stands.
type Environment struct {
	Name                string              `json:"environmentName" enum:"dev,staging,production"`
	GitHubEnvironmentID int64               `json:"githubEnvironmentId"`
	Exists              bool                `json:"exists" doc:"On GitHub."`
	Managed             bool                `json:"managed" doc:"It was applied here at some time."`
	ProtectionRules     ShownRules          `json:"protectionRules" doc:"As GitHub shows them."`
	Asked               ShownRules          `json:"asked" doc:"As they were asked for when it was applied last."`
	Differences         []RuleFinding       `json:"differences" nullable:"false" doc:"What GitHub shows otherwise than it was applied."`
	Secrets             []EnvironmentSecret `json:"secrets" nullable:"false"`
	Linked              ShownLinks          `json:"linkedResources"`
	Status              string              `json:"status,omitempty" enum:"provisioning,active,failed" doc:"active when GitHub showed all that was asked for at the last apply."`
	LastDeploymentAt    *time.Time          `json:"lastDeploymentAt"`
}

// ShownRules are protection rules as they are told.
type ShownRules struct {
	RequiredReviewers    *int    `json:"requiredReviewers,omitempty" nullable:"false"`
	ReviewerIDs          []int64 `json:"reviewerIds,omitzero" required:"false" nullable:"false"`
	RestrictToMainBranch *bool   `json:"restrictToMainBranch,omitempty" nullable:"false"`
	WaitTimer            *int    `json:"waitTimer,omitempty" nullable:"false"`
}

// ShownLinks are linked resources as they are told.
type ShownLinks struct {
	NeonBranchID           string `json:"neonBranchId,omitempty"`
	CloudflareWorkerName   string `json:"cloudflareWorkerName,omitempty"`
	CloudflarePagesProject string `json:"cloudflarePagesProject,omitempty"`
}

// A RuleFinding is an environment that is not there, a rule that is not as it was applied, or a
// linked resource that is gone.
type RuleFinding struct {
	Environment string `json:"environment" enum:"dev,staging,production"`
	Subject     string `json:"subject" doc:"environment, a key of protectionRules, or linkedResources.KEY."`
	Reason      string `json:"reason" doc:"loosened, drift, missing and the like."`
	Weaker      bool   `json:"weaker" doc:"The environment is less protected than asked."`
	Have        any    `json:"have,omitempty"`
	Wanted      any    `json:"wanted,omitempty"`
}

// An EnvironmentSecret is one secret of an environment.
type EnvironmentSecret struct {
	Name          string        `json:"name"`
	LastUpdatedAt time.Time     `json:"lastUpdatedAt"`
	Standing      plan.Standing `json:"standing" doc:"in_step, missing, drift, interrupted or unmanaged."`
}

type listEnvironmentsInput struct{ OfProject }

type listEnvironmentsOutput struct {
	Body struct {
		Environments []Environment `json:"environments" nullable:"false" doc:"Those that GitHub has or that were applied: dev, staging, production."`
	}
}

func (s *server) listEnvironments(ctx context.Context, a access, _ *listEnvironmentsInput) (*listEnvironmentsOutput, error) {
	found, err := s.Environments.List(ctx, a.project)
	if err != nil {
		return nil, err
	}
	out := &listEnvironmentsOutput{}
	return out, reshape(found, &out.Body.Environments)
}

type deleteEnvironmentInput struct {
	OfProject
	Name        string `path:"name" maxLength:"100" doc:"dev, staging or production."`
	WithSecrets bool   `query:"withSecrets" doc:"Although it holds secrets: they are lost."`
}

// A DeletedEnvironment tells what went.
type DeletedEnvironment struct {
	Name          string    `json:"name"`
	Secrets       []string  `json:"secrets" nullable:"false" doc:"Names of those that went with it."`
	CorrelationID uuid.UUID `json:"correlationId" format:"uuid" doc:"Of the events in the history."`
}

type deleteEnvironmentOutput struct{ Body DeletedEnvironment }

func (s *server) deleteEnvironment(ctx context.Context, a access, in *deleteEnvironmentInput) (*deleteEnvironmentOutput, error) {
	working, stop := s.outlasting(ctx)
	defer stop()
	d, err := s.Environments.Delete(working, environment.DeleteRequest{Project: a.project, Actor: a.user.ID, Name: in.Name, WithSecrets: in.WithSecrets})
	if err != nil {
		return nil, err
	}
	exchangeOf(ctx).run = d.CorrelationID
	return &deleteEnvironmentOutput{Body: DeletedEnvironment(d)}, nil
}
