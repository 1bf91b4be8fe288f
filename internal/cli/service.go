package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/httpapi"
	"github.com/octoseal/octoseal/internal/httpapi/openid"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"golang.org/x/sync/errgroup"
)

// A service is the rooms wired together for one process that serves.
type service struct {
	app          *app
	api          api
	credential   github.Credential
	store        *store.Store
	accounts     *syncing.Accounts
	syncing      *syncing.Service
	environments *environment.Service
	jobs         *jobs.Jobs
	handler      http.Handler
	traces       traces
}

// service opens and wires everything, and asks GitHub nothing yet.
func (a *app) service(ctx context.Context, s serving) (_ *service, err error) {
	sv := &service{app: a}
	defer func() {
		if err != nil {
			sv.close()
		}
	}()
	if sv.api, err = a.api(); err != nil {
		return nil, err
	}
	if sv.credential, err = a.credential(); err != nil {
		return nil, err
	}
	if err := sv.open(ctx, s); err != nil {
		return nil, err
	}
	meters := httpapi.NewMeters()
	if err := sv.wire(s, meters); err != nil {
		return nil, err
	}
	if sv.traces, err = a.traces(ctx, s.traces); err != nil {
		return nil, err
	}
	hooks, err := a.webhookSecrets(s.hookSecrets)
	if err != nil {
		return nil, err
	}
	sv.handler = httpapi.New(httpapi.Config{
		Store: sv.store, Service: sv.syncing, Environments: sv.environments, Learn: a.redact.Learn, Unlearn: a.redact.Unlearn, APIHost: sv.api.host(), HookSecrets: hooks, Deliver: sv.jobs.Deliver,
		Gatekeepers: gatekeepers(s), Meters: meters, Traces: sv.traces.provider,
		UserRate: rateOf(s.userRate), ProjectRate: rateOf(s.projectRate), WaitLimit: s.waitLimit, Version: version(), Log: a.log,
	})
	return sv, nil
}

func (sv *service) open(ctx context.Context, s serving) error {
	dsn, isDefault := sv.app.dsn()
	if isDefault {
		if err := os.MkdirAll(filepath.Dir(dsn), 0o700); err != nil {
			return noPlace(dsn, err)
		}
	}
	var err error
	sv.store, err = store.Open(ctx, store.Config{DSN: dsn, Queue: true, MaxConns: s.connections, Log: sv.app.log})
	return err
}

// wire makes what works: the clients, the service about projects, and the jobs.
func (sv *service) wire(s serving, meters *httpapi.Meters) error {
	a := sv.app
	origins, err := a.origins(s.sources)
	if err != nil {
		return err
	}
	sources, err := syncing.NewSources(origins, source.Options{Stderr: a.Err, Environ: func() []string { return a.Environ }})
	if err != nil {
		return err
	}
	sources.Learn = a.redact.Learn
	key, err := a.hashKey()
	if err != nil {
		return err
	}
	sv.accounts, err = syncing.NewAccounts(github.Config{
		BaseURL: a.settings.apiURL, Credential: sv.credential, Log: a.log, Retry: a.settings.retry, Version: version(),
		OnRequest: func(e github.Exchange) { meters.Requested(e.Credential, e.Billed) },
	}, sv.store, nil)
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // for people who wonder who holds a lease
	sv.syncing = syncing.New(syncing.Config{
		Accounts: sv.accounts, Store: sv.store, Sources: sources, APIHost: sv.api.host(), Log: a.log,
		Holder: fmt.Sprintf("%s, process %d", host, os.Getpid()),
		Settings: syncing.Settings{
			Concurrency: a.settings.concurrency, Lease: a.settings.lease, LeaseWait: a.settings.leaseWait, HashKey: key,
			FullRun: s.schedule.orNever(),
		},
	})
	sv.environments = a.environmentsFor(sv, s.waitLimit, key)
	sv.jobs = jobs.New(jobs.Config{
		Store: sv.store, Service: sv.syncing, Environments: sv.environments, Accounts: sv.accounts, APIHost: sv.api.host(), Log: a.log,
		Interval: s.poll.orNever(), Drift: s.drift.orNever(), Roster: s.roster, Lapse: a.settings.lease.Lapse, Grace: s.drain,
		Metrics: jobs.Metrics{
			RunEnded: meters.RunEnded, InStep: meters.InStep, Looked: meters.Looked, Polling: meters.Polling,
			Quota: meters.Quota, Queue: meters.Queue, Replicas: meters.Replicas, Delivered: meters.Delivered,
		},
	})
	return nil
}

// rateOf is a budget that lets twice a minute's worth through after a quiet time.
func rateOf(perMinute int) httpapi.Rate {
	return httpapi.Rate{PerMinute: perMinute, Burst: 2 * perMinute}
}

func gatekeepers(s serving) []httpapi.Gatekeeper {
	if s.oidcIssuer == "" {
		return nil
	}
	return []httpapi.Gatekeeper{openid.New(openid.Issuer{URL: s.oidcIssuer, Audience: s.oidcAud, LoginClaim: s.oidcClaim}, nil)}
}

// run answers and works side by side, until ctx ends or one of the two cannot go on. Runs under way
// outlast the requests that wait for them, since both are given the same time.
func (sv *service) run(ctx context.Context, l net.Listener, s serving) error {
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		return httpapi.Serve(ctx, l, sv.handler, httpapi.Serving{Drain: s.drain, WaitLimit: s.waitLimit, Log: sv.app.log})
	})
	g.Go(func() error { return sv.jobs.Run(ctx) })
	err := g.Wait()
	sv.app.log.Info("ended", "address", l.Addr().String())
	return err
}

// close gives back what the service holds, in the order in which it is needed.
func (sv *service) close() {
	err := sv.traces.close()
	if sv.accounts != nil {
		sv.accounts.Close()
	}
	if sv.store != nil {
		err = errors.Join(err, sv.store.Close())
	}
	if err != nil { // what was asked for is done by then
		sv.app.log.Error("not closed", "cause", err)
	}
}
