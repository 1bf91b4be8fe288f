package source

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Problem is an entry that can be read and yet is no secret. Name is empty when it does not look
// like one: in a broken file it may be a piece of a value.
type Problem struct {
	Line int        `json:"line,omitempty"`
	Name string     `json:"name,omitempty"`
	Code fault.Code `json:"code"`
	Why  string     `json:"why"`
	Fix  string     `json:"fix"`
}

// String is the problem as a line for people: where, which, why and what to do.
func (p Problem) String() string {
	name := p.Name
	if name == "" {
		name = "the name"
	}
	if p.Line == 0 {
		return fmt.Sprintf("%s %s (%s)", name, p.Why, p.Fix)
	}
	return fmt.Sprintf("line %d: %s %s (%s)", p.Line, name, p.Why, p.Fix)
}

// A Verdict is what Check found. Every entry is in it once, as a value, as excluded or as a problem.
type Verdict struct {
	Values   map[secret.Name]secret.Plaintext
	Excluded []string  // in the order of the entries, as they spell it
	Problems []Problem // in the order of the entries
	// Withheld are the names that the source has and gives no value for, sorted. They are in
	// Problems too. Whoever goes on without them must not take them for absent: a value that is
	// missing is no wish to delete.
	Withheld []secret.Name
}

// Check splits entries into values and problems. It asks excluded first, with the name as spelled
// and in upper case, as GitHub would store it: an excluded name is never a problem. Then come the
// name and the value. Entries of one name, in whatever case, are all problems, since no reader
// could say which is meant.
func Check(entries []Entry, excluded func(name string) bool) Verdict {
	v := Verdict{Values: make(map[secret.Name]secret.Plaintext, len(entries))}
	var kept []Entry
	lines := map[string][]int{}
	for _, e := range entries {
		upper := strings.ToUpper(e.Name)
		if excluded(e.Name) || upper != e.Name && excluded(upper) {
			v.Excluded = append(v.Excluded, e.Name)
			continue
		}
		kept = append(kept, e)
		if len(lines[upper]) < 2 { // more are not told, and would make a file of one name costly
			lines[upper] = append(lines[upper], e.Line)
		}
	}
	for _, e := range kept {
		upper := strings.ToUpper(e.Name)
		name, problem := examine(e, lines[upper])
		if problem == nil {
			v.Values[name] = e.Value
			continue
		}
		v.Problems = append(v.Problems, *problem)
		if name, err := secret.ParseName(upper); err == nil {
			v.Withheld = append(v.Withheld, name)
		}
	}
	slices.SortFunc(v.Withheld, secret.Name.Compare)
	v.Withheld = slices.Compact(v.Withheld)
	return v
}

// examine returns the name of e, or what is wrong with e, whose name stands on lines.
func examine(e Entry, lines []int) (secret.Name, *Problem) {
	p := &Problem{Line: e.Line, Name: shown(e), Code: fault.RequestInvalid}
	name, err := secret.ParseName(e.Name)
	var bad *secret.NameError
	switch {
	case errors.As(err, &bad) && bad.Suggest == "":
		p.Code, p.Why, p.Fix = fault.NameInvalid, bad.Why, "rename it"
	case len(lines) > 1:
		p.Why, p.Fix = twice(e.Line, lines), "keep one"
	case bad != nil:
		p.Code, p.Why, p.Fix = fault.NameInvalid, bad.Why, "write it in upper case"
		if p.Name != "" {
			p.Fix = "write " + bad.Suggest
		}
	case e.Value.Len() == 0:
		p.Why, p.Fix = "has no value", "give it one, or remove it"
	case e.Value.Len() > secret.MaxValueSize:
		p.Code, p.Fix = fault.ValueTooLarge, "keep it encrypted in the repository, and its passphrase as the secret"
		p.Why = fmt.Sprintf("has %d bytes; GitHub takes at most %d", e.Value.Len(), secret.MaxValueSize)
	default:
		return name, nil
	}
	return secret.Name{}, p
}

// twice says where else the name on line stands.
func twice(line int, lines []int) string {
	other := lines[0]
	if other == line {
		other = lines[1]
	}
	if other == line { // a source without lines, or all on one
		return "is given more than once"
	}
	return fmt.Sprintf("is given more than once, also on line %d", other)
}

var presentable = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,39}$`)

// shown returns the name of e if it may be shown. When a value was broken over two lines, its
// second half can look like a name: the end of base64 text does, with its = signs, so a name that
// GitHub would not take is not shown when nothing or = follows it.
func shown(e Entry) string {
	if _, err := secret.ParseName(e.Name); err == nil {
		return e.Name
	}
	if value := e.Value.Expose(); len(value) == 0 || string(value) == "=" || !presentable.MatchString(e.Name) {
		return ""
	}
	return e.Name
}

// Refuse is the one fault about problems, at least one, which lists each with its line, for a run that
// writes nothing. goOn is the command that leaves them out; empty when there is none.
func (s Source) Refuse(problems []Problem, goOn string) *fault.Fault {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
	}
	f := fault.Invalid("%s:%s", s.label, listed(lines, manyProblems))
	f.Context["problems"] = problems
	if goOn == "" {
		return f
	}
	return f.Hinting("To leave these out and write the others: %s", goOn)
}
