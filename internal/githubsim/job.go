package githubsim

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// longestJob is GitHub's bound on a hosted job.
const longestJob = 6 * time.Hour

// An execution is a job while it is carried out.
type execution struct {
	*GitHub
	run    *run
	runner Runner
	log    *transcript
	job    *job
	ctx    context.Context // of this one execution

	root    string            // folder of all that follows, gone with the job
	system  map[string]string // variables that GitHub sets
	env     map[string]string // of workflow and job, and those that steps added through GITHUB_ENV
	path    []string          // that steps added through GITHUB_PATH, newest first
	secrets map[string]any
	github  map[string]any
	tokens  []string // to be forgotten with the job
}

// doJob carries out the one job of a run and returns its conclusion.
func (g *GitHub) doJob(r *run, runner Runner) string {
	e := &execution{GitHub: g, run: r, runner: runner, log: r.log}
	e.log.mu.Lock()
	e.log.reader = runner.Log
	e.log.mu.Unlock()
	defer e.leave()
	f, skip, err := e.prepare()
	switch {
	case err != nil:
		e.log.say("##[error]%v", err)
		return runFailed
	case skip:
		return runSkipped
	}
	limit := longestJob
	if minutes, err := strconv.ParseFloat(string(e.job.Timeout), 64); err == nil {
		limit = min(limit, time.Duration(minutes*float64(time.Minute)))
	}
	ctx, end := context.WithTimeout(r.running, limit)
	defer end()
	e.ctx = ctx
	e.all(f, e.job.Steps)
	switch {
	case ctx.Err() != nil:
		// Seen: a job that takes too long shows up as one that was canceled.
		e.log.say("##[error]The operation was canceled.")
		return runCanceled
	case f.failed:
		return runFailed
	}
	return runSucceeded
}

// prepare makes the folders, tokens and contexts of the job. It tells whether the job's if skips it.
func (e *execution) prepare() (f *frame, skip bool, err error) {
	var id string
	if id, e.job, err = e.run.flow.only(); err != nil {
		return nil, false, err
	}
	if e.root, err = os.MkdirTemp("", "githubsim-job-"); err != nil {
		return nil, false, err
	}
	if err = e.install(); err != nil {
		return nil, false, err
	}
	e.mu.Lock()
	e.github = e.githubContext(e.run)
	e.mu.Unlock()
	e.github["job"] = id
	early := scope{contexts: map[string]any{"github": e.github, "inputs": e.run.Inputs, "vars": map[string]any{}}}
	if holds, err := early.holds(string(e.job.If)); err != nil || !holds {
		return nil, !holds, err
	}
	environment, err := early.expand(string(e.job.Environment.Name))
	if err != nil {
		return nil, false, err
	}
	e.enter(environment)
	e.variables(environment)
	f, err = e.frame(early)
	return f, false, err
}

