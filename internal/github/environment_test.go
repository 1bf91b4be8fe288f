package github

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
)

// A crew is who may review at acme: hubot, a collaborator, and the team release.
type crew struct{ hubot, release int64 }

func (s *stage) people(t *testing.T) crew {
	t.Helper()
	c := crew{hubot: s.AddUser("hubot")}
	s.AddCollaborator(widgets, "hubot", githubsim.RoleRead)
	c.release = s.AddTeam(githubsim.Team{Organization: "acme", Slug: "release", Repositories: map[string]githubsim.Role{widgets: githubsim.RoleWrite}})
	return c
}

func (s *stage) list(t *testing.T, known *EnvironmentList) EnvironmentList {
	t.Helper()
	l, err := s.client.Environments(t.Context(), s.repo, known)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// unpinned leaves out what GitHub makes up.
var unpinned = cmp.Options{
	cmpopts.IgnoreFields(Environment{}, "ID", "UpdatedAt"),
	cmpopts.IgnoreFields(BranchPattern{}, "ID"),
	cmpopts.EquateEmpty(),
}

func TestEnvironmentsShowTheirRules(t *testing.T) {
	s := perform(t, nil)
	who := s.people(t)
	s.AddEnvironment(widgets, "dev")
	s.AddEnvironment(widgets, "Eu/West: 1")
	s.AddEnvironment(widgets, "staging")
	s.ChangeEnvironment(widgets, "eu/west: 1", func(e *githubsim.Environment) {
		e.WaitTimer, e.PreventSelfReview, e.AdminsBypass = 30, true, false
		e.Reviewers = []githubsim.Reviewer{{Type: "User", ID: who.hubot}, {Type: "Team", ID: who.release}, {Type: "BusinessTeam", ID: 77}}
		e.Branches, e.OtherRules = githubsim.CustomBranches, []string{"moon_phase"}
		e.Patterns = []githubsim.BranchPattern{{Name: "main"}, {Name: "v*", Type: "tag"}}
	})
	s.ChangeEnvironment(widgets, "staging", func(e *githubsim.Environment) {
		e.Branches, e.Patterns = githubsim.ProtectedBranches, []githubsim.BranchPattern{{Name: "inert"}}
	})
	l := s.list(t, nil)
	yes, no := true, false
	want := []Environment{
		{Name: "dev", Rules: EnvironmentRules{Branches: AnyBranch, AdminsBypass: &yes}},
		{Name: "Eu/West: 1", Rules: EnvironmentRules{
			WaitTimer: 30, PreventSelfReview: true, AdminsBypass: &no, Branches: CustomBranches,
			Reviewers: []Reviewer{{"User", who.hubot, "hubot"}, {"Team", who.release, "release"}, {"BusinessTeam", 77, "businessteam-77"}},
			Patterns:  []BranchPattern{{Name: "main", Type: "branch"}, {Name: "v*", Type: "tag"}},
		}},
		{Name: "staging", Rules: EnvironmentRules{Branches: ProtectedBranches, AdminsBypass: &yes}},
	}
	if d := cmp.Diff(want, l.Environments, unpinned); d != "" {
		t.Error(d)
	}
	if _, found := (EnvironmentList{Environments: []Environment{{Name: "ſtaging"}}}).Find("staging"); found {
		t.Error("ſtaging passes for staging")
	}
	west, found := l.Find("EU/west: 1")
	if !found || west.ID == 0 || west.UpdatedAt.IsZero() || west.Rules.Patterns[0].ID == 0 {
		t.Errorf("got %+v", west)
	}
	if d := s.Now().Sub(l.Date); d < 0 || d > 2*time.Second {
		t.Errorf("dated %s, GitHub's clock shows %s", l.Date, s.Now())
	}
	alone, found, err := s.client.Environment(t.Context(), s.repo, "eu/west: 1")
	if err != nil || !found {
		t.Fatal(found, err)
	}
	if d := cmp.Diff(west, alone); d != "" {
		t.Errorf("by itself it looks different: %s", d)
	}
	if _, found, err := s.client.Environment(t.Context(), s.repo, "nowhere"); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
}

// remembered is a list as it comes back from a database.
func remembered(t *testing.T, l EnvironmentList) *EnvironmentList {
	t.Helper()
	stored, err := json.Marshal(l)
	if err != nil {
		t.Fatal(err)
	}
	var known EnvironmentList
	if err := json.Unmarshal(stored, &known); err != nil {
		t.Fatal(err)
	}
	return &known
}

func TestUnchangedEnvironmentsCostNothing(t *testing.T) {
	s := perform(t, nil)
	for i := range 103 { // more than a page
		s.AddEnvironment(widgets, fmt.Sprintf("e%03d", i))
	}
	for _, name := range []string{"e001", "e102"} {
		s.ChangeEnvironment(widgets, name, func(e *githubsim.Environment) {
			e.Branches, e.Patterns = githubsim.CustomBranches, []githubsim.BranchPattern{{Name: "main"}}
		})
	}
	first := s.list(t, nil)
	if len(first.Environments) != 103 || first.Unchanged {
		t.Fatalf("%d environments, unchanged %v", len(first.Environments), first.Unchanged)
	}
	known := remembered(t, first)
	s.ResetRequests()
	s.Advance(time.Hour)
	again := s.list(t, known)
	if n := s.Counts(); n.Billed != 0 || n.Requests != 4 {
		t.Errorf("cost %d of %d requests", n.Billed, n.Requests)
	}
	if !again.Unchanged || again.Date.Sub(first.Date) < 59*time.Minute {
		t.Errorf("unchanged %v, dated %s after %s", again.Unchanged, again.Date, first.Date)
	}
	if d := cmp.Diff(first.Environments, again.Environments, cmpopts.EquateEmpty()); d != "" {
		t.Error(d)
	}
	if d := cmp.Diff(first.PatternPages, again.PatternPages); d != "" {
		t.Error(d)
	}
}

// Whatever a person does on GitHub's pages, the next look finds it, however much is known.
func TestChangesOfEnvironmentsAreFound(t *testing.T) {
	for name, change := range map[string]func(*stage){
		"a pattern alone": func(s *stage) {
			s.ChangeEnvironment(widgets, "b", func(e *githubsim.Environment) {
				e.Patterns = append(e.Patterns, githubsim.BranchPattern{Name: "hotfix/*"})
			})
		},
		"no pattern left": func(s *stage) {
			s.ChangeEnvironment(widgets, "b", func(e *githubsim.Environment) { e.Patterns = nil })
		},
		"patterns out of force": func(s *stage) {
			s.ChangeEnvironment(widgets, "b", func(e *githubsim.Environment) { e.Branches = githubsim.AnyBranch })
		},
		"patterns in force": func(s *stage) {
			s.ChangeEnvironment(widgets, "a", func(e *githubsim.Environment) {
				e.Branches, e.Patterns = githubsim.CustomBranches, []githubsim.BranchPattern{{Name: "main"}}
			})
		},
		"deleted":     func(s *stage) { s.DeleteEnvironment(widgets, "b") },
		"all deleted": func(s *stage) { s.DeleteEnvironment(widgets, "a"); s.DeleteEnvironment(widgets, "b") },
		"made anew": func(s *stage) {
			s.DeleteEnvironment(widgets, "b")
			s.UseEnvironment(widgets, "b")
		},
		"one more": func(s *stage) { s.UseEnvironment(widgets, "c") },
	} {
		t.Run(name, func(t *testing.T) {
			s := perform(t, nil)
			s.AddEnvironment(widgets, "a")
			s.AddEnvironment(widgets, "b")
			s.ChangeEnvironment(widgets, "b", func(e *githubsim.Environment) {
				e.Branches, e.Patterns = githubsim.CustomBranches, []githubsim.BranchPattern{{Name: "main"}}
			})
			known := remembered(t, s.list(t, nil))
			change(s)
			now := s.list(t, known)
			if now.Unchanged {
				t.Error("it says that nothing changed")
			}
			fresh := s.list(t, nil)
			if d := cmp.Diff(fresh, now, cmpopts.IgnoreFields(EnvironmentList{}, "Date", "Unchanged"), cmpopts.EquateEmpty()); d != "" {
				t.Error(d)
			}
			if again := s.list(t, remembered(t, now)); !again.Unchanged {
				t.Error("the next look finds a change where there is none")
			}
		})
	}
}

func TestKnownEnvironmentsThatLostPartsAreReadAnew(t *testing.T) {
	s := perform(t, nil)
	s.AddEnvironment(widgets, "a")
	s.AddEnvironment(widgets, "b")
	for name, lose := range map[string]func(*EnvironmentList){
		"environments": func(l *EnvironmentList) { l.Environments = l.Environments[:1] },
		"pages":        func(l *EnvironmentList) { l.Pages = nil },
		"counts":       func(l *EnvironmentList) { l.Pages[0].Count = -1 },
		"all":          func(l *EnvironmentList) { *l = EnvironmentList{} },
	} {
		known := s.list(t, nil)
		lose(&known)
		if l := s.list(t, &known); len(l.Environments) != 2 {
			t.Errorf("without its %s: got %d environments", name, len(l.Environments))
		}
	}
}

// An environment that goes between the list and its patterns is no error, but one that the list keeps
// showing is.
func TestListThatDoesNotFitItsPatterns(t *testing.T) {
	s := perform(t, nil)
	s.AddEnvironment(widgets, "a")
	s.ChangeEnvironment(widgets, "a", func(e *githubsim.Environment) { e.Branches = githubsim.CustomBranches })
	gone := githubsim.Failure{Path: policies, Answer: &notThere, Times: 1}
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{gone}})
	if l := s.list(t, nil); len(l.Environments) != 1 {
		t.Errorf("got %+v", l)
	}
	gone.Times = 0
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{gone}})
	_, err := s.client.Environments(t.Context(), s.repo, nil)
	wantFault(t, err, fault.IntegrationUnavailable, "partial listing: the environments of acme/widgets changed")
}

