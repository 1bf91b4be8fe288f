package cli

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) statusCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show which secret is where, and how it stands",
		Long: "Status lists the secrets of every scope beside what is remembered of them. It needs no\n" +
			"source, knows no value, and writes nothing.",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if a.settings.server != "" {
				return a.remotely(func(r *remote) error { return r.status(ctx) })
			}
			return a.status(ctx)
		}),
	}
}

func (a *app) status(ctx context.Context) error {
	s, err := a.online(ctx, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	st, err := s.Status(ctx, s.repo)
	if err != nil {
		return err
	}
	return a.tellStatus(st)
}

func (a *app) tellStatus(st syncing.Status) error {
	if a.settings.json {
		return a.screen.out.data(st)
	}
	a.notices(st.Notices, nil)
	a.showStatus(st)
	return nil
}

// showStatus prints every row: what is in step is what people look for, too. The last line is
// parsed by scripts.
func (a *app) showStatus(st syncing.Status) {
	var m matrix
	for _, row := range st.Secrets {
		for scope, how := range row.Scopes {
			m.set(row.SecretName, scopeOf(scope), standing(how))
		}
	}
	out := a.screen.out
	if len(m.names) > 0 {
		m.table().print(out)
		out.println()
	}
	when := "never"
	if st.LastSyncAt != nil {
		when = ago(time.Since(*st.LastSyncAt))
	}
	quota := strconv.Itoa(st.QuotaRemaining.Core)
	if st.QuotaRemaining.Unlimited {
		quota = "without limit"
	}
	out.printf("%s %s: %s, pending %d, errors %d, last sync %s, quota %s\n", st.Repository,
		strings.ReplaceAll(string(st.Status), "_", " "), counted(len(st.Secrets), "secret"), st.PendingCount, st.ErrorCount, when, quota)
}
