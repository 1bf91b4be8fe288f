//go:build unix

package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/relay"
)

// A workplace is a repository of a simulated GitHub whose jobs really run: with the file that init
// wrote, the action of this checkout, and the program itself. A clerk stands in for the server; what
// it takes goes into the simulator, which opens every box.
type workplace struct {
	*clerk
	token, api string
}

func newWorkplace(t *testing.T, wanted ...string) *workplace {
	t.Helper()
	w := &workplace{clerk: newClerk(t, wanted...)}
	w.github = githubsim.New(githubsim.Config{})
	t.Cleanup(w.github.Close)
	w.github.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
	w.api, w.token = conform.Server(t, w.github), w.github.AddToken(githubsim.Token{})
	w.environ = append(settled(os.Environ()), "HOME="+w.folder, "OCTOSEAL_REPO="+widgets, "OCTOSEAL_GITHUB_API_URL="+w.api,
		"OCTOSEAL_GITHUB_TOKEN="+w.token, "OCTOSEAL_SERVER="+w.url, "OCTOSEAL_ACTION_REF="+strings.Repeat("0a", 20))
	action, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.github.SetRunner(githubsim.Runner{URL: w.api, Command: []string{self}, Action: string(action)})
	if err := os.Mkdir(filepath.Join(w.folder, ".git"), 0o700); err != nil {
		t.Fatal(err)
	}
	w.useKeyOf("codespaces")
	return w
}

// useKeyOf has the clerk offer GitHub's own key.
func (w *workplace) useKeyOf(scope string) {
	var key struct {
		ID  string `json:"key_id"`
		Key string `json:"key"`
	}
	if err := json.Unmarshal(w.ask("GET", "/repos/"+widgets+"/"+scope+"/secrets/public-key", ""), &key); err != nil {
		w.Fatal(err)
	}
	w.key = relay.Key{Scope: scope, KeyID: key.ID, Key: key.Key}
}

func (w *workplace) ask(method, path, body string) []byte {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, w.api+path, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode >= 300 {
		w.Fatalf("%s %s: %s %s %v", method, path, res.Status, text, err)
	}
	return text
}

// begin has init write the workflow, and commits it.
func (w *workplace) begin(args ...string) {
	w.Helper()
	w.inStep(append([]string{"init"}, args...)...)
	text, err := os.ReadFile(filepath.Join(w.folder, ".github/workflows/octoseal.yml"))
	if err != nil {
		w.Fatal(err)
	}
	w.github.SetWorkflow(widgets, ".github/workflows/octoseal.yml", string(text))
}

// dispatch starts the workflow and returns its run once that is over.
func (w *workplace) dispatch(syncID string) githubsim.WorkflowRun {
	w.Helper()
	w.ask("POST", "/repos/"+widgets+"/actions/workflows/octoseal.yml/dispatches", fmt.Sprintf(`{"ref":"main","inputs":{"sync_id":%q}}`, syncID))
	return w.over()
}

func (w *workplace) over() githubsim.WorkflowRun {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), time.Minute)
	defer cancel()
	if err := w.github.AwaitRuns(ctx); err != nil {
		w.Fatal(err)
	}
	runs := w.github.WorkflowRuns(widgets)
	return runs[len(runs)-1]
}

// delivered puts the boxes into GitHub and checks that they open as the values they should.
func (w *workplace) delivered(want map[string]string) {
	w.Helper()
	for name, value := range want {
		w.ask("PUT", "/repos/"+widgets+"/codespaces/secrets/"+name, fmt.Sprintf(`{"encrypted_value":%q,"key_id":%q}`, w.boxes[name], w.key.KeyID))
		if got, _ := w.github.Value(widgets, "codespaces", name); got != value {
			w.Errorf("%s holds %.40q", name, got)
		}
	}
}

// The workflow as init writes it, in each of its forms, carries what is asked for and nothing else.
func TestTheWorkflowThatInitWritesWorks(t *testing.T) {
	long(t)
	for _, args := range [][]string{nil, {"--names"}, {"--split", "3"}, {"--schedule", "0 3 * * *"}} {
		t.Run(strings.Join(args, " "), func(t *testing.T) {
			w := newWorkplace(t, "CANARY_0", "CANARY_1", "CANARY_2", "GONE")
			want := map[string]string{}
			for i, value := range canaries {
				name := fmt.Sprintf("CANARY_%d", i)
				w.github.SetSecret(widgets, "actions", githubsim.Secret{Name: name, Value: value})
				want[name] = value
			}
			delete(want, "CANARY_3") // nobody asks for it
			w.begin(args...)
			asked := uuid.NewString()
			run := w.dispatch(asked)
			if run.Conclusion != "success" || len(w.boxes) != 3 || w.problems["GONE"] == "" || !strings.Contains(w.wire.String(), asked) {
				t.Fatalf("%s, %d boxes\n%s", run.Conclusion, len(w.boxes), run.RawLog)
			}
			w.delivered(want)
			w.search("the log", run.RawLog+run.RawSummary+w.wire.String())
			if !strings.Contains(run.Summary, "synced 4") {
				t.Errorf("summary:\n%s", run.Summary)
			}
		})
	}
}

