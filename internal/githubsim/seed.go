package githubsim

import "time"

// A Demo names what Seed put into a simulator.
type Demo struct {
	Repository string // full name
	Bare       string // full name of another one, with secrets in Actions alone
	Token      string // a classic token of the repository's administrator
}

// Seed fills a simulator with a repository that people have worked in for years, the same
// each time: Actions secrets of several ages, ten Dependabot secrets that somebody set by
// hand long ago and one of them again this morning, a few Codespaces secrets, an
// environment, a secret of the organisation, and people. Beside it is one whose secrets
// were set in Actions long ago, and nowhere else.
func Seed(g *GitHub) Demo {
	const (
		repo = "acme/widgets"
		day  = 24 * time.Hour
	)
	now := g.Now()
	ago := func(d time.Duration) time.Time { return now.Add(-d) }

	g.AddUser("mona")
	g.AddUser("hubot")
	g.AddOrganization("acme", "octocat")
	g.AddRepository(Repository{FullName: repo, Private: true})
	g.AddEnvironment(repo, "production")
	g.AddCollaborator(repo, "mona", RoleMaintain)
	g.AddTeam(Team{
		Organization: "acme", Slug: "platform", Members: []string{"mona", "hubot"},
		Repositories: map[string]Role{repo: RoleWrite},
	})

	fill := func(scope string, secrets []Secret) {
		for _, s := range secrets {
			g.SetSecret(repo, scope, s)
		}
	}
	fill("actions", []Secret{
		{Name: "API_BASE_URL", Value: "https://api.widgets.example", UpdatedAt: ago(700 * day)},
		{Name: "AWS_ACCESS_KEY_ID", Value: "demo-access-key", UpdatedAt: ago(410 * day)},
		{Name: "AWS_SECRET_ACCESS_KEY", Value: "demo-access-secret", UpdatedAt: ago(410 * day)},
		{Name: "DATABASE_URL", Value: "postgres://widgets:demo@db.example/widgets", UpdatedAt: ago(96 * day)},
		{Name: "DEPLOY_KEY", Value: "demo-deploy-key", UpdatedAt: ago(12 * day)},
		{Name: "DOCKER_PASSWORD", Value: "demo-docker-password", UpdatedAt: ago(365 * day)},
		{Name: "DOCKER_USERNAME", Value: "widgets-bot", UpdatedAt: ago(365 * day)},
		{Name: "NPM_TOKEN", Value: "demo-npm-token", UpdatedAt: ago(31 * day)},
		{Name: "SENTRY_DSN", Value: "https://demo@sentry.example/1", UpdatedAt: ago(520 * day)},
		{Name: "SLACK_WEBHOOK", Value: "https://hooks.example/demo", UpdatedAt: ago(233 * day)},
		{Name: "STRIPE_SECRET", Value: "demo-stripe-secret", UpdatedAt: ago(58 * day)},
		{Name: "SIGNING_KEY", Value: "-----BEGIN DEMO KEY-----\nnot a key\n-----END DEMO KEY-----\n", UpdatedAt: ago(3 * day)},
	})
	fill("dependabot", []Secret{
		{Name: "API_BASE_URL", Value: "https://api.widgets.example", UpdatedAt: ago(702 * day)},
		{Name: "AWS_ACCESS_KEY_ID", Value: "demo-access-key-of-2024", UpdatedAt: ago(702 * day)},
		{Name: "AWS_SECRET_ACCESS_KEY", Value: "demo-access-secret-of-2024", UpdatedAt: ago(702 * day)},
		{Name: "DATABASE_URL", Value: "postgres://widgets:old@db.example/widgets", UpdatedAt: ago(702 * day)},
		{Name: "DOCKER_PASSWORD", Value: "demo-docker-password", UpdatedAt: ago(702 * day)},
		{Name: "DOCKER_USERNAME", Value: "widgets-bot", UpdatedAt: ago(702 * day)},
		{Name: "NPM_TOKEN", Value: "demo-npm-token-read-only", CreatedAt: ago(702 * day), UpdatedAt: ago(3 * time.Hour)},
		{Name: "SENTRY_DSN", Value: "https://demo@sentry.example/1", UpdatedAt: ago(702 * day)},
		{Name: "SLACK_WEBHOOK", Value: "https://hooks.example/old", UpdatedAt: ago(702 * day)},
		{Name: "TWILIO_TOKEN", Value: "demo-nobody-remembers", UpdatedAt: ago(702 * day)},
	})
	fill("codespaces", []Secret{
		{Name: "DATABASE_URL", Value: "postgres://widgets:dev@localhost/widgets", UpdatedAt: ago(180 * day)},
		{Name: "NPM_TOKEN", Value: "demo-npm-token-of-last-year", UpdatedAt: ago(400 * day)},
	})
	fill("environment:production", []Secret{
		{Name: "DATABASE_URL", Value: "postgres://widgets:prod@db.example/widgets", UpdatedAt: ago(41 * day)},
	})
	g.SetOrganizationSecret("acme", Secret{Name: "ARTIFACTORY_TOKEN", Value: "demo-artifactory-token", UpdatedAt: ago(250 * day)})
	seedBare(g)
	return Demo{
		Repository: repo,
		Bare:       bare,
		Token:      g.AddToken(Token{Value: "ghp_OctosealDemo000000000000000000000000"}),
	}
}

const bare = "acme/rockets"

// seedBare adds the repository whose secrets nobody has but Actions.
func seedBare(g *GitHub) {
	const day = 24 * time.Hour
	g.AddRepository(Repository{FullName: bare, Private: true})
	for i, s := range []Secret{
		{Name: "AIRTABLE_TOKEN", Value: "demo-airtable-rockets"},
		{Name: "AWS_ACCESS_KEY_ID", Value: "demo-access-key-rockets"},
		{Name: "AWS_SECRET_ACCESS_KEY", Value: "demo-access-secret-rockets"},
		{Name: "DATABASE_URL", Value: "postgres://rockets:demo@db.example/rockets"},
		{Name: "DEPLOY_KEY", Value: "-----BEGIN DEMO KEY-----\nnot a key of rockets\n-----END DEMO KEY-----\n"},
		{Name: "DOCKER_PASSWORD", Value: "demo-docker-rockets"},
		{Name: "LAUNCH_CODE", Value: "demo \"four, three, two\" & one"},
		{Name: "NPM_TOKEN", Value: "demo-npm-token-rockets"},
		{Name: "PAGERDUTY_KEY", Value: "demo-pagerduty-rockets"},
		{Name: "SENTRY_DSN", Value: "https://demo-rockets@sentry.example/2"},
		{Name: "SLACK_WEBHOOK", Value: "https://hooks.example/demo-rockets"},
		{Name: "STRIPE_SECRET", Value: "demo-stripe-rockets"},
	} {
		s.UpdatedAt = g.Now().Add(-time.Duration(900-70*i) * day)
		g.SetSecret(bare, "actions", s)
	}
}
