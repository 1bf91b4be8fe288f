package cli

import (
	"context"
	"net/http"
	"net/url"

	"github.com/octoseal/octoseal/internal/environment"
)

func (r *remote) environments(ctx context.Context) error {
	id, err := r.project(ctx)
	if err != nil {
		return err
	}
	var answer struct {
		Environments []environment.Standing `json:"environments"`
	}
	if _, err := r.ask(ctx, http.MethodGet, "/github/environments"+asking("projectId", id.String()), nil, &answer); err != nil {
		return err
	}
	return r.app.tellEnvironments(answer.Environments)
}

func (r *remote) deleteEnvironment(ctx context.Context, name string, withSecrets bool) error {
	id, err := r.project(ctx)
	if err != nil {
		return err
	}
	with := ""
	if withSecrets {
		with = "true"
	}
	var d environment.Deleted
	path := "/github/environments/" + url.PathEscape(name) + asking("projectId", id.String(), "withSecrets", with)
	if _, err := r.ask(ctx, http.MethodDelete, path, nil, &d); err != nil {
		return err
	}
	return r.app.tellDeleted(d)
}
