package httpapi

import (
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A SyncRequest is data-model.md's request, then ours.
type SyncRequest struct {
	ProjectID    uuid.UUID  `json:"projectId" format:"uuid"`
	SecretNames  []string   `json:"secretNames,omitempty" maxItems:"10000" nullable:"false" doc:"Only these. Names match ^[A-Z][A-Z0-9_]*$, have at most 100 characters and do not begin with GITHUB_. A run that is limited by name deletes nothing."`
	TargetScopes []string   `json:"targetScopes,omitempty" maxItems:"20" nullable:"false" doc:"Write exactly these of actions, codespaces, dependabot and agents, and add them to the secrets' own. Left out: each secret's own."`
	Force        bool       `json:"force,omitempty" doc:"Overwrite every conflict."`
	Adopt        plan.Adopt `json:"adopt,omitempty" enum:"overwrite,keep" doc:"Decides about the copies that Octoseal did not write: overwrite takes them, keep leaves them alone from then on. Left out: the project's own."`
	AllowDeletes int        `json:"allowDeletes,omitempty" minimum:"0" maximum:"1000000" doc:"How many deletions (secret × scope) may be made where so many are withheld without it."`
}

func (r SyncRequest) order() (syncing.Order, error) {
	o := syncing.Order{Force: r.Force, Adopt: r.Adopt, AllowDeletes: r.AllowDeletes}
	var err error
	o.Names, o.Scopes, err = selectionOf(r.SecretNames, r.TargetScopes)
	return o, err
}

// selectionOf reads the names and scopes that a request is limited to.
func selectionOf(names, scopes []string) ([]secret.Name, []secret.Scope, error) {
	selected, err := namesOf(names)
	if err != nil {
		return nil, nil, err
	}
	in, err := scopesOf(scopes)
	return selected, in, err
}

func namesOf(texts []string) ([]secret.Name, error) {
	var names []secret.Name
	for _, text := range texts {
		name, err := nameOf(text)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.SortFunc(names, secret.Name.Compare)
	return slices.Compact(names), nil
}

func nameOf(text string) (secret.Name, error) {
	name, err := secret.ParseName(text)
	if err != nil {
		return name, fault.New(fault.NameInvalid, fault.Context{"secretName": shortened(text), "pattern": secret.NamePattern})
	}
	return name, nil
}

func scopesOf(texts []string) ([]secret.Scope, error) {
	var scopes []secret.Scope
	for _, text := range texts {
		scope, err := secret.ParseScope(text)
		if err != nil {
			return nil, fault.Invalid("scope %q is unknown", shortened(text)).Hinting("Known are %s.", known(secret.Stores()))
		}
		if environment, ok := scope.Environment(); ok {
			return nil, fault.Invalid("scope %q: the secrets of environment %s are its own", shortened(text), shortened(environment))
		}
		scopes = append(scopes, scope)
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	return slices.Compact(scopes), nil
}

func known(scopes []secret.Scope) string {
	texts := make([]string, len(scopes))
	for i, s := range scopes {
		texts[i] = s.String()
	}
	return strings.Join(texts, ", ")
}

type syncInput struct {
	Prefer string `header:"Prefer" doc:"respond-async: answer 202 at once and leave the run to itself."`
	Key    string `header:"Idempotency-Key" maxLength:"255" doc:"Kept for 24 hours: the same key with the same request joins the run that it started first."`
	Body   SyncRequest
}

func (in *syncInput) project() uuid.UUID { return in.Body.ProjectID }

type syncOutput struct {
	Status    int
	Location  string `header:"Location" doc:"Where the run can be watched."`
	Preferred string `header:"Preference-Applied"`
	Body      RunResponse
}

// sync stores a run with its job, and waits for it as long as it was asked to and may.
func (s *server) sync(ctx context.Context, a access, in *syncInput) (*syncOutput, error) {
	order, err := in.Body.order()
	if err != nil {
		return nil, err
	}
	order.Since = s.now()
	args, err := json.Marshal(order)
	if err != nil {
		return nil, err
	}
	run, _, err := s.store.StartRun(ctx, s.now(), store.Run{Project: a.project.ID, Actor: a.user.ID, Trigger: store.Manual},
		store.StartOptions{IdempotencyKey: in.Key, OptionsHash: order.Hash(), Args: args})
	if err != nil {
		return nil, err
	}
	exchangeOf(ctx).run = run.ID
	out := &syncOutput{Location: runsPath + run.ID.String()}
	if prefersAsync(in.Prefer) {
		out.Preferred = "respond-async"
	} else if run, err = s.await(ctx, run.ID); err != nil {
		return nil, err
	}
	if run.State == store.RunFailed {
		return nil, failureOf(run)
	}
	out.Status, out.Body = statusOf(run), s.told(run)
	return out, nil
}

// prefersAsync reads RFC 7240's header as far as it matters here.
func prefersAsync(header string) bool {
	for preference := range strings.SplitSeq(header, ",") {
		name, _, _ := strings.Cut(preference, ";")
		if strings.EqualFold(strings.TrimSpace(name), "respond-async") {
			return true
		}
	}
	return false
}

// A PlanResponse says what a synchronisation would do.
type PlanResponse struct {
	CorrelationID   uuid.UUID    `json:"correlationId" format:"uuid"`
	Actions         []Action     `json:"actions" nullable:"false"`
	Summary         plan.Summary `json:"summary"`
	Cost            Cost         `json:"cost"`
	Notices         []Notice     `json:"notices" nullable:"false"`
	DeletesWithheld bool         `json:"deletesWithheld" doc:"The deletions need allowDeletes, at least summary.delete."`
	FirstRun        bool         `json:"firstRun" doc:"Nothing is remembered of the repository yet."`
	Empty           bool         `json:"empty" doc:"Nothing is left to do."`
}

// A Cost is what applying a plan takes.
type Cost struct {
	Requests int     `json:"requests" doc:"To GitHub, in all."`
	Writes   int     `json:"writes" doc:"Of them, those that write."`
	Seconds  float64 `json:"seconds" doc:"Estimated, at the pace that GitHub allows now."`
}

type planInput struct{ Body SyncRequest }

func (in *planInput) project() uuid.UUID { return in.Body.ProjectID }

type planOutput struct{ Body PlanResponse }

func (s *server) plan(ctx context.Context, a access, in *planInput) (*planOutput, error) {
	order, err := in.Body.order()
	if err != nil {
		return nil, err
	}
	preview, err := s.Service.Bind(a.project).Plan(ctx, order, a.user.ID)
	if err != nil {
		return nil, err
	}
	out := &planOutput{}
	return out, reshape(preview, &out.Body)
}

// reshape fills the documented shape of an answer from what a service returned. Both spell JSON
// alike; a test holds them together.
func reshape(from, into any) error {
	raw, err := json.Marshal(from)
	if err == nil {
		err = json.Unmarshal(raw, into)
	}
	return err
}
