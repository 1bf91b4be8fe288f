package store

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// An Inquiry names what a project's status is made from, besides the project itself.
type Inquiry struct {
	Project    uuid.UUID
	Credential string    // whose writes are counted and whose limit is read, by name
	Since      time.Time // from when on writes count
	FullHash   string    // the options of a full run; a run without any is one too
	Recent     int       // how many runs to look back for the last full one
}

// A Standing is what a project's status is made from.
type Standing struct {
	LastSuccessAt *time.Time `db:"last_success_at"` // end of the last run that succeeded, wholly or in part
	LastFullAt    *time.Time `db:"last_full_at"`    // start of the last full run, if it was recent
	Pending       int        `db:"pending"`
	Synced        int        `db:"synced"`
	Failed        int        `db:"failed"`
	Conflict      int        `db:"conflict"`
	Writes        int        `db:"writes"` // as WritesSince counts them

	// The core quota as the project's last run saw it, and as the credential's is known since. A
	// limit of 0 is one not known.
	QuotaLimit          int       `db:"quota_limit"`
	QuotaRemaining      int       `db:"quota_remaining"`
	QuotaResetAt        time.Time `db:"quota_reset_at"`
	CredentialLimit     int       `db:"credential_limit"`
	CredentialRemaining int       `db:"credential_remaining"`
	CredentialResetAt   time.Time `db:"credential_reset_at"`
}

// One statement, because status is asked for more often than everything else together, and on
// PostgreSQL each further one is a journey over the network.
const selectStanding = `SELECT
	(SELECT max(r.finished_at) FROM sync_runs r WHERE r.project_id = $1 AND r.state IN ('succeeded', 'partial')) AS last_success_at,
	(SELECT max(r.started_at) FROM (
		SELECT started_at, options_hash FROM sync_runs WHERE project_id = $1 ORDER BY started_at DESC, id LIMIT $5
	) r WHERE r.options_hash IN ('', $4)) AS last_full_at,
	m.pending, m.synced, m.failed, m.conflict,
	(SELECT sum(r.writes) FROM sync_runs r WHERE r.credential = $2 AND r.heartbeat_at >= $3) AS writes,
	q.limit_value, q.remaining, q.reset_at,
	l.limit_value, l.remaining, l.reset_at
	FROM (
		SELECT count(*) FILTER (WHERE sync_status = 'pending') AS pending, count(*) FILTER (WHERE sync_status = 'synced') AS synced,
			count(*) FILTER (WHERE sync_status = 'failed') AS failed, count(*) FILTER (WHERE sync_status = 'conflict') AS conflict
		FROM secret_mappings WHERE project_id = $1 AND NOT is_excluded
	) m
	LEFT JOIN github_api_quotas q ON q.project_id = $1 AND q.quota_type = 'core'
	LEFT JOIN credential_limits l ON l.credential = $2 AND l.resource = 'core'`

// Standing tells how a project stands; excluded secrets are not counted. It is one statement.
func (s *Store) Standing(ctx context.Context, of Inquiry) (Standing, error) {
	st, _, err := one[Standing](ctx, s.reader, selectStanding, of.Project, of.Credential, of.Since, of.FullHash, of.Recent)
	return st, s.explain(ctx, "status of project "+of.Project.String(), err)
}