func TestListThatChangesBetweenItsPages(t *testing.T) {
	s := perform(t, nil)
	for i := range 101 {
		s.AddEnvironment(widgets, fmt.Sprintf("e%03d", i))
	}
	asked := 0
	s.client = s.connect(t, func(cfg *Config) {
		cfg.OnRequest = func(e Exchange) {
			if asked++; asked == 1 { // between the first page and the second
				s.DeleteEnvironment(widgets, "e000")
			}
		}
	})
	if l := s.list(t, nil); len(l.Environments) != 100 || asked < 3 {
		t.Errorf("%d environments after %d requests", len(l.Environments), asked)
	}
}

func TestPlanWithoutEnvironments(t *testing.T) {
	s := perform(t, nil)
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Plan = githubsim.FreePlan })
	_, err := s.client.Environments(t.Context(), s.repo, nil)
	wantFault(t, err, fault.IntegrationDenied, "environments of acme/widgets answers 404 though the repository is there", "Pro, Team or Enterprise", "work on every plan")
	if !errors.Is(err, ErrPlan) {
		t.Errorf("%v is not ErrPlan", err)
	}
	_, err = s.client.PutEnvironment(t.Context(), s.repo, "dev", EnvironmentRules{Branches: AnyBranch})
	wantFault(t, err, fault.IntegrationDenied, "environment dev of acme/widgets", "no environments in private repositories", "Pro, Team or Enterprise")
	if !errors.Is(err, ErrPlan) {
		t.Errorf("%v is not ErrPlan", err)
	}
	// GitHub has answered 404 to this one, too.
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Method: "PUT", Answer: &notThere}}})
	_, err = s.client.PutEnvironment(t.Context(), s.repo, "dev", EnvironmentRules{Branches: AnyBranch})
	if !errors.Is(err, ErrPlan) {
		t.Errorf("%v is not ErrPlan", err)
	}
	s.SetFaults(githubsim.Faults{})
	s.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Private = false })
	if l := s.list(t, nil); len(l.Environments) != 0 {
		t.Errorf("got %+v", l)
	}
}