// enter reads the secrets of the job's environment, which is made without rules and secrets where
// it is missing, and gives the job its tokens.
func (e *execution) enter(environment string) {
	e.mu.Lock()
	missing := environment != "" && e.run.repo.environments[strings.ToLower(environment)] == nil
	name := e.run.repo.FullName
	e.mu.Unlock()
	if missing {
		e.AddEnvironment(name, environment)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.secrets = make(map[string]any)
	for name, value := range e.run.secrets {
		e.secrets[name] = value
	}
	if environment != "" {
		for name, s := range e.run.repo.environments[strings.ToLower(environment)].secrets.secrets {
			e.secrets[name] = s.Value
		}
	}
	token := e.jobToken()
	e.secrets["github_token"], e.github["token"] = token, token
	var values []string
	for _, value := range e.secrets {
		values = append(values, asText(value))
	}
	e.log.hide(values...)
}

// jobToken makes the job's GITHUB_TOKEN.
func (e *execution) jobToken() string {
	repo := e.run.repo
	made := &credential{
		kind: workflowToken, id: fmt.Sprintf("workflow:%d:%d", e.run.ID, e.run.Attempt), bucket: fmt.Sprintf("repository:%d", repo.ID),
		owner: repo.owner, repositories: map[int64]bool{repo.ID: true}, permissions: Permissions{},
	}
	for name, level := range e.run.flow.granted(e.job) {
		if level != "none" {
			made.permissions[strings.ReplaceAll(name, "-", "_")] = level
		}
	}
	token := "ghs_" + randomText(36)
	e.world.credentials[token] = made
	e.tokens = append(e.tokens, token)
	return token
}

// idTokenRequest gives the job the right to ask for ID tokens, if its permissions say so, and
// returns the variables that tell it how.
func (e *execution) idTokenRequest(environment string) map[string]string {
	if e.run.flow.granted(e.job)["id-token"] != "write" {
		return nil
	}
	r := e.run
	asked := tokenRequest{
		path: fmt.Sprintf("%d/%d", r.ID, r.Attempt), repo: r.repo,
		claims: IDClaims{
			API: e.runner.URL, Workflow: r.Workflow, Event: r.Event, Ref: r.Ref, Actor: r.Actor, Environment: environment,
			RunID: r.ID, RunNumber: r.Number, RunAttempt: r.Attempt,
			Claims: map[string]any{"workflow": r.Name, "sha": r.SHA, "workflow_sha": r.SHA, "job_workflow_sha": r.SHA},
		},
	}
	bearer := requestToken()
	e.mu.Lock()
	e.actions.requests[bearer] = asked
	e.mu.Unlock()
	e.tokens = append(e.tokens, bearer)
	e.log.hide(bearer)
	return map[string]string{
		"ACTIONS_ID_TOKEN_REQUEST_URL":   e.Issuer(e.runner.URL) + requestPath + "/" + asked.path + "?api-version=2.0",
		"ACTIONS_ID_TOKEN_REQUEST_TOKEN": bearer,
	}
}

// variables sets those that GitHub sets.
func (e *execution) variables(environment string) {
	e.system = map[string]string{
		"CI": "true", "GITHUB_ACTIONS": "true", "HOME": filepath.Join(e.root, "home"),
		"RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_NAME": "GitHub Actions 1", "RUNNER_ENVIRONMENT": "github-hosted",
		"RUNNER_TEMP": filepath.Join(e.root, "temp"), "RUNNER_TOOL_CACHE": filepath.Join(e.root, "tools"),
		"RUNNER_WORKSPACE": filepath.Join(e.root, "work"),
	}
	for _, name := range []string{
		"actor", "actor_id", "api_url", "base_ref", "event_name", "event_path", "graphql_url", "head_ref", "job", "ref", "ref_name",
		"ref_protected", "ref_type", "repository", "repository_id", "repository_owner", "repository_owner_id", "retention_days",
		"run_attempt", "run_id", "run_number", "server_url", "sha", "triggering_actor", "workflow", "workflow_ref", "workflow_sha", "workspace",
	} {
		e.system["GITHUB_"+strings.ToUpper(name)] = asText(e.github[name])
	}
	maps.Copy(e.system, e.runner.Env)
	maps.Copy(e.system, e.idTokenRequest(environment))
}

// githubContext is the github context of a run, without its token.
func (g *GitHub) githubContext(r *run) map[string]any {
	api := ""
	if g.actions.crew != nil {
		api = g.actions.crew.runner.URL
	}
	full := r.repo.FullName
	number := func(n int64) string { return strconv.FormatInt(n, 10) }
	return map[string]any{
		"actor": r.Actor, "triggering_actor": r.Actor, "actor_id": number(g.actorID(r.Actor)),
		"api_url": api, "graphql_url": g.root(api) + "/graphql", "server_url": g.root(api),
		"event_name": r.Event, "event": g.event(r), "ref": r.Ref, "ref_name": shortRef(r.Ref), "ref_type": refType(r.Ref), "ref_protected": "false",
		"sha": r.SHA, "base_ref": "", "head_ref": "", "retention_days": "90", "repository": full, "repository_id": number(r.repo.ID),
		"repository_owner": r.repo.owner.login, "repository_owner_id": number(r.repo.owner.id),
		"run_id": number(r.ID), "run_attempt": strconv.Itoa(r.Attempt), "run_number": strconv.Itoa(r.Number),
		"workflow": r.Name, "workflow_ref": full + "/" + r.Workflow + "@" + r.Ref, "workflow_sha": r.SHA,
	}
}

// event is the payload of what started the run, in short.
func (g *GitHub) event(r *run) map[string]any {
	payload := map[string]any{
		"repository": map[string]any{
			"id": float64(r.repo.ID), "name": r.repo.name, "full_name": r.repo.FullName, "private": r.repo.Private,
			"default_branch": r.repo.DefaultBranch, "owner": map[string]any{"login": r.repo.owner.login},
		},
		"sender": map[string]any{"login": r.Actor},
	}
	if r.Event == dispatchEvent {
		inputs := make(map[string]any)
		for name, value := range r.Inputs {
			inputs[name] = value
		}
		payload["inputs"], payload["ref"], payload["workflow"] = inputs, r.Ref, r.Workflow
	}
	return payload
}

// leave forgets the job's tokens and removes its folders.
func (e *execution) leave() {
	e.mu.Lock()
	for _, token := range e.tokens {
		delete(e.world.credentials, token)
		delete(e.actions.requests, token)
	}
	e.mu.Unlock()
	e.log.flush()
	if e.root == "" {
		return
	}
	if err := os.RemoveAll(e.root); err != nil {
		e.log.say("##[warning]%v", err)
	}
}
