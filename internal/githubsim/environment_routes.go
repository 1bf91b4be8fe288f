package githubsim

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// What the rules of an environment may be at most.
const (
	maxEnvironmentName = 255
	maxWaitTimer       = 30 * 24 * 60 // minutes
	maxReviewers       = 6
)

var (
	actionsRead         = need{"actions", "read"}
	administrationWrite = need{"administration", "write"}
)

// environmentRoute is a call under /{repo}/environments: everyone who sees the code may read,
// and only administrators may write.
func environmentRoute(method, path, docs string, serve func(*call) answer) route {
	rt := route{
		method: method, path: "/{repo}/environments" + path, scope: "repo", docs: "deployments/" + docs, serve: serve,
		need: actionsRead, role: RoleRead, open: openToAll,
	}
	if isWrite(method) {
		rt.need, rt.role, rt.open = administrationWrite, RoleAdmin, closed
	}
	return rt
}

func environmentRoutes() []route {
	const one = "/{environment_name}"
	return []route{
		environmentRoute("GET", "", "environments#list-environments", listEnvironments),
		environmentRoute("GET", one, "environments#get-an-environment", inEnvironment(getEnvironment)),
		environmentRoute("PUT", one, "environments#create-or-update-an-environment", putEnvironment),
		environmentRoute("DELETE", one, "environments#delete-an-environment", inEnvironment(deleteEnvironment)),
	}
}

// inEnvironment serves a call about an environment that must exist.
func inEnvironment(serve func(*call, *environment) answer) func(*call) answer {
	return func(c *call) answer {
		e := c.repo.environment(c.param("environment_name"))
		if e == nil || !c.repo.hasEnvironments() {
			return notFound()
		}
		return serve(c, e)
	}
}

func listEnvironments(c *call) answer {
	if !c.repo.hasEnvironments() {
		return notFound()
	}
	all := c.repo.byAge()
	p := c.page()
	list := []map[string]any{}
	for _, e := range cut(p, all) {
		list = append(list, c.environmentJSON(e))
	}
	a := ok(map[string]any{"total_count": len(all), "environments": list})
	c.link(&a, p, len(all))
	return a
}

func getEnvironment(c *call, e *environment) answer { return ok(c.environmentJSON(e)) }

func deleteEnvironment(c *call, e *environment) answer {
	c.world.removeEnvironment(c.repo, e, c.now)
	return answer{status: 204}
}

// putEnvironment creates or updates an environment, and answers 200 for both. It is not
// atomic: what is refused for the rules' sake leaves the environment there without them.
func putEnvironment(c *call) answer {
	name := c.param("environment_name")
	wish, refusal := c.environmentWish()
	switch {
	case refusal != nil:
		return *refusal
	case !goodEnvironmentName(name):
		return refuse(422, "The environment name is not valid.") // GitHub's text is not known
	case !c.repo.hasEnvironments():
		// Nor is this one; GitHub has answered 404, too.
		return refuse(422, "Failed to create the environment. Please ensure the billing plan supports environments.")
	}
	e := c.world.useEnvironment(c.repo, name, c.now)
	if c.strike == HalfDone {
		return refuse(422, "Failed to create the environment protection rule.")
	}
	if refusal := c.grant(e, wish); refusal != nil {
		return *refusal
	}
	c.world.changed(e, c.now)
	return ok(c.environmentJSON(e))
}

func goodEnvironmentName(name string) bool {
	return utf8.RuneCountInString(name) <= maxEnvironmentName && strings.TrimSpace(name) != "" &&
		!strings.ContainsFunc(name, unicode.IsControl)
}

// An environmentWish is the body of a PUT. What it leaves out stays as it is.
type environmentWish struct {
	waitTimer         *int
	reviewers         *[]Reviewer
	preventSelfReview *bool
	branches          *BranchRule
	adminsBypass      *bool
}

