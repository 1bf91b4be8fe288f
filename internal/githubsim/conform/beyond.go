package conform

import (
	"net/http"

	"github.com/getkin/kin-openapi/openapi3"
)

// beyond adds to GitHub's description what GitHub does and the description does not know.
func beyond(document *openapi3.T) {
	schemas := document.Components.Schemas
	widen := func(s *openapi3.Schema, word string) { s.Enum = append(s.Enum, word) }
	// Statuses of deployments that protection rules hold.
	widen(schemas["deployment-status"].Value.Properties["state"].Value, "waiting")
	// Reviewers of an enterprise, which nobody can set through the API.
	widen(schemas["deployment-reviewer-type"].Value, "BusinessTeam")

	environment := document.Paths.Value("/repos/{owner}/{repo}/environments/{environment_name}")
	rules := environment.Put.RequestBody.Value.Content.Get("application/json").Schema.Value
	rules.Properties["can_admins_bypass"] = openapi3.NewBoolSchema().NewRef()

	document.Paths.Set("/repos/{owner}/{repo}/actions/runs/{run_id}/deployment_protection_rule", callback())
}

// callback is where an App answers for its custom protection rule. GitHub documents it in
// prose alone.
func callback() *openapi3.PathItem {
	asked := openapi3.NewObjectSchema().WithProperties(map[string]*openapi3.Schema{
		"environment_name": openapi3.NewStringSchema(),
		"state":            openapi3.NewStringSchema().WithEnum("approved", "rejected"),
		"comment":          openapi3.NewStringSchema(),
	}).WithRequired([]string{"environment_name"})
	review := &openapi3.Operation{
		OperationID: "actions/review-custom-gates-for-run",
		RequestBody: &openapi3.RequestBodyRef{Value: openapi3.NewRequestBody().WithRequired(true).WithJSONSchema(asked)},
		Responses:   openapi3.NewResponses(openapi3.WithStatus(http.StatusNoContent, &openapi3.ResponseRef{Value: openapi3.NewResponse().WithDescription("taken")})),
	}
	for _, name := range []string{"owner", "repo", "run_id"} {
		review.AddParameter(openapi3.NewPathParameter(name).WithSchema(openapi3.NewStringSchema()))
	}
	return &openapi3.PathItem{Post: review}
}
