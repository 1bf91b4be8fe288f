package githubsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"time"
)

// An App describes a GitHub App.
type App struct {
	Slug        string
	ID          int64  // 0: a new one
	ClientID    string // empty: one is made up
	Owner       string // empty: octocat
	Permissions Permissions
	Key         *rsa.PrivateKey // nil: one is generated
}

// PrivateKeyPEM is the App's key in the form GitHub lets its owner download.
func (a App) PrivateKeyPEM() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(a.Key)})
}

type app struct {
	App
	owner   *account
	created time.Time
}

// AddApp adds an App and returns it with everything filled in that was left to GitHub.
func (g *GitHub) AddApp(a App) App {
	if a.Key == nil {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic("githubsim: " + err.Error()) // crypto/rand does not fail
		}
		a.Key = key
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if a.ID == 0 {
		a.ID = g.world.nextID()
	}
	if a.ClientID == "" {
		a.ClientID = "Iv23li" + randomText(14)
	}
	if a.Owner == "" {
		a.Owner = "octocat"
	}
	g.world.apps[a.ID] = &app{App: a, owner: g.world.account(a.Owner), created: g.clock.now()}
	return a
}

// An Installation describes an App's installation on an account.
type Installation struct {
	App          int64    // its id
	Account      string   // login
	Repositories []string // by full name; nil: all of the account's, also later ones

	// Permissions granted; nil: all the App asks for. An owner who has not accepted newer
	// ones grants fewer.
	Permissions Permissions
}

type installation struct {
	id           int64
	app          *app
	account      *account
	repositories map[int64]bool // nil: all of the account's
	permissions  Permissions
	created      time.Time
	suspended    time.Time // zero: not suspended
	world        *world
}

// Install installs an App and returns the installation's id.
func (g *GitHub) Install(i Installation) int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	w := g.world
	a := w.apps[i.App]
	if a == nil {
		panic(fmt.Sprintf("githubsim: no App %d", i.App))
	}
	made := &installation{
		id: w.nextID(), app: a, account: w.account(i.Account), created: g.clock.now(), world: w,
		permissions: maps.Clone(i.Permissions),
	}
	if i.Permissions == nil {
		made.permissions = maps.Clone(a.Permissions)
	}
	if made.permissions == nil {
		made.permissions = Permissions{}
	}
	made.permissions["metadata"] = "read"
	if i.Repositories != nil {
		made.repositories = make(map[int64]bool)
	}
	for _, full := range i.Repositories {
		made.repositories[w.repository(full).ID] = true
	}
	w.installations[made.id] = made
	return made.id
}

// SuspendInstallation suspends an installation, or lifts the suspension.
func (g *GitHub) SuspendInstallation(id int64, suspended bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := g.world.installation(id)
	i.suspended = time.Time{}
	if suspended {
		i.suspended = g.clock.now()
	}
}

// Uninstall removes an installation; its tokens die at once.
func (g *GitHub) Uninstall(id int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	gone := g.world.installation(id)
	delete(g.world.installations, id)
	maps.DeleteFunc(g.world.credentials, func(_ string, c *credential) bool { return c.installation == gone })
}

// installation returns an installation that a stage direction names.
func (w *world) installation(id int64) *installation {
	i := w.installations[id]
	if i == nil {
		panic(fmt.Sprintf("githubsim: no installation %d", id))
	}
	return i
}

// covers tells whether an installation reaches a repository. One that was transferred away
// is out of reach, whatever was selected.
func (i *installation) covers(repo *repository) bool {
	return i.account == repo.owner && (i.repositories == nil || i.repositories[repo.ID])
}

// size is the number of repositories an installation reaches.
func (i *installation) size() int {
	n := 0
	for _, repo := range i.world.repositories {
		if i.covers(repo) {
			n++
		}
	}
	return n
}

func (i *installation) selection() string {
	if i.repositories == nil {
		return "all"
	}
	return "selected"
}

// installationOn finds the App's installation that covers a repository.
func (w *world) installationOn(a *app, repo *repository) *installation {
	for _, i := range w.installations {
		if i.app == a && i.covers(repo) {
			return i
		}
	}
	return nil
}
