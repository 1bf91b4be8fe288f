package githubsim

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxStatusDescription is the longest description of a status, in characters.
const maxStatusDescription = 140

// deploymentRoute is a call under /{repo}/deployments: readers read, and writers write.
func deploymentRoute(method, path, docs string, serve func(*call) answer) route {
	rt := route{
		method: method, path: "/{repo}/deployments" + path, docs: "deployments/" + docs, serve: serve,
		scope: "repo, repo_deployment", need: need{"deployments", "read"}, role: RoleRead, open: openToAll,
	}
	if isWrite(method) {
		rt.need, rt.role, rt.open = deploymentsWrite, RoleWrite, closed
	}
	return rt
}

var deploymentsWrite = need{"deployments", "write"}

func deploymentRoutes() []route {
	const one = "/{deployment_id}"
	return []route{
		deploymentRoute("GET", "", "deployments#list-deployments", listDeployments),
		deploymentRoute("POST", "", "deployments#create-a-deployment", createDeployment),
		deploymentRoute("GET", one, "deployments#get-a-deployment", onDeployment(getDeployment)),
		deploymentRoute("GET", one+"/statuses", "statuses#list-deployment-statuses", onDeployment(listStatuses)),
		deploymentRoute("POST", one+"/statuses", "statuses#create-a-deployment-status", onDeployment(createStatus)),
	}
}

// onDeployment serves a call about a deployment that must exist.
func onDeployment(serve func(*call, *deployment) answer) func(*call) answer {
	return func(c *call) answer {
		id, err := strconv.ParseInt(c.param("deployment_id"), 10, 64)
		d := c.repo.deployment(id)
		if err != nil || d == nil {
			return notFound()
		}
		c.world.release(c.repo, c.now)
		return serve(c, d)
	}
}

// listDeployments filters by what the query names. Each filter is called "none" when there is
// none, as GitHub's description says of the default.
func listDeployments(c *call) answer {
	c.world.release(c.repo, c.now)
	query := c.r.URL.Query()
	fits := func(name, value string) bool {
		wanted := cmp.Or(query.Get(name), "none")
		return wanted == "none" || strings.EqualFold(wanted, value)
	}
	list := []map[string]any{}
	for _, d := range c.repo.newest() {
		if fits("environment", d.Environment) && fits("ref", d.Ref) && fits("sha", d.SHA) && fits("task", d.Task) {
			list = append(list, c.deploymentJSON(d))
		}
	}
	return c.bare(list)
}

// bare is one page of a list that answers as an array.
func (c *call) bare(list []map[string]any) answer {
	p := c.page()
	a := ok(cut(p, list))
	c.link(&a, p, len(list))
	return a
}

// createDeployment neither merges nor looks at checks, since there are no commits here: for
// 202 and 409 have a Failure answer.
func createDeployment(c *call) answer {
	f := c.fields().require("ref")
	ref, _ := f.text("ref")
	d := Deployment{Ref: ref, CreatedAt: c.now}
	d.Environment, _ = f.text("environment")
	d.Environment = cmp.Or(d.Environment, productionName)
	d.Task, _ = f.text("task")
	if !f.null("description") {
		d.Description, _ = f.text("description")
	}
	d.Transient, _ = f.flag("transient_environment")
	production, given := f.flag("production_environment")
	d.Production = production || !given && d.Environment == productionName
	payload, hasPayload := f.payload()
	switch {
	case f.refusal != nil:
		return *f.refusal
	case ref == "":
		return refuse(422, "No ref found for: ")
	}
	made := c.world.deploy(c.repo, d)
	made.creator = c.who.user
	if hasPayload {
		made.payload = payload
	}
	a := answer{status: 201, body: c.deploymentJSON(made)}
	a.set("Location", c.deploymentURL(made))
	return a
}

// payload is an object or a string; both come back as they were sent.
func (f *fields) payload() (any, bool) {
	switch value := f.values["payload"].(type) {
	case nil:
		return nil, false
	case string, map[string]any:
		return value, true
	}
	f.mistyped("payload", "an object or a string")
	return nil, false
}

