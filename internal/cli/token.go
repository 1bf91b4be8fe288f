package cli

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/httpapi"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/spf13/cobra"
)

func (a *app) tokenCommand() *cobra.Command {
	return group(&cobra.Command{Use: "token", Short: "Decide who may ask the service"},
		a.tokenCreate(), a.tokenList(), a.tokenRevoke())
}

// A wish is the token that is asked for.
type wish struct {
	user, role, project, name string
	expires                   int
}

const (
	usualDays   = 90
	longestDays = 366
)

func (a *app) tokenCreate() *cobra.Command {
	var w wish
	c := &cobra.Command{
		Use:   "create --user LOGIN --role ROLE",
		Short: "Make a token, and its user when new, and print it this once",
		Long: "The token alone goes to stdout. With --project the user becomes a member of that project in\n" +
			"that role, unless they have a higher one, and the token is good for it alone. Without it\n" +
			"the token is good for whatever the user may do, up to the role; and --role admin makes the\n" +
			"user an admin of the whole platform, who may do everything in every project.",
		Example: "  octoseal token create --user ada --role admin\n" +
			"  octoseal token create --user ci --role developer --project acme/widgets --expires 30",
		Args: exactly(),
		RunE: a.runHere(func(ctx context.Context, _ []string) error { return a.createToken(ctx, w) }),
	}
	f := c.Flags()
	f.SortFlags = false
	f.StringVar(&w.user, "user", "", "whose it is: a `LOGIN`")
	f.StringVar(&w.role, "role", "", "the most it allows: viewer, developer or admin")
	f.StringVar(&w.project, "project", "", "the only `PROJECT` it is good for: id, slug or OWNER/NAME")
	f.StringVar(&w.name, "name", "", "a `NAME` to tell it by")
	f.IntVar(&w.expires, "expires", usualDays, "`DAYS` until it is of no use any more, at most 366")
	return c
}

func (w wish) check() (store.Role, error) {
	if err := required("user", w.user, "whose token it is"); err != nil {
		return "", err
	}
	if w.expires < 1 || w.expires > longestDays {
		return "", fault.Invalid("--expires is %d: it has to be from 1 to %d days", w.expires, longestDays)
	}
	return roleOf(w.role)
}

func (a *app) createToken(ctx context.Context, w wish) error {
	role, err := w.check()
	if err != nil {
		return err
	}
	s, err := a.session(ctx, github.Ref{}, toKeep)
	if err != nil {
		return err
	}
	defer s.close()
	now := time.Now()
	token, hash := httpapi.MintToken()
	t := store.Token{Role: role, Name: w.name, Hash: hash, ExpiresAt: now.Add(time.Duration(w.expires) * 24 * time.Hour)}
	if err := s.entitle(ctx, now, w, &t); err != nil {
		return err
	}
	made, err := s.store.CreateToken(ctx, now, t)
	if err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(struct {
			shownToken
			Secret string `json:"token"`
		}{shownTokenOf(made, w.user), token})
	}
	a.screen.out.println(token)
	return nil
}

// entitle finds or makes the user and gives them what the token is to allow: a token alone allows
// nothing that its user may not.
func (s *session) entitle(ctx context.Context, now time.Time, w wish, t *store.Token) error {
	var project store.Project
	var err error
	if w.project != "" {
		if project, err = s.projectCalled(ctx, w.project); err != nil {
			return err
		}
		t.ProjectID = &project.ID
	}
	u, err := s.store.EnsureUser(ctx, now, w.user)
	if err != nil {
		return err
	}
	t.UserID = u.ID
	if t.ProjectID == nil {
		return s.entitleAlone(ctx, now, u, t.Role)
	}
	has, _, err := s.store.RoleIn(ctx, project.ID, u.ID)
	if err != nil || u.IsAdmin || has.Allows(t.Role) {
		return err
	}
	return s.store.SetMember(ctx, now, project.ID, u.ID, t.Role)
}

func (s *session) entitleAlone(ctx context.Context, now time.Time, u store.User, role store.Role) error {
	if role == store.Admin && !u.IsAdmin {
		s.app.screen.talk("note: %s is an admin of the platform now, and may do everything in every project", u.Login)
		return s.store.SetAdmin(ctx, now, u.ID, true)
	}
	mine, _, err := s.store.Projects(ctx, store.ProjectFilter{User: u.ID, Limit: 1})
	if err == nil && len(mine) == 0 && !u.IsAdmin {
		s.app.screen.talk("note: %s belongs to no project yet: %s", u.Login,
			commandLine{s.app.programName(), "member", "add", "--user", u.Login, "--role", string(role), "--project", "PROJECT"})
	}
	return err
}

