package environment

import (
	"fmt"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/secret"
)

// A Tier is one of the environments that a project has on GitHub. Previews come and go too quickly
// to be environments there.
type Tier string

// The tiers, in the order in which code moves through them.
const (
	Dev        Tier = "dev"
	Staging    Tier = "staging"
	Production Tier = "production"
)

// Tiers returns all tiers in their order.
func Tiers() []Tier { return []Tier{Dev, Staging, Production} }

// ParseTier returns the tier spelled s. GitHub takes any case for the same environment; a spec has
// one spelling.
func ParseTier(s string) (Tier, error) {
	if t := Tier(s); slices.Contains(Tiers(), t) {
		return t, nil
	}
	return "", fmt.Errorf("%q is no environment of a project: there are dev, staging and production", s)
}

// tierOf returns the tier that GitHub's environment of that name is, if it is one.
func tierOf(name string) (Tier, bool) {
	t, err := ParseTier(strings.ToLower(name))
	return t, err == nil
}

// Scope is where the tier's own secrets are.
func (t Tier) Scope() secret.Scope {
	s, err := secret.Environment(string(t))
	if err != nil { // a name of the table is always one
		panic(err)
	}
	return s
}

// Suffix ends the name of a repository-level secret that is meant for the tier alone.
func (t Tier) Suffix() string {
	switch t {
	case Dev:
		return "_DEV"
	case Staging:
		return "_STAGING"
	}
	return "_PROD"
}

// defaults are what the tier asks for where a spec says nothing: dev nothing, staging an approval,
// production an approval and the default branch.
func (t Tier) defaults() Rules {
	one, yes := 1, true
	switch t {
	case Staging:
		return Rules{RequiredReviewers: &one}
	case Production:
		return Rules{RequiredReviewers: &one, RestrictToMainBranch: &yes}
	}
	return Rules{}
}

func compareTiers(a, b Tier) int {
	return slices.Index(Tiers(), a) - slices.Index(Tiers(), b)
}
