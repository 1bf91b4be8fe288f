package githubsim_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

const (
	environments = "/repos/acme/widgets/environments"
	production   = environments + "/production"
)

// An environment as far as tests look at it.
type environment struct {
	ID           int64     `json:"id"`
	Name         string    `json:"name"`
	URL          string    `json:"url"`
	UpdatedAt    time.Time `json:"updated_at"`
	AdminsBypass bool      `json:"can_admins_bypass"`
	Rules        []rule    `json:"protection_rules"`
	Branches     *struct {
		Protected bool `json:"protected_branches"`
		Custom    bool `json:"custom_branch_policies"`
	} `json:"deployment_branch_policy"`
}

type rule struct {
	ID                int64  `json:"id"`
	Type              string `json:"type"`
	WaitTimer         int    `json:"wait_timer"`
	PreventSelfReview bool   `json:"prevent_self_review"`
	Reviewers         []struct {
		Type     string `json:"type"`
		Reviewer struct {
			ID    int64  `json:"id"`
			Login string `json:"login"`
			Slug  string `json:"slug"`
		} `json:"reviewer"`
	} `json:"reviewers"`
}

// rule finds the rule of a type; the zero rule if there is none.
func (e environment) rule(kind string) rule {
	for _, r := range e.Rules {
		if r.Type == kind {
			return r
		}
	}
	return rule{}
}

// reviewers are the ids of those who may approve.
func (e environment) reviewers() []int64 {
	var out []int64
	for _, r := range e.rule("required_reviewers").Reviewers {
		out = append(out, r.Reviewer.ID)
	}
	return out
}

// put changes an environment and returns what the answer shows of it.
func (c *client) put(path, body string) environment {
	c.t.Helper()
	var e environment
	c.want(200, "PUT", path, body).into(c.t, &e)
	return e
}

func (c *client) environment(path string) environment {
	c.t.Helper()
	var e environment
	c.want(200, "GET", path, "").into(c.t, &e)
	return e
}

// member adds a user with a role in acme/widgets.
func (c *client) member(login string, role githubsim.Role) int64 {
	id := c.gh.AddUser(login)
	c.gh.AddCollaborator(widgets, login, role)
	return id
}

func TestEnvironmentHasTheRulesAskedFor(t *testing.T) {
	c := start(t, githubsim.Config{})
	mona := c.member("mona", githubsim.RoleRead)
	platform := c.gh.AddTeam(githubsim.Team{
		Organization: "acme", Slug: "platform", Repositories: map[string]githubsim.Role{widgets: githubsim.RoleWrite},
	})
	made := c.put(production, fmt.Sprintf(`{"wait_timer":30,"prevent_self_review":true,"can_admins_bypass":false,
		"reviewers":[{"type":"User","id":%d},{"type":"Team","id":%d}],
		"deployment_branch_policy":{"protected_branches":true,"custom_branch_policies":false}}`, mona, platform))
	reviewers := made.rule("required_reviewers")
	if made.rule("wait_timer").WaitTimer != 30 || !reviewers.PreventSelfReview || made.AdminsBypass ||
		!slices.Equal(made.reviewers(), []int64{mona, platform}) || reviewers.Reviewers[1].Reviewer.Slug != "platform" ||
		made.rule("branch_policy").ID == 0 || !made.Branches.Protected || made.Branches.Custom {
		t.Errorf("made: %+v", made)
	}
	if made.ID < 1<<32 || made.URL != c.url+production {
		t.Errorf("made: %+v", made)
	}
	if shown := c.environment("/repos/ACME/widgets/environments/Production"); !reflect.DeepEqual(shown, made) {
		t.Errorf("shown %+v, made %+v", shown, made)
	}
	inside, _ := c.gh.Environment(widgets, "PRODUCTION")
	want := githubsim.Environment{
		ID: made.ID, Name: "production", WaitTimer: 30, PreventSelfReview: true, Branches: githubsim.ProtectedBranches,
		Reviewers: []githubsim.Reviewer{{Type: "User", ID: mona}, {Type: "Team", ID: platform}},
	}
	if !reflect.DeepEqual(inside, want) {
		t.Errorf("inside: %+v", inside)
	}
}

