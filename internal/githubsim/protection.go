package githubsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"
)

// A HeldJob is a job that named an environment: its deployment waits while rules hold it.
type HeldJob struct {
	RunID        int64
	DeploymentID int64
	Calls        []RuleCall // one per App whose custom rule holds the job
}

// A RuleCall is what an App is asked about a job: the body of a deployment_protection_rule
// webhook.
type RuleCall struct {
	App          int64
	Installation int64
	Payload      []byte
}

// A Review is what an App or a person had to say to a job.
type Review struct {
	App         int64  // 0: a person
	User        string // their login
	Environment string
	State       string // approved or rejected; empty: a report only
	Comment     string
}

// A heldJob waits until a reviewer approved, the wait timer ran out and all Apps approved.
type heldJob struct {
	run         int64
	environment *environment
	deployment  *deployment
	started     time.Time
	apps        []int64          // asked
	verdicts    map[int64]string // by App, and of people under 0
	reviews     []Review
	over        bool
}

const (
	approved = "approved"
	rejected = "rejected"

	longestHold = 30 * 24 * time.Hour
)

// RequestDeployment starts a job that names an environment, which comes into being if it has
// to. api is the URL under which the Apps reach the API, as it stands in what they are sent.
// An App that is not installed on the repository is not asked, and holds nothing.
func (g *GitHub) RequestDeployment(api, fullName, name string) HeldJob {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.now()
	repo := g.world.repository(fullName)
	e := g.world.useEnvironment(repo, name, now)
	d := g.world.deploy(repo, Deployment{Environment: e.Name, Production: e.Name == productionName, CreatedAt: now})
	d.creator = g.world.account("octocat")
	job := &heldJob{run: g.world.nextID(), environment: e, deployment: d, started: now, verdicts: make(map[int64]string)}
	repo.held[job.run] = job
	out := HeldJob{RunID: job.run, DeploymentID: d.ID}
	c := &call{GitHub: g, base: api, version: oldVersion, who: &credential{}, repo: repo, now: now}
	for _, id := range e.Apps {
		if i := g.world.installationOn(g.world.apps[id], repo); i != nil {
			job.apps = append(job.apps, id)
			out.Calls = append(out.Calls, RuleCall{App: id, Installation: i.id, Payload: c.ruleCallJSON(job, i)})
		}
	}
	g.world.advance(d, &deploymentStatus{state: DeploymentWaiting, creator: d.creator, created: now})
	g.world.release(repo, now)
	return out
}

// Reviews returns what was said to a workflow run's job, in the order it was said in.
func (g *GitHub) Reviews(fullName string, runID int64) []Review {
	g.mu.Lock()
	defer g.mu.Unlock()
	job := g.world.repository(fullName).held[runID]
	if job == nil {
		panic(fmt.Sprintf("githubsim: no job waits in run %d", runID))
	}
	return slices.Clone(job.reviews)
}

// release lets go of the jobs that nothing holds any more, and gives up those held too long.
func (w *world) release(repo *repository, now time.Time) {
	for _, run := range slices.Sorted(maps.Keys(repo.held)) {
		switch job := repo.held[run]; {
		case !job.needsPerson() && !job.needsTime(now) && !job.needsApp():
			w.end(job, DeploymentQueued, now)
		case now.After(job.started.Add(longestHold)):
			w.end(job, DeploymentFailure, now)
		}
	}
}

// end lets a job go on, or fail. What happens to it later is another story.
func (w *world) end(job *heldJob, state DeploymentState, now time.Time) {
	if job.over {
		return
	}
	job.over = true
	w.advance(job.deployment, &deploymentStatus{state: state, creator: job.deployment.creator, created: now})
}

func (job *heldJob) needsPerson() bool {
	return len(job.environment.Reviewers) > 0 && job.verdicts[0] != approved
}

func (job *heldJob) needsTime(now time.Time) bool {
	return now.Before(job.started.Add(time.Duration(job.environment.WaitTimer) * time.Minute))
}

func (job *heldJob) needsApp() bool {
	return slices.ContainsFunc(job.apps, func(app int64) bool { return job.verdicts[app] != approved })
}

// judgeJob takes a verdict; who is an App or, being 0, people. A rejection ends the job.
func (c *call) judgeJob(job *heldJob, who int64, state string) {
	job.verdicts[who] = state
	if state == rejected {
		c.world.end(job, DeploymentFailure, c.now)
	}
	c.world.release(c.repo, c.now)
}

// ruleCallJSON is the body of the webhook that asks an App.
func (c *call) ruleCallJSON(job *heldJob, i *installation) []byte {
	body := map[string]any{
		"action":                  "requested",
		"environment":             job.environment.Name,
		"event":                   "push",
		"sha":                     job.deployment.SHA,
		"ref":                     "refs/heads/" + job.deployment.Ref,
		"deployment_callback_url": fmt.Sprintf("%s/repos/%s/actions/runs/%d/deployment_protection_rule", c.base, c.repo.FullName, job.run),
		"deployment":              c.deploymentJSON(job.deployment),
		"pull_requests":           []any{},
		"repository":              c.repositoryJSON(c.repo),
		"sender":                  c.accountJSON(job.deployment.creator),
		"installation":            map[string]any{"id": i.id, "node_id": fmt.Sprintf("MDIzOk%d", i.id)},
	}
	if c.repo.owner.kind == orgAccount {
		body["organization"] = c.accountJSON(c.repo.owner)
	}
	raw, err := json.Marshal(body)
	if err != nil {
		panic("githubsim: " + err.Error()) // the body is made here
	}
	return raw
}

