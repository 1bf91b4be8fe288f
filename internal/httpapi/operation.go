package httpapi

import (
	"net/http"
	"slices"

	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/store"
)

// platform is the role of a platform admin, who may do in every project what its admin may.
const platform store.Role = "platform admin"

// anyone is who sent a valid token, whatever projects they belong to.
const anyone store.Role = ""

// An operation is a method and a path with what they take. Who may do what is decided by this
// table and nowhere else; a test walks it with every role.
type operation struct {
	ID     string
	Method string
	Path   string
	Role   store.Role // in the project that the request names, or of the platform
	Apart  bool       // the request may name no project
	Alone  store.Role // and then takes this role
	Cost   int        // of the caller's budget; 0 means 1
	Job    bool       // a job of a repository sends it, with a token of its own kind
	Values bool       // the body holds secret values
	Body   int64      // the most that the body may hold; 0 means 1 MiB
	Good   int        // the status of success; 0 means 200, or 204 where there is nothing to say
	Tag    string
	Brief  string
	Text   string
}

func (o operation) pattern() string { return o.Method + " " + o.Path }

// costly is what an operation takes of the budget that writes to GitHub.
const costly = 5

// The tags under which the documentation groups operations.
const (
	tagSecrets    = "Secrets"
	tagEnvs       = "Environments"
	tagProjects   = "Projects"
	tagMembers    = "Members"
	tagExclusions = "Exclusions"
	tagTokens     = "Tokens"
	tagRelay      = "Relay"
	tagOperations = "Operation"
)

