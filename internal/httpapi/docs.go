package httpapi

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/octoseal/octoseal/internal/fault"
)

//go:embed docs.html
var docsPage string

//go:embed docs.css
var docsStyle string

// registerDocs adds the OpenAPI document and the page that shows it. Both are made once: they
// change with the program only. The page has no script and loads nothing.
func (s *server) registerDocs() {
	document, err := documentJSON(s.api.OpenAPI())
	if err != nil { // the document is of this program's making
		panic(err)
	}
	page := s.docsHTML()
	sum := sha256.Sum256([]byte(docsStyle))
	policy := fmt.Sprintf("default-src 'none'; style-src 'sha256-%s'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		base64.StdEncoding.EncodeToString(sum[:]))
	s.mux.Handle("GET /openapi.json", s.open("/openapi.json", constant("application/json", document)))
	s.mux.Handle("GET /docs", s.open("/docs", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		constant("text/html; charset=utf-8", page).ServeHTTP(w, r)
	})))
}

func constant(kind string, content []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", kind)
		_, _ = w.Write(content) // the client may be gone
	})
}

// documentJSON is the document as it is served and kept in docs/openapi.json.
func documentJSON(o *huma.OpenAPI) ([]byte, error) {
	raw, err := json.Marshal(o)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = json.Indent(&b, raw, "", "  ")
	b.WriteByte('\n')
	return b.Bytes(), err
}

// A docsGroup is the operations under one tag, as the page shows them.
type docsGroup struct {
	Tag        string
	Operations []docsOperation
}

type docsOperation struct {
	*huma.Operation
	Takes   []docsField
	Body    []docsField
	Answers []docsAnswer
	Role    string
	Cost    int
}

type docsAnswer struct {
	Status string
	Text   string
	Fields []docsField
}

type docsField struct {
	Name     string
	In       string
	Type     string
	Required bool
	Text     string
}

// docsHTML renders the document.
func (s *server) docsHTML() []byte {
	o := s.api.OpenAPI()
	page := template.Must(template.New("docs").Funcs(template.FuncMap{"lower": strings.ToLower}).Parse(docsPage))
	var b bytes.Buffer
	err := page.Execute(&b, map[string]any{
		"Style": template.CSS(docsStyle), //nolint:gosec // our own file
		"Info":  o.Info, "Groups": docsGroups(o), "Faults": fault.Kinds(),
	})
	if err != nil { // the page is of this program's making
		panic(err)
	}
	return b.Bytes()
}

func docsGroups(o *huma.OpenAPI) []docsGroup {
	var groups []docsGroup
	for _, tag := range []string{tagSecrets, tagEnvs, tagProjects, tagMembers, tagExclusions, tagTokens, tagRelay, tagOperations} {
		g := docsGroup{Tag: tag}
		for _, item := range o.Paths {
			for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete} {
				if op != nil && op.Tags[0] == tag {
					g.Operations = append(g.Operations, docsOf(o, op))
				}
			}
		}
		slices.SortFunc(g.Operations, func(a, b docsOperation) int {
			return strings.Compare(a.Path+" "+a.Method, b.Path+" "+b.Method)
		})
		groups = append(groups, g)
	}
	return groups
}

func docsOf(o *huma.OpenAPI, op *huma.Operation) docsOperation {
	d := docsOperation{Operation: op}
	d.Role, _ = op.Extensions["x-required-role"].(string)
	d.Cost, _ = op.Extensions["x-cost"].(int)
	for _, p := range op.Parameters {
		d.Takes = append(d.Takes, docsField{Name: p.Name, In: p.In, Type: typeOf(p.Schema), Required: p.Required, Text: p.Description})
	}
	if op.RequestBody != nil {
		d.Body = fieldsOf(o, op.RequestBody.Content["application/json"], "")
	}
	for status, r := range op.Responses {
		a := docsAnswer{Status: status, Text: r.Description}
		if status < "400" {
			a.Fields = fieldsOf(o, r.Content["application/json"], "")
		}
		d.Answers = append(d.Answers, a)
	}
	slices.SortFunc(d.Answers, func(a, b docsAnswer) int { return strings.Compare(a.Status, b.Status) })
	return d
}

func fieldsOf(o *huma.OpenAPI, m *huma.MediaType, prefix string) []docsField {
	if m == nil {
		return nil
	}
	return schemaFields(o, m.Schema, prefix)
}

// schemaFields spells an object's fields with their full names; [] stands for each member of a list.
func schemaFields(o *huma.OpenAPI, sc *huma.Schema, prefix string) []docsField {
	sc = resolved(o, sc)
	var fields []docsField
	for _, name := range slices.Sorted(func(yield func(string) bool) {
		for name := range sc.Properties {
			if !yield(name) {
				return
			}
		}
	}) {
		p := sc.Properties[name]
		fields = append(fields, docsField{Name: prefix + name, Type: typeOf(p), Required: slices.Contains(sc.Required, name), Text: p.Description})
		inner, into := resolved(o, p), prefix+name+"."
		if p.Type == huma.TypeArray {
			inner, into = resolved(o, p.Items), prefix+name+"[]."
		}
		if len(inner.Properties) > 0 {
			fields = append(fields, schemaFields(o, inner, into)...)
		}
	}
	return fields
}

func resolved(o *huma.OpenAPI, sc *huma.Schema) *huma.Schema {
	if sc == nil {
		return &huma.Schema{}
	}
	if sc.Ref != "" {
		return o.Components.Schemas.SchemaFromRef(sc.Ref)
	}
	return sc
}

func typeOf(sc *huma.Schema) string {
	switch {
	case sc == nil:
		return ""
	case sc.Ref != "":
		return "object"
	case len(sc.Enum) > 0:
		var words []string
		for _, e := range sc.Enum {
			words = append(words, fmt.Sprintf("%q", e))
		}
		return strings.Join(words, " | ")
	}
	text := sc.Type
	if sc.Type == huma.TypeArray {
		text = "list of " + typeOf(sc.Items)
	}
	if sc.Format != "" {
		text += " (" + sc.Format + ")"
	}
	if sc.Nullable {
		text += " | null"
	}
	return text
}
