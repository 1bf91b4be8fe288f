package jobs

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
)

// Deliver takes a webhook delivery whose signature was found good, and queues what it says. One that
// was delivered before, or says nothing that matters here, is taken and forgotten.
func (j *Jobs) Deliver(ctx context.Context, guid, event, contentType string, body []byte) error {
	news, matters, err := github.ReadNews(event, contentType, body)
	if err != nil || !matters {
		return err
	}
	fresh, err := j.Store.RememberDelivery(ctx, j.Now(), guid, event)
	if err != nil || !fresh {
		return err
	}
	args, err := json.Marshal(news)
	if err != nil {
		return err
	}
	return j.Store.Enqueue(ctx, j.Now(), store.Job{Kind: webhookJob, Key: guid, Args: args})
}

// webhook does what a delivery asks for. Deliveries come late, twice and out of order, so each is
// only a hint where to look: names and existence are asked of GitHub.
func (j *Jobs) webhook(ctx context.Context, job store.Job) error {
	var news github.News
	err := json.Unmarshal(job.Args, &news)
	if err == nil {
		err = j.follow(ctx, news)
	}
	j.Metrics.Delivered(string(news.What), err == nil)
	if errors.Is(err, errPointless) {
		return j.Store.FinishDelivery(ctx, j.Now(), job.Key, false)
	}
	if err != nil {
		return err
	}
	return j.Store.FinishDelivery(ctx, j.Now(), job.Key, true)
}

func (j *Jobs) follow(ctx context.Context, news github.News) error {
	if news.What == github.Withdrawn && len(news.Repositories) == 0 {
		return j.withdrawAll(ctx, news.Installation)
	}
	if news.What == github.Held {
		return j.review(ctx, news)
	}
	for _, id := range news.Repositories {
		p, known, err := j.Store.ProjectByRepositoryID(ctx, j.APIHost, id)
		if err != nil {
			return err
		}
		if !known {
			continue // nobody's project: an App hears of every repository it is installed on
		}
		if err := j.followOne(ctx, news, p); err != nil && !fault.Is(err, fault.ProjectNotFound) {
			return err
		}
	}
	return nil
}

func (j *Jobs) followOne(ctx context.Context, news github.News, p store.Project) error {
	switch news.What {
	case github.Pushed:
		return j.start(ctx, p.ID, store.Webhook, store.Hooked, j.Now())
	case github.Moved, github.Removed:
		return j.relocate(ctx, news, p)
	case github.JobEnded:
		return j.jobEnded(ctx, news, p)
	case github.Installed:
		return j.install(ctx, p, news.Installation)
	case github.Withdrawn:
		if p.InstallationID != nil && *p.InstallationID != news.Installation {
			return nil // another installation has it by now
		}
		return j.install(ctx, p, 0)
	}
	return nil
}

func (j *Jobs) install(ctx context.Context, p store.Project, installation int64) error {
	_, err := j.Store.PatchProject(ctx, j.Now(), p.ID, store.ProjectPatch{InstallationID: &installation})
	return err
}

func (j *Jobs) withdrawAll(ctx context.Context, installation int64) error {
	for p, err := range j.Store.ActiveProjects(ctx) {
		if err != nil {
			return err
		}
		if p.InstallationID != nil && *p.InstallationID == installation {
			if err := j.install(ctx, store.Project{ID: p.ID}, 0); err != nil && !fault.Is(err, fault.ProjectNotFound) {
				return err
			}
		}
	}
	return nil
}

// relocate has a project follow its repository, or archives it when both the delivery and GitHub say
// that the repository is gone. One that we merely cannot see any more stays as it is.
func (j *Jobs) relocate(ctx context.Context, news github.News, p store.Project) error {
	heard, err := github.ParseRef(news.Called)
	if err != nil {
		heard = github.Ref{Owner: p.Owner, Name: p.Repo}
	}
	now, err := j.Accounts.Client(ctx, heard.Owner).Relocate(ctx, p.RepositoryID, heard)
	var gone *fault.Fault
	switch {
	case err == nil:
		_, err = j.Store.EnsureProject(ctx, j.Now(), store.Project{
			APIHost: p.APIHost, RepositoryID: now.ID, Owner: now.Owner, Repo: now.Name, DefaultBranch: now.DefaultBranch,
		})
		return err
	case errors.As(err, &gone) && gone.Code == fault.ResourceNotFound && news.What == github.Removed:
		j.Log.InfoContext(ctx, "repository deleted, project archived", "project", p.ID, "repository", heard)
		return j.Store.Archive(ctx, j.Now(), p.ID)
	case errors.As(err, &gone) && gone.Code == fault.ResourceNotFound:
		j.Log.WarnContext(ctx, "repository moved out of sight", "project", p.ID, "repository", heard)
		return nil
	}
	return err
}