var operations = []operation{
	{ID: "syncSecrets", Method: http.MethodPost, Path: "/github/secrets/sync", Role: store.Developer, Cost: costly, Tag: tagSecrets,
		Brief: "Synchronise a project's secrets",
		Text: "Starts a run and answers when it ends. With `Prefer: respond-async`, or when the run takes longer than the server waits (55 s), the answer is 202: " +
			"the same fields with the counts so far, `state`, and the header `Location`, where the run can be watched. A client that goes away does not stop its run. " +
			"A request with the `Idempotency-Key` of an earlier one joins that one's run. Unknown fields are ignored; paths, commands and values are not accepted."},
	{ID: "planSecrets", Method: http.MethodPost, Path: "/github/secrets/plan", Role: store.Developer, Tag: tagSecrets,
		Brief: "Say what a synchronisation would do", Text: "Looks at GitHub and decides, and writes nothing anywhere."},
	{ID: "validateSecrets", Method: http.MethodPost, Path: "/github/secrets/validate", Role: store.Developer, Tag: tagSecrets,
		Brief: "Compare what GitHub lists with what is remembered",
		Text:  "Each name counts once: missing before conflict before valid. The validation is recorded in the history."},
	{ID: "getSyncStatus", Method: http.MethodGet, Path: "/github/secrets/sync/status", Role: store.Viewer, Tag: tagSecrets,
		Brief: "Sum up how a project stands", Text: "From what is remembered; GitHub is not asked, unless `look` says so."},
	{ID: "listMappings", Method: http.MethodGet, Path: "/github/secrets/mappings", Role: store.Viewer, Tag: tagSecrets,
		Brief: "List what is remembered of each secret", Text: "Hashes are shown to developers and admins; viewers see 64 zeros."},
	{ID: "setMapping", Method: http.MethodPatch, Path: "/github/secrets/mappings/{name}", Role: store.Admin, Tag: tagSecrets,
		Brief: "Set the scopes a secret belongs in", Text: "A scope that is dropped keeps its copy on GitHub; what was remembered of it is forgotten."},
	{ID: "listHistory", Method: http.MethodGet, Path: "/github/secrets/sync/history", Role: store.Viewer, Tag: tagSecrets,
		Brief: "Read the audit trail", Text: "Newest first. Follow `nextCursor` until it is null."},
	{ID: "getRun", Method: http.MethodGet, Path: "/github/secrets/sync/runs/{correlationId}", Role: store.Viewer, Tag: tagSecrets,
		Brief: "Look at a run", Text: "The fields of a synchronisation's answer with the counts so far, and `state`. A run of another's project is not found."},

	{ID: "applyEnvironments", Method: http.MethodPost, Path: environmentsPath, Role: store.Admin, Cost: costly, Values: true, Body: maxValues, Tag: tagEnvs,
		Brief: "Give GitHub the environments that are asked for",
		Text: "Each environment stands or falls alone: the answer is 200, and what could not be done stands in `errors`. An environment that is refused, or has a deployment under way, is left as it is. " +
			"`created` and `updated` tell what GitHub did not have before; asking again for the same makes no write. Everything that is wrong with the request is told at once, in `error.context.problems`."},
	{ID: "planEnvironments", Method: http.MethodPost, Path: environmentsPath + "/plan", Role: store.Developer, Values: true, Body: maxValues, Tag: tagEnvs,
		Brief: "Say what applying environments would do", Text: "Takes the same body, looks at GitHub and decides, and writes nothing anywhere. Rules that somebody loosened have the reason `loosened`."},
	{ID: "listEnvironments", Method: http.MethodGet, Path: environmentsPath, Role: store.Viewer, Tag: tagEnvs,
		Brief: "List a project's environments", Text: "As GitHub shows them now, beside what was asked for when they were applied last. Of a secret nothing is shown but its name, its time and how it stands."},
	{ID: "deleteEnvironment", Method: http.MethodDelete, Path: environmentsPath + "/{name}", Role: store.Admin, Cost: costly, Tag: tagEnvs, Good: http.StatusOK,
		Brief: "Delete an environment", Text: "On GitHub, with its rules and variables, and from memory. One that holds secrets is deleted only with `withSecrets`; one with a deployment under way is not."},

	{ID: "listProjects", Method: http.MethodGet, Path: "/projects", Role: anyone, Tag: tagProjects,
		Brief: "List the projects you belong to", Text: "A platform admin belongs to all. Follow `nextCursor` until it is null."},
	{ID: "createProject", Method: http.MethodPost, Good: http.StatusCreated, Path: "/projects", Role: platform, Tag: tagProjects,
		Brief: "Keep a repository in step from now on", Text: "A repository has one project: 201 when it is made, 200 with the one that is there already, unchanged."},
	{ID: "getProject", Method: http.MethodGet, Path: "/projects/{id}", Role: store.Viewer, Tag: tagProjects, Brief: "Look at a project"},
	{ID: "patchProject", Method: http.MethodPatch, Path: "/projects/{id}", Role: store.Admin, Tag: tagProjects,
		Brief: "Change a project's settings", Text: "Fields that are left out stay as they are."},
	{ID: "deleteProject", Method: http.MethodDelete, Path: "/projects/{id}", Role: platform, Tag: tagProjects,
		Brief: "Archive a project", Text: "What is remembered of its secrets goes at once, its tokens and members too. Its history stays until retention purges it; the secrets on GitHub stay."},

	{ID: "listMembers", Method: http.MethodGet, Path: "/projects/{id}/members", Role: store.Viewer, Tag: tagMembers, Brief: "List a project's members"},
	{ID: "setMember", Method: http.MethodPost, Path: "/projects/{id}/members", Role: store.Admin, Tag: tagMembers,
		Brief: "Give someone a role in a project", Text: "In place of the role they may have. A user who is new is made."},
	{ID: "removeMember", Method: http.MethodDelete, Path: "/projects/{id}/members/{userId}", Role: store.Admin, Tag: tagMembers, Brief: "Take someone out of a project"},

	{ID: "listExclusions", Method: http.MethodGet, Path: "/projects/{id}/secret-exclusions", Role: store.Viewer, Tag: tagExclusions,
		Brief: "List the exclusion rules that hold for a project", Text: "The global ones first."},
	{ID: "addExclusion", Method: http.MethodPost, Good: http.StatusCreated, Path: "/projects/{id}/secret-exclusions", Role: store.Admin, Tag: tagExclusions,
		Brief: "Exclude secrets of a project", Text: "The pattern is a JavaScript regular expression; names that it matches are left alone from then on."},
	{ID: "removeExclusion", Method: http.MethodDelete, Path: "/projects/{id}/secret-exclusions/{patternId}", Role: store.Admin, Tag: tagExclusions,
		Brief: "Remove an exclusion rule of a project"},
	{ID: "testExclusions", Method: http.MethodPost, Path: "/projects/{id}/secret-exclusions/test", Role: store.Viewer, Tag: tagExclusions,
		Brief: "Say which names are excluded", Text: "By the rules in force, or by the pattern that is given instead. Nothing is changed."},
	{ID: "listGlobalExclusions", Method: http.MethodGet, Path: "/secret-exclusions", Role: anyone, Tag: tagExclusions, Brief: "List the global exclusion rules"},
	{ID: "addGlobalExclusion", Method: http.MethodPost, Good: http.StatusCreated, Path: "/secret-exclusions", Role: platform, Tag: tagExclusions, Brief: "Exclude secrets everywhere"},
	{ID: "removeGlobalExclusion", Method: http.MethodDelete, Path: "/secret-exclusions", Role: platform, Tag: tagExclusions, Brief: "Remove a global exclusion rule"},

	{ID: "listTokens", Method: http.MethodGet, Path: "/tokens", Role: store.Admin, Apart: true, Alone: anyone, Tag: tagTokens,
		Brief: "List tokens", Text: "Those of a project, or without one your own. A token itself is never shown again."},
	{ID: "createToken", Method: http.MethodPost, Good: http.StatusCreated, Path: "/tokens", Role: store.Admin, Apart: true, Alone: platform, Tag: tagTokens,
		Brief: "Make a token", Text: "The answer shows the token, once. Project admins make tokens of their own for their project; platform admins make any. A token allows at most what its user may do."},
	{ID: "revokeToken", Method: http.MethodDelete, Path: "/tokens", Role: store.Admin, Apart: true, Alone: anyone, Tag: tagTokens,
		Brief: "Revoke a token", Text: "With `projectId` any of that project's tokens, without it your own that is bound to no project. A platform admin revokes any."},
}

