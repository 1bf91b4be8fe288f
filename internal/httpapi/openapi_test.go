package httpapi

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
)

var update = flag.Bool("update", false, "rewrite docs/openapi.json")

func operationsOf(item *huma.PathItem) []*huma.Operation {
	var ops []*huma.Operation
	for _, op := range []*huma.Operation{item.Get, item.Post, item.Patch, item.Delete, item.Put} {
		if op != nil {
			ops = append(ops, op)
		}
	}
	return ops
}

// The copy in the repository is what reviews and clients read; it follows the program.
func TestDocumentIsKept(t *testing.T) {
	const kept = "../../docs/openapi.json"
	s := newServer(Config{Version: "1"})
	now, err := documentJSON(s.api.OpenAPI())
	must(t, err)
	if *update {
		must(t, os.WriteFile(kept, now, 0o644))
	}
	was, err := os.ReadFile(kept)
	must(t, err)
	if !bytes.Equal(now, was) {
		t.Error("docs/openapi.json is not the document served: run go test ./internal/httpapi -run TestDocumentIsKept -update and review the change")
	}
}

func TestDocumentIsWhole(t *testing.T) {
	w := newWorld(t)
	r := w.send("", "GET", "/openapi.json", nil)
	var doc struct {
		OpenAPI string
		Paths   map[string]map[string]json.RawMessage
	}
	r.into(http.StatusOK, &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		t.Errorf("OpenAPI %s", doc.OpenAPI)
	}
	for _, op := range slices.Concat(operations, jobOperations) {
		if doc.Paths[op.Path][strings.ToLower(op.Method)] == nil {
			t.Errorf("%s is not in the document", op.ID)
		}
	}
	for _, o := range openings {
		if doc.Paths[o.path][strings.ToLower(o.method)] == nil {
			t.Errorf("%s %s is not in the document", o.method, o.path)
		}
	}
	if bytes.Contains(r.body, []byte("422")) || bytes.Contains(r.body, []byte("$schema")) {
		t.Error("huma's own answers are in the document")
	}
}

// The page is readable by itself: nothing is loaded from anywhere, and nothing runs.
func TestDocsPageStandsAlone(t *testing.T) {
	w := newWorld(t)
	r := w.send("", "GET", "/docs", nil)
	r.into(http.StatusOK, nil)
	if !strings.HasPrefix(r.header.Get("Content-Security-Policy"), "default-src 'none'; style-src 'sha256-") {
		t.Errorf("%v", r.header)
	}
	page := string(r.body)
	if found := regexp.MustCompile(`(?i)<script|<link|<img|src=|@import|url\(|\son\w+=`).FindString(page); found != "" {
		t.Errorf("the page has %s", found)
	}
	for _, word := range []string{"/github/secrets/sync", "syncedCount", "summary.totalSecrets", "GITHUB_SECRETS_SOURCE_UNAVAILABLE", "quotaRemaining.core", "conflicts[].valueHashes"} {
		if !strings.Contains(page, word) {
			t.Errorf("the page does not tell of %s", word)
		}
	}
}

// What a service returns reaches the answer whole: no field is lost on the way into its shape.
func TestShapesLoseNothing(t *testing.T) {
	for name, pair := range shapes() {
		raw, err := json.Marshal(pair[0])
		must(t, err)
		must(t, json.Unmarshal(raw, pair[1]))
		shaped, err := json.Marshal(pair[1])
		must(t, err)
		var want, got map[string]any
		must(t, json.Unmarshal(raw, &want))
		must(t, json.Unmarshal(shaped, &got))
		compare(t, name, want, got)
	}
}

func compare(t *testing.T, at string, want, got any) {
	t.Helper()
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		for key, v := range want {
			if _, there := fields[key]; !ok || !there {
				t.Errorf("%s.%s is lost", at, key)
				continue
			}
			compare(t, at+"."+key, v, fields[key])
		}
	case []any:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			t.Errorf("%s: %v, want %v", at, got, want)
			return
		}
		for i := range want {
			compare(t, at+"[]", want[i], list[i])
		}
	default:
		if want != got {
			t.Errorf("%s: %v, want %v", at, got, want)
		}
	}
}
