package github

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"

	"github.com/octoseal/octoseal/internal/fault"
)

// What ReviewDeployment may say of a deployment.
const (
	Approved = "approved"
	Rejected = "rejected"
)

// callback is where GitHub waits for the word of a custom protection rule.
var callback = regexp.MustCompile(`^/(?:repos/([A-Za-z0-9_-]+)/([A-Za-z0-9._-]+)|repositories/\d+)/actions/runs/\d+/deployment_protection_rule$`)

// ReviewDeployment answers a custom protection rule: the deployment to environment, held back until
// the App says its word, is approved or rejected. The callback's URL comes with a webhook; nothing
// is sent to one that is not of this API and of this kind.
func (c *Client) ReviewDeployment(ctx context.Context, callbackURL, environment, state, comment string) error {
	path, err := c.within("", callbackURL)
	if err != nil {
		return err
	}
	where := callback.FindStringSubmatch(path)
	if where == nil {
		return misdirected("a path that is no deployment's callback")
	}
	if state != Approved && state != Rejected {
		return fault.Invalid("a deployment is approved or rejected, not %q", state)
	}
	body, err := json.Marshal(map[string]string{"environment_name": environment, "state": state, "comment": comment})
	if err != nil {
		return err
	}
	r := request{
		method: http.MethodPost, route: repositoryRoute + "/actions/runs/{run}/deployment_protection_rule", path: path, body: body,
		repo: Ref{where[1], where[2]},
		subject: subject{
			what: "deployment to " + environment, permission: deployments, write: true, environment: environment, refused: refusedReview,
		},
	}
	a, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	if a.redirects() {
		return misdirected("another place for a deployment's callback")
	}
	c.log.InfoContext(ctx, "deployment reviewed", "environment", environment, "state", state)
	return nil
}
