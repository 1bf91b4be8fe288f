package httpapi

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"pgregory.net/rapid"
)

// devAsked is a request for one environment without rules.
func devAsked(project string) any {
	return asked("projectId", project, "environments", []any{envAsked("dev", asked(), "API_KEY", "dev-canary")})
}

// envAsked is one environment of a request, with secrets by name and value.
func envAsked(name string, rules any, secrets ...string) any {
	list := []any{}
	for i := 0; i < len(secrets); i += 2 {
		list = append(list, asked("name", secrets[i], "value", secrets[i+1]))
	}
	return asked("name", name, "protectionRules", rules, "secrets", list, "linkedResources", asked())
}

// three is a request for all environments, production with a reviewer.
func (w *world) three(reviewer int64) any {
	return asked("projectId", w.project.ID, "environments", []any{
		envAsked("dev", asked(), "API_KEY", "dev-canary"),
		envAsked("staging", asked("requiredReviewers", 0), "API_KEY", "staging-canary"),
		envAsked("production", asked("reviewerIds", []int64{reviewer}, "waitTimer", 5), "API_KEY", "production-canary"),
	})
}

func (w *world) reviewer(role githubsim.Role) int64 {
	id := w.sim.AddUser("grace")
	w.sim.AddCollaborator(repo, "grace", role)
	return id
}

func TestEnvironmentsAreApplied(t *testing.T) {
	w := newWorld(t)
	token, grace := w.token("ada", store.Admin), w.reviewer(githubsim.RoleRead)
	var planned EnvironmentsPlan
	w.send(token, "POST", environmentsPath+"/plan", w.three(grace)).into(http.StatusOK, &planned)
	if planned.Empty || planned.Summary.Create == 0 || w.sim.Counts().Writes != 0 {
		t.Errorf("%+v", planned)
	}
	var first, again EnvironmentsResponse
	w.send(token, "POST", environmentsPath, w.three(grace)).into(http.StatusOK, &first)
	if !slices.Equal(first.Created, []string{"dev", "staging", "production"}) || len(first.Updated)+len(first.Errors) != 0 {
		t.Errorf("%+v", first)
	}
	if v, _ := w.sim.Value(repo, "environment:production", "API_KEY"); v != "production-canary" {
		t.Errorf("production has %q", v)
	}
	w.sim.ResetRequests()
	w.send(token, "POST", environmentsPath, w.three(grace)).into(http.StatusOK, &again)
	if len(again.Created)+len(again.Updated)+len(again.Errors) != 0 || w.sim.Counts().Writes != 0 || len(again.Notices) != 3 {
		t.Errorf("%+v, %d writes", again, w.sim.Counts().Writes)
	}
	if !strings.Contains(w.log.String(), "correlationId="+first.CorrelationID.String()) {
		t.Error("the access log does not name the apply")
	}
	w.sim.ChangeEnvironment(repo, "production", func(e *githubsim.Environment) { e.WaitTimer = 0 })
	var list struct{ Environments []Environment }
	w.send(token, "GET", environmentsPath+"?projectId="+w.project.ID.String(), nil).into(http.StatusOK, &list)
	if len(list.Environments) != 3 || len(list.Environments[2].Differences) != 1 || !list.Environments[2].Differences[0].Weaker {
		t.Errorf("%+v", list)
	}
}

// A request for three of which one is refused does the others, and says so with 200.
func TestEnvironmentsFailAlone(t *testing.T) {
	w := newWorld(t)
	var res EnvironmentsResponse
	w.send(w.token("ada", store.Admin), "POST", environmentsPath, w.three(w.reviewer(""))).into(http.StatusOK, &res)
	if !slices.Equal(res.Created, []string{"dev", "staging"}) || len(res.Errors) != 1 ||
		res.Errors[0].Environment != "production" || res.Errors[0].Code != "GITHUB_ENV_REVIEWER_NOT_FOUND" {
		t.Errorf("%+v", res)
	}
	if _, there := w.sim.Environment(repo, "production"); there {
		t.Error("production was made all the same")
	}
}

