//go:build unix

package githubsim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// jobs serves a simulator with a runner and the workflow.
func jobs(t *testing.T, text string, change func(*githubsim.Runner)) *client {
	t.Helper()
	c := start(t, githubsim.Config{})
	r := githubsim.Runner{URL: c.url}
	if change != nil {
		change(&r)
	}
	c.gh.SetWorkflow(widgets, workflowPath, text)
	c.gh.SetRunner(r)
	return c
}

// dispatch starts the workflow and returns its run.
func (c *client) dispatch(inputs string) githubsim.WorkflowRun {
	c.t.Helper()
	c.want(204, "POST", dispatches, `{"ref":"main","inputs":`+inputs+`}`)
	return c.lastRun()
}

// lastRun waits until all runs are completed and returns the last.
func (c *client) lastRun() githubsim.WorkflowRun {
	c.t.Helper()
	ctx, end := context.WithTimeout(context.Background(), 20*time.Second)
	defer end()
	if err := c.gh.AwaitRuns(ctx); err != nil {
		c.t.Fatalf("%v: %+v", err, c.gh.WorkflowRuns(widgets))
	}
	runs := c.gh.WorkflowRuns(widgets)
	return runs[len(runs)-1]
}

// concluded fails the test unless the run ended as wanted.
func concluded(t *testing.T, run githubsim.WorkflowRun, want string) {
	t.Helper()
	if run.Status != "completed" || run.Conclusion != want {
		t.Fatalf("%s %s, want %s:\n%s", run.Status, run.Conclusion, want, run.RawLog)
	}
}

func TestJobIsARealProcess(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	c := jobs(t, jobOf("{id-token: write}", `    env:
      ALL: ${{ toJSON(secrets) }}
    steps:
      - env:
          ONE: ${{ secrets.deploy_key }}
          NONE: ${{ secrets.NOTHING }}
          ID: ${{ inputs.sync_id }}/${{ github.event.inputs.sync_id }}
        run: |
          env -0 > "$OUT"
          echo "The key is $ONE."
          echo "# Done, $ONE" >> "$GITHUB_STEP_SUMMARY"
          test "${{ github.repository }}" = acme/widgets
`), func(r *githubsim.Runner) { r.Env = map[string]string{"OUT": out} })
	c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "DEPLOY_KEY", Value: "canary-\"1\"\nsecond line"})
	c.gh.SetOrganizationSecret("acme", githubsim.Secret{Name: "SHARED", Value: "canary-2"})
	c.gh.SetOrganizationSecret("acme", githubsim.Secret{Name: "DEPLOY_KEY", Value: "canary-3"})
	run := c.dispatch(`{"sync_id":"7"}`)
	concluded(t, run, "success")
	env := variables(t, out)
	var all map[string]string
	if err := json.Unmarshal([]byte(env["ALL"]), &all); err != nil {
		t.Fatal(err)
	}
	if all["DEPLOY_KEY"] != "canary-\"1\"\nsecond line" || all["SHARED"] != "canary-2" || len(all) != 3 || !strings.HasPrefix(all["github_token"], "ghs_") {
		t.Errorf("toJSON(secrets) is %v", all)
	}
	if !strings.HasPrefix(env["ALL"], "{\n  \"DEPLOY_KEY\": ") {
		t.Errorf("it is not pretty: %s", env["ALL"])
	}
	for name, want := range map[string]string{
		"ONE": "canary-\"1\"\nsecond line", "NONE": "", "ID": "7/7", "GITHUB_ACTIONS": "true", "CI": "true",
		"GITHUB_REPOSITORY": widgets, "GITHUB_RUN_ID": fmt.Sprint(run.ID), "GITHUB_RUN_ATTEMPT": "1", "GITHUB_REF": "refs/heads/main",
		"GITHUB_WORKFLOW_REF": widgets + "/" + workflowPath + "@refs/heads/main", "GITHUB_API_URL": c.url, "GITHUB_SERVER_URL": c.url,
		"GITHUB_EVENT_NAME": "workflow_dispatch", "GITHUB_SHA": run.SHA, "GITHUB_JOB": "seal",
	} {
		if got, has := env[name]; !has || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"GITHUB_TOKEN", "TMPDIR", "GOPATH", "USER"} {
		if value, has := env[name]; has {
			t.Errorf("%s=%q came from this machine", name, value)
		}
	}
	if _, err := os.Stat(env["HOME"]); !os.IsNotExist(err) {
		t.Errorf("the job's home is still there: %v", err)
	}
	if !strings.Contains(run.Log, "The key is ***\n***.") || strings.Contains(run.Log, "canary") || !strings.Contains(run.RawLog, "canary-\"1\"\nsecond") {
		t.Errorf("log %q, raw %q", run.Log, run.RawLog)
	}
	if run.Summary != "# Done, ***\n" || !strings.Contains(run.RawSummary, "canary") {
		t.Errorf("summary %q, raw %q", run.Summary, run.RawSummary)
	}
	c.as(all["github_token"]).want(401, "GET", "/repos/acme/widgets", "") // it died with the job
}

