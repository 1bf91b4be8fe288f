package githubsim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// A workflow is a workflow file, as far as this runner can carry it out. The keys of type any are
// known to GitHub and not to this runner.
type workflow struct {
	Name        string          `yaml:"name"`
	RunName     string          `yaml:"run-name"`
	On          triggers        `yaml:"on"`
	Permissions *grants         `yaml:"permissions"`
	Env         variables       `yaml:"env"`
	Concurrency *concurrency    `yaml:"concurrency"`
	Defaults    any             `yaml:"defaults"`
	Jobs        map[string]*job `yaml:"jobs"`
}

// A job is the one job of a workflow.
type job struct {
	Name        scalar       `yaml:"name"`
	RunsOn      any          `yaml:"runs-on"`
	If          scalar       `yaml:"if"`
	Permissions *grants      `yaml:"permissions"`
	Environment place        `yaml:"environment"`
	Env         variables    `yaml:"env"`
	Concurrency *concurrency `yaml:"concurrency"`
	Timeout     scalar       `yaml:"timeout-minutes"`
	Steps       []step       `yaml:"steps"`

	Needs           any `yaml:"needs"`
	Strategy        any `yaml:"strategy"`
	Container       any `yaml:"container"`
	Services        any `yaml:"services"`
	Outputs         any `yaml:"outputs"`
	Defaults        any `yaml:"defaults"`
	Uses            any `yaml:"uses"`
	With            any `yaml:"with"`
	Secrets         any `yaml:"secrets"`
	ContinueOnError any `yaml:"continue-on-error"`
}

// A step of a job or of a composite action.
type step struct {
	ID      string    `yaml:"id"`
	Name    scalar    `yaml:"name"`
	If      scalar    `yaml:"if"`
	Uses    string    `yaml:"uses"`
	With    variables `yaml:"with"`
	Env     variables `yaml:"env"`
	Run     string    `yaml:"run"`
	Shell   string    `yaml:"shell"`
	Folder  string    `yaml:"working-directory"`
	Timeout scalar    `yaml:"timeout-minutes"`

	ContinueOnError scalar `yaml:"continue-on-error"`
}

// A scalar is a YAML scalar by its text.
type scalar string

func (s *scalar) UnmarshalYAML(decode func(any) error) error {
	var v any
	if err := decode(&v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*s = ""
	case string:
		*s = scalar(v)
	case bool, int, int64, uint64, float64:
		*s = scalar(fmt.Sprint(v))
	default:
		return errors.New("a scalar was expected")
	}
	return nil
}

// variables are what env and with hold.
type variables map[string]scalar

// triggers are the events of on, by name.
type triggers map[string]trigger

// A trigger says what an event brings along. Filters are not looked at: StartRun decides.
type trigger struct {
	Inputs map[string]*input `yaml:"inputs"`
}

// An input of workflow_dispatch.
type input struct {
	Description string   `yaml:"description"`
	Required    bool     `yaml:"required"`
	Default     scalar   `yaml:"default"`
	Type        string   `yaml:"type"`
	Options     []scalar `yaml:"options"`
	Deprecation string   `yaml:"deprecationMessage"`
}

func (t *triggers) UnmarshalYAML(decode func(any) error) error {
	*t = make(triggers)
	var v any
	if err := decode(&v); err != nil {
		return err
	}
	switch v := v.(type) {
	case string:
		(*t)[v] = trigger{}
	case []any:
		for _, name := range v {
			(*t)[fmt.Sprint(name)] = trigger{}
		}
	case map[string]any:
		for name := range v {
			(*t)[name] = trigger{}
		}
		declared, err := readTrigger(v[dispatchEvent])
		if _, listens := v[dispatchEvent]; listens {
			(*t)[dispatchEvent] = declared
		}
		return err
	}
	return nil
}

// readTrigger reads again, strictly, what was read loosely.
func readTrigger(v any) (t trigger, err error) {
	if v == nil {
		return t, nil
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return t, err
	}
	return t, yaml.UnmarshalWithOptions(text, &t, yaml.Strict())
}

// grants are the permissions of a job's token, by name as workflows write it.
type grants map[string]string

// grantable are the permissions that a workflow can name. Secrets, environments, administration
// and variables are not among them.
var grantable = []string{
	"actions", "artifact-metadata", "attestations", "checks", "contents", "deployments", "discussions", "id-token",
	"issues", "models", "packages", "pages", "pull-requests", "repository-projects", "security-events", "statuses",
}

func (p *grants) UnmarshalYAML(decode func(any) error) error {
	*p = make(grants)
	var v any
	if err := decode(&v); err != nil {
		return err
	}
	switch v {
	case "read-all", "write-all":
		for _, name := range grantable {
			(*p)[name] = strings.TrimSuffix(fmt.Sprint(v), "-all")
		}
		if v == "read-all" {
			delete(*p, "id-token") // it cannot be read, only asked for
		}
		return nil
	}
	var named map[string]string
	if err := decode(&named); err != nil {
		return err
	}
	for name, level := range named {
		if !slices.Contains(grantable, name) || !slices.Contains([]string{"read", "write", "none"}, level) || name == "id-token" && level == "read" {
			return fmt.Errorf("unexpected permission %s: %s", name, level)
		}
		(*p)[name] = level
	}
	return nil
}

