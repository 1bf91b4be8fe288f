package githubsim

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// A call is a request while it takes effect: what was asked, by whom, of which repository.
type call struct {
	*GitHub
	r       *http.Request
	body    []byte
	base    string // URL of the API as the client reached it
	version string // of the API
	who     *credential
	refused *answer // known before the call was judged
	strike  Kind    // the fault that befalls it

	now    time.Time
	quota  *quota
	route  *route
	params map[string]string // by name in the route's path, unescaped
	repo   *repository
	rest   string // the path after the repository, as it was sent
}

func (c *call) enterprise() bool { return c.config.Enterprise != "" }

// judge finds out what the answer is. The order of the checks is GitHub's as far as it
// shows: limits before everything but the token, existence before permission.
func (c *call) judge(v verdict) answer {
	path, isAPI := strings.CutPrefix(c.r.URL.EscapedPath(), c.Prefix()+"/")
	segments := strings.Split(path, "/")
	where, isRepository := locate(segments)
	c.route, c.params = match(c.r.Method, where)
	switch {
	case v.refused:
		return c.secondaryRefusal(v)
	case c.refused != nil:
		return *c.refused
	case c.quota.remaining() == 0 && !c.enterprise() && (c.route == nil || !c.route.unmetered):
		return c.primaryRefusal()
	case !isAPI:
		return notFound()
	case isRepository:
		return c.judgeRepository(segments)
	case c.route == nil:
		return notFound()
	}
	if refusal := c.admit(); refusal != nil {
		return *refusal
	}
	return c.route.serve(c)
}

// locate splits the repository off a path and tells whether there was one. What is left
// starts with "{repo}", which stands for the three segments of /repos/OWNER/NAME and for
// the two of /repositories/ID alike.
func locate(segments []string) ([]string, bool) {
	skip := 0
	switch segments[0] {
	case "repos":
		skip = 3
	case "repositories":
		skip = 2
	}
	if skip == 0 || len(segments) < skip {
		return segments, false
	}
	return append([]string{"{repo}"}, segments[skip:]...), true
}

// judgeRepository answers a call under a repository. An invisible repository is not told
// from one that does not exist.
func (c *call) judgeRepository(segments []string) answer {
	repo, moved := c.world.resolve(segments)
	if repo == nil || !c.sees(repo) {
		return notFound()
	}
	c.repo = repo
	skip := 2
	if segments[0] == "repos" {
		skip = 3
	}
	if len(segments) > skip {
		c.rest = "/" + strings.Join(segments[skip:], "/")
	}
	if moved {
		return c.redirect()
	}
	if c.route == nil {
		return notFound()
	}
	if refusal := c.admit(); refusal != nil {
		return *refusal
	}
	if repo.Archived && isWrite(c.r.Method) {
		return refuse(403, "Repository was archived so is read-only.")
	}
	return c.route.serve(c)
}

// resolve finds the repository that a path names, and whether by a name it no longer has.
func (w *world) resolve(segments []string) (repo *repository, moved bool) {
	if segments[0] == "repositories" {
		id, err := strconv.ParseInt(segments[1], 10, 64)
		if err != nil {
			return nil, false
		}
		return w.repositories[id], false
	}
	owner, errOwner := url.PathUnescape(segments[1])
	name, errName := url.PathUnescape(segments[2])
	if errOwner != nil || errName != nil {
		return nil, false
	}
	full := strings.ToLower(owner + "/" + name)
	if repo := w.named[full]; repo != nil {
		return repo, false
	}
	return w.moved[full], true
}

// redirect sends the client of a former name to the repository's id: with 301, or with 307
// when the method must not turn into a GET.
func (c *call) redirect() answer {
	status := 307
	if c.r.Method == "GET" || c.r.Method == "HEAD" {
		status = 301
	}
	to := c.canonical()
	if c.r.URL.RawQuery != "" {
		to += "?" + c.r.URL.RawQuery
	}
	a := answer{status: status, body: &errorBody{Message: "Moved Permanently", URL: to}}
	a.set("Location", to)
	return a
}

// param is a parameter of the path, unescaped.
func (c *call) param(name string) string { return c.params[name] }