func getDeployment(c *call, d *deployment) answer { return ok(c.deploymentJSON(d)) }

func listStatuses(c *call, d *deployment) answer {
	list := []map[string]any{}
	for i := len(d.statuses) - 1; i >= 0; i-- {
		list = append(list, c.statusJSON(d, d.statuses[i]))
	}
	return c.bare(list)
}

// createStatus takes every state but waiting, which GitHub alone gives.
func createStatus(c *call, d *deployment) answer {
	f := c.fields().require("state")
	state, _ := f.word("state", "error", "failure", "inactive", "in_progress", "queued", "pending", "success")
	made := &deploymentStatus{state: DeploymentState(state), creator: c.who.user, created: c.now}
	made.description, _ = f.text("description")
	made.environment, _ = f.text("environment")
	made.environmentURL, _ = f.text("environment_url")
	target, _ := f.text("target_url")
	made.logURL, _ = f.text("log_url")
	made.logURL = cmp.Or(made.logURL, target)
	retire, given := f.flag("auto_inactive")
	made.sparing = given && !retire
	switch {
	case f.refusal != nil:
		return *f.refusal
	case utf8.RuneCountInString(made.description) > maxStatusDescription:
		a := refuse(422, "Validation Failed")
		a.body.(*errorBody).Errors = []fieldError{{Resource: "DeploymentStatus", Field: "description", Code: "custom",
			Message: fmt.Sprintf("description is too long (maximum is %d characters)", maxStatusDescription)}}
		return a
	}
	c.world.advance(d, made)
	a := answer{status: 201, body: c.statusJSON(d, made)}
	a.set("Location", c.statusURL(d, made))
	return a
}

func (c *call) deploymentURL(d *deployment) string {
	return fmt.Sprintf("%s/repos/%s/deployments/%d", c.base, c.repo.FullName, d.ID)
}

func (c *call) statusURL(d *deployment, s *deploymentStatus) string {
	return fmt.Sprintf("%s/statuses/%d", c.deploymentURL(d), s.id)
}

func (c *call) creatorJSON(a *account) any {
	if a == nil {
		return nil
	}
	return c.accountJSON(a)
}

func (c *call) deploymentJSON(d *deployment) map[string]any {
	return map[string]any{
		"id":                       d.ID,
		"node_id":                  fmt.Sprintf("DE_%d", d.ID),
		"url":                      c.deploymentURL(d),
		"sha":                      d.SHA,
		"ref":                      d.Ref,
		"task":                     d.Task,
		"payload":                  d.payload,
		"original_environment":     d.original,
		"environment":              d.Environment,
		"description":              d.Description,
		"creator":                  c.creatorJSON(d.creator),
		"created_at":               stamp(d.CreatedAt),
		"updated_at":               stamp(d.updated),
		"statuses_url":             c.deploymentURL(d) + "/statuses",
		"repository_url":           c.base + "/repos/" + c.repo.FullName,
		"transient_environment":    d.Transient,
		"production_environment":   d.Production,
		"performed_via_github_app": nil,
	}
}

func (c *call) statusJSON(d *deployment, s *deploymentStatus) map[string]any {
	return map[string]any{
		"id":                       s.id,
		"node_id":                  fmt.Sprintf("DES_%d", s.id),
		"url":                      c.statusURL(d, s),
		"state":                    s.state,
		"description":              s.description,
		"environment":              s.environment,
		"creator":                  c.creatorJSON(s.creator),
		"created_at":               stamp(s.created),
		"updated_at":               stamp(s.created),
		"target_url":               s.logURL,
		"log_url":                  s.logURL,
		"environment_url":          s.environmentURL,
		"deployment_url":           c.deploymentURL(d),
		"repository_url":           c.base + "/repos/" + c.repo.FullName,
		"performed_via_github_app": nil,
	}
}
