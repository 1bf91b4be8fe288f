package githubsim

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// systemPath is where jobs find programs after those that were installed for them.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// maxSummary is how much of a step's summary GitHub takes.
const maxSummary = 1 << 20

// A frame is where steps are: in a job, or in the composite action that a step of a job uses.
type frame struct {
	contexts map[string]any    // but env and steps
	env      map[string]string // of the step that uses the action
	system   map[string]string // variables that GitHub sets here besides the job's
	steps    map[string]any
	failed   bool
}

// install makes the job's folders and puts the runner's command where jobs find octoseal.
func (e *execution) install() error {
	for _, name := range []string{"bin", "home", "temp", "tools", "work", "actions"} {
		if err := os.Mkdir(filepath.Join(e.root, name), 0o700); err != nil {
			return err
		}
	}
	if len(e.runner.Command) == 0 {
		return nil
	}
	program, err := exec.LookPath(e.runner.Command[0])
	if err == nil {
		program, err = filepath.Abs(program)
	}
	if err != nil {
		return err
	}
	at := filepath.Join(e.root, "bin", "octoseal")
	if len(e.runner.Command) == 1 {
		return os.Symlink(program, at)
	}
	line := "exec " + shellQuoted(program)
	for _, arg := range e.runner.Command[1:] {
		line += " " + shellQuoted(arg)
	}
	return os.WriteFile(at, []byte("#!/bin/sh\n"+line+` "$@"`+"\n"), 0o700)
}

