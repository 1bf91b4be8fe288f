package syncing

import (
	"context"

	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// Excluded returns the verdicts of those names that a rule excludes.
func Excluded(ctx context.Context, rules []exclusion.Rule, names []secret.Name) (map[secret.Name]plan.Exclusion, error) {
	spelled := make([]string, len(names))
	for i, n := range names {
		spelled[i] = n.String()
	}
	verdicts, err := exclusion.Rules(rules).Verdicts(ctx, spelled)
	if err != nil {
		return nil, undecided(err)
	}
	out := map[secret.Name]plan.Exclusion{}
	for _, n := range names {
		if v := verdicts[n.String()]; v.Excluded {
			out[n] = plan.Exclusion{Pattern: v.Rule.Pattern.String(), Reason: v.Rule.Reason, Global: v.Rule.Global}
		}
	}
	return out, nil
}

// undecided fails closed: a pattern that gives no answer might have excluded anything.
func undecided(err error) error {
	return fault.Invalid("An exclusion pattern gave no answer, so nothing was written: %v", err).
		Hinting("Remove or simplify the pattern: octoseal exclusions remove PATTERN.").Because(err)
}
