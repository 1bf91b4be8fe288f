package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) envCommand() *cobra.Command {
	return group(&cobra.Command{
		Use:   "env",
		Short: "Keep the environments dev, staging and production protected and filled",
		Long: "Env gives GitHub the environments that a file asks for: their protection rules, and secrets\n" +
			"of their own. The file names secrets and holds no value; values come from a source, as for\n" +
			"sync. octoseal init --environments writes a first file.",
	}, a.envPlan(), a.envApply(), a.envList(), a.envDelete())
}

// kept is a session with the environments of one project.
type kept struct {
	*session
	service *environment.Service
	project store.Project
}

// keeping opens a session about environments.
func (a *app) keeping(ctx context.Context, w want) (*kept, error) {
	s, err := a.online(ctx, w)
	if err != nil {
		return nil, err
	}
	k := &kept{session: s}
	if k.service, err = s.environments(); err == nil {
		k.project, err = k.service.Project(ctx, s.repo)
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return k, nil
}

func (a *app) envList() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Show the environments, their rules, and what differs from what was applied",
		Args:  exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if a.settings.server != "" {
				return a.remotely(func(r *remote) error { return r.environments(ctx) })
			}
			k, err := a.keeping(ctx, toRead)
			if err != nil {
				return err
			}
			defer k.close()
			found, err := k.service.List(ctx, k.project)
			if err != nil {
				return err
			}
			return a.tellEnvironments(found)
		}),
	}
}

func (a *app) tellEnvironments(found []environment.Standing) error {
	if a.settings.json {
		return a.screen.out.data(struct {
			Environments []environment.Standing `json:"environments"`
		}{found})
	}
	out := a.screen.out
	t := table{head: []string{"ENVIRONMENT", "REVIEWERS", "BRANCHES", "WAIT", "SECRETS", "STANDS", "LAST DEPLOYMENT"}}
	differ := 0
	for _, e := range found {
		stands, m := standsHow(e)
		if m == bad {
			differ++
		}
		t.rows = append(t.rows, []cell{
			{text: e.Name}, {text: reviewersOf(e.ProtectionRules)}, {text: branchesOf(e.ProtectionRules)}, {text: waitOf(e.ProtectionRules)},
			{text: fmt.Sprint(len(e.Secrets))}, {stands, m}, {text: deployed(e.LastDeploymentAt)},
		})
	}
	if len(found) > 0 {
		t.print(out)
		out.println()
	}
	for _, e := range found {
		for _, d := range e.Differences {
			out.paragraph(d.String())
		}
	}
	if differ > 0 {
		out.println()
		a.hint("to put right what differs: %s env apply -f environments.yaml", a.programName())
	}
	out.printf("%s, %d not as applied\n", counted(len(found), "environment"), differ)
	return nil
}

// standsHow sums an environment up in a word.
func standsHow(e environment.Standing) (string, mood) {
	weaker := false
	for _, d := range e.Differences {
		weaker = weaker || d.Weaker
	}
	switch {
	case !e.Managed && weaker:
		return "not applied, unprotected", bad
	case !e.Managed:
		return "not applied", faint
	case !e.Exists:
		return "missing", bad
	case weaker:
		return "loosened", bad
	case len(e.Differences) > 0:
		return "differs", bad
	case e.Status == store.EnvironmentFailed:
		return "failed", bad
	}
	for _, s := range e.Secrets {
		if c := standing(s.Standing); c.mood == bad {
			return "secrets differ", bad
		}
	}
	return "in step", good
}

func reviewersOf(r environment.Rules) string {
	ids := make([]string, len(r.ReviewerIDs))
	for i, id := range r.ReviewerIDs {
		ids[i] = fmt.Sprint(id)
	}
	switch {
	case len(ids) > 0:
		return strings.Join(ids, ", ")
	case r.RequiredReviewers != nil && *r.RequiredReviewers > 0:
		return "teams"
	}
	return "-"
}

func branchesOf(r environment.Rules) string {
	if r.RestrictToMainBranch != nil && *r.RestrictToMainBranch {
		return "default only"
	}
	return "-"
}

func waitOf(r environment.Rules) string {
	if r.WaitTimer == nil || *r.WaitTimer == 0 {
		return "-"
	}
	return span(time.Duration(*r.WaitTimer) * time.Minute)
}

func deployed(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return ago(time.Since(*at))
}

func (a *app) envDelete() *cobra.Command {
	var withSecrets, yes bool
	c := &cobra.Command{
		Use:   "delete NAME",
		Short: "Delete an environment on GitHub, with its rules and variables",
		Long: "Delete deletes an environment and what is remembered of it. One that holds secrets is deleted\n" +
			"with --with-secrets only, since they are lost with it; one with a deployment under way is not.",
		Args: exactly("a NAME"),
	}
	c.Flags().BoolVar(&withSecrets, "with-secrets", false, "although it holds secrets, which are lost")
	c.Flags().BoolVarP(&yes, "yes", "y", false, "ask nothing")
	c.RunE = a.run(func(ctx context.Context, args []string) error {
		if err := a.mayDelete(ctx, args[0], yes); err != nil {
			return err
		}
		if a.settings.server != "" {
			return a.remotely(func(r *remote) error { return r.deleteEnvironment(ctx, args[0], withSecrets) })
		}
		k, err := a.keeping(ctx, toKeep)
		if err != nil {
			return err
		}
		defer k.close()
		d, err := k.service.Delete(ctx, environment.DeleteRequest{Project: k.project, Actor: store.Local, Name: args[0], WithSecrets: withSecrets})
		if err != nil {
			return err
		}
		return a.tellDeleted(d)
	})
	return c
}

// mayDelete asks the person, if there is one.
func (a *app) mayDelete(ctx context.Context, name string, yes bool) error {
	if yes || !a.interactive() {
		return nil
	}
	answer, err := a.choose(ctx, fmt.Sprintf("Delete the environment %s, with its rules and variables?", name), "",
		choice{stop, "no, delete nothing"}, choice{goOn, "yes, delete it"})
	if err == nil && answer == stop {
		err = syncing.ErrDeclined
	}
	return err
}

func (a *app) tellDeleted(d environment.Deleted) error {
	if a.settings.json {
		return a.screen.out.data(d)
	}
	with := ""
	if n := len(d.Secrets); n > 0 {
		with = " with " + counted(n, "secret")
	}
	a.screen.out.printf("the environment %s is gone%s (run %s)\n", d.Name, with, d.CorrelationID.String()[:8])
	return nil
}
