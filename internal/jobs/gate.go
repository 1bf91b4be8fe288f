package jobs

import (
	"context"
	"errors"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
)

// errPointless says that trying again would end the same way. GitHub may deliver again once somebody
// has put right what was wrong.
var errPointless = errors.New("nothing to be done by trying again")

// review says our word about a deployment that GitHub holds back for it. A repository that is
// nobody's project is rejected with that reason: somebody asked for our word there, and a job that
// hears nothing waits for weeks.
func (j *Jobs) review(ctx context.Context, news github.News) error {
	repo, err := github.ParseRef(news.Called)
	if err != nil || len(news.Repositories) != 1 {
		return errPointless
	}
	p, _, err := j.Store.ProjectByRepositoryID(ctx, j.APIHost, news.Repositories[0])
	if err != nil {
		return err
	}
	v, err := j.Environments.Review(ctx, environment.Held{
		Project: p, Repo: repo, Actor: store.Webhook, Environment: news.Environment, Callback: news.Callback,
	})
	log := j.Log.With("repository", repo, "environment", news.Environment)
	switch {
	case fault.Is(err, fault.ResourceNotFound) && v.Reached():
		log.InfoContext(ctx, "deployment gone before its review", "cause", err)
		return nil
	case fault.Is(err, fault.IntegrationDenied), fault.Is(err, fault.ResourceNotFound):
		log.WarnContext(ctx, "deployment not reviewed", "cause", err, "hint", fault.Of(err).Hint)
		return errPointless
	case err != nil:
		return err
	}
	log.InfoContext(ctx, "deployment judged", "approved", v.Approved, "reasons", len(v.Reasons))
	return nil
}
