package githubsim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
)

const (
	policies = production + "/deployment-branch-policies"
	custom   = `{"deployment_branch_policy":{"protected_branches":false,"custom_branch_policies":true}}`
)

// A policy is a branch policy as the API shows it.
type policy struct {
	ID   int64  `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
}

// policies lists those of production, as "type name".
func (c *client) policies() []string {
	c.t.Helper()
	var list struct {
		Total    int      `json:"total_count"`
		Policies []policy `json:"branch_policies"`
	}
	c.want(200, "GET", policies+"?per_page=100", "").into(c.t, &list)
	out := []string{}
	for _, p := range list.Policies {
		out = append(out, p.Type+" "+p.Name)
	}
	if len(out) != list.Total {
		c.t.Errorf("%d of %d", len(out), list.Total)
	}
	return out
}

func (c *client) addPolicy(body string) policy {
	c.t.Helper()
	var p policy
	c.want(200, "POST", policies, body).into(c.t, &p)
	return p
}

func TestPatternsComeAndGo(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.put(production, custom)
	main := c.addPolicy(`{"name":"main"}`)
	release := c.addPolicy(`{"name":"release/*","type":"branch"}`)
	c.addPolicy(`{"name":"main","type":"tag"}`)
	if got := c.policies(); !slices.Equal(got, []string{"branch main", "branch release/*", "tag main"}) {
		t.Errorf("made: %v", got)
	}
	one := fmt.Sprintf("%s/%d", policies, release.ID)
	var shown policy
	c.want(200, "GET", one, "").into(t, &shown)
	if shown != release {
		t.Errorf("shown %+v, made %+v", shown, release)
	}
	c.want(200, "PUT", one, `{"name":"hotfix/*"}`)
	c.want(422, "PUT", one, `{"name":"main"}`)
	c.want(422, "PUT", one, `{}`)
	c.want(204, "DELETE", fmt.Sprintf("%s/%d", policies, main.ID), "")
	c.want(404, "DELETE", fmt.Sprintf("%s/%d", policies, main.ID), "")
	c.want(404, "GET", policies+"/x", "")
	if got := c.policies(); !slices.Equal(got, []string{"branch hotfix/*", "tag main"}) {
		t.Errorf("at last: %v", got)
	}
	inside, _ := c.gh.Environment(widgets, "production")
	if len(inside.Patterns) != 2 || inside.Patterns[0].ID != release.ID {
		t.Errorf("inside: %+v", inside)
	}
	inside.Patterns[0].Name = "elsewhere"
	if got := c.policies()[0]; got != "branch hotfix/*" {
		t.Errorf("looking inside changed it to %s", got)
	}
}

func TestAPatternThatExistsRedirects(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.put(production, custom)
	main := c.addPolicy(`{"name":"main"}`)
	r := c.want(303, "POST", policies, `{"name":"main","type":"branch"}`)
	if want := fmt.Sprintf("%s%s/%d", c.url, policies, main.ID); r.Header.Get("Location") != want || r.Body != "" {
		t.Errorf("Location %s, want %s; body %q", r.Header.Get("Location"), want, r.Body)
	}
	if got := c.policies(); len(got) != 1 {
		t.Errorf("policies: %v", got)
	}
}

func TestPatternsNeedCustomPolicies(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.want(404, "POST", policies, `{"name":"main"}`)
	c.want(404, "GET", policies, "")
	for _, body := range []string{"", `{"deployment_branch_policy":{"protected_branches":true,"custom_branch_policies":false}}`} {
		c.put(production, body)
		c.want(404, "POST", policies, `{"name":"main"}`)
	}
	c.put(production, custom)
	c.want(422, "POST", policies, `{}`)
	c.want(422, "POST", policies, `{"name":""}`)
	c.want(422, "POST", policies, `{"name":"main","type":"commit"}`)
	c.addPolicy(`{"name":"main"}`)

	// Patterns outlive the rule, and have their effect again when it comes back.
	c.put(production, `{"deployment_branch_policy":null}`)
	c.put(production, custom)
	if got := c.policies(); !slices.Equal(got, []string{"branch main"}) {
		t.Errorf("back: %v", got)
	}
	c.want(204, "DELETE", production, "")
	c.put(production, custom)
	if got := c.policies(); len(got) != 0 {
		t.Errorf("of an environment before: %v", got)
	}
}

func TestPatternsDoNotDateTheEnvironment(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.put(production, custom)
	known := c.with("If-None-Match", c.want(200, "GET", environments, "").Header.Get("ETag"))
	c.gh.Advance(3e9)
	c.addPolicy(`{"name":"main"}`)
	known.want(304, "GET", environments, "")
}

func TestPagesOfPatterns(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddEnvironment(widgets, "production")
	c.gh.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) {
		for i := range 31 {
			e.Patterns = append(e.Patterns, githubsim.BranchPattern{Name: fmt.Sprint(i)})
		}
	})
	r := c.want(200, "GET", policies, "")
	if next := r.links()["next"]; !strings.Contains(c.want(200, "GET", next, "").Body, `"name":"30"`) {
		t.Errorf("next page: %s", next)
	}
}
