package fault

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/errors.md anew")

// TestDocs keeps docs/errors.md what the table says. After a change of the table:
//
//	go test ./internal/fault -run TestDocs -update
func TestDocs(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "errors.md")
	want := docs()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("docs/errors.md is not what the table says: run go test ./internal/fault -run TestDocs -update (%v)", err)
	}
}

// docs is the table for people, in its own order.
func docs() string {
	var b strings.Builder
	b.WriteString(`# Error codes

Everything that can go wrong has one code, in the API's envelope, in the JSON of the command line, in
the audit trail and here. Codes are added, never renamed; messages and hints may improve. Braces stand
for what a fault's ` + "`context`" + ` holds. An answer of 200 reports the code inside it.

Retry says whether the same request may be sent again: ` + "`none`" + ` (something has to change first),
` + "`safe`" + ` (nothing was done), ` + "`idempotent`" + ` (doing it twice is doing it once).

<!-- Made from internal/fault/table.go by its test, which fails when this file is out of date. -->

`)
	b.WriteString("| code | status | severity | retry | message | what to do |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, k := range Kinds() {
		fmt.Fprintf(&b, "| `%s` | %d %s | %s | %s | %s | %s |\n",
			k.Code, k.Status, http.StatusText(k.Status), k.Severity, k.Retry, cell(k.Message), cell(k.Hint))
	}
	return b.String()
}

// cell writes s so that it stays in its cell and its braces are shown.
func cell(s string) string {
	return braced.ReplaceAllString(strings.ReplaceAll(s, "|", `\|`), "`{$1}`")
}
