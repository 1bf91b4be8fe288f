package github

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A verdict is what an answer means for the request.
type verdict struct {
	fault  error // nil: the answer is good; otherwise what is answered when it is not repeated
	again  bool  // the same request may fare better
	paused bool  // the governor decides when; otherwise the backoff does
	renew  bool  // a new signature may fare better, once
}

// judge decides about an answer. It and limitOf are the only readers of status codes and of
// GitHub's texts.
func (c *Client) judge(r request, a answer, pause *demand) verdict {
	switch {
	case a.broken != nil:
		return c.judgeBroken(a)
	case pause != nil:
		return c.judgeLimit(r, a, pause)
	case a.status >= 200 && a.status < 300, a.redirects(),
		a.status == http.StatusNotModified && r.etag != "",
		a.status == http.StatusNotFound && r.subject.absentOK,
		a.status == http.StatusSeeOther && r.subject.thereOK:
		return verdict{}
	case a.status >= 500, a.status == http.StatusConflict, a.status == http.StatusRequestTimeout:
		// 409 is not documented for secrets; it has been seen to pass.
		return verdict{again: true, fault: c.unavailable(a, fmt.Sprintf(
			"%s answers %d%s", c.base.Host, a.status, afterAttempts(a.attempts)))}
	case r.asApp:
		return verdict{renew: a.status == http.StatusUnauthorized && c.credential.renew(c, r, a.signed), fault: c.appRefused(r, a)}
	case a.status == http.StatusUnauthorized:
		return verdict{renew: c.credential.renew(c, r, a.signed), fault: c.unauthorized(r, a)}
	case a.status == http.StatusForbidden:
		return verdict{fault: c.forbidden(r, a)}
	case a.status == http.StatusNotFound:
		return verdict{fault: c.absent(r, a)}
	case a.status == http.StatusUnprocessableEntity && r.subject.refused != nil:
		return verdict{fault: r.subject.refused(r, a)}
	case a.status == http.StatusUnprocessableEntity && r.subject.write:
		return verdict{fault: refusedWrite(r, a)}
	case a.status == http.StatusGone:
		return verdict{fault: denied(r, a, "it no longer speaks version "+apiVersion+" of its API").
			Hinting("Use a newer octoseal.")}
	}
	return verdict{fault: denied(r, a, fmt.Sprintf("%s: the request was answered with %d", r.subject.what, a.status)).
		Hinting("This looks like a bug of octoseal, or a server of another kind; the log has the request id.")}
}

// limitOf returns what an answer asks of the whole credential, nil if it is no limit. A limit is
// 403 as often as 429. GitHub's order: Retry-After, then the reset when nothing is left, then a
// minute, which the governor knows.
func (c *Client) limitOf(a answer) *demand {
	after, named := retryAfter(a)
	if a.status == http.StatusServiceUnavailable && named {
		return &demand{until: a.received.Add(after), why: "GitHub asks to come back later"}
	}
	if a.broken != nil || a.status != http.StatusForbidden && a.status != http.StatusTooManyRequests {
		return nil
	}
	text := strings.ToLower(a.message())
	secondary := strings.Contains(text, "secondary rate limit") || strings.Contains(text, "abuse detection")
	primary := !secondary && strings.Contains(text, "rate limit exceeded")
	empty := a.header.Get("X-Ratelimit-Remaining") == "0"
	if a.status == http.StatusForbidden && !secondary && !primary && !named && !(empty && text == "") {
		return nil
	}
	d := &demand{why: "GitHub's secondary rate limit was reached", slow: true}
	if empty && !secondary {
		d.why, d.slow, d.quota = "the hourly quota is spent", false, true
	}
	if named {
		d.until = a.received.Add(after)
	} else if reset, err := strconv.ParseInt(a.header.Get("X-Ratelimit-Reset"), 10, 64); empty && err == nil {
		d.until = c.Clock().ours(time.Unix(reset, 0))
	}
	return d
}

