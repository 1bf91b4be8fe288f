package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"pgregory.net/rapid"
)

// nasty are texts that have broken somebody's API.
var nasty = []string{
	"", " ", "null", "true", "-1", "1e999", "\x00", "A\x00B", "' OR '1'='1", "'; DROP TABLE users; --", "\r\nX-Evil: 1", "../../etc/passwd", "%00", "%zz",
	"{{7*7}}", "${jndi:ldap://x}", "<script>", "\xff\xfe", "𝕊𝕖𝕔𝕣𝕖𝕥", "\u202e", strings.Repeat("A", 300), strings.Repeat("é", 5000), "9223372036854775808",
	"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "LTkyMjMzNzIwMzY4NTQ3NzU4MDguMQ", "OTIyMzM3MjAzNjg1NDc3NTgwNy4x",
}

// fittings are texts that fit fields whose schema says no more than that they are text.
var fittings = map[string][]string{
	"name": {"API_KEY", "DB_URL"}, "names": {"API_KEY", "anything"}, "secretNames": {"API_KEY", "DB_URL"}, "requiredSecrets": {"API_KEY", "NOPE"},
	"secret": {"API_KEY"}, "targetScopes": {"actions", "codespaces", "dependabot", "environment:dev"}, "pattern": {"^A.*$", "(A+)+$", "^NOPE$"},
	"repository": {"acme/gadgets", "acme/widgets", "acme/nowhere"}, "login": {"someone", "root"}, "valueSource": {"", "relay", "source:local", "source:nope"},
	"cursor": {"LTkyMjMzNzIwMzY4NTQ3NzU4MDguMQ", "abc"},
}

// A driver makes requests from the OpenAPI document: mostly as it describes them, often not quite.
type driver struct {
	*rapid.T
	doc *huma.OpenAPI
	ids []string
}

func (d driver) chance(oneIn int, why string) bool {
	return rapid.IntRange(1, oneIn).Draw(d.T, why) == 1
}

func (d driver) text(sc *huma.Schema, name string) string {
	switch {
	case d.chance(10, name+" is nasty"):
		return rapid.SampledFrom(nasty).Draw(d.T, name)
	case len(sc.Enum) > 0:
		return fmt.Sprint(rapid.SampledFrom(sc.Enum).Draw(d.T, name))
	case sc.Format == "uuid":
		return rapid.SampledFrom(append(d.ids, uuid.Nil.String(), uuid.NewString())).Draw(d.T, name)
	case sc.Format == "date-time":
		return rapid.SampledFrom([]string{"2026-01-01T00:00:00Z", "2036-12-31T23:59:59.999999999+14:00"}).Draw(d.T, name)
	}
	if fitting, ok := fittings[strings.TrimRight(name[strings.LastIndex(name, ".")+1:], "0123456789")]; ok {
		return rapid.SampledFrom(fitting).Draw(d.T, name)
	}
	return "something"
}

func (d driver) value(sc *huma.Schema, name string) any {
	if sc.Ref != "" {
		sc = d.doc.Components.Schemas.SchemaFromRef(sc.Ref)
	}
	if d.chance(30, name+" has the wrong type") {
		return rapid.SampledFrom([]any{nil, 1, -1.5, "x", true, []any{}, []any{nil, 1}, map[string]any{"a": 1}, 1e300}).Draw(d.T, name)
	}
	switch sc.Type {
	case huma.TypeString:
		return d.text(sc, name)
	case huma.TypeInteger, huma.TypeNumber:
		return rapid.SampledFrom([]any{0, 1, -1, 7, 500, 1 << 40, 1e18, 0.5}).Draw(d.T, name)
	case huma.TypeBoolean:
		return rapid.Bool().Draw(d.T, name)
	case huma.TypeArray:
		list := []any{}
		for i := range rapid.IntRange(0, 3).Draw(d.T, name) {
			list = append(list, d.value(sc.Items, name+strconv.Itoa(i)))
		}
		return list
	}
	object := map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(sc.Properties)) {
		p := sc.Properties[key]
		if d.chance(25, name+" lacks "+key) || !slices.Contains(sc.Required, key) && d.chance(2, name+" leaves out "+key) {
			continue
		}
		object[key] = d.value(p, name+"."+key)
	}
	return object
}