// A concurrency group has one run in progress and one pending.
type concurrency struct {
	Group  scalar `yaml:"group"`
	Cancel scalar `yaml:"cancel-in-progress"`
}

func (c *concurrency) UnmarshalYAML(decode func(any) error) error {
	if decode(&c.Group) == nil {
		return nil
	}
	type plain concurrency
	return decode((*plain)(c))
}

// A place is the environment that a job names.
type place struct {
	Name scalar `yaml:"name"`
	URL  scalar `yaml:"url"`
}

func (p *place) UnmarshalYAML(decode func(any) error) error {
	if decode(&p.Name) == nil {
		return nil
	}
	type plain place
	return decode((*plain)(p))
}

// parseWorkflow reads a workflow file as strictly as GitHub does: keys that nobody knows are errors.
func parseWorkflow(text string) (*workflow, error) {
	w := &workflow{}
	if err := yaml.UnmarshalWithOptions([]byte(text), w, yaml.Strict()); err != nil {
		return nil, err
	}
	switch {
	case len(w.On) == 0:
		return nil, errors.New("no event triggers are defined in `on`")
	case len(w.Jobs) == 0:
		return nil, errors.New("required property is missing: jobs")
	}
	for name, j := range w.Jobs {
		if j == nil || j.RunsOn == nil && j.Uses == nil {
			return nil, fmt.Errorf("job %s: required property is missing: runs-on", name)
		}
		if err := checkSteps(j.Steps); err != nil {
			return nil, fmt.Errorf("job %s: %w", name, err)
		}
	}
	return w, nil
}

func checkSteps(steps []step) error {
	if len(steps) == 0 {
		return errors.New("required property is missing: steps")
	}
	for i, s := range steps {
		if (s.Uses == "") == (s.Run == "") {
			return fmt.Errorf("step %d: there must be either `uses` or `run`", i+1)
		}
	}
	return nil
}

// only returns the workflow's one job, which is all that this runner can do.
func (w *workflow) only() (string, *job, error) {
	if len(w.Jobs) != 1 {
		return "", nil, fmt.Errorf("this runner does one job a workflow, not %d", len(w.Jobs))
	}
	if w.Defaults != nil {
		return "", nil, errors.New("this runner knows no defaults")
	}
	var id string
	for id = range w.Jobs {
	}
	j := w.Jobs[id]
	for key, value := range map[string]any{
		"needs": j.Needs, "strategy": j.Strategy, "container": j.Container, "services": j.Services, "outputs": j.Outputs,
		"defaults": j.Defaults, "uses": j.Uses, "with": j.With, "secrets": j.Secrets, "continue-on-error": j.ContinueOnError,
	} {
		if value != nil {
			return "", nil, fmt.Errorf("this runner knows no jobs with %s", key)
		}
	}
	return id, j, nil
}

// granted are the permissions of the job's token. What a workflow does not say is the repository's
// default, which is to read contents and packages; a job's own permissions replace the workflow's.
func (w *workflow) granted(j *job) grants {
	switch {
	case j.Permissions != nil:
		return *j.Permissions
	case w.Permissions != nil:
		return *w.Permissions
	}
	return grants{"contents": "read", "packages": "read"}
}

// title is the name that GitHub shows.
func (w *workflow) title(path string) string {
	if w.Name != "" {
		return w.Name
	}
	return path
}

// An action is an action.yml.
type action struct {
	Name        string                  `yaml:"name"`
	Description string                  `yaml:"description"`
	Author      string                  `yaml:"author"`
	Branding    any                     `yaml:"branding"`
	Inputs      map[string]*actionInput `yaml:"inputs"`
	Outputs     map[string]any          `yaml:"outputs"`
	Runs        struct {
		Using string `yaml:"using"`
		Steps []step `yaml:"steps"`
	} `yaml:"runs"`
}

type actionInput struct {
	Description string `yaml:"description"`
	Required    bool   `yaml:"required"`
	Default     scalar `yaml:"default"`
	Deprecation string `yaml:"deprecationMessage"`
}

func parseAction(text string) (*action, error) {
	a := &action{}
	if err := yaml.UnmarshalWithOptions([]byte(text), a, yaml.Strict()); err != nil {
		return nil, err
	}
	if a.Runs.Using != "composite" {
		return nil, fmt.Errorf("this runner knows composite actions, not those that use %q", a.Runs.Using)
	}
	for i, s := range a.Runs.Steps {
		if s.Run != "" && s.Shell == "" {
			return nil, fmt.Errorf("step %d: required property is missing: shell", i+1)
		}
	}
	return a, checkSteps(a.Runs.Steps)
}
