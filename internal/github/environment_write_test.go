package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
)

func branch(names ...string) []BranchPattern {
	var all []BranchPattern
	for _, n := range names {
		all = append(all, BranchPattern{Name: n})
	}
	return all
}

func pointer[T any](v T) *T { return &v }

// full are rules that ask for everything.
func (c crew) full() EnvironmentRules {
	return EnvironmentRules{
		WaitTimer: 30, PreventSelfReview: true, AdminsBypass: pointer(false), Branches: CustomBranches,
		Reviewers: []Reviewer{{Type: "User", ID: c.hubot}, {Type: "Team", ID: c.release}},
		Patterns:  []BranchPattern{{Name: "main"}, {Name: "release/*"}, {Name: "v*", Type: "tag"}},
	}
}

// shows compares the rules that GitHub shows with those asked for; logins are GitHub's to tell.
func shows(t *testing.T, got Environment, want EnvironmentRules) {
	t.Helper()
	anonymous := cmpopts.IgnoreFields(Reviewer{}, "Login")
	want.Patterns = slices.Clone(want.Patterns)
	for i, p := range want.Patterns {
		want.Patterns[i].Type = p.kind()
	}
	byName := func(a, b BranchPattern) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(got.Rules.Patterns, byName)
	slices.SortFunc(want.Patterns, byName)
	if d := cmp.Diff(want, got.Rules, unpinned, anonymous); d != "" {
		t.Error(d)
	}
}

func (s *stage) putEnvironment(t *testing.T, name string, rules EnvironmentRules) Environment {
	t.Helper()
	e, err := s.client.PutEnvironment(t.Context(), s.repo, name, rules)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// What was put is what the next look shows; put again as it was read it takes no writes of patterns.
func TestPutEnvironment(t *testing.T) {
	s := perform(t, nil)
	rules := s.people(t).full()
	made := s.putEnvironment(t, "Prod/EU: 1", rules)
	shows(t, made, rules)
	listed, found := s.list(t, nil).Find("prod/eu: 1")
	if !found || listed.ID != made.ID || listed.Name != "Prod/EU: 1" {
		t.Errorf("listed as %+v", listed)
	}
	s.ResetRequests()
	shows(t, s.putEnvironment(t, "Prod/EU: 1", listed.Rules), rules)
	if n := count(s.paths(), "POST ") + count(s.paths(), "DELETE "); n != 0 {
		t.Errorf("patterns that stand already took %d writes: %v", n, s.paths())
	}
	for _, p := range s.paths() {
		if !strings.Contains(p, "/environments/Prod%2FEU:%201") {
			t.Errorf("%s: the environment's name must be escaped once", p)
		}
	}
	if log := s.log.String(); !strings.Contains(log, `msg="environment written"`) || !strings.Contains(log, `environment="Prod/EU: 1"`) {
		t.Error("the log does not tell of it")
	}
}

// Rules that ask for nothing take every rule away: none is kept for being left out.
func TestPutEnvironmentClears(t *testing.T) {
	s := perform(t, nil)
	s.putEnvironment(t, "production", s.people(t).full())
	none := EnvironmentRules{Branches: AnyBranch, AdminsBypass: pointer(true)}
	shows(t, s.putEnvironment(t, "production", none), none)
	// The patterns that were inert meanwhile do not come back into force.
	custom := EnvironmentRules{Branches: CustomBranches, AdminsBypass: pointer(true), Patterns: branch("trunk")}
	shows(t, s.putEnvironment(t, "production", custom), custom)
	protected := EnvironmentRules{Branches: ProtectedBranches, AdminsBypass: pointer(true)}
	shows(t, s.putEnvironment(t, "production", protected), protected)
}

// sent keeps the bodies that were sent to an environment.
type sent struct {
	http.RoundTripper
	mu   sync.Mutex
	keys [][]string
}

func (s *sent) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Method == http.MethodPut {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		var keys map[string]json.RawMessage
		raw, err := io.ReadAll(body)
		if err == nil {
			err = json.Unmarshal(raw, &keys)
		}
		if err != nil {
			return nil, err
		}
		var names []string
		for k := range keys {
			names = append(names, k)
		}
		slices.Sort(names)
		s.mu.Lock()
		s.keys = append(s.keys, names)
		s.mu.Unlock()
	}
	return s.RoundTripper.RoundTrip(r)
}

