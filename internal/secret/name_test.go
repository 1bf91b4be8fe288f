package secret

import (
	"encoding/json"
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
)

func TestParseName(t *testing.T) {
	for _, good := range []string{
		"A", "FOO", "F_", "A1", "FOO_BAR_2", "GITHUB", "GITHUBX", "MY_GITHUB_TOKEN", "ACTIONS_STEP_DEBUG", "CI",
		strings.Repeat("A", MaxNameLength),
	} {
		if n, err := ParseName(good); err != nil || n.String() != good || n.IsZero() {
			t.Errorf("%s: %q, %v", good, n, err)
		}
	}
	for bad, says := range map[string]string{
		"":              "is empty",
		"1FOO":          "must begin with a letter",
		"_FOO":          "must begin with a letter",
		"FOO-BAR":       "hold only",
		"FOO BAR":       "hold only",
		"FOO\n":         "hold only",
		"ÄRGER":         "hold only",
		"S\u017f":       "hold only",
		"FOO\x00":       "hold only",
		"GITHUB_TOKEN":  "GitHub reserves",
		"github_token":  "GitHub reserves",
		"GitHub_":       "GitHub reserves",
		"foo":           "lower-case",
		"FOO_bar":       "lower-case",
		"../../FOO":     "must begin",
		"FOO/../BAR":    "hold only",
		"FOO%2F":        "hold only",
		"${{ secrets }": "must begin",

		strings.Repeat("A", MaxNameLength+1): "101 characters, at most 100",
	} {
		n, err := ParseName(bad)
		var name *NameError
		if !errors.As(err, &name) || !n.IsZero() || !strings.Contains(name.Why, says) {
			t.Errorf("%q: %v, want %q", bad, err, says)
		}
	}
}

// A long name may be a piece of a value, so an error shows the beginning of it.
func TestNameErrorIsShort(t *testing.T) {
	_, err := ParseName(strings.Repeat("x", 10_000) + "canary")
	if err == nil || len(err.Error()) > 200 || strings.Contains(err.Error(), "canary") {
		t.Errorf("%v", err)
	}
}

func TestNameInJSON(t *testing.T) {
	raw, err := json.Marshal(map[Name]Name{MustName("A"): MustName("B")})
	if err != nil || string(raw) != `{"A":"B"}` {
		t.Errorf("%s, %v", raw, err)
	}
	var n Name
	if err := json.Unmarshal([]byte(`"foo"`), &n); err == nil || !n.IsZero() {
		t.Errorf("%q is a name: %v", n, err)
	}
	if err := json.Unmarshal([]byte(`"FOO"`), &n); err != nil || n != MustName("FOO") {
		t.Errorf("%q, %v", n, err)
	}
}

var contract = regexp.MustCompile(`\A[A-Z][A-Z0-9_]{0,99}\z`)

// FuzzParseName: a name parses exactly when the contract and GitHub take it, as it is spelled, and
// a suggestion is a name.
func FuzzParseName(f *testing.F) {
	for _, s := range []string{"", "FOO", "foo", "GITHUB_X", "gıthub_x", "ſ", "FOO\n", strings.Repeat("A", 101)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseName(s)
		if taken := contract.MatchString(s) && !strings.HasPrefix(s, "GITHUB_"); taken != (err == nil) {
			t.Fatalf("%q: %v, the contract says %v", s, err, taken)
		}
		if err == nil && n.String() != s {
			t.Fatalf("%q became %q", s, n)
		}
		var bad *NameError
		if errors.As(err, &bad) && bad.Suggest != "" {
			if _, err := ParseName(bad.Suggest); err != nil || !strings.EqualFold(bad.Suggest, s) {
				t.Fatalf("%q suggests %q: %v", s, bad.Suggest, err)
			}
		}
	})
}

func TestParseScope(t *testing.T) {
	for spelled, want := range map[string]string{
		"actions": "actions", "codespaces": "codespaces", "dependabot": "dependabot", "agents": "agents",
		"environment:production":                      "environment:production",
		"environment:Production":                      "environment:production",
		"environment:my env/eu":                       "environment:my env/eu",
		"environment:actions":                         "environment:actions",
		"environment:" + strings.Repeat("Ⱥ", 255):     "environment:" + strings.Repeat("ⱥ", 255),
		"environment:" + strings.Repeat("a", 255):     "environment:" + strings.Repeat("a", 255),
		"environment:environment:x":                   "environment:environment:x",
		"environment:..." /* three are a name */ + "": "environment:...",
	} {
		s, err := ParseScope(spelled)
		if err != nil || s.String() != want {
			t.Errorf("%q: %q, %v", spelled, s, err)
		}
		if again, err := ParseScope(s.String()); err != nil || again != s {
			t.Errorf("%q has two spellings: %q, %v", spelled, again, err)
		}
	}
	for _, bad := range []string{
		"", "Actions", "ACTIONS", " actions", "actions ", "environment", "environment:", "organization", "environment:.", "environment:..",
		"environment:\xff", "environment:" + strings.Repeat("a", 256), "Environment:x",
	} {
		if s, err := ParseScope(bad); err == nil || !s.IsZero() {
			t.Errorf("%q is the scope %q", bad, s)
		}
	}
}

func TestEnvironmentScope(t *testing.T) {
	s, err := Environment("Staging")
	if err != nil {
		t.Fatal(err)
	}
	if name, ok := s.Environment(); !ok || name != "staging" {
		t.Errorf("%s is of environment %q, %v", s, name, ok)
	}
	for _, store := range Stores() {
		if name, ok := store.Environment(); ok {
			t.Errorf("%s is of environment %q", store, name)
		}
	}
}

// Tables show the stores in the order of Stores, then environments by name.
func TestScopeOrder(t *testing.T) {
	var want []Scope
	want = append(want, Stores()...)
	for _, e := range []string{"a", "b", "production"} {
		s, err := Environment(e)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, s)
	}
	got := slices.Clone(want)
	slices.Reverse(got)
	slices.SortFunc(got, Scope.Compare)
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// FuzzParseScope: what parses has one spelling, and survives JSON.
func FuzzParseScope(f *testing.F) {
	for _, s := range []string{"actions", "environment:İ", "environment:ẞ", "environment:\xff", "environment:Ⱥ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, spelled string) {
		s, err := ParseScope(spelled)
		if err != nil {
			return
		}
		raw, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Scope
		if err := json.Unmarshal(raw, &back); err != nil || back != s {
			t.Fatalf("%q comes back as %q: %v", s, back, err)
		}
	})
}
