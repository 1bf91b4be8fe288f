package github

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
)

// planHint says what environments take, and what works without them.
const planHint = "Environments in a private repository take GitHub Pro, Team or Enterprise; secrets of the repository itself work on every plan."

// withoutEnvironments explains a 404 about environments in a repository that is there. On a private
// one it means that the owner's plan has none, which GitHub says of nobody.
func (c *Client) withoutEnvironments(ctx context.Context, repo Repository, err error) error {
	var missing *fault.Fault
	if !errors.As(err, &missing) || missing.Code != fault.ResourceNotFound {
		return err
	}
	found, _, lookup := c.Repository(ctx, repo.Ref(), nil)
	if lookup != nil || !found.Private {
		return err
	}
	about := maps.Clone(missing.Context)
	about["reason"] = fmt.Sprintf("%s answers 404 though the repository is there: it is private, and its owner's plan seems to have no environments", missing.Context["resource"])
	return fault.New(fault.IntegrationDenied, about).
		Hinting("%s Should the plan have them, %s lacks the role to see or change them.", planHint, c.credential.Name()).
		Because(fmt.Errorf("%w: %w", ErrPlan, err))
}

// refusedRules explains a 422 of an environment's rules. GitHub's words stay out of sight, as those
// of every refused write.
func refusedRules(r request, a answer) *fault.Fault {
	text := strings.ToLower(a.message())
	has := func(s string) bool { return strings.Contains(text, s) }
	what := r.subject.what
	var f *fault.Fault
	cause := errRulesRefused
	switch key := unknownKey(text); {
	case has("billing plan supports environments"):
		f = denied(r, a, what+": the plan of the repository's owner has no environments in private repositories").Hinting("%s", planHint)
		cause = ErrPlan
	case has("billing plan"):
		f = denied(r, a, fmt.Sprintf("%s: the plan of the repository's owner does not include %s here", what, billedRule(text))).
			Hinting("Required reviewers, wait timers and the bypass switch take GitHub Enterprise in a private repository, and any plan in a public one. " +
				"Environments with secrets of their own and branch rules work on Pro and Team: leave the other rules away.")
		cause = ErrPlan
	case key != "":
		f = denied(r, a, fmt.Sprintf("%s: the server does not know the rule %s", what, key)).
			Hinting("An Enterprise Server learns rules with its releases: leave this one away, or upgrade the server.")
		f.Context["key"] = key
		cause = errKeyUnknown
	case has("at least one reviewer"):
		f = denied(r, a, what+": no reviewer is left to prevent self-review by").
			Hinting("GitHub drops reviewers who cannot read the repository: give them access, or turn the prevention off.")
	default:
		f = denied(r, a, what+": its rules were found invalid (422)").
			Hinting("A wait timer has 0 to 43200 minutes, and reviewers are at most six; GitHub keeps the rest to itself, the log has the request id.")
	}
	return f.Because(errors.Join(cause, errRulesRefused, trace(r, a)))
}

// billedRule is the rule that a plan does not include, in our words.
func billedRule(text string) string {
	for _, rule := range []string{"required reviewers", "wait timer", "branch policy"} {
		if strings.Contains(text, rule) {
			return rule
		}
	}
	return "one of its rules"
}

// unknownKey is the key that a server does not know, of those that not all servers do.
func unknownKey(text string) string {
	if !strings.Contains(text, "not a permitted key") {
		return ""
	}
	for key := range harmless {
		if strings.Contains(text, key) {
			return key
		}
	}
	return ""
}

// refusedPattern explains a 422 of a pattern for branches.
func refusedPattern(p BranchPattern) func(request, answer) *fault.Fault {
	return func(r request, a answer) *fault.Fault {
		return denied(r, a, fmt.Sprintf("%s: the pattern %q for a %s was found invalid (422)", r.subject.what, p.Name, p.kind())).
			Hinting("A pattern is the name of branches or tags, in which * stands for anything but a slash.")
	}
}

// refusedReview explains a 422 of a review.
func refusedReview(r request, a answer) *fault.Fault {
	return denied(r, a, r.subject.what+" waits for no word of this App, or has had another one already").
		Hinting("Somebody may have cancelled the job or bypassed the rule; there is nothing left to do.")
}
