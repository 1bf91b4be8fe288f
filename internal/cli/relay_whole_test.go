//go:build unix

package cli_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// An office is a service with its relay on, and a repository whose jobs really run: nothing stands in
// for anything but GitHub.
type office struct {
	*bench
	api     string // of GitHub
	address string // where the service listens
	url     string // where jobs reach it
	action  string
	token   string
	service *exec.Cmd
	logs    []string
}

func newOffice(t testing.TB) *office {
	t.Helper()
	o := &office{bench: newBench(t)}
	action, err := os.ReadFile("../../action.yml")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.github.Close)
	for _, v := range o.environ {
		if url, ok := strings.CutPrefix(v, "OCTOSEAL_GITHUB_API_URL="); ok {
			o.api = url
		}
	}
	o.action = string(action)
	o.employ(githubsim.Runner{})
	if o.address, err = freeAddress(); err != nil {
		t.Fatal(err)
	}
	o.url = "http://" + o.address
	o.environ = append(o.environ, "OCTOSEAL_DATABASE="+filepath.Join(o.folder, "server.db"), "OCTOSEAL_ACTION_REF="+strings.Repeat("0a", 20), "OCTOSEAL_LEASE_LAPSE=2s")
	return o
}

// freeAddress is one that nobody listens at.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// employ has jobs carried out from now on as r says, with the program under test.
func (o *office) employ(r githubsim.Runner) {
	r.URL, r.Command, r.Action = o.api, []string{o.path()}, o.action
	o.github.SetRunner(r)
}

// serve starts the service, and waits until it answers.
func (o *office) serve(flags ...string) {
	o.Helper()
	log := filepath.Join(o.folder, fmt.Sprintf("log-%d", len(o.logs)))
	o.logs = append(o.logs, log)
	file, err := os.Create(log)
	if err != nil {
		o.Fatal(err)
	}
	defer file.Close()
	o.service = o.command(append([]string{
		"serve", "--listen", o.address, "--public-url", o.url, "--schedule", "off", "--roster-interval", "200ms",
		"--log-level", "debug", "--drain", "5s",
	}, flags...)...)
	o.service.Stderr = file
	if err := o.service.Start(); err != nil {
		o.Fatal(err)
	}
	service := o.service
	o.Cleanup(func() {
		_ = service.Process.Signal(os.Interrupt)
		_, _ = service.Process.Wait()
	})
	for range 500 {
		if res, err := http.Get("http://" + o.address + "/readyz"); err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	text, _ := os.ReadFile(log)
	o.Fatalf("the service does not answer:\n%s", text)
}

// close ends the service.
func (o *office) close() {
	o.Helper()
	if err := o.service.Process.Signal(os.Interrupt); err != nil {
		o.Fatal(err)
	}
	if state, err := o.service.Process.Wait(); err != nil || !state.Success() {
		o.Errorf("the service ended with %s, %v\n%s", state, err, o.told())
	}
}

// open makes the project, a token, and the workflow, as somebody would who begins.
func (o *office) open() {
	o.Helper()
	o.inStep("project", "add", "--repo", widgets)
	code, out, talk := o.octoseal("token", "create", "--user", "ada", "--role", "admin")
	if o.token = strings.TrimSpace(out); code != 0 {
		o.Fatal(talk)
	}
	if err := os.Mkdir(filepath.Join(o.folder, ".git"), 0o700); err != nil {
		o.Fatal(err)
	}
	o.commit()
}

// commit has init write the workflow, and puts it on the default branch.
func (o *office) commit(args ...string) {
	o.Helper()
	o.inStep(append([]string{"init", "--server", o.url, "--repo", widgets}, args...)...)
	text, err := os.ReadFile(filepath.Join(o.folder, ".github/workflows/octoseal.yml"))
	if err != nil {
		o.Fatal(err)
	}
	o.github.SetWorkflow(widgets, ".github/workflows/octoseal.yml", string(text))
}

// sync asks the service for a run, as somebody with nothing but a token.
func (o *office) sync() (code int, talk string) {
	o.Helper()
	cmd := o.command("sync", "--server", o.url, "--repo", widgets)
	cmd.Env = append(cmd.Env, "OCTOSEAL_TOKEN="+o.token, "OCTOSEAL_GITHUB_TOKEN=", "OCTOSEAL_DATABASE="+filepath.Join(o.folder, "nowhere.db"))
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode(), out.String()
}

func (o *office) set(name, value string) {
	o.github.SetSecret(widgets, "actions", githubsim.Secret{Name: name, Value: value})
}

// jobsOver returns the runs of the workflow once none goes on.
func (o *office) jobsOver() []githubsim.WorkflowRun {
	o.Helper()
	ctx, cancel := context.WithTimeout(o.Context(), time.Minute)
	defer cancel()
	if err := o.github.AwaitRuns(ctx); err != nil {
		o.Fatalf("%v\n%s", err, o.told())
	}
	return o.github.WorkflowRuns(widgets)
}

// copied holds that the targets have what Actions has.
func (o *office) copied(within time.Duration, want map[string]string) {
	o.Helper()
	var wrong string
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		wrong = ""
		for name, value := range want {
			for _, scope := range []string{"codespaces", "dependabot"} {
				if got, _ := o.github.Value(widgets, scope, name); got != value {
					wrong = fmt.Sprintf("%s has %.40q for %s", scope, got, name)
				}
			}
		}
		if wrong == "" || time.Now().After(end) {
			break
		}
	}
	if wrong != "" {
		o.Errorf("%s\n%s", wrong, o.told())
	}
}

