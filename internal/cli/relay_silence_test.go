//go:build unix

package cli_test

import (
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// silent is a workflow that starts, and does not do what it is there for.
const silent = `
on:
  workflow_dispatch:
    inputs:
      sync_id: {required: false}
permissions: {}
jobs:
  relay:
    runs-on: ubuntu-latest
    steps:
      - run: STEP
`

// Whatever keeps a job from coming, whoever asked hears in time what it is; once it is put right, the
// next plain request goes through.
func TestWhoeverAsksHearsWhatIsMissing(t *testing.T) {
	long(t)
	file := func(text string) func(*office) {
		return func(o *office) { o.github.SetWorkflow(widgets, ".github/workflows/octoseal.yml", text) }
	}
	for name, c := range map[string]struct {
		breaks func(*office)
		says   []string
	}{
		"no workflow":      {func(o *office) { o.github.RemoveWorkflow(widgets, ".github/workflows/octoseal.yml") }, []string{"did not start the job", "Run octoseal init"}},
		"Actions disabled": {func(o *office) { o.github.DisableActions(widgets, true) }, []string{"did not start the job", "disabled"}},
		"another input":    {file(strings.ReplaceAll(silent, "sync_id", "id")), []string{"input sync_id", "octoseal init --check"}},
		"a silent job":     {file(strings.ReplaceAll(silent, "STEP", "sleep 60")), []string{"no job of acme/widgets has claimed the run", "waits for it until"}},
		"a failing job":    {file(strings.ReplaceAll(silent, "STEP", "exit 1")), []string{"ended (failure) before it claimed the run", "octoseal init --names", "octoseal init --pin"}},
		"another job":      {file(strings.ReplaceAll(silent, "STEP", "true")), []string{"ended (success) before it claimed the run", "does not run octoseal relay"}},
		"an old key": {func(o *office) {
			o.github.RotateKey(widgets, "dependabot")
			o.github.RotateKey(widgets, "codespaces")
		}, []string{"octoseal init --pin"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t)
			o.set("TOKEN", "silence-canary")
			o.github.Advance(time.Minute)
			o.hooked()
			o.serve("--poll-interval", "off", "--relay-complaint", "3s")
			o.open()
			c.breaks(o)
			began := time.Now()
			code, talk := o.sync()
			if took := time.Since(began); code != 1 || took > 20*time.Second {
				t.Errorf("exit code %d after %s\n%s", code, took, o.told())
			}
			for _, words := range c.says {
				if !strings.Contains(talk, words) {
					t.Errorf("%q is not said:\n%s", words, talk)
				}
			}
			o.github.DisableActions(widgets, false)
			o.github.CancelRuns()
			o.commit()
			if code, talk := o.sync(); code != 0 {
				t.Fatalf("put right: exit code %d\n%s\n%s", code, talk, o.told())
			}
			o.copied(0, map[string]string{"TOKEN": "silence-canary"})
		})
	}
}

// A queue that is slower than whoever asked is ready to wait: they are told, and the job that comes late
// brings the values all the same.
func TestALateJobSucceeds(t *testing.T) {
	long(t)
	o := newOffice(t)
	o.set("TOKEN", "late-canary")
	o.github.Advance(time.Minute)
	o.employ(githubsim.Runner{QueueTime: 4 * time.Second})
	o.serve("--poll-interval", "off", "--relay-complaint", "1s", "--wait-limit", "500ms")
	o.open()
	if code, talk := o.sync(); code != 1 || !strings.Contains(talk, "no job of acme/widgets has claimed the run") {
		t.Errorf("exit code %d\n%s", code, talk)
	}
	if _, there := o.github.Value(widgets, "dependabot", "TOKEN"); there {
		t.Fatal("the job was not late")
	}
	runs := o.jobsOver()
	if len(runs) != 1 || runs[0].Conclusion != "success" {
		t.Errorf("%s", o.told())
	}
	o.copied(0, map[string]string{"TOKEN": "late-canary"})
	code, out, talk := o.octoseal("audit", "list", "--repo", widgets)
	if code != 0 || strings.Count(out, "sync_all") != 1 || !strings.Contains(out, "success") {
		t.Errorf("one run, which succeeded, is not what is on record:\n%s%s", out, talk)
	}
}
