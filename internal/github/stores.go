package github

import (
	"net/http"
	"net/url"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Permission is what a store asks of a fine-grained token or of a GitHub App. (A classic token
// needs the scope repo for all of them.)
type Permission struct {
	Store string // the scope as users spell it; environment:NAME stands for each environment
	Title string // as GitHub's settings page calls it
	Slug  string // as the API calls it
	Read  string // the level that listing and the public key need
	Write string // the level that putting and deleting need
}

// Permissions is the table of stores with what each one needs, in the order of secret.Stores.
func Permissions() []Permission {
	all := make([]Permission, len(stores))
	for i, s := range stores {
		all[i] = s.Permission
	}
	return all
}

// A store is one place where GitHub keeps secrets. Its calls differ from other stores' in the
// path's middle and in the permission, and in nothing else.
type store struct {
	Permission
	segment string // between the repository's path and the secret's name
}

var stores = []store{
	{Permission{secret.Actions.String(), "Secrets", "secrets", "read", "write"}, "actions"},
	// Quirk: even listing takes the permission to write.
	{Permission{secret.Codespaces.String(), "Codespaces secrets", "codespaces_secrets", "write", "write"}, "codespaces"},
	{Permission{secret.Dependabot.String(), "Dependabot secrets", "dependabot_secrets", "read", "write"}, "dependabot"},
	{Permission{secret.Agents.String(), "Agent secrets", "agent_secrets", "read", "write"}, "agents"},
	{Permission{"environment:NAME", "Environments", "environments", "read", "write"}, "environments/{environment}"},
}

// metadata is what looking a repository up needs; everyone who can see it has it.
var metadata = Permission{Title: "Metadata", Slug: "metadata", Read: "read", Write: "read"}

// What environments and the relay take besides the permissions for secrets. A project without them needs
// none of these: an App's token asks for what the installation grants, and for no more.
var (
	actions        = Permission{Title: "Actions", Slug: "actions", Read: "read", Write: "write"} // looking at environments; writing starts a workflow
	administration = Permission{Title: "Administration", Slug: "administration", Read: "read", Write: "write"}
	deployments    = Permission{Title: "Deployments", Slug: "deployments", Read: "read", Write: "write"} // writing is a protection rule's word
)

// storeOf returns the row of scope and its segment as it stands in a path: escaped once, here, so
// that an environment called a/b is a%2Fb and not another route.
func storeOf(scope secret.Scope) (store, string, error) {
	environment, isEnvironment := scope.Environment()
	for _, s := range stores {
		switch {
		case s.Store == scope.String():
			return s, s.segment, nil
		case isEnvironment && s.Slug == "environments":
			return s, "environments/" + url.PathEscape(environment), nil
		}
	}
	return store{}, "", fault.Invalid("there is no store for the scope %q", scope)
}

// secretsRequest starts a request to the store of scope. Tail is what follows the prefix, already
// escaped; route is the same with its parameters left out.
func secretsRequest(method string, repo Repository, scope secret.Scope, tail, route string) (request, error) {
	s, segment, err := storeOf(scope)
	if err != nil {
		return request{}, err
	}
	return request{
		method:  method,
		route:   repositoryRoute + "/" + s.segment + "/secrets" + route,
		path:    repositoryPath(repo.Ref()) + "/" + segment + "/secrets" + tail,
		repo:    repo.Ref(),
		project: repo.ID,
		subject: subject{
			what:       scope.String() + " of " + repo.FullName(),
			permission: s.Permission,
			write:      method != http.MethodGet,
			scope:      scope,
			missing:    ErrStoreMissing,
		},
	}, nil
}

const repositoryRoute = "/repos/{owner}/{repo}"

func repositoryPath(ref Ref) string {
	return "/repos/" + url.PathEscape(ref.Owner) + "/" + url.PathEscape(ref.Name)
}
