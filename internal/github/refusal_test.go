package github

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
)

const notFound = `{"message":"Not Found","documentation_url":"https://docs.github.com/rest","status":"404"}`

func said(message string) string {
	return `{"message":` + strconv.Quote(message) + `,"documentation_url":"https://docs.github.com/rest","status":"400"}`
}

// Each refusal that github-api.md §2 lists, as the people who meet it read it. Asked for is a
// write to Codespaces.
func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		header map[string]string
		body   string
		code   fault.Code
		parts  []string
	}{
		"bad credentials":          {401, nil, said("Bad credentials"), fault.IntegrationDenied, []string{"OCTOSEAL_GITHUB_TOKEN is not accepted (bad credentials)", "revoked or expired"}},
		"no credential arrived":    {401, nil, said("Requires authentication"), fault.IntegrationDenied, []string{"without a credential", "proxy"}},
		"permission by header":     {403, map[string]string{"X-Accepted-GitHub-Permissions": "codespaces_secrets=write; codespaces=write,metadata=read"}, said("Resource not accessible by personal access token"), fault.IntegrationDenied, []string{"lacks the permission codespaces_secrets:write or codespaces:write and metadata:read", `Grant the fine-grained permission "Codespaces secrets"`}},
		"permission by table":      {403, nil, said("Resource not accessible by integration"), fault.IntegrationDenied, []string{"codespaces of acme/widgets", "lacks the permission codespaces_secrets:write"}},
		"permission, page":         {403, nil, "<html>no</html>", fault.IntegrationDenied, []string{"codespaces_secrets:write"}},
		"role":                     {403, nil, said("Must have admin rights to Repository."), fault.IntegrationDenied, []string{"admin rights", "Codespaces"}},
		"scope":                    {403, map[string]string{"X-OAuth-Scopes": "gist, read:org"}, said("Must have admin rights to Repository."), fault.IntegrationDenied, []string{"lacks the scope repo"}},
		"suspended":                {403, nil, said("This GitHub App installation is currently suspended."), fault.IntegrationDenied, []string{"is suspended"}},
		"archived":                 {403, nil, said("Repository was archived so is read-only."), fault.IntegrationDenied, []string{"archived", "Unarchive"}},
		"saml":                     {403, nil, said("Resource protected by organization SAML enforcement. You must grant your Personal Access token access."), fault.IntegrationDenied, []string{"SAML", "Authorise"}},
		"saml by header":           {403, map[string]string{"X-GitHub-SSO": "required; url=https://github.com"}, said("no"), fault.IntegrationDenied, []string{"SAML"}},
		"address":                  {403, nil, said("Although you appear to have the correct authorization credentials, the `acme` organization has an IP allow list enabled, and your IP address is not permitted to access this resource."), fault.IntegrationDenied, []string{"IP allow list"}},
		"too many bad logins":      {403, nil, said("Maximum number of login attempts exceeded. Please try again later."), fault.IntegrationDenied, []string{"refuses all for a while"}},
		"permission, nothing left": {403, map[string]string{"X-RateLimit-Remaining": "0"}, said("Resource not accessible by integration"), fault.IntegrationDenied, []string{"codespaces_secrets:write"}},
		"primary":                  {403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "5000", "X-RateLimit-Reset": "4102444800"}, said("API rate limit exceeded for user ID 1. If you reach out to GitHub Support for help, please include the request ID A."), fault.RateLimitExhausted, []string{"2100-01-01T00:00:00Z", "--wait"}},
		"primary 429":              {429, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "5000", "X-RateLimit-Reset": "4102444800"}, said("API rate limit exceeded for installation ID 1."), fault.RateLimitExhausted, []string{"2100-01-01T00:00:00Z"}},
		"secondary":                {403, map[string]string{"X-RateLimit-Remaining": "4909"}, said("You have exceeded a secondary rate limit. Please wait a few minutes before you try again."), fault.RateLimitExhausted, []string{"secondary rate limit", "codespaces of acme/widgets", "quiet until"}},
		"secondary, content":       {403, nil, said("You have exceeded a secondary rate limit and have been temporarily blocked from content creation. Please retry your request again later."), fault.RateLimitExhausted, []string{"secondary"}},
		"secondary, old words":     {403, nil, said("You have triggered an abuse detection mechanism. Please wait a few minutes before you try again."), fault.RateLimitExhausted, []string{"secondary"}},
		"limit, quota left":        {403, map[string]string{"X-RateLimit-Remaining": "17"}, said("API rate limit exceeded for user ID 1."), fault.RateLimitExhausted, []string{"secondary"}},
		"429 without words":        {429, nil, "", fault.RateLimitExhausted, []string{"secondary"}},
		"not found":                {404, nil, notFound, fault.ResourceNotFound, []string{"codespaces of acme/widgets", "plan"}},
		"conflict":                 {409, nil, said("Conflict"), fault.IntegrationUnavailable, []string{"409"}},
		"version retired":          {410, nil, said("Gone"), fault.IntegrationDenied, []string{"2022-11-28", "newer octoseal"}},
		"stale key":                {422, nil, said("Bad request - validation failed due to an improperly encrypted secret"), fault.EncryptionFailed, []string{"TOKEN"}},
		"unknown key":              {422, nil, said("The key_id does not exist."), fault.EncryptionFailed, []string{"TOKEN"}},
		"key not sent":             {422, nil, said("Invalid request.\n\n\"key_id\" wasn't supplied."), fault.IntegrationDenied, []string{"invalid (422)"}},
		"name":                     {422, nil, said("Secret names must not start with GITHUB_."), fault.NameInvalid, []string{"TOKEN"}},
		"value":                    {422, nil, said("Secret value must be at most 48 KB."), fault.ValueTooLarge, []string{"49152"}},
		"full":                     {422, nil, said("The limit of 100 secrets has been reached."), fault.IntegrationDenied, []string{"as many secrets"}},
		"bad request":              {400, nil, said("Problems parsing JSON"), fault.IntegrationDenied, []string{"400"}},
		"teapot":                   {418, nil, "", fault.IntegrationDenied, []string{"418"}},
		"not modified, unasked":    {304, nil, "", fault.IntegrationDenied, []string{"304"}},
		"server":                   {500, nil, said("Server Error"), fault.IntegrationUnavailable, []string{"api.github.com answers 500"}},
		"page of a server":         {502, nil, "<html>Unicorn!</html>", fault.IntegrationUnavailable, []string{"502"}},
		"away":                     {503, map[string]string{"Retry-After": "5"}, "", fault.IntegrationUnavailable, []string{"away for now"}},
	} {
		t.Run(name, func(t *testing.T) {
			client := against(t, canned(c.status, c.header, c.body), nil)
			_, err := client.Put(t.Context(), aRepo, aName, seal(t, aKey(t, secret.Codespaces), "v"))
			wantFault(t, err, c.code, c.parts...)
			if f := fault.Of(err); f.Kind().Status == 0 {
				t.Errorf("%s is in no table", f.Code)
			}
		})
	}
}

