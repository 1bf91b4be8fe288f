package githubsim

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// An Environment is an environment with its protection rules, as an administrator sees it on
// GitHub's pages. A rule that is at its zero value is not there.
type Environment struct {
	ID   int64  // stays
	Name string // stays

	WaitTimer         int // minutes
	Reviewers         []Reviewer
	PreventSelfReview bool
	Branches          BranchRule
	Patterns          []BranchPattern // kept, but without effect unless Branches is CustomBranches
	AdminsBypass      bool            // true in a new environment

	Apps       []int64  // ids of the Apps whose custom rule is on
	OtherRules []string // types of rules that nobody has heard of yet
}

// A Reviewer is one of those who may approve. Types other than these two exist; a client can
// meet them, and cannot set them.
type Reviewer struct {
	Type string
	ID   int64
}

// The types of reviewers that a request can name.
const (
	UserReviewer = "User"
	TeamReviewer = "Team"
)

// A BranchRule says which refs may deploy.
type BranchRule string

// The branch rules.
const (
	AnyBranch         BranchRule = ""
	ProtectedBranches BranchRule = "protected"
	CustomBranches    BranchRule = "custom" // those that a pattern names
)

// A BranchPattern names refs that may deploy.
type BranchPattern struct {
	ID   int64 // 0 in ChangeEnvironment: a new one
	Name string
	Type string // "branch" or "tag"; empty in ChangeEnvironment: branch
}

// An environment of a repository, with a store of its own.
type environment struct {
	Environment
	created time.Time
	updated time.Time
	secrets *store
	rules   map[string]int64 // ids of the rules in force, by type
}

// AddEnvironment adds an environment without protection rules and returns its id.
func (g *GitHub) AddEnvironment(fullName, name string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	if repo.environment(name) != nil {
		panic("githubsim: " + fullName + " has an environment " + name + " already")
	}
	return g.world.useEnvironment(repo, name, g.clock.now()).ID
}

// UseEnvironment is what a job does that names an environment: one that does not exist comes
// into being, with no rules and no secrets. It returns the environment's id.
func (g *GitHub) UseEnvironment(fullName, name string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.world.useEnvironment(g.world.repository(fullName), name, g.clock.now()).ID
}

// ChangeEnvironment lets change edit an environment as a person does on GitHub's pages, which
// ask neither for a plan nor for the access of reviewers who were chosen before.
func (g *GitHub) ChangeEnvironment(fullName, name string, change func(*Environment)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	e := repo.named(name)
	after := e.copy()
	change(&after)
	after.ID, after.Name = e.ID, e.Name
	for _, r := range after.Reviewers {
		if r.Type == UserReviewer && g.world.accountsByID[r.ID] == nil || r.Type == TeamReviewer && repo.team(r.ID) == nil {
			panic(fmt.Sprintf("githubsim: no %s %d to review %s", r.Type, r.ID, name))
		}
	}
	for _, id := range after.Apps {
		if g.world.apps[id] == nil {
			panic(fmt.Sprintf("githubsim: no App %d", id))
		}
	}
	for i, p := range after.Patterns {
		after.Patterns[i].Type = cmp.Or(p.Type, "branch")
		if p.ID == 0 {
			after.Patterns[i].ID = g.world.nextID()
		}
	}
	e.Environment = after
	g.world.changed(e, g.clock.now())
}

// DeleteEnvironment deletes an environment with all that is in it.
func (g *GitHub) DeleteEnvironment(fullName, name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	g.world.removeEnvironment(repo, repo.named(name), g.clock.now())
}

// Environment returns an environment as it is, and whether it exists.
func (g *GitHub) Environment(fullName, name string) (Environment, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	e := g.world.repository(fullName).environment(name)
	if e == nil {
		return Environment{}, false
	}
	return e.copy(), true
}

// Environments returns the environments of a repository, the oldest first.
func (g *GitHub) Environments(fullName string) []Environment {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []Environment
	for _, e := range g.world.repository(fullName).byAge() {
		out = append(out, e.copy())
	}
	return out
}

func (e *environment) copy() Environment {
	out := e.Environment
	out.Reviewers = slices.Clone(e.Reviewers)
	out.Patterns = slices.Clone(e.Patterns)
	out.Apps = slices.Clone(e.Apps)
	out.OtherRules = slices.Clone(e.OtherRules)
	return out
}

// environment finds an environment, whatever the case of its name; nil if there is none.
func (repo *repository) environment(name string) *environment {
	return repo.environments[strings.ToLower(name)]
}

// named returns an environment that a stage direction names.
func (repo *repository) named(name string) *environment {
	e := repo.environment(name)
	if e == nil {
		panic("githubsim: " + repo.FullName + " has no environment " + name)
	}
	return e
}

// byAge is the order of the list of environments.
func (repo *repository) byAge() []*environment {
	return slices.SortedFunc(maps.Values(repo.environments), func(a, b *environment) int { return cmp.Compare(a.ID, b.ID) })
}

// team finds a team of the repository's organisation; nil if it has none of that id.
func (repo *repository) team(id int64) *team {
	for _, t := range repo.owner.teams {
		if t.id == id {
			return t
		}
	}
	return nil
}

// useEnvironment finds an environment, or makes it without any protection.
func (w *world) useEnvironment(repo *repository, name string, now time.Time) *environment {
	if e := repo.environment(name); e != nil {
		return e
	}
	e := &environment{
		Environment: Environment{ID: w.nextID(), Name: name, AdminsBypass: true},
		created:     now, updated: now,
		secrets: newStore(),
		rules:   make(map[string]int64),
	}
	repo.environments[strings.ToLower(name)] = e
	return e
}

// removeEnvironment fails the jobs that wait for it, too.
func (w *world) removeEnvironment(repo *repository, e *environment, now time.Time) {
	delete(repo.environments, strings.ToLower(e.Name))
	for _, job := range repo.held {
		if job.environment == e {
			w.end(job, DeploymentFailure, now)
		}
	}
}

// The types of rules, as they stand in protection_rules.
const (
	waitTimerRule = "wait_timer"
	reviewersRule = "required_reviewers"
	branchRule    = "branch_policy"
)

// ruleTypes are the rules in force, in the order they are shown in.
func (e *environment) ruleTypes() []string {
	var out []string
	add := func(there bool, kind string) {
		if there {
			out = append(out, kind)
		}
	}
	add(e.WaitTimer > 0, waitTimerRule)
	add(len(e.Reviewers) > 0, reviewersRule)
	add(e.Branches != AnyBranch, branchRule)
	return append(out, e.OtherRules...)
}

// appRule is under which a custom rule's id is kept.
func appRule(app int64) string { return fmt.Sprintf("app:%d", app) }

// changed dates an environment whose rules were edited, and gives new rules their ids. With
// the last reviewer goes the rule, and all that is part of it.
func (w *world) changed(e *environment, now time.Time) {
	e.updated = now
	if len(e.Reviewers) == 0 {
		e.PreventSelfReview = false
	}
	kinds := e.ruleTypes()
	for _, app := range e.Apps {
		kinds = append(kinds, appRule(app))
	}
	maps.DeleteFunc(e.rules, func(kind string, _ int64) bool { return !slices.Contains(kinds, kind) })
	for _, kind := range kinds {
		if e.rules[kind] == 0 {
			e.rules[kind] = w.nextID()
		}
	}
}
