package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/cli"
	"github.com/octoseal/octoseal/internal/githubsim"
)

// canaries are values that can be found wherever they may have leaked to.
var canaries = []string{
	"canary one +/= with spaces",
	"canary-two\nover \"several\" lines\nof it",
	"canary&three?ü",
	"CANARY_FOUR_0123456789abcdef0123456789",
}

// search reports every canary in text.
func (b *bench) search(where, text string, secrets ...string) {
	b.Helper()
	for _, value := range append(secrets, canaries...) {
		if form := githubsim.Shows(text, value); form != "" {
			b.Errorf("%s shows %.80q", where, form)
		}
	}
}

// searchFiles looks into everything that the program left behind.
func (b *bench) searchFiles() {
	b.Helper()
	seen := 0
	err := filepath.WalkDir(filepath.Join(b.folder, "state"), func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		seen++
		text, err := os.ReadFile(path)
		b.search(filepath.Base(path), string(text))
		return err
	})
	if err != nil || seen == 0 {
		b.Errorf("%d files, %v", seen, err)
	}
}

func (b *bench) plant() {
	values := map[string]string{}
	for i, c := range canaries {
		values[fmt.Sprintf("CANARY_%d", i)] = c
	}
	text, _ := json.Marshal(values)
	inPlace, _ := json.Marshal(canaries[1])
	for name, text := range map[string]string{
		"values.json":       string(text),
		"environments.yaml": "environments: [{name: dev, secrets: [CANARY_0, CANARY_1, CANARY_2, CANARY_3]}]",
		"more.yaml":         "environments: [{name: dev, secrets: {MORE: {from: CANARY_0}}}]",
		"with.yaml":         "environments: [{name: dev, secrets: {ONE: " + string(inPlace) + ", " + canaries[3] + ": {}}}]",
	} {
		if err := os.WriteFile(filepath.Join(b.folder, name), []byte(text), 0o600); err != nil {
			b.Fatal(err)
		}
	}
}

// TestNoValueInAnyOutput runs every command that knows a value or could be told one, at debug level.
func TestNoValueInAnyOutput(t *testing.T) {
	long(t)
	b := newBench(t)
	b.plant()
	b.environ = append(b.environ, "OCTOSEAL_LOG_LEVEL=debug", "ENV_CANARY="+canaries[0], "CANARY_TOKEN="+canaries[3])
	run := func(stdin string, args ...string) {
		cmd := b.command(args...)
		var out, talk bytes.Buffer
		cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &talk
		_ = cmd.Run() // some of these are to go wrong
		b.search("stdout of "+args[0], out.String())
		b.search("stderr of "+args[0], talk.String())
		b.searchFiles()
	}
	rounds := [][]string{
		{"sync", "--from", "values.json"},
		{"plan", "--from", "values.json", "--json"},
		{"sync", "--from", "values.json", "--json", "--log-format", "json"},
		{"sync", "--from", "env:ENV_"},
		{"sync", "--from", "exec:echo '" + canaries[3] + " is no assignment'"},
		{"sync", "--from", "exec:echo BAD-NAME='" + canaries[3] + "'"},
		{"env", "plan", "--from", "values.json"},
		{"env", "apply", "--from", "values.json", "--json", "--log-format", "json"},
		{"env", "apply", "--from", "values.json"}, {"env", "list", "--json"}, {"env", "plan", "-f", "values.json"}, {"env", "plan", "-f", "with.yaml"},
		{"status", "--json"}, {"validate", "--json"}, {"audit", "list", "--json"}, {"audit", "verify"}, {"doctor", "--json"},
	}
	for _, args := range rounds {
		run("", args...)
	}
	run(canaries[1], "set", "ONE_VALUE")
	run(canaries[2], "set", "ONE_VALUE", "--json")
	run("{\"A\": \""+canaries[2]+"\"", "sync", "--from", "-", "--format", "json")

	// GitHub refuses a write and repeats what it was sent, which is what it does.
	echo, _ := json.Marshal(map[string]string{"message": "Validation Failed: " + canaries[0] + " " + canaries[3]})
	b.github.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{
		{Method: "PUT", Answer: &githubsim.Answer{Status: 422, Body: string(echo)}},
	}})
	run("", "sync", "--from", "values.json", "--force", "--scopes", "dependabot")
	run("", "env", "apply", "--from", "values.json", "--force", "-f", "more.yaml")
	run(canaries[3], "set", "TWO_VALUES")
	run(canaries[3], "set", "TWO_VALUES", "--json")
}

// TestNoValueInWhatAKilledRunLeaves looks into the journal of a run that had no time to tidy up.
func TestNoValueInWhatAKilledRunLeaves(t *testing.T) {
	b := newBench(t)
	b.plant()
	b.github.SetFaults(githubsim.Faults{Latency: 200 * time.Millisecond})
	cmd := b.command("sync", "--from", "values.json")
	wrote := make(chan struct{}, 100)
	b.github.OnRequest(func(r githubsim.Request) {
		if r.Method == "PUT" {
			wrote <- struct{}{}
		}
	})
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-wrote
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	b.searchFiles()
}

// A thrower panics with a value when it is written to.
type thrower struct{ value any }

func (t thrower) Write([]byte) (int, error) { panic(t.value) }

// TestPanic holds what a crash may say: no value, no stack, and where to look.
func TestPanic(t *testing.T) {
	b := &bench{TB: t}
	for _, value := range []any{canaries[0], fmt.Errorf("wrapped: %s", canaries[3])} {
		var talk bytes.Buffer
		code := cli.Run(context.Background(), cli.Process{
			Name: "octoseal", Args: []string{"version"}, In: strings.NewReader(""), Out: thrower{value}, Err: &talk,
		})
		if code != 1 {
			t.Errorf("exit code %d, want 1", code)
		}
		b.search("stderr", talk.String())
		if !strings.HasPrefix(talk.String(), "octoseal: something unexpected happened") || strings.Contains(talk.String(), "goroutine") {
			t.Errorf("stderr: %s", talk.String())
		}
	}
}
