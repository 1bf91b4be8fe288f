package cli_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/rogpeppe/go-internal/testscript"
)

// env gives the stage directions about environments of acme/widgets.
//
//	sim env user LOGIN [ROLE]           a user, with access in a role; sets $LOGIN to their number
//	sim env access LOGIN [ROLE]         gives a user access, or takes it away
//	sim env make NAME                   somebody makes an environment by hand
//	sim env change NAME KEY=VALUE…      somebody changes rules by hand: wait=N, reviewers=ID,… or reviewers=, branches=any|main
//	sim env rules NAME TEXT             check the rules: wait=N reviewers=N branches=…; absent: that there is none
//	sim env deploy NAME STATE           a deployment; sets $DEPLOYMENT to its number
//	sim env deployed STATE              it goes on
//	sim env plan free|team|enterprise   what the owner pays for
func (st *stage) env(ts *testscript.TestScript, _ bool, args []string) {
	switch rest := args[1:]; args[0] {
	case "user":
		ts.Setenv(strings.ToUpper(rest[0]), strconv.FormatInt(st.github.AddUser(rest[0]), 10))
		st.access(rest)
	case "access":
		st.access(rest)
	case "make":
		st.github.AddEnvironment(widgets, rest[0])
	case "change":
		st.github.ChangeEnvironment(widgets, rest[0], func(e *githubsim.Environment) {
			for _, r := range rest[1:] {
				changeRule(ts, e, r)
			}
		})
	case "rules":
		if got := st.rules(rest[0]); got != rest[1] {
			ts.Fatalf("%s has the rules %q, want %q", rest[0], got, rest[1])
		}
	case "deploy":
		id := st.github.Deploy(widgets, githubsim.Deployment{Environment: rest[0], States: []githubsim.DeploymentState{githubsim.DeploymentState(rest[1])}})
		ts.Setenv("DEPLOYMENT", strconv.FormatInt(id, 10))
	case "deployed":
		id, err := strconv.ParseInt(ts.Getenv("DEPLOYMENT"), 10, 64)
		ts.Check(err)
		st.github.SetDeploymentState(widgets, id, githubsim.DeploymentState(rest[0]))
	case "plan":
		st.github.ChangeRepository(widgets, func(r *githubsim.Repository) { r.Plan = githubsim.Plan(rest[0]) })
	default:
		ts.Fatalf("sim env has no direction %q", args[0])
	}
}

func (st *stage) access(args []string) {
	role := githubsim.Role("")
	if len(args) > 1 {
		role = githubsim.Role(args[1])
	}
	st.github.AddCollaborator(widgets, args[0], role)
}

func changeRule(ts *testscript.TestScript, e *githubsim.Environment, rule string) {
	key, value, _ := strings.Cut(rule, "=")
	switch key {
	case "wait":
		n, err := strconv.Atoi(value)
		ts.Check(err)
		e.WaitTimer = n
	case "reviewers":
		e.Reviewers = nil
		for id := range strings.SplitSeq(value, ",") {
			if n, err := strconv.ParseInt(id, 10, 64); err == nil {
				e.Reviewers = append(e.Reviewers, githubsim.Reviewer{Type: githubsim.UserReviewer, ID: n})
			}
		}
	case "branches":
		e.Branches, e.Patterns = githubsim.AnyBranch, nil
		if value != "any" {
			e.Branches, e.Patterns = githubsim.CustomBranches, []githubsim.BranchPattern{{Name: value}}
		}
	default:
		ts.Fatalf("no rule %q", key)
	}
}

// rules spells what GitHub has.
func (st *stage) rules(name string) string {
	e, there := st.github.Environment(widgets, name)
	if !there {
		return "absent"
	}
	branches := "any"
	if e.Branches == githubsim.CustomBranches {
		var names []string
		for _, p := range e.Patterns {
			names = append(names, p.Name)
		}
		slices.Sort(names)
		branches = strings.Join(names, ",")
	}
	return fmt.Sprintf("wait=%d reviewers=%d branches=%s", e.WaitTimer, len(e.Reviewers), branches)
}
