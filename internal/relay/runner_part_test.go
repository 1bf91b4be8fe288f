package relay_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
)

func valuesAreGone([]secret.Name) (map[secret.Name]secret.Plaintext, error) {
	return nil, fault.New(fault.SourceUnavailable, fault.Context{"reason": "there is no variable OCTOSEAL_SECRETS"})
}

// parts runs each map of values as one step of a job, and returns what the last one ended with.
func (c *counterpart) parts(folder string, steps ...map[string]string) (relay.Report, error) {
	for i, values := range steps {
		cfg := c.job(values)
		cfg.Part = relay.Part{Number: i + 1, Of: len(steps), Folder: folder}
		report, err := relay.Run(c.t.Context(), cfg)
		if err != nil || i == len(steps)-1 {
			return report, err
		}
		if !report.Done || report.State != relay.SetAside || len(c.messages) > 0 {
			c.t.Errorf("part %d ended with %+v, and %d messages were sent", i+1, report, len(c.messages))
		}
	}
	return relay.Report{}, nil
}

// Several steps have the values between them, and the last one hands all boxes on. What lies on the
// disk meanwhile is no value.
func TestParts(t *testing.T) {
	c := newCounterpart(t, "codespaces", "dependabot")
	c.want("A", "B", "C", "D", "EMPTY")
	folder := t.TempDir()
	_, err := c.parts(folder, map[string]string{"A": "value of a", "EMPTY": ""}, map[string]string{"B": "value of b"}, map[string]string{"C": "value of c"})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"A": "value of a", "B": "value of b", "C": "value of c"} {
		c.holds(name, value)
	}
	if c.arrived["D"].Problem != relay.ProblemAbsent || c.arrived["EMPTY"].Problem != relay.ProblemEmpty || len(c.arrived) != 5 {
		t.Errorf("%+v", c.arrived)
	}
	if c.claims != 3 || len(c.finished) != 1 {
		t.Errorf("%d claims, %d finished", c.claims, len(c.finished))
	}
	files, _ := filepath.Glob(filepath.Join(folder, "octoseal-relay", "*"))
	if len(files) != 2 {
		t.Errorf("files: %v", files)
	}
	for _, file := range files {
		text, _ := os.ReadFile(file)
		info, _ := os.Stat(file)
		if info.Mode().Perm() != 0o600 || strings.Contains(string(text), "value of") || strings.Contains(string(text), "osr_") {
			t.Errorf("%s, %s: %s", file, info.Mode(), text)
		}
	}
}

// A key that GitHub changed between two steps, pinned both, costs the secrets of the earlier step
// and no more: a box for the old key is not passed off as one for the new.
func TestPartForAnOldKeyIsLeftOut(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A", "B")
	folder := t.TempDir()
	cfg := c.job(map[string]string{"A": "value of a"})
	cfg.Part = relay.Part{Number: 1, Of: 2, Folder: folder}
	if _, err := relay.Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	c.keys[0] = c.makeKey("codespaces", "2")
	c.pins = append(c.pins, pinOf(t, c.keys[0]))
	cfg = c.job(map[string]string{"B": "value of b"})
	cfg.Part = relay.Part{Number: 2, Of: 2, Folder: folder}
	if _, err := relay.Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	c.holds("B", "value of b")
	if _, there := c.arrived["A"]; there {
		t.Errorf("%+v", c.arrived["A"])
	}
}

// What another run left is not sent, nor is anything when a step is missing.
func TestPartsBelongToOneRun(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A", "B")
	folder := t.TempDir()
	last := c.job(map[string]string{"B": "value"})
	last.Part = relay.Part{Number: 2, Of: 2, Folder: folder}
	if _, err := relay.Run(t.Context(), last); !fault.Is(err, fault.SourceUnavailable) || !strings.Contains(err.Error(), "left no boxes") {
		t.Errorf("%v", err)
	}
	c.untouched(fault.SourceUnavailable)
	first := c.job(map[string]string{"A": "value"})
	first.SyncID, first.Part = "", relay.Part{Number: 1, Of: 2, Folder: folder} // a run of its own
	if _, err := relay.Run(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	c.finished = nil
	if _, err := relay.Run(t.Context(), last); !fault.Is(err, fault.SourceUnavailable) || !strings.Contains(err.Error(), "another run") {
		t.Errorf("%v", err)
	}
	c.untouched(fault.SourceUnavailable)
}
