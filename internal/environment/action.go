package environment

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Subject is the part of an environment that an action is about, spelled like the field of a spec.
type Subject string

// The subjects that are no secret.
const (
	SubjectEnvironment Subject = "environment"
	SubjectReviewers   Subject = "reviewerIds"
	SubjectSelfReview  Subject = "preventSelfReview"
	SubjectBranches    Subject = "restrictToMainBranch"
	SubjectWait        Subject = "waitTimer"
	SubjectBypass      Subject = "adminsBypass"
	SubjectNeon        Subject = "linkedResources.neonBranchId"
	SubjectWorker      Subject = "linkedResources.cloudflareWorkerName"
	SubjectPages       Subject = "linkedResources.cloudflarePagesProject"
)

// isLink says whether the subject is a resource elsewhere.
func (s Subject) isLink() bool { return s == SubjectNeon || s == SubjectWorker || s == SubjectPages }

// secretSubject is the subject of one secret.
func secretSubject(name secret.Name) Subject { return Subject("secrets." + name.String()) }

// A Reason says why an action has its verb. It is for people: nothing may branch on it.
type Reason string

// The reasons.
const (
	Missing          Reason = "missing"
	InStep           Reason = "in_step"
	Stale            Reason = "stale"
	Differs          Reason = "differs"
	Loosened         Reason = "loosened"
	Drift            Reason = "drift"
	DeletedOutside   Reason = "drift_deleted_outside"
	Interrupted      Reason = "interrupted"
	Unmanaged        Reason = "unmanaged"
	Excluded         Reason = "excluded"
	NotNamed         Reason = "not_named"
	NeverOurs        Reason = "never_ours"
	Linked           Reason = "linked"
	Unlinked         Reason = "link_not_found"
	ReviewerUnknown  Reason = "reviewer_not_found"
	TooManyReviewers Reason = "too_many_reviewers"
	Deploying        Reason = "deploying"
	NotLookedUp      Reason = "not_looked_up"
	LeftAlone        Reason = "environment_left_alone"
	NotApplied       Reason = "not_applied"
)

// Words are the reason as a person reads it.
func (r Reason) Words() string { return reasons[r] }

var reasons = map[Reason]string{
	Missing:          "missing on GitHub",
	InStep:           "in step",
	Stale:            "something else is asked for than was written last",
	Differs:          "GitHub has something else, and nothing of ours",
	Loosened:         "loosened by someone else since it was applied last",
	Drift:            "changed by someone else since it was applied last",
	DeletedOutside:   "deleted by someone else since our last write",
	Interrupted:      "an interrupted apply left it unsettled",
	Unmanaged:        "exists, and was not written by us",
	Excluded:         "excluded by a pattern",
	NotNamed:         "written by us before, and not named now",
	NeverOurs:        "not named and never written by us",
	Linked:           "linked from now on",
	Unlinked:         "what is to be linked is not there",
	ReviewerUnknown:  "a reviewer does not exist or has no access",
	TooManyReviewers: "GitHub takes six reviewers at most, teams included",
	Deploying:        "a deployment to it is under way",
	NotLookedUp:      "what has to be known first is not to be had",
	LeftAlone:        "its environment is left alone",
	NotApplied:       "never applied by Octoseal",
}

// An Action is one decision about one part of one environment. Have and Wanted tell it for rules
// and links; of a secret there is nothing to tell.
type Action struct {
	Environment Tier      `json:"environment"`
	Subject     Subject   `json:"subject"`
	Verb        plan.Verb `json:"verb"`
	Reason      Reason    `json:"reason"`
	Have        any       `json:"have,omitzero"`
	Wanted      any       `json:"wanted,omitzero"`

	name  secret.Name  // of the secret that it is about
	fault *fault.Fault // what a verb that failed is reported as
}

// SecretName is the secret that the action is about, if it is about one.
func (a Action) SecretName() (name secret.Name, ok bool) { return a.name, !a.name.IsZero() }

func (a Action) failing(v plan.Verb, r Reason, f *fault.Fault) Action {
	a.Verb, a.Reason, a.fault = v, r, f
	return a
}

// isBlock says that the action is an objection to the whole environment, which is then left alone.
// A secret that is in conflict is left, and the others are written.
func (a Action) isBlock() bool { return a.Verb.Failed() && a.name.IsZero() }

func reviewerNames(r github.EnvironmentRules) []string {
	names := make([]string, len(r.Reviewers))
	for i, one := range r.Reviewers {
		names[i] = strings.ToLower(one.Type) + ":" + strconv.FormatInt(one.ID, 10)
		if one.Login != "" {
			names[i] += " (" + one.Login + ")"
		}
	}
	return names
}

func branchNames(r github.EnvironmentRules) string {
	switch r.Branches {
	case github.ProtectedBranches:
		return "protected branches"
	case github.CustomBranches:
		return fmt.Sprintf("branches %s", strings.Join(patternNames(r.Patterns), ", "))
	}
	return "any branch"
}