func TestEnvironmentsAreDeleted(t *testing.T) {
	w := newWorld(t)
	token, of := w.token("ada", store.Admin), "?projectId="+w.project.ID.String()
	w.send(token, "POST", environmentsPath, devAsked(w.project.ID.String())).into(http.StatusOK, nil)
	p := w.send(token, "DELETE", environmentsPath+"/dev"+of, nil).refused(http.StatusBadRequest, "REQUEST_INVALID")
	if !strings.Contains(p.Hint, "withSecrets=true") {
		t.Errorf("%+v", p)
	}
	id := w.sim.Deploy(repo, githubsim.Deployment{Environment: "dev", States: []githubsim.DeploymentState{githubsim.DeploymentQueued}})
	w.send(token, "DELETE", environmentsPath+"/dev"+of+"&withSecrets=true", nil).refused(http.StatusConflict, "GITHUB_ENV_PROTECTION_RULE_CONFLICT")
	w.sim.SetDeploymentState(repo, id, githubsim.DeploymentSuccess)
	var gone DeletedEnvironment
	w.send(token, "DELETE", environmentsPath+"/dev"+of+"&withSecrets=true", nil).into(http.StatusOK, &gone)
	if !slices.Equal(gone.Secrets, []string{"API_KEY"}) {
		t.Errorf("%+v", gone)
	}
	w.send(token, "DELETE", environmentsPath+"/dev"+of, nil).refused(http.StatusNotFound, "RESOURCE_NOT_FOUND")
	w.send(token, "DELETE", environmentsPath+"/preview"+of, nil).refused(http.StatusBadRequest, "REQUEST_INVALID")
}

