package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
)

// A writtenWorkflow is a workflow file, as far as it matters here.
type writtenWorkflow struct {
	On          any                   `yaml:"on"`
	Permissions any                   `yaml:"permissions"`
	Jobs        map[string]writtenJob `yaml:"jobs"`
}

type writtenJob struct {
	Permissions any           `yaml:"permissions"`
	Environment any           `yaml:"environment"`
	Container   any           `yaml:"container"`
	Services    any           `yaml:"services"`
	Uses        string        `yaml:"uses"`
	Steps       []writtenStep `yaml:"steps"`
}

type writtenStep struct {
	Uses string            `yaml:"uses"`
	Run  string            `yaml:"run"`
	With map[string]string `yaml:"with"`
	Env  map[string]string `yaml:"env"`
}

// An inspection looks at a workflow file for what no longer holds.
type inspection struct {
	*diagnosis
	app  *app
	file string
	flow writtenWorkflow
	job  writtenJob
}

// rewrite is what to do about most of it.
const rewrite = "Have it written anew: octoseal init --server URL, with --force where it was not written by init."

// checkWorkflow tells what is missing or out of date.
func (a *app) checkWorkflow(ctx context.Context, l lookout, b beginning) error {
	d := diagnosis{Healthy: true}
	name, err := a.workflowFile()
	if err != nil {
		return err
	}
	if err := a.inspect(ctx, &d, name, &l, b); err != nil {
		return err
	}
	return a.tellDiagnosis(d)
}

// examineWorkflow is doctor's look at the workflow of a checkout, if it has one and is of the
// repository that is meant.
func (a *app) examineWorkflow(ctx context.Context, d *diagnosis, i api, l lookout) error {
	name, err := a.workflowFile()
	if err != nil {
		return nil // no checkout is no finding
	}
	if _, err := os.Stat(name); err != nil {
		return nil // nor is one that has no use for the relay
	}
	here, err := a.checkout(ctx, i)
	if err != nil || !strings.EqualFold(here.String(), l.repo.FullName()) {
		return nil // it belongs to another repository, as far as can be told
	}
	return a.inspect(ctx, d, name, &l, beginning{})
}

// inspect adds what there is to say about the file. Without a lookout it is held against nothing
// outside of itself.
func (a *app) inspect(ctx context.Context, d *diagnosis, name string, l *lookout, b beginning) error {
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		d.add("workflow", attention, "Write it: octoseal init --server URL", "there is no %s", name)
		return nil
	case err != nil:
		return fault.Invalid("%s is not readable", name).Because(err)
	}
	i := &inspection{diagnosis: d, app: a, file: name}
	if err := yaml.Unmarshal(text, &i.flow); err != nil {
		d.add("workflow", attention, rewrite, "%s is no workflow: %s", name, firstLine(yaml.FormatError(err, false, false)))
		return nil
	}
	i.triggers()
	if i.theJob() {
		i.permissions()
		i.surroundings()
		i.actions()
		i.server()
		i.inputs()
	}
	if l == nil {
		return ctx.Err()
	}
	i.pins(ctx, *l, string(text), b)
	i.names(ctx, *l)
	i.branch(ctx, *l)
	return ctx.Err()
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return line
}

// triggers: the service starts the job with its input, and no event that others control does.
func (i *inspection) triggers() {
	on, _ := i.flow.On.(map[string]any)
	dispatch, listens := on["workflow_dispatch"].(map[string]any)
	inputs, _ := dispatch["inputs"].(map[string]any)
	if _, has := inputs["sync_id"]; !listens || !has {
		i.add("trigger", attention, rewrite, "workflow_dispatch with the input sync_id is missing, so the service cannot start the job")
		return
	}
	for event := range on {
		if !slices.Contains([]string{"workflow_dispatch", "schedule", "push"}, event) {
			i.add("trigger", attention, "Take it out: the service takes no claim of such a job.", "the event %s starts the job too", event)
			return
		}
	}
	i.add("trigger", fine, "", "workflow_dispatch with sync_id")
}

// theJob finds the one job there is.
func (i *inspection) theJob() bool {
	if len(i.flow.Jobs) != 1 {
		i.add("job", attention, "Have one job alone; others belong into files of their own.", "there are %d jobs", len(i.flow.Jobs))
		return false
	}
	for _, j := range i.flow.Jobs {
		i.job = j
	}
	return true
}

