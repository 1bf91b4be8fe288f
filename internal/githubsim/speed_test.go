package githubsim_test

import (
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// benchmark times one kind of request without a network and without conform.
func benchmark(b *testing.B, method, path string, body func(*client) string) {
	c := start(b, githubsim.Config{})
	fill(c.gh, "actions", 99)
	sent := body(c)
	c.gh.SetQuota(1<<40, c.gh.Now().Add(time.Hour))
	for b.Loop() {
		r := httptest.NewRequest(method, path, strings.NewReader(sent))
		r.Header.Set("Authorization", "Bearer "+c.token)
		r.Header.Set("User-Agent", "bench")
		c.gh.ServeHTTP(httptest.NewRecorder(), r)
	}
}

func BenchmarkList(b *testing.B) {
	benchmark(b, "GET", prefixes["actions"]+"?per_page=100", func(*client) string { return "" })
}

func BenchmarkPut(b *testing.B) {
	benchmark(b, "PUT", prefixes["actions"]+"/A", func(c *client) string {
		return c.key(prefixes["actions"]).seal(b, "value")
	})
}
