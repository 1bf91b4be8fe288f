package store

import (
	"context"
	"database/sql"
	"encoding/base64"
	"fmt"
	"iter"
	"regexp"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
)

// A ProjectFilter selects projects; a zero field selects all.
type ProjectFilter struct {
	User  uuid.UUID // who is a member
	After string    // the cursor that Projects returned
	Limit int       // 50 unless set, at most 500
}

// Projects returns a page of the projects that are not archived, by slug, and the cursor of the
// next page, which is empty on the last.
func (s *Store) Projects(ctx context.Context, f ProjectFilter) (projects []Project, next string, err error) {
	if f.Limit <= 0 {
		f.Limit = defaultPage
	}
	f.Limit = min(f.Limit, maxPage)
	w := where{conditions: []string{"p.archived_at IS NULL"}}
	if f.User != uuid.Nil {
		w.and("p.id IN (SELECT m.project_id FROM project_members m WHERE m.user_id = ?)", f.User)
	}
	if f.After != "" {
		slug, err := base64.RawURLEncoding.DecodeString(f.After)
		if err != nil || !slugForm.Match(slug) {
			return nil, "", fault.Invalid("the cursor is not one that a page of projects gave out").
				Hinting("Leave it out to begin with the first.")
		}
		w.and("p.slug > ?", string(slug))
	}
	limit := w.value(f.Limit + 1) // one more tells whether there is a next page
	projects, err = all[Project](ctx, s.reader, selectProject+w.clause()+" ORDER BY p.slug LIMIT "+limit, w.args...)
	if len(projects) > f.Limit {
		projects = projects[:f.Limit]
		next = base64.RawURLEncoding.EncodeToString([]byte(projects[f.Limit-1].Slug))
	}
	return projects, next, s.explain(ctx, "projects", err)
}

var slugForm = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// An ActiveProject is what polling needs to know of a project.
type ActiveProject struct {
	ID             uuid.UUID     `db:"id"`
	APIHost        string        `db:"api_host"`
	Owner          string        `db:"owner"`
	Repo           string        `db:"repo"`
	RepositoryID   int64         `db:"repository_id"`
	DefaultBranch  string        `db:"default_branch"`
	InstallationID *int64        `db:"installation_id"`
	ValueSource    string        `db:"value_source"`
	AutoSync       bool          `db:"auto_sync"`
	SyncInterval   time.Duration `db:"sync_interval"`
	CreatedAt      time.Time     `db:"created_at"`
	LastRunAt      *time.Time    `db:"last_run_at"` // when the newest run was asked for
}

const selectActive = `SELECT p.id, p.api_host, p.owner, p.repo, p.repository_id, p.default_branch, p.installation_id, p.value_source,
	p.auto_sync, p.sync_interval, p.created_at, (SELECT max(r.started_at) FROM sync_runs r WHERE r.project_id = p.id) AS last_run_at
	FROM projects p `

// ActiveProjects returns every project that is not archived, by id. They are read in pages as the
// caller goes, so that ten thousand of them hold neither memory nor a connection for long; one
// that is made meanwhile may or may not be among them.
func (s *Store) ActiveProjects(ctx context.Context) iter.Seq2[ActiveProject, error] {
	return func(yield func(ActiveProject, error) bool) {
		for after := uuid.Nil; ; {
			w := where{conditions: []string{"p.archived_at IS NULL"}}
			if after != uuid.Nil {
				w.and("p.id > ?", after)
			}
			page, err := all[ActiveProject](ctx, s.reader, selectActive+
				w.clause()+fmt.Sprintf(" ORDER BY p.id LIMIT %d", maxPage), w.args...)
			if err != nil {
				yield(ActiveProject{}, s.explain(ctx, "active projects", err))
				return
			}
			for _, p := range page {
				if !yield(p, nil) {
					return
				}
				after = p.ID
			}
			if len(page) < maxPage {
				return
			}
		}
	}
}

// ProjectByRepositoryID finds a project by what never changes about its repository, among those
// not archived.
func (s *Store) ProjectByRepositoryID(ctx context.Context, apiHost string, repositoryID int64) (p Project, found bool, err error) {
	p, found, err = projectOfRepository(ctx, s.reader, apiHost, repositoryID)
	return p, found, s.explain(ctx, fmt.Sprintf("project of repository %d", repositoryID), err)
}