func (c *call) environmentWish() (environmentWish, *answer) {
	f := c.fields()
	permitted := []string{"wait_timer", "reviewers", "deployment_branch_policy", "can_admins_bypass", "prevent_self_review"}
	if c.enterpriseBefore(11) {
		permitted = permitted[:4]
	}
	f.permit(permitted...)
	var wish environmentWish
	if minutes, given := f.integer("wait_timer"); given {
		if minutes < 0 || minutes > maxWaitTimer {
			f.refuse(ruleRefusal("Wait timer must be between 0 and %d.", maxWaitTimer)) // in words of our own
		}
		n := int(minutes)
		wish.waitTimer = &n
	}
	if reviewers, given := f.reviewers(); given {
		wish.reviewers = &reviewers
	}
	if prevent, given := f.flag("prevent_self_review"); given {
		wish.preventSelfReview = &prevent
	}
	if rule, given := f.branchRule(); given {
		wish.branches = &rule
	}
	if bypass, given := f.flag("can_admins_bypass"); given {
		wish.adminsBypass = &bypass
	}
	return wish, f.refusal
}

// enterpriseBefore tells whether this is an Enterprise Server older than 3.minor.
func (c *call) enterpriseBefore(minor int) bool {
	major, rest, _ := strings.Cut(c.config.Enterprise, ".")
	text, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(text)
	return c.enterprise() && err == nil && major == "3" && n < minor
}

func ruleRefusal(format string, args ...any) answer {
	return refuse(422, "Failed to create or update the environment protection rule. "+fmt.Sprintf(format, args...))
}

// reviewers are those asked for, found or not. Null asks for none.
func (f *fields) reviewers() ([]Reviewer, bool) {
	if f.null("reviewers") {
		return nil, true
	}
	list, given := f.list("reviewers")
	var out []Reviewer
	for _, item := range list {
		values, isObject := item.(map[string]any)
		if !isObject {
			f.mistyped("reviewers", "an array of objects")
			break
		}
		one := (&fields{values: values}).require("type", "id")
		kind, _ := one.word("type", UserReviewer, TeamReviewer)
		id, _ := one.integer("id")
		if one.refusal != nil {
			f.refuse(*one.refusal)
		}
		if r := (Reviewer{kind, id}); !slices.Contains(out, r) {
			out = append(out, r)
		}
	}
	if len(list) > maxReviewers {
		f.refuse(ruleRefusal("At most %d reviewers can be required.", maxReviewers)) // in words of our own
	}
	return out, given
}

// branchRule is the one asked for. Null asks for none.
func (f *fields) branchRule() (BranchRule, bool) {
	const name = "deployment_branch_policy"
	if f.null(name) {
		return AnyBranch, true
	}
	policy, given := f.inner(name)
	if !given {
		return AnyBranch, false
	}
	policy.require("protected_branches", "custom_branch_policies")
	protected, _ := policy.flag("protected_branches")
	custom, _ := policy.flag("custom_branch_policies")
	if policy.refusal == nil && protected == custom {
		policy.refuse(refuse(422, "protected_branches and custom_branch_policies cannot have the same value"))
	}
	if policy.refusal != nil {
		f.refuse(*policy.refusal)
	}
	if protected {
		return ProtectedBranches, true
	}
	return CustomBranches, true
}

// grant sets the rules asked for, all or none. Reviewers who cannot read the repository are
// left out without a word.
func (c *call) grant(e *environment, wish environmentWish) *answer {
	if lacking := c.repo.unaffordable(wish); lacking != "" {
		a := refuse(422, "Failed to create the environment protection rule. "+
			"Please ensure the billing plan supports the "+lacking+" protection rule.")
		return &a
	}
	after := e.copy()
	if wish.waitTimer != nil {
		after.WaitTimer = *wish.waitTimer
	}
	if wish.reviewers != nil {
		after.Reviewers = slices.DeleteFunc(*wish.reviewers, func(r Reviewer) bool { return !c.readableBy(r) })
	}
	if wish.preventSelfReview != nil {
		after.PreventSelfReview = *wish.preventSelfReview
	}
	if wish.branches != nil {
		after.Branches = *wish.branches
	}
	if wish.adminsBypass != nil {
		after.AdminsBypass = *wish.adminsBypass
	}
	if wish.preventSelfReview != nil && after.PreventSelfReview && len(after.Reviewers) == 0 {
		a := ruleRefusal("Required reviewers must have at least one reviewer to set prevent_self_review.")
		return &a
	}
	e.Environment = after
	return nil
}