// jobOperations are those of the relay's protocol. No user sends them: who may, the job's own token
// decides.
var jobOperations = []operation{
	{ID: "claimRelay", Method: http.MethodPost, Path: relay.ClaimPath, Job: true, Cost: costly, Tag: tagRelay, Brief: "Claim a run for a job",
		Text: "The bearer is an OIDC token of GitHub Actions for this server's public URL; each claim takes a fresh one. The answer names the secrets to seal, their scopes and public keys, " +
			"and the session token for the other two messages. A job that lost its session claims again: what the old one brought is forgotten. Without `syncId` a run is opened for the job."},
	{ID: "sendRelayBoxes", Method: http.MethodPost, Path: relay.BoxesPath, Job: true, Tag: tagRelay, Brief: "Send sealed values",
		Text: "At most 16 secrets and 1 MiB. A batch is kept whole or not at all; a secret that is sent again takes the place of the first. Boxes are held in memory alone."},
	{ID: "finishRelay", Method: http.MethodPost, Path: relay.FinishPath, Job: true, Tag: tagRelay, Brief: "Say that no more boxes come",
		Text: "The run is carried out, once, and the answer tells how it went. While `done` is false the run goes on: send it again. With `failure` the run ends, and nothing is written."},
}

// operationsByID finds an operation where its handler is registered.
var operationsByID = func() map[string]operation {
	m := make(map[string]operation, len(operations)+len(jobOperations))
	for _, o := range slices.Concat(operations, jobOperations) {
		if o.Cost == 0 {
			o.Cost = 1
		}
		m[o.ID] = o
	}
	return m
}()
