package store

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Target is one secret in one scope.
type Target struct {
	Name  secret.Name
	Scope secret.Scope
}

// Intents are the writes and deletions that a run is about to make.
type Intents struct {
	Project uuid.UUID
	Run     uuid.UUID
	At      time.Time // GitHub's clock
	Source  string
	Targets []Target
	// Covered are those of the targets whose listed time an older intent covers: a write of an
	// interrupted run may stand there.
	Covered map[Target]bool
	// Scopes are the target scopes of mappings to be made. A mapping made without gets the scopes
	// of its targets.
	Scopes map[secret.Name][]secret.Scope
}

// OpenIntents notes, before the first write, everything a run is about to do. Mappings and states
// that are not there yet are made, their values never seen.
//
// An older intent that covers what is listed keeps its time and its share in the source: what that
// run wrote and nobody saw is covered until a list has shown it. Of any other older intent nothing
// came, and what is listed there is somebody else's, so the new one replaces it.
func (s *Store) OpenIntents(ctx context.Context, now time.Time, in Intents) error {
	return s.write(ctx, fmt.Sprintf("intents of run %s", in.Run), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, in.Project); err != nil {
			return err
		}
		if err := s.notAnothers(ctx, tx, in.Project, in.Run); err != nil {
			return err
		}
		if err := beat(ctx, tx, in.Project, in.Run, now, in.At); err != nil {
			return err
		}
		ids, err := ensureMappings(ctx, tx, stamp(now), in)
		if err != nil {
			return err
		}
		return openStates(ctx, tx, in, ids)
	})
}

// openStates stores the intents themselves, in one statement for the targets that an older intent
// covers and one for the others.
func openStates(ctx context.Context, tx *sql.Tx, in Intents, ids map[secret.Name]uuid.UUID) error {
	by := cmp.Or(in.Source, plan.NoIdentity)
	var covered, fresh []stateRow
	for _, t := range in.Targets {
		row := stateRow{
			Mapping: ids[t.Name], Scope: t.Scope, Source: in.Source, ValueHash: secret.NeverSeen,
			IntentAt: in.At, IntentRun: in.Run, IntentSource: &by,
		}
		if in.Covered[t] {
			covered = append(covered, row)
		} else {
			fresh = append(fresh, row)
		}
	}
	if err := insert(ctx, tx, "secret_scope_states", `ON CONFLICT (mapping_id, scope) DO UPDATE SET
		intent_at = COALESCE(secret_scope_states.intent_at, excluded.intent_at),
		intent_run = excluded.intent_run,
		intent_source = CASE
			WHEN secret_scope_states.intent_source IS NULL OR secret_scope_states.intent_source = excluded.intent_source
			THEN excluded.intent_source ELSE '`+plan.SeveralSources+`' END`, covered...); err != nil {
		return err
	}
	return insert(ctx, tx, "secret_scope_states", `ON CONFLICT (mapping_id, scope) DO UPDATE SET
		source = CASE WHEN secret_scope_states.written_at IS NULL THEN excluded.source ELSE secret_scope_states.source END,
		intent_at = excluded.intent_at, intent_run = excluded.intent_run, intent_source = excluded.intent_source`, fresh...)
}

// ensureMappings makes the mappings that the targets lack, and returns the ids of all.
func ensureMappings(ctx context.Context, tx *sql.Tx, now time.Time, in Intents) (map[secret.Name]uuid.UUID, error) {
	known, err := mappingsOf(ctx, tx, in.Project)
	if err != nil {
		return nil, err
	}
	ids := make(map[secret.Name]uuid.UUID, len(known))
	for _, m := range known {
		ids[m.Name] = m.ID
	}
	targets := map[secret.Name][]secret.Scope{}
	for _, t := range in.Targets {
		targets[t.Name] = append(targets[t.Name], t.Scope)
	}
	var missing []mappingRow
	for _, t := range in.Targets {
		if _, found := ids[t.Name]; found {
			continue
		}
		m := mappingRow{
			ID: uuid.New(), Project: in.Project, Name: t.Name, ValueHash: secret.NeverSeen,
			TargetScopes: in.Scopes[t.Name], Status: Pending, CreatedAt: now, UpdatedAt: now,
		}
		if len(m.TargetScopes) == 0 {
			m.TargetScopes = targets[t.Name]
		}
		ids[t.Name] = m.ID
		missing = append(missing, m)
	}
	return ids, insert(ctx, tx, "secret_mappings", "", missing...)
}