func projectOfRepository(ctx context.Context, q querier, apiHost string, repositoryID int64) (Project, bool, error) {
	return one[Project](ctx, q, selectProject+
		"WHERE p.api_host = $1 AND p.repository_id = $2 AND p.archived_at IS NULL", apiHost, repositoryID)
}

// A ProjectPatch changes the settings of a project that are not nil. An installation or reviewer
// of 0 is none.
type ProjectPatch struct {
	Name              *string
	ValueSource       *string
	AutoSync          *bool
	SyncInterval      *time.Duration
	Adopt             *plan.Adopt
	DefaultReviewerID *int64
	InstallationID    *int64
	Owner             *string
	Repo              *string
	DefaultBranch     *string
}

// PatchProject changes settings of a project that is not archived, and returns it as it then is.
func (s *Store) PatchProject(ctx context.Context, now time.Time, id uuid.UUID, patch ProjectPatch) (Project, error) {
	var p Project
	err := s.write(ctx, "project "+id.String(), func(tx *sql.Tx) (err error) {
		if err := s.lockProject(ctx, tx, id); err != nil {
			return err
		}
		if p, _, err = one[Project](ctx, tx, selectProject+"WHERE p.id = $1", id); err != nil {
			return err
		}
		if p, err = patch.of(p); err != nil {
			return err
		}
		p.UpdatedAt = stamp(now)
		_, err = exec(ctx, tx, `UPDATE projects SET name = $2, value_source = $3, auto_sync = $4, sync_interval = $5, adopt = $6,
			default_reviewer_id = $7, installation_id = $8, owner = $9, repo = $10, default_branch = $11, updated_at = $12 WHERE id = $1`,
			p.ID, p.Name, p.ValueSource, p.AutoSync, p.SyncInterval, p.Adopt,
			p.DefaultReviewerID, p.InstallationID, p.Owner, p.Repo, p.DefaultBranch, p.UpdatedAt)
		return err
	})
	return p, err
}

// of is p with the patch applied, once it is clear that the database takes it.
func (patch ProjectPatch) of(p Project) (Project, error) {
	p = p.called(Project{
		Owner: given(patch.Owner, p.Owner), Repo: given(patch.Repo, p.Repo), DefaultBranch: given(patch.DefaultBranch, p.DefaultBranch),
	})
	p.Name = given(patch.Name, p.Name)
	p.ValueSource = given(patch.ValueSource, p.ValueSource)
	p.AutoSync = given(patch.AutoSync, p.AutoSync)
	p.SyncInterval = given(patch.SyncInterval, p.SyncInterval)
	p.Adopt = given(patch.Adopt, p.Adopt)
	p.DefaultReviewerID = orNone(patch.DefaultReviewerID, p.DefaultReviewerID)
	p.InstallationID = orNone(patch.InstallationID, p.InstallationID)
	switch {
	case p.Name == "":
		return p, fault.Invalid("a project needs a name")
	case p.Owner == "" || p.Repo == "":
		return p, fault.Invalid("a project's repository has an owner and a name")
	case !valueSource.MatchString(p.ValueSource):
		return p, fault.Invalid("a value source is relay or source:NAME, not %q", clean(p.ValueSource))
	case p.SyncInterval < 0:
		return p, fault.Invalid("a sync interval is not negative; 0 is the server's own")
	case !slices.Contains([]plan.Adopt{plan.AdoptNone, plan.AdoptOverwrite, plan.AdoptKeep}, p.Adopt):
		return p, fault.Invalid("adopt is overwrite, keep or empty, not %q", clean(string(p.Adopt)))
	}
	return p, nil
}

var valueSource = regexp.MustCompile(`^(|relay|source:.+)$`)

func given[T any](patch *T, known T) T {
	if patch == nil {
		return known
	}
	return *patch
}

func orNone(patch, known *int64) *int64 {
	switch {
	case patch == nil:
		return known
	case *patch == 0:
		return nil
	}
	return patch
}