func TestAbsentRulesAreAbsent(t *testing.T) {
	c := start(t, githubsim.Config{})
	for _, body := range []string{"", "null", "{}", `{"wait_timer":0,"reviewers":null,"prevent_self_review":false,"deployment_branch_policy":null}`} {
		e := c.put(production, body)
		if len(e.Rules) != 0 || e.Branches != nil || !e.AdminsBypass {
			t.Errorf("%q: %+v", body, e)
		}
	}
}

func TestOmittedKeysStay(t *testing.T) {
	c := start(t, githubsim.Config{})
	mona := c.member("mona", githubsim.RoleRead)
	full := c.put(production, fmt.Sprintf(`{"wait_timer":5,"reviewers":[{"type":"User","id":%d}],"prevent_self_review":true,
		"can_admins_bypass":false,"deployment_branch_policy":{"protected_branches":false,"custom_branch_policies":true}}`, mona))
	if again := c.put(production, "{}"); !reflect.DeepEqual(again.Rules, full.Rules) || again.AdminsBypass || !again.Branches.Custom {
		t.Errorf("after {}: %+v", again)
	}
	timer := c.put(production, `{"wait_timer":0}`)
	if timer.rule("wait_timer").ID != 0 || !reflect.DeepEqual(timer.rule("required_reviewers"), full.rule("required_reviewers")) {
		t.Errorf("without timer: %+v", timer)
	}
	for _, none := range []string{"null", "[]"} {
		c.put(production, fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d}],"prevent_self_review":true}`, mona))
		e := c.put(production, `{"reviewers":`+none+`}`)
		if e.rule("required_reviewers").ID != 0 || e.rule("branch_policy").ID != full.rule("branch_policy").ID {
			t.Errorf("without reviewers (%s): %+v", none, e)
		}
	}
	if e := c.put(production, fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d}]}`, mona)); e.rule("required_reviewers").PreventSelfReview {
		t.Error("prevent_self_review outlived its rule")
	}
	if e := c.put(production, `{"deployment_branch_policy":null,"can_admins_bypass":true}`); e.Branches != nil || !e.AdminsBypass {
		t.Errorf("any branch: %+v", e)
	}
}

func TestReviewersWithoutAccessAreDroppedInSilence(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Private = false })
	mona, stranger := c.member("mona", githubsim.RoleRead), c.gh.AddUser("stranger")
	idle := c.gh.AddTeam(githubsim.Team{Organization: "acme", Slug: "idle", Members: []string{"mona"}})
	e := c.put(production, fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d},{"type":"User","id":%d},{"type":"Team","id":%d},
		{"type":"User","id":7},{"type":"User","id":%d}]}`, stranger, mona, idle, mona))
	if got := e.reviewers(); !slices.Equal(got, []int64{mona}) {
		t.Errorf("reviewers %v, want mona alone", got)
	}
	e = c.put(production, fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d}]}`, stranger))
	if len(e.Rules) != 0 {
		t.Errorf("a gate without a guard: %+v", e)
	}
	r := c.want(422, "PUT", production, fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d}],"prevent_self_review":true}`, stranger))
	if !strings.Contains(r.message(), "must have at least one reviewer to set prevent_self_review.") {
		t.Error(r.Body)
	}
	c.want(204, "GET", "/repos/acme/widgets/collaborators/mona", "")
	c.want(404, "GET", "/repos/acme/widgets/collaborators/stranger", "")
}

func TestRefusedRules(t *testing.T) {
	c := start(t, githubsim.Config{})
	seven := strings.TrimSuffix(strings.Repeat(`{"type":"User","id":1},{"type":"Team","id":2},`, 4), ",")
	for body, message := range map[string]string{
		`{`:                                  "Problems parsing JSON",
		`[]`:                                 "Body should be a JSON object",
		`{"wait_timer":-1}`:                  "between 0 and 43200",
		`{"wait_timer":43201}`:               "between 0 and 43200",
		`{"wait_timer":1.5}`:                 "For 'properties/wait_timer', 1.5 is not an integer.",
		`{"wait_timer":null}`:                "For 'properties/wait_timer', null is not an integer.",
		`{"reviewers":[` + seven + `]}`:      "At most 6 reviewers",
		`{"reviewers":{}}`:                   "is not an array",
		`{"reviewers":[1]}`:                  "array of objects",
		`{"reviewers":[{"type":"User"}]}`:    `"id" wasn't supplied.`,
		`{"reviewers":[{}]}`:                 `"type", "id" weren't supplied.`,
		`{"prevent_self_review":1}`:          "is not a boolean",
		`{"can_admins_bypass":null}`:         "is not a boolean",
		`{"prevent_self_review":true}`:       "Required reviewers must have at least one reviewer to set prevent_self_review.",
		`{"name":"x"}`:                       "Invalid request.\n\nInvalid input: \"name\" is not a permitted key.",
		`{"deployment_branch_policy":{}}`:    `"protected_branches", "custom_branch_policies" weren't supplied.`,
		`{"deployment_branch_policy":false}`: "is not an object",
		`{"reviewers":[{"type":"BusinessTeam","id":1}]}`:                                           "is not a member of",
		`{"deployment_branch_policy":{"protected_branches":true,"custom_branch_policies":true}}`:   "same value",
		`{"deployment_branch_policy":{"protected_branches":false,"custom_branch_policies":false}}`: "same value",
	} {
		r := c.do("PUT", production, body)
		if r.Status/100 != 4 || !strings.Contains(r.message(), message) {
			t.Errorf("%s: %d %s", body, r.Status, r.Body)
		}
	}
	c.want(200, "PUT", environments+"/longest", `{"wait_timer":43200}`)
}

