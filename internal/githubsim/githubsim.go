// Package githubsim is a GitHub that lives in memory: an http.Handler for tests, for the
// demo, and for trying things out without touching anybody's repository.
//
// It exists because a secret cannot be read back. The only proof that a client sealed the
// right bytes for the right store is to open the box with that store's private key, so the
// simulator holds a key pair per store, opens every box it is sent, and tells the plaintext
// to whoever asks (Value). The rest of it is the manners, good and bad, that decide whether
// a client survives outside: names come back in upper case, times have whole seconds, a
// renamed repository answers 307 to a write, a missing permission is 403 but an invisible
// repository is 404, a secondary limit refuses without saying for how long, and a write may
// be answered with 502 after it was done.
//
// A GitHub is made with New and served by anything that serves a handler. Three kinds of
// methods work on it while it runs:
//
//   - those that set the stage (AddRepository, AddToken, SetSecret, ...) act at once, cost
//     nothing and are not subject to limits or list lag: they are GitHub's web pages, and so
//     also the way to edit a secret behind a client's back;
//   - those that set the weather (SetFaults, SetLimits, SetQuota, Advance, Freeze) say how
//     badly the service behaves from now on;
//   - those that look inside (Value, Secrets, Requests, Counts) report what really happened.
//
// Stage directions that cannot be followed (a repository that does not exist) panic: they
// are mistakes of the test, not answers of the service. All methods are safe to call at any
// time, also from the hooks OnRequest and OnAnswer.
//
// Stores are addressed by scope: "actions", "codespaces", "dependabot", "agents", or
// "environment:NAME". Values stay in this process's memory and are written nowhere.
//
// GitHub Actions is there too: workflow files (SetWorkflow), dispatches, a runner that carries
// out their jobs as processes of this machine (SetRunner), and the issuer of the ID tokens that
// jobs prove themselves with. A job is given secrets as GitHub gives them, so what it does with
// them can be watched. Close ends jobs that still run.
package githubsim

import (
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Config says which GitHub to simulate. The zero Config is github.com as it is now.
type Config struct {
	// Now is the time the simulator starts from; nil means time.Now. Advance and Freeze
	// work on top of it.
	Now func() time.Time

	// Enterprise is the version of an Enterprise Server, such as "3.19.1"; empty means
	// github.com. A server answers under /api/v3, has no Codespaces, no Agents and no
	// /versions, has its rate limits switched off, and sends key_id as a number.
	Enterprise string
}

// A GitHub is one simulated service. Use New to make one.
type GitHub struct {
	config   Config
	clock    *clock
	limiter  *limiter
	faults   *faultPlayer
	requests *requestLog

	mu    sync.Mutex // guards world; held while a request takes effect
	world *world

	actions *actions
}

// New returns a GitHub without repositories. One account exists: the user "octocat", who
// owns every organisation that AddRepository makes.
func New(config Config) *GitHub {
	if config.Now == nil {
		config.Now = time.Now
	}
	g := &GitHub{
		config:   config,
		clock:    &clock{base: config.Now},
		limiter:  newLimiter(),
		faults:   &faultPlayer{},
		requests: &requestLog{},
		actions:  newActions(),
	}
	g.world = newWorld(g.clock.now())
	return g
}

// Prefix is the path under which the API answers: empty, or /api/v3 on Enterprise Server.
func (g *GitHub) Prefix() string {
	if g.config.Enterprise != "" {
		return "/api/v3"
	}
	return ""
}

// Now is the time on GitHub's clock, which dates every answer and every secret.
func (g *GitHub) Now() time.Time { return g.clock.now() }

// Advance moves GitHub's clock by d for good, backwards too. It serves to let tokens
// expire and limits pass, and to make GitHub's clock wrong against the client's.
func (g *GitHub) Advance(d time.Duration) { g.clock.advance(d) }

// Freeze stops GitHub's clock until Thaw; Advance still moves it.
func (g *GitHub) Freeze() { g.clock.freeze() }

// Thaw lets a frozen clock run on from where it stands.
func (g *GitHub) Thaw() { g.clock.thaw() }

// A world is everything GitHub stores. Its methods are called with GitHub.mu held.
type world struct {
	lastID        int64
	repositories  map[int64]*repository
	named         map[string]*repository // by lower-case full name
	moved         map[string]*repository // by lower-case former full name
	accounts      map[string]*account    // by lower-case login
	accountsByID  map[int64]*account
	credentials   map[string]*credential // by token
	apps          map[int64]*app
	installations map[int64]*installation
	quotas        map[string]*quota // by bucket
	preset        *quota            // what buckets not seen yet start with, see SetQuota
}

func newWorld(now time.Time) *world {
	w := &world{
		// GitHub's ids outgrew 32 bits; a client that stores them smaller must notice here.
		lastID:        1 << 33,
		repositories:  make(map[int64]*repository),
		named:         make(map[string]*repository),
		moved:         make(map[string]*repository),
		accounts:      make(map[string]*account),
		accountsByID:  make(map[int64]*account),
		credentials:   make(map[string]*credential),
		apps:          make(map[int64]*app),
		installations: make(map[int64]*installation),
		quotas:        make(map[string]*quota),
	}
	w.addAccount("octocat", userAccount, now)
	return w
}

// nextID gives every thing an id of its own, so that an id used for the wrong kind of
// thing finds nothing rather than something else.
func (w *world) nextID() int64 {
	w.lastID += 97
	return w.lastID
}

// ServeHTTP answers one request as GitHub would, with the faults and limits that are set.
func (g *GitHub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{GitHub: g, w: w, r: r}
	if strings.HasPrefix(r.URL.Path, tokenService+"/") {
		x.runTokenService()
		return
	}
	x.run()
}
