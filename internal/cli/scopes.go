package cli

import (
	"context"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/spf13/cobra"
)

func (a *app) scopesCommand() *cobra.Command {
	var scopes []string
	set := &cobra.Command{
		Use:   "set NAME --scopes SCOPES",
		Short: "Decide which scopes a secret belongs to",
		Long: "From then on a sync without --scopes writes the secret into these scopes and no others. A\n" +
			"scope that is dropped keeps its copy; Octoseal forgets that it wrote it.",
		Example: "  octoseal scopes set DEPLOY_KEY --scopes actions",
		Args:    exactly("a NAME"),
		RunE:    a.run(func(ctx context.Context, args []string) error { return a.setScopes(ctx, args[0], scopes) }),
	}
	registerScopes(set.Flags(), &scopes, "`SCOPES` that the secret belongs to, with commas between")
	return group(&cobra.Command{Use: "scopes", Short: "Decide where secrets belong"}, set)
}

func (a *app) setScopes(ctx context.Context, text string, list []string) error {
	name, err := parseName(text)
	if err != nil {
		return err
	}
	scopes, err := parseScopes(list)
	if err != nil {
		return err
	}
	if len(scopes) == 0 {
		return fault.Invalid("--scopes is missing: a secret belongs to one scope at least").
			Hinting("%s", a.again("", "--scopes", "codespaces,dependabot"))
	}
	if a.settings.server != "" {
		return a.remotely(func(r *remote) error { return r.setScopes(ctx, name, scopes) })
	}
	s, err := a.offline(ctx, toRecord)
	if err != nil {
		return err
	}
	defer s.close()
	dropped, err := s.SetScopes(ctx, s.repo, name, scopes)
	if err != nil {
		return err
	}
	return a.tellScopes(name, scopes, dropped)
}

func (a *app) tellScopes(name secret.Name, scopes, dropped []secret.Scope) error {
	if a.settings.json {
		return a.screen.out.data(struct {
			SecretName   secret.Name    `json:"secretName"`
			TargetScopes []secret.Scope `json:"targetScopes"`
			Dropped      []secret.Scope `json:"dropped"`
		}{name, scopes, append([]secret.Scope{}, dropped...)})
	}
	a.screen.out.printf("%s belongs to %s\n", name, spelled(scopes))
	if len(dropped) > 0 {
		a.screen.talk("note: the copy in %s stays as it is, and is no longer Octoseal's", spelled(dropped))
	}
	return nil
}

func spelled(scopes []secret.Scope) string {
	words := make([]string, len(scopes))
	for i, s := range scopes {
		words[i] = s.String()
	}
	return strings.Join(words, ", ")
}