// On its schedule the job claims without a sync id.
func TestTheScheduledWorkflowOpensARun(t *testing.T) {
	w := newWorkplace(t, "ONE")
	w.github.SetSecret(widgets, "actions", githubsim.Secret{Name: "ONE", Value: "first"})
	w.begin("--schedule", "0 3 * * *")
	w.github.StartRun(widgets, "schedule")
	if run := w.over(); run.Conclusion != "success" || strings.Contains(w.wire.String(), "syncId\":\"\"") {
		t.Fatalf("%s\n%s", run.Conclusion, run.RawLog)
	}
	w.delivered(map[string]string{"ONE": "first"})
}

// Text for a shell in the place of the sync id is refused before anybody is asked anything.
func TestAnEvilSyncID(t *testing.T) {
	w := newWorkplace(t, "ONE")
	w.github.SetSecret(widgets, "actions", githubsim.Secret{Name: "ONE", Value: "first"})
	w.begin()
	for _, evil := range []string{`"; touch evil; "`, "$(touch evil)", "`touch evil`", "x\ntouch evil", "${{ secrets.ONE }}", "'; touch evil; '"} {
		run := w.dispatch(evil)
		if run.Conclusion != "failure" || !strings.Contains(run.RawLog, "the sync id is no UUID") || w.wire.Len() > 0 {
			t.Errorf("%q: %s\n%s%s", evil, run.Conclusion, run.RawLog, w.wire.String())
		}
	}
}

// More than a variable holds does not start, and init --names is the way out that the docs name.
func TestLargeSecretsWithNames(t *testing.T) {
	w := newWorkplace(t, "LARGE_0", "LARGE_1", "LARGE_2", "LARGE_3")
	want := map[string]string{}
	for i := range 4 {
		name := fmt.Sprintf("LARGE_%d", i)
		want[name] = strings.Repeat(fmt.Sprint(i), 48<<10)
		w.github.SetSecret(widgets, "actions", githubsim.Secret{Name: name, Value: want[name]})
	}
	w.begin()
	if run := w.dispatch(uuid.NewString()); run.Conclusion != "failure" || !strings.Contains(run.RawLog, "Argument list too long") || w.wire.Len() > 0 {
		t.Errorf("%s\n%s", run.Conclusion, run.RawLog)
	}
	w.begin("--names")
	if run := w.dispatch(uuid.NewString()); run.Conclusion != "success" {
		t.Fatalf("%s\n%s", run.Conclusion, run.RawLog)
	}
	w.delivered(want)
}

// What does not fit one process fits several.
func TestTooMuchForOneProcessInParts(t *testing.T) {
	long(t)
	var names []string
	want := map[string]string{}
	for i := range 60 {
		name := fmt.Sprintf("LARGE_%02d", i)
		names, want[name] = append(names, name), strings.Repeat(fmt.Sprintf("%02d", i), 22<<10)
	}
	w := newWorkplace(t, names...)
	for _, name := range names {
		w.github.SetSecret(widgets, "actions", githubsim.Secret{Name: name, Value: want[name]})
	}
	w.begin("--names")
	if run := w.dispatch(uuid.NewString()); run.Conclusion != "failure" || !strings.Contains(run.RawLog, "Argument list too long") {
		t.Errorf("%s\n%s", run.Conclusion, run.RawLog)
	}
	w.begin("--split", "2")
	if run := w.dispatch(uuid.NewString()); run.Conclusion != "success" {
		t.Fatalf("%s\n%s", run.Conclusion, run.RawLog)
	}
	w.delivered(want)
}

// In parts too, with a service that is one: each part claims, and the last one sends for all.
func TestPartsAsAWhole(t *testing.T) {
	long(t)
	o := newOffice(t)
	want := map[string]string{}
	for i := range 7 {
		name := fmt.Sprintf("SECRET_%02d", i)
		want[name] = fmt.Sprintf("whole-canary-%02d", i)
		o.set(name, want[name])
	}
	o.github.Advance(time.Minute)
	o.serve("--poll-interval", "off")
	o.open()
	o.commit("--split", "3")
	if code, talk := o.sync(); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, talk, o.told())
	}
	o.copied(0, want)
}
