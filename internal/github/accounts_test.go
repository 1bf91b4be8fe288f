package github

import (
	"fmt"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
)

func TestOneClientForATokenAndOneForEachAccountOfAnApp(t *testing.T) {
	s := perform(t, nil)
	cfg := Config{BaseURL: s.url, Credential: Token(s.token, "OCTOSEAL_GITHUB_TOKEN"), Retry: quick}
	shared, err := NewAccounts(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(shared.CloseIdle)
	if shared.Client("acme") != shared.Client("globex") {
		t.Error("a token has two clients, and so two governors")
	}

	permissions := githubsim.Permissions{"secrets": "write", "dependabot_secrets": "write", "codespaces_secrets": "write"}
	app := s.AddApp(githubsim.App{Slug: "octoseal", Permissions: permissions})
	s.AddOrganization("globex")
	s.AddRepository(githubsim.Repository{FullName: "globex/things"})
	for _, account := range []string{"acme", "globex"} {
		s.Install(githubsim.Installation{App: app.ID, Account: account})
	}
	if cfg.Credential, err = App(AppConfig{ID: fmt.Sprint(app.ID), PrivateKey: app.PrivateKeyPEM()}); err != nil {
		t.Fatal(err)
	}
	made := 0
	each, err := NewAccounts(cfg, func(*Client) { made++ })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(each.CloseIdle)
	each.SetShare(2)
	acme, globex := each.Client("Acme"), each.Client("globex")
	if acme != each.Client("acme") || acme == globex || made != 2 || len(each.All()) != 2 {
		t.Errorf("%d clients made, %d known", made, len(each.All()))
	}
	if acme.Credential().Fingerprint() == globex.Credential().Fingerprint() || acme.Governor() == globex.Governor() {
		t.Error("two installations share a fingerprint or a governor")
	}
	if room := globex.Governor().Room(); room != defaultPoints/2 {
		t.Errorf("room for %d points as one of two replicas", room)
	}
	for _, c := range []struct {
		client *Client
		ref    Ref
	}{{acme, Ref{"acme", "widgets"}}, {globex, Ref{"globex", "things"}}} {
		if _, _, err := c.client.Repository(t.Context(), c.ref, nil); err != nil {
			t.Errorf("%s: %v", c.ref, err)
		}
	}
}

func TestGlanceCostsNothingWhileNothingChanges(t *testing.T) {
	for _, count := range []int{0, 3, 250} {
		t.Run(fmt.Sprint(count), func(t *testing.T) {
			s := perform(t, nil)
			for i := range count {
				s.SetSecret(widgets, "actions", githubsim.Secret{Name: fmt.Sprintf("S_%03d", i), Value: "x"})
			}
			list, err := s.client.List(t.Context(), s.repo, secret.Actions, nil)
			if err != nil {
				t.Fatal(err)
			}
			known := list.Mark()
			s.ResetRequests()
			again, err := s.client.Glance(t.Context(), s.repo, secret.Actions, known)
			if err != nil || again.Digest != known.Digest {
				t.Fatalf("%v: %d, was %d", err, again.Digest, known.Digest)
			}
			if c := s.Counts(); c.Billed != 0 || c.Requests != known.Requests() {
				t.Errorf("%+v for %d pages", c, known.Requests())
			}
			s.Advance(3 * time.Second)
			s.SetSecret(widgets, "actions", githubsim.Secret{Name: "S_002", Value: "y"})
			after, err := s.client.Glance(t.Context(), s.repo, secret.Actions, again)
			if err != nil || after.Digest == known.Digest || !after.Newest.After(known.Newest) {
				t.Errorf("a change was not seen: %v, %s after %s", err, after.Newest, known.Newest)
			}
			other := s.connect(t, func(c *Config) { c.Credential = Token(s.AddToken(githubsim.Token{}), "another") })
			if same, err := other.Glance(t.Context(), s.repo, secret.Actions, after); err != nil || same.Digest != after.Digest {
				t.Errorf("another token's ETag makes it another list: %v", err)
			}
		})
	}
}
