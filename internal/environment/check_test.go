package environment_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// Everything that is wrong is found at once, with the field it stands in.
func TestBadInput(t *testing.T) {
	known := environment.Known{DefaultReviewer: 1, Linked: map[environment.Tier]environment.Links{
		environment.Staging: {NeonBranchID: "br-staging"},
	}}
	dev := func(r environment.Rules) environment.Asked { return asked("dev", r) }
	for _, c := range []struct {
		name  string
		asked []environment.Asked
		want  []string
	}{
		{"nothing", nil, []string{"environments"}},
		{"negative wait", []environment.Asked{dev(environment.Rules{WaitTimer: ptr(-1)})}, []string{"environments[0].protectionRules.waitTimer"}},
		{"long wait", []environment.Asked{dev(environment.Rules{WaitTimer: ptr(43201)})}, []string{"environments[0].protectionRules.waitTimer"}},
		{"longest wait", []environment.Asked{dev(environment.Rules{WaitTimer: ptr(43200)})}, nil},
		{"seven reviewers", []environment.Asked{dev(environment.Rules{ReviewerIDs: []int64{1, 2, 3, 4, 5, 6, 7}})}, []string{"environments[0].protectionRules.reviewerIds"}},
		{"six reviewers", []environment.Asked{dev(environment.Rules{ReviewerIDs: []int64{1, 2, 3, 4, 5, 6}})}, nil},
		{"a reviewer twice", []environment.Asked{dev(environment.Rules{ReviewerIDs: []int64{3, 3}})}, []string{"environments[0].protectionRules.reviewerIds"}},
		{"reviewer zero", []environment.Asked{dev(environment.Rules{ReviewerIDs: []int64{0}})}, []string{"environments[0].protectionRules.reviewerIds"}},
		{"more required than named", []environment.Asked{dev(environment.Rules{RequiredReviewers: ptr(3), ReviewerIDs: []int64{1, 2}})}, []string{"environments[0].protectionRules.requiredReviewers"}},
		{"as many", []environment.Asked{dev(environment.Rules{RequiredReviewers: ptr(2), ReviewerIDs: []int64{1, 2}})}, nil},
		{"none required, some named", []environment.Asked{dev(environment.Rules{RequiredReviewers: ptr(0), ReviewerIDs: []int64{1}})}, []string{"environments[0].protectionRules.requiredReviewers"}},
		{"negative required", []environment.Asked{dev(environment.Rules{RequiredReviewers: ptr(-1)})}, []string{"environments[0].protectionRules.requiredReviewers"}},
		{"two of the default reviewer", []environment.Asked{dev(environment.Rules{RequiredReviewers: ptr(2)})}, []string{"environments[0].protectionRules.requiredReviewers"}},
		{"the default reviewer", []environment.Asked{asked("staging", environment.Rules{})}, nil},
		{"nobody, though staging asks", []environment.Asked{asked("staging", environment.Rules{ReviewerIDs: []int64{}})}, []string{"environments[0].protectionRules.reviewerIds"}},
		{"nobody, explicitly", []environment.Asked{asked("staging", environment.Rules{RequiredReviewers: ptr(0)})}, nil},
		{"unknown name", []environment.Asked{asked("Production", environment.Rules{}), asked("preview", environment.Rules{})}, []string{"environments[0].name", "environments[1].name"}},
		{"twice", []environment.Asked{dev(environment.Rules{}), dev(environment.Rules{})}, []string{"environments[1].name"}},
		{"secrets", []environment.Asked{{Name: "dev", Secrets: []environment.Value{
			value("lower", "v"), value("GITHUB_X", "v"), value("1A", "v"), value("", "v"), value("EMPTY", ""), value("TWICE", "v"), value("TWICE", "w"),
			value("BIG", strings.Repeat("x", secret.MaxValueSize+1)), value("FITS", strings.Repeat("x", secret.MaxValueSize)),
		}}}, []string{
			"environments[0].secrets[0].name", "environments[0].secrets[1].name", "environments[0].secrets[2].name", "environments[0].secrets[3].name",
			"environments[0].secrets[4].value", "environments[0].secrets[6].name", "environments[0].secrets[7].value",
		}},
		{"a branch of two", []environment.Asked{{Name: "dev", Linked: environment.Links{NeonBranchID: "br-1"}}, {Name: "production", Rules: environment.Rules{ReviewerIDs: []int64{1}}, Linked: environment.Links{NeonBranchID: "br-1"}}},
			[]string{"environments[1].linkedResources.neonBranchId"}},
		{"a branch of one that is remembered", []environment.Asked{{Name: "dev", Linked: environment.Links{NeonBranchID: "br-staging"}}},
			[]string{"environments[0].linkedResources.neonBranchId"}},
		{"a branch that its environment keeps", []environment.Asked{{Name: "dev", Linked: environment.Links{NeonBranchID: "br-staging"}}, asked("staging", environment.Rules{})},
			[]string{"environments[0].linkedResources.neonBranchId"}},
		{"a branch handed on", []environment.Asked{{Name: "dev", Linked: environment.Links{NeonBranchID: "br-staging"}}, {Name: "staging", Linked: environment.Links{NeonBranchID: "br-new"}}},
			[]string{"environments[0].linkedResources.neonBranchId"}},
		{"a branch that its environment leaves", []environment.Asked{{Name: "staging", Linked: environment.Links{NeonBranchID: "br-new"}}}, nil},
		{"one name for a branch and a Worker", []environment.Asked{{Name: "dev", Linked: environment.Links{NeonBranchID: "x"}}, {Name: "staging", Linked: environment.Links{CloudflareWorkerName: "x"}}}, nil},
		{"a Worker and a project of two", []environment.Asked{
			{Name: "dev", Linked: environment.Links{CloudflareWorkerName: "w", CloudflarePagesProject: "p"}},
			{Name: "staging", Linked: environment.Links{CloudflareWorkerName: "w", CloudflarePagesProject: "p"}},
		}, []string{"environments[1].linkedResources.cloudflareWorkerName", "environments[1].linkedResources.cloudflarePagesProject"}},
		{"a path for a name", []environment.Asked{{Name: "dev", Linked: environment.Links{NeonBranchID: "../../x", CloudflareWorkerName: ".."}}},
			[]string{"environments[0].linkedResources.neonBranchId", "environments[0].linkedResources.cloudflareWorkerName"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var got []string
			for _, p := range environment.Check(c.asked, known) {
				got = append(got, p.Field)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", environment.Check(c.asked, known), c.want)
			}
		})
	}
}

