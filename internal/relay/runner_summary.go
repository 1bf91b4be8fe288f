package relay

import (
	"fmt"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
)

// mostRows bounds the table of a summary; GitHub takes 1 MiB for each step.
const mostRows = 500

// Summary is the Markdown that a job shows on its page: how the run went, secret by secret, or why it
// did not come to that. The texts in it are a server's, so all that Markdown or HTML could take for
// more than words is escaped.
func Summary(r Report, why error) string {
	var b strings.Builder
	b.WriteString("## Octoseal\n\n")
	if f := r.Fault(); why == nil && f != nil {
		why = f
	}
	if why != nil {
		f := fault.Of(why)
		fmt.Fprintf(&b, "**%s**: %s\n\n", escaped(string(f.Code)), escaped(f.Message))
		if f.Hint != "" {
			fmt.Fprintf(&b, "%s\n\n", escaped(f.Hint))
		}
	}
	if why == nil || len(r.Outcomes) > 0 {
		fmt.Fprintf(&b, "%s\n\n", r.Line())
	}
	r.table(&b)
	return b.String()
}

// table shows what needs attention first, then what was done. What needed nothing is counted.
func (r Report) table(b *strings.Builder) {
	rows := slices.Clone(r.Outcomes)
	rows = slices.DeleteFunc(rows, func(o Outcome) bool { return o.OK && !o.isChange() })
	slices.SortStableFunc(rows, func(x, y Outcome) int { return rank(x) - rank(y) })
	if len(rows) > 0 {
		b.WriteString("| Secret | Scope | Outcome |\n| --- | --- | --- |\n")
	}
	for _, o := range rows[:min(len(rows), mostRows)] {
		fmt.Fprintf(b, "| %s | %s | %s |\n", escaped(o.SecretName), escaped(o.Scope), escaped(o.Words()))
	}
	if more := len(rows) - mostRows; more > 0 {
		fmt.Fprintf(b, "\nand %d more\n", more)
	}
}

func rank(o Outcome) int {
	if o.OK {
		return 1
	}
	return 0
}

// Line sums the report up, as the last line of octoseal sync does.
func (r Report) Line() string {
	conflicts, errors := map[string]bool{}, map[string]bool{}
	for _, o := range r.Outcomes {
		switch {
		case o.OK:
		case o.Code == fault.ConflictDetected:
			conflicts[o.SecretName] = true
		default:
			errors[o.SecretName] = true
		}
	}
	for name := range errors {
		delete(conflicts, name)
	}
	return fmt.Sprintf("synced %d, skipped %d, conflicts %d, errors %d", r.Synced, r.Skipped, len(conflicts), len(errors))
}

// Attention says whether some secret was not brought in step.
func (r Report) Attention() bool {
	return slices.ContainsFunc(r.Outcomes, func(o Outcome) bool { return !o.OK })
}

// Fault is why the run as a whole failed; nil when it did not.
func (r Report) Fault() *fault.Fault {
	if r.Failure == nil {
		return nil
	}
	return fault.New(r.Failure.Code, nil).Saying("%s", r.Failure.Message).Hinting("%s", r.Failure.Hint)
}

// done are the verbs of a plan as what became of them.
var done = map[string]string{
	"create": "created", "update": "updated", "delete": "deleted", "forget": "forgotten", "skip": "in step", "leave": "left alone",
	"conflict": "conflict", "error": "error",
}

func (o Outcome) isChange() bool {
	return o.Verb == "create" || o.Verb == "update" || o.Verb == "delete" || o.Verb == "forget"
}

// Words say what became of one secret in one scope.
func (o Outcome) Words() string {
	word, known := done[o.Verb]
	if !known {
		word = o.Verb
	}
	if o.OK {
		return word
	}
	if o.isChange() {
		word = "not " + word
	}
	for _, more := range []string{o.Error, o.Hint} {
		if more != "" {
			word += ": " + more
		}
	}
	return word
}

// unlinked takes apart what Markdown makes a link of without being asked.
var unlinked = strings.NewReplacer("://", ": //", "www.", "www .")

// escaped makes words of a text, whatever it holds: no markup, no link, no cell of its own.
func escaped(text string) string {
	var b strings.Builder
	for _, r := range unlinked.Replace(tame(text)) {
		if strings.ContainsRune("<>&\\`*[]#|~@$", r) {
			fmt.Fprintf(&b, "&#%d;", r)
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}
