package githubsim_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// prefixes are the stores' paths by scope.
var prefixes = map[string]string{
	"actions":           "/repos/acme/widgets/actions/secrets",
	"codespaces":        "/repos/acme/widgets/codespaces/secrets",
	"dependabot":        "/repos/acme/widgets/dependabot/secrets",
	"agents":            "/repos/acme/widgets/agents/secrets",
	"environment:a/b c": "/repos/acme/widgets/environments/a%2Fb%20c/secrets",
}

func TestStoreKeepsWhatWasSealed(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddEnvironment(widgets, "a/b c")
	for scope, prefix := range prefixes {
		t.Run(scope, func(t *testing.T) {
			k := c.key(prefix)
			c.want(201, "PUT", prefix+"/Deploy_Key", k.seal(t, "one\n"))
			c.want(204, "PUT", prefix+"/DEPLOY_KEY", k.seal(t, "zwei ü\x00"))
			if got, _ := c.gh.Value(widgets, scope, "deploy_key"); got != "zwei ü\x00" {
				t.Errorf("value = %q", got)
			}
			l := c.list(prefix)
			if l.TotalCount != 1 || !slices.Equal(l.names(), []string{"DEPLOY_KEY"}) {
				t.Errorf("list = %+v", l)
			}
			for other := range prefixes {
				if _, found := c.gh.Value(widgets, other, "DEPLOY_KEY"); found != (other == scope) {
					t.Errorf("found in %s: %v", other, found)
				}
			}
			c.want(200, "GET", prefix+"/deploy_key", "")
			c.want(204, "DELETE", prefix+"/deploy_key", "")
			c.want(404, "DELETE", prefix+"/deploy_key", "")
			c.want(404, "GET", prefix+"/deploy_key", "")
			if n := c.list(prefix).TotalCount; n != 0 {
				t.Errorf("%d listed after the deletion", n)
			}
		})
	}
}

func TestTimesAreWholeSecondsOfGitHubsClock(t *testing.T) {
	t0 := time.Date(2026, 11, 1, 12, 0, 0, 900_000_000, time.FixedZone("", 7200))
	c := start(t, githubsim.Config{Now: func() time.Time { return t0 }})
	prefix := prefixes["actions"]
	k := c.key(prefix)
	c.want(201, "PUT", prefix+"/A", k.seal(t, "1"))
	c.gh.Advance(90 * time.Second)
	r := c.want(204, "PUT", prefix+"/A", k.seal(t, "1"))
	if got := r.Header.Get("Date"); got != "Sun, 01 Nov 2026 10:01:30 GMT" {
		t.Errorf("Date = %s", got)
	}
	body := c.get(prefix + "/A").Body
	for _, want := range []string{`"created_at":"2026-11-01T10:00:00Z"`, `"updated_at":"2026-11-01T10:01:30Z"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
}
