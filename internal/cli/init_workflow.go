package cli

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
)

// workflowPath is the one file whose jobs a server takes claims from.
const workflowPath = github.RelayWorkflow

// writtenBy begins a file of ours.
const writtenBy = "# Written by octoseal init."

// ourAction is the repository whose action.yml carries the values.
const ourAction = "octoseal/octoseal"

//go:embed workflow.tmpl
var workflowText string

var workflowTemplate = template.Must(template.New("workflow").Delims("[[", "]]").Parse(workflowText))

// A workflow is what init writes down.
type workflow struct {
	Server   string
	Action   string // OWNER/REPO@COMMIT, and a comment behind it
	RunsOn   string
	Schedule string
	Pins     relay.Pins
	Steps    []workflowStep
}

// A workflowStep has all secrets, or those that it names.
type workflowStep struct {
	Part  string
	Names []secret.Name
}

// text spells the workflow out.
func (w workflow) text() string {
	var b strings.Builder
	if err := workflowTemplate.Execute(&b, w); err != nil {
		panic(err) // the template is fixed, and so is what it is given
	}
	return b.String()
}

// inSteps divides names among steps, as evenly as it goes.
func inSteps(names []secret.Name, steps int) []workflowStep {
	if steps < 2 {
		return []workflowStep{{Names: names}}
	}
	out := make([]workflowStep, steps)
	for i, from := range out {
		from.Part = fmt.Sprintf("%d/%d", i+1, steps)
		from.Names = names[i*len(names)/steps : (i+1)*len(names)/steps]
		out[i] = from
	}
	return out
}

// What may stand in the file as it was given: nothing that YAML or an expression could take for more.
var (
	urlForm    = regexp.MustCompile(`^https?://[A-Za-z0-9._~:/%@!&()*+,;=\[\]-]+$`)
	cronForm   = regexp.MustCompile(`^[0-9A-Za-z*/,-]+( [0-9A-Za-z*/,-]+){4}$`)
	labelForm  = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)
	commitForm = regexp.MustCompile(`^[0-9a-f]{40}$`)
	actionForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9-]*/[A-Za-z0-9._-]+@[0-9a-f]{40}$`)
)

// action spells what a step uses, from --action-ref or from what this program was built of.
func actionOf(ref string) (string, error) {
	switch {
	case actionForm.MatchString(ref):
		return ref, nil
	case commitForm.MatchString(ref):
		return ourAction + "@" + ref, nil
	case ref != "":
		return "", fault.Invalid("--action-ref is %q: it has to be a commit of 40 hex digits, or OWNER/REPO@COMMIT", ref).
			Hinting("A tag or a branch can be moved to another program. git ls-remote https://github.com/%s tells commits.", ourAction)
	case commit() == "":
		return "", fault.Invalid("this program does not know the commit that it was built from, and the workflow names the action by one").
			Hinting("Give it: --action-ref COMMIT. git ls-remote https://github.com/%s tells the commit of each release.", ourAction)
	}
	action := ourAction + "@" + commit()
	if v := version(); v != "dev" {
		action += " # " + v
	}
	return action, nil
}

// runsOn spells the runner's labels.
func runsOn(labels []string) (string, error) {
	for _, l := range labels {
		if !labelForm.MatchString(l) {
			return "", fault.Invalid("--runs-on names %q, which is no label of a runner", l)
		}
	}
	if len(labels) == 1 {
		return labels[0], nil
	}
	return "[" + strings.Join(labels, ", ") + "]", nil
}

// pinHeading begins a block of pins, one a line.
var pinHeading = regexp.MustCompile(`^([ \t]*)pins:[ \t]*\|[ \t\r\n]*$`)

// repinned returns text with its pins replaced, and what they were. All else stays as it is, so that a
// file that somebody changed can have its pins renewed too.
func repinned(text string, pins relay.Pins) (renewed string, before relay.Pins, err error) {
	var out, old strings.Builder
	indent, inside := "", false
	for line := range strings.Lines(text) {
		if inside && (strings.HasPrefix(line, indent+" ") || strings.TrimSpace(line) == "") {
			old.WriteString(line)
			continue
		}
		out.WriteString(line)
		heading := pinHeading.FindStringSubmatch(line)
		if inside = heading != nil; inside {
			indent = heading[1]
			for _, p := range pins {
				out.WriteString(indent + "  " + p.String() + line[len(strings.TrimRight(line, "\r\n")):])
			}
		}
	}
	before, err = relay.ParsePins(old.String())
	if err == nil && len(before) == 0 {
		err = fault.Invalid("%s pins no key under pins: |", workflowPath).Hinting("Have it written anew: octoseal init --force")
	}
	return out.String(), unique(before), err
}

func unique(pins relay.Pins) relay.Pins {
	var out relay.Pins
	for _, p := range pins {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}
