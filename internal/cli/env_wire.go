package cli

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// environments makes the service about environments, over the client and the memory of the session.
func (s *session) environments() (*environment.Service, error) {
	key, err := s.app.hashKey()
	if err != nil {
		return nil, err
	}
	c := s.app.environmentConfig(s.api, key)
	c.GitHub, c.Store = s.client, environment.Forgetful{}
	switch {
	case s.mute:
		c.Store = unnoted{s.store}
	case s.store != nil:
		c.Store = s.store
	}
	return environment.New(c), nil
}

// environmentsFor makes the same for a process that serves. A request that finds a project busy is
// answered within its time.
func (a *app) environmentsFor(sv *service, waitLimit time.Duration, key []byte) *environment.Service {
	c := a.environmentConfig(sv.api, key)
	c.Accounts, c.Store = sv.accounts, sv.store
	c.Settings.LeaseWait = min(c.Settings.LeaseWait, waitLimit/2)
	return environment.New(c)
}

func (a *app) environmentConfig(i api, key []byte) environment.Config {
	host, _ := os.Hostname() // for people who wonder who holds a lease
	return environment.Config{
		Resources: a.resources(), APIHost: i.host(), Holder: fmt.Sprintf("%s, process %d", host, os.Getpid()), Log: a.log,
		Settings: environment.Settings{Concurrency: a.settings.concurrency, Lease: a.settings.lease, LeaseWait: a.settings.leaseWait, HashKey: key},
	}
}

// resources are the credentials for what environments are linked to, under the names that Neon's and
// Cloudflare's own tools have for them.
func (a *app) resources() *environment.Resources {
	return &environment.Resources{
		NeonAPIKey: a.credentialIn("NEON_API_KEY"), NeonProject: a.Getenv("NEON_PROJECT_ID"), NeonURL: a.Getenv("OCTOSEAL_NEON_API_URL"),
		CloudflareToken: a.credentialIn("CLOUDFLARE_API_TOKEN"), CloudflareAccount: a.Getenv("CLOUDFLARE_ACCOUNT_ID"),
		CloudflareURL: a.Getenv("OCTOSEAL_CLOUDFLARE_API_URL"),
	}
}

func (a *app) credentialIn(variable string) secret.Plaintext {
	p := secret.NewPlaintext([]byte(a.Getenv(variable)))
	a.redact.Learn(p)
	return p
}

// unnoted is a database that is only read, for a validation that would be recorded if it could be.
type unnoted struct{ *store.Store }

func (unnoted) RecordEnvironments(context.Context, time.Time, store.EnvironmentOutcome) (audit.Head, error) {
	return audit.Head{}, nil
}
