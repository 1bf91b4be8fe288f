package githubsim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

const deployments = "/repos/acme/widgets/deployments"

// A deployment as far as tests look at it.
type deployment struct {
	ID          int64     `json:"id"`
	Ref         string    `json:"ref"`
	SHA         string    `json:"sha"`
	Task        string    `json:"task"`
	Environment string    `json:"environment"`
	Original    string    `json:"original_environment"`
	Payload     any       `json:"payload"`
	CreatedAt   time.Time `json:"created_at"`
	Production  bool      `json:"production_environment"`
	Creator     *struct {
		Login string `json:"login"`
	} `json:"creator"`
}

// states are those of a deployment, newest first.
func (c *client) states(id int64) []string {
	c.t.Helper()
	var list []struct {
		State string `json:"state"`
	}
	c.want(200, "GET", fmt.Sprintf("%s/%d/statuses?per_page=100", deployments, id), "").into(c.t, &list)
	out := []string{}
	for _, s := range list {
		out = append(out, s.State)
	}
	return out
}

// listed are the ids in one page of a list.
func (c *client) listed(query string) []int64 {
	c.t.Helper()
	var list []deployment
	c.want(200, "GET", deployments+query, "").into(c.t, &list)
	out := []int64{}
	for _, d := range list {
		out = append(out, d.ID)
	}
	return out
}

func TestDeploymentsAreListedNewestFirst(t *testing.T) {
	c := start(t, githubsim.Config{})
	now := c.gh.Now()
	var want []int64
	for i := range 65 {
		want = append(want, c.gh.Deploy(widgets, githubsim.Deployment{CreatedAt: now.Add(-time.Duration(i) * time.Hour)}))
	}
	var got []int64
	for url := deployments; url != ""; {
		r := c.want(200, "GET", url, "")
		var page []deployment
		r.into(t, &page)
		for _, d := range page {
			got = append(got, d.ID)
		}
		url = r.links()["next"]
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %d: %v", len(got), got)
	}
}

