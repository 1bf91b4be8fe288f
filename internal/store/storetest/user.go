package storetest

import (
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

func (w *world) user(login string) store.User {
	w.Helper()
	u, err := w.store.EnsureUser(w.ctx, w.now, login)
	w.check(err)
	return u
}

func users(w *world) {
	ada := w.user("Ada")
	w.same("made", []any{ada.Login, ada.DisplayName, ada.Kind, ada.IsAdmin, ada.CreatedAt}, []any{"Ada", "Ada", store.Human, false, micro(w.now)})
	w.now = w.now.Add(time.Hour)
	w.same("found whatever the case", w.user("aDA"), ada)
	found, ok, err := w.store.UserByLogin(w.ctx, "ADA")
	w.check(err)
	w.same("found by login", []any{ok, found}, []any{true, ada})
	_, ok, err = w.store.UserByLogin(w.ctx, "grace")
	w.check(err)
	w.same("unknown login", ok, false)

	w.check(w.store.SetAdmin(w.ctx, w.now, ada.ID, true))
	found, _, err = w.store.UserByLogin(w.ctx, "ada")
	w.check(err)
	w.same("admin", []any{found.IsAdmin, found.UpdatedAt}, []any{true, micro(w.now)})
	for _, id := range []uuid.UUID{uuid.New(), store.Scheduler} {
		w.same("no person", fault.Is(w.store.SetAdmin(w.ctx, w.now, id, true), fault.ResourceNotFound), true)
	}
	for _, bad := range []string{"", "local", "SCHEDULER", "a b", "a\n", "\x00", "\xff", strings.Repeat("x", 101)} {
		_, err := w.store.EnsureUser(w.ctx, w.now, bad)
		w.same(bad+" is refused", fault.Is(err, fault.RequestInvalid), true)
	}

	ids := make([]uuid.UUID, 8)
	var group sync.WaitGroup
	for i := range ids {
		group.Go(func() {
			if u, err := w.store.EnsureUser(w.ctx, w.now, "grace"); err != nil {
				w.Error(err)
			} else {
				ids[i] = u.ID
			}
		})
	}
	group.Wait()
	for _, id := range ids {
		w.same("made once", id, ids[0])
	}
}

func members(w *world) {
	ada, bob := w.user("ada"), w.user("Bob")
	w.check(w.store.SetMember(w.ctx, w.now, w.project.ID, bob.ID, store.Viewer))
	w.check(w.store.SetMember(w.ctx, w.now, w.project.ID, ada.ID, store.Admin))
	w.check(w.store.SetMember(w.ctx, w.now, w.project.ID, bob.ID, store.Developer))
	got, err := w.store.Members(w.ctx, w.project.ID)
	w.check(err)
	w.same("by login", got, []store.Member{{User: ada, Role: store.Admin}, {User: bob, Role: store.Developer}})
	role, found, err := w.store.RoleIn(w.ctx, w.project.ID, bob.ID)
	w.check(err)
	w.same("role", []any{role, found}, []any{store.Developer, true})
	other := w.newProject("acme", "other", 8)
	_, found, err = w.store.RoleIn(w.ctx, other.ID, bob.ID)
	w.check(err)
	w.same("role elsewhere", found, false)
	project, role, found, err := w.store.ProjectFor(w.ctx, bob.ID, w.project.ID)
	w.check(err)
	w.same("a member's project", []any{project, role, found}, []any{w.project, store.Developer, true})
	_, role, found, err = w.store.ProjectFor(w.ctx, bob.ID, other.ID)
	w.check(err)
	w.same("another's project", []any{role, found}, []any{store.Role(""), true})
	_, _, found, err = w.store.ProjectFor(w.ctx, bob.ID, uuid.New())
	w.check(err)
	w.same("no project", found, false)

	for name, refused := range map[string]struct {
		project, user uuid.UUID
		role          store.Role
		code          fault.Code
	}{
		"unknown project": {uuid.New(), ada.ID, store.Viewer, fault.ProjectNotFound},
		"unknown user":    {w.project.ID, uuid.New(), store.Viewer, fault.ResourceNotFound},
		"a system user":   {w.project.ID, store.Relay, store.Viewer, fault.ResourceNotFound},
		"no such role":    {w.project.ID, ada.ID, "owner", fault.RequestInvalid},
	} {
		w.same(name, fault.Is(w.store.SetMember(w.ctx, w.now, refused.project, refused.user, refused.role), refused.code), true)
	}
	w.check(w.store.RemoveMember(w.ctx, w.project.ID, bob.ID))
	w.same("gone already", fault.Is(w.store.RemoveMember(w.ctx, w.project.ID, bob.ID), fault.ResourceNotFound), true)
	w.check(w.store.Archive(w.ctx, w.now, w.project.ID))
	_, found, err = w.store.RoleIn(w.ctx, w.project.ID, ada.ID)
	w.check(err)
	w.same("role in an archived project", found, false)
	_, _, found, err = w.store.ProjectFor(w.ctx, ada.ID, w.project.ID)
	w.check(err)
	w.same("an archived project", found, false)
}

func tokens(w *world) {
	ada, bob := w.user("ada"), w.user("bob")
	hash := func(digit string) string { return strings.Repeat(digit, 64) }
	in := w.now.Add(time.Hour)
	everywhere, err := w.store.CreateToken(w.ctx, w.now, store.Token{UserID: ada.ID, Role: store.Admin, Name: "laptop", Hash: hash("a"), ExpiresAt: in})
	w.check(err)
	w.now = w.now.Add(time.Second)
	here, err := w.store.CreateToken(w.ctx, w.now, store.Token{UserID: bob.ID, ProjectID: &w.project.ID, Role: store.Viewer, Hash: hash("b"), ExpiresAt: in})
	w.check(err)

	got, owner, found, err := w.store.TokenByHash(w.ctx, hash("b"))
	w.check(err)
	w.same("found", []any{found, got, owner}, []any{true, here, bob})
	_, _, found, err = w.store.TokenByHash(w.ctx, hash("c"))
	w.check(err)
	w.same("unknown", found, false)
	for _, list := range []struct {
		user, project uuid.UUID
		want          []store.Token
	}{
		{uuid.Nil, uuid.Nil, []store.Token{here, everywhere}},
		{ada.ID, uuid.Nil, []store.Token{everywhere}},
		{uuid.Nil, w.project.ID, []store.Token{here}},
		{ada.ID, w.project.ID, nil},
	} {
		got, err := w.store.Tokens(w.ctx, list.user, list.project)
		w.check(err)
		w.same("listed", got, list.want)
	}

	w.touched(here.ID, hash("b"))
	w.check(w.store.RevokeToken(w.ctx, w.now, here.ID))
	revoked := micro(w.now)
	w.now = w.now.Add(time.Hour)
	w.check(w.store.RevokeToken(w.ctx, w.now, here.ID))
	got, _, _, err = w.store.TokenByHash(w.ctx, hash("b"))
	w.check(err)
	w.same("revoked once", got.RevokedAt, &revoked)
	w.same("revoking an unknown one", fault.Is(w.store.RevokeToken(w.ctx, w.now, uuid.New()), fault.ResourceNotFound), true)

	missing := uuid.New()
	good := store.Token{UserID: ada.ID, Role: store.Viewer, Hash: hash("d"), ExpiresAt: w.now.Add(time.Hour)}
	for name, refused := range map[string]struct {
		spoil func(*store.Token)
		code  fault.Code
	}{
		"unknown user":    {func(t *store.Token) { t.UserID = missing }, fault.ResourceNotFound},
		"a system user":   {func(t *store.Token) { t.UserID = store.Local }, fault.ResourceNotFound},
		"unknown project": {func(t *store.Token) { t.ProjectID = &missing }, fault.ProjectNotFound},
		"no such role":    {func(t *store.Token) { t.Role = "" }, fault.RequestInvalid},
		"expired":         {func(t *store.Token) { t.ExpiresAt = w.now }, fault.RequestInvalid},
		"a token itself":  {func(t *store.Token) { t.Hash = "osl_secret" }, fault.RequestInvalid},
	} {
		bad := good
		refused.spoil(&bad)
		_, err := w.store.CreateToken(w.ctx, w.now, bad)
		w.same(name, fault.Is(err, refused.code), true)
	}
}

// touched asks that the use of a token is noted once a minute.
func (w *world) touched(id uuid.UUID, hash string) {
	w.Helper()
	first := micro(w.now)
	for _, step := range []struct {
		after time.Duration
		want  time.Time
	}{{0, first}, {59 * time.Second, first}, {time.Second, first.Add(time.Minute)}} {
		w.now = w.now.Add(step.after)
		w.check(w.store.TouchToken(w.ctx, w.now, id))
		got, _, _, err := w.store.TokenByHash(w.ctx, hash)
		w.check(err)
		w.same("last used", got.LastUsedAt, &step.want)
	}
}
