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
func ask(t *testing.T, method, path string, instead *githubsim.Answer) *listener {
	t.Helper()
	gh := githubsim.New(githubsim.Config{})
	gh.AddRepository(githubsim.Repository{FullName: "acme/widgets", ID: 1 << 40})
	gh.AddEnvironment("acme/widgets", "a/b")
	if instead != nil {
		instead.Header = http.Header{"Content-Type": {"application/json; charset=utf-8"}}
		gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Answer: instead}}})
	}
	heard := &listener{TB: t}
	r := httptest.NewRequest(method, path, nil)
	r.Header.Set("User-Agent", "test")
	r.Header.Set("Authorization", "Bearer "+gh.AddToken(githubsim.Token{}))
	Handler(heard, gh).ServeHTTP(httptest.NewRecorder(), r)
	return heard
}

func TestWrongAnswersAreReported(t *testing.T) {
	needDescription(t)
	const list = "/repos/acme/widgets/actions/secrets"
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
		heard := ask(t, tc.method, tc.path, tc.instead)
		all := strings.Join(heard.errors, "\n")
		if (tc.wrong == "") != (all == "") || !strings.Contains(all, tc.wrong) {
			t.Errorf("%s %s %+v: reported %q, want %q", tc.method, tc.path, tc.instead, all, tc.wrong)
		}
	}
}

func TestReportsHoldNoValue(t *testing.T) {
	needDescription(t)
	heard := ask(t, "GET", "/repos/acme/widgets/actions/secrets", &githubsim.Answer{Status: 200, Body: `{"total_count":"hunter2"}`})
	if all := strings.Join(heard.errors, "\n"); all == "" || strings.Contains(all, "hunter2") {
		t.Errorf("reported %q", all)
	}
}
