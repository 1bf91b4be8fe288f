package environment

import (
	"slices"

	"github.com/octoseal/octoseal/internal/github"
)

// What GitHub takes at most.
const (
	// MaxWait is the longest wait timer, in minutes: 30 days.
	MaxWait = 43200
	// MaxReviewers is how many reviewers, users and teams together, an environment can have.
	MaxReviewers = 6
	// MaxSecrets is how many secrets an environment can have.
	MaxSecrets = 100
)

// Rules are the protection rules that somebody asks for. A key that is nil was left out: the tier's
// default stands for it, or where the tier has none, whatever GitHub has. GitHub asks for ONE
// approval of any reviewer, so RequiredReviewers says whether, not how many.
type Rules struct {
	RequiredReviewers    *int    `json:"requiredReviewers,omitzero" yaml:"requiredReviewers"`
	ReviewerIDs          []int64 `json:"reviewerIds,omitzero" yaml:"reviewerIds"` // empty: nobody, which is not nil
	RestrictToMainBranch *bool   `json:"restrictToMainBranch,omitzero" yaml:"restrictToMainBranch"`
	WaitTimer            *int    `json:"waitTimer,omitzero" yaml:"waitTimer"` // minutes
}

// filled returns the rules with the tier's defaults for the keys that were left out, and with the
// project's default reviewer where reviewers are wanted and nobody is named.
func (r Rules) filled(t Tier, defaultReviewer int64) Rules {
	if r.RequiredReviewers == nil {
		r.RequiredReviewers = t.defaults().RequiredReviewers
		if n := min(1, len(r.ReviewerIDs)); r.ReviewerIDs != nil && (n > 0 || r.RequiredReviewers == nil) {
			r.RequiredReviewers = &n
		}
	}
	if r.RestrictToMainBranch == nil {
		r.RestrictToMainBranch = t.defaults().RestrictToMainBranch
	}
	if n := r.RequiredReviewers; n != nil && r.ReviewerIDs == nil {
		r.ReviewerIDs = []int64{}
		if *n > 0 {
			r.ReviewerIDs = []int64{defaultReviewer}
		}
	}
	return r
}

// over returns what GitHub is to have: now, with what r asks for. Keys that r does not have keep
// GitHub's value, and so does everything that r has no word for: teams among the reviewers, the bar
// on reviewing one's own run, who may bypass, and a branch policy that does not contradict r.
func (r Rules) over(now github.EnvironmentRules, branch string) github.EnvironmentRules {
	next := now
	if r.WaitTimer != nil {
		next.WaitTimer = *r.WaitTimer
	}
	if r.ReviewerIDs != nil {
		next.Reviewers = reviewers(r.ReviewerIDs, now.Reviewers)
	}
	if len(next.Reviewers) == 0 {
		next.PreventSelfReview = false // without a reviewer it means nothing, and GitHub refuses it
	}
	switch restrict := r.RestrictToMainBranch; {
	case restrict == nil:
	case *restrict && !mainOnly(now, branch):
		next.Branches, next.Patterns = github.CustomBranches, []github.BranchPattern{{Name: branch, Type: "branch"}}
	case !*restrict && mainOnly(now, branch):
		next.Branches, next.Patterns = github.AnyBranch, nil
	}
	return next
}

// reviewers returns the users with these ids, as GitHub has them already if it does, and whoever is
// among the present ones without being a user.
func reviewers(ids []int64, now []github.Reviewer) []github.Reviewer {
	var next []github.Reviewer
	for _, have := range now {
		if have.Type != userReviewer || slices.Contains(ids, have.ID) {
			next = append(next, have)
		}
	}
	for _, id := range ids {
		if !slices.ContainsFunc(next, func(r github.Reviewer) bool { return r.Type == userReviewer && r.ID == id }) {
			next = append(next, github.Reviewer{Type: userReviewer, ID: id})
		}
	}
	return next
}

// userReviewer and teamReviewer are the kinds of reviewers that can be sent.
const (
	userReviewer = "User"
	teamReviewer = "Team"
)

// mainOnly says whether deployments may come from the branch and from nowhere else. (Protected
// branches only is something else: it lets every branch deploy where none is protected.)
func mainOnly(r github.EnvironmentRules, branch string) bool {
	return r.Branches == github.CustomBranches && len(r.Patterns) == 1 && r.Patterns[0].Name == branch && r.Patterns[0].Type == "branch"
}

// userIDs are the users among the reviewers.
func userIDs(r github.EnvironmentRules) []int64 {
	ids := []int64{}
	for _, one := range r.Reviewers {
		if one.Type == userReviewer {
			ids = append(ids, one.ID)
		}
	}
	slices.Sort(ids)
	return ids
}

// shown are GitHub's rules in the words of a spec, with every key.
func shown(now github.EnvironmentRules, branch string) Rules {
	n, restricted, wait := min(1, len(now.Reviewers)), mainOnly(now, branch), now.WaitTimer
	return Rules{RequiredReviewers: &n, ReviewerIDs: userIDs(now), RestrictToMainBranch: &restricted, WaitTimer: &wait}
}

// A difference is one aspect in which GitHub's rules are not those wanted.
type difference struct {
	Subject      Subject
	Weaker       bool // GitHub's protect less
	Have, Wanted any
}

// differences compares in the order of subjects. Reviewers who are not the ones wanted are weaker,
// whoever they are: somebody may approve who should not, or nobody who should.
func differences(have, want github.EnvironmentRules) []difference {
	var out []difference
	if !sameReviewers(have.Reviewers, want.Reviewers) {
		out = append(out, difference{SubjectReviewers, len(want.Reviewers) > 0, reviewerNames(have), reviewerNames(want)})
	}
	if have.PreventSelfReview != want.PreventSelfReview {
		out = append(out, difference{SubjectSelfReview, want.PreventSelfReview, have.PreventSelfReview, want.PreventSelfReview})
	}
	if have.Branches != want.Branches || !samePatterns(have, want) {
		weaker := want.Branches != github.AnyBranch
		out = append(out, difference{SubjectBranches, weaker, branchNames(have), branchNames(want)})
	}
	if have.WaitTimer != want.WaitTimer {
		out = append(out, difference{SubjectWait, have.WaitTimer < want.WaitTimer, have.WaitTimer, want.WaitTimer})
	}
	if have.AdminsBypass != nil && want.AdminsBypass != nil && *have.AdminsBypass != *want.AdminsBypass {
		out = append(out, difference{SubjectBypass, *have.AdminsBypass, *have.AdminsBypass, *want.AdminsBypass})
	}
	return out
}

func sameReviewers(a, b []github.Reviewer) bool {
	in := func(list []github.Reviewer, r github.Reviewer) bool {
		return slices.ContainsFunc(list, func(o github.Reviewer) bool { return o.Type == r.Type && o.ID == r.ID })
	}
	return len(a) == len(b) && !slices.ContainsFunc(a, func(r github.Reviewer) bool { return !in(b, r) })
}

// samePatterns compares the patterns where they are in force; elsewhere they are inert.
func samePatterns(a, b github.EnvironmentRules) bool {
	if a.Branches != github.CustomBranches || b.Branches != github.CustomBranches {
		return true
	}
	return slices.Equal(patternNames(a.Patterns), patternNames(b.Patterns))
}

func patternNames(patterns []github.BranchPattern) []string {
	names := make([]string, len(patterns))
	for i, p := range patterns {
		names[i] = p.Name
		if p.Type != "branch" {
			names[i] = p.Type + ":" + p.Name
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
