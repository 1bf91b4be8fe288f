package cli

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) quotaCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "quota",
		Short: "Show what is left of GitHub's limits",
		Long: "Quota asks GitHub what is left of its hourly limits, which costs nothing, and adds what only\n" +
			"Octoseal knows: its own writes within the hour, and a pause that GitHub has asked for.",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error {
			if a.settings.server != "" {
				return a.remotely(func(r *remote) error { return r.quota(ctx) })
			}
			return a.quota(ctx)
		}),
	}
}

// A resource is one limit.
type resource struct {
	Name      string     `json:"name"`
	Limit     int        `json:"limit,omitempty"` // none where a server does not tell
	Remaining int        `json:"remaining"`
	ResetAt   *time.Time `json:"resetAt"`
}

// A quotaReport is the result of quota.
type quotaReport struct {
	Credential string        `json:"credential"`
	Unlimited  bool          `json:"unlimited"`
	Resources  []resource    `json:"resources"`
	Pause      *github.Pause `json:"pause"`
}

func (a *app) quota(ctx context.Context) error {
	s, err := a.aboutCredential(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	limits, err := s.client.RateLimit(ctx)
	if err != nil {
		return err
	}
	r := quotaReport{Credential: s.client.Credential().Name(), Resources: []resource{}}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		q := limits[name]
		if name == "core" || name == "graphql" {
			r.Resources = append(r.Resources, resource{name, q.Limit, q.Remaining, &q.Reset})
		}
	}
	r.Unlimited = len(r.Resources) == 0
	if s.store != nil {
		made, err := s.store.WritesSince(ctx, s.client.Credential().Fingerprint(), time.Now().Add(-time.Hour))
		if err != nil {
			return err
		}
		r.Resources = append(r.Resources, resource{"secrets", syncing.WritesPerHour, max(0, syncing.WritesPerHour-made), nil})
	}
	if p, paused := s.client.Governor().Paused(); paused {
		r.Pause = &p
	}
	return a.tellQuota(r)
}

func (a *app) tellQuota(r quotaReport) error {
	if a.settings.json {
		return a.screen.out.data(r)
	}
	a.showQuota(r)
	return nil
}

func (a *app) showQuota(r quotaReport) {
	t := table{head: []string{"RESOURCE", "LEFT", "LIMIT", "RESET"}}
	for _, q := range r.Resources {
		reset, limit := "an hour after each write", strconv.Itoa(q.Limit)
		if q.Limit == 0 {
			reset, limit = "-", "-"
		}
		if q.ResetAt != nil {
			reset = q.ResetAt.Local().Format(time.DateTime)
		}
		t.rows = append(t.rows, []cell{{text: q.Name}, {text: strconv.Itoa(q.Remaining)}, {text: limit}, {text: reset}})
	}
	t.print(a.screen.out)
	if r.Unlimited {
		a.screen.out.println("this server has its rate limits switched off")
	}
	if r.Pause != nil {
		a.screen.out.printf("paused until %s: %s\n", r.Pause.Until.Local().Format(time.TimeOnly), r.Pause.Why)
	}
}
