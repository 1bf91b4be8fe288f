package store

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
)

// A Project is one repository that is kept in step.
type Project struct {
	ID                uuid.UUID     `db:"id"`
	Name              string        `db:"name"` // for people; OWNER/REPO unless given
	Slug              string        `db:"slug"` // made from the name unless given
	APIHost           string        `db:"api_host"`
	Owner             string        `db:"owner"`
	Repo              string        `db:"repo"`
	RepositoryID      int64         `db:"repository_id"`
	DefaultBranch     string        `db:"default_branch"`
	InstallationID    *int64        `db:"installation_id"`
	ValueSource       string        `db:"value_source"` // empty, relay, or source:NAME
	AutoSync          bool          `db:"auto_sync"`
	SyncInterval      time.Duration `db:"sync_interval"` // whole milliseconds; 0 is the server's own
	Adopt             plan.Adopt    `db:"adopt"`
	DefaultReviewerID *int64        `db:"default_reviewer_id"`
	ArchivedAt        *time.Time    `db:"archived_at"`
	CreatedAt         time.Time     `db:"created_at"`
	UpdatedAt         time.Time     `db:"updated_at"`
}

var selectProject = "SELECT " + columns[Project]("p") + " FROM projects p "

// EnsureProject returns the project of p's repository, found by APIHost and RepositoryID among
// those not archived. One that is there keeps its settings and takes over p's owner, repository
// and default branch, should GitHub know it by other names now; one that is not is made from p.
func (s *Store) EnsureProject(ctx context.Context, now time.Time, p Project) (Project, error) {
	doing := fmt.Sprintf("project of %s/%s", p.Owner, p.Repo)
	// The usual case changes nothing, and need not wait for a turn to write.
	known, found, err := projectOfRepository(ctx, s.reader, p.APIHost, p.RepositoryID)
	if err != nil {
		return Project{}, s.explain(ctx, doing, err)
	}
	if found && known.called(p) == known {
		return known, nil
	}
	var out Project
	again := func() error {
		return s.write(ctx, doing, func(tx *sql.Tx) (err error) {
			out, err = ensureProject(ctx, tx, stamp(now), p)
			return err
		})
	}
	for range attempts {
		// Someone else may make the same project, or take the same slug, in between.
		if err = again(); classify(err) != troubleDuplicate {
			break
		}
	}
	return out, err
}

// called is p as GitHub calls it in now. Its name follows as long as nobody gave it another.
func (p Project) called(now Project) Project {
	if p.Name == p.Owner+"/"+p.Repo {
		p.Name = now.Owner + "/" + now.Repo
	}
	p.Owner, p.Repo = now.Owner, now.Repo
	if now.DefaultBranch != "" {
		p.DefaultBranch = now.DefaultBranch
	}
	return p
}

func ensureProject(ctx context.Context, tx *sql.Tx, now time.Time, p Project) (Project, error) {
	known, found, err := projectOfRepository(ctx, tx, p.APIHost, p.RepositoryID)
	if err != nil {
		return Project{}, err
	}
	if found {
		p = known.called(p)
		p.UpdatedAt = now
		_, err := exec(ctx, tx, "UPDATE projects SET name = $2, owner = $3, repo = $4, default_branch = $5, updated_at = $6 WHERE id = $1",
			p.ID, p.Name, p.Owner, p.Repo, p.DefaultBranch, p.UpdatedAt)
		return p, err
	}
	if p.ID == uuid.Nil {
		p.ID = uuid.New()
	}
	if p.Name == "" {
		p.Name = p.Owner + "/" + p.Repo
	}
	if p.Slug == "" {
		p.Slug = slugOf(p.Name)
	}
	if p.Slug, err = freeSlug(ctx, tx, p.Slug); err != nil {
		return Project{}, err
	}
	p.ArchivedAt, p.CreatedAt, p.UpdatedAt = nil, now, now
	return p, insert(ctx, tx, "projects", "", p)
}