// A repository out of sight is no matter of its plan.
func TestNoRepositoryIsNoPlan(t *testing.T) {
	s := perform(t, nil)
	gone := s.repo
	gone.Name = "gadgets"
	_, err := s.client.Environments(t.Context(), gone, nil)
	wantFault(t, err, fault.ResourceNotFound, "environments of acme/gadgets", "misspelt")
	if errors.Is(err, ErrPlan) {
		t.Error("the plan is blamed")
	}
}

func TestMissingPermissionsForEnvironments(t *testing.T) {
	s := perform(t, nil)
	s.AddEnvironment(widgets, "dev")
	token := s.AddToken(githubsim.Token{Kind: githubsim.FineGrained, Owner: "acme", Permissions: githubsim.Permissions{"secrets": "write"}})
	c := s.connect(t, func(cfg *Config) { cfg.Credential = Token(token, "GH_TOKEN") })
	_, err := c.Environments(t.Context(), s.repo, nil)
	wantFault(t, err, fault.IntegrationDenied, "GH_TOKEN lacks the permission actions:read", `"Actions"`)
	_, err = c.PutEnvironment(t.Context(), s.repo, "dev", EnvironmentRules{Branches: AnyBranch})
	wantFault(t, err, fault.IntegrationDenied, "environment dev of acme/widgets", "administration:write", `"Administration"`)
	err = c.DeleteEnvironment(t.Context(), s.repo, "dev")
	wantFault(t, err, fault.IntegrationDenied, "administration:write")
	_, _, err = c.Deployments(t.Context(), s.repo, "dev", time.Time{})
	wantFault(t, err, fault.IntegrationDenied, "deployments:read", `"Deployments"`)
	if p := fault.Of(err).Context["permission"]; p != "deployments:read" {
		t.Errorf("the permission is told as %v", p)
	}
}

