package conform

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// A listener is a test that only notes what it is told.
type listener struct {
	testing.TB
	errors, logs []string
}

func (l *listener) Helper() {}

func (l *listener) Errorf(format string, args ...any) {
	l.errors = append(l.errors, fmt.Sprintf(format, args...))
}

func (l *listener) Logf(format string, args ...any) {
	l.logs = append(l.logs, fmt.Sprintf(format, args...))
}

func needDescription(t *testing.T) {
	t.Helper()
	if _, err := load(); os.IsNotExist(err) {
		t.Skip("GitHub's OpenAPI description is not here")
	}
}

// ask sends one request through Handler to a simulator that answers in its own way, or,
// given one, with another answer.
func ask(t *testing.T, method, path, body string, instead *githubsim.Answer) *listener {
	t.Helper()
	gh := githubsim.New(githubsim.Config{})
	gh.AddRepository(githubsim.Repository{FullName: "acme/widgets", ID: 1 << 40})
	gh.AddEnvironment("acme/widgets", "a/b")
	if instead != nil {
		instead.Header = http.Header{"Content-Type": {"application/json; charset=utf-8"}}
		gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Answer: instead}}})
	}
	heard := &listener{TB: t}
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Authorization", "Bearer "+gh.AddToken(githubsim.Token{}))
	Handler(heard, gh).ServeHTTP(httptest.NewRecorder(), r)
	return heard
}

func TestWrongAnswersAreReported(t *testing.T) {
	needDescription(t)
	const (
		list   = "/repos/acme/widgets/actions/secrets"
		sealed = `{"encrypted_value":"QQ==","key_id":"1"}`
	)
	for _, tc := range []struct {
		method, path string
		instead      *githubsim.Answer
		wrong        string // empty: nothing is
	}{
		{"GET", list, nil, ""},
		{"GET", list + "?page=2", nil, ""},
		{"GET", list + "/NOTHING", nil, ""},
		{"GET", "/repositories/1099511627776/actions/secrets", nil, ""},
		{"GET", "/repos/acme/widgets/environments/a%2Fb/secrets", nil, ""},
		{"GET", list, &githubsim.Answer{Status: 502, Body: "{}"}, ""},
		{"GET", list, &githubsim.Answer{Status: 200, Body: `{"secrets":[]}`}, "total_count"},
		{"GET", list, &githubsim.Answer{Status: 200, Body: `{"total_count":1,"secrets":[{"name":"A","created_at":1}]}`}, "created_at"},
		{"GET", "/repositories/1/actions/secrets", &githubsim.Answer{Status: 200, Body: `[]`}, "object"},
		{"GET", "/repos/acme/widgets/environments/a%2Fb/secrets", &githubsim.Answer{Status: 200, Body: `[]`}, "object"},
		{"GET", list, &githubsim.Answer{Status: 404, Body: `{"message":1}`}, "message"},
		{"GET", list, &githubsim.Answer{Status: 404, Body: `{"message":"Not Found","status":404}`}, "status"},
		{"GET", "/repos/acme/widgets/actions/oidc/customization/sub", nil, ""},
		{"POST", "/repos/acme/widgets/actions/workflows/a.yml/dispatches", nil, ""},
		{"POST", "/repos/acme/widgets/actions/workflows/a.yml/dispatches", &githubsim.Answer{Status: 200, Body: `{}`}, "workflow_run_id"},
		{"GET", "/_services/token/.well-known/jwks", nil, ""},
		{"PUT", list + "/A", &githubsim.Answer{Status: 202, Body: `{}`}, "neither described"},
		{"PUT", list + "/A", &githubsim.Answer{Status: 201, Body: `7`}, "object"},
	} {
		heard := ask(t, tc.method, tc.path, sealed, tc.instead)
		all := strings.Join(heard.errors, "\n")
		if (tc.wrong == "") != (all == "") || !strings.Contains(all, tc.wrong) {
			t.Errorf("%s %s %+v: reported %q, want %q", tc.method, tc.path, tc.instead, all, tc.wrong)
		}
	}
}

func TestReportsHoldNoValue(t *testing.T) {
	needDescription(t)
	heard := ask(t, "GET", "/repos/acme/widgets/actions/secrets", "", &githubsim.Answer{Status: 200, Body: `{"total_count":"hunter2"}`})
	if all := strings.Join(heard.errors, "\n"); all == "" || strings.Contains(all, "hunter2") {
		t.Errorf("reported %q", all)
	}
}

func TestWhatIsAcceptedIsReported(t *testing.T) {
	needDescription(t)
	const (
		environment = "/repos/acme/widgets/environments/a%2Fb"
		policies    = environment + "/deployment-branch-policies"
		run         = "/repos/acme/widgets/actions/runs/1"
	)
	shown := `{"id":1,"node_id":"","name":"a","url":"","html_url":"","created_at":"2026-11-01T10:00:00Z","updated_at":"2026-11-01T10:00:00Z"}`
	for _, tc := range []struct {
		method, path, body string
		status             int
		answer             string
		wrong              string // empty: nothing is
	}{
		{"PUT", environment, `{"wait_timer":1,"can_admins_bypass":false}`, 200, shown, ""},
		{"PUT", environment, ``, 200, shown, ""},
		{"PUT", environment, `{"wait_timer":"hunter2"}`, 200, shown, "wait_timer"},
		{"PUT", environment, `{"timer":1}`, 200, shown, "timer"},
		{"PUT", environment, `{"reviewers":[{"type":"Stranger","id":1}]}`, 200, shown, "reviewers"},
		{"PUT", environment, `{"timer":1}`, 422, `{"message":"no"}`, ""},
		{"PUT", environment, `{}`, 201, shown, "neither described"},
		{"PUT", environment, `{}`, 200, `{"id":1}`, "node_id"},
		{"POST", policies, `{"name":"main","type":"tag"}`, 200, `{"id":1}`, ""},
		{"POST", policies, `{"name":"main"}`, 303, ``, ""},
		{"POST", policies, `{}`, 200, `{"id":1}`, "name"},
		{"POST", policies, `{"name":"main"}`, 201, `{"id":1}`, "neither described"},
		{"POST", run + "/deployment_protection_rule", `{"environment_name":"a","state":"approved"}`, 204, ``, ""},
		{"POST", run + "/deployment_protection_rule", `{"environment_name":"a","state":"fine"}`, 204, ``, "state"},
		{"POST", run + "/deployment_protection_rule", `{"state":"approved"}`, 204, ``, "environment_name"},
		{"POST", run + "/deployment_protection_rule", `{"environment_name":"a"}`, 200, `{}`, "neither described"},
		{"POST", run + "/pending_deployments", `{"environment_ids":[1],"state":"approved"}`, 200, `[]`, "comment"},
		{"POST", "/repos/acme/widgets/deployments", `{}`, 202, `{"message":"Auto-merged"}`, "ref"},
		{"GET", "/repos/acme/widgets/deployments/1/statuses", ``, 200, `[{"state":"hovering"}]`, "/0/state"},
		{"GET", "/repos/acme/widgets/deployments", ``, 200, `{}`, "array"},
	} {
		heard := ask(t, tc.method, tc.path, tc.body, &githubsim.Answer{Status: tc.status, Body: tc.answer})
		all := strings.Join(heard.errors, "\n")
		if (tc.wrong == "") != (all == "") || !strings.Contains(all, tc.wrong) || strings.Contains(all, "hunter2") {
			t.Errorf("%s %s %s: reported %q, want %q", tc.method, tc.path, tc.body, all, tc.wrong)
		}
	}
}
