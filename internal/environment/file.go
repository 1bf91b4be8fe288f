package environment

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// maxFile bounds a file of environments: three of them with a hundred names each are a few pages.
const maxFile = 256 << 10

const (
	// maxBrackets bounds what may be nested: the parser's time grows with the square of it. Every
	// secret may have its {from: NAME}.
	maxBrackets = 1000
	// maxProblems bounds what is told of a file that is something else altogether.
	maxProblems = 50
)

// A File is a file of environments. It names secrets and holds none: each stands for the value of a
// source, under its own name or another.
type File struct {
	label        string // what the file is called in messages
	environments []fileEnvironment
	places       map[string]place // of each field, by its path
}

type fileEnvironment struct {
	Asked      // without secrets
	references []reference
}

// A reference is one secret of a file: its name, and the one that its value has in the source.
type reference struct{ name, from string }

type place struct{ line, column int }

// ParseFile reads a file of environments, strictly: an unknown key, a key given twice and a value of
// another kind are refused, all that can be told at once, each with its line and column. What stands
// in the wrong place may be a value, so nothing of the text is shown.
func ParseFile(label string, text []byte) (File, error) {
	f := File{label: label, places: map[string]place{}}
	if len(text) > maxFile {
		return f, fault.Invalid("%s has %d bytes, more than the %d that are read", label, len(text), maxFile)
	}
	if brackets(text) > maxBrackets {
		return f, fault.Invalid("%s has more than %d brackets and lists within a line", label, maxBrackets)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return f, f.refuse([]Problem{{Line: 1, Column: 1, Why: "names no environment"}})
	}
	tree, err := parser.ParseBytes(text, 0)
	if err != nil {
		return f, f.refuse([]Problem{syntaxProblem(err)})
	}
	w := &walker{file: &f}
	switch len(tree.Docs) {
	case 1:
		w.document(tree.Docs[0].Body)
	default:
		w.problems = append(w.problems, Problem{Line: 1, Column: 1, Why: "holds several documents; one is read"})
	}
	if len(w.problems) > 0 {
		return f, f.refuse(w.problems)
	}
	return f, nil
}

// brackets counts what may open something nested without a line of its own: [ and {, and a dash that
// is not the first on its line.
func brackets(text []byte) int {
	n := bytes.Count(text, []byte("[")) + bytes.Count(text, []byte("{"))
	for line := range bytes.Lines(text) {
		line = bytes.TrimPrefix(bytes.TrimLeft(line, " "), []byte("-"))
		n += bytes.Count(line, []byte("- ")) + bytes.Count(line, []byte("-\t"))
	}
	return n
}

// syntaxProblem tells where YAML itself is broken. The parser's words may quote the text.
func syntaxProblem(err error) Problem {
	p := Problem{Line: 1, Column: 1, Why: "is no YAML"}
	var told yaml.Error
	if errors.As(err, &told) && told.GetToken() != nil {
		at := told.GetToken().Position
		p.Line, p.Column = at.Line, at.Column
		if strings.Contains(told.GetMessage(), "already defined") {
			p.Why = "the key stands here a second time"
		}
	}
	return p
}

// refuse is the one fault about the problems of a file.
func (f File) refuse(problems []Problem) *fault.Fault {
	for i := range problems {
		if problems[i].Code == "" {
			problems[i].Code = fault.RequestInvalid
		}
	}
	more := len(problems) - maxProblems
	problems = problems[:min(len(problems), maxProblems)]
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = f.label + ":" + p.String()
		if p.Line == 0 {
			lines[i] = f.label + ": " + p.String()
		}
	}
	if more > 0 {
		lines = append(lines, fmt.Sprintf("%s: and %d more", f.label, more))
	}
	return Refuse(problems).Saying("%s", strings.Join(lines, "\n"))
}

// Names are the names that the file wants from its source, sorted.
func (f File) Names() []secret.Name {
	var names []secret.Name
	for _, e := range f.environments {
		for _, r := range e.references {
			names = append(names, secret.MustName(r.from))
		}
	}
	slices.SortFunc(names, secret.Name.Compare)
	return slices.Compact(names)
}

