package github

import (
	"context"
	"net/http"
	"strconv"
	"time"
)

// A Quota is what is left of an hourly limit. An unknown one blocks nothing: servers without
// limits send no headers, and after the reset what was left says nothing any more.
type Quota struct {
	Limit, Remaining int
	Reset            time.Time // on GitHub's clock
	Known            bool
	CheckedAt        time.Time // on our clock
}

// Quota returns the core quota as the last answers told it; it asks nothing.
func (c *Client) Quota() Quota {
	c.mu.Lock()
	q := c.quota
	c.mu.Unlock()
	if q.Known && !c.Clock().GitHub(time.Now()).Before(q.Reset) {
		q.Known = false
	}
	return q
}

// RateLimit asks GitHub for the quota of every resource, by its name ("core", "search", …). The
// question costs no quota. A server without limits answers 404, which gives an empty map.
func (c *Client) RateLimit(ctx context.Context) (map[string]Quota, error) {
	a, err := c.read(ctx, request{
		method: http.MethodGet, route: "/rate_limit", path: "/rate_limit", unbilled: true,
		subject: subject{what: "the rate limits", absentOK: true},
	})
	if err != nil || a.status == http.StatusNotFound {
		return map[string]Quota{}, err
	}
	var body struct {
		Resources map[string]struct {
			Limit     int   `json:"limit"`
			Remaining int   `json:"remaining"`
			Reset     int64 `json:"reset"`
		} `json:"resources"`
	}
	if err := a.decode(&body); err != nil {
		return nil, err
	}
	quotas := make(map[string]Quota, len(body.Resources))
	for name, r := range body.Resources {
		quotas[name] = Quota{
			Limit: r.Limit, Remaining: r.Remaining, Reset: time.Unix(r.Reset, 0).UTC(), Known: true, CheckedAt: a.received,
		}
	}
	return quotas, nil
}

// sawQuota takes note of an answer's quota headers. Answers overtake each other, so within one
// hour the lower figure is the newer one.
func (c *Client) sawQuota(a answer) {
	q, ok := quotaOf(a)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case ok && c.quota.Known && sameHour(c.quota.Reset, q.Reset) && c.quota.Remaining < q.Remaining:
		c.quota.CheckedAt = q.CheckedAt
	case ok:
		c.quota = q
	case a.status == http.StatusTooManyRequests:
		c.quota.Known = false
	}
}

// quotaOf reads the headers of the core quota. Those of a refusal for another reason than the
// quota are believed like any others.
func quotaOf(a answer) (Quota, bool) {
	if r := a.header.Get("X-Ratelimit-Resource"); r != "" && r != "core" {
		return Quota{}, false
	}
	limit, err1 := strconv.Atoi(a.header.Get("X-Ratelimit-Limit"))
	remaining, err2 := strconv.Atoi(a.header.Get("X-Ratelimit-Remaining"))
	reset, err3 := strconv.ParseInt(a.header.Get("X-Ratelimit-Reset"), 10, 64)
	if err1 != nil || err2 != nil || err3 != nil {
		return Quota{}, false
	}
	return Quota{
		Limit: limit, Remaining: remaining, Reset: time.Unix(reset, 0).UTC(), Known: true, CheckedAt: a.received,
	}, true
}

// sameHour compares resets, which GitHub computes anew for each answer and rounds.
func sameHour(a, b time.Time) bool { return a.Sub(b).Abs() <= 2*time.Second }