func shellQuoted(text string) string { return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'" }

// frame makes the contexts of the job's own steps, and the variables of workflow and job.
func (e *execution) frame(early scope) (*frame, error) {
	workspace := filepath.Join(e.root, "work", e.run.repo.name)
	if err := os.Mkdir(workspace, 0o700); err != nil {
		return nil, err
	}
	event := filepath.Join(e.root, "event.json")
	payload, err := prettyJSON(e.github["event"])
	if err == nil {
		err = os.WriteFile(event, []byte(payload), 0o600)
	}
	if err != nil {
		return nil, err
	}
	e.github["workspace"], e.github["event_path"] = workspace, event
	e.system["GITHUB_WORKSPACE"], e.system["GITHUB_EVENT_PATH"] = workspace, event
	s := early.with("secrets", e.secrets)
	e.env = make(map[string]string)
	for _, level := range []variables{e.run.flow.Env, e.job.Env} {
		made, err := expandAll(s, level)
		if err != nil {
			return nil, err
		}
		maps.Copy(e.env, made)
	}
	all := maps.Clone(s.contexts)
	all["job"] = map[string]any{"status": runSucceeded}
	all["runner"] = e.runnerContext()
	return &frame{contexts: all, steps: make(map[string]any)}, nil
}

func (e *execution) runnerContext() map[string]any {
	out := make(map[string]any)
	for _, name := range []string{"os", "arch", "name", "environment", "temp", "tool_cache"} {
		out[name] = e.system["RUNNER_"+strings.ToUpper(name)]
	}
	return out
}

func expandAll(s scope, all variables) (map[string]string, error) {
	out := make(map[string]string)
	for name, text := range all {
		value, err := s.expand(string(text))
		if err != nil {
			return nil, err
		}
		out[name] = value
	}
	return out, nil
}

// all does steps one after the other. Those behind a failed one are skipped, unless their if asks.
func (e *execution) all(f *frame, steps []step) {
	for i := range steps {
		s := &steps[i]
		outputs := make(map[string]string)
		outcome := e.one(f, s, outputs)
		e.log.flush()
		conclusion := outcome
		if outcome == runFailed && s.ContinueOnError == "true" {
			conclusion = runSucceeded
		}
		f.failed = f.failed || conclusion == runFailed
		if s.ID != "" {
			f.steps[s.ID] = map[string]any{"outcome": outcome, "conclusion": conclusion, "outputs": outputs}
		}
	}
}

// one does a step and returns its outcome.
func (e *execution) one(f *frame, s *step, outputs map[string]string) string {
	env := maps.Clone(e.env)
	maps.Copy(env, f.env)
	here := scope{contexts: f.contexts, failed: f.failed, canceled: e.ctx.Err() != nil}.with("steps", f.steps).with("env", env)
	failed := func(err error) string {
		e.log.say("##[error]%v", err)
		return runFailed
	}
	holds, err := here.holds(string(s.If))
	switch {
	case err != nil:
		return failed(badTemplate(err))
	case !holds:
		return runSkipped
	case s.ID == "install":
		e.log.say("This runner has octoseal already: the step that installs it is left out.")
		return runSucceeded
	}
	own, err := expandAll(here, s.Env)
	if err != nil {
		return failed(badTemplate(err))
	}
	maps.Copy(env, own)
	here = here.with("env", env)
	ctx := e.ctx
	if minutes, err := strconv.ParseFloat(string(s.Timeout), 64); err == nil {
		var end context.CancelFunc
		ctx, end = context.WithTimeout(e.ctx, time.Duration(minutes*float64(time.Minute)))
		defer end()
	}
	if s.Uses != "" {
		err = e.use(f, s, here, env)
	} else {
		err = e.script(ctx, f, s, here, env, outputs)
	}
	if err != nil {
		return failed(err)
	}
	return runSucceeded
}

var (
	wholeCommit = regexp.MustCompile(`^[0-9a-f]{40}$`)
	ourAction   = regexp.MustCompile(`^([A-Za-z0-9-]+/octoseal)@([^/@]+)$`)
)

var errStepsFailed = errors.New("a step of the action failed")

// A complaint is an error in the runner's own words, which begin like sentences.
type complaint string

func (c complaint) Error() string { return string(c) }

func complain(format string, args ...any) error { return complaint(fmt.Sprintf(format, args...)) }

func badTemplate(err error) error { return complain("The template is not valid. %v", err) }

// use does a step that uses an action. There is one that this runner knows.
func (e *execution) use(f *frame, s *step, here scope, env map[string]string) error {
	e.log.say("##[group]Run %s", s.Uses)
	e.log.say("##[endgroup]")
	parts := ourAction.FindStringSubmatch(s.Uses)
	switch {
	case parts == nil || e.runner.Action == "":
		return complain("Unable to resolve action `%s`, repository not found", s.Uses)
	case !wholeCommit.MatchString(parts[2]) && !e.runner.AnyRef:
		return complain("Unable to resolve action `%s`, unable to find version `%s`", s.Uses, parts[2])
	}
	known, err := parseAction(e.runner.Action)
	if err != nil {
		return err
	}
	inner, err := e.enterAction(f, known, s, here)
	if err != nil {
		return err
	}
	folder := filepath.Join(e.root, "actions", strings.ReplaceAll(parts[1], "/", "_"), parts[2])
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(folder, "action.yml"), []byte(e.runner.Action), 0o600); err != nil {
		return err
	}
	github := maps.Clone(e.github)
	github["action_path"], github["action_repository"], github["action_ref"] = folder, parts[1], parts[2]
	inner.contexts["github"] = github
	inner.env = env
	inner.system = map[string]string{
		"GITHUB_ACTION_PATH": folder, "GITHUB_ACTION_REPOSITORY": parts[1], "GITHUB_ACTION_REF": parts[2],
	}
	e.all(inner, known.Runs.Steps)
	if inner.failed {
		return errStepsFailed
	}
	return nil
}

// enterAction makes the frame of an action's steps. They see inputs, and no secrets.
func (e *execution) enterAction(f *frame, known *action, s *step, here scope) (*frame, error) {
	inner := &frame{contexts: maps.Clone(f.contexts), steps: make(map[string]any)}
	delete(inner.contexts, "secrets")
	delete(inner.contexts, "vars")
	given, err := expandAll(here, s.With)
	if err != nil {
		return nil, err
	}
	inputs := make(map[string]any)
	for name, declared := range known.Inputs {
		inputs[strings.ToLower(name)] = ""
		if declared == nil {
			continue
		}
		text, err := scope{contexts: map[string]any{"github": e.github}}.expand(string(declared.Default))
		if err != nil {
			return nil, err
		}
		inputs[strings.ToLower(name)] = text
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if _, declared := inputs[strings.ToLower(name)]; !declared {
			e.log.say("##[warning]Unexpected input(s) '%s'", name)
			continue
		}
		inputs[strings.ToLower(name)] = given[name]
	}
	inner.contexts["inputs"] = inputs
	return inner, nil
}

// The files through which a step talks to the runner, by the variable that names them.
var stepFiles = []string{"GITHUB_ENV", "GITHUB_OUTPUT", "GITHUB_PATH", "GITHUB_STATE", "GITHUB_STEP_SUMMARY"}