// variables reads what env -0 wrote.
func variables(t *testing.T, path string) map[string]string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	env := make(map[string]string)
	for line := range strings.SplitSeq(strings.TrimSuffix(string(text), "\x00"), "\x00") {
		name, value, _ := strings.Cut(line, "=")
		env[name] = value
	}
	return env
}

func TestJobAsksForIDToken(t *testing.T) {
	asked := make(chan string, 1)
	text := script(`echo "$ACTIONS_ID_TOKEN_REQUEST_URL $ACTIONS_ID_TOKEN_REQUEST_TOKEN" > "$OUT"`, `sleep 60`)
	out := filepath.Join(t.TempDir(), "out")
	c := jobs(t, text, func(r *githubsim.Runner) {
		r.Env = map[string]string{"OUT": out}
		r.OnJob = func(int, githubsim.WorkflowRun) { asked <- "" }
	})
	c.want(204, "POST", dispatches, `{"ref":"main"}`)
	<-asked
	var url, bearer string
	for url == "" {
		text, _ := os.ReadFile(out)
		url, bearer, _ = strings.Cut(strings.TrimSuffix(string(text), "\n"), " ")
		time.Sleep(5 * time.Millisecond)
	}
	get := func(bearer string) (int, string) {
		t.Helper()
		req, err := http.NewRequest("GET", url+"&audience=https%3A%2F%2Foctoseal.example", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "bearer "+bearer)
		resp, err := plain.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct{ Value string }
		_ = json.Unmarshal(body, &answer)
		return resp.StatusCode, answer.Value
	}
	if status, _ := get("wrong"); status != 401 {
		t.Errorf("a wrong bearer: %d", status)
	}
	status, token := get(bearer)
	if status != 200 {
		t.Fatalf("%d", status)
	}
	if _, err := verifier(t, c).Verify(context.Background(), token); err != nil {
		t.Error(err)
	}
	run := c.gh.WorkflowRuns(widgets)[0]
	claims := claimsOf(t, token)
	for name, want := range map[string]string{
		"run_id": fmt.Sprint(run.ID), "run_attempt": "1", "workflow": "Octoseal", "event_name": "workflow_dispatch", "repository": widgets,
		"workflow_ref": widgets + "/" + workflowPath + "@refs/heads/main", "ref": "refs/heads/main", "sha": run.SHA,
	} {
		if claims[name] != want {
			t.Errorf("%s is %v, want %s", name, claims[name], want)
		}
	}
	c.gh.CancelRuns()
	concluded(t, c.lastRun(), "cancelled")
	if status, _ := get(bearer); status != 401 {
		t.Errorf("after the job: %d", status)
	}
}

func TestPermissionsOfAJob(t *testing.T) {
	for permissions, want := range map[string]string{
		"{}": "", "{id-token: write}": "yes", "write-all": "yes", "read-all": "", "{contents: read}": "",
	} {
		c := jobs(t, jobOf(permissions, "    steps:\n      - run: |\n          "+
			`test -z "${ACTIONS_ID_TOKEN_REQUEST_URL+yes}" || echo "yes" >> "$GITHUB_STEP_SUMMARY"`+"\n"), nil)
		run := c.dispatch(`{}`)
		concluded(t, run, "success")
		if strings.TrimSpace(run.Summary) != want {
			t.Errorf("%s: it may ask for a token: %q", permissions, run.Summary)
		}
	}
}