// retryAfter reads whole seconds, which is what GitHub sends, or a date, which proxies do.
func retryAfter(a answer) (time.Duration, bool) {
	text := a.header.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second, true
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(a.date())), true
	}
	return 0, false
}

func (c *Client) judgeLimit(r request, a answer, d *demand) verdict {
	switch {
	case d.quota:
		return verdict{again: c.wait, paused: true, fault: c.spent()}
	case !d.slow:
		return verdict{again: true, paused: true, fault: c.unavailable(a, fmt.Sprintf(
			"%s is away for now%s", c.base.Host, afterAttempts(a.attempts)))}
	}
	end, _ := c.governor.Paused()
	return verdict{again: true, paused: true, fault: fault.New(fault.RateLimitExhausted, fault.Context{
		"quotaType": "core", "limit": "secondary", "remaining": 0, "resetAt": stamp(c.Clock().GitHub(end.Until)),
	}).Saying("GitHub's secondary rate limit refuses %s%s; it asks for quiet until %s.",
		r.subject.what, afterAttempts(a.attempts), stamp(end.Until)).
		Because(trace(r, a))}
}

// spent is the answer while the hourly quota is used up.
func (c *Client) spent() error {
	q := c.Quota()
	reset := q.Reset
	if p, ok := c.governor.Paused(); ok && p.Quota && !q.Known {
		reset = c.Clock().GitHub(p.Until)
	}
	return fault.New(fault.RateLimitExhausted, fault.Context{
		"quotaType": "core", "remaining": 0, "resetAt": stamp(reset),
	})
}

func stamp(t time.Time) string { return t.UTC().Truncate(time.Second).Format(time.RFC3339) }

// unauthorized explains a 401. "Bad credentials" is said of wrong, revoked and expired tokens
// alike; only a known expiry tells.
func (c *Client) unauthorized(r request, a answer) *fault.Fault {
	name, text := c.credential.Name(), a.message()
	switch expiry := c.knownExpiry(); {
	case strings.Contains(text, "Requires authentication"):
		return denied(r, a, r.subject.what+": the request came without a credential").
			Hinting("Check whether a proxy removes the Authorization header.")
	case !expiry.IsZero() && !c.Clock().GitHub(time.Now()).Before(expiry):
		return denied(r, a, fmt.Sprintf("%s expired at %s", name, stamp(expiry))).
			Hinting("Make a new token and set it as %s.", name)
	}
	return denied(r, a, name+" is not accepted (bad credentials)").
		Hinting("The token is wrong, revoked or expired, or belongs to another host than %s: GitHub does not say which.", c.base.Host)
}

// forbidden explains a 403 that is no rate limit.
func (c *Client) forbidden(r request, a answer) *fault.Fault {
	text := strings.ToLower(a.message())
	has := func(s string) bool { return strings.Contains(text, s) }
	what := r.subject.what
	switch {
	case has("suspended"):
		return denied(r, a, "the installation of "+c.credential.Name()+" is suspended").
			Hinting("An owner of the account can unsuspend it under Settings, GitHub Apps.")
	case has("archived"):
		return denied(r, a, what+": the repository is archived, so it is read-only").Hinting("Unarchive it first.")
	case has("saml") || a.header.Get("X-Github-Sso") != "":
		return denied(r, a, what+": the organisation demands SAML single sign-on, for which "+c.credential.Name()+" is not authorised").
			Hinting("Authorise the token for the organisation under Settings, Developer settings, Configure SSO.")
	case has("ip allow list"):
		return denied(r, a, what+": the organisation's IP allow list does not include this address").
			Hinting("An owner of the organisation can add the address.")
	case has("login attempts"):
		return denied(r, a, "too many requests with bad credentials were made; it refuses all for a while").
			Hinting("Correct the credential, then wait some minutes.")
	case has("disabled") && errors.Is(r.subject.missing, ErrNoWorkflow):
		return notDispatched(r, a)
	case has("admin rights"):
		return c.roleTooLow(r, a)
	}
	return c.permissionMissing(r, a)
}