func TestNamesOfEnvironments(t *testing.T) {
	c := start(t, githubsim.Config{})
	made := c.put(environments+"/a%2Fb:%20c", "")
	if made.Name != "a/b: c" || c.environment(environments+"/A%2FB:%20C").ID != made.ID {
		t.Errorf("made: %+v", made)
	}
	if again := c.put(environments+"/A%2Fb:%20C", ""); again.ID != made.ID || again.Name != "a/b: c" {
		t.Errorf("again: %+v", again)
	}
	if shown := c.environment(strings.TrimPrefix(made.URL, c.url)); shown.ID != made.ID {
		t.Errorf("%s shows %+v", made.URL, shown)
	}
	c.want(404, "PUT", environments+"/a/b", "")
	c.want(200, "PUT", environments+"/"+strings.Repeat("%C3%BC", 255), "")
	c.want(422, "PUT", environments+"/"+strings.Repeat("x", 256), "")
	c.want(422, "PUT", environments+"/a%0Ab", "")
	c.want(422, "PUT", environments+"/%20", "")
}

func TestListOfEnvironments(t *testing.T) {
	c := start(t, githubsim.Config{})
	var want []string
	for i := range 35 {
		want = append(want, fmt.Sprintf("e%d", i))
		c.gh.AddEnvironment(widgets, want[i])
	}
	var got []string
	r := c.want(200, "GET", environments, "")
	for {
		var page struct {
			Total        int           `json:"total_count"`
			Environments []environment `json:"environments"`
		}
		r.into(t, &page)
		for _, e := range page.Environments {
			got = append(got, e.Name)
		}
		next := r.links()["next"]
		if page.Total != 35 || next == "" {
			break
		}
		if !strings.Contains(next, "/repositories/") {
			t.Errorf("Link names %s", next)
		}
		r = c.want(200, "GET", next, "")
	}
	if !slices.Equal(got, want) {
		t.Errorf("listed %v", got)
	}
}

func TestUnchangedEnvironmentsCostNothing(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddEnvironment(widgets, "production")
	const policies = production + "/deployment-branch-policies"
	gate := c.gh.AddApp(githubsim.App{Slug: "gate"}).ID
	for _, path := range []string{
		environments, production, policies, production + "/deployment_protection_rules", "/repos/acme/widgets/deployments",
	} {
		known := c.with("If-None-Match", c.want(200, "GET", path, "").Header.Get("ETag"))
		c.gh.ResetRequests()
		known.want(304, "GET", path, "")
		if billed := c.gh.Counts().Billed; billed != 0 {
			t.Errorf("%s: 304 billed %d", path, billed)
		}
		c.gh.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) {
			e.WaitTimer++
			e.Patterns = append(e.Patterns, githubsim.BranchPattern{Name: fmt.Sprint(e.WaitTimer)})
			if e.Apps = append(e.Apps, gate); len(e.Apps) > 1 {
				e.Apps = nil
			}
		})
		c.gh.Deploy(widgets, githubsim.Deployment{})
		known.want(200, "GET", path, "")
	}
}

