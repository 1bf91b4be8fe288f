package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// An EnvironmentsRequest is data-model.md's request, then ours.
type EnvironmentsRequest struct {
	ProjectID    given[uuid.UUID]        `json:"projectId" format:"uuid"`
	Environments list[EnvironmentConfig] `json:"environments" minItems:"1" maxItems:"3" doc:"Those that are not named stay as they are."`
	Force        given[bool]             `json:"force,omitempty" doc:"Write over secrets that somebody else put there or changed."`
}

// An EnvironmentConfig is one environment as it is asked for.
type EnvironmentConfig struct {
	Name   given[string]          `json:"name" enum:"dev,staging,production"`
	Rules  given[ProtectionRules] `json:"protectionRules" doc:"A key that is left out is the tier's default (dev: none; staging: one reviewer; production: one reviewer and the default branch), or else what GitHub has."`
	Values list[EnvironmentValue] `json:"secrets" maxItems:"100" doc:"Secrets that are not named are left as they are."`
	Linked given[LinkedResources] `json:"linkedResources" doc:"Each becomes a secret of the environment, unless that is given: NEON_BRANCH_ID, CLOUDFLARE_WORKER_NAME, CLOUDFLARE_PAGES_PROJECT. No two environments share one."`
}

// ProtectionRules are the rules of an environment as they are asked for.
type ProtectionRules struct {
	RequiredReviewers    given[int]  `json:"requiredReviewers,omitempty" minimum:"0" maximum:"6" doc:"GitHub asks for one approval of any reviewer, so it is whether, and not how many; at most as many as reviewerIds. 0: none."`
	ReviewerIDs          list[int64] `json:"reviewerIds,omitempty" maxItems:"6" doc:"GitHub's numbers of users who may approve. Left out: the project's default reviewer, where a reviewer is asked for."`
	RestrictToMainBranch given[bool] `json:"restrictToMainBranch,omitempty" doc:"Deployments come from the default branch only."`
	WaitTimer            given[int]  `json:"waitTimer,omitempty" minimum:"0" maximum:"43200" doc:"Minutes that a deployment waits."`
}

// An EnvironmentValue is one secret of an environment.
type EnvironmentValue struct {
	Name  given[string] `json:"name" doc:"Matches ^[A-Z][A-Z0-9_]*$, has at most 100 characters and does not begin with GITHUB_."`
	Value hidden        `json:"value" doc:"At most 48 KiB. It is sealed for the environment's own key; its hash is kept, it is not."`
}

// LinkedResources are what an environment is linked to; those left out stay what they were.
type LinkedResources struct {
	NeonBranchID           given[string] `json:"neonBranchId,omitempty"`
	CloudflareWorkerName   given[string] `json:"cloudflareWorkerName,omitempty"`
	CloudflarePagesProject given[string] `json:"cloudflarePagesProject,omitempty"`
}

// A wish is a body that was read: whose project, and what for it.
type wish struct {
	id           uuid.UUID
	environments []environment.Asked
	force        bool
	problems     []environment.Problem
}

func (a *wish) project() uuid.UUID { return a.id }

// zero overwrites the values.
func (a *wish) zero() {
	for _, e := range a.environments {
		for _, v := range e.Secrets {
			v.Value.Zero()
		}
	}
}

// readWish reads a body. What is wrong with its form stands in the problems; only a body that is no
// object at all, or names no project, is refused at once.
func readWish(body []byte) (*wish, error) {
	var b EnvironmentsRequest
	body = bytes.TrimSpace(body)
	if !utf8.Valid(body) || len(body) == 0 || body[0] != '{' || json.Unmarshal(body, &b) != nil {
		return nil, fault.Invalid("the body is no JSON object")
	}
	r := &reading{}
	a := &wish{}
	if r.is("projectId", b.ProjectID.state, "a UUID", true) {
		a.id = b.ProjectID.value
	}
	for i, member := range few(r, "environments", b.Environments, 2*len(environment.Tiers()), true) {
		path := fmt.Sprintf("environments[%d]", i)
		if e, ok := inside[EnvironmentConfig](r, path, member); ok {
			a.environments = append(a.environments, r.environment(path+".", e))
		}
	}
	if force := optional(r, "force", b.Force, "true or false"); force != nil {
		a.force = *force
	}
	a.problems = r.problems
	if a.id == uuid.Nil {
		a.zero()
		return nil, environment.Refuse(append(a.problems, nobodys(a.problems)...))
	}
	return a, nil
}

// nobodys is the problem of the zero UUID, unless there is another with the field.
func nobodys(problems []environment.Problem) []environment.Problem {
	for _, p := range problems {
		if p.Field == "projectId" {
			return nil
		}
	}
	return []environment.Problem{{Field: "projectId", Code: fault.RequestInvalid, Why: "is no project's"}}
}

func (r *reading) environment(path string, e EnvironmentConfig) environment.Asked {
	var a environment.Asked
	if r.is(path+"name", e.Name.state, "text", true) {
		a.Name = e.Name.value
	}
	if r.is(path+"protectionRules", e.Rules.state, "an object", true) {
		a.Rules = r.rules(path+"protectionRules.", e.Rules.value)
	}
	for i, member := range few(r, path+"secrets", e.Values, environment.MaxSecrets, true) {
		at := fmt.Sprintf("%ssecrets[%d]", path, i)
		v, ok := inside[EnvironmentValue](r, at, member)
		if ok && r.is(at+".name", v.Name.state, "text", true) && r.is(at+".value", v.Value.state, "text", true) {
			a.Secrets = append(a.Secrets, environment.Value{Name: v.Name.value, Value: v.Value.Plaintext})
		} else {
			v.Value.Zero()
		}
	}
	if r.is(path+"linkedResources", e.Linked.state, "an object", true) {
		a.Linked = r.links(path+"linkedResources.", e.Linked.value)
	}
	return a
}

func (r *reading) rules(path string, p ProtectionRules) environment.Rules {
	rules := environment.Rules{
		RequiredReviewers:    optional(r, path+"requiredReviewers", p.RequiredReviewers, "a whole number"),
		RestrictToMainBranch: optional(r, path+"restrictToMainBranch", p.RestrictToMainBranch, "true or false"),
		WaitTimer:            optional(r, path+"waitTimer", p.WaitTimer, "a whole number"),
	}
	if p.ReviewerIDs.state == there {
		rules.ReviewerIDs = []int64{}
	}
	for i, member := range few(r, path+"reviewerIds", p.ReviewerIDs, 10*environment.MaxReviewers, false) {
		var id given[int64]
		_ = id.UnmarshalJSON(member) // notes what is wrong
		if r.is(fmt.Sprintf("%sreviewerIds[%d]", path, i), id.state, "a whole number", true) {
			rules.ReviewerIDs = append(rules.ReviewerIDs, id.value)
		}
	}
	return rules
}

func (r *reading) links(path string, l LinkedResources) environment.Links {
	var out environment.Links
	for _, link := range []struct {
		field string
		given given[string]
		into  *string
	}{
		{"neonBranchId", l.NeonBranchID, &out.NeonBranchID},
		{"cloudflareWorkerName", l.CloudflareWorkerName, &out.CloudflareWorkerName},
		{"cloudflarePagesProject", l.CloudflarePagesProject, &out.CloudflarePagesProject},
	} {
		if text := optional(r, path+link.field, link.given, "text"); text != nil {
			*link.into = *text
		}
	}
	return out
}

// each calls do with every value.
func (a *wish) each(do func(secret.Plaintext)) {
	for _, e := range a.environments {
		for _, v := range e.Secrets {
			do(v.Value)
		}
	}
}