// unaffordable names the rule asked for that the plan does not include; empty if it has all.
// Asking for a rule's absence is asking for nothing.
func (repo *repository) unaffordable(wish environmentWish) string {
	switch {
	case repo.hasProtection():
		return ""
	case wish.reviewers != nil && len(*wish.reviewers) > 0:
		return "required reviewers"
	case wish.waitTimer != nil && *wish.waitTimer > 0:
		return "wait timer"
	case wish.adminsBypass != nil && !*wish.adminsBypass:
		return "administrator bypass" // in words of our own
	}
	return ""
}

// readableBy tells whether a reviewer was given access. That a public repository can be read
// by everyone does not count, nor does a team's membership in the organisation.
func (c *call) readableBy(r Reviewer) bool {
	if r.Type == TeamReviewer {
		t := c.repo.team(r.ID)
		return t != nil && t.repositories[c.repo.ID] != ""
	}
	user := c.world.accountsByID[r.ID]
	return user != nil && user.kind == userAccount && c.repo.granted(user) != ""
}

// environmentURL is where the API has an environment.
func (c *call) environmentURL(e *environment) string {
	return c.base + "/repos/" + c.repo.FullName + "/environments/" + url.PathEscape(e.Name)
}

func (c *call) environmentJSON(e *environment) map[string]any {
	body := c.briefEnvironmentJSON(e)
	body["created_at"] = stamp(e.created)
	body["updated_at"] = stamp(e.updated)
	body["can_admins_bypass"] = e.AdminsBypass
	body["protection_rules"] = c.rulesJSON(e)
	body["deployment_branch_policy"] = nil
	if e.Branches != AnyBranch {
		body["deployment_branch_policy"] = map[string]bool{
			"protected_branches":     e.Branches == ProtectedBranches,
			"custom_branch_policies": e.Branches == CustomBranches,
		}
	}
	return body
}

// briefEnvironmentJSON is an environment as deployments that wait for it have it.
func (c *call) briefEnvironmentJSON(e *environment) map[string]any {
	return map[string]any{
		"id": e.ID, "node_id": fmt.Sprintf("EN_%d", e.ID), "name": e.Name, "url": c.environmentURL(e),
		"html_url": c.site() + "/" + c.repo.FullName + "/deployments/activity_log?environments_filter=" + url.QueryEscape(e.Name),
	}
}

func (c *call) rulesJSON(e *environment) []map[string]any {
	list := []map[string]any{}
	for _, kind := range e.ruleTypes() {
		rule := map[string]any{"id": e.rules[kind], "node_id": fmt.Sprintf("GA_%d", e.rules[kind]), "type": kind}
		switch kind {
		case waitTimerRule:
			rule["wait_timer"] = e.WaitTimer
		case reviewersRule:
			rule["prevent_self_review"] = e.PreventSelfReview
			rule["reviewers"] = c.reviewersJSON(e)
		}
		list = append(list, rule)
	}
	return list
}

func (c *call) reviewersJSON(e *environment) []map[string]any {
	list := []map[string]any{}
	for _, r := range e.Reviewers {
		var who map[string]any
		switch r.Type {
		case UserReviewer:
			who = c.accountJSON(c.world.accountsByID[r.ID])
		case TeamReviewer:
			t := c.repo.team(r.ID)
			if t == nil {
				continue // of the organisation that the repository was transferred from
			}
			who = c.teamJSON(c.repo.owner, t, t.repositories[c.repo.ID])
		default:
			stranger := &team{id: r.ID, slug: fmt.Sprintf("%s-%d", strings.ToLower(r.Type), r.ID)}
			who = c.teamJSON(c.repo.owner, stranger, RoleRead)
		}
		list = append(list, map[string]any{"type": r.Type, "reviewer": who})
	}
	return list
}
