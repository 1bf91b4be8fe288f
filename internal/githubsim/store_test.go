package githubsim_test

import (
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// prefixes are the stores' paths by scope.
var prefixes = map[string]string{
	"actions":           "/repos/acme/widgets/actions/secrets",
	"codespaces":        "/repos/acme/widgets/codespaces/secrets",
	"dependabot":        "/repos/acme/widgets/dependabot/secrets",
	"agents":            "/repos/acme/widgets/agents/secrets",
	"environment:a/b c": "/repos/acme/widgets/environments/a%2Fb%20c/secrets",
}

func TestStoreKeepsWhatWasSealed(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddEnvironment(widgets, "a/b c")
	for scope, prefix := range prefixes {
		t.Run(scope, func(t *testing.T) {
			k := c.key(prefix)
			c.want(201, "PUT", prefix+"/Deploy_Key", k.seal(t, "one\n"))
			c.want(204, "PUT", prefix+"/DEPLOY_KEY", k.seal(t, "zwei ü\x00"))
			if got, _ := c.gh.Value(widgets, scope, "deploy_key"); got != "zwei ü\x00" {
				t.Errorf("value = %q", got)
			}
			l := c.list(prefix)
			if l.TotalCount != 1 || !slices.Equal(l.names(), []string{"DEPLOY_KEY"}) {
				t.Errorf("list = %+v", l)
			}
			for other := range prefixes {
				if _, found := c.gh.Value(widgets, other, "DEPLOY_KEY"); found != (other == scope) {
					t.Errorf("found in %s: %v", other, found)
				}
			}
			c.want(200, "GET", prefix+"/deploy_key", "")
			c.want(204, "DELETE", prefix+"/deploy_key", "")
			c.want(404, "DELETE", prefix+"/deploy_key", "")
			c.want(404, "GET", prefix+"/deploy_key", "")
			if n := c.list(prefix).TotalCount; n != 0 {
				t.Errorf("%d listed after the deletion", n)
			}
		})
	}
}

func TestTimesAreWholeSecondsOfGitHubsClock(t *testing.T) {
	t0 := time.Date(2026, 11, 1, 12, 0, 0, 900_000_000, time.FixedZone("", 7200))
	c := start(t, githubsim.Config{Now: func() time.Time { return t0 }})
	prefix := prefixes["actions"]
	k := c.key(prefix)
	c.want(201, "PUT", prefix+"/A", k.seal(t, "1"))
	c.gh.Advance(90 * time.Second)
	r := c.want(204, "PUT", prefix+"/A", k.seal(t, "1"))
	if got := r.Header.Get("Date"); got != "Sun, 01 Nov 2026 10:01:30 GMT" {
		t.Errorf("Date = %s", got)
	}
	body := c.get(prefix + "/A").Body
	for _, want := range []string{`"created_at":"2026-11-01T10:00:00Z"`, `"updated_at":"2026-11-01T10:01:30Z"`} {
		if !strings.Contains(body, want) {
			t.Errorf("%s lacks %s", body, want)
		}
	}
}

const improper = "Bad request - validation failed due to an improperly encrypted secret"

func TestEveryStoreHasItsOwnKey(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddEnvironment(widgets, "a/b c")
	for from, sealedFor := range prefixes {
		k := c.key(sealedFor)
		for to, prefix := range prefixes {
			if from == to {
				continue
			}
			r := c.want(422, "PUT", prefix+"/A", k.seal(t, "v"))
			if r.message() != improper {
				t.Errorf("%s's key in %s: %s", from, to, r.Body)
			}
			// The right id does not make a box for another key open.
			mixed := key{KeyID: c.key(prefix).KeyID, Key: k.Key}
			c.want(422, "PUT", prefix+"/A", mixed.seal(t, "v"))
		}
	}
}

func TestKeyRotatedBetweenGetAndPut(t *testing.T) {
	c := start(t, githubsim.Config{})
	prefix := prefixes["dependabot"]
	old := c.key(prefix)
	c.gh.OnRequest(func(r githubsim.Request) {
		if r.Method == "PUT" {
			c.gh.OnRequest(nil)
			c.gh.RotateKey(widgets, "dependabot")
		}
	})
	c.want(422, "PUT", prefix+"/A", old.seal(t, "v"))
	c.want(422, "PUT", prefix+"/A", old.seal(t, "v"))
	c.want(201, "PUT", prefix+"/A", c.key(prefix).seal(t, "v"))
}

func TestRefusedWrites(t *testing.T) {
	c := start(t, githubsim.Config{})
	prefix := prefixes["actions"]
	k := c.key(prefix)
	good := k.seal(t, "v")
	for _, tc := range []struct {
		name, body string
		status     int
		message    string
	}{
		{"1A", good, 422, "Secret names can only contain"},
		{"A-B", good, 422, "Secret names can only contain"},
		{"A%20B", good, 422, "Secret names can only contain"},
		{"public-key", good, 422, "Secret names can only contain"},
		{"github_token", good, 422, "Secret names must not start with GITHUB_."},
		{"A", `{`, 400, "Problems parsing JSON"},
		{"A", `{} {}`, 400, "Problems parsing JSON"},
		{"A", `[]`, 400, "Body should be a JSON object"},
		{"A", ``, 422, "Invalid request.\n\n\"encrypted_value\", \"key_id\" weren't supplied."},
		{"A", `{"encrypted_value":"QQ=="}`, 422, "Invalid request.\n\n\"key_id\" wasn't supplied."},
		{"A", `{"key_id":"1"}`, 422, "Invalid request.\n\n\"encrypted_value\" wasn't supplied."},
		{"A", `{"encrypted_value":"QQ==","key_id":1}`, 422, "Invalid request.\n\nFor 'properties/key_id', 1 is not a string."},
		{"A", k.body("hunter2-plain"), 422, "Invalid request.\n\nhunter2-plain does not match /^(?:[A-Za-z0-9+\\/]{4})*"},
		{"A", k.body(""), 422, "Invalid request.\n\n does not match /"},
		{"A", k.body("QUJDRA=="), 422, improper},
		{"A", key{KeyID: "7", Key: k.Key}.seal(t, "v"), 422, improper},
		{"A", k.seal(t, strings.Repeat("x", 48<<10+1)), 422, "48 KB"},
		{"A", strings.Repeat(" ", 1<<20+1), 413, "Request Entity Too Large"},
	} {
		r := c.want(tc.status, "PUT", prefix+"/"+tc.name, tc.body)
		if !strings.Contains(r.message(), tc.message) {
			t.Errorf("%s %.40q: %s", tc.name, tc.body, r.Body)
		}
	}
	if got := c.gh.Secrets(widgets, "actions"); len(got) != 0 {
		t.Errorf("refused writes left %v", got)
	}
	c.want(201, "PUT", prefix+"/A", k.seal(t, strings.Repeat("x", 48<<10)))
}

func TestAStoreHoldsHundredSecrets(t *testing.T) {
	c := start(t, githubsim.Config{})
	for i := range 100 {
		c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "S" + string(rune('A'+i/26)) + string(rune('A'+i%26))})
	}
	prefix := prefixes["actions"]
	k := c.key(prefix)
	c.want(422, "PUT", prefix+"/ONE_MORE", k.seal(t, "v"))
	c.want(204, "PUT", prefix+"/SAA", k.seal(t, "v"))
}

