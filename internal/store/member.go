package store

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// A Role is what a member of a project, or a token, may do there.
type Role string

// The roles. Each may do what those before it may.
const (
	Viewer    Role = "viewer"
	Developer Role = "developer"
	Admin     Role = "admin"
)

var roles = []Role{Viewer, Developer, Admin}

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	if !slices.Contains(roles, Role(name)) {
		return "", fault.Invalid("there is no role %q; roles are viewer, developer and admin", clean(name))
	}
	return Role(name), nil
}

// Allows says whether r may do what takes the role needed. The zero Role, and one that does not
// exist, allows nothing.
func (r Role) Allows(needed Role) bool {
	has, needs := slices.Index(roles, r), slices.Index(roles, needed)
	return has >= 0 && needs >= 0 && has >= needs
}

// A Member is a user with a role in a project.
type Member struct {
	User
	Role Role `db:"role"`
}

type memberRow struct {
	Project   uuid.UUID `db:"project_id"`
	User      uuid.UUID `db:"user_id"`
	Role      Role      `db:"role"`
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

// Members returns the members of a project by login.
func (s *Store) Members(ctx context.Context, projectID uuid.UUID) ([]Member, error) {
	members, err := all[Member](ctx, s.reader, "SELECT "+columns[User]("u")+`, m.role FROM project_members m
		JOIN users u ON u.id = m.user_id WHERE m.project_id = $1 ORDER BY lower(u.login)`, projectID)
	return members, s.explain(ctx, "members of project "+projectID.String(), err)
}

// SetMember gives a person a role in a project, in place of the one they may have.
func (s *Store) SetMember(ctx context.Context, now time.Time, projectID, userID uuid.UUID, role Role) error {
	if _, err := ParseRole(string(role)); err != nil {
		return err
	}
	return s.write(ctx, fmt.Sprintf("member %s of project %s", userID, projectID), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, projectID); err != nil {
			return err
		}
		if err := isPerson(ctx, tx, userID); err != nil {
			return err
		}
		return insert(ctx, tx, "project_members",
			"ON CONFLICT (project_id, user_id) DO UPDATE SET role = excluded.role, updated_at = excluded.updated_at",
			memberRow{Project: projectID, User: userID, Role: role, CreatedAt: now, UpdatedAt: now})
	})
}

func isPerson(ctx context.Context, tx *sql.Tx, userID uuid.UUID) error {
	n, err := number(ctx, tx, "SELECT count(*) AS n FROM users WHERE id = $1 AND kind = 'human'", userID)
	if err == nil && n == 0 {
		err = noUser(userID)
	}
	return err
}

// RemoveMember takes a user out of a project. Their tokens for it go on working as tokens, but no
// longer open it: a token never allows more than its user may.
func (s *Store) RemoveMember(ctx context.Context, projectID, userID uuid.UUID) error {
	return s.write(ctx, fmt.Sprintf("member %s of project %s", userID, projectID), func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "DELETE FROM project_members WHERE project_id = $1 AND user_id = $2", projectID, userID)
		if err == nil && n == 0 {
			err = fault.New(fault.ResourceNotFound, fault.Context{"resource": "Member " + userID.String(), "userId": userID.String()})
		}
		return err
	})
}

// RoleIn returns the role of a user in a project, if they are a member. An archived project has
// no members.
func (s *Store) RoleIn(ctx context.Context, projectID, userID uuid.UUID) (role Role, found bool, err error) {
	m, found, err := one[memberRow](ctx, s.reader, "SELECT "+columns[memberRow]("m")+
		" FROM project_members m WHERE m.project_id = $1 AND m.user_id = $2", projectID, userID)
	return m.Role, found, s.explain(ctx, fmt.Sprintf("role of %s in project %s", userID, projectID), err)
}

// ProjectFor returns a project that is not archived, and the role of a user in it, which is empty
// for one who is no member.
func (s *Store) ProjectFor(ctx context.Context, userID, projectID uuid.UUID) (p Project, role Role, found bool, err error) {
	row, found, err := one[struct {
		Project
		Role Role `db:"role"`
	}](ctx, s.reader, "SELECT "+columns[Project]("p")+`, m.role FROM projects p
		LEFT JOIN project_members m ON m.project_id = p.id AND m.user_id = $1
		WHERE p.id = $2 AND p.archived_at IS NULL`, userID, projectID)
	return row.Project, row.Role, found, s.explain(ctx, fmt.Sprintf("project %s for %s", projectID, userID), err)
}
