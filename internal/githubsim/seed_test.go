package githubsim_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
)

func TestSeedIsTheSameEachTime(t *testing.T) {
	now := time.Date(2026, 11, 23, 15, 0, 0, 0, time.UTC)
	config := githubsim.Config{Now: func() time.Time { return now }}
	gh, again := githubsim.New(config), githubsim.New(config)
	demo := githubsim.Seed(gh)
	if diff := cmp.Diff(demo, githubsim.Seed(again)); diff != "" {
		t.Error(diff)
	}
	for scope, want := range map[string]int{"actions": 12, "dependabot": 10, "codespaces": 2, "environment:production": 1} {
		secrets := gh.Secrets(demo.Repository, scope)
		if len(secrets) != want {
			t.Errorf("%s: %d secrets, want %d", scope, len(secrets), want)
		}
		if diff := cmp.Diff(secrets, again.Secrets(demo.Repository, scope)); diff != "" {
			t.Errorf("%s: %s", scope, diff)
		}
	}
	for scope, want := range map[string]int{"actions": 12, "dependabot": 0, "codespaces": 0} {
		if n := len(gh.Secrets(demo.Bare, scope)); n != want {
			t.Errorf("%s of %s: %d secrets, want %d", scope, demo.Bare, n, want)
		}
	}
	c := &client{t: t, gh: gh, url: conform.Server(t, gh), token: demo.Token}
	behind := 0
	for _, s := range c.list("/repos/" + demo.Repository + "/dependabot/secrets").Secrets {
		if s.UpdatedAt.After(s.CreatedAt) {
			behind++
		}
	}
	if behind != 1 {
		t.Errorf("%d Dependabot secrets were edited since they were made, want 1", behind)
	}
}
