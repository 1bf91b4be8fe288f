package github

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

// A Deployment is one to an environment, as it stands now.
type Deployment struct {
	ID          int64
	State       string // of its latest status; pending without one
	CreatedAt   time.Time
	Environment string
}

// finished says whether nothing more will come of d. A state that nobody here knows is not an end.
func (d Deployment) finished() bool {
	return slices.Contains([]string{"success", "failure", "error", "inactive"}, d.State)
}

const (
	// maxDeploymentPages bounds how many deployments are looked at: each costs a request for its state.
	maxDeploymentPages = 10
	// statesAtOnce bounds how many states are asked for side by side.
	statesAtOnce = 20
)

// Deployments returns the deployments to an environment that were made since then and have not
// ended, and the last one of all, nil if there was never one. The name is to be spelled as GitHub
// does. More than a thousand deployments since then are not looked through, which is a fault.
func (c *Client) Deployments(ctx context.Context, repo Repository, environment string, since time.Time) (active []Deployment, last *Deployment, err error) {
	repo = c.current(repo)
	all, err := c.deploymentPager(repo, environment, since).read(ctx, nil)
	if err != nil {
		return nil, nil, err
	}
	recent := newestFirst(all.items)
	for i, d := range recent {
		if i > 0 && d.CreatedAt.Before(since) {
			recent = recent[:i]
			break
		}
	}
	if len(recent) == 0 {
		return nil, nil, nil
	}
	if err := c.readStates(ctx, repo, recent); err != nil {
		return nil, nil, err
	}
	for _, d := range recent {
		if !d.finished() && !d.CreatedAt.Before(since) {
			active = append(active, d)
		}
	}
	return active, &recent[0], nil
}

// newestFirst orders deployments, each once: one that is made while pages are read moves others to
// the next page, where they stand again.
func newestFirst(all []Deployment) []Deployment {
	all = slices.Clone(all)
	slices.SortFunc(all, func(a, b Deployment) int {
		if d := b.CreatedAt.Compare(a.CreatedAt); d != 0 {
			return d
		}
		return int(min(1, max(-1, b.ID-a.ID)))
	})
	return slices.CompactFunc(all, func(a, b Deployment) bool { return a.ID == b.ID })
}

// deploymentPager reads the newest deployments, page by page until one is older than since.
func (c *Client) deploymentPager(repo Repository, environment string, since time.Time) pager[Deployment] {
	r := deploymentRequest(repo, "", "")
	r.path += "?per_page=100&environment=" + url.QueryEscape(environment)
	r.subject.what = "deployments to " + environment + " of " + repo.FullName()
	return pager[Deployment]{
		client: c, first: r, most: maxDeploymentPages, decode: deploymentsIn,
		enough: func(read []Deployment) bool { return len(read) == 0 || read[len(read)-1].CreatedAt.Before(since) },
	}
}

func deploymentRequest(repo Repository, tail, route string) request {
	return request{
		method: http.MethodGet, route: repositoryRoute + "/deployments" + route, path: repositoryPath(repo.Ref()) + "/deployments" + tail,
		repo: repo.Ref(), project: repo.ID,
		subject: subject{what: "deployments of " + repo.FullName(), permission: deployments},
	}
}

func deploymentsIn(a answer) (page[Deployment], error) {
	var body []struct {
		ID          int64     `json:"id"`
		Environment string    `json:"environment"`
		CreatedAt   time.Time `json:"created_at"`
	}
	if err := a.decode(&body); err != nil {
		return page[Deployment]{}, err
	}
	var p page[Deployment]
	for _, d := range body {
		p.items = append(p.items, Deployment{ID: d.ID, CreatedAt: d.CreatedAt, Environment: d.Environment})
	}
	return p, nil
}

// readStates fills in the state of each deployment, several at a time. The first error stops it.
func (c *Client) readStates(ctx context.Context, repo Repository, all []Deployment) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	errs := make([]error, len(all))
	places := make(chan struct{}, statesAtOnce)
	var reading sync.WaitGroup
	for i := range all {
		places <- struct{}{}
		reading.Go(func() {
			defer func() { <-places }()
			if all[i].State, errs[i] = c.deploymentState(ctx, repo, all[i].ID); errs[i] != nil {
				stop()
			}
		})
	}
	reading.Wait()
	for _, err := range errs {
		if err != nil && !isGivingUp(err) {
			return err // and not what became of the others when it stopped them
		}
	}
	return errors.Join(errs...)
}

// deploymentState is that of the first status. A deployment that was deleted meanwhile has ended.
func (c *Client) deploymentState(ctx context.Context, repo Repository, id int64) (string, error) {
	r := deploymentRequest(repo, "/"+strconv.FormatInt(id, 10)+"/statuses?per_page=1", "/{deployment}/statuses")
	r.subject.absentOK = true
	a, err := c.read(ctx, r)
	if err != nil {
		return "", err
	}
	if a.status == http.StatusNotFound {
		return "inactive", nil
	}
	var statuses []struct {
		State string `json:"state"`
	}
	if err := a.decode(&statuses); err != nil {
		return "", err
	}
	if len(statuses) == 0 {
		return "pending", nil
	}
	if statuses[0].State == "" {
		return "", fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "a deployment's status has no state"})
	}
	return statuses[0].State, nil
}
