package syncing

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// Forgetful is the memory of a machine without a database: it knows no project and only the
// default rules. Plan, status and validation work with it; whatever would record is refused.
type Forgetful struct{}

var errForgetful = errors.New("there is no database to record in")

func (Forgetful) FindProject(context.Context, string, string, string) (store.Project, bool, error) {
	return store.Project{}, false, nil
}

func (Forgetful) Project(_ context.Context, id uuid.UUID) (store.Project, error) {
	return store.Project{}, fault.New(fault.ProjectNotFound, fault.Context{"projectId": id.String()})
}

func (Forgetful) Details(context.Context, uuid.UUID) ([]store.MappingRow, error) { return nil, nil }

func (Forgetful) Memory(context.Context, uuid.UUID) (map[secret.Name]plan.Mapping, error) {
	return nil, nil
}

func (Forgetful) Rules(context.Context, uuid.UUID) (exclusion.Rules, error) {
	return exclusion.Defaults(), nil
}

func (Forgetful) Lists(context.Context, uuid.UUID, string) ([]store.List, error) { return nil, nil }

func (Forgetful) Standing(context.Context, store.Inquiry) (store.Standing, error) {
	return store.Standing{}, nil
}

func (Forgetful) WritesSince(context.Context, string, time.Time) (int, error) { return 0, nil }

func (Forgetful) EnsureProject(context.Context, time.Time, store.Project) (store.Project, error) {
	return store.Project{}, errForgetful
}

func (Forgetful) Archive(context.Context, time.Time, uuid.UUID) error { return errForgetful }

func (Forgetful) Acquire(context.Context, time.Time, store.LeaseRequest) (*store.Lease, error) {
	return nil, errForgetful
}

func (Forgetful) LastRuns(context.Context, uuid.UUID, int) ([]store.Run, error) { return nil, nil }

func (Forgetful) BeginRun(context.Context, store.Run) error { return errForgetful }

func (Forgetful) OpenIntents(context.Context, time.Time, store.Intents) error { return errForgetful }

func (Forgetful) Record(context.Context, time.Time, store.Outcome) (audit.Head, error) {
	return audit.Head{}, errForgetful
}

func (Forgetful) SetScopes(context.Context, time.Time, uuid.UUID, secret.Name, []secret.Scope) ([]secret.Scope, error) {
	return nil, errForgetful
}

func (Forgetful) AddRule(context.Context, time.Time, *uuid.UUID, string, string, uuid.UUID) (exclusion.Rule, error) {
	return exclusion.Rule{}, errForgetful
}

func (Forgetful) RemoveRule(context.Context, *uuid.UUID, string) error { return errForgetful }

func (Forgetful) Events(context.Context, store.Filter) ([]audit.Event, string, error) {
	return nil, "", nil
}

func (Forgetful) Chain(context.Context, uuid.UUID) (anchor, head audit.Head, events iter.Seq2[audit.Event, error], err error) {
	return audit.Head{}, audit.Head{}, func(func(audit.Event, error) bool) {}, nil
}
