package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/secret"
)

// An Outcome is everything that a run leaves behind.
type Outcome struct {
	Project uuid.UUID
	Actor   uuid.UUID
	Lease   *Lease // when set, it must still be ours
	Run     Run    // as it ended; without an ID no run is recorded (a validation has none)

	Mappings       []MappingRecord
	States         []StateRecord
	ForgetStates   []Target
	ForgetMappings []secret.Name
	Lists          []List
	Events         []audit.Event // in order; ids, project, actor, correlation and time are filled in where zero
	Quotas         []Quota       // a reading past its reset or beyond its limit is left out
}

// A MappingRecord is what a run learned of one secret. The mapping is made when absent.
type MappingRecord struct {
	Name         secret.Name
	TargetScopes []secret.Scope // none: the ones remembered stay
	LeftAlone    bool
	Excluded     bool
	Status       SyncStatus // Pending unless set
	Error        string
	Hash         secret.Hash // unseen: the one remembered stays
	LastSyncedAt time.Time   // zero: the one remembered stays
}

// A StateRecord is what a run learned of one secret in one scope; its mapping must exist or be
// recorded beside it. It replaces what was remembered there, and clears the intent.
type StateRecord struct {
	Name            secret.Name
	Scope           secret.Scope
	Source          string
	Hash            secret.Hash
	TargetUpdatedAt time.Time
	SourceUpdatedAt time.Time
	WrittenAt       time.Time
	KeepIntent      bool // the intent stays open: no list has shown the write yet
}

// Record stores an outcome whole or not at all, and returns the head of the project's chain.
//
// A run is recorded once: when it has ended already nothing changes, and an event that it has
// already is not added again. A run whose lease went to another answers ErrLeaseLost; its intents
// stay open, and the other run settles them.
func (s *Store) Record(ctx context.Context, now time.Time, o Outcome) (audit.Head, error) {
	now = stamp(now)
	var head audit.Head
	err := s.write(ctx, fmt.Sprintf("outcome of run %s", o.Run.ID), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, o.Project); err != nil {
			return err
		}
		chain, err := headOf(ctx, tx, o.Project)
		if err != nil {
			return err
		}
		head = chain.head()
		known, err := s.runToRecord(ctx, tx, o)
		if err != nil || known.ended() {
			return err
		}
		if err := o.remember(ctx, tx, now); err != nil {
			return err
		}
		if o.Run.ID != uuid.Nil {
			o.Run.Project, o.Run.Actor = o.Project, o.Actor
			if err := finish(ctx, tx, now, known, o.Run); err != nil {
				return err
			}
		}
		head, err = appendEvents(ctx, tx, now, head, o)
		return err
	})
	return head, err
}

// runToRecord returns what is known of the outcome's run, once it is clear that no other run has
// taken its place.
func (s *Store) runToRecord(ctx context.Context, tx *sql.Tx, o Outcome) (Run, error) {
	if o.Lease != nil {
		if err := o.Lease.stillHeld(ctx, tx); err != nil {
			return Run{}, err
		}
	} else if o.Run.ID != uuid.Nil {
		if err := s.notAnothers(ctx, tx, o.Project, o.Run.ID); err != nil {
			return Run{}, err
		}
	}
	if o.Run.ID == uuid.Nil {
		return Run{}, nil
	}
	known, _, err := one[Run](ctx, tx, selectRun+"WHERE r.id = $1"+s.dialect.forUpdate, o.Run.ID)
	return known, err
}

