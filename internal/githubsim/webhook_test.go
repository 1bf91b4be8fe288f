//go:build unix

package githubsim_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

type hooked struct {
	header http.Header
	body   []byte
}

// receiver serves a webhook that accepts everything.
func receiver(t *testing.T) (string, <-chan hooked) {
	t.Helper()
	got := make(chan hooked, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- hooked{r.Header, body}
	}))
	t.Cleanup(srv.Close)
	return srv.URL, got
}

func TestWebhook(t *testing.T) {
	const secret = "It's a Secret to Everybody"
	c := start(t, githubsim.Config{})
	app := c.gh.AddApp(githubsim.App{Slug: "seal"})
	installation := c.gh.Install(githubsim.Installation{App: app.ID, Account: "acme"})
	url, got := receiver(t)
	c.gh.SetWebhook(url, secret)
	c.gh.SetWorkflow(widgets, workflowPath, script("exit 1"))
	c.gh.SetRunner(githubsim.Runner{URL: c.url})
	run := c.dispatch(`{}`)
	deliveries := make(map[string]bool)
	for _, action := range []string{"requested", "in_progress", "completed"} {
		var h hooked
		select {
		case h = <-got:
		case <-time.After(10 * time.Second):
			t.Fatalf("%s never came", action)
		}
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(h.body)
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); h.header.Get("X-Hub-Signature-256") != want || h.header.Get("X-GitHub-Event") != "workflow_run" {
			t.Errorf("%s: headers %v", action, h.header)
		}
		deliveries[h.header.Get("X-GitHub-Delivery")] = true
		var event struct {
			Action      string
			WorkflowRun struct {
				ID                  int64
				Path, Event, Status string
				Conclusion          *string
				Attempt             int    `json:"run_attempt"`
				Branch              string `json:"head_branch"`
			} `json:"workflow_run"`
			Repository struct {
				FullName string `json:"full_name"`
			}
			Installation struct{ ID int64 }
		}
		if err := json.Unmarshal(h.body, &event); err != nil {
			t.Fatal(err)
		}
		r := event.WorkflowRun
		if event.Action != action || r.ID != run.ID || r.Path != workflowPath || r.Event != "workflow_dispatch" || r.Attempt != 1 || r.Branch != "main" {
			t.Errorf("%s: %+v", action, event)
		}
		if event.Repository.FullName != widgets || event.Installation.ID != installation {
			t.Errorf("%s: %+v", action, event)
		}
		if done := action == "completed"; done != (r.Conclusion != nil) || done && (*r.Conclusion != "failure" || r.Status != "completed") {
			t.Errorf("%s: status %s, conclusion %v", action, r.Status, r.Conclusion)
		}
	}
	if len(deliveries) != 3 {
		t.Errorf("deliveries are told apart by %v", deliveries)
	}
}

func TestWebhookNeverBlocks(t *testing.T) {
	c := start(t, githubsim.Config{})
	stuck := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-stuck }))
	defer srv.Close()
	defer close(stuck)
	c.gh.SetWebhook(srv.URL, "s")
	c.gh.SetWorkflow(widgets, workflowPath, script("true"))
	for range 1100 {
		c.gh.StartRun(widgets, "push")
	}
	ended := make(chan struct{})
	go func() {
		c.gh.Close()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		t.Error("Close waits for a receiver that does not answer")
	}
}
