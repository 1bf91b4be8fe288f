package environment

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// Resources are the credentials with which linked resources are looked for. Those of a service that
// has none are not looked for, and whoever asked is told so. It is plain HTTP: one GET each.
type Resources struct {
	NeonAPIKey        secret.Plaintext
	NeonProject       string
	CloudflareToken   secret.Plaintext
	CloudflareAccount string

	NeonURL       string // https://console.neon.tech/api/v2 unless set
	CloudflareURL string // https://api.cloudflare.com/client/v4 unless set

	// Transport carries the requests; nil is http.DefaultTransport.
	Transport http.RoundTripper
}

const (
	neonURL       = "https://console.neon.tech/api/v2"
	cloudflareURL = "https://api.cloudflare.com/client/v4"
	// resourceTime bounds one look, its second try included.
	resourceTime = 20 * time.Second
)

// place returns where a link's resource would be found and what to show there; ok is false without
// credentials.
func (r *Resources) place(l Link) (address string, token secret.Plaintext, ok bool) {
	if r == nil {
		return "", token, false
	}
	or := func(base, unlessSet string) string {
		if base == "" {
			return unlessSet
		}
		return strings.TrimSuffix(base, "/")
	}
	account := or(r.CloudflareURL, cloudflareURL) + "/accounts/" + url.PathEscape(r.CloudflareAccount)
	cloudflare := r.CloudflareToken.Len() > 0 && r.CloudflareAccount != ""
	switch l.Subject {
	case SubjectNeon:
		address = or(r.NeonURL, neonURL) + "/projects/" + url.PathEscape(r.NeonProject) + "/branches/" + url.PathEscape(l.Value)
		return address, r.NeonAPIKey, r.NeonAPIKey.Len() > 0 && r.NeonProject != ""
	case SubjectWorker:
		return account + "/workers/scripts/" + url.PathEscape(l.Value), r.CloudflareToken, cloudflare
	case SubjectPages:
		return account + "/pages/projects/" + url.PathEscape(l.Value), r.CloudflareToken, cloudflare
	}
	return "", token, false
}

// exists looks for the resource of a link. Looked is false without credentials. An answer that says
// neither yes nor no is a fault: what cannot be looked up is not taken to be there.
func (r *Resources) exists(ctx context.Context, l Link) (found, looked bool, err error) {
	address, token, ok := r.place(l)
	if !ok {
		return false, false, nil
	}
	if !safe(address) {
		return false, true, unanswered(l, "credentials are sent over https alone, or to this machine")
	}
	ctx, stop := context.WithTimeout(ctx, resourceTime)
	defer stop()
	status := 0
	for try := range 2 {
		if try > 0 {
			if err := sleep(ctx, time.Second); err != nil {
				break
			}
		}
		status, err = r.ask(ctx, address, token)
		if err == nil && status < http.StatusInternalServerError && status != http.StatusTooManyRequests {
			break
		}
	}
	switch {
	case err != nil:
		return false, true, unanswered(l, "it cannot be reached").Because(err)
	case status == http.StatusOK:
		return true, true, nil
	case status == http.StatusNotFound:
		return false, true, nil
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return false, true, unanswered(l, fmt.Sprintf("it refuses the credentials (%d)", status))
	}
	return false, true, unanswered(l, fmt.Sprintf("it answers %d", status))
}

func unanswered(l Link, why string) *fault.Fault {
	service, _, _ := strings.Cut(l.Title, " ")
	return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": service + ": " + why, "field": string(l.Subject)}).
		Saying("%s gives no answer about the %s %s: %s.", service, l.Title, l.Value, why).
		Hinting("Check the credentials of %s, or give none: the link is recorded unchecked then.", service)
}

// ask sends one GET. No redirect is followed, since the token would go along, and the answer's body
// is of no interest: a Worker's is its whole script.
func (r *Resources) ask(ctx context.Context, address string, token secret.Plaintext) (status int, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+string(token.Expose()))
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "octoseal")
	client := http.Client{Transport: r.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	answer, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = answer.Body.Close() }()
	_, _ = io.CopyN(io.Discard, answer.Body, 64<<10) // what is short lets the connection be used again
	return answer.StatusCode, nil
}

func safe(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Scheme == "https" || u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// resourcesOf objects to links whose resource is not there. One that is remembered was looked for
// when it was new; validation looks again.
func (j *job) resourcesOf(ctx context.Context, w Wanted) []Objection {
	var objections []Objection
	for _, link := range w.Linked.each() {
		if link.Value == "" || link.Value == j.memory[w.Tier].Linked.at(link.Subject) {
			continue
		}
		found, looked, err := j.resources.exists(ctx, link)
		switch {
		case err != nil:
			objections = append(objections, Objection{link.Subject, NotLookedUp, fault.Of(err)})
		case !looked:
			j.mu.Lock()
			j.unchecked = append(j.unchecked, link)
			j.mu.Unlock()
		case !found:
			objections = append(objections, Objection{link.Subject, Unlinked, unlinked(link, w.Tier)})
		}
	}
	return objections
}

func unlinked(l Link, t Tier) *fault.Fault {
	return fault.New(fault.ResourceNotFound, fault.Context{"resource": l.Title + " " + l.Value, "environment": string(t), "field": string(l.Subject)}).
		Saying("%s %s, to which environment %s is linked, is not there.", l.Title, l.Value, t).
		Hinting("Check the spelling, and that the credentials given belong to its account.")
}

// uncheckedNotices say of which links nobody knows whether there is anything behind them.
func (j *job) uncheckedNotices() []plan.Notice {
	var notices []plan.Notice
	slices.SortFunc(j.unchecked, func(a, b Link) int {
		return strings.Compare(string(a.Subject)+a.Value, string(b.Subject)+b.Value)
	})
	for _, l := range j.unchecked {
		notices = append(notices, plan.Notice{
			Code: fault.IntegrationUnavailable, Context: fault.Context{"field": string(l.Subject), "resource": l.Value},
			Message: fmt.Sprintf("%s %s is recorded unchecked: there are no credentials to look for it with.", l.Title, l.Value),
		})
	}
	j.unchecked = nil
	return notices
}
