package secret

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Scope is one store of secrets of a repository. It has exactly one spelling: the store's name,
// or "environment:NAME" with the environment's name in lower case, since GitHub compares those
// without regard to case. The zero Scope is no scope.
type Scope struct{ s string }

// The repository-level stores that exist today. GitHub keeps adding some (agents is the newest),
// so code asks Stores for them and never counts to three.
var (
	Actions    = Scope{"actions"}
	Codespaces = Scope{"codespaces"}
	Dependabot = Scope{"dependabot"}
	Agents     = Scope{"agents"}
)

const environmentPrefix = "environment:"

// maxEnvironmentLength is GitHub's limit on an environment's name, in characters.
const maxEnvironmentLength = 255

// Stores returns every repository-level scope, in the order in which tables show them.
func Stores() []Scope { return []Scope{Actions, Codespaces, Dependabot, Agents} }

// Environment returns the scope of an environment's own secrets.
func Environment(name string) (Scope, error) {
	return ParseScope(environmentPrefix + name)
}

// ParseScope returns the scope spelled s.
func ParseScope(s string) (Scope, error) {
	if name, ok := strings.CutPrefix(s, environmentPrefix); ok {
		switch {
		case name == "" || utf8.RuneCountInString(name) > maxEnvironmentLength:
			return Scope{}, fmt.Errorf("scope %q: an environment's name has 1 to %d characters", s, maxEnvironmentLength)
		case !utf8.ValidString(name):
			return Scope{}, fmt.Errorf("scope %q: an environment's name is UTF-8", s)
		case name == "." || name == "..": // the name is a segment of a URL, where these mean another place
			return Scope{}, fmt.Errorf("scope %q: no environment has this name", s)
		}
		return Scope{environmentPrefix + strings.ToLower(name)}, nil
	}
	if sc := (Scope{s}); slices.Contains(Stores(), sc) {
		return sc, nil
	}
	return Scope{}, fmt.Errorf("scope %q is unknown: known are %s and environment:NAME", s, spellings(Stores()))
}

func spellings(scopes []Scope) string {
	out := make([]string, len(scopes))
	for i, s := range scopes {
		out[i] = s.s
	}
	return strings.Join(out, ", ")
}

func (s Scope) String() string { return s.s }

// IsZero says whether s is no scope.
func (s Scope) IsZero() bool { return s.s == "" }

// Environment returns the name of the environment that s belongs to, if it belongs to one.
func (s Scope) Environment() (name string, ok bool) {
	return strings.CutPrefix(s.s, environmentPrefix)
}

// Compare orders scopes as tables show them: the stores first, then environments by name.
func (s Scope) Compare(o Scope) int {
	if d := s.rank() - o.rank(); d != 0 {
		return d
	}
	return strings.Compare(s.s, o.s)
}

func (s Scope) rank() int {
	switch s {
	case Actions:
		return 0
	case Codespaces:
		return 1
	case Dependabot:
		return 2
	case Agents:
		return 3
	}
	return 4
}

// MarshalText spells the scope.
func (s Scope) MarshalText() ([]byte, error) { return []byte(s.s), nil }

// UnmarshalText is ParseScope.
func (s *Scope) UnmarshalText(b []byte) error {
	p, err := ParseScope(string(b))
	if err == nil {
		*s = p
	}
	return err
}