// An App's token asks for what environments take where that is granted, and syncing secrets goes on
// where it is not.
func TestAppAsksForEnvironmentsWhereGranted(t *testing.T) {
	granted := map[string]string{
		"actions": "write", "administration": "write", "deployments": "write", "environments": "write", "metadata": "read", "contents": "write",
	}
	want := map[string]string{"actions": "write", "administration": "write", "deployments": "write", "environments": "write", "metadata": "read"}
	if d := cmp.Diff(want, leastOf(granted)); d != "" {
		t.Error(d)
	}
	a := performAsApp(t, githubsim.Permissions{"actions": "read", "administration": "write", "environments": "write", "secrets": "write"})
	if _, err := a.client.PutEnvironment(t.Context(), a.repo, "dev", EnvironmentRules{Branches: AnyBranch}); err != nil {
		t.Error(err)
	}
	if l := a.list(t, nil); len(l.Environments) != 1 {
		t.Errorf("got %+v", l)
	}
}

func TestEnvironmentNamesThatAreNone(t *testing.T) {
	s := perform(t, nil)
	for _, name := range []string{"", ".", "..", strings.Repeat("é", 256), "\xff"} {
		_, _, err := s.client.Environment(t.Context(), s.repo, name)
		wantFault(t, err, fault.RequestInvalid)
		_, err = s.client.PutEnvironment(t.Context(), s.repo, name, EnvironmentRules{Branches: AnyBranch})
		wantFault(t, err, fault.RequestInvalid)
		wantFault(t, s.client.DeleteEnvironment(t.Context(), s.repo, name), fault.RequestInvalid)
	}
	_, err := s.client.PutEnvironment(t.Context(), s.repo, "dev", EnvironmentRules{})
	wantFault(t, err, fault.RequestInvalid, `no rule "" for branches`)
	if n := s.Counts().Requests; n != 0 {
		t.Errorf("%d requests were sent", n)
	}
}

