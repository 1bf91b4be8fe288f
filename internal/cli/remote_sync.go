package cli

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/syncing"
)

// An order is a synchronisation as the API takes it.
type order struct {
	Project      uuid.UUID      `json:"projectId"`
	Names        []secret.Name  `json:"secretNames,omitempty"`
	Scopes       []secret.Scope `json:"targetScopes,omitempty"`
	Force        bool           `json:"force,omitempty"`
	Adopt        plan.Adopt     `json:"adopt,omitempty"`
	AllowDeletes int            `json:"allowDeletes,omitempty"`
}

// order reads the selection as far as a server takes it: its operator says where values are.
func (r *remote) order(ctx context.Context, sel selection) (order, error) {
	if err := refuseRemote(map[string]bool{
		"from": sel.from != "", "format": sel.format != "", "skip-invalid": sel.skipInvalid,
	}, "the server's operator says where the values are, and no value goes there"); err != nil {
		return order{}, err
	}
	if err := refuseRemote(map[string]bool{"only": len(sel.only) > 0, "except": len(sel.except) > 0},
		"a server takes whole names, --secret"); err != nil {
		return order{}, err
	}
	options, err := sel.options()
	if err != nil {
		return order{}, err
	}
	o := order{Names: options.Names, Scopes: options.Scopes, Force: options.Force, Adopt: options.Adopt, AllowDeletes: options.AllowDeletes}
	o.Project, err = r.project(ctx)
	return o, err
}

func (r *remote) plan(ctx context.Context, sel selection, exitCode bool) error {
	o, err := r.order(ctx, sel)
	if err != nil {
		return err
	}
	var p syncing.Preview
	if _, err := r.ask(ctx, http.MethodPost, "/github/secrets/plan", o, &p); err != nil {
		return err
	}
	return r.app.tellPlan(p, nil, exitCode)
}

// An answeredRun is a run as the API tells of it.
type answeredRun struct {
	syncing.Result
	fault.Envelope        // why it failed as a whole, if it did
	State          string `json:"state"`
}

// runLook is how often a run is asked about that outlasts the server's wait.
const runLook = 2 * time.Second

func (r *remote) sync(ctx context.Context, sel selection) error {
	o, err := r.order(ctx, sel)
	if err != nil {
		return err
	}
	var run answeredRun
	status, err := r.ask(ctx, http.MethodPost, "/github/secrets/sync", o, &run)
	for err == nil && (status == http.StatusAccepted || !run.over()) && run.Fault() == nil {
		r.app.screen.talk("run %s goes on: synced %d so far", run.CorrelationID, run.SyncedCount)
		select {
		case <-ctx.Done(): // the person goes away, and the run goes on without them
			return context.Cause(ctx)
		case <-time.After(runLook):
		}
		id := run.CorrelationID
		run = answeredRun{}
		status, err = r.ask(ctx, http.MethodGet, "/github/secrets/sync/runs/"+id.String(), nil, &run)
	}
	if err != nil {
		return err
	}
	if f := run.failure(); f != nil {
		return f
	}
	if run.Actions == nil { // a server keeps none of a run that had nothing to do
		run.Actions = []syncing.Done{}
	}
	return r.app.tellResult(run.Result, nil)
}

// failure is why a run failed, or what one that waits for its job complains of. The latter goes on
// without whoever asked for it: it is said until when, and how to hear of its end.
func (a answeredRun) failure() *fault.Fault {
	f := a.Fault()
	if f == nil {
		return nil
	}
	text, _ := f.Context["claimableUntil"].(string)
	if until, err := time.Parse(time.RFC3339, text); err == nil && !a.over() {
		f.Hint = fmt.Sprintf("%s Run %s waits for it until %s; octoseal audit list tells how it ended.", f.Hint, a.CorrelationID, until.Local().Format(time.TimeOnly))
	}
	return f
}

func (a answeredRun) over() bool {
	return a.State == "succeeded" || a.State == "partial" || a.State == "failed"
}

func (r *remote) validate(ctx context.Context, req syncing.ValidateRequest, environments []environment.Tier) error {
	id, err := r.project(ctx)
	if err != nil {
		return err
	}
	var v validation
	if _, err := r.ask(ctx, http.MethodPost, "/github/secrets/validate", struct {
		Project      uuid.UUID          `json:"projectId"`
		Required     []secret.Name      `json:"requiredSecrets,omitempty"`
		Scopes       []secret.Scope     `json:"targetScopes,omitempty"`
		Strict       bool               `json:"strict,omitempty"`
		Environments []environment.Tier `json:"environments,omitempty"`
	}{id, req.Required, req.Scopes, req.Strict, environments}, &v); err != nil {
		return err
	}
	return r.app.tellValidation(v)
}

func (r *remote) standing(ctx context.Context, look string) (syncing.Status, error) {
	var st syncing.Status
	id, err := r.project(ctx)
	if err == nil {
		_, err = r.ask(ctx, http.MethodGet, "/github/secrets/sync/status"+asking("projectId", id.String(), "look", look), nil, &st)
	}
	if st.Secrets == nil {
		st.Secrets = []syncing.Standing{}
	}
	return st, err
}

func (r *remote) status(ctx context.Context) error {
	st, err := r.standing(ctx, "true")
	if err != nil {
		return err
	}
	return r.app.tellStatus(st)
}

// quota is what the server knows of its own credential, which it need not ask GitHub about.
func (r *remote) quota(ctx context.Context) error {
	st, err := r.standing(ctx, "")
	if err != nil {
		return err
	}
	q := quotaReport{Credential: "of " + r.base.Host, Unlimited: st.QuotaRemaining.Unlimited, Resources: []resource{}}
	if !q.Unlimited {
		q.Resources = append(q.Resources, resource{Name: "core", Remaining: st.QuotaRemaining.Core})
	}
	q.Resources = append(q.Resources, resource{Name: "secrets", Limit: syncing.WritesPerHour, Remaining: st.QuotaRemaining.Secrets})
	return r.app.tellQuota(q)
}
