package cli

import (
	"context"

	"github.com/spf13/cobra"
)

func (a *app) projectCommand() *cobra.Command {
	remove := &cobra.Command{
		Use:   "remove",
		Short: "Forget a repository",
		Long: "What was written stays on GitHub, and is nobody's from then on: the next sync finds it\n" +
			"there and asks. The audit trail stays until its retention removes it. This is how a\n" +
			"repository that was made again under its old name is meant.",
		Example: "  octoseal project remove --repo acme/widgets",
		Args:    exactly(),
		RunE:    a.run(func(ctx context.Context, _ []string) error { return a.removeProject(ctx) }),
	}
	return group(&cobra.Command{Use: "project", Short: "Decide which repositories are remembered"}, remove)
}

func (a *app) removeProject(ctx context.Context) error {
	s, err := a.offline(ctx, toRecord)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.Forget(ctx, s.repo); err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(struct {
			Removed string `json:"removed"`
		}{s.repo.String()})
	}
	a.screen.out.printf("%s is forgotten; its secrets stay as they are\n", s.repo)
	return nil
}
