package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
)

// An examination is what doctor finds out about a credential and a repository.
type examination struct {
	*diagnosis
	client *github.Client
	who    github.Identity
	repo   github.Repository
}

func (e *examination) credential() {
	name, detail := e.client.Credential().Name(), e.who.Kind
	if e.who.Login != "" {
		detail += " of " + e.who.Login
	}
	if e.isClassic() {
		detail += ", scopes " + strings.Join(e.who.Scopes, " ")
	}
	if e.who.Kind == "installation token" {
		e.add("credential", attention, "Use a GitHub App, or a personal access token.",
			"%s: an installation token. If it is a workflow's GITHUB_TOKEN it can never write secrets", name)
		return
	}
	left := time.Until(e.who.Expiry)
	switch {
	case e.who.Expiry.IsZero():
		e.add("credential", fine, "", "%s: %s", name, detail)
	case left < soon:
		e.add("credential", advice, "Make its successor in time.", "%s: %s, expires %s", name, detail, e.who.Expiry.Local().Format(time.DateTime))
	default:
		e.add("credential", fine, "", "%s: %s, expires %s", name, detail, e.who.Expiry.Local().Format(time.DateOnly))
	}
	if e.isClassic() && !slices.Contains(e.who.Scopes, "repo") {
		e.add("credential", attention, "Add the scope repo to it, or use a fine-grained token.", "%s lacks the scope repo", name)
	}
}

func (e *examination) isClassic() bool { return len(e.who.Scopes) > 0 }

// tolerable is how far clocks may be apart without a word. Nothing breaks beyond: times that are
// compared are GitHub's alone. But signatures of an App and expiries are then off by as much.
const tolerable = 30 * time.Second

func (e *examination) clock(i api) {
	skew := e.client.Clock().Skew
	if skew.Abs() > tolerable {
		e.add("clock", advice, "Let the machine keep its time, with NTP for one.", "%s from %s's", skew.Abs().Round(time.Second), i.host())
		return
	}
	e.add("clock", fine, "", "agrees with %s's", i.host())
}

func (e *examination) repository() {
	name := e.repo.FullName()
	switch {
	case e.repo.Archived:
		e.add("repository", attention, "Unarchive it first.", "%s is archived, so it is read-only", name)
	case e.isPerson() && !e.repo.Push:
		e.add("repository", attention, "Ask for the role write; Codespaces secrets take admin.", "%s may not write to %s", e.who.Login, name)
	default:
		e.add("repository", fine, "", "%s, number %d", name, e.repo.ID)
	}
}

func (e *examination) isPerson() bool { return e.who.Kind != "GitHub App" && e.who.Login != "" }

// stores compares what each store needs with what is granted. Of a token that does not tell, the
// list shows what it may read.
func (e *examination) stores(ctx context.Context) {
	permissions := slices.DeleteFunc(github.Permissions(), func(p github.Permission) bool { return strings.HasPrefix(p.Store, "environment:") })
	for i, err := range e.listings(ctx, permissions) {
		p := permissions[i]
		granted, told := e.who.Permissions[p.Slug], e.who.Permissions != nil
		byDefault := slices.Contains([]secret.Scope{secret.Actions, secret.Codespaces, secret.Dependabot}, scopeOf(p.Store))
		bad := attention
		if !byDefault { // nobody misses what no sync asks for by itself
			bad = advice
		}
		switch {
		case errors.Is(err, github.ErrStoreMissing):
			e.add(p.Store, advice, fmt.Sprintf("Leave %s out of --scopes. By default it is left out with a notice.", p.Store),
				"this repository's plan or server does not have the store")
		case fault.Is(err, fault.IntegrationDenied):
			e.add(p.Store, bad, fault.Of(err).Hint, "%s", fault.Of(err).Message)
		case err != nil:
			e.fault(p.Store, err)
		case told && granted != p.Write:
			e.add(p.Store, bad, fmt.Sprintf("Grant the App the permission %q (%s:%s) and accept it in the installation.", p.Title, p.Slug, p.Write),
				"%s:%s is needed, %s is granted", p.Slug, p.Write, orNothing(p.Slug, granted))
		default:
			e.add(p.Store, fine, "", "%s", e.may(p))
		}
	}
}

func orNothing(slug, granted string) string {
	if granted == "" {
		return "nothing"
	}
	return slug + ":" + granted
}

// may says how sure it is that secrets can be written.
func (e *examination) may(p github.Permission) string {
	switch {
	case e.who.Permissions != nil:
		return fmt.Sprintf("%s:%s is granted", p.Slug, p.Write)
	case e.isClassic():
		return "readable and writable, by the scope repo"
	case p.Read == p.Write:
		return fmt.Sprintf("readable, so %s:%s is granted", p.Slug, p.Write)
	}
	return fmt.Sprintf("readable; GitHub does not tell whether %s:%s is granted", p.Slug, p.Write)
}

// tooMuch warns about powers that would let a stolen credential rewrite the workflow that hands out
// the values.
func (e *examination) tooMuch() {
	for _, slug := range []string{"contents", "workflows"} {
		if e.who.Permissions[slug] == "write" {
			e.add("permissions", attention, "Take the permission from the App: Octoseal does not need it.",
				"%s:write is granted, which lets whoever has the App's key change workflows, and so read every secret", slug)
		}
	}
}

// dispatching is what a server needs besides, to have a repository's own job seal its Actions secrets.
func (e *examination) dispatching() {
	switch granted := e.who.Permissions["actions"]; {
	case e.who.Permissions == nil: // GitHub does not tell
	case granted == "write":
		e.add("relay", fine, "", "actions:write is granted, to start the workflow that octoseal init writes")
	default:
		e.add("relay", advice, "Grant the App the permission \"Actions\" (actions:write), if Actions is where the values come from.",
			"%s is granted, so no server can start the workflow that octoseal init writes", orNothing("actions", granted))
	}
}
