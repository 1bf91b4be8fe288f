package githubsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	jsonType = "application/json; charset=utf-8"
	docs     = "https://docs.github.com/rest"

	oldVersion = "2022-11-28" // used when a request names none
	newVersion = "2026-03-10"
)

// An answer is what a request gets, before the headers that every answer carries.
type answer struct {
	status int
	header http.Header
	body   any    // sent as JSON; nil: no body
	text   string // sent as plain text instead
	raw    []byte // body or text as sent

	modified time.Time // for Last-Modified; zero: none
	limit    Limit     // the limit that refuses
	free     bool      // costs nothing of the primary limit
	volatile bool      // has no ETag
}

func (a *answer) set(name, value string) {
	if a.header == nil {
		a.header = make(http.Header)
	}
	a.header.Set(name, value)
}

func ok(body any) answer { return answer{status: 200, body: body} }

// An errorBody is the body of every refusal. Status is a string, as GitHub has it.
type errorBody struct {
	Message string       `json:"message"`
	URL     string       `json:"url,omitempty"`
	Errors  []fieldError `json:"errors,omitempty"`
	Docs    string       `json:"documentation_url"`
	Status  string       `json:"status,omitempty"`
}

type fieldError struct {
	Resource string `json:"resource"`
	Field    string `json:"field"`
	Code     string `json:"code"`
	Message  string `json:"message,omitempty"`
}

func refuse(status int, message string) answer {
	return answer{status: status, body: &errorBody{Message: message, Status: strconv.Itoa(status)}}
}

func notFound() answer { return refuse(404, "Not Found") }

// invalid is GitHub's 422 for a body that its request schema refuses.
func invalid(format string, args ...any) answer {
	return refuse(422, "Invalid request.\n\n"+fmt.Sprintf(format, args...))
}

// primaryRefusal is the answer of a credential whose hour is used up.
func (c *call) primaryRefusal() answer {
	a := refuse(c.limiter.refusal(), c.who.exhausted())
	a.body.(*errorBody).Docs = docs + "/overview/rate-limits-for-the-rest-api"
	a.limit, a.free = Primary, true
	return a
}

func (c *call) secondaryRefusal(v verdict) answer {
	message := "You have exceeded a secondary rate limit. Please wait a few minutes before you try again."
	if v.blocked {
		message = "You have exceeded a secondary rate limit and have been temporarily blocked from " +
			"content creation. Please retry your request again later."
	}
	a := refuse(v.status, message)
	a.body.(*errorBody).Docs = docs + "/overview/rate-limits-for-the-rest-api#about-secondary-rate-limits"
	a.limit, a.free = Secondary, true
	if v.retryAfter > 0 {
		a.set("Retry-After", strconv.FormatInt(int64((v.retryAfter+time.Second-1)/time.Second), 10))
	}
	return a
}

// encode fills raw.
func (c *call) encode(a *answer) {
	switch {
	case a.text != "":
		a.set("Content-Type", "text/plain; charset=utf-8")
		a.raw = []byte(a.text)
	case a.body != nil:
		if e, isError := a.body.(*errorBody); isError && e.Docs == "" {
			e.Docs = c.docs()
		}
		a.set("Content-Type", jsonType)
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(a.body); err != nil {
			panic("githubsim: " + err.Error()) // bodies are made here, of things JSON knows
		}
		a.raw = bytes.TrimRight(b.Bytes(), "\n")
	}
}

func (c *call) docs() string {
	if c.refused == nil && c.route != nil && c.route.docs != "" {
		return docs + "/" + c.route.docs
	}
	return docs
}

// dress adds the headers that every answer carries.
func (c *call) dress(a *answer) {
	a.set("Server", "github.com")
	a.set("X-GitHub-Request-Id", requestID())
	if a.text != "" {
		return // refused before GitHub's application saw it
	}
	a.set("Vary", "Accept, Authorization, Cookie, X-GitHub-OTP,Accept-Encoding, Accept, X-Requested-With")
	a.set("X-GitHub-Media-Type", "github.v3; format=json")
	if a.status != 400 || c.refused == nil {
		a.set("X-GitHub-Api-Version-Selected", c.version)
	}
	if c.version == oldVersion && !c.enterprise() {
		a.set("Deprecation", "Tue, 10 Mar 2026 00:00:00 GMT")
		a.set("Sunset", "Fri, 10 Mar 2028 00:00:00 GMT")
	}
	if c.r.Method == "GET" || c.r.Method == "HEAD" {
		a.set("Cache-Control", "private, max-age=60, s-maxage=60")
	}
	if c.enterprise() {
		a.set("X-GitHub-Enterprise-Version", c.config.Enterprise)
	} else {
		a.set("X-RateLimit-Limit", strconv.Itoa(c.quota.limit))
		a.set("X-RateLimit-Remaining", strconv.Itoa(c.quota.remaining()))
		a.set("X-RateLimit-Used", strconv.Itoa(c.quota.used))
		a.set("X-RateLimit-Reset", strconv.FormatInt(c.quota.reset.Unix(), 10))
		a.set("X-RateLimit-Resource", "core")
	}
	c.dressForCredential(a)
}

// dressForCredential adds the headers that tell a token what it may do.
func (c *call) dressForCredential(a *answer) {
	switch c.who.kind {
	case classicToken:
		a.set("X-OAuth-Scopes", strings.Join(c.who.scopes, ", "))
		accepted := ""
		if c.route != nil {
			accepted = c.route.scope
		}
		a.set("X-Accepted-OAuth-Scopes", accepted)
	case fineGrainedToken, workflowToken, installationToken:
		if c.route != nil && c.route.need.slug != "" {
			a.set("X-Accepted-GitHub-Permissions", c.route.need.String())
		}
	}
	if c.who.personal() && !c.who.expires.IsZero() {
		a.set("GitHub-Authentication-Token-Expiration", c.who.expires.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
}

// requestID has the look of GitHub's: groups of hexadecimal digits joined by colons.
func requestID() string {
	n := rand.Uint64()
	return fmt.Sprintf("%04X:%04X:%06X:%06X:%08X", n>>48, n>>32&0xffff, n>>8&0xffffff, rand.Uint32()&0xffffff, uint32(n))
}
