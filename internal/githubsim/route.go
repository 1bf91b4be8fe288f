package githubsim

import (
	"net/url"
	"slices"
	"strings"
)

// A route is one call of the API. The routes are the one place that says which permission,
// scope and role a call needs; checks and headers both read it.
type route struct {
	method string
	path   string // "{repo}" first stands for a repository, by name or by id
	by     audience
	need   need   // fine-grained permission
	scope  string // classic scope; of several, separated by ", ", any
	role   Role   // what the person behind a token must at least be
	open   openness
	docs   string // page under docs, with its anchor
	serve  func(*call) answer

	unmetered bool     // costs nothing of the primary limit
	segments  []string // of path
}

// An audience is the kind of credential a call is for.
type audience int

const (
	byToken        audience = iota // people's and installations' tokens
	byAnyone                       // no credential needed
	byPerson                       // tokens of people
	byApp                          // an App's JWT
	byInstallation                 // installation tokens
)

// An openness says who may make a call on a public repository without having been given
// the permission, scope or role.
type openness int

const (
	closed    openness = iota
	scopeless          // classic tokens need no scope
	openToAll          // nobody needs anything
)

// A need is a fine-grained permission at a level.
type need struct{ slug, level string }

func (n need) String() string { return n.slug + "=" + n.level }

// routes are in order: a path that fits two takes the first.
var routes = prepare(slices.Concat(
	serviceRoutes(), peopleRoutes(), appRoutes(), repositoryRoutes(), storeRoutes(), organizationSecretRoutes(),
	actionsRoutes(),
	environmentRoutes(), branchPolicyRoutes(), deploymentRoutes(), protectionRoutes(),
))

func prepare(all []route) []route {
	for i := range all {
		all[i].segments = strings.Split(strings.TrimPrefix(all[i].path, "/"), "/")
	}
	return all
}

func serviceRoutes() []route {
	return []route{
		{method: "GET", path: "/rate_limit", by: byAnyone, docs: "rate-limit/rate-limit", serve: rateLimit, unmetered: true},
		{method: "GET", path: "/versions", by: byAnyone, docs: "meta/meta#get-all-api-versions", serve: versions},
	}
}

// versions is GET /versions, which Enterprise Server does not have.
func versions(c *call) answer {
	if c.enterprise() {
		return notFound()
	}
	return ok([]string{newVersion, oldVersion})
}

// match finds the route of a path whose repository, if any, has become one segment. A
// parameter takes exactly one segment that is not empty; so a trailing slash or an
// unencoded slash in a name is a path that does not exist.
func match(method string, segments []string) (*route, map[string]string) {
	if method == "HEAD" {
		method = "GET"
	}
	for i := range routes {
		rt := &routes[i]
		if rt.method != method || len(rt.segments) != len(segments) {
			continue
		}
		if params, fits := rt.fit(segments); fits {
			return rt, params
		}
	}
	return nil, nil
}

func (rt *route) fit(segments []string) (map[string]string, bool) {
	var params map[string]string
	for i, want := range rt.segments {
		if !strings.HasPrefix(want, "{") || want == "{repo}" {
			if want != segments[i] {
				return nil, false
			}
			continue
		}
		value, err := url.PathUnescape(segments[i])
		if err != nil || value == "" {
			return nil, false
		}
		if params == nil {
			params = make(map[string]string)
		}
		params[strings.Trim(want, "{}")] = value
	}
	return params, true
}
