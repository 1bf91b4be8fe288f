package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// An EnvironmentStatus is how an environment stands after the last apply that looked at it.
type EnvironmentStatus string

// The statuses of data-model.md.
const (
	Provisioning      EnvironmentStatus = "provisioning"
	EnvironmentActive EnvironmentStatus = "active" // GitHub shows what was asked
	EnvironmentFailed EnvironmentStatus = "failed"
)

// An EnvironmentConfig is what is remembered of one core environment: what was asked of it, and
// what was written to it.
type EnvironmentConfig struct {
	ID, Project      uuid.UUID
	Name             string // dev, staging or production
	GitHubID         int64
	Rules            json.RawMessage // the protectionRules of data-model.md; none is {}
	Secrets          []EnvironmentSecret
	Linked           json.RawMessage // the linkedResources of data-model.md; none is {}
	Status           EnvironmentStatus
	LastDeploymentAt *time.Time
	CreatedAt        time.Time
	UpdatedAt        time.Time
}

// An EnvironmentSecret is one secret that was written to an environment.
type EnvironmentSecret struct {
	Name          secret.Name
	Hash          secret.Hash
	LastUpdatedAt time.Time // as GitHub listed it after our write; zero: no list has shown it yet
}

// A storedSecret is an EnvironmentSecret as the column has it. The databases take no other key.
type storedSecret struct {
	Name          secret.Name `json:"name"`
	ValueHash     string      `json:"valueHash"`
	HashKeyID     string      `json:"hashKeyId,omitempty"`
	LastUpdatedAt time.Time   `json:"lastUpdatedAt,omitzero"`
}

type configRow struct {
	ID               uuid.UUID              `db:"id"`
	Project          uuid.UUID              `db:"project_id"`
	Name             string                 `db:"environment_name"`
	GitHubID         int64                  `db:"github_environment_id"`
	Rules            json.RawMessage        `db:"protection_rules"`
	Secrets          jsonOf[[]storedSecret] `db:"secrets"`
	Linked           json.RawMessage        `db:"linked_resources"`
	Status           EnvironmentStatus      `db:"status"`
	LastDeploymentAt *time.Time             `db:"last_deployment_at"`
	CreatedAt        time.Time              `db:"created_at"`
	UpdatedAt        time.Time              `db:"updated_at"`
}

func (r configRow) config() (EnvironmentConfig, error) {
	c := EnvironmentConfig{
		ID: r.ID, Project: r.Project, Name: r.Name, GitHubID: r.GitHubID, Rules: r.Rules, Linked: r.Linked, Status: r.Status,
		LastDeploymentAt: r.LastDeploymentAt, CreatedAt: r.CreatedAt, UpdatedAt: r.UpdatedAt,
	}
	for _, s := range r.Secrets.V {
		hash, err := secret.ParseHash(s.ValueHash, s.HashKeyID)
		if err != nil {
			return c, err
		}
		c.Secrets = append(c.Secrets, EnvironmentSecret{Name: s.Name, Hash: hash, LastUpdatedAt: s.LastUpdatedAt.UTC()})
	}
	return c, nil
}

// row is c as it is stored at now, its secrets by name.
func (c EnvironmentConfig) row(project uuid.UUID, now time.Time) configRow {
	const none = `{}`
	r := configRow{
		ID: uuid.New(), Project: project, Name: c.Name, GitHubID: c.GitHubID, Status: either(c.Status, Provisioning),
		Rules: json.RawMessage(none), Linked: json.RawMessage(none), LastDeploymentAt: c.LastDeploymentAt, CreatedAt: now, UpdatedAt: now,
	}
	if len(c.Rules) > 0 {
		r.Rules = c.Rules
	}
	if len(c.Linked) > 0 {
		r.Linked = c.Linked
	}
	r.Secrets.V = make([]storedSecret, len(c.Secrets))
	for i, s := range c.Secrets {
		r.Secrets.V[i] = storedSecret{
			Name: s.Name, ValueHash: s.Hash.String(), HashKeyID: s.Hash.KeyID(), LastUpdatedAt: stamp(s.LastUpdatedAt),
		}
	}
	slices.SortFunc(r.Secrets.V, func(a, b storedSecret) int { return a.Name.Compare(b.Name) })
	return r
}