// remember stores all but the run and its events.
func (o Outcome) remember(ctx context.Context, tx *sql.Tx, now time.Time) error {
	known, err := mappingsOf(ctx, tx, o.Project)
	if err != nil {
		return err
	}
	byName := make(map[secret.Name]mappingRow, len(known))
	for _, m := range known {
		byName[m.Name] = m
	}
	if err := o.rememberMappings(ctx, tx, now, byName); err != nil {
		return err
	}
	if err := o.rememberStates(ctx, tx, byName); err != nil {
		return err
	}
	for _, t := range o.ForgetStates {
		if _, err := exec(ctx, tx, "DELETE FROM secret_scope_states WHERE mapping_id = $1 AND scope = $2", byName[t.Name].ID, t.Scope); err != nil {
			return err
		}
	}
	for _, name := range o.ForgetMappings {
		if _, err := exec(ctx, tx, "DELETE FROM secret_mappings WHERE id = $1", byName[name].ID); err != nil {
			return err
		}
	}
	if err := saveLists(ctx, tx, now, o.Project, o.Lists); err != nil {
		return err
	}
	return saveQuotas(ctx, tx, now, o.Project, o.Quotas)
}

// rememberMappings stores the mappings and keeps byName up to date with them.
func (o Outcome) rememberMappings(ctx context.Context, tx *sql.Tx, now time.Time, byName map[secret.Name]mappingRow) error {
	written := map[secret.Name][]secret.Scope{}
	for _, st := range o.States {
		written[st.Name] = append(written[st.Name], st.Scope)
	}
	var rows []mappingRow
	for _, r := range o.Mappings {
		m, found := byName[r.Name]
		if !found {
			m = mappingRow{
				ID: uuid.New(), Project: o.Project, Name: r.Name, ValueHash: secret.NeverSeen, TargetScopes: written[r.Name], CreatedAt: now,
			}
		}
		m.LeftAlone, m.Excluded, m.UpdatedAt = r.LeftAlone, r.Excluded, now
		m.Status = either(r.Status, Pending)
		m.Error = nil
		if r.Error != "" {
			m.Error = &r.Error
		}
		if len(r.TargetScopes) > 0 {
			m.TargetScopes = r.TargetScopes
		}
		if r.Hash.Seen() {
			m.ValueHash, m.HashKeyID = r.Hash.String(), r.Hash.KeyID()
		}
		if !r.LastSyncedAt.IsZero() {
			m.LastSyncedAt = r.LastSyncedAt
		}
		byName[r.Name] = m
		rows = append(rows, m)
	}
	return insert(ctx, tx, "secret_mappings", `ON CONFLICT (project_id, secret_name) DO UPDATE SET
		value_hash = excluded.value_hash, hash_key_id = excluded.hash_key_id, target_scopes = excluded.target_scopes,
		left_alone = excluded.left_alone, is_excluded = excluded.is_excluded, last_synced_at = excluded.last_synced_at,
		sync_status = excluded.sync_status, error_message = excluded.error_message, updated_at = excluded.updated_at`, rows...)
}

// rememberStates stores the states, in one statement for those whose intent is settled and one for
// those whose intent stays open.
func (o Outcome) rememberStates(ctx context.Context, tx *sql.Tx, byName map[secret.Name]mappingRow) error {
	var settled, open []stateRow
	for _, r := range o.States {
		m, found := byName[r.Name]
		if !found {
			return fmt.Errorf("%s in %s has a state but no mapping", r.Name, r.Scope)
		}
		row := stateRow{
			Mapping: m.ID, Scope: r.Scope, Source: r.Source, ValueHash: r.Hash.String(), HashKeyID: r.Hash.KeyID(),
			TargetUpdatedAt: r.TargetUpdatedAt, SourceUpdatedAt: r.SourceUpdatedAt, WrittenAt: r.WrittenAt,
		}
		if r.KeepIntent {
			open = append(open, row)
		} else {
			settled = append(settled, row)
		}
	}
	const replace = `ON CONFLICT (mapping_id, scope) DO UPDATE SET source = excluded.source,
		value_hash = excluded.value_hash, hash_key_id = excluded.hash_key_id, target_updated_at = excluded.target_updated_at,
		source_updated_at = excluded.source_updated_at, written_at = excluded.written_at`
	if err := insert(ctx, tx, "secret_scope_states", replace, open...); err != nil {
		return err
	}
	return insert(ctx, tx, "secret_scope_states", replace+", intent_at = NULL, intent_run = NULL, intent_source = NULL", settled...)
}
