package githubsim_test

import (
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
)

var linkPart = regexp.MustCompile(`<([^>]*)>; rel="([a-z]*)"`)

// links are a reply's Link URLs by relation.
func (r reply) links() map[string]string {
	out := map[string]string{}
	for _, m := range linkPart.FindAllStringSubmatch(r.Header.Get("Link"), -1) {
		out[m[2]] = m[1]
	}
	return out
}

func fill(gh *githubsim.GitHub, scope string, n int) {
	for i := range n {
		gh.SetSecret(widgets, scope, githubsim.Secret{Name: fmt.Sprintf("S%03d", i)})
	}
}

func TestPages(t *testing.T) {
	c := start(t, githubsim.Config{})
	fill(c.gh, "actions", 95)
	id := c.repository("/repos/acme/widgets").ID
	prefix := prefixes["actions"]

	r := c.want(200, "GET", prefix, "")
	if got, want := r.links()["next"], fmt.Sprintf("%s/repositories/%d/actions/secrets?page=2", c.url, id); got != want {
		t.Errorf("next = %s, want %s", got, want)
	}
	for path, want := range map[string]int{
		"": 30, "?per_page=1000": 95, "?per_page=0": 30, "?per_page=x&page=-1": 30, "?page=4": 5, "?page=9": 0, "?per_page=7": 7,
	} {
		l := c.list(prefix + path)
		if len(l.Secrets) != want || l.TotalCount != 95 {
			t.Errorf("%s: %d of %d, want %d of 95", path, len(l.Secrets), l.TotalCount, want)
		}
	}
	if l := c.get(prefix + "?per_page=100").Header.Get("Link"); l != "" {
		t.Errorf("Link on the only page: %s", l)
	}

	// Whoever follows next sees each secret once.
	var names []string
	for url := prefix + "?per_page=20"; url != ""; {
		names = append(names, c.list(url).names()...)
		r := c.get(url)
		if _, hasLast := r.links()["last"]; hasLast == (r.links()["next"] == "") {
			t.Errorf("links: %v", r.links())
		}
		url = r.links()["next"]
	}
	if len(names) != 95 || !slices.IsSorted(names) || len(slices.Compact(names)) != 95 {
		t.Errorf("following next: %v", names)
	}
}

func TestListChangesBetweenPages(t *testing.T) {
	c := start(t, githubsim.Config{})
	fill(c.gh, "actions", 4)
	c.gh.OnRequest(func(r githubsim.Request) {
		if r.Query == "page=2&per_page=2" {
			c.gh.DeleteSecret(widgets, "actions", "S000")
		}
	})
	first := c.want(200, "GET", prefixes["actions"]+"?per_page=2", "")
	second := c.list(first.links()["next"])
	if got := second.names(); !slices.Equal(got, []string{"S003"}) || second.TotalCount != 3 {
		t.Errorf("second page: %v of %d", got, second.TotalCount)
	}
}

func TestConditionalRequests(t *testing.T) {
	c := start(t, githubsim.Config{})
	fill(c.gh, "actions", 3)
	prefix := prefixes["actions"]
	tag := c.get(prefix).Header.Get("ETag")

	c.gh.ResetRequests()
	r := c.with("If-None-Match", tag).want(304, "GET", prefix, "")
	if r.Body != "" || r.Header.Get("ETag") != tag || c.gh.Counts().Billed != 0 {
		t.Errorf("304: %q, %d billed", r.Body, c.gh.Counts().Billed)
	}
	if got := c.gh.Requests(); len(got) != 1 || !got[0].Conditional || got[0].Points != 1 {
		t.Errorf("record: %+v", got)
	}
	c.with("If-None-Match", `"x", `+tag[2:]).want(304, "GET", prefix, "")

	// Another credential, another Accept, another list: another tag.
	c.as(c.gh.AddToken(githubsim.Token{})).with("If-None-Match", tag).want(200, "GET", prefix, "")
	c.with("Accept", "application/json").with("If-None-Match", tag).want(200, "GET", prefix, "")
	c.gh.DeleteSecret(widgets, "actions", "S000")
	c.with("If-None-Match", tag).want(200, "GET", prefix, "")

	// Dates work where there is Last-Modified; lists have none, since a deletion does not move it.
	modified := c.get(prefix + "/S001").Header.Get("Last-Modified")
	c.with("If-Modified-Since", modified).want(304, "GET", prefix+"/S001", "")
	c.with("If-Modified-Since", modified).want(200, "GET", prefix, "")

	// Without a token even a 304 costs.
	c.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Private = false })
	nobody := c.as("")
	tag = nobody.get("/repos/acme/widgets").Header.Get("ETag")
	c.gh.ResetRequests()
	nobody.with("If-None-Match", tag).want(304, "GET", "/repos/acme/widgets", "")
	if c.gh.Counts().Billed != 1 {
		t.Error("a 304 without authorisation was free")
	}
}