// Asked is what the file asks for, with the source's values in their places. A name that the source
// does not have is refused, with where the file wants it.
func (f File) Asked(values map[secret.Name]secret.Plaintext) ([]Asked, error) {
	var problems []Problem
	asked := make([]Asked, len(f.environments))
	for i, e := range f.environments {
		asked[i] = e.Asked
		for j, r := range e.references {
			v, there := values[secret.MustName(r.from)]
			if !there {
				problems = append(problems, Problem{
					Field: fmt.Sprintf("environments[%d].secrets[%d]", i, j), Code: fault.SourceUnavailable,
					Why: fmt.Sprintf("the source has no %s", r.from),
				})
			}
			asked[i].Secrets = append(asked[i].Secrets, Value{Name: r.name, Value: v})
		}
	}
	if len(problems) > 0 {
		return nil, f.refuse(f.Place(problems))
	}
	return asked, nil
}

// Place adds to each problem where its field stands in the file, or the nearest part of it that does.
func (f File) Place(problems []Problem) []Problem {
	placed := slices.Clone(problems)
	for i, p := range placed {
		for field := p.Field; field != ""; {
			if at, ok := f.places[field]; ok {
				placed[i].Line, placed[i].Column = at.line, at.column
				break
			}
			cut := max(strings.LastIndexByte(field, '.'), strings.LastIndexByte(field, '['))
			field = field[:max(cut, 0)]
		}
	}
	return placed
}

// Refuse is the one fault about problems that Check found in what the file asked for.
func (f File) Refuse(problems []Problem) *fault.Fault { return f.refuse(f.Place(problems)) }

// A walker goes through the tree of a file.
type walker struct {
	file     *File
	problems []Problem
}

// at is where a node begins. The token of a mapping is its first colon.
func at(n ast.Node) place {
	switch m := n.(type) {
	case *ast.MappingNode:
		if len(m.Values) > 0 && !m.IsFlowStyle {
			return at(m.Values[0].Key)
		}
	case *ast.MappingValueNode:
		return at(m.Key)
	}
	if t := n.GetToken(); t != nil && t.Position != nil {
		return place{t.Position.Line, t.Position.Column}
	}
	return place{1, 1}
}

func (w *walker) bad(n ast.Node, format string, args ...any) {
	p := at(n)
	w.problems = append(w.problems, Problem{Line: p.line, Column: p.column, Why: fmt.Sprintf(format, args...)})
}

func (w *walker) note(path string, n ast.Node) { w.file.places[path] = at(n) }

// A field reads the value of one key. Path is where it stands.
type field func(path string, v ast.Node)

// mapping hands the value of each key to its field, and refuses other keys.
func (w *walker) mapping(path string, n ast.Node, fields map[string]field) {
	var pairs []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		pairs = n.Values
	case *ast.MappingValueNode:
		pairs = []*ast.MappingValueNode{n}
	default:
		w.bad(n, "%s is to hold keys and values", named(path))
		return
	}
	for _, pair := range pairs {
		key, ok := pair.Key.(*ast.StringNode)
		if !ok {
			w.bad(pair.Key, "a key is a plain word")
			continue
		}
		read, known := fields[key.Value]
		if !known {
			w.bad(key, "%s has no such key; it has %s", named(path), strings.Join(keysOf(fields), ", "))
			continue
		}
		inner := strings.TrimPrefix(path+"."+key.Value, ".")
		w.note(inner, key)
		if _, empty := pair.Value.(*ast.NullNode); !empty { // a key without a value was left out
			read(inner, pair.Value)
		}
	}
}

