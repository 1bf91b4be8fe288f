package httpapi

import (
	"context"

	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/github"
)

// everywhere is the repository of the global rules: none.
var everywhere github.Ref

// An Exclusion is a rule by which secrets are left alone.
type Exclusion struct {
	ID       string `json:"id" format:"uuid"`
	Pattern  string `json:"pattern" doc:"A JavaScript regular expression."`
	Reason   string `json:"reason" doc:"What people read when a secret is left out."`
	IsGlobal bool   `json:"isGlobal"`
}

func exclusionOf(r exclusion.Rule) Exclusion {
	return Exclusion{ID: r.ID, Pattern: r.Pattern.String(), Reason: r.Reason, IsGlobal: r.Global}
}

type exclusionsOutput struct {
	Body struct {
		Exclusions []Exclusion `json:"exclusions" nullable:"false"`
	}
}

func exclusionsOf(rules exclusion.Rules, err error) (*exclusionsOutput, error) {
	if err != nil {
		return nil, err
	}
	out := &exclusionsOutput{}
	out.Body.Exclusions = make([]Exclusion, len(rules))
	for i, r := range rules {
		out.Body.Exclusions[i] = exclusionOf(r)
	}
	return out, nil
}

// A NewExclusion is a rule as it is asked for.
type NewExclusion struct {
	Pattern string `json:"pattern" minLength:"1" maxLength:"200" pattern:"^[^\\x00]+$" doc:"A JavaScript regular expression; anchor it, since it matches anywhere in a name."`
	Reason  string `json:"reason" minLength:"1" maxLength:"1000" pattern:"^[^\\x00]+$" doc:"What people read when a secret is left out."`
}

type exclusionOutput struct{ Body Exclusion }

func madeExclusion(r exclusion.Rule, err error) (*exclusionOutput, error) {
	if err != nil {
		return nil, err
	}
	return &exclusionOutput{Body: exclusionOf(r)}, nil
}

type listExclusionsInput struct{ InProject }

func (s *server) listExclusions(ctx context.Context, a access, _ *listExclusionsInput) (*exclusionsOutput, error) {
	return exclusionsOf(s.Service.Bind(a.project).Rules(ctx))
}

type addExclusionInput struct {
	InProject
	Body NewExclusion
}

func (s *server) addExclusion(ctx context.Context, a access, in *addExclusionInput) (*exclusionOutput, error) {
	return madeExclusion(s.Service.Bind(a.project).AddRule(ctx, in.Body.Pattern, in.Body.Reason, a.user.ID))
}

type removeExclusionInput struct {
	InProject
	PatternID string `path:"patternId" format:"uuid" doc:"The rule's id."`
}

func (s *server) removeExclusion(ctx context.Context, a access, in *removeExclusionInput) (*struct{}, error) {
	return nil, s.Service.Bind(a.project).RemoveRule(ctx, in.PatternID)
}

type testExclusionsInput struct {
	InProject
	Body struct {
		Names   []string `json:"names" minItems:"1" maxItems:"1000" nullable:"false" doc:"Of secrets; any text will do."`
		Pattern string   `json:"pattern,omitempty" maxLength:"200" doc:"Tried instead of the rules in force."`
	}
}

// A TestedName is what the rules say of one name.
type TestedName struct {
	Name     string `json:"name"`
	Excluded bool   `json:"excluded"`
	Pattern  string `json:"pattern" doc:"Of the rule that excludes it; empty when none does."`
	Reason   string `json:"reason"`
}

type testExclusionsOutput struct {
	Body struct {
		Results []TestedName `json:"results" nullable:"false" doc:"In the order of the names."`
	}
}

func (s *server) testExclusions(ctx context.Context, a access, in *testExclusionsInput) (*testExclusionsOutput, error) {
	tested, err := s.Service.Bind(a.project).TestNames(ctx, in.Body.Pattern, in.Body.Names)
	if err != nil {
		return nil, err
	}
	out := &testExclusionsOutput{}
	out.Body.Results = make([]TestedName, len(tested))
	for i, t := range tested {
		out.Body.Results[i] = TestedName(t)
	}
	return out, nil
}

func (s *server) listGlobalExclusions(ctx context.Context, _ access, _ *struct{}) (*exclusionsOutput, error) {
	return exclusionsOf(s.Service.Rules(ctx, everywhere))
}

type addGlobalExclusionInput struct{ Body NewExclusion }

func (s *server) addGlobalExclusion(ctx context.Context, a access, in *addGlobalExclusionInput) (*exclusionOutput, error) {
	return madeExclusion(s.Service.AddRule(ctx, everywhere, in.Body.Pattern, in.Body.Reason, a.user.ID))
}

type removeGlobalExclusionInput struct {
	ID string `query:"id" required:"true" format:"uuid" doc:"The rule's id."`
}

func (s *server) removeGlobalExclusion(ctx context.Context, _ access, in *removeGlobalExclusionInput) (*struct{}, error) {
	return nil, s.Service.RemoveRule(ctx, everywhere, in.ID)
}
