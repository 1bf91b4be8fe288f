package relay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/fault"
)

func TestSummary(t *testing.T) {
	r := Report{Done: true, Synced: 1, Skipped: 2, Outcomes: []Outcome{
		{SecretName: "A", Scope: "codespaces", Verb: "create", OK: true},
		{SecretName: "B", Scope: "codespaces", Verb: "skip", OK: true},
		{SecretName: "C", Scope: "dependabot", Verb: "conflict", Code: fault.ConflictDetected, Error: "changed | by someone"},
		{SecretName: "D", Scope: "dependabot", Verb: "update", Code: fault.RequestInvalid, Error: "no value", Hint: "<b>give</b> it one, see https://example or www.example"},
	}}
	want := "## Octoseal\n\nsynced 1, skipped 2, conflicts 1, errors 1\n\n| Secret | Scope | Outcome |\n| --- | --- | --- |\n" +
		"| C | dependabot | conflict: changed &#124; by someone |\n" +
		"| D | dependabot | not updated: no value: &#60;b&#62;give&#60;/b&#62; it one, see https: //example or www .example |\n" +
		"| A | codespaces | created |\n"
	if got := Summary(r, nil); got != want {
		t.Errorf("summary is\n%s\nwant\n%s", got, want)
	}
	if !r.Attention() || (Report{Outcomes: r.Outcomes[:2]}).Attention() {
		t.Error("attention is not what fails")
	}
}

func TestSummaryOfAFailure(t *testing.T) {
	got := Summary(Report{}, fault.New(fault.EncryptionFailed, nil).Saying("not pinned").Hinting("octoseal init --pin"))
	if got != "## Octoseal\n\n**GITHUB_SECRETS_ENCRYPTION_FAILED**: not pinned\n\noctoseal init --pin\n\n" {
		t.Errorf("%q", got)
	}
	r := Report{Failure: &Failure{Code: fault.SourceUnavailable, Message: "no values"}}
	if got := Summary(r, nil); !strings.Contains(got, "no values") || r.Fault().Code != fault.SourceUnavailable {
		t.Errorf("%q", got)
	}
}

// A summary stays within what GitHub takes, and a server's words within their cell.
func TestSummaryIsBounded(t *testing.T) {
	var r Report
	for i := range 3000 {
		r.Outcomes = append(r.Outcomes, Outcome{SecretName: fmt.Sprintf("S%d", i), Verb: "error", Error: strings.Repeat("|\n", 2000)})
	}
	got := Summary(r, nil)
	if len(got) > 1<<20 || !strings.Contains(got, "and 2500 more") {
		t.Errorf("%d bytes", len(got))
	}
	for line := range strings.Lines(got) {
		if strings.HasPrefix(line, "| S") && strings.Count(line, "|") != 4 {
			t.Fatalf("a row with other cells: %.200s", line)
		}
	}
}