// A limit's context is what data-model.md promises.
func TestLimitContext(t *testing.T) {
	c := against(t, canned(403, map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "60", "X-RateLimit-Reset": "4102444800"}, said("API rate limit exceeded.")), nil)
	_, err := c.List(t.Context(), aRepo, secret.Actions, nil)
	f := fault.Of(err)
	if f.Context["quotaType"] != "core" || f.Context["remaining"] != 0 || f.Context["resetAt"] != "2100-01-01T00:00:00Z" {
		t.Errorf("got %v", f.Context)
	}
}

func TestRepositoryThatIsNotThere(t *testing.T) {
	for name, c := range map[string]struct {
		header map[string]string
		part   string
	}{
		"token":         {nil, "private and not visible to OCTOSEAL_GITHUB_TOKEN"},
		"narrow scopes": {map[string]string{"X-OAuth-Scopes": ""}, "lacks the scope repo"},
		"full scopes":   {map[string]string{"X-OAuth-Scopes": "repo"}, "private and not visible"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := against(t, canned(404, c.header, notFound), nil).Repository(t.Context(), Ref{"acme", "nope"}, nil)
			wantFault(t, err, fault.ResourceNotFound, "repository acme/nope", "misspelt", c.part)
			if errors.Is(err, ErrStoreMissing) {
				t.Error("a repository is no store")
			}
		})
	}
}