func TestLinuxLimits(t *testing.T) {
	c := jobs(t, jobOf("{}", `    steps:
      - env:
          OCTOSEAL_SECRETS: ${{ toJSON(secrets) }}
        run: echo started >> "$GITHUB_STEP_SUMMARY"
`), nil)
	filler := strings.Repeat("x", 40_000)
	for _, name := range []string{"A", "B", "C"} {
		c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: name, Value: filler})
	}
	run := c.dispatch(`{}`)
	concluded(t, run, "success")

	// The whole of toJSON grows until NAME=VALUE is 131,071 bytes, and by one byte more.
	overhead := len("OCTOSEAL_SECRETS=") + len("{\n") + len("\n}") + len(`  "github_token": ""`) + 40
	for range 4 {
		overhead += len(`  "A": "",` + "\n")
	}
	for _, over := range []int{0, 1} {
		rest := 131_071 - overhead - 3*len(filler) + over
		c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "D", Value: strings.Repeat("y", rest)})
		run := c.dispatch(`{}`)
		if over == 0 {
			concluded(t, run, "success")
			continue
		}
		concluded(t, run, "failure")
		if run.Summary != "" || !strings.Contains(run.Log, "Argument list too long") || !strings.Contains(run.Log, "trying to start process") {
			t.Errorf("%d bytes too many: summary %q, log %s", over, run.Summary, run.Log)
		}
	}
}

func TestLinuxLimitOfAll(t *testing.T) {
	var env strings.Builder
	for i := range 18 {
		fmt.Fprintf(&env, "          V%d: ${{ secrets.BIG }}${{ secrets.BIG }}\n", i)
	}
	c := jobs(t, jobOf("{}", "    steps:\n      - env:\n"+env.String()+"        run: \"true\"\n"), nil)
	c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "BIG", Value: strings.Repeat("x", 48<<10)})
	concluded(t, c.dispatch(`{}`), "success")
	c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "BIG", Value: strings.Repeat("x", 60<<10)})
	run := c.dispatch(`{}`)
	concluded(t, run, "failure")
	if !strings.Contains(run.Log, "Argument list too long") {
		t.Errorf("log: %s", run.Log)
	}
}

const compositeAction = `name: Octoseal
description: keeps secrets in step
inputs:
  server: {description: URL of the service, required: true}
  values: {description: where values are, default: 'json-env:OCTOSEAL_SECRETS'}
runs:
  using: composite
  steps:
    - id: install
      shell: bash
      run: exit 1
    - shell: bash
      env:
        OCTOSEAL_SERVER: ${{ inputs.server }}
        OCTOSEAL_VALUES: ${{ inputs.values }}
        OCTOSEAL_HERE: ${{ runner.os }}
      run: |
        test -f "${{ github.action_path }}/action.yml" && test -f "$GITHUB_ACTION_PATH/action.yml"
        octoseal relay --part 1
`

// usesAction is a workflow whose one step is the action.
func usesAction(ref string) string {
	return jobOf("{id-token: write}", `    steps:
      - uses: octoseal/octoseal@`+ref+`
        env:
          OCTOSEAL_SECRETS: ${{ secrets.A }}
        with:
          server: https://octoseal.example
`)
}

