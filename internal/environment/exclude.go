package environment

import (
	"context"

	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// exclude returns those of the names that a rule excludes, each with its rule. It fails closed: a
// pattern that gives no answer might have excluded anything.
func (s *session) exclude(ctx context.Context, names []secret.Name) (map[secret.Name]exclusion.Rule, error) {
	rules, err := s.store.Rules(ctx, s.project.ID)
	if err != nil {
		return nil, err
	}
	spelled := make([]string, len(names))
	for i, n := range names {
		spelled[i] = n.String()
	}
	verdicts, err := rules.Verdicts(ctx, spelled)
	if err != nil {
		return nil, fault.Invalid("An exclusion pattern gave no answer, so nothing was written: %v", err).
			Hinting("Remove or simplify the pattern: octoseal exclusions remove PATTERN.").Because(err)
	}
	excluded := map[secret.Name]exclusion.Rule{}
	for _, n := range names {
		if v := verdicts[n.String()]; v.Excluded {
			excluded[n] = v.Rule
		}
	}
	return excluded, nil
}

// named are the names of a spec's secrets.
func (s spec) named() []secret.Name {
	var names []secret.Name
	for _, w := range s.wanted {
		for name := range w.Secrets {
			names = append(names, name)
		}
	}
	return names
}
