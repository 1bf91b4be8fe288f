package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
)

// environmentPermissions are what environments take of an App or a fine-grained token: the rules are
// the repository's administration, their secrets and deployments permissions of their own.
var environmentPermissions = []struct{ title, slug, level string }{
	{"Actions", "actions", "read"},
	{"Administration", "administration", "write"},
	{"Deployments", "deployments", "read"},
	{"Environments", "environments", "write"},
}

// environments looks at what only those need who keep environments, so nothing of it stands in the
// way of a sync.
func (e *examination) environments(ctx context.Context) {
	list, err := e.client.Environments(ctx, e.repo, nil)
	var lacking []string
	for _, p := range environmentPermissions {
		if granted := e.who.Permissions[p.slug]; granted != p.level && granted != "write" {
			lacking = append(lacking, p.slug+":"+p.level)
		}
	}
	switch {
	case err != nil:
		e.add("environments", advice, fault.Of(err).Hint, "%s", fault.Of(err).Message)
	case e.who.Permissions != nil && len(lacking) > 0:
		e.add("environments", advice, "octoseal env takes them; nothing else does.", "%s is not granted", strings.Join(lacking, ", "))
	case e.isPerson() && !e.repo.Admin:
		e.add("environments", advice, "Ask for the role admin, which octoseal env takes.", "%s can see the environments, and not change them", e.who.Login)
	default:
		here := 0
		for _, t := range environment.Tiers() {
			if _, there := list.Find(string(t)); there {
				here++
			}
		}
		e.add("environments", fine, "", "%s of dev, staging and production", fmt.Sprint(here))
	}
}
