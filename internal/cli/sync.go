package cli

import (
	"context"
	"fmt"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) syncCommand() *cobra.Command {
	var sel selection
	c := &cobra.Command{
		Use:   "sync --from SOURCE",
		Short: "Bring every scope in step with a source of values",
		Long: "Sync writes what differs and nothing else: into Actions, Codespaces and Dependabot unless\n" +
			"--scopes says otherwise. What somebody else put there or changed since is a conflict and\n" +
			"stays as it is, unless --adopt or --force decides about it. What it wrote and the source no\n" +
			"longer has, it deletes.",
		Example: "  octoseal sync --repo acme/widgets --from .env\n" +
			"  octoseal sync --from env:SECRET_ --scopes codespaces,dependabot\n" +
			"  octoseal sync --from 'exec:sops -d secrets.yaml' --format yaml --adopt overwrite",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if a.settings.server != "" {
				return a.remotely(func(r *remote) error { return r.sync(ctx, sel) })
			}
			return a.sync(ctx, sel)
		}),
	}
	c.Flags().SortFlags = false
	sel.register(c.Flags())
	return c
}

func (a *app) sync(ctx context.Context, sel selection) error {
	s, in, req, err := a.begin(ctx, sel, toKeep)
	if err != nil {
		return err
	}
	defer s.close()
	defer in.zero()
	req.Decide = a.decider(sel)
	return s.sync(ctx, req, in.odd)
}

// sync runs and tells how it ended. A run that was interrupted has a result too, if it wrote anything.
func (s *session) sync(ctx context.Context, req syncing.Request, odd []string) error {
	a, p := s.app, s.progress()
	req.Progress = p.hear
	silence := context.AfterFunc(ctx, func() { a.screen.talk("ending what is under way; Ctrl-C again ends at once") })
	res, err := s.Sync(ctx, req)
	silence()
	p.end()
	if err != nil && len(res.Actions) == 0 {
		return err
	}
	if err == nil && ctx.Err() == nil {
		return a.tellResult(res, odd)
	}
	if told := a.printResult(res, odd); told != nil {
		return told
	}
	if err == nil && !res.InStep() {
		return context.Cause(ctx)
	}
	return err
}

func (a *app) printResult(res syncing.Result, odd []string) error {
	a.notices(res.Notices, odd)
	if a.settings.json {
		return a.screen.out.data(res)
	}
	a.showResult(res)
	return nil
}

// tellResult tells of a run that came to its end, and what to do about what is not in step.
func (a *app) tellResult(res syncing.Result, odd []string) error {
	if err := a.printResult(res, odd); err != nil || res.InStep() {
		return err
	}
	found(res).tell(a, "")
	return errAttention
}

// The answers to the question about what is already there.
const (
	goOn  = "go on"
	stop  = "stop"
	later = "later"
)

// decider asks the person, if there is one: about the first plan of a repository, and about what
// the targets hold and Octoseal did not write. Both are one question.
func (a *app) decider(sel selection) func(context.Context, syncing.Preview) (syncing.Decision, error) {
	if sel.yes || !a.interactive() {
		return nil
	}
	return func(ctx context.Context, p syncing.Preview) (syncing.Decision, error) {
		unmanaged := planned(p).unmanaged
		if p.Empty || !p.FirstRun && len(unmanaged) == 0 {
			return syncing.Decision{Proceed: true}, nil
		}
		a.screen.settle()
		a.showPlan(a.screen.err, p)
		a.screen.err.println()
		answer, err := a.askAbout(ctx, unmanaged)
		a.screen.err.println()
		return decision(answer), err
	}
}

func (a *app) askAbout(ctx context.Context, unmanaged []string) (string, error) {
	if len(unmanaged) == 0 {
		return a.choose(ctx, "This is the first sync of the repository. Go on?", "",
			choice{goOn, "yes, write this"}, choice{stop, "no, write nothing"})
	}
	title := fmt.Sprintf("%s already there, and not written by Octoseal. What about them?", are(len(unmanaged)))
	return a.choose(ctx, title, listed(unmanaged, 12),
		choice{string(plan.AdoptOverwrite), "overwrite them: the source is right, what they hold is lost"},
		choice{string(plan.AdoptKeep), "keep them: leave them alone from now on, write the others"},
		choice{later, "decide later: write the others, report these as conflicts"},
		choice{stop, "write nothing at all"})
}

func are(n int) string {
	if n == 1 {
		return "1 secret is"
	}
	return fmt.Sprintf("%d secrets are", n)
}

func decision(answer string) syncing.Decision {
	d := syncing.Decision{Proceed: answer != stop}
	if adopt := plan.Adopt(answer); adopt == plan.AdoptOverwrite || adopt == plan.AdoptKeep {
		d.Adopt = adopt
	}
	return d
}