func TestEveryKeyIsSent(t *testing.T) {
	s := perform(t, nil)
	wire := &sent{RoundTripper: http.DefaultTransport}
	s.client = s.connect(t, func(cfg *Config) { cfg.Transport = wire })
	s.putEnvironment(t, "dev", EnvironmentRules{Branches: AnyBranch, AdminsBypass: pointer(true)})
	want := [][]string{{"can_admins_bypass", "deployment_branch_policy", "prevent_self_review", "reviewers", "wait_timer"}}
	if d := cmp.Diff(want, wire.keys); d != "" {
		t.Error(d)
	}
}

// Whatever stands there, wanted patterns are brought about, and a second time takes no write.
func TestPatternsAreBroughtInLine(t *testing.T) {
	for name, c := range map[string]struct {
		there []githubsim.BranchPattern
		want  []BranchPattern
	}{
		"none there":     {nil, branch("main")},
		"there already":  {[]githubsim.BranchPattern{{Name: "main"}}, branch("main")},
		"others":         {[]githubsim.BranchPattern{{Name: "*"}, {Name: "dev"}}, branch("main")},
		"of other type":  {[]githubsim.BranchPattern{{Name: "main", Type: "tag"}}, branch("main")},
		"none wanted":    {[]githubsim.BranchPattern{{Name: "main"}}, nil},
		"gone meanwhile": {nil, []BranchPattern{{ID: 404404, Name: "main"}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, nil)
			s.AddEnvironment(widgets, "dev")
			s.ChangeEnvironment(widgets, "dev", func(e *githubsim.Environment) {
				e.Branches, e.Patterns = githubsim.CustomBranches, c.there
			})
			rules := EnvironmentRules{Branches: CustomBranches, AdminsBypass: pointer(true), Patterns: c.want}
			got := s.putEnvironment(t, "dev", rules)
			s.ResetRequests()
			s.putEnvironment(t, "dev", got.Rules)
			if n := count(s.paths(), "POST ") + count(s.paths(), "DELETE "); n != 0 {
				t.Errorf("the second time took %d writes: %v", n, s.paths())
			}
			shows(t, got, rules)
		})
	}
}

func TestPatternThatIsNone(t *testing.T) {
	s := perform(t, nil)
	got, err := s.client.PutEnvironment(t.Context(), s.repo, "dev", EnvironmentRules{Branches: CustomBranches, Patterns: branch("")})
	wantFault(t, err, fault.IntegrationDenied, "environment dev of acme/widgets", `the pattern "" for a branch`)
	if e, there := s.Environment(widgets, "dev"); !there || got.ID != e.ID {
		t.Errorf("told %+v, GitHub has %+v", got, e)
	}
}

// A run of dependent requests: the rules, the new patterns, and both looks back at once.
func TestMakingAnEnvironmentTakesThreeRoundTrips(t *testing.T) {
	const latency = 80 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		gh := githubsim.New(githubsim.Config{})
		gh.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
		c := against(t, gh, func(cfg *Config) { cfg.Credential = Token(gh.AddToken(githubsim.Token{}), "GH_TOKEN") })
		repo, _, err := c.Repository(t.Context(), Ref{"acme", "widgets"}, nil)
		if err != nil {
			t.Fatal(err)
		}
		gh.SetFaults(githubsim.Faults{Latency: latency})
		began := time.Now()
		if _, err := c.PutEnvironment(t.Context(), repo, "dev", EnvironmentRules{Branches: CustomBranches, Patterns: branch("a", "b", "c")}); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 3*latency {
			t.Errorf("took %s, want three times %s", took, latency)
		}
		known, err := c.Environments(t.Context(), repo, nil)
		if err != nil {
			t.Fatal(err)
		}
		began = time.Now()
		if _, err := c.Environments(t.Context(), repo, &known); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > latency {
			t.Errorf("an unchanged list took %s, want %s", took, latency)
		}
	})
}

// Answers that are lost, and requests that never arrive, change nothing about the end.
func TestPutEnvironmentInBadWeather(t *testing.T) {
	for _, method := range []string{"PUT", "POST", "DELETE", "GET"} {
		for _, kind := range []githubsim.Kind{githubsim.ServerError, githubsim.LostAnswer, githubsim.LostReset, githubsim.CutShort} {
			t.Run(method+" "+string(kind), func(t *testing.T) {
				s := perform(t, nil)
				s.AddEnvironment(widgets, "dev")
				s.ChangeEnvironment(widgets, "dev", func(e *githubsim.Environment) {
					e.Branches, e.Patterns = githubsim.CustomBranches, []githubsim.BranchPattern{{Name: "old"}}
				})
				s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{kind}, Method: method, Times: 2}}})
				rules := EnvironmentRules{Branches: CustomBranches, AdminsBypass: pointer(true), WaitTimer: 5, Patterns: branch("main", "next")}
				shows(t, s.putEnvironment(t, "dev", rules), rules)
			})
		}
	}
}

