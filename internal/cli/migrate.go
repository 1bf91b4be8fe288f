package cli

import (
	"context"
	"os"
	"path/filepath"

	"github.com/octoseal/octoseal/internal/store"
	"github.com/spf13/cobra"
)

func (a *app) migrateCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "migrate",
		Short: "Bring the database up to date, or make it",
		Long: "Every command that writes does so by itself. Migrate is for those who give the service a\n" +
			"database user that may not change tables, or want it done before the new version starts.\n" +
			"Several at once wait for each other, and one that finds nothing to do changes nothing.",
		Example: "  octoseal migrate --database postgres://owner@db/octoseal",
		Args:    exactly(),
		RunE:    a.runHere(func(ctx context.Context, _ []string) error { return a.migrate(ctx) }),
	}
}

func (a *app) migrate(ctx context.Context) error {
	dsn, isDefault := a.dsn()
	if isDefault {
		if err := os.MkdirAll(filepath.Dir(dsn), 0o700); err != nil {
			return noPlace(dsn, err)
		}
	}
	if err := store.Migrate(ctx, store.Config{DSN: dsn, Log: a.log}); err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(struct {
			Migrated bool `json:"migrated"`
		}{true})
	}
	a.screen.out.println("the database is up to date")
	return nil
}
