package cli

import (
	"context"
	"fmt"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) validateCommand() *cobra.Command {
	var required, scopes, environments []string
	var strict bool
	c := &cobra.Command{
		Use:   "validate",
		Short: "Check that every secret is where it belongs, as it was left",
		Long: "Validate compares what GitHub lists now with what is remembered, and exits with 3 when a\n" +
			"secret is missing, was changed by someone else, or its scope could not be listed; and when an\n" +
			"environment that was applied is less protected than asked.\n\n" +
			"With --environment it looks at these environments and nothing else: a step for a workflow\n" +
			"before it deploys. One that was never applied has to be what its tier is by default.",
		Example: "  octoseal validate --repo acme/widgets\n" +
			"  octoseal validate --require NPM_TOKEN --require DEPLOY_KEY --scopes dependabot\n" +
			"  octoseal validate --environment production --require DATABASE_URL",
		Args: exactly(),
	}
	c.Flags().SortFlags = false
	c.Flags().StringSliceVar(&required, "require", nil, "look at the secret `NAME` only, which has to be in every scope; may be repeated")
	c.Flags().StringSliceVar(&environments, "environment", nil, "look at the environment `NAME` only: dev, staging or production; may be repeated")
	registerScopes(c.Flags(), &scopes, "look at `SCOPES` only")
	c.Flags().BoolVar(&strict, "strict", false, "copies that Octoseal did not write are issues, too")
	c.RunE = a.run(func(ctx context.Context, _ []string) error {
		names, err := parseNames(required)
		if err != nil {
			return err
		}
		at, err := parseScopes(scopes)
		if err != nil {
			return err
		}
		tiers, err := parseTiers(environments, at)
		if err != nil {
			return err
		}
		req := syncing.ValidateRequest{Actor: store.Local, Required: names, Scopes: at, Strict: strict}
		if a.settings.server != "" {
			return a.remotely(func(r *remote) error { return r.validate(ctx, req, tiers) })
		}
		return a.validate(ctx, req, tiers)
	})
	return c
}

func (a *app) validate(ctx context.Context, req syncing.ValidateRequest, environments []environment.Tier) error {
	s, err := a.online(ctx, toRecord)
	if err != nil {
		return err
	}
	defer s.close()
	req.Repo = s.repo
	v := validation{Rules: []environment.RuleFinding{}}
	if len(environments) > 0 {
		v.Validation.Valid = true
	} else if v.Validation, err = s.Validate(ctx, req); err != nil {
		return err
	}
	if len(environments) > 0 || len(req.Required)+len(req.Scopes) == 0 {
		found, err := s.validateEnvironments(ctx, req, environments)
		if err != nil {
			return err
		}
		v = v.beside(found)
	}
	return a.tellValidation(v)
}

func (a *app) tellValidation(v validation) error {
	var err error
	if a.settings.json {
		err = a.screen.out.data(v)
	} else {
		a.notices(v.Notices, nil)
		a.showValidation(v)
	}
	if err == nil && !v.Valid {
		err = errAttention
	}
	return err
}

// showValidation prints a row for each secret with an issue. The last line is parsed by scripts.
func (a *app) showValidation(v validation) {
	var m matrix
	mark := func(found []plan.Finding, c cell) {
		for _, f := range found {
			m.set(f.SecretName, f.Scope, c)
		}
	}
	mark(v.Missing, cell{"missing", bad})
	mark(v.Unknown, cell{"not listed", bad})
	mark(v.Unverified, cell{"not ours", care})
	mark(v.Orphans, cell{"orphan", care})
	for _, c := range v.Conflicts {
		for _, scope := range c.Scopes {
			m.set(c.SecretName, scope, cell{"differs", bad})
		}
	}
	out := a.screen.out
	if len(m.names) > 0 {
		m.sort()
		m.table().print(out)
		out.println()
	}
	for _, r := range v.Rules {
		out.paragraph(r.String())
	}
	if len(v.Rules) > 0 {
		out.println()
	}
	for _, step := range v.RemediationSteps {
		a.hint("%s", step)
	}
	word := "valid"
	if !v.Valid {
		word = "not valid"
	}
	sum := v.Summary
	out.printf("%s: valid %d, missing %d, conflicts %d, of %s%s\n", word, sum.ValidCount, sum.MissingCount, sum.ConflictCount,
		counted(sum.TotalSecrets, "secret"), also(v))
}

// also counts what proves nothing and is no issue by itself.
func also(v validation) string {
	text := ""
	if n := distinct(v.Unverified); n > 0 {
		text += fmt.Sprintf(", %d not written by Octoseal", n)
	}
	if n := distinct(v.Orphans); n > 0 {
		text += ", " + counted(n, "orphan")
	}
	return text
}

func distinct(found []plan.Finding) int {
	names := map[secret.Name]bool{}
	for _, f := range found {
		names[f.SecretName] = true
	}
	return len(names)
}
