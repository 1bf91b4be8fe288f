package github

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

// A Repository is what a project is bound to. ID is the only part of it that lasts.
type Repository struct {
	ID            int64
	Owner, Name   string
	DefaultBranch string
	Private       bool
	Archived      bool
	OwnerID       int64
	OwnerType     string // "User" or "Organization"
	Admin, Push   bool   // what the credential may do, as far as GitHub says
	ETag          string // for the next conditional look; it belongs to one token
}

// FullName is OWNER/NAME.
func (r Repository) FullName() string { return r.Ref().String() }

// Ref is what r is called.
func (r Repository) Ref() Ref { return Ref{r.Owner, r.Name} }

// Repository looks ref up and returns it with GitHub's time of the answer. With a known repository
// the question is conditional, and an unchanged one costs no quota. A rename is followed; the
// returned names are the new ones.
//
// When the name stands for another repository than the known one, that other one is returned with
// a fault that is ErrReplaced: a project must not be carried over to it in silence.
func (c *Client) Repository(ctx context.Context, ref Ref, known *Repository) (Repository, time.Time, error) {
	r := request{
		method: http.MethodGet, route: repositoryRoute, path: repositoryPath(ref), repo: ref,
		subject: subject{what: "repository " + ref.String(), permission: metadata},
	}
	if known != nil {
		r.etag = known.ETag
	}
	a, err := c.read(ctx, r)
	if err != nil {
		return Repository{}, time.Time{}, err
	}
	if a.status == http.StatusNotModified {
		return *known, a.date(), nil
	}
	found, err := repositoryOf(a)
	if err != nil {
		return Repository{}, time.Time{}, err
	}
	if known != nil && known.ID != 0 && found.ID != known.ID {
		return found, a.date(), replaced(ref, known.ID, found.ID)
	}
	c.log.DebugContext(ctx, "repository found", "repository", found.FullName(), "id", found.ID)
	return found, a.date(), nil
}

// RepositoryByID finds a repository by its number, whatever it is called now.
func (c *Client) RepositoryByID(ctx context.Context, id int64) (Repository, error) {
	return c.repositoryByID(ctx, id, Ref{})
}

// Relocate finds a repository by its number, like RepositoryByID, with the name that it was heard of
// under last: an App finds its installation by that.
func (c *Client) Relocate(ctx context.Context, id int64, heard Ref) (Repository, error) {
	return c.repositoryByID(ctx, id, heard)
}

// repositoryByID signs for the installation of ref, the last known name, when the credential is an
// App.
func (c *Client) repositoryByID(ctx context.Context, id int64, ref Ref) (Repository, error) {
	number := strconv.FormatInt(id, 10)
	a, err := c.read(ctx, request{
		method: http.MethodGet, route: "/repositories/{id}", path: "/repositories/" + number, repo: ref, project: id,
		subject: subject{what: "repository number " + number, permission: metadata},
	})
	if err != nil {
		return Repository{}, err
	}
	found, err := repositoryOf(a)
	if err == nil && found.ID != id {
		return Repository{}, replaced(found.Ref(), id, found.ID)
	}
	return found, err
}

func repositoryOf(a answer) (Repository, error) {
	var body struct {
		ID    int64  `json:"id"`
		Name  string `json:"name"`
		Owner struct {
			Login string `json:"login"`
			ID    int64  `json:"id"`
			Type  string `json:"type"`
		} `json:"owner"`
		DefaultBranch string `json:"default_branch"`
		Private       bool   `json:"private"`
		Archived      bool   `json:"archived"`
		Permissions   struct {
			Admin bool `json:"admin"`
			Push  bool `json:"push"`
		} `json:"permissions"`
	}
	if err := a.decode(&body); err != nil {
		return Repository{}, err
	}
	if body.ID == 0 || body.Name == "" || body.Owner.Login == "" {
		return Repository{}, fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the answer describes no repository"}).
			Hinting("Check the API URL: it may lead to something else than GitHub.")
	}
	return Repository{
		ID: body.ID, Owner: body.Owner.Login, Name: body.Name, DefaultBranch: body.DefaultBranch,
		Private: body.Private, Archived: body.Archived, OwnerID: body.Owner.ID, OwnerType: body.Owner.Type,
		Admin: body.Permissions.Admin, Push: body.Permissions.Push, ETag: a.header.Get("Etag"),
	}, nil
}
