package cli

import (
	"context"

	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) planCommand() *cobra.Command {
	var sel selection
	var exitCode bool
	c := &cobra.Command{
		Use:   "plan --from SOURCE",
		Short: "Say what a sync would do, touching nothing",
		Long: "Plan compares the source with what GitHub lists and what is remembered, and says what\n" +
			"sync would do, why, and what it would cost. It writes nothing, here or there, and works\n" +
			"where nothing can be written.",
		Example: "  octoseal plan --repo acme/widgets --from .env\n" +
			"  octoseal plan --from .env --exit-code      # 3 when there is something to do",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if a.settings.server != "" {
				return a.remotely(func(r *remote) error { return r.plan(ctx, sel, exitCode) })
			}
			return a.plan(ctx, sel, exitCode)
		}),
	}
	c.Flags().SortFlags = false
	sel.register(c.Flags())
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when there is something to do")
	return c
}

func (a *app) plan(ctx context.Context, sel selection, exitCode bool) error {
	s, in, req, err := a.begin(ctx, sel, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	defer in.zero()
	p, err := s.Plan(ctx, req)
	if err != nil {
		return err
	}
	return a.tellPlan(p, in.odd, exitCode)
}

func (a *app) tellPlan(p syncing.Preview, odd []string, exitCode bool) error {
	a.screen.settle()
	a.notices(p.Notices, odd)
	var err error
	if a.settings.json {
		err = a.screen.out.data(p)
	} else {
		a.showPlan(a.screen.out, p)
		planned(p).tell(a, "sync")
	}
	if err == nil && exitCode && !p.Empty {
		err = errAttention
	}
	return err
}

// begin does what plan and sync begin with: read, connect, decide about each entry.
func (a *app) begin(ctx context.Context, sel selection, w want) (*session, *input, syncing.Request, error) {
	none := syncing.Request{}
	options, err := sel.options()
	if err != nil {
		return nil, nil, none, err
	}
	in, err := a.read(ctx, sel)
	if err != nil {
		return nil, nil, none, err
	}
	s, err := a.online(ctx, w)
	if err != nil {
		in.zero()
		return nil, nil, none, err
	}
	if err := in.decide(ctx, s, sel.skipInvalid); err != nil {
		s.close()
		in.zero()
		return nil, nil, none, err
	}
	a.screen.talk("using %s for %s at %s", s.client.Credential(), s.repo, s.api.host())
	return s, in, syncing.Request{
		Repo: s.repo, Actor: store.Local, Trigger: store.Manual, Source: in.local(), Options: options, Wait: a.settings.wait,
	}, nil
}
