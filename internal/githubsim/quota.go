package githubsim

import "time"

// A quota is one credential's hour of the primary rate limit.
type quota struct {
	limit int
	used  int
	reset time.Time
}

func (q quota) remaining() int { return max(q.limit-q.used, 0) }

// SetQuota sets what every credential has left of its primary limit until reset, those
// that GitHub sees for the first time later included. After reset each has its documented
// limit again.
func (g *GitHub) SetQuota(remaining int, reset time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	clear(g.world.quotas)
	g.world.preset = &quota{limit: remaining, reset: reset}
}

// quota returns the current hour of a credential's bucket, which starts with its first request.
func (w *world) quota(who *credential, now time.Time) *quota {
	q := w.quotas[who.bucket]
	if q != nil && now.Before(q.reset) {
		return q
	}
	limit := who.hourly()
	q = &quota{limit: limit, reset: seconds(now).Add(time.Hour)}
	if p := w.preset; p != nil && now.Before(p.reset) {
		q.limit = max(limit, p.limit)
		q.used = q.limit - p.limit
		q.reset = p.reset
	}
	w.quotas[who.bucket] = q
	return q
}

// rateLimit is GET /rate_limit: what is left, at no cost.
func rateLimit(c *call) answer {
	if c.enterprise() {
		return refuse(404, "Rate limiting is not enabled.")
	}
	core := c.quotaJSON()
	hour := func(limit int) map[string]any {
		return map[string]any{"limit": limit, "used": 0, "remaining": limit, "reset": core["reset"]}
	}
	body := map[string]any{
		"resources": map[string]any{
			"core":                 core,
			"search":               hour(30),
			"graphql":              hour(5000),
			"integration_manifest": hour(5000),
			"code_search":          hour(10),
		},
	}
	if c.version == oldVersion {
		body["rate"] = core
	}
	return answer{status: 200, body: body, free: true, volatile: true}
}

func (c *call) quotaJSON() map[string]any {
	return map[string]any{
		"limit":     c.quota.limit,
		"used":      c.quota.used,
		"remaining": c.quota.remaining(),
		"reset":     c.quota.reset.Unix(),
	}
}
