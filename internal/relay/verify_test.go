package relay

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
)

func TestOnlyGenuineTokensCount(t *testing.T) {
	i, other := newIssuer(t), newIssuer(t)
	v := newVerifier(i.URL, audience, nil, time.Now)
	c, err := v.verify(t.Context(), i.token())
	if err != nil || c.repository != 7 || c.owner != 3 || c.workflowRun != 99 || c.attempt != 1 {
		t.Fatalf("%+v, %v", c, err)
	}
	if _, err := v.verify(t.Context(), i.signWith(jwt.SigningMethodRS256, "b", i.keys["b"], i.genuine())); err != nil {
		t.Errorf("the second of several keys: %v", err)
	}
	public, err := x509.MarshalPKIXPublicKey(&i.keys["a"].PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	asSecret := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	good, ago := i.token(), func(d time.Duration) int64 { return time.Now().Add(-d).Unix() }
	for name, c := range map[string]struct {
		token string
		why   Denial
	}{
		"alg none":             {i.signWith(jwt.SigningMethodNone, "a", jwt.UnsafeAllowNoneSignatureType, i.genuine()), DeniedToken},
		"HS256, public key":    {i.signWith(jwt.SigningMethodHS256, "a", asSecret, i.genuine()), DeniedToken},
		"HS256, modulus":       {i.signWith(jwt.SigningMethodHS256, "a", i.keys["a"].N.Bytes(), i.genuine()), DeniedToken},
		"RS512":                {i.signWith(jwt.SigningMethodRS512, "a", i.keys["a"], i.genuine()), DeniedToken},
		"PS256":                {i.signWith(jwt.SigningMethodPS256, "a", i.keys["a"], i.genuine()), DeniedToken},
		"another's key":        {i.signWith(jwt.SigningMethodRS256, "a", jobKeys()[2], i.genuine()), DeniedToken},
		"another of the keys":  {i.signWith(jwt.SigningMethodRS256, "a", i.keys["b"], i.genuine()), DeniedToken},
		"a key for encryption": {i.signWith(jwt.SigningMethodRS256, "enc", i.keys["a"], i.genuine()), DeniedToken},
		"no key id":            {i.signWith(jwt.SigningMethodRS256, "", i.keys["a"], i.genuine()), DeniedToken},
		"another issuer":       {other.token(), DeniedToken},
		"issuer with a slash":  {i.token("iss", i.URL+"/"), DeniedToken},
		"another audience":     {i.token("aud", "https://github.com/acme"), DeniedToken},
		"audience and a slash": {i.token("aud", audience+"/"), DeniedToken},
		"two audiences":        {i.token("aud", []string{audience, "https://evil.example"}), DeniedToken},
		"no audience":          {i.token("aud", nil), DeniedToken},
		"expired":              {i.token("exp", ago(61*time.Second)), DeniedExpired},
		"no expiry":            {i.token("exp", nil), DeniedExpired},
		"not yet":              {i.token("nbf", ago(-90*time.Second)), DeniedExpired},
		"no jti":               {i.token("jti", nil), DeniedToken},
		"ids as numbers":       {i.token("repository_id", 7), DeniedToken},
		"no repository":        {i.token("repository_id", nil), DeniedToken},
		"no run":               {i.token("run_id", ""), DeniedToken},
		"negative run":         {i.token("run_id", "-1"), DeniedToken},
		"no attempt":           {i.token("run_attempt", nil), DeniedToken},
		"cut":                  {good[:len(good)-4], DeniedToken},
		"payload swapped":      {swapped(good, i.token("repository_id", "8")), DeniedToken},
		"endless":              {strings.Repeat("a", longestToken+1), DeniedToken},
		"noise":                {"a.b.c", DeniedToken},
		"nothing":              {"", DeniedToken},
	} {
		if got := denialOf(second(v.verify(t.Context(), c.token))); got != c.why {
			t.Errorf("%s: %q, want %q", name, got, c.why)
		}
	}
	for name, token := range map[string]string{
		"expired within the skew": i.token("exp", ago(50*time.Second)),
		"early within the skew":   i.token("nbf", ago(-50*time.Second)),
		"immutable subject":       i.token("sub", "repo:acme@3/widgets@7:ref:refs/heads/main"),
		"subject of a template":   i.token("sub", "repository_owner:acme:repository_visibility:private"),
		"no subject":              i.token("sub", nil),
		"claims of later":         i.token("issuer_scope", map[string]any{"a": 1}),
	} {
		if _, err := v.verify(t.Context(), token); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ claims, err error) error { return err }

// swapped is a token with another's payload under its own signature.
func swapped(token, other string) string {
	a, b := strings.Split(token, "."), strings.Split(other, ".")
	return a[0] + "." + b[1] + "." + a[2]
}

// A key that came overnight is found; a thousand tokens of nobody's do not make us ask a thousand times.
func TestKeysAreAskedForOnceAndRarely(t *testing.T) {
	i, now := newIssuer(t), time.Now()
	var mu sync.Mutex
	v := newVerifier(i.URL, audience, nil, func() time.Time { mu.Lock(); defer mu.Unlock(); return now })
	a := i.keys["a"]
	for range 3 {
		if _, err := v.verify(t.Context(), i.token()); err != nil {
			t.Fatal(err)
		}
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked %d times for one key", n)
	}
	i.rotate("c", jobKeys()[2])
	if _, err := v.verify(t.Context(), i.signWith(jwt.SigningMethodRS256, "c", jobKeys()[2], i.genuine())); err != nil || i.asked.Load() != 2 {
		t.Errorf("after a rotation: %v, asked %d times", err, i.asked.Load())
	}
	if _, err := v.verify(t.Context(), i.signWith(jwt.SigningMethodRS256, "a", a, i.genuine())); err == nil {
		t.Error("a key that its issuer took back still counts")
	}
	var group sync.WaitGroup
	for n := range 100 {
		group.Go(func() {
			token := i.signWith(jwt.SigningMethodRS256, fmt.Sprint("nobody's-", n), a, i.genuine())
			if why := denialOf(second(v.verify(t.Context(), token))); why != DeniedToken {
				t.Errorf("%q", why)
			}
		})
	}
	group.Wait()
	if n := i.asked.Load(); n > refetchBurst {
		t.Errorf("asked %d times", n)
	}
	i.rotate("d", jobKeys()[1])
	mu.Lock()
	now = now.Add(refetchEvery)
	mu.Unlock()
	if _, err := v.verify(t.Context(), i.signWith(jwt.SigningMethodRS256, "d", jobKeys()[1], i.genuine())); err != nil {
		t.Errorf("after a rest: %v", err)
	}
}

// A bad signature under a known key is no reason to ask.
func TestForgeriesAskNothing(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(i.URL, audience, nil, time.Now)
	for range 5 {
		_, _ = v.verify(t.Context(), i.signWith(jwt.SigningMethodRS256, "a", jobKeys()[2], i.genuine()))
	}
	if n := i.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
}

// An issuer that is away is nobody's forgery: the job is to try again.
func TestAnIssuerMayBeAway(t *testing.T) {
	i, now := newIssuer(t), time.Now()
	v := newVerifier(i.URL, audience, nil, func() time.Time { return now })
	i.down.Store(true)
	for range 5 {
		if _, err := v.verify(t.Context(), i.token()); !fault.Is(err, fault.IntegrationUnavailable) {
			t.Errorf("%v", err)
		}
	}
	i.down.Store(false)
	now = now.Add(refetchEvery)
	if _, err := v.verify(t.Context(), i.token()); err != nil {
		t.Error(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	v = newVerifier(i.URL, audience, nil, time.Now)
	v.keys.fetching <- struct{}{}
	if _, err := v.verify(gone, i.token()); err == nil || fault.Is(err, fault.RelayClaimDenied) {
		t.Errorf("a caller that went away hears %v", err)
	}
}

// An issuer that describes another one, or keys that anybody on the way could swap, is none.
func TestAnIssuerSpeaksForItself(t *testing.T) {
	i := newIssuer(t)
	v := newVerifier(strings.Replace(i.URL, "127.0.0.1", "localhost", 1), audience, nil, time.Now)
	if _, err := v.verify(t.Context(), i.token("iss", v.issuer)); !fault.Is(err, fault.IntegrationUnavailable) {
		t.Errorf("%v", err)
	}
	for url, ok := range map[string]bool{
		"https://token.example/keys": true, "http://127.0.0.1:1/keys": true, "http://[::1]/k": true, "http://localhost/k": true,
		"http://token.example/keys": false, "file:///etc/passwd": false, "/keys": false, "": false, "http://127.0.0.1.evil.example/": false,
	} {
		if err := safeURL(url); (err == nil) != ok {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// Every job that must not claim is told so by its own reason.
func TestEachDenialHasItsReason(t *testing.T) {
	repo := github.Repository{ID: 7, OwnerID: 3, Owner: "acme", Name: "widgets", DefaultBranch: "main"}
	i := newIssuer(t)
	v := newVerifier(i.URL, audience, nil, time.Now)
	const file = "acme/widgets/.github/workflows/"
	for name, c := range map[string]struct {
		change []any
		why    Denial
	}{
		"fine":                     {nil, ""},
		"a schedule":               {[]any{"event_name", "schedule"}, ""},
		"a push":                   {[]any{"event_name", "push"}, ""},
		"re-created repository":    {[]any{"repository_id", "8"}, DeniedRepository},
		"transferred":              {[]any{"repository_owner_id", "4"}, DeniedOwner},
		"pull request":             {[]any{"event_name", "pull_request", "ref", "refs/pull/1/merge", "head_ref", "x", "base_ref", "main"}, DeniedEvent},
		"pull_request_target":      {[]any{"event_name", "pull_request_target", "head_ref", "x", "base_ref", "main"}, DeniedEvent},
		"workflow_run":             {[]any{"event_name", "workflow_run"}, DeniedEvent},
		"no event":                 {[]any{"event_name", nil}, DeniedEvent},
		"push with a head":         {[]any{"event_name", "push", "head_ref", "x"}, DeniedEvent},
		"push with a base":         {[]any{"event_name", "push", "base_ref", "main"}, DeniedEvent},
		"dependabot":               {[]any{"event_name", "push", "actor", "dependabot[bot]", "ref", "refs/heads/dependabot/x"}, DeniedActor},
		"environment":              {[]any{"environment", "production"}, DeniedEnvironment},
		"empty environment":        {[]any{"environment", ""}, DeniedEnvironment},
		"other branch":             {[]any{"ref", "refs/heads/dev", "workflow_ref", file + "octoseal.yml@refs/heads/dev", "job_workflow_ref", file + "octoseal.yml@refs/heads/dev"}, DeniedBranch},
		"tag called main":          {[]any{"ref", "refs/tags/main", "ref_type", "tag"}, DeniedBranch},
		"tag called so by type":    {[]any{"ref_type", "tag"}, DeniedBranch},
		"no ref":                   {[]any{"ref", nil}, DeniedBranch},
		"other file":               {[]any{"workflow_ref", file + "evil.yml@refs/heads/main", "job_workflow_ref", file + "evil.yml@refs/heads/main"}, DeniedWorkflow},
		"file of another branch":   {[]any{"workflow_ref", file + "octoseal.yml@refs/heads/dev"}, DeniedWorkflow},
		"file of another place":    {[]any{"workflow_ref", "acme/widgets/x/.github/workflows/octoseal.yml@refs/heads/main"}, DeniedWorkflow},
		"another's required file":  {[]any{"workflow_ref", "acme/rules/.github/workflows/octoseal.yml@refs/heads/main"}, DeniedWorkflow},
		"reusable workflow":        {[]any{"job_workflow_ref", "acme/shared/.github/workflows/octoseal.yml@refs/heads/main"}, DeniedWorkflow},
		"reusable, same place":     {[]any{"job_workflow_ref", file + "other.yml@refs/heads/main"}, DeniedWorkflow},
		"nowhere defined":          {[]any{"job_workflow_ref", nil}, DeniedWorkflow},
		"ours, calling from there": {[]any{"workflow_ref", file + "evil.yml@refs/heads/main"}, DeniedWorkflow},
	} {
		claimed, err := v.verify(t.Context(), i.token(c.change...))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if err = claimed.checkJob(); err == nil {
			err = claimed.checkPlace(repo)
		}
		if got := denialOf(err); got != c.why || (err == nil) != (c.why == "") {
			t.Errorf("%s: %q, want %q (%v)", name, got, c.why, err)
		}
		if f := fault.Of(err); f != nil && (f.Hint == "" || !strings.Contains(f.Message, string(c.why))) {
			t.Errorf("%s: %q, hint %q", name, f.Message, f.Hint)
		}
	}
}
