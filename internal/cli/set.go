package cli

import (
	"context"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) setCommand() *cobra.Command {
	var sel selection
	c := &cobra.Command{
		Use:   "set NAME",
		Short: "Write one value into every scope",
		Long: "Set takes one value, typed unseen on a terminal or from standard input byte for byte, and\n" +
			"writes it into every scope that the secret belongs to. A later sync from a file that has the\n" +
			"name too brings it in step with the file again.",
		Example: "  octoseal set DEPLOY_KEY < deploy_key.pem\n" +
			"  printf %s \"$TOKEN\" | octoseal set NPM_TOKEN --scopes dependabot",
		Args: exactly("a NAME"),
		RunE: a.run(func(ctx context.Context, args []string) error { return a.set(ctx, args[0], sel) }),
	}
	c.Flags().SortFlags = false
	sel.registerWriting(c.Flags())
	return c
}

// set is a sync of one name, from a source without identity: it never deletes anything.
func (a *app) set(ctx context.Context, text string, sel selection) error {
	if a.settings.server != "" {
		return fault.Invalid("set and --server do not go together: no value is ever sent to a server").
			Hinting("Put the value where the server's source is, and: octoseal sync --server URL --secret %s. Or leave --server out.", text)
	}
	name, err := parseName(text)
	if err != nil {
		return err
	}
	options, err := sel.options()
	if err != nil {
		return err
	}
	options.Names = []secret.Name{name}
	s, err := a.online(ctx, toKeep)
	if err != nil {
		return err
	}
	defer s.close()
	if err := a.mayBeSet(ctx, s, name); err != nil {
		return err
	}
	value, err := a.one(ctx, name)
	if err != nil {
		return err
	}
	defer value.Zero()
	a.screen.talk("using %s for %s at %s", s.client.Credential(), s.repo, s.api.host())
	return s.sync(ctx, syncing.Request{
		Repo: s.repo, Actor: store.Local, Trigger: store.Manual, Options: options, Wait: a.settings.wait,
		Source: syncing.Local("", map[secret.Name]secret.Plaintext{name: value}),
		Decide: a.adopter(sel),
	}, nil)
}

// mayBeSet refuses a name that a rule excludes before anybody types its value.
func (a *app) mayBeSet(ctx context.Context, s *session, name secret.Name) error {
	tested, err := s.TestNames(ctx, s.repo, "", []string{name.String()})
	if err != nil || !tested[0].Excluded {
		return err
	}
	return fault.Invalid("%s is excluded by the rule %s (%s)", name, tested[0].Pattern, tested[0].Reason).
		Hinting("octoseal exclusions list shows the rules, octoseal exclusions remove takes one back.")
}

// one takes the value and refuses what no secret may hold.
func (a *app) one(ctx context.Context, name secret.Name) (secret.Plaintext, error) {
	raw, err := a.value(ctx, name.String())
	if err != nil {
		return secret.Plaintext{}, err
	}
	value := secret.NewPlaintext(raw)
	a.redact.Learn(value)
	switch n := value.Len(); {
	case n == 0:
		return value, fault.Invalid("%s: there is no value: an empty one is none", name).
			Hinting("Type one, or send it: octoseal set %s < FILE", name)
	case n > secret.MaxValueSize:
		value.Zero()
		return value, fault.New(fault.ValueTooLarge, fault.Context{"secretName": name.String(), "size": n, "limit": secret.MaxValueSize})
	}
	return value, nil
}

// adopter asks about what is there already; a single value needs no plan to be shown.
func (a *app) adopter(sel selection) func(context.Context, syncing.Preview) (syncing.Decision, error) {
	if sel.yes || !a.interactive() {
		return nil
	}
	return func(ctx context.Context, p syncing.Preview) (syncing.Decision, error) {
		unmanaged := planned(p).unmanaged
		if len(unmanaged) == 0 {
			return syncing.Decision{Proceed: true}, nil
		}
		a.screen.settle()
		answer, err := a.askAbout(ctx, unmanaged)
		return decision(answer), err
	}
}