func TestCompositeAction(t *testing.T) {
	commit := strings.Repeat("0123456789", 4)
	prints := []string{"/bin/sh", "-c", `echo "$0 $* $OCTOSEAL_SERVER $OCTOSEAL_VALUES $OCTOSEAL_HERE $OCTOSEAL_SECRETS" >> "$GITHUB_STEP_SUMMARY"`, "first"}
	c := jobs(t, usesAction(commit), func(r *githubsim.Runner) { r.Command, r.Action = prints, compositeAction })
	c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "A", Value: "canary"})
	run := c.dispatch(`{}`)
	concluded(t, run, "success")
	if want := "first relay --part 1 https://octoseal.example json-env:OCTOSEAL_SECRETS Linux canary\n"; run.RawSummary != want {
		t.Errorf("octoseal was started with %q, want %q", run.RawSummary, want)
	}

	c.gh.SetWorkflow(widgets, workflowPath, usesAction("v1"))
	run = c.dispatch(`{}`)
	concluded(t, run, "failure")
	if !strings.Contains(run.Log, "unable to find version `v1`") {
		t.Errorf("log: %s", run.Log)
	}
	c.gh.SetRunner(githubsim.Runner{URL: c.url, Command: []string{"true"}, Action: compositeAction, AnyRef: true})
	concluded(t, c.dispatch(`{}`), "success")

	// Composite actions see no secrets.
	c.gh.SetRunner(githubsim.Runner{URL: c.url, AnyRef: true, Action: strings.Replace(compositeAction, "${{ inputs.server }}", "${{ secrets.A }}", 1)})
	run = c.dispatch(`{}`)
	concluded(t, run, "failure")
	if !strings.Contains(run.Log, "unrecognized named-value: 'secrets'") {
		t.Errorf("log: %s", run.Log)
	}
}

func TestSecretsAreReadWhenQueued(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.SetWorkflow(widgets, workflowPath, jobOf("{}", "    environment: production\n    steps:\n      - env:\n"+
		"          A: ${{ secrets.A }}\n          E: ${{ secrets.E }}\n        run: echo \"$A $E\" >> \"$GITHUB_STEP_SUMMARY\"\n"))
	c.gh.AddEnvironment(widgets, "production")
	set := func(value string) {
		c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "A", Value: value})
		c.gh.SetSecret(widgets, "environment:production", githubsim.Secret{Name: "E", Value: value})
	}
	set("before")
	c.want(204, "POST", dispatches, `{"ref":"main"}`)
	set("after")
	c.gh.SetRunner(githubsim.Runner{URL: c.url, QueueTime: 50 * time.Millisecond})
	run := c.lastRun()
	concluded(t, run, "success")
	if run.RawSummary != "before after\n" {
		t.Errorf("the job saw %q", run.RawSummary)
	}
	if waited := run.Started.Sub(run.Queued); waited < 50*time.Millisecond {
		t.Errorf("the run waited only %v", waited)
	}
	c.gh.Rerun(widgets, run.ID)
	again := c.lastRun()
	if again.RawSummary != "after after\n" || again.ID != run.ID || again.Attempt != 2 || again.Number != run.Number {
		t.Errorf("the second attempt is %+v", again)
	}
	if n := len(c.gh.WorkflowRuns(widgets)); n != 2 {
		t.Errorf("%d attempts", n)
	}
}

func TestMissingEnvironmentIsMade(t *testing.T) {
	c := jobs(t, jobOf("{}", "    environment: {name: brand-new}\n    steps:\n      - run: 'true'\n"), nil)
	concluded(t, c.dispatch(`{}`), "success")
	c.list("/repos/acme/widgets/environments/brand-new/secrets")
}

func TestStepsThatFail(t *testing.T) {
	c := jobs(t, jobOf("{}", `    steps:
      - id: first
        continue-on-error: true
        run: |
          false
          echo never
      - run: |
          echo "name=value" >> "$GITHUB_ENV"
          printf 'text<<END\na\nb\nEND\n' >> "$GITHUB_OUTPUT"
        id: second
      - run: echo "$name ${{ steps.second.outputs.text }} ${{ steps.first.outcome }}" >> "$GITHUB_STEP_SUMMARY"
      - run: exit 7
      - run: echo skipped >> "$GITHUB_STEP_SUMMARY"
      - if: ${{ failure() && 'a''b' != 'ab' }}
        run: echo cleaned >> "$GITHUB_STEP_SUMMARY"
`), nil)
	run := c.dispatch(`{}`)
	concluded(t, run, "failure")
	if run.Summary != "value a\nb failure\ncleaned\n" {
		t.Errorf("summary %q", run.Summary)
	}
	if !strings.Contains(run.Log, "Process completed with exit code 7.") || strings.Contains(run.RawLog, "never") {
		t.Errorf("log %s", run.Log)
	}
}