// slugOf spells a name with what a URL likes: lower-case letters, digits and single hyphens.
func slugOf(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	const long = 150 // leaves room for a number
	slug := b.String()
	slug = strings.TrimSuffix(slug[:min(len(slug), long)], "-")
	if slug == "" {
		return "project"
	}
	return slug
}

func freeSlug(ctx context.Context, tx *sql.Tx, slug string) (string, error) {
	for n, try := 2, slug; ; n, try = n+1, fmt.Sprintf("%s-%d", slug, n) {
		taken, err := number(ctx, tx, "SELECT count(*) AS n FROM projects WHERE slug = $1 AND archived_at IS NULL", try)
		if err != nil || taken == 0 {
			return try, err
		}
	}
}

// FindProject finds a project by its repository's name, whatever its case, among those not
// archived. A name can pass from one repository to another; of two projects that were known by it
// the one heard of last is meant.
func (s *Store) FindProject(ctx context.Context, apiHost, owner, repo string) (p Project, found bool, err error) {
	p, found, err = one[Project](ctx, s.reader, selectProject+`
		WHERE p.api_host = $1 AND lower(p.owner) = $2 AND lower(p.repo) = $3 AND p.archived_at IS NULL
		ORDER BY p.updated_at DESC, p.created_at DESC, p.id LIMIT 1`,
		apiHost, strings.ToLower(owner), strings.ToLower(repo))
	return p, found, s.explain(ctx, fmt.Sprintf("project of %s/%s", owner, repo), err)
}

// Project returns a project by its id, archived or not.
func (s *Store) Project(ctx context.Context, id uuid.UUID) (Project, error) {
	p, found, err := one[Project](ctx, s.reader, selectProject+"WHERE p.id = $1", id)
	if err == nil && !found {
		err = noProject(id)
	}
	return p, s.explain(ctx, "project "+id.String(), err)
}

func noProject(id uuid.UUID) error {
	return fault.New(fault.ProjectNotFound, fault.Context{"projectId": id.String()})
}

// lockProject keeps everyone else from recording for the project until the transaction ends, and
// answers that the project is not found when it is archived or was never there.
func (s *Store) lockProject(ctx context.Context, tx *sql.Tx, id uuid.UUID) error {
	n, err := number(ctx, tx, "SELECT count(*) AS n FROM projects WHERE id = $1 AND archived_at IS NULL", id)
	if err != nil {
		return err
	}
	if n == 0 {
		return noProject(id)
	}
	if err := insert(ctx, tx, "audit_heads", "ON CONFLICT DO NOTHING", newHead(id)); err != nil {
		return err
	}
	_, err = number(ctx, tx, "SELECT seq AS n FROM audit_heads WHERE project_id = $1"+s.dialect.forUpdate, id)
	return err
}

// Archive deletes a project: what is remembered of its secrets, its rules, lists, quotas, members,
// tokens and sessions go at once. The row stays for its events, and goes when the last of them is
// purged. A run at work loses its lease, and no run that has not ended goes on.
func (s *Store) Archive(ctx context.Context, now time.Time, id uuid.UUID) error {
	return s.write(ctx, "archive project "+id.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, id); err != nil {
			return err
		}
		for _, table := range []string{
			"secret_mappings", "github_environment_configs", "environments", "environment_intents", "secret_exclusion_patterns",
			"github_api_quotas", "scope_lists", "idempotency_keys", "relay_sessions", "relay_dispatches", "run_leases", "api_tokens", "project_members",
		} {
			if _, err := exec(ctx, tx, "DELETE FROM "+table+" WHERE project_id = $1", id); err != nil {
				return err
			}
		}
		if _, err := exec(ctx, tx, `UPDATE sync_runs SET state = $2, finished_at = $3, updated_at = $3, error_code = $4, error_message = $5
			WHERE project_id = $1 AND state NOT IN ('succeeded', 'partial', 'failed')`,
			id, RunFailed, now, fault.ProjectNotFound, "the project was removed before the run had ended"); err != nil {
			return err
		}
		_, err := exec(ctx, tx, "UPDATE projects SET archived_at = $2, updated_at = $2 WHERE id = $1", id, now)
		return err
	})
}
