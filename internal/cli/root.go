package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/spf13/cobra"
)

// root is the command that all others hang on. Alone it shows three examples: the shortest way
// from nothing to a repository in step.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "octoseal",
		Short: "Keep a GitHub repository's secrets in step across its scopes",
		Long: "Octoseal keeps a GitHub repository's secrets in step across Actions, Codespaces and\n" +
			"Dependabot. It says what it will do before it does it, never stores a value, and\n" +
			"keeps a record of what it did.",
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          knownCommand,
		RunE:          func(*cobra.Command, []string) error { a.examples(); return nil },
	}
	if name := a.programName(); name != root.Use {
		root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: name}
	}
	root.SetUsageTemplate(usageTemplate)
	root.Version = version()
	root.SetVersionTemplate("octoseal {{.Version}}\n")
	a.settings.register(root.PersistentFlags())
	root.AddGroup(
		&cobra.Group{ID: "keep", Title: "Keeping in step:"},
		&cobra.Group{ID: "look", Title: "Looking:"},
		&cobra.Group{ID: "rule", Title: "Deciding:"},
		&cobra.Group{ID: "serve", Title: "Serving:"},
		&cobra.Group{ID: "help", Title: "Getting along:"},
	)
	root.AddCommand(
		in("keep", a.planCommand()), in("keep", a.syncCommand()), in("keep", a.setCommand()), in("keep", a.envCommand()),
		in("look", a.statusCommand()), in("look", a.validateCommand()), in("look", a.auditCommand()), in("look", a.quotaCommand()),
		in("rule", a.scopesCommand()), in("rule", a.exclusionsCommand()), in("rule", a.projectCommand()),
		in("serve", a.initCommand()), in("serve", a.relayCommand()), in("serve", a.serveCommand()), in("serve", a.tokenCommand()), in("serve", a.memberCommand()), in("serve", a.migrateCommand()),
		in("help", a.demoCommand()), in("help", a.doctorCommand()), in("help", a.versionCommand()),
	)
	root.SetHelpCommandGroupID("help")
	root.SetCompletionCommandGroupID("help")
	return root
}

func in(group string, c *cobra.Command) *cobra.Command {
	c.GroupID = group
	return c
}

func (a *app) examples() {
	p := a.programName()
	a.screen.out.println("Octoseal keeps a GitHub repository's secrets in step across its scopes.")
	a.screen.out.println()
	for _, e := range [][2]string{
		{"demo --exit", "see it work, on a simulated GitHub"},
		{"plan --from .env", "what a sync would do, touching nothing"},
		{"sync --from .env", "do it: write what changed, and only that"},
	} {
		a.screen.out.printf("  %-26s %s\n", p+" "+e[0], a.screen.out.faint("# "+e[1]))
	}
	a.screen.out.println()
	a.screen.out.printf("%s --help lists every command and flag.\n", p)
}

// run makes a command's RunE: settings are put together before it, and an error from here on is no
// wrong usage unless it says so itself.
func (a *app) run(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		a.reached, a.command = true, c.Name()
		if err := a.configure(c.Flags(), c.Root()); err != nil {
			return err
		}
		return do(c.Context(), args)
	}
}

// runHere makes the RunE of a command that works on the database itself, which a server does not
// offer to anybody.
func (a *app) runHere(do func(ctx context.Context, args []string) error) func(*cobra.Command, []string) error {
	return a.run(func(ctx context.Context, args []string) error {
		if a.settings.server != "" {
			return fault.Invalid("this command works on the database itself, and --server names a server").
				Hinting("Run it where the database is reached: --database FILE or postgres://…, without --server and %s.", variable("server"))
		}
		return do(ctx, args)
	})
}

// group makes a command that only holds others.
func group(c *cobra.Command, members ...*cobra.Command) *cobra.Command {
	c.Args = knownCommand
	c.RunE = func(c *cobra.Command, _ []string) error { return c.Help() }
	c.AddCommand(members...)
	return c
}

// knownCommand refuses what is no command, with what may have been meant.
func knownCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	f := fault.Invalid("%s has no command %q", c.CommandPath(), args[0]).Saying("%s has no command %q", c.CommandPath(), args[0])
	c.SuggestionsMinimumDistance = 2
	if near := c.SuggestionsFor(args[0]); len(near) > 0 {
		return f.Hinting("Did you mean: %s %s?", c.CommandPath(), strings.Join(near, ", "))
	}
	return f.Hinting("%s --help lists the commands.", c.CommandPath())
}

// exactly wants so many arguments and says what they are.
func exactly(names ...string) cobra.PositionalArgs {
	return func(c *cobra.Command, args []string) error {
		if len(args) == len(names) {
			return nil
		}
		if len(names) == 0 {
			return fmt.Errorf("%s takes no arguments, and got %q", c.CommandPath(), args[0])
		}
		return fmt.Errorf("%s takes exactly %s, and got %d arguments", c.CommandPath(), strings.Join(names, " and "), len(args))
	}
}

const usageTemplate = `Usage:{{if .HasAvailableSubCommands}}
  {{.CommandPath}} COMMAND{{end}}{{if and .Runnable (not .HasAvailableSubCommands)}}
  {{.UseLine}}{{end}}{{if .HasExample}}

Examples:
{{.Example}}{{end}}{{if .HasAvailableSubCommands}}{{$commands := .Commands}}{{if eq (len .Groups) 0}}

Commands:{{range $commands}}{{if .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{else}}{{range $group := .Groups}}

{{.Title}}{{range $commands}}{{if and (eq .GroupID $group.ID) .IsAvailableCommand}}
  {{rpad .Name .NamePadding}} {{.Short}}{{end}}{{end}}{{end}}{{end}}{{end}}{{if .HasAvailableLocalFlags}}{{if .HasParent}}

Flags:
{{.LocalFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{end}}{{if .HasParent}}{{if .HasAvailableInheritedFlags}}

Flags of every command:
{{.InheritedFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}{{else}}

Flags of every command:
{{.PersistentFlags.FlagUsagesWrapped 80 | trimTrailingWhitespaces}}{{end}}

Every flag has a variable (--github-api-url, OCTOSEAL_GITHUB_API_URL) and a key in octoseal.yaml.
`