// told is what the service and the jobs wrote, for whoever has to find out.
func (o *office) told() string {
	var b strings.Builder
	for _, log := range o.logs {
		b.WriteString(lastOf(log, 30))
	}
	for _, run := range o.github.WorkflowRuns(widgets) {
		fmt.Fprintf(&b, "\nworkflow run %d: %s %s\n%s", run.ID, run.Status, run.Conclusion, run.Log)
	}
	return b.String()
}

// From secrets that stand in Actions to both targets, with no file and no vault; then one that changes,
// which is asked for alone. Neither the database nor a log holds a value.
func TestTheRelayAsAWhole(t *testing.T) {
	o := newOffice(t)
	want := map[string]string{}
	for i := range 20 {
		want[fmt.Sprintf("SECRET_%02d", i)] = fmt.Sprintf("whole-canary-%02d", i)
	}
	want["BIG"] = strings.Repeat("whole-canary", 4000)
	for name, value := range want {
		o.set(name, value)
	}
	o.set("RUNNER_EXTRA", "whole-canary-excluded")
	o.github.Advance(time.Minute)
	o.serve("--poll-interval", "500ms", "--drift-interval", "500ms")
	o.open()
	if code, talk := o.sync(); code != 0 {
		t.Fatalf("exit code %d\n%s\n%s", code, talk, o.told())
	}
	o.copied(0, want)
	before := len(o.github.WorkflowRuns(widgets))
	want["SECRET_07"] = "whole-canary-changed"
	o.set("SECRET_07", want["SECRET_07"])
	o.copied(30*time.Second, want)
	runs := o.jobsOver()
	if last := runs[len(runs)-1]; len(runs) != before+1 || strings.Contains(last.Summary, "SECRET_08") || !strings.Contains(last.Summary, "SECRET_07") {
		t.Errorf("%d workflow runs after %d:\n%s", len(runs), before, last.Summary)
	}
	o.close()
	files, err := filepath.Glob(filepath.Join(o.folder, "*"))
	if err != nil || len(files) < 2 {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		if text, err := os.ReadFile(file); err == nil && bytes.Contains(text, []byte("whole-canary")) {
			t.Errorf("a value is in %s", file)
		}
	}
	o.inStep("audit", "verify", "--repo", widgets)
}

// The service dies while a job is at it, again and again. The job claims anew, and in the end
// everything is in step.
func TestTheServiceDiesDuringARelay(t *testing.T) {
	long(t)
	o := newOffice(t)
	o.serve("--poll-interval", "500ms")
	o.open()
	want := map[string]string{}
	for round := range 4 {
		for i := range 20 {
			name := fmt.Sprintf("SECRET_%02d", i)
			want[name] = fmt.Sprintf("round-%d-of-%02d", round, i)
			o.set(name, want[name])
		}
		o.github.Advance(time.Minute)
		done := make(chan struct{})
		go func() {
			defer close(done)
			o.sync() // its server dies, and so may it
		}()
		time.Sleep(time.Duration(200+250*round) * time.Millisecond)
		_ = o.service.Process.Kill()
		_, _ = o.service.Process.Wait()
		o.serve("--poll-interval", "500ms")
		<-done
		o.copied(time.Minute, want)
		if t.Failed() {
			return
		}
	}
	o.inStep("audit", "verify", "--repo", widgets)
}
