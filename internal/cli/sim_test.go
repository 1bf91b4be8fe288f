package cli_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/rogpeppe/go-internal/testscript"
)

const widgets = "acme/widgets"

// A stage is the simulated GitHub of one page.
type stage struct {
	t      testing.TB
	github *githubsim.GitHub
}

type stageKey struct{}

// sim gives stage directions. Repository acme/widgets is meant throughout.
//
//	sim start [seeded|enterprise|without=SCOPE]   a GitHub; sets $URL and a token that may do everything
//	sim edit SCOPE NAME VALUE     somebody sets a secret by hand, a minute later
//	sim delete SCOPE NAME         somebody deletes one
//	sim remake                    somebody deletes the repository and makes another of that name
//	sim rotate SCOPE              GitHub makes new keys for a scope
//	sim value SCOPE NAME VALUE    check what GitHub holds; ! sim value … that it does not
//	sim absent SCOPE NAME         check that GitHub holds nothing of that name
//	sim forget                    count requests from here
//	sim count writes|billed|requests|penalized N    check the count
//	sim await writes|… N          wait until the count is reached
//	sim token classic|fine|workflow [slug=level…]  another token, in OCTOSEAL_GITHUB_TOKEN
//	sim app FILE [slug=level…]    a GitHub App, its key in FILE; sets OCTOSEAL_GITHUB_APP_ID
//	sim fault KIND METHOD PATH N  N matching requests go wrong
//	sim workflow FILE             the relay's workflow, on the default branch
//	sim latency|skew DURATION
//	sim limit writes=N penalty=DURATION
//	sim quota N [DURATION]        what is left of the hour, or until then
//	sim env …                     environments; env_sim_test.go has these
func sim(ts *testscript.TestScript, neg bool, args []string) {
	st := ts.Value(stageKey{}).(*stage)
	do := map[string]func(*testscript.TestScript, bool, []string){
		"start": st.start, "edit": st.edit, "delete": st.remove, "remake": st.remake, "rotate": st.rotate, "value": st.value, "absent": st.absent,
		"forget": st.forget, "count": st.count, "await": st.await, "token": st.token, "app": st.app, "fault": st.fault,
		"workflow": st.workflow, "env": st.env, "latency": st.latency, "skew": st.skew, "limit": st.limit, "quota": st.quota,
	}[args[0]]
	if do == nil {
		ts.Fatalf("sim has no direction %q", args[0])
	}
	do(ts, neg, args[1:])
}

func (st *stage) start(ts *testscript.TestScript, _ bool, args []string) {
	config, repo, seeded := githubsim.Config{}, githubsim.Repository{FullName: widgets, Private: true}, false
	for _, a := range args {
		switch key, value, _ := strings.Cut(a, "="); key {
		case "seeded":
			seeded = true
		case "enterprise":
			config.Enterprise = "3.19.1"
		case "without":
			repo.Without = append(repo.Without, value)
		}
	}
	st.github = githubsim.New(config)
	if seeded {
		githubsim.Seed(st.github)
	} else {
		st.github.AddRepository(repo)
	}
	url := conform.Server(st.t, st.github)
	ts.Setenv("URL", url)
	ts.Setenv("HOST", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), st.github.Prefix()))
	ts.Setenv("OCTOSEAL_GITHUB_API_URL", url)
	st.use(ts, githubsim.Token{})
}

func (st *stage) use(ts *testscript.TestScript, t githubsim.Token) {
	token := st.github.AddToken(t)
	ts.Setenv("TOKEN", token)
	ts.Setenv("OCTOSEAL_GITHUB_TOKEN", token)
}

func (st *stage) edit(_ *testscript.TestScript, _ bool, args []string) {
	st.github.Advance(time.Minute)
	st.github.SetSecret(widgets, args[0], githubsim.Secret{Name: args[1], Value: args[2]})
}

func (st *stage) remove(ts *testscript.TestScript, _ bool, args []string) {
	if !st.github.DeleteSecret(widgets, args[0], args[1]) {
		ts.Fatalf("%s has no %s to delete", args[0], args[1])
	}
}

// remake deletes the repository and makes another under its name.
func (st *stage) remake(*testscript.TestScript, bool, []string) {
	st.github.DeleteRepository(widgets)
	st.github.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
}

func (st *stage) rotate(_ *testscript.TestScript, _ bool, args []string) {
	st.github.RotateKey(widgets, args[0])
}

func (st *stage) value(ts *testscript.TestScript, neg bool, args []string) {
	want := strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(args[2])
	got, ok := st.github.Value(widgets, args[0], args[1])
	if (ok && got == want) == neg {
		ts.Fatalf("%s holds %q as %s (there: %v)", args[0], got, args[1], ok)
	}
}

