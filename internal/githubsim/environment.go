package githubsim

import "strings"

// An environment of a repository, with a store of its own.
type environment struct {
	id      int64
	name    string
	secrets *store
}

// AddEnvironment adds an environment without protection rules and returns its id.
func (g *GitHub) AddEnvironment(fullName, name string) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	if repo.environments[strings.ToLower(name)] != nil {
		panic("githubsim: " + fullName + " has an environment " + name + " already")
	}
	e := &environment{id: g.world.nextID(), name: name, secrets: newStore()}
	repo.environments[strings.ToLower(name)] = e
	return e.id
}
