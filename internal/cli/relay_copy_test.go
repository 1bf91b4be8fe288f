//go:build unix

package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// overheard has everything that the service and the jobs say to anybody go through wiretaps, one
// before the service and one before GitHub. It is called before serve.
func (o *office) overheard() (service, hub *githubsim.Wiretap) {
	o.Helper()
	front := func(server string) (*githubsim.Wiretap, string) {
		tap := githubsim.NewWiretap(server)
		srv := httptest.NewServer(tap)
		o.Cleanup(func() {
			srv.CloseClientConnections()
			srv.Close()
		})
		return tap, srv.URL
	}
	hub, o.api = front(o.api)
	o.environ = append(o.environ, "OCTOSEAL_GITHUB_API_URL="+o.api)
	o.employ(githubsim.Runner{})
	service, o.url = front(o.url)
	return service, hub
}

// post sends a message to the service's API, as somebody with a token.
func (o *office) post(path string, body any, into any) (status int, text string) {
	o.Helper()
	raw, err := json.Marshal(body)
	if err != nil {
		o.Fatal(err)
	}
	req, err := http.NewRequestWithContext(o.Context(), http.MethodPost, o.url+path, bytes.NewReader(raw))
	if err != nil {
		o.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+o.token)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		o.Fatal(err)
	}
	defer res.Body.Close()
	if raw, err = io.ReadAll(res.Body); err != nil {
		o.Fatal(err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		o.Fatalf("%v: %s", err, raw)
	}
	return res.StatusCode, string(raw)
}

// projectID is the only project there is.
func (o *office) projectID() string {
	o.Helper()
	code, out, talk := o.octoseal("project", "list", "--json")
	var list struct {
		Projects []struct{ ID string }
	}
	if err := json.Unmarshal([]byte(out), &list); code != 0 || err != nil || len(list.Projects) != 1 {
		o.Fatalf("%v: %s %s", err, out, talk)
	}
	return list.Projects[0].ID
}

// A synced is what POST /github/secrets/sync answers.
type synced struct {
	State        string
	SyncedCount  int
	SkippedCount int
	Errors       []struct{ SecretName, Scope, Code, Error, Hint string }
	Notices      []struct{ Code, SecretName, Message string }
}

// awkward are ways in which a value may be hard to carry.
var awkward = []string{
	"%s", " %s ", "%s\n", "\n%s", "%s\r\n\tx", `"%s"`, `'%s'`, `\%s\n`, "${{ secrets.%s }}", "$(touch %s)", "`%s`", "%%%s%%", "%s\x01\x7f", "ü%s€😀",
	"::set-output name=x::%s", "::add-mask::%s", "<!-- %s -->", "|%s|", "{\"a\":\"%s\"}", "%s=%s",
}

// inventory fills a repository with sixty secrets as they are found in one that people have worked in
// for years, and returns what has to arrive in the targets.
func inventory(o *office) map[string]string {
	want := map[string]string{}
	set := func(name, value string) {
		o.set(name, value)
		want[name] = value
	}
	for i := range 50 {
		canary := fmt.Sprintf("sixty-canary-%02d", i)
		set(fmt.Sprintf("SECRET_%02d", i), strings.ReplaceAll(awkward[i%len(awkward)], "%s", canary))
	}
	set("BIG", strings.Repeat("sixty-canary/big", 48<<10/16))
	for i, name := range []string{"ACTIONS_STEP_DEBUG", "ACTIONS_RUNNER_DEBUG", "RUNNER_EXTRA", "RUNNER_LABEL", "CI"} {
		o.set(name, fmt.Sprintf("sixty-canary-excluded-%d", i))
	}
	o.set("EMPTY", "")
	for i, name := range []string{"_LEADING", "__TWICE", "L" + strings.Repeat("O", 120) + "NG"} {
		o.set(name, fmt.Sprintf("sixty-canary-odd-%d", i))
	}
	for i := range 4 { // a repository's own comes before the organisation's
		o.github.SetOrganizationSecret("acme", githubsim.Secret{Name: fmt.Sprintf("SECRET_%02d", i), Value: "sixty-canary-of-the-organisation"})
	}
	o.github.SetOrganizationSecret("acme", githubsim.Secret{Name: "ELSEWHERE", Value: "sixty-canary-of-the-organisation"})
	o.github.Advance(time.Minute)
	return want
}

