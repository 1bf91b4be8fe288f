package github

import (
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

// A Config says what a Client speaks to and how. Only Credential is required.
type Config struct {
	// BaseURL is where the REST API lives: https://api.github.com when empty,
	// https://HOST/api/v3 for an Enterprise Server.
	BaseURL string
	// Credential is what the requests are signed with; FindCredential finds one.
	Credential Credential
	// Governor paces the credential. Clients that share a credential must share it; nil makes one.
	Governor *Governor
	// Limits are what the server allows a credential; zero means GitHub's documented limits. They are
	// not used when there is a Governor.
	Limits Limits
	// Transport carries the requests. Nil is a clone of http.DefaultTransport with room for as many
	// idle connections as the governor lets be in flight.
	Transport http.RoundTripper
	// Log gets one line per effect: info for writes, debug for reads. Nil discards.
	Log *slog.Logger
	// Retry is the policy for answers that may be better the next time; its zero value is the default.
	Retry Retry
	// Wait sits out a reset of the hourly quota instead of answering RateLimitExhausted.
	Wait bool
	// Version stands in the User-Agent after "octoseal/"; empty means "dev".
	Version string
	// OnRequest hears of every attempt, from the goroutine that made it. It must not block.
	OnRequest func(Exchange)
	// OnPause hears once of each pause that a request of this client brought on. It must not block.
	OnPause func(Pause)
}

// An Exchange is one attempt of one request, as metrics and progress want to know it.
type Exchange struct {
	Credential string // its name
	Method     string
	Route      string // path with its parameters left out: /repos/{owner}/{repo}/actions/secrets/{name}
	Status     int    // 0 when no answer came
	Points     int    // what it counted in the governor's window
	Billed     bool   // whether it cost quota: an answer 304 and a limit's refusal do not
	Attempt    int    // 1 for the first
	Duration   time.Duration
}

// A Client speaks to one GitHub with one credential. It may be used by many goroutines at once.
// Its errors are *fault.Fault, but for the context's own when that ended.
type Client struct {
	base       *url.URL
	credential Credential
	governor   *Governor
	transport  http.RoundTripper
	log        *slog.Logger
	retry      Retry
	wait       bool
	userAgent  string
	onRequest  func(Exchange)
	onPause    func(Pause)
	clock      *clock
	keys       keyring

	// plainDispatch says that the server cannot tell which run of a workflow it started.
	plainDispatch atomic.Bool

	mu     sync.Mutex
	quota  Quota
	expiry time.Time // of a token, as GitHub announced it; zero when it never did
	names  map[formerName]Ref
}

// New returns a client. It refuses a base URL that a credential must not be sent to, and an empty
// credential; it sends nothing.
func New(cfg Config) (*Client, error) {
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if cfg.Credential.IsZero() {
		return nil, missingCredential(base)
	}
	c := &Client{
		base:       base,
		credential: cfg.Credential,
		governor:   cfg.Governor,
		log:        cfg.Log,
		retry:      cfg.Retry.orDefault(),
		wait:       cfg.Wait,
		userAgent:  "octoseal/dev",
		onRequest:  cfg.OnRequest,
		onPause:    cfg.OnPause,
		transport:  cfg.Transport,
		clock:      &clock{},
	}
	if c.governor == nil {
		c.governor = NewGovernor(cfg.Limits)
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	if cfg.Version != "" {
		c.userAgent = "octoseal/" + cfg.Version
	}
	if c.transport == nil {
		c.transport = tunedTransport()
	}
	return c, nil
}

// Governor is what paces this client.
func (c *Client) Governor() *Governor { return c.governor }

// Credential is what this client signs its requests with.
func (c *Client) Credential() Credential { return c.credential }

// tunedTransport keeps what net/http does by default (proxies from the environment, HTTP/2) and
// raises the idle connections per host from 2: with the default, a burst of writes to an HTTP/1
// server opens and closes a TLS connection for nearly each of them.
func tunedTransport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	t = t.Clone()
	t.MaxIdleConns = 2 * defaultConcurrent
	t.MaxIdleConnsPerHost = defaultConcurrent
	return t
}

// CloseIdle closes the connections that no request uses.
func (c *Client) CloseIdle() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