// request is one for an operation, as method, path and body.
func (d driver) request(op *huma.Operation) (path string, body any) {
	path, query := op.Path, url.Values{}
	for _, p := range op.Parameters {
		switch p.In {
		case "path":
			path = strings.ReplaceAll(path, "{"+p.Name+"}", url.PathEscape(d.text(p.Schema, p.Name)))
		case "query":
			if p.Required && !d.chance(20, "no "+p.Name) || d.chance(3, "with "+p.Name) {
				query.Set(p.Name, fmt.Sprint(d.value(p.Schema, p.Name)))
			}
		}
	}
	if len(query) > 0 {
		path += "?" + query.Encode()
	}
	if op.RequestBody == nil {
		return path, nil
	}
	raw, err := json.Marshal(d.value(op.RequestBody.Content["application/json"].Schema, "body"))
	if err != nil {
		d.Fatal(err)
	}
	if d.chance(25, "broken JSON") {
		raw = raw[:rapid.IntRange(0, len(raw)).Draw(d.T, "cut")]
	}
	return path, raw
}

// Whatever is asked, nothing breaks: no 5xx, the envelope from 400 up, and an answer as documented
// below that.
func TestDrivenFromItsDocument(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WaitLimit = 5 * time.Millisecond })
	token := w.token("root", platform)
	w.remember("API_KEY")
	mine := w.project.ID.String() // most of the time: what is there has more ways to break
	ids := []string{mine, mine, mine, mine, mine, w.addProject("acme/gadgets", "").ID.String(), w.aRun().String()}
	doc := w.srv.api.OpenAPI()
	var ops []*huma.Operation
	for _, id := range w.documented() {
		for _, op := range operationsOf(doc.Paths[operationsByID[id].Path]) {
			// The last operation of a project would make all others find nothing.
			if op.OperationID == id && id != "deleteProject" {
				ops = append(ops, op)
			}
		}
	}
	answered := map[int]int{}
	rapid.Check(t, func(rt *rapid.T) {
		d := driver{T: rt, doc: doc, ids: ids}
		for range 5 {
			d.drive(w, token, rapid.SampledFrom(ops).Draw(rt, "operation"), answered)
		}
	})
	t.Logf("answers by class: %v", answered)
}

// drive sends one request and judges its answer.
func (d driver) drive(w *world, token string, op *huma.Operation, answered map[int]int) {
	path, body := d.request(op)
	r := w.send(token, op.Method, path, body)
	answered[r.status/100]++
	switch {
	case r.status >= 500:
		d.Fatalf("%s %s %s: %d %s", op.Method, path, body, r.status, r.body)
	case r.status >= 400:
		r.envelope()
	case op.Responses[strconv.Itoa(r.status)] == nil:
		d.Fatalf("%s answers %d, which is not documented: %s", op.OperationID, r.status, r.body)
	case len(bytes.TrimSpace(r.body)) > 0:
		d.asDocumented(op, r)
	}
}

func (d driver) asDocumented(op *huma.Operation, r reply) {
	var v any
	if err := json.Unmarshal(r.body, &v); err != nil {
		d.Fatal(err)
	}
	media := op.Responses[strconv.Itoa(r.status)].Content["application/json"]
	if media == nil {
		d.Fatalf("%s: the body of %d is not documented", op.OperationID, r.status)
	}
	result := &huma.ValidateResult{}
	huma.Validate(d.doc.Components.Schemas, media.Schema, huma.NewPathBuffer([]byte{}, 0), huma.ModeReadFromServer, v, result)
	if len(result.Errors) > 0 {
		d.Fatalf("%s is not as documented: %v: %s", op.OperationID, result.Errors, r.body)
	}
}
