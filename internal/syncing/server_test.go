package syncing_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A server is a service for many projects in a world, with one source of values in a file.
type server struct {
	*world
	accounts *syncing.Accounts
	service  *syncing.Service
	project  store.Project
	file     string
}

func newServer(t *testing.T) *server {
	w := newWorld(t)
	s := &server{world: w, file: filepath.Join(t.TempDir(), ".env")}
	s.accounts, s.service = s.process()
	found, err := s.service.Repository(t.Context(), github.Ref{Owner: "acme", Name: "widgets"})
	if err != nil {
		t.Fatal(err)
	}
	s.project, err = w.db.EnsureProject(t.Context(), time.Now(), store.Project{
		APIHost: w.host(), Owner: "acme", Repo: "widgets", RepositoryID: found.ID, ValueSource: "source:local", AutoSync: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// process returns what another process on the same database has.
func (s *server) process() (*syncing.Accounts, *syncing.Service) {
	s.t.Helper()
	accounts, err := syncing.NewAccounts(github.Config{
		BaseURL: s.url, Credential: github.Token(s.token, "the test's token"), Retry: github.Retry{Base: time.Millisecond, Retries: -1},
	}, s.db, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(accounts.Close)
	origin, err := syncing.ParseOrigin("local=file:" + s.file + ",acme/widgets")
	if err != nil {
		s.t.Fatal(err)
	}
	sources, err := syncing.NewSources([]syncing.Origin{origin}, source.Options{})
	if err != nil {
		s.t.Fatal(err)
	}
	return accounts, syncing.New(syncing.Config{Accounts: accounts, Sources: sources, Store: s.db, APIHost: s.host(), Holder: "test", Settings: quick})
}

// queued stores a run as it waits in the queue.
func (s *server) queued() store.Run {
	s.t.Helper()
	r := store.Run{ID: uuid.New(), Project: s.project.ID, Actor: store.Scheduler, Trigger: store.Polled, State: store.Queued, StartedAt: time.Now()}
	if err := s.db.BeginRun(s.t.Context(), r); err != nil {
		s.t.Fatal(err)
	}
	return r
}

func (s *server) bound() *syncing.Bound {
	s.t.Helper()
	b, err := s.service.For(s.t.Context(), s.project.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	return b
}

func (s *server) writeFile(text string) {
	s.t.Helper()
	if err := os.WriteFile(s.file, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

func TestAQueuedRunTakesItsRowUpAndLeavesItsResult(t *testing.T) {
	s := newServer(t)
	s.writeFile("TOKEN=one\nNEXT=two\n")
	run := s.queued()
	res, err := s.bound().Run(t.Context(), run, syncing.Order{}, nil)
	if err != nil || res.SyncedCount != 2 || res.CorrelationID != run.ID {
		t.Fatalf("%v: %+v", err, res)
	}
	s.everywhere(values{"TOKEN": "one", "NEXT": "two"})
	record, _, err := s.db.Run(t.Context(), run.ID)
	if err != nil || record.State != store.Succeeded || record.Trigger != store.Polled || record.Total != 2 || record.Writes != 6 {
		t.Fatalf("%v: %+v", err, record)
	}
	var kept syncing.Result
	if err := json.Unmarshal(record.Result, &kept); err != nil || !cmp.Equal(kept.SyncedCount, 2) || len(kept.Actions) != 6 {
		t.Errorf("%v: %s", err, record.Result)
	}
	if _, err := s.bound().Run(t.Context(), run, syncing.Order{}, nil); !errors.Is(err, store.ErrRunFinished) {
		t.Errorf("a run that ended begins again: %v", err)
	}
	idle := s.queued()
	if _, err := s.bound().Run(t.Context(), idle, syncing.Order{}, nil); err != nil {
		t.Fatal(err)
	}
	if record, _, _ = s.db.Run(t.Context(), idle.ID); len(record.Result) > 600 {
		t.Errorf("a run that did nothing leaves %d bytes: %s", len(record.Result), record.Result)
	}
	if strings.Contains(string(record.Result), "one") {
		t.Error("a value stands in a result")
	}
	s.intact()
}

func TestAQueuedRunDoesNotWaitForTheLease(t *testing.T) {
	s := newServer(t)
	s.writeFile("TOKEN=one\n")
	lease, err := s.db.Acquire(t.Context(), time.Now(), store.LeaseRequest{Project: s.project.ID, Run: uuid.New(), Holder: "another"})
	if err != nil {
		t.Fatal(err)
	}
	run := s.queued()
	var held *store.ErrLeaseHeld
	if _, err := s.bound().Run(t.Context(), run, syncing.Order{}, nil); !errors.As(err, &held) {
		t.Fatalf("%v", err)
	}
	if record, _, _ := s.db.Run(t.Context(), run.ID); record.State != store.Queued {
		t.Errorf("it is %s", record.State)
	}
	if err := lease.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.bound().Run(t.Context(), run, syncing.Order{}, nil); err != nil {
		t.Error(err)
	}
}

func TestWhereAProjectHasItsValuesFrom(t *testing.T) {
	for _, c := range []struct {
		name, valueSource, owner, file, reason string
		code                                   fault.Code
	}{
		{"none", "", "acme", "A=1\n", "this server has no address", fault.SourceUnavailable},
		{"relay", "relay", "acme", "A=1\n", "this server has no address", fault.SourceUnavailable},
		{"unknown", "source:other", "acme", "A=1\n", "no source called other", fault.SourceUnavailable},
		{"not for this repository", "source:local", "globex", "A=1\n", "not for globex/widgets", fault.SourceUnavailable},
		{"no file", "source:local", "acme", "", "there is no file", fault.SourceUnavailable},
		{"an entry that is no secret", "source:local", "acme", "A=1\nB=\n", "line 2", fault.RequestInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t)
			if c.file != "" {
				s.writeFile(c.file)
			}
			p := s.project
			p.ValueSource, p.Owner = c.valueSource, c.owner
			run := s.queued()
			_, err := s.service.Bind(p).Run(t.Context(), run, syncing.Order{}, nil)
			if !fault.Is(err, c.code) || !strings.Contains(err.Error(), c.reason) {
				t.Errorf("%v", err)
			}
			record, _, _ := s.db.Run(t.Context(), run.ID)
			if record.State != store.RunFailed || record.Code != c.code || !strings.Contains(string(record.Result), c.reason) {
				t.Errorf("%s %s: %s", record.State, record.Code, record.Result)
			}
			if n := s.sim.Counts().Writes; n != 0 {
				t.Errorf("%d writes", n)
			}
		})
	}
}

func TestParseOrigin(t *testing.T) {
	ref := func(name string) github.Ref { return github.Ref{Owner: "acme", Name: name} }
	for text, want := range map[string]syncing.Origin{
		"local=file:.env,acme/widgets":               {Name: "local", From: "file:.env", Repositories: []github.Ref{ref("widgets")}},
		"v=exec:sops -d a,b.yaml,acme/a,acme/b":      {Name: "v", From: "exec:sops -d a,b.yaml", Repositories: []github.Ref{ref("a"), ref("b")}},
		"local=env:PREFIX_,acme/widgets":             {Name: "local", From: "env:PREFIX_", Repositories: []github.Ref{ref("widgets")}},
		"a.b-c_1=/etc/secrets/all.json,acme/widgets": {Name: "a.b-c_1", From: "/etc/secrets/all.json", Repositories: []github.Ref{ref("widgets")}},
	} {
		got, err := syncing.ParseOrigin(text)
		if err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s: %v %s", text, err, cmp.Diff(want, got))
		}
	}
	for _, bad := range []string{"", "local", "local=file:.env", "=file:.env,acme/widgets", "local=-,acme/widgets", "local=,acme/widgets", "a b=.env,acme/widgets"} {
		if _, err := syncing.ParseOrigin(bad); !fault.Is(err, fault.RequestInvalid) {
			t.Errorf("%q passes: %v", bad, err)
		}
	}
}

// A pause that one process was told of holds in the others before they send the next thing.
func TestAPauseIsEverybodys(t *testing.T) {
	s := newServer(t)
	s.writeFile("TOKEN=one\n")
	others, _ := s.process()
	if _, paused := others.Client(t.Context(), "acme").Governor().Paused(); paused {
		t.Fatal("paused from the start")
	}
	s.sim.SetQuota(0, s.sim.Now().Add(20*time.Minute))
	if _, err := s.bound().Run(t.Context(), s.queued(), syncing.Order{}, nil); !fault.Is(err, fault.RateLimitExhausted) {
		t.Fatalf("%v", err)
	}
	s.accounts.Close() // what was under way is stored
	time.Sleep(1100 * time.Millisecond)
	pause, paused := others.Client(t.Context(), "acme").Governor().Paused()
	if !paused || !pause.Quota || time.Until(pause.Until) < 19*time.Minute {
		t.Errorf("the other process knows of %+v", pause)
	}
}

func TestStatusOfAProjectAsksGitHubNothing(t *testing.T) {
	s := newServer(t)
	s.writeFile("TOKEN=one\n")
	if _, err := s.bound().Run(t.Context(), s.queued(), syncing.Order{}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.accounts.SaveQuotas(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.sim.ResetRequests()
	_, fresh := s.process()
	b, err := fresh.For(t.Context(), s.project.ID)
	if err != nil {
		t.Fatal(err)
	}
	st, err := b.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	next := st.NextScheduledSyncAt
	if st.Status != syncing.StateSynced || next == nil || time.Until(*next) < 5*time.Hour || time.Until(*next) > 7*time.Hour {
		t.Errorf("%+v, next %v", st, next)
	}
	if q := st.QuotaRemaining; q.Unlimited || q.Core == 0 || q.Core >= 5000 || q.Secrets != syncing.WritesPerHour-3 {
		t.Errorf("quota %+v", q)
	}
	if c := s.sim.Counts(); c.Requests != 0 {
		t.Errorf("%d requests", c.Requests)
	}
	s.accounts.SetPolling("acme", 3*time.Minute, time.Minute)
	if st, err = s.bound().Status(t.Context()); err != nil || len(st.Notices) != 1 || !strings.Contains(st.Notices[0].Message, "every 3m0s") {
		t.Errorf("%v: stretched polling is not told: %+v", err, st.Notices)
	}
}

// Whatever a project's repository is called, it is the one with its number.
func TestAProjectIsBoundToItsRepository(t *testing.T) {
	s := newServer(t)
	s.writeFile("TOKEN=one\n")
	s.sim.DeleteRepository(repo)
	s.sim.AddRepository(githubsim.Repository{FullName: repo})
	if _, err := s.bound().Run(t.Context(), s.queued(), syncing.Order{}, nil); !errors.Is(err, github.ErrReplaced) {
		t.Errorf("%v", err)
	}
	if len(s.sim.Secrets(repo, "actions")) != 0 {
		t.Error("another repository was given the values")
	}
}

func TestValidationWithoutHashes(t *testing.T) {
	s := newServer(t)
	s.writeFile("TOKEN=one\n")
	if _, err := s.bound().Run(t.Context(), s.queued(), syncing.Order{}, nil); err != nil {
		t.Fatal(err)
	}
	s.edit(secret.Dependabot, "TOKEN", "theirs")
	v, err := s.bound().Validate(context.Background(), syncing.ValidateRequest{Actor: store.Local})
	if err != nil || len(v.Conflicts) != 1 || len(v.Conflicts[0].ValueHashes) == 0 {
		t.Fatalf("%v: %+v", err, v)
	}
	for _, c := range v.WithoutHashes().Conflicts {
		if len(c.ValueHashes) != 0 || fmt.Sprint(c.SecretName) != "TOKEN" {
			t.Errorf("%+v", c)
		}
	}
	if len(v.Conflicts[0].ValueHashes) == 0 {
		t.Error("the validation itself lost its hashes")
	}
}
