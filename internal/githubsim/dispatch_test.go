package githubsim_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
)

const (
	workflowPath = ".github/workflows/octoseal.yml"
	dispatches   = "/repos/acme/widgets/actions/workflows/octoseal.yml/dispatches"
)

// job is a workflow with one job, whose text starts below its permissions.
func jobOf(permissions, body string) string {
	return "name: Octoseal\non:\n  workflow_dispatch:\n    inputs:\n      sync_id: {description: which run, type: string}\n" +
		"  schedule: [{cron: '17 3 * * *'}]\n  push:\n    branches: [main]\njobs:\n  seal:\n    runs-on: ubuntu-latest\n    permissions: " +
		permissions + "\n" + body
}

// steps is a workflow of one script.
func script(lines ...string) string {
	return jobOf("{id-token: write}", "    steps:\n      - run: |\n          "+strings.Join(lines, "\n          ")+"\n")
}

func TestDispatch(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetWorkflow(widgets, workflowPath, script("true"))
	c.gh.SetWorkflow(widgets, workflowPath+"@topic", "on: push\njobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n")
	c.gh.SetWorkflow(widgets, workflowPath+"@broken", "on: workflow_dispatch\njobs: {a: {runs-on: x, stages: []}}\n")
	c.gh.SetWorkflow(widgets, ".github/workflows/empty.yml@elsewhere", script("true"))
	c.gh.SetWorkflow(widgets, workflowPath+"@refs/tags/v1", script("true"))
	for _, tc := range []struct {
		body, message string
		status        int
	}{
		{`{"ref":"main"}`, "", 204},
		{`{"ref":"refs/heads/main","inputs":{"sync_id":"x"}}`, "", 204},
		{`{"ref":"v1"}`, "", 204},
		{`{"ref":"main","return_run_details":true}`, "", 200},
		{`{"ref":"main","return_run_details":1}`, "Invalid request.\n\nFor 'properties/return_run_details', 1 is not a boolean.", 422},
		{`{}`, "Invalid request.\n\n\"ref\" wasn't supplied.", 422},
		{`{"ref":"main","inputs":[]}`, "Invalid request.\n\nFor 'properties/inputs', [] is not an object.", 422},
		{`{"ref":"nowhere"}`, "No ref found for: nowhere", 422},
		{`{"ref":"topic"}`, "Workflow does not have 'workflow_dispatch' trigger", 422},
		{`{"ref":"elsewhere"}`, "Workflow does not have 'workflow_dispatch' trigger", 422},
		{`{"ref":"broken"}`, "failed to parse workflow: ", 422},
		{`{"ref":"main","inputs":{"b":"1","a":"1"}}`, `Unexpected inputs provided: ["a", "b"]`, 422},
		{`{"ref":"main","extra":1}`, "Invalid request.\n\n\"extra\" is not a permitted key.", 422},
	} {
		r := c.do("POST", dispatches, tc.body)
		if r.Status != tc.status || tc.message != "" && !strings.HasPrefix(r.message(), tc.message) {
			t.Errorf("%s: %d %s", tc.body, r.Status, r.Body)
		}
	}
	c.want(404, "POST", strings.Replace(dispatches, "octoseal.yml", "empty.yml", 1), `{"ref":"elsewhere"}`)
	c.want(404, "POST", strings.Replace(dispatches, "octoseal.yml", "other.yml", 1), `{"ref":"main"}`)
	runs := c.gh.WorkflowRuns(widgets)
	if len(runs) != 4 || runs[1].Inputs["sync_id"] != "x" || runs[2].Ref != "refs/tags/v1" || runs[3].Number != 4 || runs[3].Status != "queued" {
		t.Errorf("runs: %+v", runs)
	}
}

