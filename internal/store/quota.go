package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// A Quota is one of a project's GitHub API quotas. The type secrets is our own count of writing
// requests (WritesSince) against the 500 an hour that GitHub documents.
type Quota struct {
	Type      string    `db:"quota_type"` // core, secrets or graphql
	Remaining int       `db:"remaining"`
	Limit     int       `db:"limit_value"`
	ResetAt   time.Time `db:"reset_at"`
	CheckedAt time.Time `db:"last_checked_at"`
}

type quotaRow struct {
	ID      uuid.UUID `db:"id"`
	Project uuid.UUID `db:"project_id"`
	Quota
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

// Quotas returns a project's quotas as last stored, by type. One past its reset is still shown:
// it is the last limit seen.
func (s *Store) Quotas(ctx context.Context, projectID uuid.UUID) ([]Quota, error) {
	quotas, err := all[Quota](ctx, s.reader,
		"SELECT "+columns[Quota]("q")+" FROM github_api_quotas q WHERE q.project_id = $1 ORDER BY q.quota_type", projectID)
	return quotas, s.explain(ctx, "quotas of project "+projectID.String(), err)
}

// saveQuotas stores quotas. The contract wants a reset in the future and a check in the past,
// which only the time passed in can tell. An outcome is not lost over a reading, so a quota past
// its reset or beyond its limit is left out, and one checked in the future was checked now.
func saveQuotas(ctx context.Context, tx *sql.Tx, now time.Time, projectID uuid.UUID, quotas []Quota) error {
	var rows []quotaRow
	for _, q := range quotas {
		if !stamp(q.ResetAt).After(now) || q.Remaining < 0 || q.Remaining > q.Limit {
			continue
		}
		if q.CheckedAt.IsZero() || q.CheckedAt.After(now) {
			q.CheckedAt = now
		}
		rows = append(rows, quotaRow{ID: uuid.New(), Project: projectID, Quota: q, CreatedAt: now, UpdatedAt: now})
	}
	return insert(ctx, tx, "github_api_quotas", `ON CONFLICT (project_id, quota_type) DO UPDATE SET
		remaining = excluded.remaining, limit_value = excluded.limit_value, reset_at = excluded.reset_at,
		last_checked_at = excluded.last_checked_at, updated_at = excluded.updated_at`, rows...)
}

// A Limit is what is known of one of GitHub's limits on a credential.
type Limit struct {
	Credential  string    `db:"credential"` // its name, never itself
	Resource    string    `db:"resource"`
	Limit       int       `db:"limit_value"`
	Remaining   int       `db:"remaining"`
	ResetAt     time.Time `db:"reset_at"` // zero: not known
	CheckedAt   time.Time `db:"checked_at"`
	PausedUntil time.Time `db:"paused_until"` // zero: not paused
	Why         string    `db:"why"`          // of the pause
}

type limitRow struct {
	Limit
	UpdatedAt time.Time `db:"updated_at"`
}

// SaveLimit stores a limit. An older reading never replaces a newer one, and a pause is never cut
// short: another replica may know of one that this one has not heard of yet.
func (s *Store) SaveLimit(ctx context.Context, now time.Time, l Limit) error {
	if l.Remaining < 0 || l.Remaining > l.Limit {
		return fault.Invalid("limit %s of %s: %d of %d remaining", l.Resource, l.Credential, l.Remaining, l.Limit)
	}
	if l.CheckedAt.IsZero() || l.CheckedAt.After(now) {
		l.CheckedAt = now
	}
	return s.write(ctx, "limit of "+l.Credential, func(tx *sql.Tx) error {
		if err := insert(ctx, tx, "credential_limits", `ON CONFLICT (credential, resource) DO UPDATE SET
			limit_value = excluded.limit_value, remaining = excluded.remaining, reset_at = excluded.reset_at,
			checked_at = excluded.checked_at, updated_at = excluded.updated_at
			WHERE excluded.checked_at >= credential_limits.checked_at`, limitRow{l, now}); err != nil {
			return err
		}
		if l.PausedUntil.IsZero() {
			return nil
		}
		_, err := exec(ctx, tx, `UPDATE credential_limits SET paused_until = $3, why = $4, updated_at = $5
			WHERE credential = $1 AND resource = $2 AND (paused_until IS NULL OR paused_until < $3)`,
			l.Credential, l.Resource, l.PausedUntil, l.Why, now)
		return err
	})
}

// Limits returns all limits of a credential, by resource.
func (s *Store) Limits(ctx context.Context, credential string) ([]Limit, error) {
	limits, err := all[Limit](ctx, s.reader,
		"SELECT "+columns[Limit]("l")+" FROM credential_limits l WHERE l.credential = $1 ORDER BY l.resource", credential)
	return limits, s.explain(ctx, "limits of "+credential, err)
}

// LimitsSince returns the limits of all credentials that changed at since or later, and those
// whose pause goes on beyond it, by credential and resource. A pause is thus among them however
// the clocks of the replicas differ.
func (s *Store) LimitsSince(ctx context.Context, since time.Time) ([]Limit, error) {
	limits, err := all[Limit](ctx, s.reader, "SELECT "+columns[Limit]("l")+` FROM credential_limits l
		WHERE l.updated_at >= $1 OR l.paused_until > $1 ORDER BY l.credential, l.resource`, since)
	return limits, s.explain(ctx, "limits", err)
}