func TestEnvironmentPlans(t *testing.T) {
	mona := func(c *client) string {
		return fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d}]}`, c.member("mona", "read"))
	}
	lacks := "Failed to create the environment protection rule. Please ensure the billing plan supports the %s protection rule."
	team := start(t, githubsim.Config{})
	team.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Plan = githubsim.TeamPlan })
	reviewed := mona(team)
	for body, rule := range map[string]string{
		reviewed: "required reviewers", `{"wait_timer":1}`: "wait timer", `{"can_admins_bypass":false}`: "administrator bypass",
	} {
		team.gh.UseEnvironment(widgets, "production")
		team.gh.DeleteEnvironment(widgets, "production")
		if r := team.want(422, "PUT", production, body); r.message() != fmt.Sprintf(lacks, rule) {
			t.Errorf("%s: %s", body, r.Body)
		}
		// The environment is there all the same, open to everyone.
		if e := team.environment(production); len(e.Rules) != 0 || !e.AdminsBypass {
			t.Errorf("%s left %+v", body, e)
		}
	}
	team.put(production, `{"wait_timer":0,"reviewers":[],"prevent_self_review":false,"can_admins_bypass":true,
		"deployment_branch_policy":{"protected_branches":false,"custom_branch_policies":true}}`)
	team.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Private = false })
	if e := team.put(production, reviewed); len(e.reviewers()) != 1 {
		t.Errorf("public: %+v", e)
	}

	// A repository that turns private on the free plan keeps what nobody can see any more.
	team.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Private, r.Plan = true, githubsim.FreePlan })
	for _, path := range []string{environments, production, production + "/secrets", production + "/deployment-branch-policies"} {
		team.want(404, "GET", path, "")
	}
	team.want(422, "PUT", environments+"/staging", "")
	if _, found := team.gh.Environment(widgets, "staging"); found {
		t.Error("made on the free plan")
	}
	team.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Plan = githubsim.EnterprisePlan })
	if e := team.environment(production); len(e.reviewers()) != 1 {
		t.Errorf("private again: %+v", e)
	}
}

func TestHalfDone(t *testing.T) {
	c := start(t, githubsim.Config{})
	fail := func(kind githubsim.Kind) {
		c.gh.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{kind}, Method: "PUT", Path: "/environments/", Times: 1}}})
	}
	fail(githubsim.HalfDone)
	c.want(422, "PUT", production, `{"wait_timer":5}`)
	if e, found := c.gh.Environment(widgets, "production"); !found || e.WaitTimer != 0 {
		t.Errorf("half done: %+v, %v", e, found)
	}
	if e := c.put(production, `{"wait_timer":5}`); e.rule("wait_timer").WaitTimer != 5 {
		t.Errorf("at last: %+v", e)
	}
	fail(githubsim.HalfDone)
	c.want(422, "PUT", production, `{"wait_timer":9}`)
	if e, _ := c.gh.Environment(widgets, "production"); e.WaitTimer != 5 {
		t.Errorf("half done again: %+v", e)
	}
	fail(githubsim.LostAnswer)
	c.want(502, "PUT", environments+"/staging", `{"wait_timer":5}`)
	if e, _ := c.gh.Environment(widgets, "staging"); e.WaitTimer != 5 {
		t.Errorf("lost answer: %+v", e)
	}
	fail(githubsim.BadGateway)
	c.want(502, "PUT", environments+"/dev", "")
	if _, found := c.gh.Environment(widgets, "dev"); found {
		t.Error("a bad gateway let the request through")
	}
}

func TestDeletedEnvironmentTakesItsSecretsAlong(t *testing.T) {
	c := start(t, githubsim.Config{})
	first := c.put(production, `{"wait_timer":5}`)
	c.gh.SetSecret(widgets, "environment:production", githubsim.Secret{Name: "A", Value: "1"})
	sealed := c.key(production+"/secrets").seal(t, "v")
	c.want(204, "DELETE", environments+"/Production", "")
	c.want(404, "DELETE", production, "")
	c.want(404, "GET", production, "")
	c.want(404, "GET", production+"/secrets", "")
	c.want(404, "GET", production+"/secrets/public-key", "")
	if second := c.put(production, ""); second.ID == first.ID || len(second.Rules) != 0 {
		t.Errorf("second: %+v", second)
	}
	if n := c.list(production + "/secrets").TotalCount; n != 0 {
		t.Errorf("%d secrets came back", n)
	}
	c.want(422, "PUT", production+"/secrets/A", sealed) // for the key of the first
}

func TestAJobMakesAnUnprotectedEnvironment(t *testing.T) {
	c := start(t, githubsim.Config{})
	id := c.gh.UseEnvironment(widgets, "Staging")
	if again := c.gh.UseEnvironment(widgets, "staging"); again != id {
		t.Errorf("used twice: %d and %d", id, again)
	}
	e := c.environment(environments + "/staging")
	if e.ID != id || e.Name != "Staging" || len(e.Rules) != 0 || e.Branches != nil {
		t.Errorf("made: %+v", e)
	}
}

func TestWhatNobodyHasHeardOf(t *testing.T) {
	c := start(t, githubsim.Config{})
	mona := c.member("mona", githubsim.RoleRead)
	c.put(production, fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d}]}`, mona))
	c.gh.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) {
		e.Reviewers = append(e.Reviewers, githubsim.Reviewer{Type: "BusinessTeam", ID: 12})
		e.OtherRules = []string{"moon_phase"}
	})
	e := c.environment(production)
	if got := e.rule("required_reviewers").Reviewers; len(got) != 2 || got[1].Type != "BusinessTeam" || got[1].Reviewer.ID != 12 {
		t.Errorf("reviewers: %+v", got)
	}
	if e.rule("moon_phase").ID == 0 {
		t.Errorf("rules: %+v", e.Rules)
	}
	// A list of reviewers replaces those that a request cannot name, and leaves other rules alone.
	e = c.put(production, fmt.Sprintf(`{"reviewers":[{"type":"User","id":%d}]}`, mona))
	if !slices.Equal(e.reviewers(), []int64{mona}) || e.rule("moon_phase").ID == 0 {
		t.Errorf("put: %+v", e)
	}
}

