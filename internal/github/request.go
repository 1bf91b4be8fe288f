package github

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

const (
	mediaType  = "application/vnd.github+json"
	apiVersion = "2022-11-28"
	// maxBody is far above any answer of these calls; a page of 100 secrets has 15 KB.
	maxBody = 8 << 20
	// maxHops bounds a chain of redirects; GitHub's have one.
	maxHops = 5
)

// A request is one question, apart from how often and when it is sent.
type request struct {
	method   string
	route    string // the path with its parameters left out, for metrics
	path     string // what follows the base URL, escaped, query included
	body     []byte
	etag     string
	repo     Ref   // whose installation signs, when the credential is an App
	project  int64 // the repository's id: whose turn it is in the governor, and what a redirect must lead to
	asApp    bool  // signed by the App itself and not for one of its installations
	unbilled bool
	subject  subject
}

// A subject is what a request is about, in the words of a refusal.
type subject struct {
	what        string // "codespaces of acme/widgets"
	permission  Permission
	write       bool // the body of a refusal may echo what was sent: it stays out of every text
	scope       secret.Scope
	name        string
	missing     error                              // what a 404 means to callers
	absentOK    bool                               // a 404 is an answer like any other
	thereOK     bool                               // a 303 says that what was to be made is there already
	environment string                             // that it is about
	refused     func(request, answer) *fault.Fault // explains a 422; nil where it is about a secret
	asked       map[string]string                  // permissions that a token was to have
}

// An answer is what came back, or why nothing did.
type answer struct {
	status   int
	header   http.Header
	body     []byte
	broken   error // no answer came, or not the whole of it
	signed   signature
	sent     time.Time
	received time.Time
	first    time.Time // when the first attempt was sent
	attempts int
}

// send sends r until the verdict on its answer is final. A redirect is an answer here: what it
// means depends on who asks.
func (c *Client) send(ctx context.Context, r request) (answer, error) {
	var first time.Time
	renewed := false
	for n := 1; ; n++ {
		a, pause, err := c.attempt(ctx, r, n)
		if err != nil {
			return a, err
		}
		if first.IsZero() {
			first = a.sent
		}
		a.first, a.attempts = first, n
		v := c.judge(r, a, pause)
		switch {
		case v.fault == nil:
			return a, nil
		case v.renew && !renewed:
			renewed = true
			continue
		case !v.again || n > c.retry.Retries:
			return a, v.fault
		}
		c.log.DebugContext(ctx, "github is asked again", "route", r.route, "status", a.status, "attempt", n)
		if v.paused {
			continue // the governor holds it back
		}
		if err := sleep(ctx, c.retry.backoff(n)); err != nil {
			return a, err
		}
	}
}

// attempt sends r once, when the governor lets it. The error is final: the caller gave up, there
// is no credential, or the quota is spent. pause is what the answer asks for, if it is a limit.
func (c *Client) attempt(ctx context.Context, r request, n int) (a answer, pause *demand, err error) {
	p, signed, err := c.admitted(ctx, r)
	if errors.Is(err, errSpent) {
		return a, nil, c.spent()
	}
	if err != nil {
		return a, nil, err
	}
	a = c.exchange(ctx, r, signed)
	a.sent, a.received = p.granted, time.Now()
	if date, err := http.ParseTime(a.header.Get("Date")); err == nil {
		c.clock.saw(date, a.sent, a.received)
	}
	if !r.asApp { // an App by itself has a quota of its own
		c.sawQuota(a)
	}
	c.sawExpiry(a)
	pause = c.limitOf(a)
	began, ok := p.land(pause)
	if ok {
		c.log.WarnContext(ctx, "github pauses the credential", "until", began.Until, "why", began.Why, "pace", began.Pace)
		if c.onPause != nil {
			c.onPause(began)
		}
	}
	if c.onRequest != nil {
		c.onRequest(Exchange{
			Credential: c.credential.name, Method: r.method, Route: r.route, Status: a.status, Points: p.points, Attempt: n,
			Billed:   a.status != 0 && a.status != http.StatusNotModified && pause == nil && !r.unbilled,
			Duration: a.received.Sub(a.sent),
		})
	}
	if a.broken != nil && ctx.Err() != nil {
		return a, nil, ctx.Err()
	}
	return a, pause, nil
}

