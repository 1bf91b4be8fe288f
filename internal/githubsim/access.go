package githubsim

import "slices"

// A Role is what a person is in a repository.
type Role string

// The roles, each of which includes those before it.
const (
	RoleRead     Role = "read"
	RoleTriage   Role = "triage"
	RoleWrite    Role = "write"
	RoleMaintain Role = "maintain"
	RoleAdmin    Role = "admin"
)

var roles = []Role{"", RoleRead, RoleTriage, RoleWrite, RoleMaintain, RoleAdmin}

func (r Role) rank() int { return slices.Index(roles, r) }

func (r Role) atLeast(other Role) bool { return r.rank() >= other.rank() }

// asJSON is the role as the five booleans of a permissions object.
func (r Role) asJSON() map[string]bool {
	return map[string]bool{
		"pull":     r.atLeast(RoleRead),
		"triage":   r.atLeast(RoleTriage),
		"push":     r.atLeast(RoleWrite),
		"maintain": r.atLeast(RoleMaintain),
		"admin":    r.atLeast(RoleAdmin),
	}
}

// Permissions are fine-grained permissions: "read", "write" or "admin" by slug, such as
// {"secrets": "write"}. Everyone who has any has "metadata": "read".
type Permissions map[string]string

var levels = []string{"", "read", "write", "admin"}

func (p Permissions) allow(n need) bool {
	if n.slug == "" || n == metadataRead {
		return true
	}
	return slices.Index(levels, p[n.slug]) >= slices.Index(levels, n.level)
}

var metadataRead = need{"metadata", "read"}

// sees tells whether the caller may know that a repository exists.
func (c *call) sees(repo *repository) bool {
	if !repo.Private {
		return true
	}
	switch c.who.kind {
	case anonymous:
		return false
	case classicToken:
		// A narrower scope shows a repository to the calls that are content with it.
		enough := c.who.hasScope("repo") || c.route != nil && c.route.scope != "" && c.who.hasScope(c.route.scope)
		return enough && repo.role(c.who.user) != ""
	case fineGrainedToken:
		return c.who.covers(repo) && repo.role(c.who.user) != ""
	case appKey:
		return c.world.installationOn(c.who.app, repo) != nil
	default:
		return c.who.covers(repo)
	}
}

// admit refuses callers of the wrong kind, without the permission, or in too low a role.
func (c *call) admit() *answer {
	refusal := func(status int, message string) *answer {
		a := refuse(status, message)
		return &a
	}
	rt, who := c.route, c.who
	// A JWT is good for the App's own calls alone, and these for nothing but a JWT.
	if (rt.by == byApp) != (who.kind == appKey) && rt.by != byAnyone {
		if rt.by == byApp {
			return refusal(401, "A JSON web token could not be decoded")
		}
		return refusal(403, "Resource not accessible by integration")
	}
	if rt.by == byApp || rt.by == byAnyone {
		return nil
	}
	public := c.repo != nil && !c.repo.Private
	if public && rt.open == openToAll {
		return nil
	}
	switch {
	case who.kind == anonymous:
		return refusal(401, "Requires authentication")
	case rt.by == byPerson && !who.personal(), rt.by == byInstallation && who.kind != installationToken:
		return refusal(403, "Resource not accessible by integration")
	case c.repo == nil:
		return nil
	case who.kind == classicToken && !who.hasScope(rt.scope) && !(public && rt.open == scopeless):
		return refusal(403, "Must have admin rights to Repository.")
	case who.kind != classicToken && !(who.covers(c.repo) && who.allows(rt.need)):
		return refusal(403, "Resource not accessible by "+who.noun())
	case who.personal() && !c.repo.role(who.user).atLeast(rt.role):
		return refusal(403, "Must have admin rights to Repository.")
	}
	return nil
}