func TestUnavailableStores(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Without = []string{"codespaces"} })
	c.want(404, "GET", prefixes["codespaces"], "")
	c.want(404, "GET", prefixes["codespaces"]+"/public-key", "")
	c.want(200, "GET", prefixes["actions"], "")
	c.want(404, "GET", prefixes["environment:a/b c"], "")
}

func TestListLag(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.Freeze()
	prefix := prefixes["actions"]
	k := c.key(prefix)
	c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "OLD"})
	c.gh.SetFaults(githubsim.Faults{ListLag: 5 * time.Second})
	c.want(201, "PUT", prefix+"/NEW", k.seal(t, "v"))
	c.want(204, "DELETE", prefix+"/OLD", "")
	c.want(200, "GET", prefix+"/NEW", "")
	if got := c.list(prefix).names(); !slices.Equal(got, []string{"OLD"}) {
		t.Errorf("at once: %v", got)
	}
	// An edit on GitHub's pages is seen at once, and the lagging write of that name with it.
	c.gh.Advance(time.Second)
	c.gh.SetSecret(widgets, "actions", githubsim.Secret{Name: "OLD"})
	c.gh.Advance(4 * time.Second)
	if got := c.list(prefix).names(); !slices.Equal(got, []string{"NEW", "OLD"}) {
		t.Errorf("after the lag: %v", got)
	}
}

func TestOrganizationSecrets(t *testing.T) {
	c := start(t, githubsim.Config{})
	c.gh.AddRepository(githubsim.Repository{FullName: "acme/other"})
	c.gh.SetOrganizationSecret("acme", githubsim.Secret{Name: "for_all"})
	c.gh.SetOrganizationSecret("acme", githubsim.Secret{Name: "FOR_WIDGETS"}, widgets)
	c.gh.SetOrganizationSecret("acme", githubsim.Secret{Name: "FOR_OTHER"}, "acme/other")
	if got := c.list("/repos/acme/widgets/actions/organization-secrets").names(); !slices.Equal(got, []string{"FOR_ALL", "FOR_WIDGETS"}) {
		t.Errorf("visible: %v", got)
	}
	c.gh.DeleteOrganizationSecret("acme", "for_all")
	if got := c.list("/repos/acme/widgets/actions/organization-secrets").names(); !slices.Equal(got, []string{"FOR_WIDGETS"}) {
		t.Errorf("visible: %v", got)
	}
}

func FuzzPutBody(f *testing.F) {
	gh := githubsim.New(githubsim.Config{})
	gh.AddRepository(githubsim.Repository{FullName: widgets})
	token := gh.AddToken(githubsim.Token{})
	for _, seed := range []string{"", "{}", "[", `{"key_id":"1","encrypted_value":"QQ=="}`, `{"key_id":{},"encrypted_value":[]}`, "null"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		r := httptest.NewRequest("PUT", prefixes["actions"]+"/A", strings.NewReader(body))
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("User-Agent", "fuzz")
		w := httptest.NewRecorder()
		gh.ServeHTTP(w, r)
		if w.Code != 400 && w.Code != 422 && w.Code != 413 {
			t.Errorf("%q: %d", body, w.Code)
		}
		gh.ResetRequests()
		gh.SetQuota(5000, gh.Now().Add(time.Hour))
	})
}