// A shownToken is a token as programs get it, without itself.
type shownToken struct {
	ID         uuid.UUID  `json:"id"`
	User       string     `json:"user"`
	ProjectID  *uuid.UUID `json:"projectId"`
	Role       store.Role `json:"role"`
	Name       string     `json:"name"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt"`
	RevokedAt  *time.Time `json:"revokedAt"`
}

func shownTokenOf(t store.Token, login string) shownToken {
	return shownToken{t.ID, login, t.ProjectID, t.Role, t.Name, t.ExpiresAt.UTC(), inUTC(t.LastUsedAt), inUTC(t.RevokedAt)}
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := t.UTC()
	return &at
}

// state says in a word whether a token is of use.
func (t shownToken) state(now time.Time) cell {
	switch {
	case t.RevokedAt != nil:
		return cell{"revoked", faint}
	case !t.ExpiresAt.After(now):
		return cell{"expired", faint}
	}
	return cell{"until " + t.ExpiresAt.Local().Format(time.DateOnly), good}
}

func (a *app) tokenList() *cobra.Command {
	var user, project string
	c := &cobra.Command{
		Use: "list", Short: "List tokens, without themselves", Args: exactly(),
		RunE: a.runHere(func(ctx context.Context, _ []string) error { return a.listTokens(ctx, user, project) }),
	}
	c.Flags().StringVar(&user, "user", "", "of this `LOGIN` only")
	c.Flags().StringVar(&project, "project", "", "for this `PROJECT` only: id, slug or OWNER/NAME")
	return c
}

func (a *app) listTokens(ctx context.Context, user, project string) error {
	s, err := a.session(ctx, github.Ref{}, toRecord)
	if err != nil {
		return err
	}
	defer s.close()
	list := struct {
		Tokens []shownToken `json:"tokens"`
	}{[]shownToken{}}
	if s.store != nil {
		if list.Tokens, err = s.tokens(ctx, user, project); err != nil {
			return err
		}
	}
	if a.settings.json {
		return a.screen.out.data(list)
	}
	t := table{head: []string{"USER", "ROLE", "STATE", "NAME", "ID"}}
	for _, k := range list.Tokens {
		t.rows = append(t.rows, []cell{{text: k.User}, {text: string(k.Role)}, k.state(time.Now()), {text: k.Name}, {text: k.ID.String()}})
	}
	t.print(a.screen.out)
	return nil
}

func (s *session) tokens(ctx context.Context, user, project string) ([]shownToken, error) {
	var of, in uuid.UUID
	if user != "" {
		u, err := s.userCalled(ctx, user)
		if err != nil {
			return nil, err
		}
		of = u.ID
	}
	if project != "" {
		p, err := s.projectCalled(ctx, project)
		if err != nil {
			return nil, err
		}
		in = p.ID
	}
	rows, err := s.store.Tokens(ctx, of, in)
	if err != nil {
		return nil, err
	}
	out, logins := []shownToken{}, map[uuid.UUID]string{}
	for _, t := range rows {
		if _, known := logins[t.UserID]; !known {
			u, _, err := s.store.UserByID(ctx, t.UserID)
			if err != nil {
				return nil, err
			}
			logins[t.UserID] = u.Login
		}
		out = append(out, shownTokenOf(t, logins[t.UserID]))
	}
	return out, nil
}

func (a *app) tokenRevoke() *cobra.Command {
	return &cobra.Command{
		Use: "revoke ID", Short: "End a token at once", Args: exactly("an ID"),
		Long: "The service may let a revoked token through for two seconds more.",
		RunE: a.runHere(func(ctx context.Context, args []string) error { return a.revokeToken(ctx, args[0]) }),
	}
}

func (a *app) revokeToken(ctx context.Context, text string) error {
	id, err := uuid.Parse(text)
	if err != nil {
		return fault.Invalid("%q is no token's id", text).Because(err).Hinting("%s token list shows them.", a.programName())
	}
	s, err := a.session(ctx, github.Ref{}, toKeep)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.store.RevokeToken(ctx, time.Now(), id); err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(struct {
			Revoked uuid.UUID `json:"revoked"`
		}{id})
	}
	a.screen.out.printf("token %s is revoked\n", id)
	return nil
}
