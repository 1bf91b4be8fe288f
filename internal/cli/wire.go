package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// prepare follows the settings that are about the program itself: how it logs and how it looks.
func (a *app) prepare() error {
	level, err := a.settings.level()
	if err != nil {
		return err
	}
	options := &slog.HandlerOptions{Level: level}
	var to slog.Handler = slog.NewTextHandler(a.screen, options)
	if a.settings.logFormat == "json" {
		to = slog.NewJSONHandler(a.screen, options)
	}
	a.logTo(to)
	a.screen.quiet = a.settings.json
	if a.settings.noColor {
		a.screen.plain()
	}
	return nil
}

// A want is what a command needs of the database.
type want int

const (
	toRead   want = iota // as it is; none is fine, and nothing is written, not even beside it
	toRecord             // written when there is one, and none is made
	toKeep               // made when absent
)

// A session is the rooms wired together for one command about one repository.
type session struct {
	*syncing.Service
	app    *app
	api    api
	repo   github.Ref
	client *github.Client // nil for a command that asks GitHub nothing
	store  *store.Store   // nil where there is no database
	mute   bool           // the database cannot be written, so a validation is not recorded
	saving sync.WaitGroup // pauses that are being stored
}

// session opens what is remembered, and asks GitHub nothing.
func (a *app) session(ctx context.Context, repo github.Ref, w want) (*session, error) {
	i, err := a.api()
	if err != nil {
		return nil, err
	}
	s := &session{app: a, api: i, repo: repo}
	if err := s.remember(ctx, w); err != nil {
		return nil, err
	}
	if err := s.wire(nil); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// offline opens a session about the repository that is meant, for what GitHub need not be asked.
func (a *app) offline(ctx context.Context, w want) (*session, error) {
	i, err := a.api()
	if err != nil {
		return nil, err
	}
	repo, err := a.repository(ctx, i)
	if err != nil {
		return nil, err
	}
	return a.session(ctx, repo, w)
}

// aside opens a session for what makes sense without a repository, too.
func (a *app) aside(ctx context.Context, w want) (*session, error) {
	i, err := a.api()
	if err != nil {
		return nil, err
	}
	repo, err := a.repository(ctx, i)
	if err != nil && a.settings.repo != "" {
		return nil, err
	}
	return a.session(ctx, repo, w)
}

// online opens a session with GitHub about the repository that is meant.
func (a *app) online(ctx context.Context, w want) (*session, error) {
	i, err := a.api()
	if err != nil {
		return nil, err
	}
	credential, err := a.credential()
	if err != nil {
		return nil, err
	}
	repo, err := a.repository(ctx, i)
	if err != nil {
		return nil, err
	}
	return a.connected(ctx, credential, repo, w)
}

// aboutCredential opens a session with GitHub about no repository at all.
func (a *app) aboutCredential(ctx context.Context) (*session, error) {
	credential, err := a.credential()
	if err != nil {
		return nil, err
	}
	return a.connected(ctx, credential, github.Ref{}, toRead)
}

func (a *app) connected(ctx context.Context, c github.Credential, repo github.Ref, w want) (*session, error) {
	s, err := a.session(ctx, repo, w)
	if err != nil {
		return nil, err
	}
	if err := s.connect(ctx, c); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (a *app) credential() (github.Credential, error) {
	return github.FindCredential(github.Lookup{
		BaseURL: a.settings.apiURL, Getenv: a.Getenv,
	})
}

// connect makes the client, and has it respect the pause that an earlier process was told.
func (s *session) connect(ctx context.Context, credential github.Credential) error {
	a := s.app
	governor := github.NewGovernor(github.Limits{})
	client, err := github.New(github.Config{
		BaseURL: a.settings.apiURL, Credential: credential, Governor: governor, Log: a.log,
		Retry: a.settings.retry, Wait: a.settings.wait, Version: version(),
	})
	if err != nil {
		return err
	}
	s.client = client
	governor.OnPause(s.paused)
	if s.store != nil {
		limits, err := s.store.Limits(ctx, credential.Fingerprint())
		if err != nil {
			return err
		}
		for _, l := range limits {
			governor.Restore(github.Pause{Until: l.PausedUntil, Why: l.Why, Quota: l.Resource == coreResource})
		}
	}
	if p, paused := governor.Paused(); paused {
		s.tellPause(p)
	}
	return s.wire(client)
}

// The resources under which limits are stored.
const (
	coreResource      = "core"
	secondaryResource = "secondary"
)

// paused tells of a pause at once, and stores it for the next process.
func (s *session) paused(p github.Pause) {
	s.tellPause(p)
	if s.store == nil {
		return
	}
	resource := secondaryResource
	if p.Quota {
		resource = coreResource
	}
	now, credential := time.Now(), s.client.Credential().Fingerprint()
	s.saving.Go(func() {
		err := s.store.SaveLimit(context.Background(), now, store.Limit{
			Credential: credential, Resource: resource, CheckedAt: now, PausedUntil: p.Until, Why: p.Why,
		})
		if err != nil { // the pause holds in this process all the same
			s.app.log.Warn("pause not stored", "error", err)
		}
	})
}

func (s *session) tellPause(p github.Pause) {
	s.app.screen.talk("waiting until %s: %s", p.Until.Local().Format(time.TimeOnly), p.Why)
}

// wire makes the service. A nil client stays away: the service then asks GitHub nothing.
func (s *session) wire(client *github.Client) error {
	key, err := s.app.hashKey()
	if err != nil {
		return err
	}
	host, _ := os.Hostname() // for people who wonder who holds a lease
	c := syncing.Config{
		APIHost: s.api.host(), Holder: fmt.Sprintf("%s, process %d", host, os.Getpid()), Log: s.app.log,
		Settings: syncing.Settings{
			Concurrency: s.app.settings.concurrency, Lease: s.app.settings.lease, LeaseWait: s.app.settings.leaseWait, HashKey: key,
		},
		Store: syncing.Forgetful{},
	}
	switch {
	case s.mute:
		c.Store = unrecorded{s.store}
	case s.store != nil:
		c.Store = s.store
	}
	if client != nil {
		c.GitHub = client
	}
	s.Service = syncing.New(c)
	return nil
}

// remember opens the database as the command wants it.
func (s *session) remember(ctx context.Context, w want) error {
	dsn, isDefault := s.app.dsn()
	if w == toKeep && isDefault {
		if err := os.MkdirAll(filepath.Dir(dsn), 0o700); err != nil {
			return noPlace(dsn, err)
		}
	}
	if _, err := os.Stat(dsn); err != nil && isFile(dsn) && (w == toRecord || w == toRead && isDefault) {
		return nil // nothing is there, or it is out of this user's sight
	}
	opened, err := store.Open(ctx, store.Config{DSN: dsn, ReadOnly: w == toRead, Log: s.app.log})
	if errors.Is(err, store.ErrNoDatabase) && w == toRead {
		return nil
	}
	if err != nil && w == toRecord {
		if opened, readErr := store.Open(ctx, store.Config{DSN: dsn, ReadOnly: true, Log: s.app.log}); readErr == nil {
			s.app.screen.talk("note: the audit trail will not tell of this, since %s cannot be written", opened)
			s.store, s.mute = opened, true
			return nil
		}
	}
	if err != nil {
		return err
	}
	s.store = opened
	return nil
}

// unrecorded is a database that is only read, for what would be recorded if it could be.
type unrecorded struct{ *store.Store }

func (unrecorded) Record(context.Context, time.Time, store.Outcome) (audit.Head, error) {
	return audit.Head{}, nil
}

func isFile(dsn string) bool {
	return !strings.Contains(dsn, "://") && dsn != "sqlite::memory:"
}

func noPlace(dsn string, err error) error {
	why := err.Error()
	var at *fs.PathError
	if errors.As(err, &at) {
		why = at.Path + ": " + at.Err.Error()
	}
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": "there is no place for " + dsn + ": " + why}).
		Hinting("Name another place: --database FILE. octoseal plan needs none.").Because(err)
}

// close gives back what the session holds. What was asked for is done by then, so an error is for
// the log.
func (s *session) close() {
	s.saving.Wait()
	if s.client != nil {
		s.client.CloseIdle()
	}
	if s.store != nil {
		if err := s.store.Close(); err != nil {
			s.app.log.Error("database not closed", "error", err)
		}
	}
}
