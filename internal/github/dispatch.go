package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"unicode"

	"github.com/octoseal/octoseal/internal/fault"
)

// Why GitHub starts no workflow, beside what any call may be refused for.
const (
	// ErrNoWorkflow: the default branch has no file of that name, or Actions never saw it.
	ErrNoWorkflow sentinel = "there is no such workflow"
	// ErrNotDispatchable: the file is there, and does not take the event or its inputs.
	ErrNotDispatchable sentinel = "the workflow does not take this event with these inputs"
	// ErrActionsOff: Actions, or the workflow, is disabled.
	ErrActionsOff sentinel = "Actions is disabled"
)

// errPlainDispatch: the server does not know how to tell which run it started.
const errPlainDispatch sentinel = "the server does not know return_run_details"

// DispatchWorkflow starts a workflow of repo's default branch by the name of its file, and returns the
// number of its run. The number is 0 where the server does not tell, and where an answer was lost: the
// workflow may then have been started twice.
func (c *Client) DispatchWorkflow(ctx context.Context, repo Repository, file string, inputs map[string]string) (runID int64, err error) {
	if repo.DefaultBranch == "" {
		return 0, fault.Invalid("%s has no default branch to run a workflow of", repo.FullName())
	}
	details := !c.plainDispatch.Load()
	a, err := c.dispatch(ctx, repo, file, inputs, details)
	if details && errors.Is(err, errPlainDispatch) {
		c.plainDispatch.Store(true)
		details = false
		a, err = c.dispatch(ctx, repo, file, inputs, details)
	}
	if err != nil {
		return 0, err
	}
	var body struct {
		ID int64 `json:"workflow_run_id"`
	}
	if a.status == http.StatusOK && a.attempts == 1 && json.Unmarshal(a.body, &body) == nil {
		runID = max(0, body.ID)
	}
	c.log.InfoContext(ctx, "workflow started", "repository", repo.FullName(), "workflow", file, "ref", repo.DefaultBranch,
		"workflow_run", runID, "attempts", a.attempts)
	return runID, nil
}

func (c *Client) dispatch(ctx context.Context, repo Repository, file string, inputs map[string]string, details bool) (answer, error) {
	body, err := json.Marshal(struct {
		Ref     string            `json:"ref"`
		Inputs  map[string]string `json:"inputs,omitempty"`
		Details bool              `json:"return_run_details,omitempty"`
	}{repo.DefaultBranch, inputs, details})
	if err != nil {
		return answer{}, err
	}
	return c.change(ctx, repo, func(repo Repository) (request, error) {
		return request{
			method:  http.MethodPost,
			route:   repositoryRoute + "/actions/workflows/{workflow_id}/dispatches",
			path:    repositoryPath(repo.Ref()) + "/actions/workflows/" + url.PathEscape(file) + "/dispatches",
			body:    body,
			repo:    repo.Ref(),
			project: repo.ID,
			subject: subject{
				what: "workflow " + file + " of " + repo.FullName(), permission: actions, write: true,
				missing: ErrNoWorkflow, refused: notDispatched,
			},
		}, nil
	})
}

// notDispatched explains a 422. What was sent is no secret, so that GitHub's own words may be told.
func notDispatched(r request, a answer) *fault.Fault {
	text := strings.ToLower(a.message())
	has := func(s string) bool { return strings.Contains(text, s) }
	f := denied(r, a, fmt.Sprintf("%s: %s", r.subject.what, quoted(a.message())))
	why := ErrNotDispatchable
	switch {
	case has("return_run_details"), has("not a permitted key"):
		why = errPlainDispatch
	case has("disabled workflow"):
		why = ErrActionsOff
		f = f.Hinting("Enable the workflow on the repository's Actions page.")
	case has("disabled"):
		why = ErrActionsOff
		f = f.Hinting("Allow Actions under the repository's Settings, Actions, General.")
	case has("no ref found"):
		f = f.Hinting("The repository's default branch has no commit, or was renamed just now.")
	}
	return f.Because(fmt.Errorf("%w: %w", why, trace(r, a)))
}

// quoted makes GitHub's words fit for a line of ours.
func quoted(text string) string {
	const most = 200
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most]) + "…"
	}
	return strings.TrimSuffix(strings.TrimSpace(text), ".")
}