func TestSomeoneEditsAnEnvironment(t *testing.T) {
	c := start(t, githubsim.Config{})
	before := c.put(production, `{"wait_timer":5}`)
	c.gh.Advance(time.Hour)
	c.gh.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) { e.ID, e.Name, e.WaitTimer = 1, "other", 0 })
	after := c.environment(production)
	if after.ID != before.ID || after.Name != "production" || len(after.Rules) != 0 || after.UpdatedAt.Sub(before.UpdatedAt) < time.Hour {
		t.Errorf("before %+v, after %+v", before, after)
	}
	inside, _ := c.gh.Environment(widgets, "production")
	inside.Patterns = append(inside.Patterns, githubsim.BranchPattern{Name: "x"})
	if all := c.gh.Environments(widgets); len(all) != 1 || len(all[0].Patterns) != 0 {
		t.Errorf("all: %+v", all)
	}
	for name, change := range map[string]func(*githubsim.Environment){
		"a reviewer": func(e *githubsim.Environment) { e.Reviewers = []githubsim.Reviewer{{Type: "User", ID: 1}} },
		"a team":     func(e *githubsim.Environment) { e.Reviewers = []githubsim.Reviewer{{Type: "Team", ID: 1}} },
		"an App":     func(e *githubsim.Environment) { e.Apps = []int64{1} },
	} {
		if !panics(func() { c.gh.ChangeEnvironment(widgets, "production", change) }) {
			t.Errorf("%s that nobody knows was taken", name)
		}
	}
	if !panics(func() { c.gh.AddEnvironment(widgets, "PRODUCTION") }) {
		t.Error("there are two of a name")
	}
}

func panics(do func()) (did bool) {
	defer func() { did = recover() != nil }()
	do()
	return false
}

