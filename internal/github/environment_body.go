package github

import (
	"cmp"
	"encoding/json"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

// An environmentBody is GitHub's description of an environment.
type environmentBody struct {
	ID           int64     `json:"id"`
	Name         string    `json:"name"`
	UpdatedAt    time.Time `json:"updated_at"`
	AdminsBypass *bool     `json:"can_admins_bypass"` // not in GitHub's schema, and missing on older servers
	Branches     *struct {
		Protected bool `json:"protected_branches"`
		Custom    bool `json:"custom_branch_policies"`
	} `json:"deployment_branch_policy"`
	Rules []json.RawMessage `json:"protection_rules"`
}

// environment reads the rules by their types. A rule that is not set is absent, and one of a type
// that nobody here knows is left where it is: writing names no such rule, so GitHub keeps it.
func (b environmentBody) environment() (Environment, error) {
	e := Environment{ID: b.ID, Name: b.Name, UpdatedAt: b.UpdatedAt, Rules: EnvironmentRules{Branches: AnyBranch, AdminsBypass: b.AdminsBypass}}
	switch {
	case b.Branches != nil && b.Branches.Custom:
		e.Rules.Branches = CustomBranches
	case b.Branches != nil && b.Branches.Protected:
		e.Rules.Branches = ProtectedBranches
	}
	for _, raw := range b.Rules {
		var kind struct {
			Type string `json:"type"`
		}
		err := json.Unmarshal(raw, &kind)
		switch {
		case err != nil:
		case kind.Type == "wait_timer":
			err = e.Rules.readTimer(raw)
		case kind.Type == "required_reviewers":
			err = e.Rules.readReviewers(raw)
		}
		if err != nil {
			return Environment{}, noEnvironment().Because(err)
		}
	}
	if e.ID == 0 || e.Name == "" {
		return Environment{}, noEnvironment()
	}
	return e, nil
}

func (r *EnvironmentRules) readTimer(raw json.RawMessage) error {
	var rule struct {
		Minutes int `json:"wait_timer"`
	}
	err := json.Unmarshal(raw, &rule)
	r.WaitTimer = rule.Minutes
	return err
}

func (r *EnvironmentRules) readReviewers(raw json.RawMessage) error {
	var rule struct {
		PreventSelfReview bool `json:"prevent_self_review"`
		Reviewers         []struct {
			Type     string          `json:"type"`
			Reviewer json.RawMessage `json:"reviewer"`
		} `json:"reviewers"`
	}
	if err := json.Unmarshal(raw, &rule); err != nil {
		return err
	}
	r.PreventSelfReview = rule.PreventSelfReview
	for _, of := range rule.Reviewers {
		var who struct {
			ID    int64  `json:"id"`
			Login string `json:"login"`
			Slug  string `json:"slug"`
		}
		reviewer := Reviewer{Type: of.Type}
		// What a reviewer of another type looks like is not known, only that there is one.
		if err := json.Unmarshal(of.Reviewer, &who); err != nil && reviewer.known() {
			return err
		}
		reviewer.ID, reviewer.Login = who.ID, cmp.Or(who.Login, who.Slug)
		r.Reviewers = append(r.Reviewers, reviewer)
	}
	return nil
}

func noEnvironment() *fault.Fault {
	return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the answer describes no environment"}).
		Hinting("Check the API URL: it may lead to something else than GitHub.")
}

func environmentIn(a answer) (Environment, error) {
	var body environmentBody
	if err := a.decode(&body); err != nil {
		return Environment{}, err
	}
	return body.environment()
}

func environmentsIn(a answer) (page[Environment], error) {
	var body struct {
		Total        *int               `json:"total_count"`
		Environments *[]environmentBody `json:"environments"`
	}
	if err := a.decode(&body); err != nil {
		return page[Environment]{}, err
	}
	if body.Environments == nil {
		return page[Environment]{}, noList("environments")
	}
	p := page[Environment]{total: body.Total}
	for _, b := range *body.Environments {
		e, err := b.environment()
		if err != nil {
			return p, err
		}
		p.items = append(p.items, e)
	}
	return p, nil
}

func patternsIn(a answer) (page[BranchPattern], error) {
	var body struct {
		Total    *int             `json:"total_count"`
		Patterns *[]BranchPattern `json:"branch_policies"`
	}
	if err := a.decode(&body); err != nil {
		return page[BranchPattern]{}, err
	}
	if body.Patterns == nil {
		return page[BranchPattern]{}, noList("branch policies")
	}
	p := page[BranchPattern]{items: *body.Patterns, total: body.Total}
	for i := range p.items {
		p.items[i].Type = p.items[i].kind() // older servers know branches alone
	}
	return p, nil
}

// body is what PUT sends. Every key is sent with the value wanted, since it is not certain what
// GitHub makes of one that is left out: with two exceptions. A switch that the server does not
// show is not sent unless it is wanted. And reviewers that GitHub takes from nobody can only be kept
// by not speaking of reviewers at all, which keeps them all.
func (r EnvironmentRules) body(keepReviewers bool) map[string]any {
	body := map[string]any{"wait_timer": r.WaitTimer, "prevent_self_review": r.PreventSelfReview, "deployment_branch_policy": nil}
	if r.Branches != AnyBranch {
		body["deployment_branch_policy"] = map[string]bool{
			"protected_branches": r.Branches == ProtectedBranches, "custom_branch_policies": r.Branches == CustomBranches,
		}
	}
	if r.AdminsBypass != nil {
		body["can_admins_bypass"] = *r.AdminsBypass
	}
	if keepReviewers {
		return body
	}
	reviewers := make([]map[string]any, len(r.Reviewers))
	for i, reviewer := range r.Reviewers {
		reviewers[i] = map[string]any{"type": reviewer.Type, "id": reviewer.ID}
	}
	body["reviewers"] = reviewers
	return body
}
