package environment

import (
	"context"
	"fmt"
	"strings"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
)

// A Held is a deployment that waits for the word of our custom protection rule, as a webhook told it.
type Held struct {
	Project     store.Project // zero: the repository has none
	Repo        github.Ref
	Actor       uuid.UUID
	Environment string
	Callback    string // where GitHub waits
}

// A Verdict is what was said of a deployment.
type Verdict struct {
	Approved bool
	Reasons  []string // why not; none for one that was approved
}

// Reached says whether there is a verdict at all: one that was found, though saying it may have failed.
func (v Verdict) Reached() bool { return v.Approved || len(v.Reasons) > 0 }

// maxReasons bounds what a comment lists: the rest is counted.
const maxReasons = 20

// Review validates the environment that a deployment is held back from, and tells GitHub whether the
// deployment may go on. Where that cannot be found out nothing is said, and the deployment waits: the
// delivery can be tried again. What we do not keep is never waved through.
func (s *Service) Review(ctx context.Context, h Held) (Verdict, error) {
	v, err := s.verdict(ctx, h)
	if err != nil {
		return Verdict{}, err
	}
	state, comment := github.Approved, "Octoseal: environment "+h.Environment+" is as it was applied, and has the secrets it has to have."
	if !v.Approved {
		state, comment = github.Rejected, v.comment(h.Environment)
	}
	return v, s.hubFor(ctx, h.Repo.Owner).ReviewDeployment(ctx, h.Callback, h.Environment, state, comment)
}

func (s *Service) verdict(ctx context.Context, h Held) (Verdict, error) {
	t, ours := tierOf(h.Environment)
	switch {
	case !ours:
		return Verdict{Reasons: []string{"Octoseal keeps dev, staging and production, and has nothing to say of " + h.Environment}}, nil
	case h.Project.ID == uuid.Nil:
		return Verdict{Reasons: []string{h.Repo.String() + " is no project of this Octoseal"}}, nil
	}
	res, err := s.Validate(ctx, ValidateRequest{Project: h.Project, Actor: h.Actor, Environments: []Tier{t}})
	if err != nil {
		return Verdict{}, err
	}
	var v Verdict
	for _, f := range res.Rules {
		if f.Weaker || f.Subject == SubjectEnvironment {
			v.Reasons = append(v.Reasons, f.String())
		}
	}
	for _, f := range res.Missing {
		v.Reasons = append(v.Reasons, fmt.Sprintf("%s is missing", f.SecretName))
	}
	for _, c := range res.Conflicts {
		v.Reasons = append(v.Reasons, fmt.Sprintf("%s was changed by someone else since our last write", c.SecretName))
	}
	v.Approved = res.Valid && len(v.Reasons) == 0
	return v, nil
}

func (v Verdict) comment(environment string) string {
	shown := v.Reasons[:min(len(v.Reasons), maxReasons)]
	lines := make([]string, len(shown), len(shown)+1)
	for i, r := range shown {
		lines[i] = "- " + r
	}
	if more := len(v.Reasons) - len(shown); more > 0 {
		lines = append(lines, fmt.Sprintf("- and %d more", more))
	}
	return "Octoseal: environment " + environment + " is not ready:\n" + strings.Join(lines, "\n")
}
