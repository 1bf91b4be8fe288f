package httpapi

import (
	"net/http"
	"strconv"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/octoseal/octoseal/internal/store"
)

const description = `Octoseal keeps the secrets of GitHub repositories in step: Actions is the source, Codespaces and Dependabot are the targets.

Times are RFC 3339 in UTC, ids are UUIDs, durations say their unit in their name. Every answer from 400 up is one envelope, whose ` + "`error.code`" + ` programs decide by. ` +
	"Answers carry `X-Request-Id`; a UUID sent there is kept. `RateLimit-Limit`, `-Remaining` and `-Reset` (seconds until the budget is full) tell of the tighter of the caller's and the project's budget. " +
	"Unknown fields of a body are ignored, answers may gain fields. No operation gives a secret's value, and none but those on environments takes any."

// documentConfig is huma without the pages, links and formats that it would add by itself.
func documentConfig(version string) huma.Config {
	c := huma.DefaultConfig("Octoseal", version)
	c.OpenAPIPath, c.DocsPath, c.SchemasPath, c.CreateHooks = "", "", "", nil
	c.AllowAdditionalPropertiesByDefault = true
	c.Info.Description = description
	c.Info.License = &huma.License{Name: "Apache-2.0", Identifier: "Apache-2.0"}
	c.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		"bearer": {
			Type: "http", Scheme: "bearer",
			Description: "An API token (`osl_…`, made with `octoseal token create` or POST /tokens) or a JWT of a configured OpenID issuer.",
		},
		jobScheme: {
			Type: "http", Scheme: "bearer",
			Description: "Of a workflow's job: its OIDC token for a claim, and from then on the session token (`osr_…`) that the claim was answered with.",
		},
	}
	return c
}

// jobScheme is how a job of a repository says who it is.
const jobScheme = "job"

// roleText is the role an operation asks for, for people.
func (o operation) roleText() string {
	if o.Job {
		return "a job of the project's repository"
	}
	name := func(r store.Role) string {
		if r == anyone {
			return "any user"
		}
		return string(r)
	}
	if o.Apart {
		return name(o.Role) + "; without a project " + name(o.Alone)
	}
	return name(o.Role)
}

var refusalText = map[int]string{
	http.StatusBadRequest:            "REQUEST_INVALID or GITHUB_SECRETS_NAME_INVALID: the request is not as described; nothing was done.",
	http.StatusUnauthorized:          "AUTH_TOKEN_MISSING or AUTH_TOKEN_INVALID.",
	http.StatusForbidden:             "AUTH_ROLE_DENIED: the role does not suffice; `error.context.requiredRole` names the one that would.",
	http.StatusNotFound:              "PROJECT_NOT_FOUND or RESOURCE_NOT_FOUND; another's project answers so too.",
	http.StatusConflict:              "The state of the project stands in the way.",
	http.StatusRequestEntityTooLarge: "REQUEST_TOO_LARGE: the body has more than 1 MiB, or 4 MiB where it holds values.",
	http.StatusFailedDependency:      "GITHUB_SECRETS_SOURCE_UNAVAILABLE: no value is to be had; the hint says why.",
	http.StatusTooManyRequests:       "RATE_LIMIT_USER, RATE_LIMIT_PROJECT or GITHUB_SECRETS_RATE_LIMIT_EXHAUSTED; `Retry-After` says when to come back.",
	http.StatusInternalServerError:   "INTERNAL_UNEXPECTED: a fault of ours; the log has more under the request id.",
	http.StatusBadGateway:            "GITHUB_INTEGRATION_DENIED (the permission is named) or GITHUB_SECRETS_ENCRYPTION_FAILED.",
	http.StatusServiceUnavailable:    "GITHUB_INTEGRATION_UNAVAILABLE or STORE_UNAVAILABLE; `Retry-After` says when to come back.",
}