// EnvironmentConfigs returns what is remembered of a project's core environments, by name.
func (s *Store) EnvironmentConfigs(ctx context.Context, project uuid.UUID) ([]EnvironmentConfig, error) {
	rows, err := all[configRow](ctx, s.reader, "SELECT "+columns[configRow]("c")+
		" FROM github_environment_configs c WHERE c.project_id = $1 ORDER BY c.environment_name", project)
	configs := make([]EnvironmentConfig, len(rows))
	for i, r := range rows {
		if configs[i], err = r.config(); err != nil {
			break
		}
	}
	return configs, s.explain(ctx, "environments of project "+project.String(), err)
}

// An EnvironmentOutcome is everything that applying environments, or deleting one, leaves behind.
type EnvironmentOutcome struct {
	Project uuid.UUID
	Actor   uuid.UUID
	Run     uuid.UUID // the correlation id of its events
	Lease   *Lease    // when set, it must still be ours

	// Configs replace what was remembered of their names; ids and times are the store's, and a last
	// deployment that is not told stays.
	Configs []EnvironmentConfig
	// Synced are those of the Configs whose secrets are all as they were asked to be.
	Synced []string
	// Removed are the names of environments that are no more.
	Removed []string
	// Settled are the intents that are open no longer: a list has shown the write, or it never came.
	Settled []Target

	Lists  []List
	Events []audit.Event // in order; ids, project, actor, correlation and time are filled in where zero
	Quotas []Quota
}

// RecordEnvironments stores an outcome whole or not at all, and returns the head of the project's
// chain. The rows that Environments shows follow. An event that its correlation has already is not
// added again; an outcome whose lease went to another answers ErrLeaseLost, and its intents stay.
func (s *Store) RecordEnvironments(ctx context.Context, now time.Time, o EnvironmentOutcome) (audit.Head, error) {
	now = stamp(now)
	var head audit.Head
	err := s.write(ctx, fmt.Sprintf("environments of run %s", o.Run), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, o.Project); err != nil {
			return err
		}
		if o.Lease != nil {
			if err := o.Lease.stillHeld(ctx, tx); err != nil {
				return err
			}
		}
		chain, err := headOf(ctx, tx, o.Project)
		if err != nil {
			return err
		}
		if err := o.remember(ctx, tx, now); err != nil {
			return err
		}
		head, err = appendEvents(ctx, tx, now, chain.head(), Outcome{
			Project: o.Project, Actor: o.Actor, Run: Run{ID: o.Run}, Events: o.Events,
		})
		return err
	})
	return head, err
}

func (o EnvironmentOutcome) remember(ctx context.Context, tx *sql.Tx, now time.Time) error {
	if err := o.rememberConfigs(ctx, tx, now); err != nil {
		return err
	}
	for _, name := range o.Removed {
		if err := forgetEnvironment(ctx, tx, o.Project, name); err != nil {
			return err
		}
	}
	for _, t := range o.Settled {
		if _, err := exec(ctx, tx, "DELETE FROM environment_intents WHERE project_id = $1 AND scope = $2 AND secret_name = $3",
			o.Project, t.Scope, t.Name); err != nil {
			return err
		}
	}
	if err := saveLists(ctx, tx, now, o.Project, o.Lists); err != nil {
		return err
	}
	return saveQuotas(ctx, tx, now, o.Project, o.Quotas)
}

// rememberConfigs stores the configs, and beside each the row of its environment.
func (o EnvironmentOutcome) rememberConfigs(ctx context.Context, tx *sql.Tx, now time.Time) error {
	var configs []configRow
	var environments []Environment
	for _, c := range o.Configs {
		configs = append(configs, c.row(o.Project, now))
		environments = append(environments, c.environment(o.Project, now, slices.Contains(o.Synced, c.Name)))
	}
	if err := insert(ctx, tx, "github_environment_configs", `ON CONFLICT (project_id, environment_name) DO UPDATE SET
		github_environment_id = excluded.github_environment_id, protection_rules = excluded.protection_rules,
		secrets = excluded.secrets, linked_resources = excluded.linked_resources, status = excluded.status,
		last_deployment_at = COALESCE(excluded.last_deployment_at, github_environment_configs.last_deployment_at),
		updated_at = excluded.updated_at`, configs...); err != nil {
		return err
	}
	return insert(ctx, tx, "environments", `ON CONFLICT (project_id, name) DO UPDATE SET
		kind = excluded.kind, github_environment_id = excluded.github_environment_id,
		secrets_last_synced_at = COALESCE(excluded.secrets_last_synced_at, environments.secrets_last_synced_at),
		sync_status = excluded.sync_status, updated_at = excluded.updated_at`, environments...)
}

