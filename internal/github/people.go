package github

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"github.com/octoseal/octoseal/internal/fault"
)

// A User is an account by its number, which lasts while its login may change.
type User struct {
	ID    int64
	Login string
	Type  string // User, Bot or Organization
}

// User looks a user up by number. One that does not exist is not found, which is no error.
func (c *Client) User(ctx context.Context, id int64) (u User, found bool, err error) {
	number := strconv.FormatInt(id, 10)
	a, err := c.read(ctx, request{
		method: http.MethodGet, route: "/user/{account}", path: "/user/" + number,
		subject: subject{what: "user number " + number, absentOK: true},
	})
	if err != nil || a.status == http.StatusNotFound {
		return User{}, false, err
	}
	var body struct {
		ID    int64  `json:"id"`
		Login string `json:"login"`
		Type  string `json:"type"`
	}
	if err := a.decode(&body); err != nil {
		return User{}, false, err
	}
	if body.ID != id || body.Login == "" {
		return User{}, false, fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the answer does not describe user number " + number}).
			Hinting("Check the API URL: it may lead to something else than GitHub.")
	}
	return User{ID: body.ID, Login: body.Login, Type: body.Type}, true, nil
}

// HasAccess says whether a user was given access to repo, on whatever way. Reading a public
// repository, as everybody may, is no access that was given.
func (c *Client) HasAccess(ctx context.Context, repo Repository, login string) (bool, error) {
	repo = c.current(repo)
	if login == "" {
		return false, fault.Invalid("nobody is named whose access to %s is asked for", repo.FullName())
	}
	a, err := c.read(ctx, request{
		method: http.MethodGet, route: repositoryRoute + "/collaborators/{username}",
		path: repositoryPath(repo.Ref()) + "/collaborators/" + url.PathEscape(login), repo: repo.Ref(), project: repo.ID,
		subject: subject{what: "access of " + login + " to " + repo.FullName(), permission: metadata, absentOK: true},
	})
	return err == nil && a.status != http.StatusNotFound, err
}
