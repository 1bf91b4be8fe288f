package githubsim

import (
	"crypto/sha1"
	"encoding/hex"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
)

const (
	workflowFolder = ".github/workflows/"
	branchPrefix   = "refs/heads/"
	tagPrefix      = "refs/tags/"
)

// actions is what GitHub Actions has. GitHub.mu guards it.
type actions struct {
	signers  []signingKey
	requests map[string]tokenRequest // by the bearer of the job's request
	checkout map[int64]*checkout     // by repository id
	runs     []*run                  // oldest first
	crew     *crew                   // nil: there is no runner, jobs stay queued
	hook     *webhook                // nil: nobody is told
	changed  chan struct{}           // closed and replaced whenever a run moves on
}

func newActions() *actions {
	return &actions{
		requests: make(map[string]tokenRequest), checkout: make(map[int64]*checkout), changed: make(chan struct{}),
	}
}

// stir wakes everybody who waits for a run to move on.
func (a *actions) stir() {
	close(a.changed)
	a.changed = make(chan struct{})
}

// A checkout is what Actions knows of one repository.
type checkout struct {
	disabled bool
	files    map[string]*workflowFile // by path
	runs     int                      // runs there were
}

// A workflowFile is a file on the refs that have it.
type workflowFile struct {
	id       int64
	path     string
	disabled bool
	text     map[string]string // by ref in full
}

func (a *actions) of(repo *repository) *checkout {
	c := a.checkout[repo.ID]
	if c == nil {
		c = &checkout{files: make(map[string]*workflowFile)}
		a.checkout[repo.ID] = c
	}
	return c
}

// SetWorkflow commits a workflow file to the default branch, or to the branch or tag that follows
// its path, as in ".github/workflows/octoseal.yml@topic" or "...@refs/tags/v1". Any text can be
// committed; what GitHub thinks of it shows when it is to run.
func (g *GitHub) SetWorkflow(fullName, at, text string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	name, ref := repo.fileAt(at)
	files := g.actions.of(repo).files
	if files[name] == nil {
		files[name] = &workflowFile{id: g.world.nextID(), path: name, text: make(map[string]string)}
	}
	files[name].text[ref] = text
}

// RemoveWorkflow removes a workflow file from where SetWorkflow would put it.
func (g *GitHub) RemoveWorkflow(fullName, at string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	name, ref := repo.fileAt(at)
	delete(g.workflowFile(repo, name).text, ref)
}

// DisableWorkflow disables one workflow, or enables it again. GitHub itself disables scheduled
// workflows of public repositories in which nothing happened for 60 days.
func (g *GitHub) DisableWorkflow(fullName, name string, disabled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.workflowFile(g.world.repository(fullName), name).disabled = disabled
}

// DisableActions turns Actions off in a repository's settings, or on again.
func (g *GitHub) DisableActions(fullName string, disabled bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.actions.of(g.world.repository(fullName)).disabled = disabled
}

// workflowFile returns the file that a stage direction names.
func (g *GitHub) workflowFile(repo *repository, name string) *workflowFile {
	file := g.actions.of(repo).files[name]
	if file == nil {
		panic("githubsim: " + repo.FullName + " has no workflow " + name)
	}
	return file
}

// fileAt reads a path with or without a ref behind it.
func (repo *repository) fileAt(at string) (name, ref string) {
	name, ref, _ = strings.Cut(at, "@")
	folder, base := path.Split(name)
	if ext := path.Ext(base); folder != workflowFolder || ext != ".yml" && ext != ".yaml" {
		panic("githubsim: a workflow is a .yml file in " + workflowFolder + ", not " + name)
	}
	switch {
	case ref == "":
		ref = branchPrefix + repo.DefaultBranch
	case !strings.HasPrefix(ref, "refs/"):
		ref = branchPrefix + ref
	}
	return name, ref
}

// onDefaultBranch tells whether a file is where GitHub looks for workflows.
func (f *workflowFile) onDefaultBranch(repo *repository) bool {
	_, there := f.text[branchPrefix+repo.DefaultBranch]
	return there
}

// ref finds a branch or a tag by its name, short or in full. Those exist that have a workflow
// file, and the default branch.
func (g *GitHub) ref(repo *repository, name string) (string, bool) {
	known := map[string]bool{branchPrefix + repo.DefaultBranch: true}
	for _, file := range g.actions.of(repo).files {
		for ref := range file.text {
			known[ref] = true
		}
	}
	for _, ref := range []string{name, branchPrefix + name, tagPrefix + name} {
		if known[ref] {
			return ref, true
		}
	}
	return "", false
}

// shortRef is the name of a branch or a tag.
func shortRef(ref string) string {
	_, name, _ := strings.Cut(strings.TrimPrefix(ref, "refs/"), "/")
	return name
}

// head is the commit that a ref names: another one whenever a workflow file there changed.
func (g *GitHub) head(repo *repository, ref string) string {
	tree := []string{strconv.FormatInt(repo.ID, 10), ref}
	files := g.actions.of(repo).files
	for _, name := range slices.Sorted(maps.Keys(files)) {
		tree = append(tree, name, files[name].text[ref])
	}
	sum := sha1.Sum([]byte(strings.Join(tree, "\x00")))
	return hex.EncodeToString(sum[:])
}

func actionsRoutes() []route { return slices.Concat(oidcRoutes(), dispatchRoutes()) }
