package githubsim_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// A gate is a world in which an App guards production.
type gate struct {
	*client
	app          githubsim.App
	installation int64
	token        string // of the installation
}

func startGate(t *testing.T) gate {
	t.Helper()
	c := start(t, githubsim.Config{})
	app, id, asItself := asApp(t, c, githubsim.Permissions{"deployments": "write", "actions": "read"})
	c.gh.AddEnvironment(widgets, "production")
	c.gh.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) { e.Apps = []int64{app.ID} })
	var made struct{ Token string }
	asItself.want(201, "POST", fmt.Sprintf("/app/installations/%d/access_tokens", id), "").into(t, &made)
	return gate{c, app, id, made.Token}
}

// A ruleCall is the body of the webhook that asks an App.
type ruleCall struct {
	Action       string
	Environment  string
	Ref, SHA     string
	Callback     string `json:"deployment_callback_url"`
	Deployment   deployment
	Repository   repository
	Installation struct{ ID int64 }
}

func (g gate) call(job githubsim.HeldJob) ruleCall {
	g.t.Helper()
	if len(job.Calls) != 1 || job.Calls[0].App != g.app.ID || job.Calls[0].Installation != g.installation {
		g.t.Fatalf("calls: %+v", job.Calls)
	}
	var call ruleCall
	if err := json.Unmarshal(job.Calls[0].Payload, &call); err != nil {
		g.t.Fatal(err)
	}
	return call
}

func TestAnAppGuardsAnEnvironment(t *testing.T) {
	g := startGate(t)
	job := g.gh.RequestDeployment(g.url, widgets, "production")
	call := g.call(job)
	want := fmt.Sprintf("%s/repos/acme/widgets/actions/runs/%d/deployment_protection_rule", g.url, job.RunID)
	if call.Action != "requested" || call.Environment != "production" || call.Callback != want || call.Deployment.ID != job.DeploymentID ||
		call.Ref != "refs/heads/main" || len(call.SHA) != 40 || call.Repository.FullName != widgets || call.Installation.ID != g.installation {
		t.Errorf("call: %+v", call)
	}
	if got := g.states(job.DeploymentID); !slices.Equal(got, []string{"waiting"}) {
		t.Errorf("asked: %v", got)
	}
	app := g.as(g.token)
	app.want(204, "POST", call.Callback, `{"environment_name":"production","comment":"looking"}`)
	app.want(204, "POST", call.Callback, `{"environment_name":"PRODUCTION","state":"approved","comment":"all there"}`)
	app.want(204, "POST", call.Callback, `{"environment_name":"production","state":"approved"}`)
	app.want(422, "POST", call.Callback, `{"environment_name":"production","state":"rejected"}`)
	if got := g.states(job.DeploymentID); !slices.Equal(got, []string{"queued", "waiting"}) {
		t.Errorf("approved: %v", got)
	}
	reviews := g.gh.Reviews(widgets, job.RunID)
	if len(reviews) != 3 || reviews[0].State != "" || reviews[1] != (githubsim.Review{
		App: g.app.ID, Environment: "production", State: "approved", Comment: "all there",
	}) {
		t.Errorf("reviews: %+v", reviews)
	}
}

func TestAnAppRejects(t *testing.T) {
	g := startGate(t)
	job := g.gh.RequestDeployment(g.url, widgets, "production")
	callback := g.call(job).Callback
	app := g.as(g.token)
	for _, body := range []string{
		`{}`, `{"environment_name":"production"}`, `{"environment_name":"staging","state":"approved"}`, `{"environment_name":"production","state":"maybe"}`,
	} {
		app.want(422, "POST", callback, body)
	}
	app.want(404, "POST", "/repos/acme/widgets/actions/runs/1/deployment_protection_rule", `{"environment_name":"production","state":"rejected"}`)
	app.want(204, "POST", callback, `{"environment_name":"production","state":"rejected","comment":"DATABASE_URL is missing"}`)
	if got := g.states(job.DeploymentID); !slices.Equal(got, []string{"failure", "waiting"}) {
		t.Errorf("rejected: %v", got)
	}
	app.want(422, "POST", callback, `{"environment_name":"production","state":"approved"}`)
}

func TestWhoMayAnswerForARule(t *testing.T) {
	g := startGate(t)
	job := g.gh.RequestDeployment(g.url, widgets, "production")
	callback, approve := g.call(job).Callback, `{"environment_name":"production","state":"approved"}`
	g.want(403, "POST", callback, approve)
	g.gh.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) { e.Apps = nil })
	open := g.gh.RequestDeployment(g.url, widgets, "production")
	if got := g.states(open.DeploymentID); len(open.Calls) != 0 || got[0] != "queued" {
		t.Errorf("without a rule: %+v, %v", open, got)
	}
	other := fmt.Sprintf("/repos/acme/widgets/actions/runs/%d/deployment_protection_rule", open.RunID)
	g.as(g.token).want(422, "POST", other, approve)
}