// Everything that is wrong with a request is told at once, each thing with its field, and nothing of
// what was sent for a value is repeated.
func TestBadEnvironmentsNameTheirFields(t *testing.T) {
	w := newWorld(t)
	token, id := w.token("ada", store.Admin), w.project.ID.String()
	const a = "environments[0]."
	for name, c := range map[string]struct {
		body string
		want []string
	}{
		"nothing":        {``, nil},
		"no object":      {`["hidden-canary"]`, nil},
		"broken":         {`{"projectId":"` + id + `","environments":[{"secrets":[{"value":"hidden-canary"`, nil},
		"no text":        {"{\"projectId\":\"" + id + "\",\"environments\":[{\"name\":\"\xff\"}]}", nil},
		"empty":          {`{}`, []string{"projectId", "environments"}},
		"nobody's":       {`{"projectId":"00000000-0000-0000-0000-000000000000","environments":[]}`, []string{"projectId"}},
		"null":           {`{"projectId":"$","environments":null}`, []string{"environments"}},
		"none":           {`{"projectId":"$","environments":[]}`, []string{"environments"}},
		"many":           {`{"projectId":"$","environments":[` + strings.Repeat("{},", 9) + `{}]}`, []string{"environments"}},
		"no environment": {`{"projectId":"$","environments":["hidden-canary"]}`, []string{"environments[0]"}},
		"lacking":        {`{"projectId":"$","environments":[{}]}`, []string{a + "name", a + "protectionRules", a + "secrets", a + "linkedResources"}},
		"types": {`{"projectId":"$","force":"hidden-canary","environments":[{"name":7,"protectionRules":{"requiredReviewers":"hidden-canary","reviewerIds":[1,"hidden-canary"],
			"restrictToMainBranch":1,"waitTimer":1.5},"secrets":[7,{"name":1,"value":"hidden-canary"},{"name":"A","value":{"a":"hidden-canary"}},{"name":"B"}],
			"linkedResources":{"neonBranchId":7,"cloudflareWorkerName":null}}]}`, []string{
			a + "name", a + "protectionRules.requiredReviewers", a + "protectionRules.restrictToMainBranch", a + "protectionRules.waitTimer", a + "protectionRules.reviewerIds[1]",
			a + "secrets[0]", a + "secrets[1].name", a + "secrets[2].value", a + "secrets[3].value", a + "linkedResources.neonBranchId", a + "linkedResources.cloudflareWorkerName", "force",
		}},
		"half a character": {`{"projectId":"$","environments":[{"name":"dev","protectionRules":{},"secrets":[{"name":"A","value":"hidden-canary\ud800"}],"linkedResources":{}}]}`,
			[]string{a + "secrets[0].value"}},
		"rules": {`{"projectId":"$","environments":[
			{"name":"dev","protectionRules":{"waitTimer":-1,"reviewerIds":[1,2,3,4,5,6,7]},"secrets":[{"name":"lower","value":"hidden-canary"},{"name":"A","value":""},{"name":"B","value":"hidden-canary"},{"name":"B","value":"x"}],"linkedResources":{}},
			{"name":"dev","protectionRules":{"waitTimer":43201},"secrets":[],"linkedResources":{"neonBranchId":"br"}},
			{"name":"prod","protectionRules":{},"secrets":[],"linkedResources":{}},
			{"name":"staging","protectionRules":{"requiredReviewers":2,"reviewerIds":[1]},"secrets":[],"linkedResources":{"neonBranchId":"br"}}]}`, []string{
			a + "protectionRules.waitTimer", a + "protectionRules.reviewerIds", a + "secrets[0].name", a + "secrets[1].value", a + "secrets[3].name",
			"environments[1].name", "environments[1].protectionRules.waitTimer", "environments[2].name", "environments[3].protectionRules.requiredReviewers",
			"environments[3].linkedResources.neonBranchId",
		}},
	} {
		for _, path := range []string{environmentsPath, environmentsPath + "/plan"} {
			r := w.send(token, "POST", path, strings.ReplaceAll(c.body, `"$"`, `"`+id+`"`))
			p := r.refused(http.StatusBadRequest, "REQUEST_INVALID")
			var fields []string
			problems, _ := p.Context["problems"].([]any)
			for _, one := range problems {
				fields = append(fields, one.(map[string]any)["field"].(string))
			}
			if !slices.Equal(fields, c.want) {
				t.Errorf("%s: %q, want %q", name, fields, c.want)
			}
			if strings.Contains(string(r.body), "hidden-canary") {
				t.Errorf("%s: the answer shows a value: %s", name, r.body)
			}
		}
	}
	if n := len(w.sim.Environments(repo)); n != 0 {
		t.Errorf("%d environments were made", n)
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Error("a value is in the log")
	}
}

