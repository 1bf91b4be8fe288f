package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A call is one fault.New in the code of another room, as far as its text tells.
type call struct {
	at      string
	code    Code
	keys    []string // of its context
	known   bool     // the context is written out
	message bool     // replaced by Saying
	hint    bool     // replaced by Hinting
}

// TestCallersFillTheBraces reads every room: who makes a fault gives the context that the table's
// words name, or words of its own.
func TestCallersFillTheBraces(t *testing.T) {
	codes := constants(t)
	var calls []call
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		files := token.NewFileSet()
		f, err := parser.ParseFile(files, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil // somebody is writing it; the compiler tells them
		}
		calls = append(calls, callsIn(files, f, codes)...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(calls) < 5 {
		t.Fatalf("only %d faults are made anywhere: the search is broken", len(calls))
	}
	for _, c := range calls {
		k := KindOf(c.code)
		var needed []string
		if !c.message {
			needed = append(needed, keys(k.Message)...)
		}
		if !c.hint {
			needed = append(needed, keys(k.Hint)...)
		}
		for _, key := range needed {
			if c.known && !slices.Contains(c.keys, key) {
				t.Errorf("%s: %s names {%s}, and the context does not have it", c.at, c.code, key)
			}
		}
	}
}

// constants returns the codes by the names of their constants.
func constants(t *testing.T) map[string]Code {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "table.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]Code{}
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); ok && id.Name == "Code" {
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[spec.Names[0].Name] = Code(code)
		}
		return true
	})
	return codes
}

// callsIn finds fault.New(fault.X, …) and what is chained to it.
func callsIn(files *token.FileSet, f *ast.File, codes map[string]Code) []call {
	var calls []call
	found := map[*ast.CallExpr]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		outer, ok := n.(*ast.CallExpr)
		if !ok || found[outer] {
			return true
		}
		c := call{at: files.Position(outer.Pos()).String()}
		at := outer
		for {
			method, ok := at.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			c.message = c.message || method.Sel.Name == "Saying"
			c.hint = c.hint || method.Sel.Name == "Hinting"
			if inner, ok := method.X.(*ast.CallExpr); ok {
				at = inner
				continue
			}
			if len(at.Args) != 2 || !selects(at.Fun, "New") {
				return true
			}
			break
		}
		code, ok := at.Args[0].(*ast.SelectorExpr)
		if !ok || codes[code.Sel.Name] == "" {
			return true
		}
		found[at] = true
		c.code = codes[code.Sel.Name]
		c.keys, c.known = written(at.Args[1])
		calls = append(calls, c)
		return true
	})
	return calls
}

// selects says whether e is fault.name.
func selects(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	pkg, ok := s.X.(*ast.Ident)
	return ok && pkg.Name == "fault"
}

// written returns the keys of a context that is written out, or that is nil.
func written(e ast.Expr) (names []string, known bool) {
	if id, ok := e.(*ast.Ident); ok && id.Name == "nil" {
		return nil, true
	}
	lit, ok := e.(*ast.CompositeLit)
	if !ok || !selects(lit.Type, "Context") {
		return nil, false
	}
	for _, el := range lit.Elts {
		kv, ok := el.(*ast.KeyValueExpr)
		if !ok {
			return nil, false
		}
		key, ok := kv.Key.(*ast.BasicLit)
		if !ok {
			return nil, false
		}
		name, err := strconv.Unquote(key.Value)
		if err != nil {
			return nil, false
		}
		names = append(names, name)
	}
	return names, true
}