func (st *stage) absent(ts *testscript.TestScript, neg bool, args []string) {
	if _, there := st.github.Value(widgets, args[0], args[1]); there != neg {
		ts.Fatalf("%s in %s: there is %v", args[1], args[0], there)
	}
}

func (st *stage) forget(*testscript.TestScript, bool, []string) { st.github.ResetRequests() }

func (st *stage) count(ts *testscript.TestScript, _ bool, args []string) {
	got := st.counted(args[0])
	if fmt.Sprint(got) != args[1] {
		for _, r := range st.github.Requests() {
			ts.Logf("%s %s: %d", r.Method, r.Path, r.Status)
		}
		ts.Fatalf("%d %s, want %s", got, args[0], args[1])
	}
}

func (st *stage) counted(what string) int {
	c := st.github.Counts()
	return map[string]int{"writes": c.Writes, "billed": c.Billed, "requests": c.Requests, "refused": c.Refused, "penalized": c.InPenalty}[what]
}

func (st *stage) await(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[1])
	ts.Check(err)
	for range 3000 {
		if st.counted(args[0]) >= want {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%d %s, still awaiting %d", st.counted(args[0]), args[0], want)
}

func (st *stage) token(ts *testscript.TestScript, _ bool, args []string) {
	t := githubsim.Token{Permissions: permissions(args[1:])}
	switch args[0] {
	case "classic":
		t.Scopes = append([]string{}, args[1:]...)
	case "fine":
		t.Kind, t.Owner = githubsim.FineGrained, "acme"
	case "workflow":
		t.Kind, t.Repositories = githubsim.Workflow, []string{widgets}
	}
	st.use(ts, t)
}

func permissions(args []string) githubsim.Permissions {
	p := githubsim.Permissions{"metadata": "read"}
	for _, a := range args {
		slug, level, _ := strings.Cut(a, "=")
		p[slug] = level
	}
	return p
}

func (st *stage) app(ts *testscript.TestScript, _ bool, args []string) {
	made := st.github.AddApp(githubsim.App{Slug: "octoseal", Permissions: permissions(args[1:])})
	st.github.Install(githubsim.Installation{App: made.ID, Account: "acme"})
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), made.PrivateKeyPEM(), 0o600))
	ts.Setenv("OCTOSEAL_GITHUB_APP_ID", strconv.FormatInt(made.ID, 10))
	ts.Setenv("OCTOSEAL_GITHUB_APP_PRIVATE_KEY_FILE", filepath.ToSlash(ts.MkAbs(args[0])))
}

func (st *stage) fault(ts *testscript.TestScript, _ bool, args []string) {
	times, err := strconv.Atoi(args[3])
	ts.Check(err)
	f := githubsim.Failure{Method: args[1], Path: args[2], Times: times}
	if status, err := strconv.Atoi(args[0]); err == nil {
		f.Answer = &githubsim.Answer{Status: status, Body: `{"message":"as directed"}`}
	} else {
		f.Kinds = []githubsim.Kind{githubsim.Kind(strings.ReplaceAll(args[0], "-", " "))}
	}
	st.github.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{f}})
}

func (st *stage) workflow(ts *testscript.TestScript, _ bool, args []string) {
	st.github.SetWorkflow(widgets, ".github/workflows/octoseal.yml", ts.ReadFile(args[0]))
}

func (st *stage) latency(ts *testscript.TestScript, _ bool, args []string) {
	st.github.SetFaults(githubsim.Faults{Latency: duration(ts, args[0])})
}

func (st *stage) skew(ts *testscript.TestScript, _ bool, args []string) {
	st.github.Advance(duration(ts, args[0]))
}

func (st *stage) limit(ts *testscript.TestScript, _ bool, args []string) {
	l := githubsim.Limits{RetryAfter: true}
	for _, a := range args {
		switch key, value, _ := strings.Cut(a, "="); key {
		case "writes":
			l.Writes, _ = strconv.Atoi(value)
		case "penalty":
			l.Penalty = duration(ts, value)
			l.Window = l.Penalty
		}
	}
	st.github.SetLimits(l)
}

func (st *stage) quota(ts *testscript.TestScript, _ bool, args []string) {
	left, err := strconv.Atoi(args[0])
	ts.Check(err)
	reset := time.Hour
	if len(args) > 1 {
		reset = duration(ts, args[1])
	}
	st.github.SetQuota(left, st.github.Now().Add(reset))
}

func duration(ts *testscript.TestScript, text string) time.Duration {
	d, err := time.ParseDuration(text)
	ts.Check(err)
	return d
}