func protectionRoutes() []route {
	const run = "/{repo}/actions/runs/{run_id}"
	runs := "actions/workflow-runs"
	return []route{
		environmentRoute("GET", "/{environment_name}/deployment_protection_rules",
			"protection-rules#get-all-deployment-protection-rules-for-an-environment", inEnvironment(listAppRules)),
		{method: "POST", path: run + "/deployment_protection_rule", by: byInstallation, need: deploymentsWrite,
			docs: runs + "#review-custom-deployment-protection-rules-for-a-workflow-run", serve: onJob(reviewByApp)},
		{method: "GET", path: run + "/pending_deployments", need: actionsRead, scope: "repo", role: RoleRead, open: openToAll,
			docs: runs + "#get-pending-deployments-for-a-workflow-run", serve: onJob(pendingDeployments)},
		{method: "POST", path: run + "/pending_deployments", by: byPerson, need: deploymentsWrite, scope: "repo", role: RoleRead,
			docs: runs + "#review-pending-deployments-for-a-workflow-run", serve: onJob(reviewByPerson)},
	}
}

// onJob serves a call about the job of a run, one that still waits or one that did.
func onJob(serve func(*call, *heldJob) answer) func(*call) answer {
	return func(c *call) answer {
		id, err := strconv.ParseInt(c.param("run_id"), 10, 64)
		job := c.repo.held[id]
		if err != nil || job == nil {
			return notFound()
		}
		c.world.release(c.repo, c.now)
		return serve(c, job)
	}
}

func listAppRules(c *call, e *environment) answer {
	list := []map[string]any{}
	for _, id := range e.Apps {
		app, rule := c.world.apps[id], e.rules[appRule(id)]
		list = append(list, map[string]any{
			"id": rule, "node_id": fmt.Sprintf("GA_%d", rule), "enabled": true,
			"app": map[string]any{
				"id": app.ID, "node_id": fmt.Sprintf("A_%d", app.ID), "slug": app.Slug,
				"integration_url": c.base + "/apps/" + app.Slug,
			},
		})
	}
	return ok(map[string]any{"total_count": len(list), "custom_deployment_protection_rules": list})
}

// reviewByApp is the callback of a custom rule. The same verdict twice is taken twice, since
// the first answer may have been lost; a verdict cannot be turned round.
func reviewByApp(c *call, job *heldJob) answer {
	f := c.fields().require("environment_name")
	name, _ := f.text("environment_name")
	state, judged := f.word("state", approved, rejected)
	comment, _ := f.text("comment")
	if !judged {
		f.require("comment")
	}
	app := c.who.app.ID
	before := job.verdicts[app]
	switch {
	case f.refusal != nil:
		return *f.refusal
	case c.repo.environment(name) != job.environment, !slices.Contains(job.apps, app),
		judged && state != before && (job.over || before != ""):
		return refuse(422, "There is no deployment protection rule pending for this environment.") // in words of our own
	}
	job.reviews = append(job.reviews, Review{App: app, Environment: job.environment.Name, State: state, Comment: comment})
	if judged {
		c.judgeJob(job, app, state)
	}
	return answer{status: 204}
}

// pendingDeployments lists what a reviewer or the time still has to release.
func pendingDeployments(c *call, job *heldJob) answer {
	list := []map[string]any{}
	if !job.over && (job.needsPerson() || job.needsTime(c.now)) {
		e := job.environment
		var started any
		if e.WaitTimer > 0 {
			started = stamp(job.started)
		}
		list = append(list, map[string]any{
			"environment": c.briefEnvironmentJSON(e), "wait_timer": e.WaitTimer, "wait_timer_started_at": started,
			"current_user_can_approve": c.mayApprove(job), "reviewers": c.reviewersJSON(e),
		})
	}
	return ok(list)
}

// mayApprove tells whether the caller is a reviewer and, where that matters, not the one who
// started the job.
func (c *call) mayApprove(job *heldJob) bool {
	e, user := job.environment, c.who.user
	if user == nil || e.PreventSelfReview && user == job.deployment.creator {
		return false
	}
	return slices.ContainsFunc(e.Reviewers, func(r Reviewer) bool {
		if r.Type == TeamReviewer {
			t := c.repo.team(r.ID)
			return t != nil && t.members[user.id]
		}
		return r.Type == UserReviewer && r.ID == user.id
	})
}

// reviewByPerson approves or rejects; one reviewer's word is enough, whatever their number.
func reviewByPerson(c *call, job *heldJob) answer {
	f := c.fields().require("environment_ids", "state", "comment")
	ids, _ := f.list("environment_ids")
	state, _ := f.word("state", approved, rejected)
	comment, _ := f.text("comment")
	e := job.environment
	switch {
	case f.refusal != nil:
		return *f.refusal
	case job.over, len(ids) != 1, fmt.Sprint(ids[0]) != strconv.FormatInt(e.ID, 10), !c.mayApprove(job):
		return refuse(422, "Could not approve the deployment.") // in words of our own
	}
	job.reviews = append(job.reviews, Review{User: c.who.user.login, Environment: e.Name, State: state, Comment: comment})
	c.judgeJob(job, 0, state)
	return ok([]map[string]any{c.deploymentJSON(job.deployment)})
}
