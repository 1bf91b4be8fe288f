package cli

import (
	"context"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
)

func (a *app) auditCommand() *cobra.Command {
	return group(&cobra.Command{Use: "audit", Short: "Read the record of what was done, and verify it"},
		a.auditList(), a.auditVerify())
}

// A query is which events are asked for.
type query struct {
	secret, operation, status, run, before string
	limit                                  int
}

func (a *app) auditList() *cobra.Command {
	var q query
	c := &cobra.Command{
		Use: "list", Short: "List events, newest first", Args: exactly(),
		Example: "  octoseal audit list --secret NPM_TOKEN --status failure",
	}
	f := c.Flags()
	f.SortFlags = false
	f.IntVar(&q.limit, "limit", 20, "`N` events at most, up to 500")
	f.StringVar(&q.secret, "secret", "", "events of this secret only: `NAME`")
	f.StringVar(&q.operation, "operation", "", "create, update, delete, sync_all or validate")
	f.StringVar(&q.status, "status", "", "success, failure or partial")
	f.StringVar(&q.run, "run", "", "events of this run only: its whole `ID`")
	f.StringVar(&q.before, "before", "", "go on from the `CURSOR` that the last page ended with")
	c.RunE = a.run(func(ctx context.Context, _ []string) error { return a.listEvents(ctx, q) })
	return c
}

func (q query) filter() (store.Filter, error) {
	f := store.Filter{
		Operation: audit.Operation(q.operation), Status: audit.Status(q.status), Secret: q.secret, Before: q.before, Limit: q.limit,
	}
	if q.operation != "" && !slices.Contains(audit.Operations(), f.Operation) {
		return f, fault.Invalid("--operation is %q: it has to be one of %v", q.operation, audit.Operations())
	}
	if q.status != "" && !slices.Contains(audit.Statuses(), f.Status) {
		return f, fault.Invalid("--status is %q: it has to be one of %v", q.status, audit.Statuses())
	}
	if q.limit < 1 || q.limit > 500 {
		return f, fault.Invalid("--limit is %d: it has to be from 1 to 500", q.limit)
	}
	if q.run != "" {
		id, err := uuid.Parse(q.run)
		if err != nil {
			return f, fault.Invalid("--run is %q: it has to be the whole id of a run, as --json tells it", q.run).Because(err)
		}
		f.CorrelationID = id
	}
	return f, nil
}

func (a *app) listEvents(ctx context.Context, q query) error {
	filter, err := q.filter()
	if err != nil {
		return err
	}
	if a.settings.server != "" {
		return a.remotely(func(r *remote) error { return r.events(ctx, filter) })
	}
	s, err := a.offline(ctx, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	events, next, err := s.Events(ctx, s.repo, filter)
	if err != nil {
		return err
	}
	return a.tellEvents(events, next)
}

func (a *app) tellEvents(events []audit.Event, next string) error {
	if a.settings.json {
		return a.screen.out.data(struct {
			Events []audit.Event `json:"events"`
			Next   string        `json:"next"`
		}{events, next})
	}
	t := table{head: []string{"WHEN", "OPERATION", "SECRET", "STATUS", "SCOPES", "RUN"}}
	for _, e := range events {
		t.rows = append(t.rows, eventRow(e))
	}
	t.print(a.screen.out)
	if next != "" {
		a.hint("older ones: %s", a.again("", "--before", next))
	}
	return nil
}

func eventRow(e audit.Event) []cell {
	name := "-"
	if e.SecretName != nil {
		name = *e.SecretName
	}
	status := cell{string(e.Status), good}
	if e.Status != audit.Success {
		status.mood = bad
	}
	return []cell{
		{text: e.CreatedAt.Local().Format(time.DateTime)}, {text: string(e.Operation)}, {text: name},
		status, {text: spelled(e.AffectedScopes)}, {text: e.CorrelationID.String()[:8]},
	}
}

func (a *app) auditVerify() *cobra.Command {
	var head string
	c := &cobra.Command{
		Use: "verify", Short: "Walk the chain of events and say whether it is whole", Args: exactly(),
		Long: "Every event carries the hash of the one before it. Verify recomputes them all. A chain that\n" +
			"was rewritten from end to end still fits itself, so keep the head of a run elsewhere and\n" +
			"check against it with --head. Of a server the events are fetched and recomputed here; how far\n" +
			"they reach it says itself, so check against a head that was kept there too.",
	}
	c.Flags().StringVar(&head, "head", "", "the `HASH` of an event that was kept elsewhere")
	c.RunE = a.run(func(ctx context.Context, _ []string) error { return a.verify(ctx, head) })
	return c
}

func (a *app) verify(ctx context.Context, head string) error {
	if a.settings.server != "" {
		return a.remotely(func(r *remote) error { return r.verify(ctx, head) })
	}
	s, err := a.offline(ctx, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	v, err := s.VerifyTrail(ctx, s.repo, head)
	if err != nil {
		return err
	}
	return a.tellVerified(v)
}

func (a *app) tellVerified(v syncing.Verified) (err error) {
	if a.settings.json {
		err = a.screen.out.data(v)
	} else {
		a.showVerified(v)
	}
	if err == nil && !v.Intact {
		err = errAttention
	}
	return err
}

func (a *app) showVerified(v syncing.Verified) {
	out := a.screen.out
	if v.Intact {
		out.printf("intact: %s, head %d %s\n", counted(int(v.Events), "event"), v.HeadSeq, v.HeadHash)
		return
	}
	if v.BrokenAt > 0 {
		out.printf("broken at event %d: %s\n", v.BrokenAt, v.Reason)
		return
	}
	out.printf("not intact: %s\n", v.Reason)
}
