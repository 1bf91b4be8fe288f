package github

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Listed is one secret as GitHub lists it. Name is upper-cased, as GitHub holds it, even when
// the contract would refuse it: secret.ParseName decides that.
type Listed struct {
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"`
}

// A Page is one page of a list, kept so that the next look can be conditional. It is stored as JSON.
type Page struct {
	ETag    string   `json:"etag"`
	Next    string   `json:"next,omitempty"` // path and query of the page after it, without the host
	Total   int      `json:"total"`          // how many secrets the whole list had when this page was made
	Secrets []Listed `json:"secrets"`
}

// A Listing is the whole list of one scope at one time.
type Listing struct {
	Scope     secret.Scope `json:"scope"`
	Date      time.Time    `json:"date"` // GitHub's time of the last answer
	Pages     []Page       `json:"pages"`
	Unchanged bool         `json:"-"` // every page answered 304
}

// Secrets returns the list as one, in GitHub's order.
func (l Listing) Secrets() []Listed {
	var all []Listed
	for _, p := range l.Pages {
		all = append(all, p.Secrets...)
	}
	return all
}

// Observation is the list as a plan looks at it: by name, without those that the contract refuses.
func (l Listing) Observation() plan.Observation {
	o := plan.Observation{Date: l.Date, UpdatedAt: map[secret.Name]time.Time{}}
	for _, s := range l.Secrets() {
		if name, err := secret.ParseName(s.Name); err == nil {
			o.UpdatedAt[name] = s.UpdatedAt
		}
	}
	return o
}

const (
	// rereads is how often a list that changed between its pages is read again.
	rereads = 3
	// maxPages ends a chain of links that has no end; a store holds a few hundred secrets.
	maxPages = 200
)

// List lists the secrets of one scope: the whole list, or an error. With a known listing each page
// is asked for conditionally; unchanged pages cost no quota.
func (c *Client) List(ctx context.Context, repo Repository, scope secret.Scope, known *Listing) (Listing, error) {
	r, err := secretsRequest(http.MethodGet, c.current(repo), scope, "?per_page=100", "")
	if err != nil {
		return Listing{}, err
	}
	if known != nil && known.Scope != scope {
		known = nil
	}
	return c.list(ctx, r, scope, known)
}

// OrganizationSecrets lists the Actions secrets of the organisation that repo can see. A user's
// repository has none, which takes no asking. The listing's scope is Actions, in whose place these
// secrets stand.
func (c *Client) OrganizationSecrets(ctx context.Context, repo Repository, known *Listing) (Listing, error) {
	if repo.OwnerType == "User" {
		return Listing{Scope: secret.Actions, Date: c.Clock().GitHub(time.Now()).UTC()}, nil
	}
	repo = c.current(repo)
	return c.list(ctx, request{
		method:  http.MethodGet,
		route:   repositoryRoute + "/actions/organization-secrets",
		path:    repositoryPath(repo.Ref()) + "/actions/organization-secrets?per_page=100",
		repo:    repo.Ref(),
		project: repo.ID,
		subject: subject{
			what: "organisation secrets of " + repo.FullName(), permission: stores[0].Permission,
			scope: secret.Actions, missing: ErrStoreMissing,
		},
	}, secret.Actions, known)
}

// list reads pages until they are of one piece: a secret that comes or goes between two pages
// moves others across the border, and such a list shows them twice or not at all. Counting names
// finds most of it; when one comes and one goes the count stays, so a list of several pages is
// confirmed as well.
func (c *Client) list(ctx context.Context, first request, scope secret.Scope, known *Listing) (Listing, error) {
	for range 1 + rereads {
		l, err := c.readPages(ctx, first, known)
		if err != nil {
			return Listing{}, err
		}
		whole := l.whole()
		if whole && !l.Unchanged {
			if whole, err = c.confirmed(ctx, first, l.Pages); err != nil {
				return Listing{}, err
			}
		}
		if whole {
			l.Scope = scope
			c.log.DebugContext(ctx, "secrets listed", "scope", scope, "repository", first.repo, "count", len(l.Secrets()), "unchanged", l.Unchanged)
			return l, nil
		}
		known = nil // what is known may itself be what does not fit
	}
	return Listing{}, fault.New(fault.IntegrationUnavailable, fault.Context{
		"reason": fmt.Sprintf("partial listing: %s changed between its pages each of %d times it was read", first.subject.what, 1+rereads),
		"scope":  scope.String(),
	}).Hinting("Run again when nobody else is changing these secrets.")
}