func TestDeploymentFilters(t *testing.T) {
	c := start(t, githubsim.Config{})
	production := c.gh.Deploy(widgets, githubsim.Deployment{Ref: "v1", SHA: "abc", Task: "deploy:migrations"})
	staging := c.gh.Deploy(widgets, githubsim.Deployment{Environment: "staging"})
	for query, want := range map[string][]int64{
		"": {staging, production}, "?environment=none&ref=none": {staging, production},
		"?environment=production": {production}, "?environment=STAGING": {staging}, "?environment=dev": {},
		"?ref=v1": {production}, "?ref=main": {staging}, "?sha=abc": {production}, "?task=deploy": {staging},
		"?environment=staging&ref=v1": {},
	} {
		if got := c.listed(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
}

func TestDeploymentThroughTheAPI(t *testing.T) {
	c := start(t, githubsim.Config{})
	var made deployment
	r := c.want(201, "POST", deployments, `{"ref":"main","environment":"staging","payload":{"a":1},"auto_merge":false,"required_contexts":[],"description":null}`)
	r.into(t, &made)
	if made.Environment != "staging" || made.Production || made.Task != "deploy" || len(made.SHA) != 40 || made.Creator.Login != "octocat" ||
		fmt.Sprint(made.Payload) != "map[a:1]" {
		t.Errorf("made: %+v", made)
	}
	if got := c.states(made.ID); len(got) != 0 {
		t.Errorf("states of a new deployment: %v", got)
	}
	one := fmt.Sprintf("%s/%d", deployments, made.ID)
	if r.Header.Get("Location") != c.url+one {
		t.Errorf("Location %s", r.Header.Get("Location"))
	}
	c.want(201, "POST", one+"/statuses", `{"state":"in_progress"}`)
	c.want(201, "POST", one+"/statuses", `{"state":"success","environment":"canary","log_url":"https://x.example","environment_url":"https://y.example"}`)
	if got := c.states(made.ID); !slices.Equal(got, []string{"success", "in_progress"}) {
		t.Errorf("states: %v", got)
	}
	var shown deployment
	c.want(200, "GET", one, "").into(t, &shown)
	if shown.Environment != "canary" || shown.Original != "staging" {
		t.Errorf("shown: %+v", shown)
	}
	c.want(201, "POST", deployments, `{"ref":"main","payload":"text","environment":"production"}`).into(t, &made)
	if !made.Production || made.Payload != "text" {
		t.Errorf("made: %+v", made)
	}
	for path, bodies := range map[string][]string{
		deployments:       {`{}`, `{"ref":""}`, `{"ref":1}`, `{"ref":"main","payload":7}`, `{"ref":"main","environment":null}`},
		one + "/statuses": {`{}`, `{"state":"waiting"}`, `{"state":"done"}`, `{"state":"queued","description":"` + strings.Repeat("x", 141) + `"}`},
	} {
		for _, body := range bodies {
			c.want(422, "POST", path, body)
		}
	}
	for _, path := range []string{"/1", "/x", "/1/statuses"} {
		c.want(404, "GET", deployments+path, "")
	}
	c.want(404, "POST", deployments+"/1/statuses", `{"state":"queued"}`)
}

func TestSuccessRetiresEarlierSuccesses(t *testing.T) {
	c := start(t, githubsim.Config{})
	add := func(d githubsim.Deployment, states ...githubsim.DeploymentState) int64 {
		d.States = states
		return c.gh.Deploy(widgets, d)
	}
	const success = githubsim.DeploymentSuccess
	old := add(githubsim.Deployment{Environment: "staging"}, success)
	failed := add(githubsim.Deployment{Environment: "staging"}, githubsim.DeploymentFailure)
	transient := add(githubsim.Deployment{Environment: "staging", Transient: true})
	used := add(githubsim.Deployment{Environment: "production"}, success)
	other := add(githubsim.Deployment{Environment: "dev"}, success)
	c.gh.SetDeploymentState(widgets, transient, success)
	if got := c.states(old); !slices.Equal(got, []string{"inactive", "success"}) {
		t.Errorf("after a success: %v", got)
	}

	spared := add(githubsim.Deployment{Environment: "staging"}, success)
	next := add(githubsim.Deployment{Environment: "staging"})
	c.want(201, "POST", fmt.Sprintf("%s/%d/statuses", deployments, next), `{"state":"success","auto_inactive":false}`)
	add(githubsim.Deployment{Environment: "production"}, success)
	for id, want := range map[int64]string{spared: "success", failed: "failure", transient: "success", used: "success", other: "success"} {
		if got := c.states(id); len(got) != 1 || got[0] != want {
			t.Errorf("%d: %v, want %s", id, got, want)
		}
	}
	c.want(201, "POST", fmt.Sprintf("%s/%d/statuses", deployments, next), `{"state":"success"}`)
	if got := c.states(spared); got[0] != "inactive" {
		t.Errorf("unless auto_inactive is false: %v", got)
	}
}

func TestDeploymentsInside(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddUser("mona")
	id := c.gh.Deploy(widgets, githubsim.Deployment{Creator: "mona", States: []githubsim.DeploymentState{
		githubsim.DeploymentQueued, githubsim.DeploymentWaiting,
	}})
	got := c.gh.Deployments(widgets)
	if len(got) != 1 || got[0].ID != id || got[0].Creator != "mona" || got[0].Environment != "production" || got[0].Ref != "main" ||
		!slices.Equal(got[0].States, []githubsim.DeploymentState{"queued", "waiting"}) {
		t.Errorf("inside: %+v", got)
	}
	if got := c.states(id); !slices.Equal(got, []string{"waiting", "queued"}) {
		t.Errorf("states: %v", got)
	}
	if _, found := c.gh.Environment(widgets, "production"); found {
		t.Error("a deployment made an environment")
	}
	if !panics(func() { c.gh.SetDeploymentState(widgets, 1, githubsim.DeploymentSuccess) }) {
		t.Error("a deployment that does not exist got a state")
	}
}
