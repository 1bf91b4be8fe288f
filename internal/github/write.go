package github

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Written is what became of a write.
type Written struct {
	// Created is GitHub's word for it: after a lost answer the second attempt finds the secret
	// there, and says that it was not.
	Created      bool
	Attempts     int       // how often it was sent
	FirstAttempt time.Time // when it was first sent, on GitHub's clock
	Date         time.Time // the Date of the last answer
}

// Put writes box under name into the store the box is sealed for. Doing it twice is doing it once,
// so it is repeated like a read. A fault that is StaleKey asks for sealing again.
func (c *Client) Put(ctx context.Context, repo Repository, name secret.Name, box secret.Box) (Written, error) {
	if box.IsZero() || name.IsZero() {
		return Written{}, fault.Invalid("there is no box or no name to write to %s", repo.FullName())
	}
	body, err := json.Marshal(struct {
		Value string `json:"encrypted_value"`
		KeyID string `json:"key_id"`
	}{box.Ciphertext(), box.KeyID()})
	if err != nil {
		return Written{}, err
	}
	a, err := c.change(ctx, repo, func(repo Repository) (request, error) {
		r, err := secretRequest(http.MethodPut, repo, box.Scope(), name)
		r.body = body
		return r, err
	})
	if errors.Is(err, StaleKey) {
		c.keys.refuse(keyPlace{repo.ID, box.Scope()}, box.KeyID())
	}
	if err != nil {
		return Written{}, err
	}
	w := c.written(a)
	c.log.InfoContext(ctx, "secret written", "scope", box.Scope(), "repository", repo.FullName(), "name", name,
		"key_id", box.KeyID(), "created", w.Created, "attempts", w.Attempts)
	return w, nil
}

// Delete removes name from scope. A secret that is not there is deleted already.
func (c *Client) Delete(ctx context.Context, repo Repository, scope secret.Scope, name secret.Name) (Written, error) {
	if name.IsZero() {
		return Written{}, fault.Invalid("there is no name to delete from %s", repo.FullName())
	}
	a, err := c.change(ctx, repo, func(repo Repository) (request, error) {
		r, err := secretRequest(http.MethodDelete, repo, scope, name)
		r.subject.absentOK = true
		return r, err
	})
	if err != nil {
		return Written{}, err
	}
	w := c.written(a)
	c.log.InfoContext(ctx, "secret deleted", "scope", scope, "repository", repo.FullName(), "name", name, "attempts", w.Attempts)
	return w, nil
}

func secretRequest(method string, repo Repository, scope secret.Scope, name secret.Name) (request, error) {
	r, err := secretsRequest(method, repo, scope, "/"+url.PathEscape(name.String()), "/{name}")
	r.subject.name = name.String()
	return r, err
}

func (c *Client) written(a answer) Written {
	return Written{
		Created:      a.status == http.StatusCreated,
		Attempts:     a.attempts,
		FirstAttempt: c.Clock().GitHub(a.first).UTC(),
		Date:         a.date(),
	}
}

// change sends a write. It never follows a redirect, since an http.Client would make it a GET, and since
// the place it leads to need not be the repository that is meant: the repository is looked up by
// its number, and the write is sent once more to the name found there.
func (c *Client) change(ctx context.Context, repo Repository, build func(Repository) (request, error)) (answer, error) {
	repo = c.current(repo)
	r, err := build(repo)
	if err != nil {
		return answer{}, err
	}
	a, err := c.send(ctx, r)
	if err != nil || !a.redirects() {
		return a, err
	}
	moved, err := c.renamed(ctx, repo)
	if err != nil {
		return a, err
	}
	if r, err = build(moved); err != nil {
		return a, err
	}
	again, err := c.send(ctx, r)
	if err == nil && again.redirects() {
		err = fault.New(fault.IntegrationUnavailable, fault.Context{
			"reason": "writes to " + moved.FullName() + " are redirected, though GitHub says that this is its name",
		})
	}
	again.first, again.attempts = a.first, a.attempts+again.attempts
	return again, err
}

// renamed looks up what repo is called now, and remembers it.
func (c *Client) renamed(ctx context.Context, repo Repository) (Repository, error) {
	if repo.ID == 0 {
		return Repository{}, fault.Invalid("%s was renamed, and nothing is known to tell it by", repo.FullName()).
			Hinting("Name the repository by its new OWNER/NAME.")
	}
	found, err := c.repositoryByID(ctx, repo.ID, repo.Ref())
	if err != nil {
		return Repository{}, err
	}
	if found.Ref() == repo.Ref() {
		return Repository{}, fault.New(fault.IntegrationUnavailable, fault.Context{
			"reason": "writes to " + repo.FullName() + " are redirected, though GitHub says that this is its name",
		})
	}
	c.log.InfoContext(ctx, "repository renamed", "id", repo.ID, "from", repo.FullName(), "to", found.FullName())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.names == nil {
		c.names = map[formerName]Ref{}
	}
	c.names[formerName{repo.ID, repo.Ref()}] = found.Ref()
	return found, nil
}

// A formerName is a name that a repository was redirected from.
type formerName struct {
	id   int64
	name Ref
}

// current returns repo under the name it is known to have now, so that a run which began before a
// rename is redirected once and not with each write.
func (c *Client) current(repo Repository) Repository {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now, ok := c.names[formerName{repo.ID, repo.Ref()}]; ok {
		repo.Owner, repo.Name = now.Owner, now.Name
	}
	return repo
}