func TestScheduleAndPush(t *testing.T) {
	c := jobs(t, script(`echo "$GITHUB_EVENT_NAME ${{ inputs.sync_id }}." >> "$GITHUB_STEP_SUMMARY"`), nil)
	for _, event := range []string{"schedule", "push"} {
		ids := c.gh.StartRun(widgets, event)
		run := c.lastRun()
		concluded(t, run, "success")
		if len(ids) != 1 || ids[0] != run.ID || run.Summary != event+" .\n" {
			t.Errorf("%v: %+v", ids, run)
		}
	}
	c.gh.SetWorkflow(widgets, workflowPath, "on: push\njobs: []\n")
	c.gh.StartRun(widgets, "push")
	concluded(t, c.lastRun(), "startup_failure")
}

func TestJobsAtOnce(t *testing.T) {
	var most, now int
	gate := make(chan int, 100)
	c := jobs(t, script("sleep 0.05"), func(r *githubsim.Runner) {
		r.Limit = 2
		r.OnJob = func(int, githubsim.WorkflowRun) { gate <- 1 }
	})
	for range 5 {
		c.want(204, "POST", dispatches, `{"ref":"main"}`)
	}
	ctx, end := context.WithTimeout(context.Background(), 20*time.Second)
	defer end()
	for ctx.Err() == nil {
		now = 0
		done := 0
		for _, r := range c.gh.WorkflowRuns(widgets) {
			if r.Status == "in_progress" {
				now++
			}
			if r.Status == "completed" {
				done++
			}
		}
		most = max(most, now)
		if done == 5 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	if most != 2 || len(gate) != 5 {
		t.Errorf("%d jobs at once, %d processes", most, len(gate))
	}
}

func TestConcurrencyGroups(t *testing.T) {
	gate := filepath.Join(t.TempDir(), "gate")
	text := strings.Replace(script("until test -e "+gate+"; do sleep 0.01; done"), "jobs:", "concurrency: octoseal-${{ github.ref }}\njobs:", 1)
	started := make(chan int, 4)
	c := jobs(t, text, func(r *githubsim.Runner) { r.OnJob = func(pid int, _ githubsim.WorkflowRun) { started <- pid } })
	c.want(204, "POST", dispatches, `{"ref":"main"}`)
	<-started
	for range 3 {
		c.want(204, "POST", dispatches, `{"ref":"main"}`)
	}
	if err := os.WriteFile(gate, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	c.lastRun()
	var got []string
	for _, r := range c.gh.WorkflowRuns(widgets) {
		got = append(got, r.Conclusion)
	}
	// One in progress, one pending: who comes later takes the place of the pending one.
	if want := []string{"success", "cancelled", "cancelled", "success"}; !slices.Equal(got, want) {
		t.Errorf("concluded %v, want %v", got, want)
	}
}

func TestKilledJob(t *testing.T) {
	pids := make(chan int, 1)
	c := jobs(t, script("sleep 60"), func(r *githubsim.Runner) {
		r.OnJob = func(pid int, run githubsim.WorkflowRun) {
			if run.Status == "in_progress" {
				pids <- pid
			}
		}
	})
	c.want(204, "POST", dispatches, `{"ref":"main"}`)
	if err := syscall.Kill(-<-pids, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	run := c.lastRun()
	concluded(t, run, "failure")
	if !strings.Contains(run.Log, "exit code 137") {
		t.Errorf("log: %s", run.Log)
	}
}

func TestCloseLeavesNothing(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "trace")
	c := jobs(t, script("trap '' INT TERM", "(while :; do echo x >> "+trace+"; sleep 0.01; done) &", "wait"), func(r *githubsim.Runner) { r.Limit = 1 })
	c.want(204, "POST", dispatches, `{"ref":"main"}`)
	c.want(204, "POST", dispatches, `{"ref":"main"}`)
	size := func() int64 {
		info, err := os.Stat(trace)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	for size() == 0 {
		time.Sleep(5 * time.Millisecond)
	}
	c.gh.Close()
	before := size()
	time.Sleep(100 * time.Millisecond)
	if after := size(); after != before {
		t.Errorf("the job goes on: %d bytes, then %d", before, after)
	}
	runs := c.gh.WorkflowRuns(widgets)
	if runs[0].Conclusion != "cancelled" || runs[1].Status != "queued" {
		t.Errorf("runs: %+v", runs)
	}
	// A runner that comes later takes up what is queued.
	c.gh.SetWorkflow(widgets, workflowPath, script("true"))
	c.gh.SetRunner(githubsim.Runner{URL: c.url, OnJob: func(int, githubsim.WorkflowRun) { c.gh.CancelRuns() }})
	concluded(t, c.lastRun(), "cancelled")
}

func TestAddMask(t *testing.T) {
	var log bytes.Buffer
	c := jobs(t, script(`echo "::add-mask::derived"`, `echo "a derived value"`, `printf 'no end'`), func(r *githubsim.Runner) { r.Log = &log })
	run := c.dispatch(`{}`)
	concluded(t, run, "success")
	if !strings.Contains(run.Log, "a *** value\nno end\n") || strings.Contains(run.Log, "derived\na") {
		t.Errorf("log %q", run.Log)
	}
	c.gh.Close()
	if log.String() != run.Log {
		t.Errorf("read along: %q, want %q", log.String(), run.Log)
	}
}

func TestCancelInProgress(t *testing.T) {
	started := make(chan int, 2)
	text := strings.Replace(script("sleep ${{ inputs.sync_id }}"), "jobs:", "concurrency: {group: one, cancel-in-progress: true}\njobs:", 1)
	c := jobs(t, text, func(r *githubsim.Runner) { r.OnJob = func(pid int, _ githubsim.WorkflowRun) { started <- pid } })
	c.want(204, "POST", dispatches, `{"ref":"main","inputs":{"sync_id":"60"}}`)
	<-started
	concluded(t, c.dispatch(`{"sync_id":"0"}`), "success")
	concluded(t, c.gh.WorkflowRuns(widgets)[0], "cancelled")
}

func TestJobsThatDoNotRun(t *testing.T) {
	steps := "    steps:\n      - run: sleep 60\n"
	for conclusion, inJob := range map[string]string{
		"skipped":   "    if: github.event_name == 'push'\n" + steps,
		"cancelled": "    timeout-minutes: 0.001\n" + steps,
		"failure":   "    steps:\n      - uses: actions/checkout@v4\n",
	} {
		c := jobs(t, jobOf("{}", inJob), nil)
		concluded(t, c.dispatch(`{}`), conclusion)
	}
	c := jobs(t, jobOf("{}", "    needs: other\n"+steps), nil)
	run := c.dispatch(`{}`)
	concluded(t, run, "failure")
	if !strings.Contains(run.Log, "this runner knows no jobs with needs") {
		t.Errorf("log: %s", run.Log)
	}
	c = jobs(t, strings.Replace(jobOf("{}", steps), "jobs:", "concurrency: ${{ secrets.A }}\njobs:", 1), nil)
	concluded(t, c.dispatch(`{}`), "startup_failure")
}

func TestStepsTellTheRunner(t *testing.T) {
	c := jobs(t, jobOf("{}", `    steps:
      - run: |
          mkdir tools && printf '#!/bin/sh\necho found > "$GITHUB_STEP_SUMMARY"\n' > tools/thing && chmod +x tools/thing
          echo "$PWD/tools" >> "$GITHUB_PATH"
      - shell: bash
        run: thing
      - run: head -c 1100000 /dev/zero >> "$GITHUB_STEP_SUMMARY"
      - run: echo "no assignment" >> "$GITHUB_ENV"
      - if: always()
        shell: pwsh
        run: Get-Thing
`), nil)
	run := c.dispatch(`{}`)
	concluded(t, run, "failure")
	if run.Summary != "found\n" {
		t.Errorf("summary of %d bytes", len(run.Summary))
	}
	for _, want := range []string{"upload aborted", "Unable to process file command 'GITHUB_ENV'", `not "pwsh"`} {
		if !strings.Contains(run.Log, want) {
			t.Errorf("the log does not say %s:\n%s", want, run.Log)
		}
	}
}