// script does a step that runs a script. GitHub prints the environment of the step into the log; the
// values in it are not the step's doing, so this runner does not.
func (e *execution) script(ctx context.Context, f *frame, s *step, here scope, env map[string]string, outputs map[string]string) error {
	text, err := here.expand(s.Run)
	if err != nil {
		return badTemplate(err)
	}
	title, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	e.log.say("##[group]Run %s", title)
	e.log.say("##[endgroup]")
	folder, err := os.MkdirTemp(e.system["RUNNER_TEMP"], "step-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	argv, err := shellFor(s.Shell, filepath.Join(folder, "script.sh"), text)
	if err != nil {
		return err
	}
	env = maps.Clone(env)
	maps.Copy(env, e.system)
	maps.Copy(env, f.system)
	env["PATH"] = strings.Join(append(slices.Clone(e.path), filepath.Join(e.root, "bin"), systemPath), ":")
	for _, name := range stepFiles {
		env[name] = filepath.Join(folder, strings.ToLower(name))
		if err := os.WriteFile(env[name], nil, 0o600); err != nil {
			return err
		}
	}
	work := filepath.Join(e.system["GITHUB_WORKSPACE"], s.Folder)
	code, err := program{argv: argv, env: assigned(env), folder: work, output: e.log, started: e.started}.run(ctx)
	e.log.flush()
	if err != nil {
		return err
	}
	if err := e.readFiles(env, outputs); err != nil {
		return err
	}
	if code != 0 {
		return complain("Process completed with exit code %d.", code)
	}
	return nil
}

func (e *execution) started(pid int) {
	if e.runner.OnJob == nil {
		return
	}
	e.mu.Lock()
	shown := e.run.show()
	e.mu.Unlock()
	e.runner.OnJob(pid, shown)
}

// shellFor writes the script down and returns the command line that GitHub uses for it.
func shellFor(shell, file, text string) ([]string, error) {
	bash, err := exec.LookPath("bash")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(file, []byte(text+"\n"), 0o600); err != nil {
		return nil, err
	}
	switch shell {
	case "":
		return []string{bash, "-e", file}, nil
	case "bash":
		return []string{bash, "--noprofile", "--norc", "-eo", "pipefail", file}, nil
	}
	return nil, fmt.Errorf("this runner knows the shell bash, not %q", shell)
}

// assigned is an environment as programs are given it.
func assigned(env map[string]string) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(env)) {
		out = append(out, name+"="+env[name])
	}
	return out
}

// readFiles takes in what a step told the runner.
func (e *execution) readFiles(env, outputs map[string]string) error {
	read := func(name string) string {
		text, err := os.ReadFile(env[name])
		if err != nil {
			return "" // the step removed it
		}
		return string(text)
	}
	for name, into := range map[string]map[string]string{"GITHUB_ENV": e.env, "GITHUB_OUTPUT": outputs} {
		if err := readAssignments(read(name), into); err != nil {
			return complain("Unable to process file command '%s' successfully. %v", name, err)
		}
	}
	for line := range strings.Lines(read("GITHUB_PATH")) {
		e.path = append([]string{strings.TrimSpace(line)}, e.path...)
	}
	summary := read("GITHUB_STEP_SUMMARY")
	if len(summary) > maxSummary {
		e.log.say("##[error]$GITHUB_STEP_SUMMARY upload aborted, supports content up to a size of 1024k, got %dk.", len(summary)>>10)
		return nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.run.summary = append(e.run.summary, summary...)
	return nil
}

// readAssignments reads NAME=VALUE, and NAME<<END up to a line END.
func readAssignments(text string, into map[string]string) error {
	lines := strings.Split(strings.ReplaceAll(text, "\r\n", "\n"), "\n")
	for i := 0; i < len(lines); i++ {
		line := lines[i]
		name, value, isLine := strings.Cut(line, "=")
		key, end, isBlock := strings.Cut(line, "<<")
		switch {
		case line == "":
		case isBlock && (!isLine || len(key) < len(name)):
			from := i + 1
			for i++; i < len(lines) && lines[i] != end; i++ {
			}
			if i == len(lines) {
				return complain("Invalid value. Matching delimiter not found '%s'", end)
			}
			into[key] = strings.Join(lines[from:i], "\n")
		case isLine && name != "":
			into[name] = value
		default:
			return complain("Invalid format '%s'", line)
		}
	}
	return nil
}
