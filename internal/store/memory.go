package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A SyncStatus is how a secret stands after the last run that looked at it.
type SyncStatus string

// The statuses of data-model.md.
const (
	Pending  SyncStatus = "pending"
	Synced   SyncStatus = "synced"
	Failed   SyncStatus = "failed"
	Conflict SyncStatus = "conflict"
)

type mappingRow struct {
	ID           uuid.UUID   `db:"id"`
	Project      uuid.UUID   `db:"project_id"`
	Name         secret.Name `db:"secret_name"`
	ValueHash    string      `db:"value_hash"`
	HashKeyID    string      `db:"hash_key_id"`
	TargetScopes scopeSet    `db:"target_scopes"`
	LeftAlone    bool        `db:"left_alone"`
	Excluded     bool        `db:"is_excluded"`
	LastSyncedAt time.Time   `db:"last_synced_at"`
	Status       SyncStatus  `db:"sync_status"`
	Error        *string     `db:"error_message"`
	CreatedAt    time.Time   `db:"created_at"`
	UpdatedAt    time.Time   `db:"updated_at"`
}

type stateRow struct {
	Mapping         uuid.UUID    `db:"mapping_id"`
	Scope           secret.Scope `db:"scope"`
	Source          string       `db:"source"`
	ValueHash       string       `db:"value_hash"`
	HashKeyID       string       `db:"hash_key_id"`
	TargetUpdatedAt time.Time    `db:"target_updated_at"`
	SourceUpdatedAt time.Time    `db:"source_updated_at"`
	WrittenAt       time.Time    `db:"written_at"`
	IntentAt        time.Time    `db:"intent_at"`
	IntentRun       uuid.UUID    `db:"intent_run"`
	IntentSource    *string      `db:"intent_source"`
}

// A rememberedState is a state with the last sign of life of the run that intends something there.
type rememberedState struct {
	stateRow
	AliveAt time.Time `db:"alive_at"`
}

func (r rememberedState) state() (plan.State, error) {
	hash, err := secret.ParseHash(r.ValueHash, r.HashKeyID)
	st := plan.State{
		Source:          r.Source,
		Hash:            hash,
		TargetUpdatedAt: r.TargetUpdatedAt,
		SourceUpdatedAt: r.SourceUpdatedAt,
		WrittenAt:       r.WrittenAt,
	}
	if !r.IntentAt.IsZero() {
		st.Intent = plan.Intent{At: r.IntentAt, Run: r.IntentRun.String(), Alive: r.AliveAt, Source: *r.IntentSource}
		if st.Intent.Alive.Before(st.Intent.At) {
			st.Intent.Alive = st.Intent.At
		}
	}
	return st, err
}

// remembered returns a project's mappings by name, and the states of each.
func remembered(ctx context.Context, tx querier, projectID uuid.UUID) ([]mappingRow, map[uuid.UUID][]rememberedState, error) {
	mappings, err := mappingsOf(ctx, tx, projectID)
	if err != nil {
		return nil, nil, err
	}
	states, err := all[rememberedState](ctx, tx, `
		SELECT `+columns[stateRow]("st")+`, r.alive_at
		FROM secret_scope_states st
		JOIN secret_mappings m ON m.id = st.mapping_id
		LEFT JOIN sync_runs r ON r.id = st.intent_run
		WHERE m.project_id = $1`, projectID)
	byMapping := make(map[uuid.UUID][]rememberedState, len(mappings))
	for _, st := range states {
		byMapping[st.Mapping] = append(byMapping[st.Mapping], st)
	}
	return mappings, byMapping, err
}

func mappingsOf(ctx context.Context, tx querier, projectID uuid.UUID) ([]mappingRow, error) {
	return all[mappingRow](ctx, tx,
		"SELECT "+columns[mappingRow]("m")+" FROM secret_mappings m WHERE m.project_id = $1 ORDER BY m.secret_name", projectID)
}

// Memory returns what is remembered of every secret of a project, excluded ones included: each
// mapping with the states of its scopes and the intents still open there.
func (s *Store) Memory(ctx context.Context, projectID uuid.UUID) (map[secret.Name]plan.Mapping, error) {
	memory := map[secret.Name]plan.Mapping{}
	err := s.read(ctx, "memory of project "+projectID.String(), func(tx *sql.Tx) error {
		mappings, states, err := remembered(ctx, tx, projectID)
		if err != nil {
			return err
		}
		for _, m := range mappings {
			known := plan.Mapping{TargetScopes: m.TargetScopes, LeftAlone: m.LeftAlone, States: map[secret.Scope]plan.State{}}
			for _, row := range states[m.ID] {
				if known.States[row.Scope], err = row.state(); err != nil {
					return fmt.Errorf("%s in %s: %w", m.Name, row.Scope, err)
				}
			}
			memory[m.Name] = known
		}
		return nil
	})
	return memory, err
}