func (c *Client) roleTooLow(r request, a answer) *fault.Fault {
	if scopes, classic := scopesOf(a.header); classic && !scopes["repo"] {
		return denied(r, a, fmt.Sprintf("%s: %s lacks the scope repo", r.subject.what, c.credential.Name())).
			Hinting("Add the scope repo to the classic token, or use a fine-grained one with the permission %q.", r.subject.permission.Title)
	}
	return denied(r, a, fmt.Sprintf("%s: the user of %s must have admin rights to the repository", r.subject.what, c.credential.Name())).
		Hinting("Ask for the role admin (Codespaces secrets and environments take no less), or use another credential.")
}

// permissionMissing names what would have been needed, as GitHub says it in a header or as our
// table knows it.
func (c *Client) permissionMissing(r request, a answer) *fault.Fault {
	p, level := r.subject.permission, r.subject.permission.Read
	if r.subject.write {
		level = p.Write
	}
	needed := p.Slug + ":" + level
	if accepted := acceptedPermissions(a.header); accepted != "" {
		needed = accepted
	}
	if p.Slug == "" && needed == ":" {
		return denied(r, a, r.subject.what+" is not accessible to "+c.credential.Name())
	}
	reason := fmt.Sprintf("%s: %s lacks the permission %s", r.subject.what, c.credential.Name(), needed)
	hint := fmt.Sprintf("Grant the fine-grained permission %q (%s) to it.", p.Title, needed)
	if c.credential.perhapsWorkflow() {
		reason += "; the GITHUB_TOKEN of a workflow can never write secrets, whatever its permissions say"
		hint = fmt.Sprintf("If this is a workflow's GITHUB_TOKEN, use a GitHub App or a personal access token instead; otherwise grant %q (%s) to its App.", p.Title, needed)
	}
	f := denied(r, a, reason).Hinting("%s", hint)
	f.Context["permission"] = needed
	return f
}

// acceptedPermissions turns "secrets=write; environments=write" into "secrets:write or
// environments:write"; commas join what is needed together.
func acceptedPermissions(h http.Header) string {
	text := strings.TrimSpace(h.Get("X-Accepted-Github-Permissions"))
	text = strings.ReplaceAll(text, "=", ":")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "; ", ";"), ";", " or ")
	return strings.ReplaceAll(strings.ReplaceAll(text, ", ", ","), ",", " and ")
}

// scopesOf returns the scopes of a classic token; other credentials have no such header.
func scopesOf(h http.Header) (map[string]bool, bool) {
	lists, classic := h["X-Oauth-Scopes"]
	scopes := map[string]bool{}
	for _, s := range strings.Split(strings.Join(lists, ","), ",") {
		if s = strings.TrimSpace(s); s != "" {
			scopes[s] = true
		}
	}
	return scopes, classic
}

// absent explains a 404, of which GitHub says nothing on purpose.
func (c *Client) absent(r request, a answer) *fault.Fault {
	f := fault.New(fault.ResourceNotFound, fault.Context{"resource": r.subject.what})
	if errors.Is(r.subject.missing, ErrStoreMissing) {
		return f.Hinting("The repository's plan or this server does not have the store, the environment does not exist, "+
			"or the repository is not visible to %s.", c.credential.Name()).
			Because(fmt.Errorf("%w: %w", ErrStoreMissing, trace(r, a)))
	}
	if errors.Is(r.subject.missing, ErrNoWorkflow) {
		return f.Hinting("The file has to stand on the default branch, and the repository to be visible to %s.", c.credential.Name()).
			Because(fmt.Errorf("%w: %w", ErrNoWorkflow, trace(r, a)))
	}
	hint := "It is misspelt, or private and not visible to " + c.credential.Name() + "."
	if c.credential.isApp() {
		hint = "It is misspelt, or " + c.credential.Name() + " is not installed on it."
	} else if scopes, classic := scopesOf(a.header); classic && !scopes["repo"] {
		hint = "It is misspelt, or private: " + c.credential.Name() + " lacks the scope repo, without which private repositories are out of sight."
	}
	return f.Hinting("%s", hint).Because(trace(r, a))
}

