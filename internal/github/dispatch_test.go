package github

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
)

const (
	relayFile = "octoseal.yml"
	relayPath = ".github/workflows/" + relayFile
	relayText = `
on:
  workflow_dispatch:
    inputs:
      sync_id:
        type: string
jobs:
  relay:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
`
)

func (s *stage) dispatch(t *testing.T, c *Client) (int64, error) {
	t.Helper()
	return c.DispatchWorkflow(t.Context(), s.repo, relayFile, map[string]string{"sync_id": "an id"})
}

func TestDispatchTellsTheRun(t *testing.T) {
	s := perform(t, nil)
	s.SetWorkflow(widgets, relayPath, relayText)
	id, err := s.dispatch(t, s.client)
	if err != nil {
		t.Fatal(err)
	}
	runs := s.WorkflowRuns(widgets)
	if len(runs) != 1 || runs[0].ID != id || runs[0].Inputs["sync_id"] != "an id" || runs[0].Ref != "refs/heads/main" {
		t.Errorf("run %d of %+v", id, runs)
	}
	if log := s.log.String(); !strings.Contains(log, fmt.Sprintf("workflow_run=%d", id)) {
		t.Errorf("not in the log:\n%s", log)
	}
}

// Each refusal has a reason of its own, names its subject, and says what to do.
func TestRefusedDispatches(t *testing.T) {
	for name, c := range map[string]struct {
		stage func(*stage)
		code  fault.Code
		why   error
		words []string
	}{
		"no file": {func(s *stage) { s.RemoveWorkflow(widgets, relayPath) },
			fault.ResourceNotFound, ErrNoWorkflow, []string{"workflow octoseal.yml of acme/widgets", "default branch"}},
		"no such trigger": {func(s *stage) {
			s.SetWorkflow(widgets, relayPath, strings.Replace(relayText, "workflow_dispatch", "workflow_call", 1))
		},
			fault.IntegrationDenied, ErrNotDispatchable, []string{"does not have 'workflow_dispatch' trigger"}},
		"another input": {func(s *stage) { s.SetWorkflow(widgets, relayPath, strings.Replace(relayText, "sync_id", "other", 1)) },
			fault.IntegrationDenied, ErrNotDispatchable, []string{"Unexpected inputs", "sync_id"}},
		"Actions disabled": {func(s *stage) { s.DisableActions(widgets, true) },
			fault.IntegrationDenied, ErrActionsOff, []string{"Actions has been disabled", "Settings, Actions, General"}},
		"the workflow disabled": {func(s *stage) { s.DisableWorkflow(widgets, relayPath, true) },
			fault.IntegrationDenied, ErrActionsOff, []string{"disabled workflow", "Enable the workflow"}},
		"archived": {func(s *stage) { s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Archived = true }) },
			fault.IntegrationDenied, nil, []string{"archived"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, nil)
			s.SetWorkflow(widgets, relayPath, relayText)
			c.stage(s)
			_, err := s.dispatch(t, s.client)
			wantFault(t, err, c.code, c.words...)
			if c.why != nil && !errors.Is(err, c.why) {
				t.Errorf("not for the reason %q: %v", c.why, errors.Unwrap(err))
			}
			if n := len(s.WorkflowRuns(widgets)); n != 0 {
				t.Errorf("%d runs", n)
			}
		})
	}
}

func TestDispatchNamesItsPermission(t *testing.T) {
	s := perform(t, nil)
	s.SetWorkflow(widgets, relayPath, relayText)
	token := s.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Owner: "acme", Permissions: githubsim.Permissions{"secrets": "write"}})
	c := s.connect(t, func(cfg *Config) { cfg.Credential = Token(token, "GH_TOKEN") })
	_, err := s.dispatch(t, c)
	wantFault(t, err, fault.IntegrationDenied, "actions:write", `"Actions"`)
	if p := fault.Of(err).Context["permission"]; p != "actions:write" {
		t.Errorf("the permission is told as %v", p)
	}
}

// An App's token may start workflows where the App may.
func TestAppDispatches(t *testing.T) {
	a := performAsApp(t, everyPermission())
	a.SetWorkflow(widgets, relayPath, relayText)
	if id, err := a.dispatch(t, a.client); err != nil || id == 0 {
		t.Errorf("%d, %v", id, err)
	}
}

// An Enterprise Server does not know how to tell the run. It is asked to once.
func TestDispatchAtAnEnterpriseServer(t *testing.T) {
	gh := githubsim.New(githubsim.Config{Enterprise: "3.19.1"})
	gh.AddRepository(githubsim.Repository{FullName: widgets})
	gh.SetWorkflow(widgets, relayPath, relayText)
	server := httptest.NewServer(gh)
	defer server.Close()
	c := against(t, nil, func(cfg *Config) {
		cfg.BaseURL, cfg.Transport = server.URL+gh.Prefix(), nil
		cfg.Credential = Token(gh.AddToken(githubsim.Token{}), "OCTOSEAL_GITHUB_TOKEN")
	})
	defer c.CloseIdle()
	repo, _, err := c.Repository(t.Context(), Ref{"acme", "widgets"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	gh.ResetRequests()
	for range 2 {
		if id, err := c.DispatchWorkflow(t.Context(), repo, relayFile, nil); err != nil || id != 0 {
			t.Fatalf("%d, %v", id, err)
		}
	}
	if n := len(gh.WorkflowRuns(widgets)); n != 2 {
		t.Errorf("%d runs", n)
	}
	if n := len(gh.Requests()); n != 3 {
		t.Errorf("%d requests, want one that is refused and two that are not", n)
	}
}

// After a lost answer two runs may be on their way, and either may be the first to claim.
func TestLostAnswerOfADispatch(t *testing.T) {
	n := 0
	c := against(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if n++; n == 1 {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		fmt.Fprint(w, `{"workflow_run_id":7}`)
	}), func(cfg *Config) { cfg.Retry = quick })
	repo := aRepo
	repo.DefaultBranch = "main"
	if id, err := c.DispatchWorkflow(t.Context(), repo, relayFile, nil); err != nil || id != 0 || n != 2 {
		t.Errorf("run %d after %d attempts: %v", id, n, err)
	}
}

func TestDispatchNeedsABranch(t *testing.T) {
	_, err := (&Client{}).DispatchWorkflow(t.Context(), aRepo, relayFile, nil)
	wantFault(t, err, fault.RequestInvalid, "no default branch")
}