// admitted returns a place in the governor's window and a signature that is good now: after a long
// pause the token that was fresh before it may not be.
func (c *Client) admitted(ctx context.Context, r request) (*pass, signature, error) {
	points := readPoints
	if r.method != http.MethodGet {
		points = writePoints
	}
	for again := true; ; again = false {
		signed, err := c.credential.sign(ctx, c, r)
		if err != nil {
			return nil, signature{}, err
		}
		p, err := c.governor.enter(ctx, r.project, points, c.wait)
		if err != nil {
			return nil, signature{}, err
		}
		if !again || signed.good(c.Clock().GitHub(time.Now())) {
			return p, signed, nil
		}
		p.abandon()
	}
}

// exchange is one attempt on the wire, body included, within the time one attempt has.
func (c *Client) exchange(ctx context.Context, r request, signed signature) answer {
	ctx, cancel := context.WithTimeout(ctx, c.retry.Timeout)
	defer cancel()
	a := answer{signed: signed, header: http.Header{}}
	// The only place where a URL is made and signed: whatever r is, it leads below the base URL.
	var body io.Reader
	if len(r.body) > 0 {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, c.base.String()+r.path, body)
	if err != nil {
		a.broken = err
		return a
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	req.Header.Set("Accept", mediaType)
	req.Header.Set("X-GitHub-Api-Version", apiVersion)
	req.Header.Set("User-Agent", c.userAgent)
	if r.etag != "" {
		req.Header.Set("If-None-Match", r.etag)
	}
	signed.apply(req)

	// The transport itself and not an http.Client: that follows redirects, and whether one may be
	// followed depends on the method and the host. See read and change.
	res, err := c.transport.RoundTrip(req)
	if err != nil {
		a.broken = err
		return a
	}
	defer func() { _ = res.Body.Close() }()
	a.status, a.header = res.StatusCode, res.Header
	a.body, a.broken = io.ReadAll(io.LimitReader(res.Body, maxBody+1))
	if len(a.body) > maxBody {
		a.broken = errTooLong
	}
	return a
}

const errTooLong sentinel = "the answer is longer than any of GitHub's"

// read is send for questions: it follows redirects, on the base URL's host only.
func (c *Client) read(ctx context.Context, r request) (answer, error) {
	for range maxHops {
		a, err := c.send(ctx, r)
		if err != nil || !a.redirects() {
			return a, err
		}
		to, err := c.within(r.path, a.header.Get("Location"))
		if err != nil {
			return a, err
		}
		if id, ok := repositoryIn(to); ok && r.project != 0 && id != r.project {
			return a, replaced(r.repo, r.project, id)
		}
		r.path = to
	}
	return answer{}, fault.New(fault.IntegrationUnavailable, fault.Context{
		"reason": r.subject.what + " is redirected in circles",
	})
}

func (a answer) redirects() bool {
	switch a.status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

// repositoryIn returns the id in a path of the form /repositories/ID/…, which is where GitHub
// redirects to.
func repositoryIn(path string) (int64, bool) {
	rest, ok := strings.CutPrefix(path, "/repositories/")
	if !ok {
		return 0, false
	}
	digits, _, _ := strings.Cut(rest, "/")
	digits, _, _ = strings.Cut(digits, "?")
	id, err := strconv.ParseInt(digits, 10, 64)
	return id, err == nil
}

// date is GitHub's time of the answer; ours where a proxy has dropped the header.
func (a answer) date() time.Time {
	date, err := http.ParseTime(a.header.Get("Date"))
	if err != nil {
		date = a.received.Truncate(time.Second)
	}
	return date.UTC()
}

// message is what GitHub says of a refusal. It may echo what was sent.
func (a answer) message() string {
	var body struct {
		Message string `json:"message"`
	}
	if json.Unmarshal(a.body, &body) != nil {
		return ""
	}
	return body.Message
}

// decode reads the JSON of a good answer.
func (a answer) decode(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the answer is not GitHub's JSON"}).
			Hinting("Check the API URL, and whether a proxy or a login page answers in GitHub's place.").
			Because(err)
	}
	return nil
}
