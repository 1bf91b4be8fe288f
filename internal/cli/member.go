package cli

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/spf13/cobra"
)

func (a *app) memberCommand() *cobra.Command {
	return group(&cobra.Command{Use: "member", Short: "Decide who belongs to a project, and as what"},
		a.memberAdd(), a.memberList(), a.memberRemove())
}

// A shownMember is a member as programs get it.
type shownMember struct {
	UserID uuid.UUID  `json:"userId"`
	Login  string     `json:"login"`
	Role   store.Role `json:"role"`
}

// of are the flags that say who and where.
type of struct{ user, role, project string }

func (o *of) register(c *cobra.Command, user, role bool) *cobra.Command {
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&o.project, "project", "", "the `PROJECT`: id, slug or OWNER/NAME")
	if user {
		f.StringVar(&o.user, "user", "", "who: a `LOGIN`")
	}
	if role {
		f.StringVar(&o.role, "role", "", "as what: viewer, developer or admin")
	}
	return c
}

// belonging opens the database and finds the project that is meant.
func (a *app) belonging(ctx context.Context, o of) (*session, store.Project, error) {
	if err := required("project", o.project, "which one is meant"); err != nil {
		return nil, store.Project{}, err
	}
	s, err := a.session(ctx, github.Ref{}, toKeep)
	if err != nil {
		return nil, store.Project{}, err
	}
	p, err := s.projectCalled(ctx, o.project)
	if err != nil {
		s.close()
		return nil, store.Project{}, err
	}
	return s, p, nil
}

func (a *app) memberAdd() *cobra.Command {
	var o of
	return o.register(&cobra.Command{
		Use: "add --project PROJECT --user LOGIN --role ROLE", Args: exactly(),
		Short: "Give someone a role in a project, in place of the one they have",
		Long: "A user who is new is made. A viewer reads; a developer also syncs, plans and validates; an\n" +
			"admin also manages the project, its exclusions, tokens and members.",
		Example: "  octoseal member add --project acme/widgets --user grace --role developer",
		RunE:    a.runHere(func(ctx context.Context, _ []string) error { return a.addMember(ctx, o) }),
	}, true, true)
}

func (a *app) addMember(ctx context.Context, o of) error {
	if err := required("user", o.user, "who is meant"); err != nil {
		return err
	}
	role, err := roleOf(o.role)
	if err != nil {
		return err
	}
	s, p, err := a.belonging(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	now := time.Now()
	u, err := s.store.EnsureUser(ctx, now, o.user)
	if err != nil {
		return err
	}
	if err := s.store.SetMember(ctx, now, p.ID, u.ID, role); err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(shownMember{u.ID, u.Login, role})
	}
	a.screen.out.printf("%s is %s of %s/%s\n", u.Login, role, p.Owner, p.Repo)
	return nil
}

func (a *app) memberList() *cobra.Command {
	var o of
	return o.register(&cobra.Command{
		Use: "list --project PROJECT", Short: "List a project's members", Args: exactly(),
		RunE: a.runHere(func(ctx context.Context, _ []string) error { return a.listMembers(ctx, o) }),
	}, false, false)
}

func (a *app) listMembers(ctx context.Context, o of) error {
	s, p, err := a.belonging(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	members, err := s.store.Members(ctx, p.ID)
	if err != nil {
		return err
	}
	list := struct {
		Members []shownMember `json:"members"`
	}{[]shownMember{}}
	t := table{head: []string{"USER", "ROLE"}}
	for _, m := range members {
		list.Members = append(list.Members, shownMember{m.ID, m.Login, m.Role})
		t.rows = append(t.rows, []cell{{text: m.Login}, {text: string(m.Role)}})
	}
	if a.settings.json {
		return a.screen.out.data(list)
	}
	t.print(a.screen.out)
	return nil
}

func (a *app) memberRemove() *cobra.Command {
	var o of
	return o.register(&cobra.Command{
		Use: "remove --project PROJECT --user LOGIN", Short: "Take someone out of a project", Args: exactly(),
		RunE: a.runHere(func(ctx context.Context, _ []string) error { return a.removeMember(ctx, o) }),
	}, true, false)
}

func (a *app) removeMember(ctx context.Context, o of) error {
	if err := required("user", o.user, "who is meant"); err != nil {
		return err
	}
	s, p, err := a.belonging(ctx, o)
	if err != nil {
		return err
	}
	defer s.close()
	u, err := s.userCalled(ctx, o.user)
	if err != nil {
		return err
	}
	if err := s.store.RemoveMember(ctx, p.ID, u.ID); err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(struct {
			Removed string `json:"removed"`
		}{u.Login})
	}
	a.screen.out.printf("%s belongs to %s/%s no longer\n", u.Login, p.Owner, p.Repo)
	return nil
}