// What this is all for: sixty secrets stand in Actions, there is no file and no vault, and one request
// to the API brings both targets in step. Nobody but the job and GitHub ever sees a value.
func TestSixtySecretsWithNoFileAndNoVault(t *testing.T) {
	long(t)
	o := newOffice(t)
	want := inventory(o)
	if n := len(o.github.Secrets(widgets, "actions")); n != 60 {
		t.Fatalf("%d secrets", n)
	}
	wire, hub := o.overheard()
	o.serve("--poll-interval", "off")
	o.open()
	var run synced
	status, text := o.post("/github/secrets/sync", map[string]any{"projectId": o.projectID()}, &run)
	if status != http.StatusOK || run.SyncedCount != len(want) || run.SkippedCount != 5 {
		t.Fatalf("%d: %s\n%s", status, text, o.told())
	}
	var wrong, noted []string
	for _, e := range run.Errors {
		wrong = append(wrong, e.SecretName+" "+e.Scope+" "+e.Code)
	}
	if !slices.Equal(wrong, []string{"EMPTY codespaces REQUEST_INVALID", "EMPTY dependabot REQUEST_INVALID"}) {
		t.Errorf("errors: %q\n%s", wrong, text)
	}
	for _, n := range run.Notices {
		noted = append(noted, n.SecretName)
	}
	for _, name := range []string{"_LEADING", "__TWICE", "CI", "RUNNER_EXTRA"} {
		if !slices.Contains(noted, name) {
			t.Errorf("no notice of %s among %q", name, noted)
		}
	}
	o.copied(0, want)
	for _, scope := range []string{"codespaces", "dependabot"} {
		if n := len(o.github.Secrets(widgets, scope)); n != len(want) {
			t.Errorf("%s has %d secrets, want %d", scope, n, len(want))
		}
	}
	for _, tap := range []*githubsim.Wiretap{wire, hub} {
		o.searchAll("the wire", tap.Heard(), "SECRET_07")
	}
	o.searchAll("the answer", text, "EMPTY")
	for _, run := range o.jobsOver() {
		o.searchAll("the job's log", run.RawLog, "octoseal")
		o.searchAll("the job's page", run.RawSummary, "SECRET_07")
	}
	o.close()
	o.searchFolder()
	o.inStep("audit", "verify", "--repo", widgets)
}

// searchAll demands that a text shows the value of no secret, and that it is the text which is meant.
func (o *office) searchAll(where, text, marker string) {
	o.Helper()
	if !strings.Contains(text, marker) {
		o.Errorf("%s does not even have %s: %.500s", where, marker, text)
	}
	if strings.Contains(text, "sixty-canary") {
		o.Errorf("%s shows a value", where)
	}
	values := map[string]bool{"sixty-canary-of-the-organisation": true}
	for _, s := range o.github.Secrets(widgets, "actions") {
		values[s.Value] = true
	}
	for value := range values {
		if form := githubsim.Shows(text, value); form != "" {
			o.Errorf("%s shows %.60q as %.60q", where, value, form)
		}
	}
}

// searchFolder looks into all that processes have left: databases with their journals, logs, the workflow.
func (o *office) searchFolder() {
	o.Helper()
	all, databases := "", 0
	err := filepath.WalkDir(o.folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasPrefix(d.Name(), "server.db") {
			databases++
		}
		text, err := os.ReadFile(path)
		all += string(text)
		return err
	})
	if err != nil || databases == 0 {
		o.Fatalf("%d databases, %v", databases, err)
	}
	o.searchAll("what is left on disk", all, "SECRET_07")
}

// More secrets than one variable holds, and then more than one process: the caller hears at once what to
// do, and that works.
func TestSecretsThatDoNotFit(t *testing.T) {
	long(t)
	o := newOffice(t)
	want := map[string]string{}
	add := func(n int) {
		for i := len(want); n > 0; i, n = i+1, n-1 {
			name := fmt.Sprintf("LARGE_%02d", i)
			want[name] = strings.Repeat(fmt.Sprintf("%08d", i), 44<<10/8)
			o.set(name, want[name])
		}
		o.github.Advance(time.Minute)
	}
	add(3)
	o.hooked()
	o.serve("--poll-interval", "off")
	o.open()
	refused := func(hint string) {
		o.Helper()
		began := time.Now()
		code, talk := o.sync()
		if code != 1 || !strings.Contains(talk, hint) || time.Since(began) > 30*time.Second {
			o.Errorf("after %s exit code %d:\n%s\n%s", time.Since(began), code, talk, o.told())
		}
	}
	works := func(args ...string) {
		o.Helper()
		o.commit(args...)
		if code, talk := o.sync(); code != 0 {
			o.Fatalf("%q: exit code %d\n%s\n%s", args, code, talk, o.told())
		}
		o.copied(0, want)
	}
	refused("octoseal init --names")
	works("--names")
	add(47)
	o.commit("--names") // the new ones have to be listed
	refused("--split")
	works("--split", "2")
}

// hooked has the service hear of what happens in GitHub. It is called before serve.
func (o *office) hooked() {
	o.environ = append(o.environ, "OCTOSEAL_WEBHOOK_SECRET=hook-secret-of-the-test")
	o.github.SetWebhook(o.url+"/github/webhooks", "hook-secret-of-the-test")
}
