package github

import (
	"strings"
	"sync"
)

// Accounts has the Client for each account whose repositories are spoken about. GitHub counts
// quotas and limits, and tells ETags apart, by what signs a request: by the token, which is one for
// all accounts, or by the installation of an App, which each account has its own of. So there is
// one Client, with one Governor, for a token, and one for each account under an App.
type Accounts struct {
	cfg  Config
	made func(*Client)

	mu       sync.Mutex
	clients  map[string]*Client // by the owner's lower-case login; one "" where all share one
	replicas int
}

// NewAccounts returns the clients that cfg describes; cfg.Governor is not used. It refuses what New
// refuses, and sends nothing. Made, which may be nil, hears of each client before anybody uses it.
func NewAccounts(cfg Config, made func(*Client)) (*Accounts, error) {
	cfg.Governor = nil
	if cfg.Transport == nil {
		cfg.Transport = tunedTransport()
	}
	if _, err := New(cfg); err != nil {
		return nil, err
	}
	if made == nil {
		made = func(*Client) {}
	}
	return &Accounts{cfg: cfg, made: made, clients: map[string]*Client{}, replicas: 1}, nil
}

// Client returns the client for the repositories of owner. It is the same one each time.
func (a *Accounts) Client(owner string) *Client {
	key := a.cfg.Credential.account(owner)
	a.mu.Lock()
	defer a.mu.Unlock()
	if c, ok := a.clients[key]; ok {
		return c
	}
	cfg := a.cfg
	cfg.Credential = cfg.Credential.at(key)
	c, err := New(cfg)
	if err != nil { // NewAccounts was told the same, and heard no objection
		panic(err)
	}
	c.governor.SetShare(a.replicas)
	a.made(c)
	a.clients[key] = c
	return c
}

// All returns the clients made so far, in no order.
func (a *Accounts) All() []*Client {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]*Client, 0, len(a.clients))
	for _, c := range a.clients {
		all = append(all, c)
	}
	return all
}

// SetShare divides every credential's limits, of clients yet to come as well, by the number of
// processes that use it.
func (a *Accounts) SetShare(replicas int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.replicas = replicas
	for _, c := range a.clients {
		c.governor.SetShare(replicas)
	}
}

// CloseIdle closes the connections that no request uses.
func (a *Accounts) CloseIdle() {
	if t, ok := a.cfg.Transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// account is what the repositories of owner have in common with others under this credential.
func (c Credential) account(owner string) string {
	if c.app == nil || c.app.fixed != 0 {
		return ""
	}
	return strings.ToLower(owner)
}

// at is the credential for one account's repositories. It looks its installation up by itself, and
// once more when that was replaced.
func (c Credential) at(account string) Credential {
	if account == "" {
		return c
	}
	c.name += " at " + account
	c.app = &app{id: c.app.id, key: c.app.key, account: account, seats: map[string]*seat{}}
	return c
}
