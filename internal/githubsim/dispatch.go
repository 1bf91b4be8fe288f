package githubsim

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	dispatchEvent = "workflow_dispatch"
	maxInputs     = 25
)

func dispatchRoutes() []route {
	return []route{{
		method: "POST", path: "/{repo}/actions/workflows/{workflow_id}/dispatches", need: need{"actions", "write"},
		scope: "repo", role: RoleWrite, docs: "actions/workflows#create-a-workflow-dispatch-event", serve: dispatch,
	}}
}

// A dispatchWish is the body of a dispatch.
type dispatchWish struct {
	ref     string
	inputs  map[string]string
	details bool // answer with the run
}

// dispatch queues a run. It answers 204, or the run where that was asked for; the newer version of
// the API always answers with the run and no longer knows the wish.
func dispatch(c *call) answer {
	file := c.dispatched()
	if file == nil {
		return notFound()
	}
	wish, refusal := c.dispatchWish()
	if refusal != nil {
		return *refusal
	}
	flow, ref, refusal := c.dispatchable(file, wish)
	if refusal != nil {
		return *refusal
	}
	made := c.queue(&run{
		repo: c.repo, file: file, flow: flow,
		WorkflowRun: WorkflowRun{Event: dispatchEvent, Ref: ref, Inputs: wish.inputs, Actor: c.who.login()},
	})
	if c.version == oldVersion && !wish.details {
		return answer{status: 204}
	}
	return ok(map[string]any{
		"workflow_run_id": made.ID,
		"run_url":         fmt.Sprintf("%s/repos/%s/actions/runs/%d", c.base, c.repo.FullName, made.ID),
		"html_url":        fmt.Sprintf("%s/%s/actions/runs/%d", c.site(), c.repo.FullName, made.ID),
	})
}

// dispatched is the workflow that the path names, by number or by file name. A file that the
// default branch does not have is no workflow.
func (c *call) dispatched() *workflowFile {
	name := c.param("workflow_id")
	for _, file := range c.actions.of(c.repo).files {
		if (path.Base(file.path) == name || strconv.FormatInt(file.id, 10) == name) && file.onDefaultBranch(c.repo) {
			return file
		}
	}
	return nil
}

// dispatchWish reads the body.
func (c *call) dispatchWish() (dispatchWish, *answer) {
	refused := func(a answer) (dispatchWish, *answer) { return dispatchWish{}, &a }
	fields, refusal := c.object()
	if refusal != nil {
		return dispatchWish{}, refusal
	}
	known := []string{"ref", "inputs"}
	// Enterprise Server and the newer version refuse the key that the older version has.
	if c.version == oldVersion && !c.enterprise() {
		known = append(known, "return_run_details")
	}
	for _, key := range slices.Sorted(maps.Keys(fields)) {
		if !slices.Contains(known, key) {
			return refused(invalid("%q is not a permitted key.", key))
		}
	}
	wish := dispatchWish{inputs: make(map[string]string)}
	var isText, isFlag bool
	if wish.ref, isText = fields["ref"].(string); !isText {
		return refused(invalid(`"ref" wasn't supplied.`))
	}
	if given := fields["return_run_details"]; given != nil {
		if wish.details, isFlag = given.(bool); !isFlag {
			return refused(invalid("For 'properties/return_run_details', %s is not a boolean.", asJSON(given)))
		}
	}
	inputs, isObject := fields["inputs"].(map[string]any)
	switch {
	case fields["inputs"] != nil && !isObject:
		return refused(invalid("For 'properties/inputs', %s is not an object.", asJSON(fields["inputs"])))
	case len(inputs) > maxInputs:
		return refused(invalid("No more than %d properties are allowed; %d were supplied.", maxInputs, len(inputs)))
	}
	for name, value := range inputs {
		wish.inputs[name] = inputText(value)
	}
	return wish, nil
}

// inputText is an input as events carry it: they know texts alone.
func inputText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case json.Number:
		return v.String()
	}
	return asJSON(v)
}

// dispatchable checks that the workflow can be dispatched on that ref with those inputs, and fills
// in the defaults of the others.
func (c *call) dispatchable(file *workflowFile, wish dispatchWish) (*workflow, string, *answer) {
	refused := func(format string, args ...any) (*workflow, string, *answer) {
		a := refuse(422, fmt.Sprintf(format, args...))
		return nil, "", &a
	}
	ref, known := c.ref(c.repo, wish.ref)
	switch {
	case c.actions.of(c.repo).disabled:
		// Inferred: seen for users whose Actions GitHub has turned off, as 422 with these words.
		return refused("Actions has been disabled for this repository.")
	case file.disabled:
		return refused("Cannot trigger a 'workflow_dispatch' on a disabled workflow")
	case !known:
		return refused("No ref found for: %s", wish.ref)
	}
	text, there := file.text[ref]
	if !there {
		return refused("Workflow does not have 'workflow_dispatch' trigger")
	}
	flow, err := parseWorkflow(text)
	if err != nil {
		return refused("failed to parse workflow: %v", err)
	}
	trigger, declared := flow.On[dispatchEvent]
	if !declared {
		return refused("Workflow does not have 'workflow_dispatch' trigger")
	}
	if complaint := trigger.take(wish.inputs); complaint != "" {
		return refused("%s", complaint)
	}
	return flow, ref, nil
}

// take checks inputs against those declared and adds defaults. It returns what GitHub complains of.
func (t trigger) take(inputs map[string]string) string {
	var unexpected []string
	for _, name := range slices.Sorted(maps.Keys(inputs)) {
		if _, declared := t.Inputs[name]; !declared {
			unexpected = append(unexpected, strconv.Quote(name))
		}
	}
	if len(unexpected) > 0 {
		return "Unexpected inputs provided: [" + strings.Join(unexpected, ", ") + "]"
	}
	for _, name := range slices.Sorted(maps.Keys(t.Inputs)) {
		declared := t.Inputs[name]
		if declared == nil {
			declared = &input{}
		}
		given, isGiven := inputs[name]
		switch {
		case !isGiven && declared.Required && declared.Default == "":
			return "Required input '" + name + "' not provided"
		case !isGiven:
			inputs[name] = string(declared.Default)
		case declared.Type == "choice" && !slices.Contains(declared.Options, scalar(given)):
			return fmt.Sprintf("Provided value '%s' for input '%s' not in the list of allowed values", given, name)
		}
	}
	return ""
}

// login is who a credential acts as in events. An App acts as its robot.
func (c *credential) login() string {
	switch {
	case c.user != nil:
		return c.user.login
	case c.app != nil:
		return c.app.Slug + "[bot]"
	}
	return "github-actions[bot]"
}
