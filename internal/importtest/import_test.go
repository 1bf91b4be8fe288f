package importtest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/octoseal/octoseal/"

// A file is one Go file of the module.
type file struct {
	dir, name string // dir is below the module's root, with slashes
	isTest    bool
	syntax    *ast.File
	imports   []string
}

// room is where the file is: below internal, or the path of a command.
func (f file) room() string { return strings.TrimPrefix(f.dir, "internal/") }

// files parses every Go file of the module, whatever it is built for.
func files(t *testing.T) []file {
	t.Helper()
	root := filepath.Join("..", "..")
	var out []file
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := d.Name()
		if d.IsDir() {
			_, other := os.Stat(filepath.Join(name, "go.mod"))
			if name != root && (other == nil || base == "testdata" || base == "vendor" || base[0] == '.' || base[0] == '_') {
				return filepath.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(base, ".go") || base[0] == '.' || base[0] == '_' {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, filepath.Dir(name))
		if err != nil {
			return err
		}
		f := file{dir: filepath.ToSlash(dir), name: base, isTest: strings.HasSuffix(base, "_test.go"), syntax: syntax}
		for _, spec := range syntax.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		out = append(out, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(out) < 20 {
		t.Fatalf("only %d files were found: the search is broken", len(out))
	}
	return out
}

// complaints are what the rules say against one file.
func complaints(f file) []string {
	var out []string
	against := func(what, why string) { out = append(out, path.Join(f.dir, f.name)+" "+what+": "+why) }
	may, known := commands[f.dir]
	all := rules()
	if r, ok := all[f.room()]; ok && strings.HasPrefix(f.dir, "internal/") {
		may, known = r.may, true
	}
	if !known {
		against("is in "+f.dir, "no rule knows this package; give it one")
		return out
	}
	for _, imported := range f.imports {
		if ours, ok := strings.CutPrefix(imported, module); ok {
			room := strings.TrimPrefix(ours, "internal/")
			switch r := all[room]; {
			case room == f.room(), slices.Contains(may, room), f.isTest && slices.Contains(inTests, room):
			case r.testsOnly:
				against("imports "+room, "it is there for tests")
			default:
				against("imports "+room, "the direction of dependency")
			}
			continue
		}
		for _, fence := range fences {
			if below(imported, fence.pkg) && !slices.Contains(fence.rooms, f.room()) && !fence.open(f) {
				against("imports "+imported, fence.why)
			}
		}
		if slices.Contains(pure, f.room()) && !f.isTest && slices.ContainsFunc(worldly, func(w string) bool { return below(imported, w) }) && imported != "net/url" {
			against("imports "+imported, "the room decides and does nothing")
		}
	}
	return append(out, worldlyCalls(f)...)
}

// below says whether a package is one, a version of it, or below it.
func below(imported, pkg string) bool { return imported == pkg || strings.HasPrefix(imported, pkg+"/") }

// worldlyCalls are uses that an import alone does not show: the clock, and HTTP from the client's side.
func worldlyCalls(f file) []string {
	if f.isTest {
		return nil
	}
	var out []string
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		sel, ok := n.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		pkg, ok := sel.X.(*ast.Ident)
		if !ok {
			return true
		}
		use := pkg.Name + "." + sel.Sel.Name
		switch {
		case pkg.Name == "http" && slices.Contains(f.imports, "net/http") && slices.Contains(clients, sel.Sel.Name) && !slices.Contains(speakers, f.room()):
			out = append(out, path.Join(f.dir, f.name)+" uses "+use+": only github speaks HTTP to GitHub")
		case use == "time.Now" && slices.Contains(pure, f.room()):
			out = append(out, path.Join(f.dir, f.name)+" uses "+use+": the room has no clock")
		}
		return true
	})
	return out
}

// TestRules holds the direction of dependency of design and ARCHITECTURE.md.
func TestRules(t *testing.T) {
	for _, f := range files(t) {
		for _, c := range complaints(f) {
			t.Error(c)
		}
	}
}

// TestRulesBite shows files that break each rule to the rules.
func TestRulesBite(t *testing.T) {
	ours := func(room string) string { return module + "internal/" + room }
	for _, c := range []struct {
		f    file
		code string
		want string
	}{
		{file{dir: "internal/plan", imports: []string{ours("github")}}, "", "direction"},
		{file{dir: "internal/secret", imports: []string{ours("fault")}}, "", "direction"},
		{file{dir: "internal/fault", imports: []string{ours("plan")}}, "", "direction"},
		{file{dir: "internal/github", imports: []string{ours("store")}}, "", "direction"},
		{file{dir: "internal/store", imports: []string{ours("syncing")}}, "", "direction"},
		{file{dir: "internal/syncing", imports: []string{ours("cli")}}, "", "direction"},
		{file{dir: "internal/httpapi", imports: []string{ours("store"), ours("github"), ours("syncing")}}, "", ""},
		{file{dir: "internal/httpapi", imports: []string{ours("source")}}, "", "direction"},
		{file{dir: "internal/jobs", imports: []string{ours("store"), ours("github"), ours("syncing")}}, "", ""},
		{file{dir: "internal/jobs", imports: []string{ours("httpapi")}}, "", "direction"},
		{file{dir: "internal/httpapi/openid", imports: []string{ours("store")}}, "", "direction"},
		{file{dir: "internal/jobs", imports: []string{"github.com/riverqueue/river"}}, "", "queue's client"},
		{file{dir: "internal/httpapi", imports: []string{ours("mcp")}}, "", "direction"},
		{file{dir: "internal/syncing", imports: []string{ours("githubsim")}}, "", "direction"},
		{file{dir: "internal/githubsim", imports: []string{ours("github")}}, "", "direction"},
		{file{dir: "cmd/octoseal", imports: []string{ours("store")}}, "", "direction"},
		{file{dir: "internal/cli", imports: []string{ours("store/storetest")}}, "", "for tests"},
		{file{dir: "internal/syncing", isTest: true, imports: []string{ours("cli")}}, "", "direction"},
		{file{dir: "internal/syncing", isTest: true, imports: []string{ours("githubsim"), ours("store/storetest")}}, "", ""},
		{file{dir: "internal/cli", imports: []string{ours("githubsim"), ours("httpapi"), ours("store")}}, "", ""},
		{file{dir: "internal/novelty"}, "", "no rule"},
		{file{dir: "novelty"}, "", "no rule"},
		{file{dir: "internal/cmd/octoseal", imports: []string{ours("cli")}}, "", "no rule"},
		{file{dir: "internal/syncing", imports: []string{"database/sql"}}, "", "SQL"},
		{file{dir: "internal/cli", isTest: true, imports: []string{"github.com/jackc/pgx/v5"}}, "", "SQL"},
		{file{dir: "internal/cli", isTest: true, imports: []string{"database/sql"}}, "", ""},
		{file{dir: "internal/cli", imports: []string{"database/sql"}}, "", "SQL"},
		{file{dir: "internal/store", imports: []string{"database/sql/driver", "modernc.org/sqlite"}}, "", ""},
		{file{dir: "internal/syncing", imports: []string{"github.com/google/go-github/v88/github"}}, "", "JSON"},
		{file{dir: "internal/plan", imports: []string{"os"}}, "", "does nothing"},
		{file{dir: "internal/plan", imports: []string{"net/http"}}, "", "does nothing"},
		{file{dir: "internal/plan", imports: []string{"time"}}, "var x = time.Now()", "no clock"},
		{file{dir: "internal/syncing", imports: []string{"net/http"}}, "var c http.Client", "speaks HTTP"},
		{file{dir: "internal/cli", imports: []string{"net/http"}}, "var c http.Client", ""},
		{file{dir: "internal/cli", imports: []string{"net/http"}}, "var s = http.Server{}", ""},
		{file{dir: "internal/github", imports: []string{"net/http"}}, "var c http.Client", ""},
	} {
		c.f.name = "x.go"
		syntax, err := parser.ParseFile(token.NewFileSet(), "x.go", "package x\n"+c.code, 0)
		if err != nil {
			t.Fatal(err)
		}
		c.f.syntax = syntax
		got := strings.Join(complaints(c.f), "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s importing %v with %q: %q, want %q", c.f.dir, c.f.imports, c.code, got, c.want)
		}
	}
}

// TestPackages holds that every package says in one comment what it is for, and has a name that
// says what belongs in it.
func TestPackages(t *testing.T) {
	comments := map[string][]string{}
	names := map[string]string{}
	for _, f := range files(t) {
		if f.isTest {
			continue
		}
		names[f.dir] = f.syntax.Name.Name
		begins := "Package " + f.syntax.Name.Name + " "
		if f.syntax.Name.Name == "main" {
			begins = "Command " + path.Base(f.dir) + " "
		}
		if doc := f.syntax.Doc.Text(); doc != "" {
			comments[f.dir] = append(comments[f.dir], f.name)
			if !strings.HasPrefix(doc, begins) {
				t.Errorf("%s: the package comment begins %q, not %q", path.Join(f.dir, f.name), strings.SplitN(doc, "\n", 2)[0], begins)
			}
		}
	}
	for dir, name := range names {
		if len(comments[dir]) != 1 {
			t.Errorf("%s has %d package comments, want one: %v", dir, len(comments[dir]), comments[dir])
		}
		if slices.Contains(bad, name) || slices.Contains(bad, path.Base(dir)) {
			t.Errorf("%s: the name %s does not say what belongs in it", dir, name)
		}
	}
}