// environment is the row that stands for c among all environments of the project.
func (c EnvironmentConfig) environment(project uuid.UUID, now time.Time, synced bool) Environment {
	e := Environment{
		ID: uuid.New(), Project: project, Name: c.Name, Kind: Core, GitHubID: &c.GitHubID,
		CreatedAt: now, UpdatedAt: now,
	}
	status := Pending
	switch {
	case synced:
		status, e.SecretsLastSyncedAt = Synced, &now
	case c.Status == EnvironmentFailed:
		status = Failed
	}
	e.SyncStatus = &status
	return e
}

// forgetEnvironment forgets a core environment with all that is noted of it.
func forgetEnvironment(ctx context.Context, tx *sql.Tx, project uuid.UUID, name string) error {
	scope, err := secret.Environment(name)
	if err != nil {
		return err
	}
	for _, forget := range []struct{ from, where, is string }{
		{"github_environment_configs", "environment_name", name},
		{"environments", "kind = 'core' AND name", name},
		{"environment_intents", "scope", scope.String()},
	} {
		if _, err := exec(ctx, tx, "DELETE FROM "+forget.from+" WHERE project_id = $1 AND "+forget.where+" = $2", project, forget.is); err != nil {
			return err
		}
	}
	return nil
}

// An EnvironmentKind tells the environments that become GitHub's from those that do not.
type EnvironmentKind string

// The kinds.
const (
	Core    EnvironmentKind = "core"    // dev, staging and production
	Preview EnvironmentKind = "preview" // too short-lived to become an environment of GitHub
)

// An Environment is one of a project, core or preview.
type Environment struct {
	ID                  uuid.UUID       `db:"id"`
	Project             uuid.UUID       `db:"project_id"`
	Name                string          `db:"name"`
	Kind                EnvironmentKind `db:"kind"`
	GitHubID            *int64          `db:"github_environment_id"` // of core ones alone
	SecretsLastSyncedAt *time.Time      `db:"secrets_last_synced_at"`
	SyncStatus          *SyncStatus     `db:"sync_status"` // nil: nobody has synchronised it
	CreatedAt           time.Time       `db:"created_at"`
	UpdatedAt           time.Time       `db:"updated_at"`
}

var selectEnvironment = "SELECT " + columns[Environment]("e") + " FROM environments e "

// Environments returns a project's environments, core ones first, then by name.
func (s *Store) Environments(ctx context.Context, project uuid.UUID) ([]Environment, error) {
	environments, err := all[Environment](ctx, s.reader, selectEnvironment+"WHERE e.project_id = $1 ORDER BY e.kind, e.name", project)
	return environments, s.explain(ctx, "environments of project "+project.String(), err)
}

// EnsurePreview returns the preview environment of that name, made when it is not there. It never
// becomes an environment of GitHub, so it cannot have the name of a core one.
func (s *Store) EnsurePreview(ctx context.Context, now time.Time, project uuid.UUID, name string) (Environment, error) {
	if name == "" || clean(name) != name || slices.Contains([]string{"dev", "staging", "production"}, name) {
		return Environment{}, fault.Invalid("%q is no name of a preview environment", clean(name)).
			Hinting("dev, staging and production are core environments; octoseal env apply makes them.")
	}
	now = stamp(now)
	var e Environment
	err := s.write(ctx, "preview environment of project "+project.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, project); err != nil {
			return err
		}
		err := insert(ctx, tx, "environments", "ON CONFLICT (project_id, name) DO NOTHING",
			Environment{ID: uuid.New(), Project: project, Name: name, Kind: Preview, CreatedAt: now, UpdatedAt: now})
		if err != nil {
			return err
		}
		e, _, err = one[Environment](ctx, tx, selectEnvironment+"WHERE e.project_id = $1 AND e.name = $2", project, name)
		return err
	})
	return e, err
}

// RemovePreview forgets a preview environment. One that is not there is forgotten already.
func (s *Store) RemovePreview(ctx context.Context, project uuid.UUID, name string) error {
	return s.write(ctx, "preview environment of project "+project.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "DELETE FROM environments WHERE project_id = $1 AND name = $2 AND kind = $3", project, name, Preview)
		return err
	})
}