// permissions: to ask for an ID token, and nothing else.
func (i *inspection) permissions() {
	granted := i.job.Permissions
	if granted == nil {
		granted = i.flow.Permissions
	}
	list, _ := granted.(map[string]any)
	switch {
	case len(list) == 1 && list["id-token"] == "write":
		i.add("permissions", fine, "", "id-token: write alone")
	case list["id-token"] == "write":
		i.add("permissions", attention, "Leave permissions: {id-token: write} alone.", "the job may do more than ask for an ID token")
	default:
		i.add("permissions", attention, "Give the job permissions: {id-token: write}.", "the job may not ask for an ID token, or may do more")
	}
}

// surroundings: nothing stands in for the repository's secrets, and nothing runs beside the values.
func (i *inspection) surroundings() {
	for what, value := range map[string]any{"an environment": i.job.Environment, "a container": i.job.Container, "services": i.job.Services} {
		if value != nil {
			i.add("job", attention, "Take it out: an environment's secrets stand in for the repository's, and whatever runs in the job could read the values.",
				"the job has %s", what)
		}
	}
	strangers := 0
	for _, s := range i.job.Steps {
		if !s.isOurs() {
			strangers++
			what := s.Uses
			if s.Run != "" {
				what = "a script"
			}
			i.add("steps", attention, "Take the step out: it could read the values.", "a step runs %s", what)
		}
	}
	if i.job.Uses != "" || len(i.job.Steps) == 0 {
		i.add("steps", attention, rewrite, "the job has no step that runs octoseal")
	} else if strangers == 0 {
		i.add("steps", fine, "", "%s, and no checkout", counted(len(i.job.Steps), "step"))
	}
}

// ours are the steps that use the action.
func (i *inspection) ours() []writtenStep {
	return slices.DeleteFunc(slices.Clone(i.job.Steps), func(s writtenStep) bool { return !s.isOurs() })
}

// isOurs says whether a step uses the action, or a copy of it, which may have any name: then it is told
// by what it is given.
func (s writtenStep) isOurs() bool {
	return s.Run == "" && (strings.HasPrefix(s.Uses, ourAction+"@") || s.With["pins"] != "")
}

// actions: named by commit, and the commit of this program where that is known.
func (i *inspection) actions() {
	var seen []string
	for _, s := range i.ours() {
		if slices.Contains(seen, s.Uses) {
			continue
		}
		seen = append(seen, s.Uses)
		_, ref, _ := strings.Cut(s.Uses, "@")
		switch {
		case !commitForm.MatchString(ref):
			i.add("action", attention, "Name a commit: octoseal init, with --action-ref COMMIT.", "%s can be moved to another program", s.Uses)
		case !strings.HasPrefix(s.Uses, ourAction+"@"):
			i.add("action", advice, "Review it at that commit: whatever it runs can read the values.", "%s is not %s, but a copy at best", s.Uses, ourAction)
		case commit() != "" && ref != commit():
			i.add("action", advice, "Take this program's: octoseal init.", "%s is not what this program was built from, %s", s.Uses, commit())
		default:
			i.add("action", fine, "", "%s", s.Uses)
		}
	}
}

func (i *inspection) server() {
	wanted := i.app.serverText()
	var seen []string
	for _, s := range i.ours() {
		given := s.With["server"]
		if slices.Contains(seen, given) {
			continue
		}
		seen = append(seen, given)
		switch {
		case !strings.HasPrefix(given, "https://") && !isLoopback(given):
			i.add("server", attention, rewrite, "%q is no https URL", given)
		case wanted != "" && given != wanted:
			i.add("server", attention, rewrite, "the workflow names %s, and --server is %s", given, wanted)
		case len(seen) > 1:
			i.add("server", attention, rewrite, "the steps name different ones, %s", strings.Join(seen, " and "))
		default:
			i.add("server", fine, "", "%s", given)
		}
	}
}

// inputs: the sync id comes through a variable, and no expression is part of a command.
func (i *inspection) inputs() {
	for _, s := range i.ours() {
		if strings.Join(strings.Fields(s.Env["OCTOSEAL_SYNC_ID"]), "") != "${{inputs.sync_id}}" {
			i.add("sync id", attention, "Under env: OCTOSEAL_SYNC_ID: ${{ inputs.sync_id }}", "the step does not get the id of the run that asks")
			return
		}
		for key, value := range s.With {
			if strings.Contains(value, "${{") {
				i.add("inputs", attention, "Have it stand in the file, where a review sees it.", "%s of the action is not fixed", key)
				return
			}
		}
	}
}

