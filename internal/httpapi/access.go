package httpapi

import (
	"context"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// A caller is who sent a request. The token, which a JWT has none of, may narrow what its user may
// do: to a role, and to a project.
type caller struct {
	user  store.User
	token *store.Token
}

// isPlatformAdmin says whether the caller may do everything. A narrowed token of a platform admin
// is no platform admin.
func (c caller) isPlatformAdmin() bool {
	return c.user.IsAdmin && (c.token == nil || c.token.ProjectID == nil && c.token.Role == store.Admin)
}

// only returns the one project that the caller's token is for.
func (c caller) only() (project uuid.UUID, limited bool) {
	if c.token == nil || c.token.ProjectID == nil {
		return uuid.Nil, false
	}
	return *c.token.ProjectID, true
}

// narrowed is role as far as the caller's token allows it.
func (c caller) narrowed(role store.Role) store.Role {
	if c.token != nil && !c.token.Role.Allows(role) {
		return c.token.Role
	}
	return role
}

// An access is what a handler is called with: who, where, and as what. Where no project was named,
// project and role are zero.
type access struct {
	caller
	project store.Project
	role    store.Role
}

// notFound is the one answer for projects that are not there and those of other people.
func notFound(projectID uuid.UUID) error {
	return fault.New(fault.ProjectNotFound, fault.Context{"projectId": projectID.String()}).
		Hinting("GET /projects lists those you belong to.")
}

// authorise finds the project and the caller's role in it, and holds it against the operation's.
func (s *server) authorise(ctx context.Context, c caller, op operation, projectID uuid.UUID) (access, error) {
	if only, limited := c.only(); limited && only != projectID {
		return access{}, notFound(projectID)
	}
	project, role, found, err := s.store.ProjectFor(ctx, c.user.ID, projectID)
	if err != nil {
		return access{}, err
	}
	if c.user.IsAdmin {
		role = store.Admin
	}
	if !found || role == "" {
		return access{}, notFound(projectID)
	}
	a := access{caller: c, project: project, role: c.narrowed(role)}
	return a, a.may(op.Role)
}

// authoriseAlone is authorise for a request that names no project.
func authoriseAlone(c caller, op operation) (access, error) {
	a := access{caller: c}
	if op.Role == platform {
		return a, a.may(platform)
	}
	return a, a.may(op.Alone)
}

func (a access) may(needed store.Role) error {
	switch {
	case needed == anyone, a.role.Allows(needed), a.isPlatformAdmin():
		return nil
	}
	return fault.New(fault.RoleDenied, fault.Context{"requiredRole": string(needed), "role": string(a.role)})
}
