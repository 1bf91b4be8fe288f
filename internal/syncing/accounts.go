package syncing

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
)

// ledger is where limits are kept for all processes that use a credential.
type ledger interface {
	SaveLimit(ctx context.Context, now time.Time, l store.Limit) error
	LimitsSince(ctx context.Context, since time.Time) ([]store.Limit, error)
}

// The resources under which limits are stored.
const (
	resourceCore      = "core"
	resourceSecondary = "secondary"
)

const (
	// pauseAge is how old what this process knows of others' pauses may be when it sends something.
	pauseAge = time.Second
	// quotaAge is how often what is left of a quota is stored, at most.
	quotaAge = time.Minute
)

// Accounts has a client for each account, and tells its credential's limits to the other processes
// that use it: a pause is stored when it begins and read by all before they send the next thing;
// what is left of the quota is stored behind, once a minute at most. Nothing is lost with it.
type Accounts struct {
	github *github.Accounts
	ledger ledger
	now    func() time.Time
	log    *slog.Logger

	mu     sync.Mutex
	heeded time.Time // when others' pauses were read
	notes  map[*github.Client]*note
	saving sync.WaitGroup // pauses on their way to the database
}

// A note is what is known of a credential here.
type note struct {
	fresh bool          // the client was made since others' pauses were read
	saved github.Quota  // as stored last
	poll  time.Duration // the polling interval in force; zero: nothing is polled
	usual time.Duration // the one it would be if there were fewer projects
}

// NewAccounts returns the clients that cfg describes. cfg.OnPause is not used.
func NewAccounts(cfg github.Config, l ledger, now func() time.Time) (*Accounts, error) {
	a := &Accounts{ledger: l, now: now, log: cfg.Log, notes: map[*github.Client]*note{}}
	if a.now == nil {
		a.now = time.Now
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	cfg.OnPause = nil
	var err error
	a.github, err = github.NewAccounts(cfg, a.adopt)
	return a, err
}

// adopt sees to a new client's pauses being stored.
func (a *Accounts) adopt(c *github.Client) {
	credential := c.Credential().Fingerprint()
	a.mu.Lock()
	a.notes[c] = &note{fresh: true}
	a.mu.Unlock()
	c.Governor().OnPause(func(p github.Pause) {
		a.saving.Go(func() { a.savePause(credential, p) })
	})
}

func (a *Accounts) savePause(credential string, p github.Pause) {
	ctx, stop := context.WithTimeout(context.Background(), endingTime)
	defer stop()
	l := store.Limit{Credential: credential, Resource: resourceSecondary, CheckedAt: a.now(), PausedUntil: p.Until, Why: p.Why}
	if p.Quota {
		l.Resource = resourceCore
	}
	if err := a.ledger.SaveLimit(ctx, a.now(), l); err != nil { // it holds in this process all the same
		a.log.WarnContext(ctx, "pause not stored", "credential", credential, "cause", err)
	}
}

// Client returns the client for the repositories of owner, which knows of every pause that another
// process was told of until a second ago. A database that does not answer holds nobody up: GitHub
// says itself that it wants quiet.
func (a *Accounts) Client(ctx context.Context, owner string) *github.Client {
	c := a.github.Client(owner)
	a.mu.Lock()
	now := a.now()
	stale := now.Sub(a.heeded) >= pauseAge || a.notes[c].fresh
	a.notes[c].fresh = false
	if stale {
		a.heeded = now
	}
	a.mu.Unlock()
	if stale {
		a.heed(ctx, now)
	}
	return c
}

// heed puts the pauses in force that other processes were told of.
func (a *Accounts) heed(ctx context.Context, now time.Time) {
	limits, err := a.ledger.LimitsSince(ctx, now)
	if err != nil {
		a.log.WarnContext(ctx, "pauses of other processes not read", "cause", err)
		return
	}
	if len(limits) == 0 {
		return
	}
	clients := map[string]*github.Client{}
	for _, c := range a.All() {
		clients[c.Credential().Fingerprint()] = c
	}
	for _, l := range limits {
		if c, ok := clients[l.Credential]; ok && l.PausedUntil.After(now) {
			c.Governor().Restore(github.Pause{Until: l.PausedUntil, Why: l.Why, Quota: l.Resource == resourceCore})
		}
	}
}

// All returns the clients in use, in no order.
func (a *Accounts) All() []*github.Client { return a.github.All() }

// SetShare divides every credential's limits by the number of processes at work.
func (a *Accounts) SetShare(replicas int) { a.github.SetShare(replicas) }

// SaveQuotas stores what is left of each credential's quota, if that is known, has changed and was
// not stored within the minute.
func (a *Accounts) SaveQuotas(ctx context.Context) error {
	for _, c := range a.All() {
		q, now := c.Quota(), a.now()
		a.mu.Lock()
		n := a.notes[c]
		due := q.Known && q.Remaining != n.saved.Remaining && now.Sub(n.saved.CheckedAt) >= quotaAge
		if due {
			n.saved = q
			n.saved.CheckedAt = now
		}
		a.mu.Unlock()
		if !due {
			continue
		}
		if err := a.ledger.SaveLimit(ctx, now, store.Limit{
			Credential: c.Credential().Fingerprint(), Resource: resourceCore,
			Limit: q.Limit, Remaining: min(q.Remaining, q.Limit), ResetAt: q.Reset, CheckedAt: q.CheckedAt,
		}); err != nil {
			return err
		}
	}
	return nil
}

// SetPolling notes how often the lists of owner's repositories are looked at, and how often they
// would be if the credential had room for it.
func (a *Accounts) SetPolling(owner string, inForce, usual time.Duration) {
	c := a.github.Client(owner)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.notes[c].poll, a.notes[c].usual = inForce, usual
}

// polling returns what SetPolling noted.
func (a *Accounts) polling(owner string) (inForce, usual time.Duration) {
	c := a.github.Client(owner)
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.notes[c].poll, a.notes[c].usual
}

// Close waits for what is being stored, and closes the connections that no request uses.
func (a *Accounts) Close() {
	a.saving.Wait()
	a.github.CloseIdle()
}
