package cli

import (
	"bytes"
	"context"
	"net/netip"
	"net/url"
	"os/exec"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
)

const publicAPI = "https://api.github.com"

// An api is the GitHub that is spoken to, by its URL.
type api struct{ url *url.URL }

// api reads --github-api-url. What is wrong with it for a credential is github's to say.
func (a *app) api() (api, error) {
	text := a.settings.apiURL
	if text == "" {
		text = publicAPI
	}
	u, err := url.Parse(strings.TrimRight(text, "/"))
	if err != nil || u.Host == "" {
		return api{}, fault.Invalid("--github-api-url is not a URL with a host").
			Hinting("Write it like %s, or https://HOST/api/v3 for an Enterprise Server.", publicAPI)
	}
	u.Host = strings.ToLower(u.Host)
	return api{u}, nil
}

// host is the API's part of a project's identity: the same OWNER/NAME elsewhere is another one.
func (i api) host() string {
	if i.url.Port() == "443" && i.url.Scheme == "https" {
		return i.url.Hostname()
	}
	return i.url.Host
}

// website is the host of the pages that go with the API, which is the one that remotes name.
func (i api) website() string {
	host := i.url.Hostname()
	if host == "api.github.com" || strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".ghe.com") {
		return strings.TrimPrefix(host, "api.")
	}
	return host
}

// jobIssuer is the issuer of the ID tokens that the jobs of this GitHub have.
func (i api) jobIssuer() string {
	switch host := i.url.Hostname(); {
	case host == "api.github.com":
		return "https://token.actions.githubusercontent.com"
	case strings.HasPrefix(host, "api.") && strings.HasSuffix(host, ".ghe.com"):
		return "https://token.actions." + strings.TrimPrefix(host, "api.")
	}
	return i.url.Scheme + "://" + i.url.Host + "/_services/token"
}

// serves says whether a repository whose URL names host can be one of this API's. An API on
// loopback is a simulator or a proxy, which stands for any.
func (i api) serves(host string) bool {
	return host == "" || host == i.website() || isLoopbackHost(i.url.Hostname())
}

func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}

// repository returns the repository that is meant: --repo, or the git remote of the working
// directory.
func (a *app) repository(ctx context.Context, i api) (github.Ref, error) {
	if a.settings.repo == "" {
		return a.checkout(ctx, i)
	}
	ref, host, err := github.ParseRemote(a.settings.repo)
	if err != nil {
		return github.Ref{}, err
	}
	if !i.serves(host) {
		return github.Ref{}, elsewhere(a.settings.repo, host, i)
	}
	return ref, nil
}

func elsewhere(what, host string, i api) *fault.Fault {
	return fault.Invalid("%s is on %s, and the API spoken to is that of %s", what, host, i.website()).
		Hinting("For a repository there, name its API: --github-api-url https://%s/api/v3", host)
}

// checkout returns the repository that the working directory is a checkout of. Of several remotes
// upstream comes before origin, as it does for the GitHub CLI: secrets belong to the project and
// not to somebody's fork of it.
func (a *app) checkout(ctx context.Context, i api) (github.Ref, error) {
	remotes := a.remotes(ctx)
	var foreign string
	for _, name := range append([]string{"upstream", "origin"}, remotes.names...) {
		url, known := remotes.urls[name]
		if !known {
			continue
		}
		ref, host, err := github.ParseRemote(url)
		if err == nil && i.serves(host) {
			return ref, nil
		}
		if err == nil && foreign == "" {
			foreign = host
		}
	}
	missing := fault.Invalid("no repository is named, and there is no git remote here to go by").
		Hinting("Name it: --repo OWNER/NAME")
	if foreign != "" {
		missing = elsewhere("the git remote here", foreign, i)
	}
	return github.Ref{}, missing
}

// remotes are the git remotes of a checkout, in git's order.
type remotes struct {
	names []string
	urls  map[string]string
}

// gitPatience bounds asking git, which answers in milliseconds.
const gitPatience = 2 * time.Second

func (a *app) remotes(ctx context.Context) remotes {
	ctx, cancel := context.WithTimeout(ctx, gitPatience)
	defer cancel()
	git := exec.CommandContext(ctx, "git", "config", "--null", "--get-regexp", `^remote\..*\.url$`)
	git.Env = a.Environ
	git.WaitDelay = 100 * time.Millisecond
	out, err := git.Output()
	r := remotes{urls: map[string]string{}}
	if err != nil { // no git, no checkout, or no remote: all the same to us
		return r
	}
	for _, line := range bytes.Split(out, []byte{0}) {
		key, url, ok := strings.Cut(string(line), "\n")
		name := strings.TrimSuffix(strings.TrimPrefix(key, "remote."), ".url")
		if _, known := r.urls[name]; ok && !known {
			r.names = append(r.names, name)
			r.urls[name] = url
		}
	}
	return r
}
