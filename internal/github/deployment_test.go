package github

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
)

// notThere is GitHub's answer to a question about what was deleted meanwhile.
var notThere = githubsim.Answer{
	Status: 404, Header: http.Header{"Content-Type": {"application/json; charset=utf-8"}}, Body: `{"message":"Not Found","status":"404"}`,
}

func (s *stage) deploy(environment string, ago time.Duration, states ...githubsim.DeploymentState) int64 {
	return s.Deploy(widgets, githubsim.Deployment{Environment: environment, CreatedAt: s.Now().Add(-ago), States: states})
}

func TestNoDeploymentsYet(t *testing.T) {
	s := perform(t, nil)
	s.deploy("staging", time.Minute)
	active, last, err := s.client.Deployments(t.Context(), s.repo, "dev", time.Time{})
	if len(active) != 0 || last != nil || err != nil {
		t.Errorf("got %v, %v, %v", active, last, err)
	}
}

// Every state counts as going on but those that are known to be an end; none at all is pending.
func TestStatesOfDeployments(t *testing.T) {
	for state, over := range map[githubsim.DeploymentState]bool{
		"": false, githubsim.DeploymentWaiting: false, githubsim.DeploymentQueued: false, githubsim.DeploymentPending: false, githubsim.DeploymentInProgress: false,
		githubsim.DeploymentSuccess: true, githubsim.DeploymentFailure: true, githubsim.DeploymentError: true, githubsim.DeploymentInactive: true,
	} {
		t.Run(string(state), func(t *testing.T) {
			s := perform(t, nil)
			states := []githubsim.DeploymentState{githubsim.DeploymentQueued, state}
			if state == "" {
				states = nil
			}
			id := s.deploy("eu/prod: 1", time.Minute, states...)
			active, last, err := s.client.Deployments(t.Context(), s.repo, "eu/prod: 1", s.Now().Add(-time.Hour))
			if err != nil || last == nil || last.ID != id || last.Environment != "eu/prod: 1" || len(active) == 1 == over {
				t.Fatalf("got %+v, %+v, %v", active, last, err)
			}
			if want := map[bool]string{true: "pending", false: string(state)}[state == ""]; last.State != want {
				t.Errorf("state %s, want %s", last.State, want)
			}
		})
	}
	if (Deployment{State: "levitating"}).finished() {
		t.Error("a state that nobody knows passes for an end")
	}
}

// All pages back to the time are looked through, in whatever order they came; older ones are not
// asked after, but for the last of all.
func TestDeploymentsSince(t *testing.T) {
	s := perform(t, nil)
	s.deploy("prod", 90*24*time.Hour, githubsim.DeploymentWaiting) // forgotten there
	for i := range 230 {
		s.deploy("prod", time.Duration(i+2)*time.Hour, githubsim.DeploymentInactive)
	}
	waiting := s.deploy("prod", 235*time.Hour, githubsim.DeploymentWaiting)
	newest := s.deploy("prod", time.Hour, githubsim.DeploymentSuccess)
	active, last, err := s.client.Deployments(t.Context(), s.repo, "prod", s.Now().Add(-30*24*time.Hour))
	if err != nil || len(active) != 1 || active[0].ID != waiting || active[0].State != "waiting" || last.ID != newest || last.State != "success" {
		t.Errorf("got %+v, %+v, %v", active, last, err)
	}
	s.ResetRequests()
	active, last, err = s.client.Deployments(t.Context(), s.repo, "prod", s.Now())
	if err != nil || len(active) != 0 || last == nil || last.ID != newest {
		t.Errorf("got %+v, %+v, %v", active, last, err)
	}
	if n := s.Counts().Requests; n != 2 {
		t.Errorf("%d requests for the last one alone", n)
	}
}

// A deployment that still waits stays told though the last one is older than the time.
func TestOldDeploymentsDoNotBlock(t *testing.T) {
	s := perform(t, nil)
	id := s.deploy("prod", 31*24*time.Hour, githubsim.DeploymentWaiting)
	active, last, err := s.client.Deployments(t.Context(), s.repo, "prod", s.Now().Add(-30*24*time.Hour))
	if err != nil || len(active) != 0 || last == nil || last.ID != id || last.State != "waiting" {
		t.Errorf("got %+v, %+v, %v", active, last, err)
	}
}

// What cannot be looked through wholly is an error: a deployment in progress may be among the rest.
func TestEndlessDeployments(t *testing.T) {
	asked := 0
	c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		next := fmt.Sprintf("https://api.github.com/repositories/7/deployments?page=%d", asked+1)
		w.Header().Set("Link", "<"+next+`>; rel="next"`)
		_, _ = io.WriteString(w, fmt.Sprintf(`[{"id":%d,"environment":"dev","created_at":"2026-11-23T12:00:00Z"}]`, asked))
	}), nil)
	_, _, err := c.Deployments(t.Context(), aRepo, "dev", time.Time{})
	wantFault(t, err, fault.IntegrationUnavailable, "partial listing: deployments to dev of acme/widgets goes on after 10 pages")
	if asked != maxDeploymentPages {
		t.Errorf("asked %d times", asked)
	}
}

func TestDeploymentWhoseStateIsUnknown(t *testing.T) {
	s := perform(t, nil)
	for range 30 {
		s.deploy("dev", time.Minute)
	}
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Path: "/statuses", Kinds: []githubsim.Kind{githubsim.ServerError}, Skip: 5}}})
	_, _, err := s.client.Deployments(t.Context(), s.repo, "dev", time.Time{})
	wantFault(t, err, fault.IntegrationUnavailable, "500")
	// One that is deleted meanwhile has ended.
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Path: "/statuses", Answer: &notThere}}})
	if active, _, err := s.client.Deployments(t.Context(), s.repo, "dev", time.Time{}); len(active) != 0 || err != nil {
		t.Errorf("got %v, %v", active, err)
	}
}

