package jobs_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/jobs"
)

// An App that is installed on two accounts keeps both in step, each with its own quota.
func TestTwoInstallationsOfAnApp(t *testing.T) {
	w := newWorld(t, memoryDSN)
	permissions := githubsim.Permissions{"secrets": "write", "dependabot_secrets": "write", "codespaces_secrets": "write"}
	app := w.sim.AddApp(githubsim.App{Slug: "octoseal", Permissions: permissions})
	names := []string{repo, "globex/things"}
	for _, n := range names {
		w.project(n)
	}
	for _, account := range []string{"acme", "globex"} {
		w.sim.Install(githubsim.Installation{App: app.ID, Account: account})
	}
	credential, err := github.App(github.AppConfig{ID: fmt.Sprint(app.ID), PrivateKey: app.PrivateKeyPEM()})
	if err != nil {
		t.Fatal(err)
	}
	w.write(values{"TOKEN": "one"})
	var mu sync.Mutex
	polled := map[string]int{}
	w.replica(func(j *jobs.Config, gh *github.Config) {
		gh.Credential = credential
		j.Metrics.Polling = func(credential string, projects int, _, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			polled[credential] = projects
		}
	}, names...).run()
	everywhere := func(v values) func() bool {
		return func() bool { return w.holds(names[0], v) && w.holds(names[1], v) }
	}
	w.eventually("both in step", 10*time.Second, everywhere(values{"TOKEN": "one"}))
	w.write(values{"TOKEN": "two"})
	w.eventually("both follow", 10*time.Second, everywhere(values{"TOKEN": "two"}))
	mu.Lock()
	defer mu.Unlock()
	if len(polled) != 2 {
		t.Errorf("polled credentials: %v", polled)
	}
	for credential, n := range polled {
		if n != 1 {
			t.Errorf("%s looks after %d projects", credential, n)
		}
	}
}

// More projects than a credential has points for are looked at less often, within half of them, and
// the status says so.
func TestPollingStretchesWithinHalfOfThePoints(t *testing.T) {
	inSimulatedTime(t, func(t testing.TB, w *world) {
		w.write(values{"TOKEN": "one"})
		var names []string
		for i := range 10 {
			names = append(names, fmt.Sprintf("acme/p%02d", i))
			w.project(names[i])
		}
		p := w.project(repo)
		r := w.replica(func(j *jobs.Config, gh *github.Config) {
			w.atDefaults(j, gh)
			gh.Limits.PointsPerMinute = 20 // ten looks a minute, for eleven Actions lists and twice as many others
		}, names...)
		stop := r.run()
		defer stop()
		time.Sleep(40 * time.Minute) // the first runs, which are short of points too
		w.sim.ResetRequests()
		const span = 30
		time.Sleep(span * time.Minute)
		c := w.sim.Counts()
		if c.Requests > 10*span+jobsBurst || c.Requests < 8*span || c.Billed != 0 {
			t.Errorf("%+v in %d minutes, with room for %d", c, span, 10*span)
		}
		bound, err := r.service.For(t.Context(), p.ID)
		if err != nil {
			t.Fatal(err)
		}
		st, err := bound.Status(t.Context())
		if err != nil || len(st.Notices) != 1 {
			t.Errorf("%v: the status does not say that polling is stretched: %+v", err, st.Notices)
		}
	})
}

// jobsBurst is how many looks may follow each other at once.
const jobsBurst = 8
