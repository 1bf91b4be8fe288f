package relay

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/redact"
	"github.com/octoseal/octoseal/internal/secret"
)

// A RunnerConfig is what a job gives its runner. All but Audience, SyncID, Part, Client, Patience and
// Version is required.
type RunnerConfig struct {
	Server   *url.URL // https, or http to loopback
	Audience string   // of the ID token; the server's URL when empty
	SyncID   string   // the run that the job was dispatched for; empty for a schedule or a push
	Pins     Pins
	// Values returns what the job has of the names asked for. A name that it does not know is left
	// out, which tells absent from empty. The runner zeroes what it is given.
	Values func(names []secret.Name) (map[secret.Name]secret.Plaintext, error)
	// IDTokenURL and IDToken are ACTIONS_ID_TOKEN_REQUEST_URL and …_TOKEN, by which a job asks for ID
	// tokens. They are empty in a job without the permission id-token: write.
	IDTokenURL string
	IDToken    secret.Plaintext
	// Part is set in a step that has only some of the values.
	Part Part
	// Client carries the requests. Nil goes through the proxy that the environment names. Redirects
	// are never followed, whatever the client says.
	Client *http.Client
	// Patience is how long one message is repeated before the runner claims anew; zero is 10 s.
	Patience time.Duration
	Version  string // of the program, for the User-Agent
	// Redact learns every value and token that passes, and is what the runner logs to.
	Redact *redact.Handler
}

const (
	// turns is how often a runner claims: once, and three times more when a session got lost.
	turns = 4
	// longestJob bounds all of it. GitHub's own bound is six hours.
	longestJob = 20 * time.Minute

	defaultPatience = 10 * time.Second
)

// A runner is the relay's side in a job.
type runner struct {
	RunnerConfig
	client *http.Client
	log    *slog.Logger
}

// Run carries the values that the server asks for, sealed, from a job to the server, and returns how
// the run went there. It seals for pinned keys alone; an unpinned one ends the job, and the run with
// it. Errors are faults, but for that of a context that ended.
func Run(ctx context.Context, cfg RunnerConfig) (Report, error) {
	r, err := newRunner(cfg)
	if err != nil {
		return Report{}, err
	}
	defer r.client.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, longestJob)
	defer cancel()
	for turn := 1; ; turn++ {
		report, err := r.turn(ctx)
		if turn == turns || !isLost(err) {
			return report, err
		}
		r.log.WarnContext(ctx, "claiming anew", "turn", turn, "because", err)
	}
}

// newRunner refuses what can be known to be wrong before anybody is asked anything.
func newRunner(cfg RunnerConfig) (*runner, error) {
	if id, err := uuid.Parse(cfg.SyncID); cfg.SyncID != "" && (err != nil || cfg.SyncID != id.String()) {
		return nil, fault.Invalid("the sync id is no UUID").
			Hinting("Leave it empty to start a run of its own; else it is the id of the run that the server dispatched the workflow for.")
	}
	if err := checkAddress("the server's URL", cfg.Server); err != nil {
		return nil, err
	}
	if err := cfg.Part.check(); err != nil {
		return nil, err
	}
	if len(cfg.Pins) == 0 {
		return nil, fault.Invalid("no key is pinned").Hinting("octoseal init writes the workflow with its pins.")
	}
	if cfg.IDTokenURL == "" || cfg.IDToken.Len() == 0 {
		return nil, fault.New(fault.IntegrationDenied, fault.Context{"reason": "this job may not ask for an ID token"}).
			Hinting("Give the job permissions: {id-token: write}, as octoseal init does. A pull request from a fork never gets it.")
	}
	if cfg.Audience == "" {
		cfg.Audience = cfg.Server.String()
	}
	if cfg.Patience == 0 {
		cfg.Patience = defaultPatience
	}
	cfg.Redact.Learn(cfg.IDToken)
	return &runner{RunnerConfig: cfg, client: direct(cfg.Client), log: slog.New(cfg.Redact)}, nil
}

