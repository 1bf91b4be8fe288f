package cli_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What an environment is linked to is looked for with the credentials of the environment, and what is
// not there is that environment's error.
func TestLinksAreLookedFor(t *testing.T) {
	asked := make(chan string, 10)
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path + " " + r.Header.Get("Authorization")
		if !strings.HasSuffix(r.URL.Path, "/branches/br-one") {
			http.NotFound(w, r)
		}
	}))
	defer elsewhere.Close()
	b := newBench(t)
	const token = "neon-canary-0123456789"
	b.environ = append(b.environ, "NEON_API_KEY="+token, "NEON_PROJECT_ID=quiet-sun", "OCTOSEAL_NEON_API_URL="+elsewhere.URL, "OCTOSEAL_LOG_LEVEL=debug",
		"CLOUDFLARE_API_TOKEN="+token, "CLOUDFLARE_ACCOUNT_ID=acme", "OCTOSEAL_CLOUDFLARE_API_URL="+elsewhere.URL)
	text := "environments:\n  - {name: dev, linkedResources: {neonBranchId: br-one}}\n" +
		"  - {name: staging, protectionRules: {requiredReviewers: 0}, linkedResources: {cloudflareWorkerName: gone}}\n"
	if err := os.WriteFile(filepath.Join(b.folder, "environments.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, talk := b.octoseal("env", "apply")
	if code != 3 || !strings.Contains(out, "staging: Cloudflare Worker gone, to which environment staging is linked, is not there") || !strings.Contains(out, "created 1,") {
		t.Errorf("exit code %d\n%s\n%s", code, out, talk)
	}
	b.search("the output", out+talk, token)
	if v, _ := b.github.Value(widgets, "environment:dev", "NEON_BRANCH_ID"); v != "br-one" {
		t.Errorf("dev has the branch %q", v)
	}
	if _, there := b.github.Environment(widgets, "staging"); there {
		t.Error("staging was made all the same")
	}
	close(asked)
	for a := range asked {
		if !strings.HasSuffix(a, " Bearer "+token) {
			t.Errorf("asked for %s", a)
		}
	}
}