func keysOf(fields map[string]field) []string {
	var keys []string
	for k := range fields {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func named(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

func (w *walker) document(n ast.Node) {
	if n == nil {
		w.problems = append(w.problems, Problem{Line: 1, Column: 1, Why: "names no environment"})
		return
	}
	w.mapping("", n, map[string]field{"environments": func(path string, v ast.Node) {
		for i, item := range w.items(path, v) {
			inner := fmt.Sprintf("%s[%d]", path, i)
			w.note(inner, item)
			var e fileEnvironment
			w.environment(inner, item, &e)
			w.file.environments = append(w.file.environments, e)
		}
	}})
}

func (w *walker) items(path string, n ast.Node) []ast.Node {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		w.bad(n, "%s is to be a list", path)
		return nil
	}
	return list.Values
}

func (w *walker) environment(path string, n ast.Node, e *fileEnvironment) {
	w.mapping(path, n, map[string]field{
		"name":            w.text(&e.Name),
		"protectionRules": func(p string, v ast.Node) { w.rules(p, v, &e.Rules) },
		"secrets":         func(p string, v ast.Node) { w.references(p, v, e) },
		"linkedResources": func(p string, v ast.Node) {
			w.mapping(p, v, map[string]field{
				"neonBranchId":           w.text(&e.Linked.NeonBranchID),
				"cloudflareWorkerName":   w.text(&e.Linked.CloudflareWorkerName),
				"cloudflarePagesProject": w.text(&e.Linked.CloudflarePagesProject),
			})
		},
	})
}

func (w *walker) rules(path string, n ast.Node, r *Rules) {
	w.mapping(path, n, map[string]field{
		"requiredReviewers": w.number(&r.RequiredReviewers),
		"waitTimer":         w.number(&r.WaitTimer),
		"restrictToMainBranch": func(p string, v ast.Node) {
			b, ok := v.(*ast.BoolNode)
			if !ok {
				w.bad(v, "%s is to be true or false", p)
				return
			}
			r.RestrictToMainBranch = &b.Value
		},
		"reviewerIds": func(p string, v ast.Node) {
			r.ReviewerIDs = []int64{}
			for i, item := range w.items(p, v) {
				inner := fmt.Sprintf("%s[%d]", p, i)
				w.note(inner, item)
				if id, ok := w.whole(inner, item); ok {
					r.ReviewerIDs = append(r.ReviewerIDs, id)
				}
			}
		},
	})
}

func (w *walker) text(into *string) field {
	return func(path string, v ast.Node) {
		s, ok := v.(*ast.StringNode)
		if !ok {
			w.bad(v, "%s is to be text; what looks like a number needs quotes", path)
			return
		}
		*into = s.Value
	}
}

func (w *walker) number(into **int) field {
	return func(path string, v ast.Node) {
		if n, ok := w.whole(path, v); ok {
			i := int(n)
			*into = &i
		}
	}
}

func (w *walker) whole(path string, v ast.Node) (int64, bool) {
	if n, ok := v.(*ast.IntegerNode); ok {
		switch i := n.Value.(type) {
		case int64:
			return i, true
		case uint64:
			if i <= 1<<62 {
				return int64(i), true
			}
		}
	}
	w.bad(v, "%s is to be a whole number", path)
	return 0, false
}

// references reads the secrets: a list of names, or names with where their values come from.
func (w *walker) references(path string, n ast.Node, e *fileEnvironment) {
	add := func(name, from ast.Node) {
		inner := fmt.Sprintf("%s[%d]", path, len(e.references))
		w.note(inner, name)
		one, ok := w.name(name)
		two, alike := one, ok
		if from != name {
			two, alike = w.name(from)
		}
		if ok && alike {
			e.references = append(e.references, reference{one, two})
		}
	}
	switch n := n.(type) {
	case *ast.SequenceNode:
		for _, item := range n.Values {
			add(item, item)
		}
	case *ast.MappingNode:
		for _, pair := range n.Values {
			w.reference(path, pair, add)
		}
	case *ast.MappingValueNode:
		w.reference(path, n, add)
	default:
		w.bad(n, "%s is to be a list of names, or NAME: {from: NAME}", path)
	}
}

func (w *walker) reference(path string, pair *ast.MappingValueNode, add func(name, from ast.Node)) {
	switch v := pair.Value.(type) {
	case *ast.NullNode: // NAME: alone is NAME: {from: NAME}
		add(pair.Key, pair.Key)
	case *ast.MappingNode, *ast.MappingValueNode:
		from := ast.Node(pair.Key)
		w.mapping(path, v, map[string]field{"from": func(_ string, n ast.Node) { from = n }})
		add(pair.Key, from)
	default:
		w.bad(v, "a value has no place in this file; say {from: NAME}, the name that it has in the source")
	}
}

// name reads the name of a secret. One that is none is not shown: it may be a value.
func (w *walker) name(n ast.Node) (string, bool) {
	s, ok := n.(*ast.StringNode)
	if !ok {
		w.bad(n, "the name of a secret is text")
		return "", false
	}
	if _, err := secret.ParseName(s.Value); err != nil {
		w.bad(n, "this is no name of a secret: upper-case letters, digits and underscores, a letter first, not GITHUB_")
		return "", false
	}
	return s.Value, true
}