// refusedWrite explains a 422. The body may hold what was sent, so nothing of it leaves here but
// the class it falls in.
func refusedWrite(r request, a answer) *fault.Fault {
	text := strings.ToLower(a.message())
	has := func(s string) bool { return strings.Contains(text, s) }
	about := fault.Context{"scope": r.subject.scope.String(), "secretName": r.subject.name}
	switch {
	case has("improperly encrypted"), has("key_id") && !has("wasn't supplied"):
		f := fault.New(fault.EncryptionFailed, about)
		return f.Saying("%s %s: the value was sealed for another key than the store has now.", r.subject.what, r.subject.name).
			Hinting("The key was changed in between; run again.").
			Because(fmt.Errorf("%w: %w", StaleKey, trace(r, a)))
	case has("secret name"), has("alphanumeric"):
		about["pattern"] = "[A-Z][A-Z0-9_]*"
		return fault.New(fault.NameInvalid, about).Saying("GitHub does not accept the name %s.", r.subject.name).Because(trace(r, a))
	case has("48 kb"), has("too large"):
		about["limit"] = secret.MaxValueSize
		return fault.New(fault.ValueTooLarge, about).
			Saying("%s %s: the value is larger than the %d bytes that GitHub takes.", r.subject.what, r.subject.name, secret.MaxValueSize).
			Because(trace(r, a))
	case has("limit of") && has("secrets"), has("too many secrets"):
		return denied(r, a, r.subject.what+" holds as many secrets as GitHub allows; "+r.subject.name+" finds no room").
			Hinting("Delete some, or move them to an environment.")
	}
	return denied(r, a, fmt.Sprintf("%s %s: the write was found invalid (422)", r.subject.what, r.subject.name)).
		Hinting("GitHub's words are kept out of sight, since they may repeat the value; the log has the request id.")
}

// replaced says that the name stands for another repository now. Nothing was written.
func replaced(ref Ref, was, is int64) *fault.Fault {
	return fault.New(fault.ResourceNotFound, fault.Context{"resource": ref.String(), "repositoryId": was, "foundId": is}).
		Saying("%s is another repository now: its number is %d, that of the one meant is %d. Nothing was written.", ref, is, was).
		Hinting("Name the repository by its new OWNER/NAME; if the new one is meant, remove the project and add it again.").
		Because(ErrReplaced)
}

func denied(r request, a answer, reason string) *fault.Fault {
	about := fault.Context{"reason": reason}
	if !r.subject.scope.IsZero() {
		about["scope"] = r.subject.scope.String()
	}
	if r.subject.name != "" {
		about["secretName"] = r.subject.name
	}
	if r.subject.environment != "" {
		about["environment"] = r.subject.environment
	}
	return fault.New(fault.IntegrationDenied, about).Because(trace(r, a))
}

func (c *Client) unavailable(a answer, reason string) *fault.Fault {
	return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": reason}).Because(a.broken)
}

func afterAttempts(n int) string {
	if n < 2 {
		return ""
	}
	return fmt.Sprintf(" after %d attempts", n)
}

// trace is what the log needs to find a refusal in GitHub's support: never its text.
func trace(r request, a answer) error {
	return fmt.Errorf("%s %s: %d, request id %s", r.method, r.route, a.status, a.header.Get("X-Github-Request-Id"))
}

func permissionList(permissions map[string]string) string {
	var all []string
	for slug, level := range permissions {
		all = append(all, slug+":"+level)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}
