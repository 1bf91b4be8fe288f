package cli

import (
	"context"
	"iter"
	"strings"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/store"
)

// projects returns every project by slug; none where there is no database.
func (s *session) projects(ctx context.Context) iter.Seq2[store.Project, error] {
	return func(yield func(store.Project, error) bool) {
		if s.store == nil {
			return
		}
		for f := (store.ProjectFilter{}); ; {
			page, next, err := s.store.Projects(ctx, f)
			if err != nil {
				yield(store.Project{}, err)
				return
			}
			for _, p := range page {
				if !yield(p, nil) {
					return
				}
			}
			if f.After = next; next == "" {
				return
			}
		}
	}
}

// projectCalled finds a project by id, slug or OWNER/NAME.
func (s *session) projectCalled(ctx context.Context, text string) (store.Project, error) {
	none := fault.New(fault.ProjectNotFound, fault.Context{"projectId": text}).
		Saying("there is no project %s", text).Hinting("%s project list shows them.", s.app.programName())
	if id, err := uuid.Parse(text); err == nil {
		p, err := s.store.Project(ctx, id)
		if fault.Is(err, fault.ProjectNotFound) || err == nil && p.ArchivedAt != nil {
			err = none
		}
		return p, err
	}
	if ref, err := github.ParseRef(text); err == nil {
		p, found, err := s.store.FindProject(ctx, s.api.host(), ref.Owner, ref.Name)
		if err == nil && !found {
			err = none
		}
		return p, err
	}
	for p, err := range s.projects(ctx) {
		if err != nil || strings.EqualFold(p.Slug, text) {
			return p, err
		}
	}
	return store.Project{}, none
}

// userCalled finds a user by login.
func (s *session) userCalled(ctx context.Context, login string) (store.User, error) {
	u, found, err := s.store.UserByLogin(ctx, login)
	if err == nil && !found {
		err = fault.New(fault.ResourceNotFound, fault.Context{"resource": "User " + login}).Hinting("Logins are as token create and member add were given them.")
	}
	return u, err
}

// roleOf reads --role.
func roleOf(text string) (store.Role, error) {
	role, err := store.ParseRole(text)
	if err != nil {
		return "", fault.Invalid("--role is %q: it has to be viewer, developer or admin", text).Because(err)
	}
	return role, nil
}

// required refuses a flag that was left out.
func required(flag, value, what string) error {
	if strings.TrimSpace(value) == "" {
		return fault.Invalid("--%s is missing: it says %s", flag, what)
	}
	return nil
}

// isValueSource says whether a project may be given the text as its source of values.
func isValueSource(text string) bool {
	name, named := strings.CutPrefix(text, "source:")
	return text == "" || text == relay.ValueSource || named && name != "" && !strings.ContainsFunc(name, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-", r))
	})
}
