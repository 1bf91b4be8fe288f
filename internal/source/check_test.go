package source

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

func none(string) bool { return false }

// TestFirstFiveMinutes is the .env of somebody who never heard of us.
func TestFirstFiveMinutes(t *testing.T) {
	s := Source{label: ".env"}
	entries, err := s.decode(Dotenv, []byte("PORT=3000\nFOO=\napi_key=x\nGITHUB_X=1\n2ND=x\nDUP=1\nDup=2\n"+
		"BIG="+strings.Repeat("x", secret.MaxValueSize+1)+"\nFITS="+strings.Repeat("x", secret.MaxValueSize)+"\n"))
	if err != nil {
		t.Fatal(err)
	}
	v := Check(entries, none)
	f := s.Refuse(v.Problems, "octoseal sync --from .env --skip-invalid")
	want := `.env:
  line 2: FOO has no value (give it one, or remove it)
  line 3: api_key has lower-case letters; GitHub stores names in upper case (write API_KEY)
  line 4: GITHUB_X begins with GITHUB_, which GitHub reserves (rename it)
  line 5: 2ND must begin with a letter and hold only A-Z, 0-9 and _ (rename it)
  line 6: DUP is given more than once, also on line 7 (keep one)
  line 7: Dup is given more than once, also on line 6 (keep one)
  line 8: BIG has 49153 bytes; GitHub takes at most 49152 (keep it encrypted in the repository, and its passphrase as the secret).`
	if diff := cmp.Diff(want, f.Message); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if f.Code != fault.RequestInvalid || f.Hint != "To leave these out and write the others: octoseal sync --from .env --skip-invalid" {
		t.Errorf("%s, hint %q", f.Code, f.Hint)
	}
	if got := fmt.Sprint(names(v), v.Withheld); got != "[FITS PORT] [API_KEY BIG DUP FOO]" {
		t.Errorf("values and withheld: %s", got)
	}
	var codes []fault.Code
	for _, p := range v.Problems {
		codes = append(codes, p.Code)
	}
	if got := fmt.Sprint(codes); got != "[REQUEST_INVALID GITHUB_SECRETS_NAME_INVALID GITHUB_SECRETS_NAME_INVALID GITHUB_SECRETS_NAME_INVALID REQUEST_INVALID REQUEST_INVALID GITHUB_SECRETS_VALUE_TOO_LARGE]" {
		t.Error(got)
	}
}

func names(v Verdict) []string {
	var out []string
	for name := range v.Values {
		out = append(out, name.String())
	}
	slices.Sort(out)
	return out
}

func TestExclusionIsDecidedFirst(t *testing.T) {
	entries, _ := parseDotenv([]byte("GITHUB_TOKEN=\nnode_env=\nNODE_ENV=x\nNODE_ENV=y\nA=1"))
	v := Check(entries, func(name string) bool { return name == "NODE_ENV" || name == "GITHUB_TOKEN" })
	if len(v.Problems) > 0 || len(v.Withheld) > 0 || fmt.Sprint(names(v), v.Excluded) != "[A] [GITHUB_TOKEN node_env NODE_ENV NODE_ENV]" {
		t.Errorf("%+v", v)
	}
}

// TestPiecesOfAValueAreNotTold: what follows a value broken over lines may look like an entry.
func TestPiecesOfAValueAreNotTold(t *testing.T) {
	entries, flaws := parseDotenv([]byte("KEY=\nc4NaryBase64==\nc4NaryBase64=\n" + strings.Repeat("c4Nary", 9) + "=x\nc4Nary$=x"))
	if len(flaws) != 1 || flaws[0].line != 5 {
		t.Fatal(flaws)
	}
	v := Check(entries, none)
	if len(v.Problems) != 4 {
		t.Errorf("%d problems, want 4", len(v.Problems))
	}
	for _, p := range v.Problems {
		if how := leaks(p); how != "" {
			t.Errorf("line %d tells %s", p.Line, how)
		}
	}
}

func TestSourcesWithoutLines(t *testing.T) {
	v := Check([]Entry{entry("A", nil, 0), entry("B", []byte("1"), 0), entry("b", []byte("1"), 0)}, none)
	want := "env:X_:\n  A has no value (give it one, or remove it)\n  B is given more than once (keep one)\n  b is given more than once (keep one)."
	if got := (Source{label: "env:X_"}).Refuse(v.Problems, ""); got.Message != want || got.Hint != "" {
		t.Errorf("%q", got.Message)
	}
}

// TestEveryEntryHasOneFate: a value, excluded, or a problem; and no name is both given and withheld.
func TestEveryEntryHasOneFate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var entries []Entry
		for line := range rapid.IntRange(0, 12).Draw(t, "entries") {
			name := rapid.SampledFrom([]string{"A", "a", "B", "GITHUB_A", "1", "", "X_1", "x_1", "Ä"}).Draw(t, "name")
			entries = append(entries, entry(name, []byte(rapid.SampledFrom([]string{"", "x", "="}).Draw(t, "value")), line+1))
		}
		v := Check(entries, func(name string) bool { return name == "X_1" })
		if got := len(v.Values) + len(v.Excluded) + len(v.Problems); got != len(entries) {
			t.Fatalf("%d fates for %d entries", got, len(entries))
		}
		for _, name := range v.Withheld {
			if _, ok := v.Values[name]; ok {
				t.Fatalf("%s is given and withheld", name)
			}
		}
	})
}