// Answers that are not GitHub's end in a fault, never in an environment without rules.
func TestAnswersThatDescribeNoEnvironment(t *testing.T) {
	for _, body := range []string{
		``, `{}`, `[]`, `{"id":1}`, `{"id":1,"name":"dev","protection_rules":[7]}`, `{"id":1,"name":"dev","protection_rules":[{"type":"wait_timer","wait_timer":"x"}]}`,
		`{"id":1,"name":"dev","protection_rules":[{"type":"required_reviewers","reviewers":7}]}`,
		`{"id":1,"name":"dev","protection_rules":[{"type":"required_reviewers","reviewers":[{"type":"User","reviewer":7}]}]}`,
	} {
		_, _, err := against(t, canned(200, nil, body), nil).Environment(t.Context(), aRepo, "dev")
		wantFault(t, err, fault.IntegrationUnavailable)
	}
	for _, body := range []string{`{}`, `[]`, `{"environments":null}`, `{"total_count":2,"environments":[]}`, `{"environments":[{}]}`} {
		_, err := against(t, canned(200, nil, body), nil).Environments(t.Context(), aRepo, nil)
		wantFault(t, err, fault.IntegrationUnavailable)
	}
	custom := `{"total_count":1,"environments":[{"id":1,"name":"dev","deployment_branch_policy":{"custom_branch_policies":true}}]}`
	for _, body := range []string{`{}`, `[]`, `{"branch_policies":null}`, `{"total_count":1,"branch_policies":[]}`, `{"branch_policies":[{"id":1},{"id":1}]}`} {
		c := against(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			answer := custom
			if strings.HasSuffix(r.URL.Path, policies) {
				answer = body
			}
			canned(200, nil, answer).ServeHTTP(w, r)
		}), nil)
		_, err := c.Environments(t.Context(), aRepo, nil)
		wantFault(t, err, fault.IntegrationUnavailable)
	}
	strange := `{"id":1,"name":"dev","protection_rules":[{"type":"required_reviewers","reviewers":[{"type":"Robot","reviewer":"r2"}]}]}`
	e, _, err := against(t, canned(200, nil, strange), nil).Environment(t.Context(), aRepo, "dev")
	if err != nil || !slices.Equal(e.Rules.Reviewers, []Reviewer{{Type: "Robot"}}) || e.Rules.AdminsBypass != nil {
		t.Errorf("got %+v, %v", e, err)
	}
}

func TestUsersAndAccess(t *testing.T) {
	s := perform(t, nil)
	who := s.people(t)
	s.AddUser("stranger")
	u, found, err := s.client.User(t.Context(), who.hubot)
	if want := (User{who.hubot, "hubot", "User"}); err != nil || !found || u != want {
		t.Errorf("got %+v, %v, %v", u, found, err)
	}
	if _, found, err := s.client.User(t.Context(), 404404); found || err != nil {
		t.Errorf("found %v, %v", found, err)
	}
	for login, want := range map[string]bool{"hubot": true, "octocat": true, "stranger": false, "nobody": false} {
		if got, err := s.client.HasAccess(t.Context(), s.repo, login); got != want || err != nil {
			t.Errorf("%s: %v, %v", login, got, err)
		}
	}
	_, err = s.client.HasAccess(t.Context(), s.repo, "")
	wantFault(t, err, fault.RequestInvalid)
	s.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Kinds: []githubsim.Kind{githubsim.ServerError}}}})
	if got, err := s.client.HasAccess(t.Context(), s.repo, "hubot"); got || err == nil {
		t.Errorf("no answer passes for access: %v, %v", got, err)
	}
	other := canned(http.StatusOK, nil, `{"id":8,"login":"someone"}`)
	_, _, err = against(t, other, nil).User(t.Context(), 7)
	wantFault(t, err, fault.IntegrationUnavailable, "user number 7")
}