func TestWorkflowTokenIsToldItNeverCan(t *testing.T) {
	s := perform(t, nil)
	token := s.AddToken(githubsim.Token{Kind: githubsim.Workflow, Repositories: []string{widgets}})
	c := s.connect(t, func(cfg *Config) { cfg.Credential = Token(token, "GITHUB_TOKEN") })
	_, err := c.List(t.Context(), s.repo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationDenied, "GITHUB_TOKEN lacks the permission secrets:read",
		"the GITHUB_TOKEN of a workflow can never write secrets", "GitHub App or a personal access token")
	if p := fault.Of(err).Context["permission"]; p != "secrets:read" {
		t.Errorf("the permission is told as %v", p)
	}
}

func TestMissingPermissionOfEveryStoreIsNamed(t *testing.T) {
	s := perform(t, nil)
	token := s.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Owner: "acme"})
	c := s.connect(t, func(cfg *Config) { cfg.Credential = Token(token, "GH_TOKEN") })
	for i, scope := range secret.Stores() {
		p := Permissions()[i]
		_, err := c.List(t.Context(), s.repo, scope, nil)
		wantFault(t, err, fault.IntegrationDenied, p.Slug+":"+p.Read, p.Title)
		_, err = c.Put(t.Context(), s.repo, aName, seal(t, aKey(t, scope), "v"))
		wantFault(t, err, fault.IntegrationDenied, p.Slug+":"+p.Write, p.Title)
	}
}

func TestExpiredTokenIsToldByItsExpiry(t *testing.T) {
	s := perform(t, nil)
	expires := s.Now().Add(time.Hour).Truncate(time.Second)
	token := s.AddToken(githubsim.Token{Expires: expires})
	c := s.connect(t, func(cfg *Config) { cfg.Credential = Token(token, "GH_TOKEN") })
	if _, err := c.List(t.Context(), s.repo, secret.Actions, nil); err != nil {
		t.Fatal(err)
	}
	s.Advance(2 * time.Hour)
	// The first answer shows that GitHub's clock has moved.
	_, err := c.List(t.Context(), s.repo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationDenied, "GH_TOKEN expired at "+expires.UTC().Format(time.RFC3339), "Make a new token")
}

func TestArchivedRepository(t *testing.T) {
	s := perform(t, nil)
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Archived = true })
	_, err := s.put(t, secret.Actions, "TOKEN", "v")
	wantFault(t, err, fault.IntegrationDenied, "archived")
}

// How long the client waits, and how often it asks.
func TestWaits(t *testing.T) {
	const second = time.Second
	soon := func(d time.Duration) map[string]string {
		return map[string]string{"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": strconv.FormatInt(time.Now().Add(d).Unix(), 10)}
	}
	for name, c := range map[string]struct {
		status      int
		header      func() map[string]string
		message     string
		wait        bool
		least, most time.Duration // until the end
		asked       int
	}{
		"5xx backs off":              {status: 502, most: (1 + 2 + 4) * second, asked: 4},
		"409 backs off":              {status: 409, most: (1 + 2 + 4) * second, asked: 4},
		"4xx does not":               {status: 404, asked: 1},
		"422 does not":               {status: 422, asked: 1},
		"retry-after wins":           {status: 429, header: func() map[string]string { return map[string]string{"Retry-After": "7"} }, least: 24 * second, most: 24*second + 1e6, asked: 4},
		"retry-after of a 403":       {status: 403, header: func() map[string]string { return map[string]string{"Retry-After": "7"} }, message: "secondary rate limit", least: 24 * second, most: 24*second + 1e6, asked: 4},
		"retry-after of a 503":       {status: 503, header: func() map[string]string { return map[string]string{"Retry-After": "7"} }, least: 24 * second, most: 24*second + 1e6, asked: 4},
		"no time named, doubling":    {status: 403, message: "secondary rate limit", least: (61 + 121 + 241) * second, most: (61+121+241)*second + 1e6, asked: 4},
		"spent quota is not waited":  {status: 403, header: func() map[string]string { return soon(time.Minute) }, message: "API rate limit exceeded", asked: 1},
		"spent quota is waited once": {status: 403, header: func() map[string]string { return soon(time.Minute) }, message: "API rate limit exceeded", wait: true, least: 3 * 60 * second, most: 3 * 62 * second, asked: 4},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				asked := 0
				client := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					asked++
					var header map[string]string
					if c.header != nil {
						header = c.header()
					}
					w.Header().Set("Date", time.Now().UTC().Format(http.TimeFormat))
					canned(c.status, header, said(c.message)).ServeHTTP(w, r)
				}), func(cfg *Config) { cfg.Retry, cfg.Wait = Retry{}, c.wait })
				began := time.Now()
				if _, err := client.Put(t.Context(), aRepo, aName, seal(t, aKey(t, secret.Actions), "v")); err == nil {
					t.Error("a refused write passed for done")
				}
				took := time.Since(began)
				if took < c.least || took > c.most || asked != c.asked {
					t.Errorf("asked %d times in %s, want %d in %s to %s", asked, took, c.asked, c.least, c.most)
				}
			})
		})
	}
}

