package environment

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/store"
)

// Forgetful is the memory of a machine without a database: it knows no project and only the
// default rules. Planning, listing and
// validating work with it; whatever would record is refused.
type Forgetful struct{}

var errForgetful = errors.New("there is no database to record in")

func (Forgetful) FindProject(context.Context, string, string, string) (store.Project, bool, error) {
	return store.Project{}, false, nil
}

func (Forgetful) EnsureProject(context.Context, time.Time, store.Project) (store.Project, error) {
	return store.Project{}, errForgetful
}

func (Forgetful) Lists(context.Context, uuid.UUID, string) ([]store.List, error) { return nil, nil }

func (Forgetful) Rules(context.Context, uuid.UUID) (exclusion.Rules, error) {
	return exclusion.Defaults(), nil
}

func (Forgetful) EnvironmentConfigs(context.Context, uuid.UUID) ([]store.EnvironmentConfig, error) {
	return nil, nil
}

func (Forgetful) EnvironmentIntents(context.Context, uuid.UUID) ([]store.EnvironmentIntent, error) {
	return nil, nil
}

func (Forgetful) Acquire(context.Context, time.Time, store.LeaseRequest) (*store.Lease, error) {
	return nil, errForgetful
}

func (Forgetful) OpenEnvironmentIntents(context.Context, *store.Lease, []store.EnvironmentIntent) error {
	return errForgetful
}

func (Forgetful) RecordEnvironments(context.Context, time.Time, store.EnvironmentOutcome) (audit.Head, error) {
	return audit.Head{}, errForgetful
}