// A MappingRow is a mapping as status and listings show it.
type MappingRow struct {
	ID           uuid.UUID
	Name         secret.Name
	TargetScopes []secret.Scope
	LeftAlone    bool
	Excluded     bool
	Status       SyncStatus
	Error        string
	Hash         secret.Hash                  // of the value last written anywhere
	Hashes       map[secret.Scope]secret.Hash // of the value last written there, where it is known
	LastSyncedAt *time.Time
	CreatedAt    time.Time
	UpdatedAt    time.Time
}

// Details returns the mappings of a project by name.
func (s *Store) Details(ctx context.Context, projectID uuid.UUID) ([]MappingRow, error) {
	var out []MappingRow
	err := s.read(ctx, "mappings of project "+projectID.String(), func(tx *sql.Tx) error {
		mappings, states, err := remembered(ctx, tx, projectID)
		if err != nil {
			return err
		}
		for _, m := range mappings {
			row, err := m.details(states[m.ID])
			if err != nil {
				return fmt.Errorf("%s: %w", m.Name, err)
			}
			out = append(out, row)
		}
		return nil
	})
	return out, err
}

// Mapping returns what is remembered of one secret of a project.
func (s *Store) Mapping(ctx context.Context, projectID uuid.UUID, name secret.Name) (MappingRow, error) {
	rows, err := s.Details(ctx, projectID)
	if err != nil {
		return MappingRow{}, err
	}
	for _, row := range rows {
		if row.Name == name {
			return row, nil
		}
	}
	return MappingRow{}, noMapping(name)
}

func noMapping(name secret.Name) error {
	return fault.New(fault.ResourceNotFound, fault.Context{"resource": "Secret " + name.String(), "secretName": name.String()}).
		Hinting("A secret is known once it was synchronised.")
}

func (m mappingRow) details(states []rememberedState) (MappingRow, error) {
	hash, err := secret.ParseHash(m.ValueHash, m.HashKeyID)
	row := MappingRow{
		ID: m.ID, Name: m.Name, TargetScopes: m.TargetScopes, LeftAlone: m.LeftAlone, Excluded: m.Excluded, Status: m.Status,
		Hash: hash, Hashes: map[secret.Scope]secret.Hash{}, CreatedAt: m.CreatedAt, UpdatedAt: m.UpdatedAt,
	}
	if m.Error != nil {
		row.Error = *m.Error
	}
	if !m.LastSyncedAt.IsZero() {
		row.LastSyncedAt = &m.LastSyncedAt
	}
	for _, st := range states {
		known, bad := st.state()
		if bad != nil {
			err = bad
		}
		if known.Written() && known.Hash.Seen() {
			row.Hashes[st.Scope] = known.Hash
		}
	}
	return row, err
}

// SetScopes replaces the target scopes of a mapping and returns those it no longer has. What was
// remembered of the secret there is forgotten, its copies stay. A mapping that was left alone is
// ours again.
func (s *Store) SetScopes(
	ctx context.Context, now time.Time, projectID uuid.UUID, name secret.Name, scopes []secret.Scope,
) (dropped []secret.Scope, err error) {
	if err := checkTargets(scopes); err != nil {
		return nil, err
	}
	err = s.write(ctx, fmt.Sprintf("scopes of %s", name), func(tx *sql.Tx) error {
		dropped = nil
		if err := s.lockProject(ctx, tx, projectID); err != nil {
			return err
		}
		m, found, err := one[mappingRow](ctx, tx, "SELECT "+columns[mappingRow]("m")+
			" FROM secret_mappings m WHERE m.project_id = $1 AND m.secret_name = $2", projectID, name)
		if err != nil {
			return err
		}
		if !found {
			return noMapping(name)
		}
		for _, scope := range m.TargetScopes {
			if slices.Contains(scopes, scope) {
				continue
			}
			dropped = append(dropped, scope)
			if _, err := exec(ctx, tx, "DELETE FROM secret_scope_states WHERE mapping_id = $1 AND scope = $2", m.ID, scope); err != nil {
				return err
			}
		}
		_, err = exec(ctx, tx, "UPDATE secret_mappings SET target_scopes = $2, left_alone = $3, updated_at = $4 WHERE id = $1",
			m.ID, scopeSet(scopes), false, now)
		return err
	})
	return dropped, err
}

// checkTargets refuses early, and in words, what the database would refuse.
func checkTargets(scopes []secret.Scope) error {
	if len(scopes) == 0 {
		return fault.Invalid("a secret needs at least one target scope").
			Hinting("To leave it alone, exclude it: octoseal exclusions add.")
	}
	for i, scope := range scopes {
		if !slices.Contains(secret.Stores(), scope) {
			return fault.Invalid("%s is no target scope: an environment has secrets of its own", scope)
		}
		if slices.Contains(scopes[:i], scope) {
			return fault.Invalid("target scope %s stands twice", scope)
		}
	}
	return nil
}
