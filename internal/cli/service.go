package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/httpapi"
	"github.com/octoseal/octoseal/internal/httpapi/openid"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/relay"
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
	relay        *relay.Server // nil where no jobs are heard
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
	if sv.traces, err = a.traces(ctx, s.traces); err != nil {
		return nil, err
	}
	meters := httpapi.NewMeters()
	if err := sv.wire(s, meters); err != nil {
		return nil, err
	}
	if err := sv.hear(s, meters); err != nil {
		return nil, err
	}
	hooks, err := a.webhookSecrets(s.hookSecrets)
	if err != nil {
		return nil, err
	}
	sv.handler = httpapi.New(httpapi.Config{
		Store: sv.store, Service: sv.syncing, Environments: sv.environments, Learn: a.redact.Learn, Unlearn: a.redact.Unlearn, APIHost: sv.api.host(), HookSecrets: hooks, Deliver: sv.jobs.Deliver, Relay: sv.relay,
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
		Accounts: sv.accounts, Store: sv.store, Sources: sources, Relay: s.publicURL != "", APIHost: sv.api.host(), Log: a.log, Traces: sv.traces.provider,
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
		Complaint: s.complaint, Patience: s.patience,
		Metrics: jobs.Metrics{
			RunEnded: meters.RunEnded, InStep: meters.InStep, Looked: meters.Looked, Polling: meters.Polling,
			Quota: meters.Quota, Queue: meters.Queue, Replicas: meters.Replicas, Delivered: meters.Delivered,
		},
	})
	return nil
}

// hear makes the relay, where there is a URL at which jobs reach it.
func (sv *service) hear(s serving, meters *httpapi.Meters) error {
	if s.publicURL == "" {
		return nil
	}
	audience, err := reachable("--public-url", s.publicURL)
	if err != nil {
		return err
	}
	issuer := sv.api.jobIssuer()
	if s.jobIssuer != "" {
		if issuer, err = reachable("--actions-issuer", s.jobIssuer); err != nil {
			return err
		}
	}
	sv.relay = relay.NewServer(relay.Config{
		Store: sv.store, Service: sv.syncing, APIHost: sv.api.host(), Issuer: issuer, Audience: audience,
		WaitLimit: s.waitLimit, Metrics: meters.Relay(), Log: sv.app.log,
	})
	sv.app.log.Info("the relay is on", "audience", audience, "issuer", issuer)
	return nil
}

// reachable reads a URL that tokens are for or from: it is compared letter by letter, but for the
// slash at its end.
func reachable(flag, text string) (string, error) {
	text = strings.TrimRight(text, "/")
	u, err := url.Parse(text)
	switch {
	case err != nil, u.Host == "", u.User != nil, u.RawQuery != "", u.Fragment != "":
		return "", fault.Invalid("%s is not a URL with a host and nothing but a path behind it", flag).Hinting("Write it like https://octoseal.example.")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopbackHost(u.Hostname())):
		return "", fault.Invalid("%s has to begin with https://", flag).Hinting("Plain http is for this machine alone: http://127.0.0.1:8787.")
	}
	return text, nil
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
	stopped := sv.drained(ctx, s.drain)
	err := g.Wait()
	stopped()
	sv.app.log.Info("ended", "address", l.Addr().String())
	return err
}

// drained returns what waits for the runs that jobs brought the values of, once nothing is answered any
// more. Their time counts from the end of ctx, like everybody's.
func (sv *service) drained(ctx context.Context, grace time.Duration) func() {
	if sv.relay == nil {
		return func() {}
	}
	last, end := context.WithCancel(context.WithoutCancel(ctx))
	context.AfterFunc(ctx, func() { time.AfterFunc(grace, end) })
	return func() {
		defer end()
		sv.relay.Drain(last)
	}
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