// Making an environment and giving it its rules are two steps on GitHub's side. What the first one
// left behind is told with the refusal.
func TestRefusedRulesLeaveAnEnvironmentBehind(t *testing.T) {
	s := perform(t, nil)
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.HalfDone}, Method: "PUT", Times: 1}}})
	rules := s.people(t).full()
	left, err := s.client.PutEnvironment(t.Context(), s.repo, "production", rules)
	wantFault(t, err, fault.IntegrationDenied, "environment production of acme/widgets", "found invalid (422)", "43200")
	shown, there := s.Environment(widgets, "production")
	if !there || left.ID != shown.ID || left.Rules.WaitTimer != 0 || left.Rules.Branches != AnyBranch {
		t.Errorf("told %+v, GitHub has %+v", left, shown)
	}
	if name := fault.Of(err).Context["environment"]; name != "production" {
		t.Errorf("the fault is about %v", name)
	}
	shows(t, s.putEnvironment(t, "production", rules), rules)
}

func TestRulesThatThePlanLacks(t *testing.T) {
	s := perform(t, nil)
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Plan = githubsim.TeamPlan })
	who := s.people(t)
	for part, rules := range map[string]EnvironmentRules{
		"does not include required reviewers": {Branches: AnyBranch, Reviewers: []Reviewer{{Type: "User", ID: who.hubot}}},
		"does not include wait timer":         {Branches: AnyBranch, WaitTimer: 5},
		"does not include one of its rules":   {Branches: AnyBranch, AdminsBypass: pointer(false)},
	} {
		left, err := s.client.PutEnvironment(t.Context(), s.repo, "production", rules)
		wantFault(t, err, fault.IntegrationDenied, "environment production of acme/widgets", part, "take GitHub Enterprise in a private repository", "work on Pro and Team")
		if !errors.Is(err, ErrPlan) || left.ID == 0 {
			t.Errorf("%v, with %+v left behind", err, left)
		}
	}
	branches := EnvironmentRules{Branches: CustomBranches, AdminsBypass: pointer(true), Patterns: branch("main")}
	shows(t, s.putEnvironment(t, "production", branches), branches)
}

// Reviewers without access are dropped without a word; the answer shows who is left.
func TestDroppedReviewersAreShown(t *testing.T) {
	s := perform(t, nil)
	who := s.people(t)
	stranger := s.AddUser("stranger")
	rules := EnvironmentRules{Branches: AnyBranch, AdminsBypass: pointer(true), Reviewers: []Reviewer{{Type: "User", ID: stranger}, {Type: "User", ID: who.hubot}}}
	got := s.putEnvironment(t, "production", rules)
	rules.Reviewers = rules.Reviewers[1:]
	shows(t, got, rules)
	rules.Reviewers, rules.PreventSelfReview = []Reviewer{{Type: "User", ID: stranger}}, true
	_, err := s.client.PutEnvironment(t.Context(), s.repo, "production", rules)
	wantFault(t, err, fault.IntegrationDenied, "no reviewer is left", "give them access")
	if errors.Is(err, ErrPlan) {
		t.Error("the plan is blamed")
	}
}

// A reviewer of a type that cannot be sent stays whatever else changes, and nothing is written where
// it would be lost.
func TestStrangeReviewersAreNeverDropped(t *testing.T) {
	s := perform(t, nil)
	who := s.people(t)
	s.AddEnvironment(widgets, "production")
	s.ChangeEnvironment(widgets, "production", func(e *githubsim.Environment) {
		e.Reviewers = []githubsim.Reviewer{{Type: "BusinessTeam", ID: 77}, {Type: "User", ID: who.hubot}}
		e.OtherRules = []string{"moon_phase"}
	})
	now, _ := s.list(t, nil).Find("production")
	now.Rules.WaitTimer = 10
	shows(t, s.putEnvironment(t, "production", now.Rules), now.Rules)
	if e, _ := s.Environment(widgets, "production"); len(e.Reviewers) != 2 || len(e.OtherRules) != 1 {
		t.Errorf("GitHub has %+v", e)
	}
	s.ResetRequests()
	now.Rules.Reviewers = append(now.Rules.Reviewers, Reviewer{Type: "Team", ID: who.release})
	_, err := s.client.PutEnvironment(t.Context(), s.repo, "production", now.Rules)
	wantFault(t, err, fault.IntegrationDenied, "BusinessTeam", "would lose it", "settings page")
	if !errors.Is(err, ErrReviewerLost) || count(s.paths(), "PUT ") != 0 {
		t.Errorf("%v after %v", err, s.paths())
	}
	_, err = s.client.PutEnvironment(t.Context(), s.repo, "elsewhere", now.Rules)
	if !errors.Is(err, ErrReviewerLost) {
		t.Errorf("an environment that is not there cannot keep it: %v", err)
	}
}