func TestWhoMayDoWhatInEnvironments(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddEnvironment(widgets, "production")
	c.gh.AddRepository(githubsim.Repository{FullName: "acme/public"})
	c.gh.AddEnvironment("acme/public", "production")
	c.member("reader", githubsim.RoleRead)
	c.member("writer", githubsim.RoleMaintain)
	fine := func(p githubsim.Permissions) string {
		return c.gh.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Repositories: []string{widgets}, Permissions: p})
	}
	workflow := c.gh.AddToken(githubsim.Token{Kind: githubsim.Workflow, Repositories: []string{widgets}, Permissions: githubsim.Permissions{
		"actions": "write", "administration": "write", "environments": "write", "deployments": "write",
	}})
	scopeless := c.gh.AddToken(githubsim.Token{Scopes: []string{}})
	narrow := c.gh.AddToken(githubsim.Token{Scopes: []string{"repo_deployment"}})
	deployments := "/repos/acme/widgets/deployments"
	for _, tc := range []struct {
		who, token, method, path string
		status                   int
		accepted                 string
	}{
		{"actions:read", fine(githubsim.Permissions{"actions": "read"}), "GET", production, 200, "actions=read"},
		{"environments:write", fine(githubsim.Permissions{"environments": "write"}), "GET", production, 403, "actions=read"},
		{"environments:write", fine(githubsim.Permissions{"environments": "write"}), "PUT", production, 403, "administration=write"},
		{"administration:read", fine(githubsim.Permissions{"administration": "read"}), "PUT", production, 403, "administration=write"},
		{"administration:write", fine(githubsim.Permissions{"administration": "write"}), "PUT", production, 200, "administration=write"},
		{"administration:write", fine(githubsim.Permissions{"administration": "write"}), "GET", production + "/secrets", 403, "environments=read"},
		{"actions:write", fine(githubsim.Permissions{"actions": "write"}), "POST", production + "/deployment-branch-policies", 403, "administration=write"},
		{"actions:read", fine(githubsim.Permissions{"actions": "read"}), "GET", deployments, 403, "deployments=read"},
		{"deployments:read", fine(githubsim.Permissions{"deployments": "read"}), "GET", deployments, 200, "deployments=read"},
		{"deployments:read", fine(githubsim.Permissions{"deployments": "read"}), "POST", deployments, 403, "deployments=write"},
		{"a workflow", workflow, "GET", production, 200, ""},
		{"a workflow", workflow, "PUT", production, 403, ""},
		{"a workflow", workflow, "GET", deployments, 200, ""},
		{"a reader", c.gh.AddToken(githubsim.Token{User: "reader"}), "GET", production, 200, ""},
		{"a maintainer", c.gh.AddToken(githubsim.Token{User: "writer"}), "PUT", production, 403, ""},
		{"a reader", c.gh.AddToken(githubsim.Token{User: "reader"}), "POST", deployments, 403, ""},
		{"repo_deployment", narrow, "GET", deployments, 200, ""},
		{"repo_deployment", narrow, "GET", production, 404, ""},
		{"no scope", scopeless, "GET", deployments, 404, ""},
		{"no scope", scopeless, "GET", "/repos/acme/public/environments", 200, ""},
		{"no scope", scopeless, "PUT", "/repos/acme/public/environments/production", 403, ""},
		{"nobody", "", "GET", "/repos/acme/public/environments", 200, ""},
		{"nobody", "", "GET", "/repos/acme/public/deployments", 200, ""},
		{"nobody", "", "GET", production, 404, ""},
		{"nobody", "", "DELETE", "/repos/acme/public/environments/production", 401, ""},
	} {
		r := c.as(tc.token).do(tc.method, tc.path, "")
		if got := r.Header.Get("X-Accepted-GitHub-Permissions"); r.Status != tc.status || tc.accepted != "" && got != tc.accepted {
			t.Errorf("%s, %s %s: %d, %s, want %d, %s", tc.who, tc.method, tc.path, r.Status, got, tc.status, tc.accepted)
		}
	}
}

func TestOldServersKnowFewerKeys(t *testing.T) {
	old := start(t, githubsim.Config{Enterprise: "3.10.4"})
	if r := old.want(422, "PUT", production, `{"prevent_self_review":false}`); !strings.Contains(r.message(), `"prevent_self_review" is not a permitted key.`) {
		t.Error(r.Body)
	}
	start(t, githubsim.Config{Enterprise: "3.11.0"}).put(production, `{"prevent_self_review":false}`)
}