// pins: GitHub's keys, as they are now.
func (i *inspection) pins(ctx context.Context, l lookout, text string, b beginning) {
	_, pinned, err := repinned(text, nil)
	if err != nil {
		i.fault("pins", err)
		return
	}
	scopes, _, err := b.targets()
	if err != nil {
		i.fault("pins", err)
		return
	}
	for _, s := range scopesOf(pinned) {
		if !slices.Contains(scopes, s) {
			scopes = append(scopes, s)
		}
	}
	for _, scope := range scopes {
		i.pinOf(ctx, l, scope, pinned)
	}
}

func (i *inspection) pinOf(ctx context.Context, l lookout, scope secret.Scope, pinned relay.Pins) {
	check := "pin of " + scope.String()
	key, err := l.client.PublicKey(ctx, l.repo, scope)
	isPinned, strange := false, ""
	for _, p := range pinned {
		isPinned = isPinned || p.Scope == scope
		if p.Scope == scope && p != relay.PinOf(key) {
			strange = p.KeyID
		}
	}
	switch {
	case errors.Is(err, github.ErrStoreMissing) && !isPinned:
	case err != nil:
		i.fault(check, err)
	case slices.Contains(pinned, relay.PinOf(key)) && strange != "":
		i.add(check, attention, "Who put it there? octoseal init --pin takes it out; review, commit.", "%s is pinned beside GitHub's key %s, and values are sealed for it too", strange, key.ID())
	case slices.Contains(pinned, relay.PinOf(key)):
		i.add(check, fine, "", "is GitHub's key %s", key.ID())
	case isPinned:
		i.add(check, attention, "octoseal init --pin, review, commit.", "is not GitHub's key any more, which is %s", key.ID())
	default:
		i.add(check, attention, fmt.Sprintf("octoseal init --pin --scopes %s,%s, review, commit.", spelledScopes(pinned), scope), "is missing, so nothing is sealed for %s", scope)
	}
}

// names: with a variable for each secret, whether all are there.
func (i *inspection) names(ctx context.Context, l lookout) {
	names, odd, err := l.carried(ctx)
	if err != nil {
		i.fault("names", err)
		return
	}
	if len(odd) > 0 {
		i.add("names", advice, "Rename them, or live without copies.", "not carried, being no names of ours: %s", strings.Join(odd, ", "))
	}
	listed := map[string]bool{}
	for _, s := range i.ours() {
		if strings.HasPrefix(s.With["values"], "json-env:") || s.With["values"] == "" {
			return
		}
		for variable := range s.Env {
			if name, ok := strings.CutPrefix(variable, carriedPrefix); ok {
				listed[name] = true
			}
		}
	}
	var missing []string
	for _, n := range names {
		if !listed[n.String()] {
			missing = append(missing, n.String())
		}
	}
	if len(missing) > 0 {
		i.add("names", attention, "Have them listed: octoseal init --names, or --split N.", "not carried, being newer than the file: %s", strings.Join(missing, ", "))
		return
	}
	i.add("names", fine, "", "all %d are carried", len(names))
}

// branch: on the default branch, as far as this checkout knows of the remote's.
func (i *inspection) branch(ctx context.Context, l lookout) {
	here := i.app.git(ctx, "hash-object", "--", i.file)
	if here == "" {
		return
	}
	for name, url := range i.app.remotes(ctx).urls {
		ref, _, err := github.ParseRemote(url)
		if err != nil || !strings.EqualFold(ref.String(), l.repo.FullName()) {
			continue
		}
		branch := "refs/remotes/" + name + "/" + l.repo.DefaultBranch
		if i.app.git(ctx, "rev-parse", "--verify", "--quiet", branch) == "" {
			continue // never fetched
		}
		if i.app.git(ctx, "rev-parse", "--verify", "--quiet", branch+":"+workflowPath) != here {
			i.add("branch", attention, "Commit it and push it. If that was done elsewhere: git fetch "+name, "%s on %s/%s is another, or missing", workflowPath, name, l.repo.DefaultBranch)
			return
		}
		i.add("branch", fine, "", "the same on %s/%s, as of the last fetch", name, l.repo.DefaultBranch)
		return
	}
}

// git asks git; whatever goes wrong is no answer.
func (a *app) git(ctx context.Context, args ...string) string {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	git := exec.CommandContext(ctx, "git", args...)
	git.Env = a.Environ
	git.WaitDelay = 100 * time.Millisecond
	out, err := git.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