// An older server does not know every key. One that asks for nothing is left out.
func TestKeysThatAnOlderServerDoesNotKnow(t *testing.T) {
	gh := githubsim.New(githubsim.Config{Enterprise: "3.10.4"})
	gh.AddRepository(githubsim.Repository{FullName: widgets})
	reviewer := gh.AddUser("hubot")
	gh.AddCollaborator(widgets, "hubot", githubsim.RoleWrite)
	c := against(t, gh, func(cfg *Config) {
		cfg.BaseURL, cfg.Credential = "https://ghe.acme.com/api/v3", Token(gh.AddToken(githubsim.Token{}), "GH_TOKEN")
	})
	repo, _, err := c.Repository(t.Context(), Ref{"acme", "widgets"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	rules := EnvironmentRules{Branches: AnyBranch, WaitTimer: 3, AdminsBypass: pointer(true), Reviewers: []Reviewer{{Type: "User", ID: reviewer}}}
	got, err := c.PutEnvironment(t.Context(), repo, "dev", rules)
	if err != nil {
		t.Fatal(err)
	}
	shows(t, got, rules)
	rules.PreventSelfReview = true
	_, err = c.PutEnvironment(t.Context(), repo, "dev", rules)
	wantFault(t, err, fault.IntegrationDenied, "does not know the rule prevent_self_review")
}

func TestDeleteEnvironment(t *testing.T) {
	s := perform(t, nil)
	s.AddEnvironment(widgets, "a/b")
	for range 2 { // the second finds nothing, which is what was wanted
		if err := s.client.DeleteEnvironment(t.Context(), s.repo, "a/b"); err != nil {
			t.Error(err)
		}
	}
	if _, there := s.Environment(widgets, "a/b"); there {
		t.Error("it is still there")
	}
}

// A repository that was renamed meanwhile is looked up by its number; no write follows a redirect.
func TestEnvironmentsOfARenamedRepository(t *testing.T) {
	s := perform(t, nil)
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.FullName = "acme/gadgets" })
	rules := EnvironmentRules{Branches: CustomBranches, AdminsBypass: pointer(true), Patterns: branch("main")}
	shows(t, s.putEnvironment(t, "dev", rules), rules)
	if l := s.list(t, nil); len(l.Environments) != 1 {
		t.Errorf("got %+v", l)
	}
	if err := s.client.DeleteEnvironment(t.Context(), s.repo, "dev"); err != nil {
		t.Error(err)
	}
}

// An environment that is deleted before it is read back is no success.
func TestEnvironmentThatIsGoneWhenReadBack(t *testing.T) {
	s := perform(t, nil)
	s.client = s.connect(t, func(cfg *Config) {
		cfg.OnRequest = func(e Exchange) {
			if e.Method == http.MethodPut {
				s.DeleteEnvironment(widgets, "dev")
			}
		}
	})
	_, err := s.client.PutEnvironment(t.Context(), s.repo, "dev", EnvironmentRules{Branches: AnyBranch})
	wantFault(t, err, fault.IntegrationUnavailable, "is not there when it is read back")
}

// A person who keeps changing the patterns is not chased forever; the answer shows what stands there.
func TestPatternsThatSomebodyKeepsChanging(t *testing.T) {
	s := perform(t, nil)
	var writes atomic.Int32
	s.client = s.connect(t, func(cfg *Config) {
		cfg.OnRequest = func(e Exchange) {
			if e.Method == http.MethodGet {
				return
			}
			n := writes.Add(1)
			s.ChangeEnvironment(widgets, "dev", func(e *githubsim.Environment) {
				e.Patterns = append(e.Patterns, githubsim.BranchPattern{Name: fmt.Sprint("theirs-", n)})
			})
		}
	})
	got := s.putEnvironment(t, "dev", EnvironmentRules{Branches: CustomBranches, Patterns: branch("main")})
	if len(got.Rules.Patterns) < 2 || writes.Load() > 20 {
		t.Errorf("after %d writes it shows %+v", writes.Load(), got.Rules.Patterns)
	}
}
