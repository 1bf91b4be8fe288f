package environment

import (
	"slices"

	"github.com/octoseal/octoseal/internal/secret"
)

// A spec is what was asked for, once it was checked.
type spec struct {
	wanted []Wanted
	values map[Tier]map[secret.Name]secret.Plaintext
}

// want makes a spec of what was asked for and has no problem. What an environment is linked to
// becomes secrets of it, unless those are given.
func want(asked []Asked, k Known, h secret.Hasher) spec {
	s := spec{values: map[Tier]map[secret.Name]secret.Plaintext{}}
	for _, a := range asked {
		t := Tier(a.Name)
		values := map[secret.Name]secret.Plaintext{}
		for _, v := range a.Secrets {
			values[secret.MustName(v.Name)] = v.Value
		}
		linked := a.Linked.over(k.Linked[t])
		for _, link := range linked.each() {
			if _, given := values[link.Secret]; !given && link.Value != "" {
				values[link.Secret] = secret.NewPlaintext([]byte(link.Value))
			}
		}
		w := Wanted{Tier: t, Rules: a.Rules.filled(t, k.DefaultReviewer), Secrets: map[secret.Name]secret.Hash{}, Linked: linked}
		for name, v := range values {
			w.Secrets[name] = h.Hash(v)
		}
		s.wanted, s.values[t] = append(s.wanted, w), values
	}
	slices.SortFunc(s.wanted, func(a, b Wanted) int { return compareTiers(a.Tier, b.Tier) })
	return s
}