// Without a default reviewer the setting is named that would help.
func TestNoDefaultReviewer(t *testing.T) {
	for _, a := range []environment.Asked{asked("staging", environment.Rules{}), asked("dev", environment.Rules{RequiredReviewers: ptr(1)})} {
		problems := environment.Check([]environment.Asked{a}, environment.Known{})
		if len(problems) != 1 || !strings.Contains(problems[0].Why, "defaultReviewerId") {
			t.Errorf("%s: %v", a.Name, problems)
		}
	}
}

// More than GitHub's hundred secrets are refused before they are sent.
func TestTooManySecrets(t *testing.T) {
	a := environment.Asked{Name: "dev"}
	for i := range environment.MaxSecrets + 1 {
		a.Secrets = append(a.Secrets, value(fmt.Sprintf("S%d", i), "v"))
	}
	if p := environment.Check([]environment.Asked{a}, environment.Known{}); len(p) != 1 || p[0].Field != "environments[0].secrets" {
		t.Errorf("%v", p)
	}
}

// Bad input is refused whole, before anything is asked of GitHub, and no value is in the refusal.
func TestBadInputIsRefused(t *testing.T) {
	w := newWorld(t)
	bad := asked("dev", environment.Rules{WaitTimer: ptr(-1)})
	bad.Secrets = []environment.Value{value("bad-name", "canary-of-a-value"), value("OTHER", "canary-of-a-value")}
	_, err := w.svc.Apply(t.Context(), w.request(bad))
	isCode(t, err, fault.RequestInvalid)
	problems, _ := fault.Of(err).Context["problems"].([]environment.Problem)
	if len(problems) != 2 || strings.Contains(fmt.Sprintf("%+v %v", fault.Of(err), problems), "canary") {
		t.Errorf("%v: %+v", err, problems)
	}
	if _, err := w.svc.Plan(t.Context(), w.request(bad)); !fault.Is(err, fault.RequestInvalid) {
		t.Errorf("plan: %v", err)
	}
	if n := w.sim.Counts().Requests; n != 0 {
		t.Errorf("%d requests", n)
	}
}