// A gate is a stage whose client is an App with a custom protection rule on production, and one job
// that waits for its word.
func gated(t *testing.T) (appStage, githubsim.HeldJob) {
	t.Helper()
	a := performAsApp(t, githubsim.Permissions{"actions": "read", "administration": "write", "deployments": "write"})
	a.AddEnvironment(widgets, "production")
	a.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) { e.Apps = []int64{a.app.ID} })
	job := a.RequestDeployment(a.url, widgets, "production")
	if len(job.Calls) != 1 {
		t.Fatalf("the App was called %d times", len(job.Calls))
	}
	return a, job
}

// From the webhook to the verdict.
func TestReviewDeployment(t *testing.T) {
	for _, state := range []string{Approved, Rejected} {
		t.Run(state, func(t *testing.T) {
			a, job := gated(t)
			news, matters, err := ReadNews("deployment_protection_rule", "application/json", job.Calls[0].Payload)
			if err != nil || !matters || news.What != Held || news.Environment != "production" || news.Installation != a.installation ||
				len(news.Repositories) != 1 || news.Repositories[0] != a.repo.ID {
				t.Fatalf("got %+v, %v, %v", news, matters, err)
			}
			for range 2 { // the answer to the first may have been lost
				if err := a.client.ReviewDeployment(t.Context(), news.Callback, news.Environment, state, "because"); err != nil {
					t.Fatal(err)
				}
			}
			said := a.Reviews(widgets, job.RunID)
			if len(said) == 0 || said[0].State != state || said[0].Comment != "because" || said[0].App != a.app.ID {
				t.Errorf("GitHub heard %+v", said)
			}
		})
	}
}

// The callback comes with a webhook: the App's token goes to the API and to a deployment's callback
// there, and nowhere else.
func TestReviewDeploymentGoesNowhereElse(t *testing.T) {
	a, _ := gated(t)
	a.ResetRequests()
	for _, to := range []string{
		"https://evil.example/repos/acme/widgets/actions/runs/7/deployment_protection_rule", "", "/", a.url, a.url + "/repos/acme/widgets/environments/production",
		a.url + "/repos/acme/widgets/actions/runs/7/deployment_protection_rule?x=1", a.url + "/repos/acme/widgets/actions/runs/x/deployment_protection_rule",
		a.url + "/repos/%2e%2e/widgets/actions/runs/7/deployment_protection_rule", "https://%zz",
		strings.Replace(a.url, "://", "://user@", 1) + "/repos/acme/widgets/actions/runs/7/deployment_protection_rule",
	} {
		if err := a.client.ReviewDeployment(t.Context(), to, "production", Approved, ""); err == nil {
			t.Errorf("%q was answered", to)
		} else {
			wantFault(t, err, fault.IntegrationDenied, "an answer points to")
		}
	}
	err := a.client.ReviewDeployment(t.Context(), a.url+"/repos/acme/widgets/actions/runs/7/deployment_protection_rule", "production", "maybe", "")
	wantFault(t, err, fault.RequestInvalid, "approved or rejected")
	if n := a.Counts().Requests; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

func TestReviewDeploymentThatNobodyWaitsFor(t *testing.T) {
	a, job := gated(t)
	err := a.client.ReviewDeployment(t.Context(), a.url+"/repos/acme/widgets/actions/runs/404404/deployment_protection_rule", "production", Approved, "")
	wantFault(t, err, fault.ResourceNotFound, "deployment to production")
	callback := fmt.Sprintf("%s/repos/acme/widgets/actions/runs/%d/deployment_protection_rule", a.url, job.RunID)
	for _, state := range []string{Approved, Rejected} {
		err = a.client.ReviewDeployment(t.Context(), callback, "production", state, "")
		if state == Rejected {
			wantFault(t, err, fault.IntegrationDenied, "deployment to production waits for no word of this App", "nothing left to do")
		} else if err != nil {
			t.Error(err)
		}
	}
	moved := canned(http.StatusTemporaryRedirect, map[string]string{"Location": "https://api.github.com/repositories/7/actions/runs/1/deployment_protection_rule"}, "")
	err = against(t, moved, nil).ReviewDeployment(t.Context(), "https://api.github.com/repos/a/b/actions/runs/1/deployment_protection_rule", "production", Approved, "")
	wantFault(t, err, fault.IntegrationDenied, "another place")
}

func TestNewsOfADeploymentThatIsHeld(t *testing.T) {
	payload := map[string]any{
		"action": "requested", "environment": "production", "deployment_callback_url": "https://api.github.com/x",
		"repository": map[string]any{"id": 5, "full_name": "a/b"}, "installation": map[string]any{"id": 9},
	}
	for _, missing := range []string{"", "action", "environment", "deployment_callback_url", "repository"} {
		kept := map[string]any{}
		for k, v := range payload {
			if k != missing {
				kept[k] = v
			}
		}
		body, err := json.Marshal(kept)
		if err != nil {
			t.Fatal(err)
		}
		if n, matters, err := ReadNews("deployment_protection_rule", "application/json", body); err != nil || matters != (missing == "") {
			t.Errorf("without %q: %+v, %v, %v", missing, n, matters, err)
		}
	}
}