func TestBackoffIsJitteredDoubledAndCapped(t *testing.T) {
	r := Retry{}.orDefault()
	for attempt, longest := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 6: 32 * time.Second, 7: 32 * time.Second, 80: 32 * time.Second} {
		seen := map[time.Duration]bool{}
		for range 200 {
			d := r.backoff(attempt)
			if d < 0 || d >= longest {
				t.Fatalf("attempt %d waits %s, at most %s is allowed", attempt, d, longest)
			}
			seen[d] = true
		}
		if len(seen) < 100 {
			t.Errorf("attempt %d: only %d different waits", attempt, len(seen))
		}
	}
}

func TestPauseIsToldOnceAndLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &lockedBuffer{}
		var told []Pause
		times := 0
		c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if times++; times == 1 {
				canned(403, map[string]string{"Retry-After": "9"}, said("You have exceeded a secondary rate limit.")).ServeHTTP(w, r)
				return
			}
			canned(204, nil, "").ServeHTTP(w, r)
		}), func(cfg *Config) {
			cfg.Retry, cfg.Log = Retry{}, log.logger()
			cfg.OnPause = func(p Pause) { told = append(told, p) }
		})
		began := time.Now()
		if _, err := c.Delete(t.Context(), aRepo, secret.Actions, aName); err != nil {
			t.Fatal(err)
		}
		if len(told) != 1 || !told[0].Until.Equal(began.Add(10*time.Second)) || !strings.Contains(told[0].Why, "secondary") {
			t.Errorf("told %+v", told)
		}
		if !strings.Contains(log.String(), "github pauses the credential") {
			t.Errorf("the log says nothing of it:\n%s", log)
		}
	})
}

func TestSpentQuotaIsAnsweredWithoutAsking(t *testing.T) {
	s := perform(t, nil)
	s.SetQuota(0, s.Now().Add(time.Hour))
	_, err := s.client.List(t.Context(), s.repo, secret.Actions, nil)
	wantFault(t, err, fault.RateLimitExhausted, "Reset at 20")
	s.ResetRequests()
	_, err = s.put(t, secret.Actions, "TOKEN", "v")
	wantFault(t, err, fault.RateLimitExhausted, "Reset at 20")
	if n := s.Counts().Requests; n != 0 {
		t.Errorf("%d requests were sent although the quota is spent", n)
	}
}

func TestGivingUpIsNoFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, handler := range map[string]http.Handler{
			"during the request": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }),
			"during a backoff":   canned(500, nil, ""),
			"during a pause":     canned(429, nil, ""),
		} {
			c := against(t, handler, func(cfg *Config) {
				cfg.Retry = Retry{Base: time.Hour, Cap: time.Hour, Timeout: time.Hour}
			})
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
			_, err := c.List(ctx, aRepo, secret.Actions, nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: got %v", name, err)
			}
		}
		synctest.Wait()
	})
}

func TestAnswersOfSomethingElseThanGitHub(t *testing.T) {
	for _, body := range []string{`<html>Please log in</html>`, `{}`, `[]`, `null`, ``, `{"total_count":1}`} {
		c := against(t, canned(200, nil, body), nil)
		_, err := c.List(t.Context(), aRepo, secret.Actions, nil)
		wantFault(t, err, fault.IntegrationUnavailable)
		_, _, err = c.Repository(t.Context(), aRepo.Ref(), nil)
		wantFault(t, err, fault.IntegrationUnavailable, "Check the API URL")
	}
	c := against(t, canned(200, nil, strings.Repeat(" ", maxBody+1)), nil)
	_, err := c.List(t.Context(), aRepo, secret.Actions, nil)
	wantFault(t, err, fault.IntegrationUnavailable, "longer than any")
}