// A body with values has a bound of its own, which is larger than that of others.
func TestValuesHaveABound(t *testing.T) {
	w := newWorld(t)
	token, id := w.token("ada", store.Admin), w.project.ID.String()
	fits := asked("projectId", id, "environments", []any{envAsked("dev", asked(), "LARGE", strings.Repeat("x", secret.MaxValueSize))}, "padding", strings.Repeat(" ", 2<<20))
	w.send(token, "POST", environmentsPath, fits).into(http.StatusOK, nil)
	over := asked("projectId", id, "environments", []any{envAsked("dev", asked(), "LARGE", strings.Repeat("x", secret.MaxValueSize+1))})
	if p := w.send(token, "POST", environmentsPath, over).refused(http.StatusBadRequest, "REQUEST_INVALID"); !strings.Contains(p.Message, "secrets[0].value") {
		t.Errorf("%+v", p)
	}
	w.send(token, "POST", environmentsPath, strings.Repeat(" ", 5<<20)).refused(http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE")
	w.send(token, "POST", syncPath, strings.Repeat(" ", 2<<20)).refused(http.StatusRequestEntityTooLarge, "REQUEST_TOO_LARGE")
}

// No value that a body brings is in an answer, the log or the database, whatever becomes of it; and
// whoever keeps texts clean is told of each before anything is done.
func TestNoValueOfABodyIsKept(t *testing.T) {
	file := filepath.Join(t.TempDir(), "octoseal.db")
	var learned []string
	w := newWorldOn(t, "sqlite:"+file, func(c *Config) {
		c.Learn = func(v secret.Plaintext) { learned = append(learned, string(v.Expose())) }
	})
	token, grace := w.token("ada", store.Admin), w.reviewer(githubsim.RoleRead)
	clean := func(what string, r reply) {
		t.Helper()
		if strings.Contains(string(r.body), "canary") {
			t.Errorf("%s: %s", what, r.body)
		}
	}
	clean("plan", w.send(token, "POST", environmentsPath+"/plan", w.three(grace)))
	clean("apply", w.send(token, "POST", environmentsPath, w.three(grace)))
	w.sim.Advance(time.Minute)
	w.sim.SetSecret(repo, "environment:dev", simSecret("API_KEY", "theirs"))
	clean("conflict", w.send(token, "POST", environmentsPath, w.three(grace)))
	echo, _ := json.Marshal(map[string]string{"message": "Validation Failed: dev-canary"})
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "PUT", Path: "/secrets/", Answer: &githubsim.Answer{Status: 422, Body: string(echo)}}}})
	forced := w.three(grace).(map[string]any)
	forced["force"] = true
	clean("refused", w.send(token, "POST", environmentsPath, forced))
	clean("stranger", w.send(w.token("eve", anyone), "POST", environmentsPath, w.three(grace)))
	clean("list", w.send(token, "GET", environmentsPath+"?projectId="+w.project.ID.String(), nil))
	clean("history", w.send(token, "GET", syncPath+"/history?projectId="+w.project.ID.String(), nil))
	for _, want := range []string{"dev-canary", "staging-canary", "production-canary"} {
		if !slices.Contains(learned, want) {
			t.Errorf("nobody was told of %s", want)
		}
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Error("a value is in the log")
	}
	for _, suffix := range []string{"", "-wal"} {
		if raw, err := os.ReadFile(file + suffix); err == nil && strings.Contains(string(raw), "canary") {
			t.Errorf("a value is in the database%s", suffix)
		}
	}
}

// Values are unlearned and overwritten once the answer is made, whatever it is.
func TestValuesAreOverwritten(t *testing.T) {
	var kept []secret.Plaintext
	unlearned := 0
	w := newWorld(t, func(c *Config) {
		c.Learn = func(v secret.Plaintext) { kept = append(kept, v) }
		c.Unlearn = func(v secret.Plaintext) {
			if strings.Contains(string(v.Expose()), "canary") {
				unlearned++
			}
		}
	})
	token, id := w.token("ada", store.Admin), w.project.ID.String()
	for _, path := range []string{environmentsPath, environmentsPath + "/plan"} {
		w.send(token, "POST", path, devAsked(id)).into(http.StatusOK, nil)
	}
	w.send(w.token("eve", store.Viewer), "POST", environmentsPath, devAsked(id)).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	for _, v := range kept {
		if len(kept) != 3 || strings.Trim(string(v.Expose()), "\x00") != "" {
			t.Errorf("%d values, one of which is left as %q", len(kept), v.Expose())
		}
	}
	if unlearned != len(kept) {
		t.Errorf("%d of %d values were unlearned", unlearned, len(kept))
	}
}

// What takes longer than a request may is cut short, said, and gone on with by the next request.
func TestAppliesAreCutShort(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WaitLimit = time.Second })
	token := w.token("ada", store.Admin)
	var secrets []string
	for i := range environment.MaxSecrets {
		secrets = append(secrets, fmt.Sprintf("SECRET_%d", i), "value")
	}
	body := asked("projectId", w.project.ID, "environments", []any{envAsked("dev", asked(), secrets...)})
	w.sim.SetFaults(githubsim.Faults{Latency: 100 * time.Millisecond})
	var cut, whole EnvironmentsResponse
	w.send(token, "POST", environmentsPath, body).into(http.StatusOK, &cut)
	if len(cut.Errors) == 0 || !strings.Contains(cut.Errors[0].Error, "cut short") {
		t.Fatalf("%+v", cut)
	}
	w.sim.SetFaults(githubsim.Faults{})
	w.send(token, "POST", environmentsPath, body).into(http.StatusOK, &whole)
	if len(whole.Errors) != 0 || len(w.sim.Secrets(repo, "environment:dev")) != environment.MaxSecrets {
		t.Errorf("%+v", whole)
	}
}

