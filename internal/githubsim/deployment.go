package githubsim

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"slices"
	"strings"
	"time"
)

// productionName is the environment that a deployment is for if it does not say, and the one
// that is taken to be used by people.
const productionName = "production"

// A Deployment describes a deployment.
type Deployment struct {
	ID          int64  // 0 in Deploy: a new one
	Environment string // empty: production
	Ref         string // empty: the default branch
	SHA         string // empty: one is made up
	Task        string // empty: deploy
	Creator     string // login; empty in Deploy: octocat; empty otherwise: an App
	Description string
	Transient   bool // the environment will be gone one day
	Production  bool // people use it; always so if the environment is called production
	CreatedAt   time.Time

	// States are those it went through, oldest first. The last is in force; without any the
	// deployment is pending.
	States []DeploymentState
}

// A DeploymentState is the state of a deployment.
type DeploymentState string

// The states. Waiting is missing in GitHub's description: protection rules hold the job.
const (
	DeploymentWaiting    DeploymentState = "waiting"
	DeploymentQueued     DeploymentState = "queued"
	DeploymentPending    DeploymentState = "pending"
	DeploymentInProgress DeploymentState = "in_progress"
	DeploymentSuccess    DeploymentState = "success"
	DeploymentFailure    DeploymentState = "failure"
	DeploymentError      DeploymentState = "error"
	DeploymentInactive   DeploymentState = "inactive"
)

type deployment struct {
	Deployment // but Creator and States; Environment is as the newest status that names one has it

	repo     *repository
	original string   // the environment at first
	creator  *account // nil: an App
	updated  time.Time
	payload  any                 // an object or a string
	statuses []*deploymentStatus // oldest first
}

type deploymentStatus struct {
	id             int64
	state          DeploymentState
	creator        *account
	description    string
	environment    string // empty: as it was
	logURL         string
	environmentURL string
	created        time.Time
	sparing        bool // a success that leaves earlier ones alone
}

// Deploy adds a deployment, as a workflow's job or another client does, and returns its id.
func (g *GitHub) Deploy(fullName string, d Deployment) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := g.clock.now()
	if d.CreatedAt.IsZero() {
		d.CreatedAt = now
	}
	repo, creator, states := g.world.repository(fullName), g.world.account(cmp.Or(d.Creator, "octocat")), d.States
	d.Environment = cmp.Or(d.Environment, productionName)
	d.Production = d.Production || d.Environment == productionName
	made := g.world.deploy(repo, d)
	made.creator = creator
	for _, state := range states {
		g.world.advance(made, &deploymentStatus{state: state, creator: made.creator, created: d.CreatedAt})
	}
	return made.ID
}

// SetDeploymentState gives a deployment a new state.
func (g *GitHub) SetDeploymentState(fullName string, id int64, state DeploymentState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	d := repo.deployment(id)
	if d == nil {
		panic("githubsim: " + fullName + " has no such deployment")
	}
	g.world.advance(d, &deploymentStatus{state: state, creator: d.creator, created: g.clock.now()})
}

// Deployments returns the deployments of a repository, newest first.
func (g *GitHub) Deployments(fullName string) []Deployment {
	g.mu.Lock()
	defer g.mu.Unlock()
	repo := g.world.repository(fullName)
	g.world.release(repo, g.clock.now())
	var out []Deployment
	for _, d := range repo.newest() {
		shown := d.Deployment
		if d.creator != nil {
			shown.Creator = d.creator.login
		}
		for _, s := range d.statuses {
			shown.States = append(shown.States, s.state)
		}
		out = append(out, shown)
	}
	return out
}

// deploy adds a deployment without a status. It does not make the environment: that is what
// jobs do.
func (w *world) deploy(repo *repository, d Deployment) *deployment {
	d.ID = cmp.Or(d.ID, w.nextID())
	d.Ref = cmp.Or(d.Ref, repo.DefaultBranch)
	d.SHA = cmp.Or(d.SHA, randomSHA())
	d.Task = cmp.Or(d.Task, "deploy")
	d.CreatedAt = seconds(d.CreatedAt)
	d.Creator, d.States = "", nil
	made := &deployment{Deployment: d, repo: repo, original: d.Environment, updated: d.CreatedAt, payload: map[string]any{}}
	repo.deployments = append(repo.deployments, made)
	return made
}

func randomSHA() string {
	b := make([]byte, 20)
	rand.Read(b)
	return hex.EncodeToString(b)
}

// advance gives a deployment another status. A success makes earlier ones inactive.
func (w *world) advance(d *deployment, s *deploymentStatus) {
	s.id = w.nextID()
	s.created = seconds(s.created)
	d.Environment = cmp.Or(s.environment, d.Environment)
	s.environment = d.Environment
	d.statuses = append(d.statuses, s)
	d.updated = s.created
	if s.state == DeploymentSuccess && !s.sparing {
		w.retire(d, s)
	}
}

// retire makes the earlier successful deployments of an environment inactive, but those that
// people use and those whose environment goes away by itself.
func (w *world) retire(by *deployment, s *deploymentStatus) {
	for _, d := range by.repo.deployments {
		if d == by || d.Production || d.Transient || !strings.EqualFold(d.Environment, by.Environment) || d.state() != DeploymentSuccess {
			continue
		}
		w.advance(d, &deploymentStatus{state: DeploymentInactive, creator: s.creator, created: s.created})
	}
}

// state is the one in force; empty if nobody has told yet.
func (d *deployment) state() DeploymentState {
	if len(d.statuses) == 0 {
		return ""
	}
	return d.statuses[len(d.statuses)-1].state
}

// deployment finds a deployment; nil if there is none.
func (repo *repository) deployment(id int64) *deployment {
	for _, d := range repo.deployments {
		if d.ID == id {
			return d
		}
	}
	return nil
}

// newest is the order of the list of deployments.
func (repo *repository) newest() []*deployment {
	return slices.SortedFunc(slices.Values(repo.deployments), func(a, b *deployment) int {
		return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID))
	})
}
