package cli

import (
	"context"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/spf13/cobra"
)

func (a *app) initCommand() *cobra.Command {
	var environments bool
	c := &cobra.Command{
		Use:   "init --environments",
		Short: "Write the files that a repository begins with",
		Args:  exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if environments {
				return a.initEnvironments(ctx)
			}
			return fault.Invalid("nothing to write is named").Hinting("%s", a.again("", "--environments"))
		}),
	}
	registerEnvironments(c.Flags(), &environments)
	return c
}
