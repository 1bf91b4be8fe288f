package github

import (
	"net"
	"net/netip"
	"net/url"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
)

// publicAPI is github.com's own.
const publicAPI = "https://api.github.com"

// parseBase reads a base URL; empty means github.com. A token is sent to whatever this lets pass,
// so plain http is for loopback alone.
func parseBase(s string) (*url.URL, error) {
	if s == "" {
		s = publicAPI
	}
	u, err := url.Parse(strings.TrimRight(s, "/"))
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return nil, fault.Invalid("the GitHub API URL is not a URL with a host").
			Hinting("Write it like %s, or https://HOST/api/v3 for an Enterprise Server.", publicAPI)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fault.Invalid("the GitHub API URL of %s must have no user, query or fragment", u.Host).
			Hinting("Credentials have variables of their own, such as OCTOSEAL_GITHUB_TOKEN.")
	}
	u.Scheme, u.Host = strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	switch {
	case u.Scheme == "http" && !isLoopback(u.Hostname()):
		return nil, fault.Invalid("plain http to %s would show the credential to the network", u.Host).
			Hinting("Use https://%s. Plain http is for 127.0.0.0/8, ::1 and localhost.", u.Host)
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fault.Invalid("the GitHub API URL of %s must begin with https://", u.Host)
	case loginHost(u) == "github.com" && u.Host != "api.github.com":
		return nil, fault.Invalid("%s is GitHub's website, not its API", u.Host).Hinting("Leave the API URL away, or use %s.", publicAPI)
	}
	return u, nil
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// isPublic says whether base is github.com's API, the only host that a github.com token may see.
func isPublic(base *url.URL) bool {
	return base.Scheme == "https" && hostPort(base) == "api.github.com:443"
}

// loginHost is the host under which the GitHub CLI keeps a login for base: the website's.
func loginHost(base *url.URL) string {
	host := base.Hostname()
	switch {
	case host == "github.com" || host == "www.github.com" || host == "api.github.com":
		return "github.com"
	case strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".ghe.com"):
		return strings.TrimPrefix(host, "api.")
	}
	return base.Host
}

// hostPort spells a URL's host in full, so that https://HOST and https://HOST:443 are one.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" && u.Scheme == "https" {
		port = "443"
	} else if port == "" {
		port = "80"
	}
	return net.JoinHostPort(strings.ToLower(u.Hostname()), port)
}

// within returns what follows the base URL in a URL that GitHub sent (Location or Link), as an
// escaped path with its query. It refuses one that leads elsewhere: what is asked for under the
// base URL carries the credential.
func (c *Client) within(from, to string) (string, error) {
	u, err := url.Parse(to)
	if err != nil {
		return "", misdirected("a place that is not a URL")
	}
	if origin, err := url.Parse(c.base.String() + from); err == nil {
		u = origin.ResolveReference(u)
	}
	if u.Scheme != c.base.Scheme || hostPort(u) != hostPort(c.base) || u.User != nil {
		return "", misdirected("the other host " + u.Scheme + "://" + u.Host)
	}
	path, ok := strings.CutPrefix(u.EscapedPath(), c.base.EscapedPath())
	if !ok || !strings.HasPrefix(path, "/") {
		return "", misdirected("a path outside of " + c.base.String())
	}
	if u.RawQuery != "" {
		path += "?" + u.RawQuery
	}
	return path, nil
}

func misdirected(where string) *fault.Fault {
	return fault.New(fault.IntegrationDenied, fault.Context{"reason": "an answer points to " + where}).
		Hinting("The credential is sent to the API URL alone. Check that URL, and the proxy before it.")
}
