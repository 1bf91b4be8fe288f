package githubsim

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
)

func branchPolicyRoutes() []route {
	const (
		all = "/{environment_name}/deployment-branch-policies"
		one = all + "/{branch_policy_id}"
	)
	return []route{
		environmentRoute("GET", all, "branch-policies#list-deployment-branch-policies", inEnvironment(listPatterns)),
		environmentRoute("POST", all, "branch-policies#create-a-deployment-branch-policy", inEnvironment(addPattern)),
		environmentRoute("GET", one, "branch-policies#get-a-deployment-branch-policy", onPattern(getPattern)),
		environmentRoute("PUT", one, "branch-policies#update-a-deployment-branch-policy", onPattern(putPattern)),
		environmentRoute("DELETE", one, "branch-policies#delete-a-deployment-branch-policy", onPattern(deletePattern)),
	}
}

// onPattern serves a call about a pattern that must exist.
func onPattern(serve func(*call, *environment, int) answer) func(*call) answer {
	return inEnvironment(func(c *call, e *environment) answer {
		id, err := strconv.ParseInt(c.param("branch_policy_id"), 10, 64)
		i := slices.IndexFunc(e.Patterns, func(p BranchPattern) bool { return p.ID == id })
		if err != nil || i < 0 {
			return notFound()
		}
		return serve(c, e, i)
	})
}

// listPatterns lists also those that wait, without effect, for custom policies to come back.
func listPatterns(c *call, e *environment) answer {
	p := c.page()
	list := []map[string]any{}
	for _, pattern := range cut(p, e.Patterns) {
		list = append(list, pattern.asJSON())
	}
	a := ok(map[string]any{"total_count": len(e.Patterns), "branch_policies": list})
	c.link(&a, p, len(e.Patterns))
	return a
}

// addPattern answers 200, not 201; and 303 for a pattern that is there, which a client that
// follows redirects takes for a success, and one that retries writes must. The environment's
// updated_at does not move with its patterns.
func addPattern(c *call, e *environment) answer {
	f := c.fields().require("name")
	name, _ := f.text("name")
	kind, _ := f.word("type", "branch", "tag")
	made := BranchPattern{Name: name, Type: cmp.Or(kind, "branch")}
	switch {
	case f.refusal != nil:
		return *f.refusal
	case e.Branches != CustomBranches:
		return notFound()
	case name == "":
		return refuse(422, "Validation Failed")
	}
	if known := e.pattern(made.Name, made.Type); known != nil {
		a := answer{status: 303}
		a.set("Location", fmt.Sprintf("%s/deployment-branch-policies/%d", c.environmentURL(e), known.ID))
		return a
	}
	made.ID = c.world.nextID()
	e.Patterns = append(e.Patterns, made)
	return ok(made.asJSON())
}

func getPattern(_ *call, e *environment, i int) answer { return ok(e.Patterns[i].asJSON()) }

// putPattern renames a pattern; its type stays.
func putPattern(c *call, e *environment, i int) answer {
	f := c.fields().require("name")
	name, _ := f.text("name")
	p := &e.Patterns[i]
	if f.refusal != nil {
		return *f.refusal
	}
	if other := e.pattern(name, p.Type); name == "" || other != nil && other != p {
		return refuse(422, "Validation Failed")
	}
	p.Name = name
	return ok(p.asJSON())
}

func deletePattern(_ *call, e *environment, i int) answer {
	e.Patterns = slices.Delete(e.Patterns, i, i+1)
	return answer{status: 204}
}

// pattern finds a pattern; nil if there is none.
func (e *environment) pattern(name, kind string) *BranchPattern {
	for i := range e.Patterns {
		if p := &e.Patterns[i]; p.Name == name && p.Type == kind {
			return p
		}
	}
	return nil
}

func (p BranchPattern) asJSON() map[string]any {
	return map[string]any{"id": p.ID, "node_id": fmt.Sprintf("GBP_%d", p.ID), "name": p.Name, "type": p.Type}
}
