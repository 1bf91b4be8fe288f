package relay

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
)

// workflowFile is the only file whose jobs may claim: it is the one that pins the keys.
const workflowFile = ".github/workflows/octoseal.yml"

// dependabot starts workflows that see Dependabot's secrets in place of Actions'.
const dependabot = "dependabot[bot]"

// events are those whose workflow and secrets are the default branch's own.
var events = []string{"workflow_dispatch", "schedule", "push"}

// hints say what to do about a denial. Who holds no genuine token learns nothing but that.
var hints = map[Denial]string{
	DeniedToken:       "The job asks for its token with the server's public URL as its audience; both have to be spelled alike.",
	DeniedExpired:     "Ask for a fresh token; should that be refused too, set the clocks.",
	DeniedReplay:      "Ask for a fresh token with each claim.",
	DeniedRepository:  "Its operator adds the project: octoseal project add --repo OWNER/NAME. A repository that was made again is another one.",
	DeniedOwner:       "The repository has changed hands since; run the workflow again.",
	DeniedBranch:      "Run the workflow on the default branch.",
	DeniedWorkflow:    "Only " + workflowFile + " of the default branch may claim; octoseal init writes it.",
	DeniedEvent:       "Start the workflow by workflow_dispatch, schedule or push.",
	DeniedActor:       "Jobs that Dependabot started see other secrets than Actions'; start the workflow yourself.",
	DeniedEnvironment: "Take the environment out of the job: its secrets would stand in for the repository's.",
	DeniedRun:         "Start a synchronisation and let the server dispatch the workflow.",
	DeniedSession:     "Claim again with a fresh token.",
}

// deny is the refusal of a claim. Why it is refused is for the log.
func deny(d Denial, why error) *fault.Fault {
	return fault.New(fault.RelayClaimDenied, fault.Context{"reason": string(d)}).Hinting("%s", hints[d]).Because(why)
}

// denialOf returns why a claim was refused; nothing where err says something else.
func denialOf(err error) Denial {
	var f *fault.Fault
	if !errors.As(err, &f) || f.Code != fault.RelayClaimDenied {
		return ""
	}
	reason, _ := f.Context["reason"].(string)
	return Denial(reason)
}

// checkJob holds what can be said of a job without asking GitHub: how it was started, and by whom.
// The reason closest to what is wrong comes first, since a pull request's job is on no branch either.
func (c claims) checkJob() error {
	switch {
	case !slices.Contains(events, c.Event):
		return deny(DeniedEvent, fmt.Errorf("event %q", c.Event))
	case c.HeadRef != "" || c.BaseRef != "":
		return deny(DeniedEvent, fmt.Errorf("event %q of a pull request from %q to %q", c.Event, c.HeadRef, c.BaseRef))
	case strings.EqualFold(c.Actor, dependabot):
		return deny(DeniedActor, fmt.Errorf("actor %q", c.Actor))
	case c.Environment != nil:
		return deny(DeniedEnvironment, fmt.Errorf("environment %q", *c.Environment))
	}
	return nil
}

// checkPlace holds where the job comes from against the repository as GitHub has it now. Names are
// compared only within the token, to find the path in a reference: what a repository is, its number
// says, and whose it is, its owner's.
func (c claims) checkPlace(repo github.Repository) error {
	ref := "refs/heads/" + repo.DefaultBranch
	switch {
	case repo.ID != c.repository:
		return deny(DeniedRepository, fmt.Errorf("%s has number %d, not %d", c.Repository, repo.ID, c.repository))
	case repo.OwnerID != c.owner:
		return deny(DeniedOwner, fmt.Errorf("owner %d, not %d", repo.OwnerID, c.owner))
	case repo.DefaultBranch == "" || c.Ref != ref || c.RefType != "branch":
		return deny(DeniedBranch, fmt.Errorf("%s %q, not %q", c.RefType, c.Ref, ref))
	case c.WorkflowRef != c.Repository+"/"+workflowFile+"@"+ref:
		return deny(DeniedWorkflow, fmt.Errorf("workflow %q", c.WorkflowRef))
	case c.JobWorkflowRef != c.WorkflowRef:
		return deny(DeniedWorkflow, fmt.Errorf("the job is defined by %q", c.JobWorkflowRef))
	}
	return nil
}
