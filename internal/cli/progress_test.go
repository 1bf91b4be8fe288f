package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/syncing"
)

// A run that stands still says why, once in a while.
func TestStandingStill(t *testing.T) {
	for _, c := range []struct {
		left time.Duration
		want string
	}{
		{50 * time.Second, "1 of 3 done; holding back for GitHub's limits, about 50 s to go\n"},
		{time.Second, "1 of 3 done; GitHub takes its time\n"},
	} {
		var talk bytes.Buffer
		p := &progress{screen: newScreen(Process{Err: &talk}), left: func(int) time.Duration { return c.left }}
		p.hear(syncing.Event{Stage: syncing.Writing, Done: 1, Total: 3})
		p.stand()
		p.hear(syncing.Event{Stage: syncing.Writing, Done: 3, Total: 3})
		p.stand()
		p.end()
		if _, said, _ := strings.Cut(talk.String(), "\n"); said != c.want {
			t.Errorf("said %q, want %q", said, c.want)
		}
	}
}

// Cells are cut in their middle where the screen is too narrow, and nowhere else.
func TestTableWidth(t *testing.T) {
	long := "A" + strings.Repeat("_LONG", 19) + "_END"
	for _, c := range []struct {
		columns string
		bound   int
	}{{"80", 80}, {"40", 40}, {"", 200}} {
		var out bytes.Buffer
		s := newScreen(Process{Out: &out, Environ: []string{"COLUMNS=" + c.columns}}).out
		table{head: []string{"SECRET", "ACTIONS", "CODESPACES"}, rows: [][]cell{{{text: long}, {text: "created"}, {text: "in step"}}}}.print(s)
		for line := range strings.Lines(out.String()) {
			if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > c.bound {
				t.Errorf("COLUMNS=%s: %d wide: %s", c.columns, n, line)
			}
		}
		if whole := strings.Contains(out.String(), long); whole != (c.columns == "") {
			t.Errorf("COLUMNS=%s: %s", c.columns, out.String())
		}
		if !strings.Contains(out.String(), "_END") {
			t.Errorf("COLUMNS=%s: the end of the name is gone: %s", c.columns, out.String())
		}
	}
}