func (c *Client) readPages(ctx context.Context, r request, known *Listing) (Listing, error) {
	l := Listing{Unchanged: true}
	for {
		old, had := known.page(l.Pages)
		r.etag = old.ETag
		a, err := c.read(ctx, r)
		if err != nil {
			return Listing{}, err
		}
		page := old
		if a.status != http.StatusNotModified || !had {
			l.Unchanged = false
			if page, err = c.pageOf(r, a); err != nil {
				return Listing{}, err
			}
		}
		l.Pages, l.Date = append(l.Pages, page), a.date()
		if page.Next == "" {
			return l, nil
		}
		if len(l.Pages) == maxPages {
			return Listing{}, fault.New(fault.IntegrationUnavailable, fault.Context{
				"reason": fmt.Sprintf("partial listing: %s has no end after %d pages", r.subject.what, maxPages),
			})
		}
		r.path = page.Next
	}
}

// page returns what is known of the page that follows those read so far. It must have had the same
// address: an ETag says nothing about another one.
func (l *Listing) page(read []Page) (Page, bool) {
	i := len(read)
	if l == nil || i >= len(l.Pages) || i > 0 && l.Pages[i-1].Next != read[i-1].Next {
		return Page{}, false
	}
	return l.Pages[i], l.Pages[i].ETag != ""
}

// confirmed asks for all pages but the last again, conditionally. When they have not changed since,
// all of them stood like this when the last one was read.
func (c *Client) confirmed(ctx context.Context, r request, read []Page) (bool, error) {
	for _, page := range read[:len(read)-1] {
		r.etag = page.ETag
		a, err := c.read(ctx, r)
		if err != nil {
			return false, err
		}
		if a.status != http.StatusNotModified {
			now, err := c.pageOf(r, a)
			if err != nil || now.Next != page.Next || !slices.Equal(now.Secrets, page.Secrets) {
				return false, err
			}
		}
		r.path = page.Next
	}
	return true, nil
}

func (c *Client) pageOf(r request, a answer) (Page, error) {
	var body struct {
		Total   *int     `json:"total_count"`
		Secrets []Listed `json:"secrets"`
	}
	if err := a.decode(&body); err != nil {
		return Page{}, err
	}
	if body.Total == nil {
		return Page{}, fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the answer is no list of secrets"}).
			Hinting("Check the API URL: it may lead to something else than GitHub.")
	}
	page := Page{ETag: a.header.Get("Etag"), Total: *body.Total, Secrets: body.Secrets}
	for i := range page.Secrets {
		page.Secrets[i].Name = strings.ToUpper(page.Secrets[i].Name)
	}
	if next := nextLink(a.header); next != "" {
		path, err := c.within(r.path, next)
		if err != nil {
			return Page{}, err
		}
		page.Next = path
	}
	return page, nil
}

// whole says whether the pages are of one piece: as many distinct names as each of them counted.
func (l Listing) whole() bool {
	names := map[string]bool{}
	for _, s := range l.Secrets() {
		if names[s.Name] {
			return false
		}
		names[s.Name] = true
	}
	for _, p := range l.Pages {
		if p.Total != len(names) {
			return false
		}
	}
	return true
}

// nextLink finds the URL with rel="next" in the Link headers. URLs stand in angle brackets, and
// may hold commas.
func nextLink(h http.Header) string {
	for _, line := range h["Link"] {
		for line != "" {
			_, rest, ok := strings.Cut(line, "<")
			target, rest, closed := strings.Cut(rest, ">")
			if !ok || !closed {
				break
			}
			params, following, _ := strings.Cut(rest, "<")
			for _, p := range strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ',' }) {
				if name, value, _ := strings.Cut(strings.TrimSpace(p), "="); name == "rel" && strings.Trim(value, `"`) == "next" {
					return target
				}
			}
			if following == "" {
				break
			}
			line = "<" + following
		}
	}
	return ""
}
