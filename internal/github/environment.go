package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// An Environment is one as GitHub shows it.
type Environment struct {
	ID        int64            `json:"id"`
	Name      string           `json:"name"` // as GitHub spells it; it compares names without regard to case
	Rules     EnvironmentRules `json:"rules"`
	UpdatedAt time.Time        `json:"updatedAt"`
}

// EnvironmentRules are what protects an environment. Custom rules of Apps are no part of them.
type EnvironmentRules struct {
	WaitTimer         int             `json:"waitTimer"`           // minutes
	Reviewers         []Reviewer      `json:"reviewers,omitempty"` // one approval of any of them is enough
	PreventSelfReview bool            `json:"preventSelfReview"`
	Branches          BranchRule      `json:"branches"`
	Patterns          []BranchPattern `json:"patterns,omitempty"`     // of CustomBranches
	AdminsBypass      *bool           `json:"adminsBypass,omitempty"` // nil: the server does not tell, or it is not asked
}

// A Reviewer is a user or a team, or something newer that GitHub shows and takes from nobody.
type Reviewer struct {
	Type  string `json:"type"` // User, Team, or what GitHub calls it
	ID    int64  `json:"id"`
	Login string `json:"login,omitempty"` // a team's slug; not needed for writing
}

// known says whether GitHub takes reviewers of r's type.
func (r Reviewer) known() bool { return r.Type == "User" || r.Type == "Team" }

// A BranchRule says which branches and tags may deploy.
type BranchRule string

// The rules for branches. ProtectedBranches lets every branch deploy in a repository that protects
// none; CustomBranches without a pattern lets no branch deploy.
const (
	AnyBranch         BranchRule = "any"
	ProtectedBranches BranchRule = "protected"
	CustomBranches    BranchRule = "custom"
)

// A BranchPattern names branches or tags that may deploy. Its * does not cross a slash.
type BranchPattern struct {
	ID   int64  `json:"id,omitempty"` // zero for one that is wanted and was not seen
	Name string `json:"name"`
	Type string `json:"type"` // branch, which it is when empty, or tag
}

// same says whether p and o are one pattern, whatever their ids.
func (p BranchPattern) same(o BranchPattern) bool { return p.Name == o.Name && p.kind() == o.kind() }

func (p BranchPattern) kind() string {
	if p.Type == "" {
		return "branch"
	}
	return p.Type
}

// An EnvironmentList is all environments of a repository at one time. It is stored as JSON.
type EnvironmentList struct {
	Environments []Environment `json:"environments"`
	Date         time.Time     `json:"date"` // GitHub's time of the last answer
	Unchanged    bool          `json:"-"`    // every page answered 304

	// What the next look needs to be conditional: the pages of the list, and those of each
	// environment's patterns by its name.
	Pages        []SeenPage            `json:"pages"`
	PatternPages map[string][]SeenPage `json:"patternPages,omitempty"`
}

// Find returns the environment of that name, in whatever case. Letters beyond ASCII that fold into it,
// as ſ does to s, are no case of it: somebody's ſtaging must not pass for staging.
func (l EnvironmentList) Find(name string) (Environment, bool) {
	for _, e := range l.Environments {
		if len(e.Name) == len(name) && strings.EqualFold(e.Name, name) {
			return e, true
		}
	}
	return Environment{}, false
}

// patternsOf is what the list knows of an environment's patterns.
func (l *EnvironmentList) patternsOf(name string) *sheets[BranchPattern] {
	e, found := l.Find(name)
	if !found || l.PatternPages[name] == nil {
		return nil
	}
	return &sheets[BranchPattern]{items: e.Rules.Patterns, pages: l.PatternPages[name]}
}

// Environments lists all environments of repo, each with its rules and patterns. With a known list
// every question is conditional; an unchanged list costs no quota. Where the plan has no
// environments the answer is a fault that is ErrPlan.
func (c *Client) Environments(ctx context.Context, repo Repository, known *EnvironmentList) (EnvironmentList, error) {
	repo = c.current(repo)
	for range 1 + rereads {
		list, err := c.readEnvironments(ctx, repo, known)
		switch {
		case errors.Is(err, errListMoved):
			known = nil
			continue
		case err != nil:
			return EnvironmentList{}, c.withoutEnvironments(ctx, repo, err)
		}
		c.log.DebugContext(ctx, "environments listed", "repository", repo.FullName(), "count", len(list.Environments), "unchanged", list.Unchanged)
		return list, nil
	}
	return EnvironmentList{}, fault.New(fault.IntegrationUnavailable, fault.Context{
		"reason": fmt.Sprintf("partial listing: the environments of %s changed each of %d times they were read", repo.FullName(), 1+rereads),
	}).Hinting("Run again when nobody else is changing these environments.")
}

