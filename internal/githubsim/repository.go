package githubsim

import (
	"slices"
	"strings"
	"time"
)

// A Repository describes a repository.
type Repository struct {
	FullName      string // "owner/name"; an owner nobody knows becomes an organisation of octocat's
	ID            int64  // 0: a new one
	Private       bool
	Archived      bool
	DefaultBranch string // empty: main

	Plan Plan // zero: Enterprise

	// Without names the scopes whose store the repository does not have, because of its
	// plan: all calls to them answer 404.
	Without []string

	// ImmutableSubject says that ID tokens name owner and repository with their numbers, as
	// GitHub does for repositories made after July 2026 and for those renamed since.
	ImmutableSubject bool
}

type repository struct {
	Repository
	name          string
	owner         *account
	created       time.Time
	updated       time.Time
	collaborators map[int64]Role
	environments  map[string]*environment // by lower-case name
	stores        map[string]*store       // by scope, but those of environments
	deployments   []*deployment           // in the order they were made in
	held          map[int64]*heldJob      // by workflow run
}

// AddRepository adds a repository and returns its id. Under a former name of another
// repository it ends that one's redirect.
func (g *GitHub) AddRepository(r Repository) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	w, now := g.world, g.clock.now()
	if r.ID == 0 {
		r.ID = w.nextID()
	}
	if r.DefaultBranch == "" {
		r.DefaultBranch = "main"
	}
	made := &repository{
		Repository:    r,
		created:       now,
		updated:       now,
		collaborators: make(map[int64]Role),
		environments:  make(map[string]*environment),
		stores:        make(map[string]*store),
		held:          make(map[int64]*heldJob),
	}
	for _, k := range storeKinds {
		if k.scope != environmentScope {
			made.stores[k.scope] = newStore()
		}
	}
	w.repositories[r.ID] = made
	w.name(made, r.FullName, now)
	return r.ID
}

// ChangeRepository lets change edit a repository. A new FullName renames it, or transfers
// it when the owner differs; the old name redirects from then on. The ID stays.
func (g *GitHub) ChangeRepository(fullName string, change func(*Repository)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.world
	repo := w.repository(fullName)
	before := repo.Repository
	change(&repo.Repository)
	repo.ID = before.ID
	repo.updated = g.clock.now()
	if after := repo.FullName; after != before.FullName {
		repo.FullName = before.FullName
		repo.ImmutableSubject = repo.ImmutableSubject || g.config.Enterprise == ""
		delete(w.named, strings.ToLower(before.FullName))
		w.moved[strings.ToLower(before.FullName)] = repo
		w.name(repo, after, repo.updated)
	}
}

// DeleteRepository deletes a repository with all that is in it. A repository added later
// under its name is another one, with another id.
func (g *GitHub) DeleteRepository(fullName string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.world
	gone := w.repository(fullName)
	delete(w.repositories, gone.ID)
	delete(w.named, strings.ToLower(gone.FullName))
	for former, repo := range w.moved {
		if repo == gone {
			delete(w.moved, former)
		}
	}
}

// name puts a repository under a name, and its owner in charge.
func (w *world) name(repo *repository, fullName string, now time.Time) {
	login, name, isFull := strings.Cut(fullName, "/")
	if !isFull || login == "" || name == "" || strings.Contains(name, "/") {
		panic("githubsim: a repository is named owner/name, not " + fullName)
	}
	owner := w.accounts[strings.ToLower(login)]
	if owner == nil {
		owner = w.addAccount(login, orgAccount, now)
		owner.owners[w.account("octocat").id] = true
	}
	repo.FullName, repo.name, repo.owner = owner.login+"/"+name, name, owner
	key := strings.ToLower(fullName)
	if w.named[key] != nil {
		panic("githubsim: there is a repository " + fullName + " already")
	}
	w.named[key] = repo
	delete(w.moved, key)
}

// repository returns a repository that a stage direction names.
func (w *world) repository(fullName string) *repository {
	repo := w.named[strings.ToLower(fullName)]
	if repo == nil {
		panic("githubsim: no repository " + fullName)
	}
	return repo
}

// has tells whether the repository's plan includes the store of a scope.
func (repo *repository) has(scope string) bool { return !slices.Contains(repo.Without, scope) }