func TestDispatchWithoutActions(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetWorkflow(widgets, workflowPath, script("true"))
	refusals := func(want string) {
		t.Helper()
		if got := c.want(422, "POST", dispatches, `{"ref":"main"}`).message(); got != want {
			t.Errorf("refused with %q, want %q", got, want)
		}
	}
	c.gh.DisableActions(widgets, true)
	refusals("Actions has been disabled for this repository.")
	if ids := c.gh.StartRun(widgets, "schedule"); ids != nil {
		t.Errorf("runs %v started", ids)
	}
	c.gh.DisableActions(widgets, false)
	c.gh.DisableWorkflow(widgets, workflowPath, true)
	refusals("Cannot trigger a 'workflow_dispatch' on a disabled workflow")
	c.gh.DisableWorkflow(widgets, workflowPath, false)
	c.want(204, "POST", dispatches, `{"ref":"main"}`)
	c.gh.RemoveWorkflow(widgets, workflowPath)
	c.want(404, "POST", dispatches, `{"ref":"main"}`)
	c.gh.SetWorkflow(widgets, workflowPath, script("true"))
	c.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Archived = true })
	c.want(403, "POST", dispatches, `{"ref":"main"}`)
}

func TestDispatchInputs(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetWorkflow(widgets, workflowPath, "on:\n  workflow_dispatch:\n    inputs:\n"+
		"      who: {required: true}\n      how: {type: choice, options: [fast, slow], default: fast}\n"+
		"jobs: {a: {runs-on: x, steps: [{run: 'true'}]}}\n")
	for _, tc := range []struct{ inputs, message string }{
		{`{}`, "Required input 'who' not provided"},
		{`{"who":"me","how":"so"}`, "Provided value 'so' for input 'how' not in the list of allowed values"},
		{`{"who":true}`, ""},
	} {
		r := c.do("POST", dispatches, `{"ref":"main","inputs":`+tc.inputs+`}`)
		if r.message() != tc.message {
			t.Errorf("%s: %d %s", tc.inputs, r.Status, r.Body)
		}
	}
	runs := c.gh.WorkflowRuns(widgets)
	if len(runs) != 1 || runs[0].Inputs["who"] != "true" || runs[0].Inputs["how"] != "fast" {
		t.Errorf("runs: %+v", runs)
	}
	many := make([]string, 26)
	for i := range many {
		many[i] = fmt.Sprintf(`"i%d":""`, i)
	}
	c.want(422, "POST", dispatches, `{"ref":"main","inputs":{`+strings.Join(many, ",")+`}}`)
}

func TestDispatchDetails(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetWorkflow(widgets, workflowPath, script("true"))
	var details struct {
		ID int64 `json:"workflow_run_id"`
	}
	c.want(200, "POST", dispatches, `{"ref":"main","return_run_details":true}`).into(t, &details)
	if runs := c.gh.WorkflowRuns(widgets); len(runs) != 1 || runs[0].ID != details.ID || details.ID == 0 {
		t.Errorf("details %+v, runs %+v", details, runs)
	}
	newer := c.with("X-GitHub-Api-Version", "2026-03-10")
	newer.want(200, "POST", dispatches, `{"ref":"main"}`)
	newer.want(422, "POST", dispatches, `{"ref":"main","return_run_details":true}`)

	server := start(t, githubsim.Config{Enterprise: "3.19.1"})
	server.gh.SetWorkflow(widgets, workflowPath, script("true"))
	if got := server.want(422, "POST", dispatches, `{"ref":"main","return_run_details":true}`).message(); !strings.Contains(got, "is not a permitted key") {
		t.Errorf("refused with %q", got)
	}
	server.want(204, "POST", dispatches, `{"ref":"main"}`)
}

func TestDispatchPermissions(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetWorkflow(widgets, workflowPath, script("true"))
	body := `{"ref":"main"}`
	may := c.gh.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Owner: "acme", Permissions: githubsim.Permissions{"actions": "write"}})
	mayNot := c.gh.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Owner: "acme", Permissions: githubsim.Permissions{"actions": "read"}})
	c.as(may).want(204, "POST", dispatches, body)
	r := c.as(mayNot).want(403, "POST", dispatches, body)
	if got := r.Header.Get("X-Accepted-GitHub-Permissions"); got != "actions=write" {
		t.Errorf("accepted permissions: %q", got)
	}
	_, id, app := asApp(t, c, githubsim.Permissions{"actions": "write"})
	var made struct{ Token string }
	app.want(201, "POST", fmt.Sprintf("/app/installations/%d/access_tokens", id), "").into(t, &made)
	c.as(made.Token).want(204, "POST", dispatches, body)
	if runs := c.gh.WorkflowRuns(widgets); len(runs) != 2 || runs[0].Actor != "octocat" || runs[1].Actor != "octoseal[bot]" {
		t.Errorf("runs: %+v", runs)
	}
}