// readEnvironments asks for the list and, in the same breath, for the patterns of the environments
// that had some when they were last seen.
func (c *Client) readEnvironments(ctx context.Context, repo Repository, known *EnvironmentList) (EnvironmentList, error) {
	var before *sheets[Environment]
	patterns := patternReader{client: c, repo: repo, known: known, read: map[string]patternsRead{}}
	if known != nil {
		before = &sheets[Environment]{items: known.Environments, pages: known.Pages}
		for name := range known.PatternPages {
			patterns.begin(ctx, name)
		}
	}
	list, err := c.environmentPager(repo).read(ctx, before)
	if err != nil {
		patterns.end()
		return EnvironmentList{}, err
	}
	for _, e := range list.items {
		if e.Rules.Branches == CustomBranches && (known == nil || known.PatternPages[e.Name] == nil) {
			patterns.begin(ctx, e.Name)
		}
	}
	return patterns.end().assemble(list)
}

// A patternReader reads the patterns of several environments side by side.
type patternReader struct {
	client *Client
	repo   Repository
	known  *EnvironmentList
	all    sync.WaitGroup
	mu     sync.Mutex
	read   map[string]patternsRead
}

type patternsRead struct {
	sheets[BranchPattern]
	err error
}

func (p *patternReader) begin(ctx context.Context, name string) {
	p.all.Go(func() {
		var before *sheets[BranchPattern]
		if p.known != nil {
			before = p.known.patternsOf(name)
		}
		read, err := p.client.patternPager(p.repo, name).read(ctx, before)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.read[name] = patternsRead{read, err}
	})
}

func (p *patternReader) end() *patternReader {
	p.all.Wait()
	return p
}

// assemble puts the patterns into the environments they belong to. Those of an environment that has
// other rules by now are of no account.
func (p *patternReader) assemble(read sheets[Environment]) (EnvironmentList, error) {
	list := EnvironmentList{
		Environments: slices.Clone(read.items), Pages: read.pages, Date: read.date, Unchanged: read.unchanged, PatternPages: map[string][]SeenPage{},
	}
	for i := range list.Environments {
		e := &list.Environments[i]
		e.Rules.Patterns = nil
		if e.Rules.Branches != CustomBranches {
			continue
		}
		patterns := p.read[e.Name]
		switch {
		case fault.Is(patterns.err, fault.ResourceNotFound):
			return EnvironmentList{}, errListMoved // it was deleted in between
		case patterns.err != nil:
			return EnvironmentList{}, patterns.err
		}
		e.Rules.Patterns, list.PatternPages[e.Name] = patterns.items, patterns.pages
		list.Unchanged = list.Unchanged && patterns.unchanged
		if patterns.date.After(list.Date) {
			list.Date = patterns.date
		}
	}
	return list, nil
}

// Environment looks at one environment. One that is not there is not found, which is no error.
func (c *Client) Environment(ctx context.Context, repo Repository, name string) (e Environment, found bool, err error) {
	e, found, err = c.rulesOf(ctx, repo, name)
	if err != nil || !found || e.Rules.Branches != CustomBranches {
		return e, found, err
	}
	patterns, err := c.patternPager(c.current(repo), name).read(ctx, nil)
	e.Rules.Patterns = patterns.items
	return e, true, err
}

// rulesOf is Environment without the patterns, which are a list of their own.
func (c *Client) rulesOf(ctx context.Context, repo Repository, name string) (e Environment, found bool, err error) {
	r, err := environmentRequest(http.MethodGet, c.current(repo), name, "", "")
	if err != nil {
		return Environment{}, false, err
	}
	r.subject.absentOK = true
	a, err := c.read(ctx, r)
	if err != nil || a.status == http.StatusNotFound {
		return Environment{}, false, err
	}
	e, err = environmentIn(a)
	return e, err == nil, err
}

func (c *Client) environmentPager(repo Repository) pager[Environment] {
	return pager[Environment]{
		client: c, decode: environmentsIn, id: func(e Environment) int64 { return e.ID },
		first: request{
			method: http.MethodGet, route: repositoryRoute + "/environments",
			path: repositoryPath(repo.Ref()) + "/environments?per_page=100", repo: repo.Ref(), project: repo.ID,
			subject: subject{what: "environments of " + repo.FullName(), permission: actions},
		},
	}
}

func (c *Client) patternPager(repo Repository, name string) pager[BranchPattern] {
	r, err := environmentRequest(http.MethodGet, repo, name, policies+"?per_page=100", policies)
	return pager[BranchPattern]{client: c, first: r, refused: err, decode: patternsIn, id: func(p BranchPattern) int64 { return p.ID }}
}

const policies = "/deployment-branch-policies"

// environmentRequest starts a request about the environment of that name. Tail is what follows it,
// already escaped; route is the same with its parameters left out.
func environmentRequest(method string, repo Repository, name, tail, route string) (request, error) {
	if _, err := secret.Environment(name); err != nil {
		return request{}, fault.Invalid("%s", err)
	}
	permission := actions
	if method != http.MethodGet {
		permission = administration
	}
	return request{
		method:  method,
		route:   repositoryRoute + "/environments/{environment}" + route,
		path:    repositoryPath(repo.Ref()) + "/environments/" + url.PathEscape(name) + tail,
		repo:    repo.Ref(),
		project: repo.ID,
		subject: subject{
			what:        "environment " + name + " of " + repo.FullName(),
			permission:  permission,
			write:       method != http.MethodGet,
			environment: name,
		},
	}, nil
}