// jobRefusalText is what jobs are answered otherwise.
var jobRefusalText = map[int]string{
	http.StatusBadRequest:         "REQUEST_INVALID or RELAY_BATCH_INVALID, which names the first secret that is wrong; nothing was kept.",
	http.StatusUnauthorized:       "AUTH_TOKEN_MISSING.",
	http.StatusForbidden:          "RELAY_CLAIM_DENIED; `error.context.reason` is one of a closed list.",
	http.StatusNotFound:           "ROUTE_NOT_FOUND: this server has no relay. RESOURCE_NOT_FOUND: GitHub does not show it the repository.",
	http.StatusMisdirectedRequest: "RELAY_SESSION_ELSEWHERE: send the message again, and claim again when that goes on.",
	http.StatusBadGateway:         "GITHUB_INTEGRATION_DENIED: the permission is named.",
}

func (o operation) refusalText(status int) string {
	if text := jobRefusalText[status]; o.Job && text != "" {
		return text
	}
	return refusalText[status]
}

// refusals are the statuses from 400 up that an operation answers with.
func (o operation) refusals() []int {
	if o.Job {
		return []int{
			http.StatusBadRequest, http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound, http.StatusRequestEntityTooLarge,
			http.StatusMisdirectedRequest, http.StatusFailedDependency, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable,
		}
	}
	list := []int{
		http.StatusBadRequest, http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusServiceUnavailable,
	}
	if o.Role != anyone {
		list = append(list, http.StatusForbidden, http.StatusNotFound)
	}
	if o.Method == http.MethodPost || o.Method == http.MethodPatch {
		list = append(list, http.StatusRequestEntityTooLarge)
	}
	switch o.ID {
	case "syncSecrets", "planSecrets":
		list = append(list, http.StatusConflict, http.StatusFailedDependency, http.StatusBadGateway)
	case "applyEnvironments", "deleteEnvironment":
		list = append(list, http.StatusConflict, http.StatusBadGateway)
	case "validateSecrets", "createProject", "planEnvironments", "listEnvironments":
		list = append(list, http.StatusBadGateway)
	}
	return list
}

// An opening is a path outside of the table: it takes no bearer token.
type opening struct {
	method, path, brief, text string
	answers                   map[string]string
}

var openings = []opening{
	{http.MethodPost, hookPath, "Take a delivery of GitHub's",
		"Signed with one of the webhook's secrets in `X-Hub-Signature-256`. A push to the default branch with `[sync-secrets]` in the head commit's message, " +
			"or a change of `.env.example`, starts a run; a `deployment_protection_rule` has the environment judged, and the deployment approved or rejected; what happens to installations and repositories is followed. Everything else is accepted and ignored.",
		map[string]string{
			"200": "A ping.", "202": "Taken in; nothing may have to be done.",
			"400": "No payload of GitHub's.", "401": "The signature is missing or wrong.", "413": "More than 25 MiB.", "503": "The database does not answer; have it delivered again.",
		}},
	{http.MethodGet, "/openapi.json", "This document", "", map[string]string{"200": "OpenAPI 3.1."}},
	{http.MethodGet, "/docs", "This document, for people", "", map[string]string{"200": "A page without scripts."}},
	{http.MethodGet, "/healthz", "Whether the process lives", "", map[string]string{"200": "It does."}},
	{http.MethodGet, "/readyz", "Whether work can be done", "The database answers, its schema is this program's, the queue runs.",
		map[string]string{"200": "It can.", "503": "STORE_UNAVAILABLE, and why."}},
	{http.MethodGet, "/metrics", "Metrics for Prometheus", "", map[string]string{"200": "Text."}},
}

// documentOpenings adds the openings to the document.
func (s *server) documentOpenings() {
	for _, o := range openings {
		op := &huma.Operation{
			OperationID: strings.ToLower(o.method) + strings.NewReplacer("/", "-", ".", "-").Replace(o.path),
			Method:      o.method, Path: o.path, Tags: []string{tagOperations}, Summary: o.brief, Description: o.text,
			Responses: map[string]*huma.Response{}, Security: []map[string][]string{},
		}
		for status, text := range o.answers {
			op.Responses[status] = &huma.Response{Description: text}
		}
		s.api.OpenAPI().AddOperation(op)
	}
}

// alsoAnswers documents a second status of success, with the same body and headers.
func alsoAnswers(op *huma.Operation, first, second int, text string) {
	r := *op.Responses[strconv.Itoa(first)]
	r.Description = text
	op.Responses[strconv.Itoa(second)] = &r
}