// turn is one claim and what follows from it.
func (r *runner) turn(ctx context.Context) (Report, error) {
	c, err := r.claim(ctx)
	if err != nil {
		return Report{}, err
	}
	sealed, err := r.fulfil(c)
	if err != nil {
		return Report{}, r.giveUp(ctx, c, err)
	}
	if !r.Part.isLast() {
		return r.setAside(ctx, c, sealed)
	}
	if err := r.send(ctx, c, sealed); err != nil {
		if isLost(err) {
			return Report{}, err
		}
		return Report{}, r.giveUp(ctx, c, err)
	}
	return r.finish(ctx, c, nil)
}

// fulfil makes everything that is sent for a claim.
func (r *runner) fulfil(c Claim) ([]Sealed, error) {
	a, err := r.accept(c)
	if err != nil {
		return nil, err
	}
	sealed, err := r.seal(a)
	if err != nil || !r.Part.isLast() {
		return sealed, err
	}
	return r.completed(a, sealed)
}

// failures are the codes that a run may be ended with from here.
var failures = map[fault.Code]bool{
	fault.EncryptionFailed: true, fault.SourceUnavailable: true, fault.RequestInvalid: true, fault.ValueTooLarge: true,
}

// giveUp has the server end the run for the reason that the job ends for, so that whoever waits for
// it hears it at once. It returns that reason.
func (r *runner) giveUp(ctx context.Context, c Claim, why error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f := fault.Of(why)
	told := Failure{Code: f.Code, Message: r.Redact.String(f.Message), Hint: r.Redact.String(f.Hint)}
	if !failures[told.Code] {
		told.Code = fault.RequestInvalid
	}
	if _, err := r.finish(ctx, c, &told); err != nil {
		r.log.WarnContext(ctx, "the server was not told", "error", err)
	}
	return why
}

// finish ends the session and waits for the run. With a failure there is nothing to wait for.
func (r *runner) finish(ctx context.Context, c Claim, failure *Failure) (Report, error) {
	for began := time.Now(); ; {
		var report Report
		err := r.post(ctx, exchange{
			path: FinishPath, bearer: c.Session, into: &report,
			body: FinishRequest{Version: Version, SyncID: c.SyncID.String(), Failure: failure},
		})
		if err != nil || report.Done || failure != nil {
			return r.repeatable(report), err
		}
		if time.Since(began) > SessionLife {
			return r.repeatable(report), fault.New(fault.StoreUnavailable, fault.Context{"reason": "the session is over"}).
				Saying("the values were handed on, and the run is still going on when the session is over").
				Hinting("The server carries it out; look at it there.")
		}
		if err := sleep(ctx, r.Patience/tries); err != nil {
			return Report{}, err
		}
	}
}

// repeatable makes every text of a report safe to show.
func (r *runner) repeatable(report Report) Report {
	text := func(s *string) { *s = tame(r.Redact.String(*s)) }
	text(&report.State)
	for i := range report.Outcomes {
		o := &report.Outcomes[i]
		if o.Code != "" {
			o.Code = fault.KindOf(o.Code).Code
		}
		for _, s := range []*string{&o.SecretName, &o.Scope, &o.Verb, &o.Error, &o.Hint} {
			text(s)
		}
	}
	if f := report.Failure; f != nil {
		f.Code = fault.KindOf(f.Code).Code
		text(&f.Message)
		text(&f.Hint)
	}
	return report
}

// checkAddress refuses a URL that a token must not be sent to.
func checkAddress(what string, u *url.URL) error {
	switch {
	case u == nil || u.Host == "" || u.Opaque != "" || u.User != nil || u.Fragment != "":
		return fault.Invalid("%s is no URL with a host and without a user", what).Hinting("Write it like https://octoseal.example")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return fault.Invalid("%s is not https, which would show a token to everybody on the way", what).
			Hinting("Use https, or http to this machine only.")
	}
	return nil
}

// sleep waits, or returns why ctx ended first.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A lostError is one after which a new claim may help: the session's process is gone, or nobody
// answered for as long as the patience lasts.
type lostError struct{ error }

func (e lostError) Unwrap() error { return e.error }

func isLost(err error) bool {
	var lost lostError
	return errors.As(err, &lost)
}
