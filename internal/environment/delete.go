package environment

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A DeleteRequest asks for an environment to be deleted, on GitHub and from memory.
type DeleteRequest struct {
	Project     store.Project
	Actor       uuid.UUID
	Name        string
	WithSecrets bool // although it holds some: they are lost
}

// A Deleted tells what went with the environment.
type Deleted struct {
	Name          string    `json:"name"`
	Secrets       []string  `json:"secrets"` // that it held
	CorrelationID uuid.UUID `json:"correlationId"`
}

// Delete deletes an environment with its rules, variables and, if that was said, its secrets. One that
// is under deployment stays. One that is gone from GitHub already is forgotten.
func (s *Service) Delete(ctx context.Context, req DeleteRequest) (Deleted, error) {
	t, err := ParseTier(req.Name)
	if err != nil {
		return Deleted{}, fault.Invalid("%v", err)
	}
	w := s.open(ctx, req.Project, req.Actor)
	if err := w.ensureProject(ctx); err != nil {
		return Deleted{}, err
	}
	ctx, lease, err := w.hold(ctx)
	if err != nil {
		return Deleted{}, err
	}
	defer lease.release()
	if err := w.recall(ctx); err != nil {
		return Deleted{}, err
	}
	if err := w.look(ctx, []Tier{t}); err != nil {
		return Deleted{}, err
	}
	return w.delete(ctx, t, req, lease)
}

func (s *session) delete(ctx context.Context, t Tier, req DeleteRequest, lease *grip) (Deleted, error) {
	e, there := s.list.Find(string(t))
	if !there && !s.memory[t].Applied {
		return Deleted{}, fault.New(fault.ResourceNotFound, fault.Context{"resource": "Environment " + string(t), "environment": string(t)})
	}
	names := slices.SortedFunc(maps.Keys(s.secrets[t].Observation().UpdatedAt), secret.Name.Compare)
	held := len(s.secrets[t].Secrets()) // those under odd names too
	if there {
		if err := s.deletable(ctx, e, held, req.WithSecrets); err != nil {
			return Deleted{}, err
		}
		if err := lease.Check(s.now()); err != nil {
			return Deleted{}, leaseLost(err)
		}
		if err := s.hub.DeleteEnvironment(ctx, s.repo, e.Name); err != nil {
			return Deleted{}, err
		}
	}
	ctx, stop := ending(ctx)
	defer stop()
	_, err := s.store.RecordEnvironments(ctx, s.now(), store.EnvironmentOutcome{
		Project: s.project.ID, Actor: s.actor, Run: s.id, Lease: lease.Lease, Removed: []string{string(t)}, Events: s.deletions(t, names),
	})
	d := Deleted{Name: string(t), Secrets: make([]string, len(names)), CorrelationID: s.id}
	for i, n := range names {
		d.Secrets[i] = n.String()
	}
	return d, err
}

// deletable refuses to delete what somebody would miss.
func (s *session) deletable(ctx context.Context, e github.Environment, secrets int, withSecrets bool) error {
	if secrets > 0 && !withSecrets {
		return fault.New(fault.RequestInvalid, fault.Context{"environment": e.Name, "secrets": secrets}).
			Saying("Environment %s holds %d secrets, which are lost with it.", e.Name, secrets).
			Hinting("If that is meant: --with-secrets, or withSecrets=true of the API.")
	}
	active, _, err := s.hub.Deployments(ctx, s.repo, e.Name, s.hub.Clock().GitHub(s.now()).Add(-deploymentAge))
	if err != nil || len(active) == 0 {
		return err
	}
	ids := make([]int64, len(active))
	for i, d := range active {
		ids[i] = d.ID
	}
	slices.Sort(ids)
	return fault.New(fault.ProtectionRuleConflict, fault.Context{"environment": e.Name, "activeDeployments": ids})
}

// deletions are the events of an environment that went with its secrets.
func (s *session) deletions(t Tier, names []secret.Name) []audit.Event {
	scopes := []secret.Scope{t.Scope()}
	all := s.event(audit.SyncAll).Outcome(scopes, nil, "")
	all.Metadata = map[string]any{"environments": true, "deleted": []string{string(t)}}
	events := []audit.Event{all}
	for _, n := range names {
		e := s.event(audit.Delete).Outcome(scopes, nil, "")
		spelled := n.String()
		e.SecretName = &spelled
		events = append(events, e)
	}
	return events
}