func TestValidationCoversEnvironments(t *testing.T) {
	w := newWorld(t)
	token, id := w.token("ada", store.Admin), w.project.ID.String()
	w.send(token, "POST", environmentsPath, devAsked(id)).into(http.StatusOK, nil)
	validated := func(change ...any) ValidateResponse {
		t.Helper()
		var v ValidateResponse
		w.send(token, "POST", validatePath, asked(append([]any{"projectId", id}, change...)...)).into(http.StatusOK, &v)
		return v
	}
	if v := validated("environments", []string{"dev"}); !v.Valid || v.Summary.TotalSecrets != 1 {
		t.Errorf("%+v", v)
	}
	w.sim.DeleteSecret(repo, "environment:dev", "API_KEY")
	if v := validated(); v.Valid || len(v.Missing) != 1 || v.Missing[0].Scope != "environment:dev" {
		t.Errorf("everything: %+v", v)
	}
	if v := validated("targetScopes", []string{"codespaces"}); len(v.Missing) != 0 {
		t.Errorf("a scope alone: %+v", v)
	}
	if v := validated("environments", []string{"production"}); v.Valid || len(v.Rules) != 1 || v.Rules[0].Reason != string(environment.Missing) {
		t.Errorf("one that is not there: %+v", v)
	}
	for _, bad := range [][]any{{"environments", []string{"prod"}}, {"environments", []string{"dev"}, "targetScopes", []string{"actions"}}} {
		w.send(token, "POST", validatePath, asked(append(bad, "projectId", id)...)).refused(http.StatusBadRequest, "REQUEST_INVALID")
	}
}

// A value in a body is the text that was sent, whatever its characters and however they are escaped.
func TestValuesComeThrough(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.String().Draw(rt, "value")
		raw, err := json.Marshal(want)
		if err != nil {
			rt.Fatal(err)
		}
		if rapid.Bool().Draw(rt, "escaped") { // as those do who keep to ASCII
			raw = []byte(escaped(want))
		}
		var v hidden
		if err := json.Unmarshal(raw, &v); err != nil || v.state != there || string(v.Expose()) != want {
			rt.Fatalf("%s is %q, want %q", raw, v.Expose(), want)
		}
		list, _ := json.Marshal([]any{want, []any{want}, map[string]any{want: want}})
		if parts := members(list); len(parts) != 3 || !json.Valid(parts[0]) || !json.Valid(parts[1]) || !json.Valid(parts[2]) {
			rt.Fatalf("%s has the members %q", list, parts)
		}
	})
}

// escaped spells every character as an escape.
func escaped(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, unit := range utf16.Encode([]rune(text)) {
		fmt.Fprintf(&b, `\u%04X`, unit)
	}
	b.WriteByte('"')
	return b.String()
}

// Work outlasts its client, and not the server.
func TestWorkOutlastsItsClient(t *testing.T) {
	w := newWorld(t)
	ending := make(chan struct{})
	client, leave := context.WithCancel(context.WithValue(t.Context(), drainKey{}, (<-chan struct{})(ending)))
	work, stop := w.srv.outlasting(client)
	defer stop()
	leave()
	select {
	case <-work.Done():
		t.Fatalf("ended with its client: %v", context.Cause(work))
	case <-time.After(50 * time.Millisecond):
	}
	close(ending)
	<-work.Done()
	if err := context.Cause(work); !fault.Is(err, fault.IntegrationUnavailable) || !strings.Contains(err.Error(), "about to end") {
		t.Errorf("%v", err)
	}
}
