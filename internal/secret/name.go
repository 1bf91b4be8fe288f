package secret

import (
	"fmt"
	"regexp"
	"strings"
)

// MaxNameLength is the longest name the contract accepts, in characters.
const MaxNameLength = 100

// NamePattern is the form of a name, as data-model.md gives it.
const NamePattern = `^[A-Z][A-Z0-9_]*$`

var (
	namePattern  = regexp.MustCompile(NamePattern)
	lowerPattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*$`)
)

// A Name is the name of a secret: upper-case letters, digits and underscores, beginning with a
// letter, at most 100 characters, and not beginning with GITHUB_, which GitHub reserves. GitHub
// compares names without regard to case and stores them in upper case, so there is one spelling.
// The zero Name is no name.
type Name struct{ s string }

// ParseName returns the name spelled s, or a *NameError.
func ParseName(s string) (Name, error) {
	switch {
	case s == "":
		return Name{}, &NameError{Name: s, Why: "is empty"}
	case len(s) > MaxNameLength:
		return Name{}, &NameError{Name: s, Why: fmt.Sprintf("has %d characters, at most %d are allowed", len(s), MaxNameLength)}
	case strings.HasPrefix(strings.ToUpper(s), "GITHUB_"):
		return Name{}, &NameError{Name: s, Why: "begins with GITHUB_, which GitHub reserves"}
	case namePattern.MatchString(s):
		return Name{s}, nil
	case lowerPattern.MatchString(s): // and not what merely has A to Z for its upper case, as ſ has S
		return Name{}, &NameError{Name: s, Why: "has lower-case letters; GitHub stores names in upper case", Suggest: strings.ToUpper(s)}
	default:
		return Name{}, &NameError{Name: s, Why: "must begin with a letter and hold only A-Z, 0-9 and _"}
	}
}

// MustName is ParseName for names that stand in the source code; it panics on a bad one.
func MustName(s string) Name {
	n, err := ParseName(s)
	if err != nil {
		panic(err)
	}
	return n
}

func (n Name) String() string { return n.s }

// IsZero says whether n is no name.
func (n Name) IsZero() bool { return n.s == "" }

// Compare orders names by their bytes.
func (n Name) Compare(o Name) int { return strings.Compare(n.s, o.s) }

// MarshalText spells the name.
func (n Name) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText is ParseName.
func (n *Name) UnmarshalText(b []byte) error {
	p, err := ParseName(string(b))
	if err == nil {
		*n = p
	}
	return err
}

// A NameError says why a string is no Name. Suggest, when set, is a spelling that would be one.
type NameError struct {
	Name    string
	Why     string
	Suggest string
}

func (e *NameError) Error() string {
	shown := e.Name
	if len(shown) > 40 {
		shown = shown[:40] + "…"
	}
	return fmt.Sprintf("secret name %q %s", shown, e.Why)
}