func TestListOfCustomRules(t *testing.T) {
	g := startGate(t)
	const path = production + "/deployment_protection_rules"
	type rules struct {
		Total int `json:"total_count"`
		Rules []struct {
			ID      int64
			Enabled bool
			App     struct {
				ID   int64
				Slug string
			}
		} `json:"custom_deployment_protection_rules"`
	}
	var before, after rules
	g.want(200, "GET", path, "").into(t, &before)
	if before.Total != 1 || !before.Rules[0].Enabled || before.Rules[0].App.ID != g.app.ID || before.Rules[0].App.Slug != "octoseal" {
		t.Errorf("rules: %+v", before)
	}
	g.put(production, `{"wait_timer":1}`)
	g.as(g.token).want(200, "GET", path, "").into(t, &after)
	if after.Total != 1 || after.Rules[0] != before.Rules[0] {
		t.Errorf("before %+v, after %+v", before, after)
	}
	if e := g.environment(production); len(e.Rules) != 1 {
		t.Errorf("a custom rule stands among the others: %+v", e.Rules)
	}
	g.want(404, "GET", environments+"/staging/deployment_protection_rules", "")
}

func TestReviewersLetAJobGo(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.member("mona", githubsim.RoleRead)
	c.member("hubot", githubsim.RoleRead)
	octocat := c.gh.AddTeam(githubsim.Team{
		Organization: "acme", Slug: "owners", Members: []string{"octocat", "hubot"}, Repositories: map[string]githubsim.Role{widgets: "read"},
	})
	e := c.put(production, fmt.Sprintf(`{"reviewers":[{"type":"Team","id":%d}],"prevent_self_review":true}`, octocat))
	job := c.gh.RequestDeployment(c.url, widgets, "production")
	path := fmt.Sprintf("/repos/acme/widgets/actions/runs/%d/pending_deployments", job.RunID)
	review := func(state string) string {
		return fmt.Sprintf(`{"environment_ids":[%d],"state":%q,"comment":"fine"}`, e.ID, state)
	}
	type pending []struct {
		Environment struct{ ID int64 }
		Can         bool  `json:"current_user_can_approve"`
		Reviewers   []any `json:"reviewers"`
	}
	mona, hubot := c.as(c.gh.AddToken(githubsim.Token{User: "mona"})), c.as(c.gh.AddToken(githubsim.Token{User: "hubot"}))
	for name, who := range map[string]*client{"octocat, who started it": c, "mona, who is none": mona} {
		var list pending
		who.want(200, "GET", path, "").into(t, &list)
		if len(list) != 1 || list[0].Environment.ID != e.ID || list[0].Can || len(list[0].Reviewers) != 1 {
			t.Errorf("%s: %+v", name, list)
		}
		who.want(422, "POST", path, review("approved"))
	}
	hubot.want(422, "POST", path, `{"environment_ids":[1],"state":"approved","comment":""}`)
	hubot.want(422, "POST", path, `{"state":"approved","comment":""}`)
	if r := hubot.want(200, "POST", path, review("approved")); !strings.Contains(r.Body, fmt.Sprint(job.DeploymentID)) {
		t.Error(r.Body)
	}
	if got := c.states(job.DeploymentID); got[0] != "queued" {
		t.Errorf("approved: %v", got)
	}
	if r := c.want(200, "GET", path, ""); r.Body != "[]" {
		t.Error(r.Body)
	}
	if got := c.gh.Reviews(widgets, job.RunID); len(got) != 1 || got[0].User != "hubot" || got[0].Comment != "fine" {
		t.Errorf("reviews: %+v", got)
	}
}

func TestTimeLetsAJobGo(t *testing.T) {
	g := startGate(t)
	g.put(production, `{"wait_timer":30}`)
	job := g.gh.RequestDeployment(g.url, widgets, "production")
	g.as(g.token).want(204, "POST", g.call(job).Callback, `{"environment_name":"production","state":"approved"}`)
	g.gh.Advance(29 * time.Minute)
	if got := g.gh.Deployments(widgets)[0].States; !slices.Equal(got, []githubsim.DeploymentState{"waiting"}) {
		t.Errorf("before its time: %v", got)
	}
	g.gh.Advance(2 * time.Minute)
	if got := g.gh.Deployments(widgets)[0].States; !slices.Equal(got, []githubsim.DeploymentState{"waiting", "queued"}) {
		t.Errorf("in time: %v", got)
	}
}

func TestDeletingAnEnvironmentFailsWhoWaits(t *testing.T) {
	g := startGate(t)
	job := g.gh.RequestDeployment(g.url, widgets, "production")
	g.want(204, "DELETE", production, "")
	if got := g.states(job.DeploymentID); got[0] != "failure" {
		t.Errorf("states: %v", got)
	}
	g.as(g.token).want(422, "POST", g.call(job).Callback, `{"environment_name":"production","state":"approved"}`)
}

func TestNobodyWaitsForEver(t *testing.T) {
	g := startGate(t)
	job := g.gh.RequestDeployment(g.url, widgets, "production")
	g.gh.Advance(30*24*time.Hour + time.Second)
	if got := g.states(job.DeploymentID); got[0] != "failure" {
		t.Errorf("states: %v", got)
	}
}
