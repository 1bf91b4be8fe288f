package github

import (
	"net/url"
	"regexp"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
)

// A Ref is how people name a repository. It changes when the repository is renamed or transferred.
type Ref struct{ Owner, Name string }

func (r Ref) String() string { return r.Owner + "/" + r.Name }

var (
	ownerPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*$`) // underscores: Enterprise Managed Users
	namePattern  = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)
	scpPattern   = regexp.MustCompile(`^(?:[^@/]+@)?([^:/@]+):([^/].*)$`) // git@github.com:acme/widgets.git
)

// ParseRef reads OWNER/NAME, or the URL of a repository as git and browsers write it.
func ParseRef(s string) (Ref, error) {
	ref, _, err := ParseRemote(s)
	return ref, err
}

// ParseRemote is ParseRef that also returns the host named in the URL, in lower case; it is empty
// for a plain OWNER/NAME. A caller that knows which GitHub it speaks to compares the two: the same
// OWNER/NAME exists on more than one.
func ParseRemote(s string) (ref Ref, host string, err error) {
	host, path := splitRemote(strings.TrimSpace(s))
	parts := strings.Split(strings.Trim(path, "/"), "/")
	if len(parts) < 2 || (host == "" && len(parts) > 2) {
		return Ref{}, "", refInvalid(s)
	}
	ref = Ref{Owner: parts[0], Name: strings.TrimSuffix(parts[1], ".git")}
	if !ownerPattern.MatchString(ref.Owner) || !namePattern.MatchString(ref.Name) || ref.Name == "." || ref.Name == ".." ||
		strings.HasSuffix(ref.Name, ".git") {
		return Ref{}, "", refInvalid(s)
	}
	return ref, host, nil
}

// splitRemote parts host and path. A host may stand without a scheme, as in a browser's bar, and is
// told from an owner by its dot, which no owner has.
func splitRemote(s string) (host, path string) {
	if strings.Contains(s, "://") {
		u, err := url.Parse(s)
		if err != nil {
			return "", ""
		}
		return websiteOf(u.Hostname()), u.Path
	}
	if m := scpPattern.FindStringSubmatch(s); m != nil {
		return websiteOf(m[1]), m[2]
	}
	if first, rest, ok := strings.Cut(s, "/"); ok && strings.Contains(first, ".") {
		return websiteOf(first), rest
	}
	return "", s
}

// websiteOf drops the names GitHub has for one of its sites, such as that for ssh over port 443.
func websiteOf(host string) string {
	host = strings.ToLower(host)
	switch host {
	case "www.github.com", "ssh.github.com":
		return "github.com"
	}
	return host
}

func refInvalid(s string) error {
	if u, err := url.Parse(s); err == nil && u.User != nil {
		s = u.Redacted() // clone URLs carry tokens now and then
	}
	return fault.Invalid("%q names no repository", s).
		Hinting("Write OWNER/NAME, or the repository's URL such as https://github.com/OWNER/NAME.")
}
