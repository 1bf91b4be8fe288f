package cli

import (
	"context"
	"strings"

	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) exclusionsCommand() *cobra.Command {
	return group(&cobra.Command{Use: "exclusions", Short: "Decide by name which secrets are left alone"},
		a.exclusionsList(), a.exclusionsAdd(), a.exclusionsRemove(), a.exclusionsTest())
}

// A shownRule is a rule as programs get it.
type shownRule struct {
	ID       string `json:"id"`
	Pattern  string `json:"pattern"`
	Reason   string `json:"reason"`
	IsGlobal bool   `json:"isGlobal"`
}

func shown(r exclusion.Rule) shownRule {
	return shownRule{r.ID, r.Pattern.String(), r.Reason, r.Global}
}

func (a *app) exclusionsList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the rules in force", Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if a.settings.server != "" {
				return a.remotely(func(r *remote) error { return r.listRules(ctx) })
			}
			s, err := a.aside(ctx, toRead)
			if err != nil {
				return err
			}
			defer s.close()
			rules, err := s.Rules(ctx, s.repo)
			if err != nil {
				return err
			}
			list := []shownRule{}
			for _, r := range rules {
				list = append(list, shown(r))
			}
			return a.tellRules(list)
		}),
	}
}

func (a *app) tellRules(rules []shownRule) error {
	if a.settings.json {
		return a.screen.out.data(struct {
			Rules []shownRule `json:"rules"`
		}{rules})
	}
	t := table{head: []string{"PATTERN", "HOLDS", "REASON"}}
	for _, r := range rules {
		holds := "here"
		if r.IsGlobal {
			holds = "everywhere"
		}
		t.rows = append(t.rows, []cell{{text: r.Pattern}, {text: holds}, {text: r.Reason}})
	}
	t.print(a.screen.out)
	return nil
}

func (a *app) exclusionsAdd() *cobra.Command {
	var reason string
	var global bool
	c := &cobra.Command{
		Use:   "add PATTERN --reason WHY",
		Short: "Leave secrets alone whose names match a JavaScript regular expression",
		Long: "The pattern matches anywhere in a name; ^ and $ tie it to the ends. The rule holds for one\n" +
			"repository, or with --global for all of this database.",
		Example: "  octoseal exclusions add '^LEGACY_' --reason 'rotated by hand'",
		Args:    exactly("a PATTERN"),
	}
	c.Flags().StringVar(&reason, "reason", "", "`WHY`, for whoever wonders later")
	c.Flags().BoolVar(&global, "global", false, "for every repository")
	c.RunE = a.run(func(ctx context.Context, args []string) error {
		if strings.TrimSpace(reason) == "" {
			return fault.Invalid("--reason is missing: a rule without one is a riddle for the next person").
				Hinting("%s", a.again("", "--reason", "WHY"))
		}
		if a.settings.server != "" {
			return a.remotely(func(r *remote) error { return r.addRule(ctx, args[0], reason, global) })
		}
		s, repo, err := a.ruling(ctx, global)
		if err != nil {
			return err
		}
		defer s.close()
		rule, err := s.AddRule(ctx, repo, args[0], reason, store.Local)
		if err != nil {
			return err
		}
		return a.tellAdded(shown(rule))
	})
	return c
}

func (a *app) tellAdded(rule shownRule) error {
	if a.settings.json {
		return a.screen.out.data(rule)
	}
	a.screen.out.printf("names that match %s are left alone\n", rule.Pattern)
	return nil
}

func (a *app) exclusionsRemove() *cobra.Command {
	var global bool
	c := &cobra.Command{
		Use:   "remove PATTERN|ID",
		Short: "Take a rule back",
		Args:  exactly("a PATTERN or ID"),
	}
	c.Flags().BoolVar(&global, "global", false, "a rule for every repository")
	c.RunE = a.run(func(ctx context.Context, args []string) error {
		if a.settings.server != "" {
			return a.remotely(func(r *remote) error { return r.removeRule(ctx, args[0], global) })
		}
		s, repo, err := a.ruling(ctx, global)
		if err != nil {
			return err
		}
		defer s.close()
		if err := s.RemoveRule(ctx, repo, args[0]); err != nil {
			return err
		}
		return a.tellRemoved(args[0])
	})
	return c
}

func (a *app) tellRemoved(rule string) error {
	if a.settings.json {
		return a.screen.out.data(struct {
			Removed string `json:"removed"`
		}{rule})
	}
	a.screen.out.printf("the rule %s is gone\n", rule)
	return nil
}

func (a *app) exclusionsTest() *cobra.Command {
	var pattern string
	c := &cobra.Command{
		Use:   "test [--pattern PATTERN] NAME…",
		Short: "Say for each name whether a rule excludes it, and which",
		Example: "  octoseal exclusions test NPM_TOKEN CI\n" +
			"  octoseal exclusions test --pattern '^LEGACY_' LEGACY_KEY",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return fault.Invalid("%s takes one NAME at least", c.CommandPath())
			}
			return nil
		},
	}
	c.Flags().StringVar(&pattern, "pattern", "", "try this `PATTERN` instead of the rules in force")
	c.RunE = a.run(func(ctx context.Context, args []string) error {
		if c.Flags().Changed("pattern") && pattern == "" {
			return fault.Invalid("--pattern is empty and would exclude every name")
		}
		if a.settings.server != "" {
			return a.remotely(func(r *remote) error { return r.testNames(ctx, pattern, args) })
		}
		s, err := a.aside(ctx, toRead)
		if err != nil {
			return err
		}
		defer s.close()
		tested, err := s.TestNames(ctx, s.repo, pattern, args)
		if err != nil {
			return err
		}
		return a.showTested(tested)
	})
	return c
}

func (a *app) showTested(tested []syncing.TestedName) error {
	if a.settings.json {
		return a.screen.out.data(struct {
			Results []syncing.TestedName `json:"results"`
		}{tested})
	}
	t := table{head: []string{"NAME", "VERDICT", "PATTERN", "REASON"}}
	for _, n := range tested {
		verdict := cell{"kept in step", good}
		if n.Excluded {
			verdict = cell{"excluded", care}
		}
		t.rows = append(t.rows, []cell{{text: n.Name}, verdict, {text: n.Pattern}, {text: n.Reason}})
	}
	t.print(a.screen.out)
	return nil
}

// ruling opens what changing a rule needs: for one repository GitHub too, since the rule belongs to
// the repository's number, which only GitHub knows before the first sync.
func (a *app) ruling(ctx context.Context, global bool) (*session, github.Ref, error) {
	if global {
		s, err := a.session(ctx, github.Ref{}, toKeep)
		return s, github.Ref{}, err
	}
	s, err := a.online(ctx, toKeep)
	if err != nil {
		return nil, github.Ref{}, err
	}
	return s, s.repo, nil
}
