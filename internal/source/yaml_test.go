package source

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestYAMLKeepsItsMeaning(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"# nothing\n\n", nil},
		{"---\nA: x\n", []string{`2 A "x"`}},
		{"--- # c\n\nA: x", []string{`3 A "x"`}},
		{"{\"A\": 1.0,\n\"B\": null}", []string{`1 A "1.0"`, `2 B ""`}},
		{"A: 1.0\nB: 1e5\nC: 0123\nD: yes\nE: 0x1F\nF: 1_000\nG: .inf\nH: 2001-01-01\nI: 12:30:45\nJ: true\n",
			[]string{`1 A "1.0"`, `2 B "1e5"`, `3 C "0123"`, `4 D "yes"`, `5 E "0x1F"`, `6 F "1_000"`, `7 G ".inf"`, `8 H "2001-01-01"`, `9 I "12:30:45"`, `10 J "true"`}},
		{"A:\nB: ~\nC: null # c\nD: NULL\nE: ''\nF: \"\"\nG: # c\nH: '~'\nI: nUll",
			[]string{`1 A ""`, `2 B ""`, `3 C ""`, `4 D ""`, `5 E ""`, `6 F ""`, `7 G ""`, `8 H "~"`, `9 I "nUll"`}},
		{"A: x#y  # c\nB:   http://u:p@h:80/?a=b&c#d\nC: a\tb\nD: it's \"so\"\nE: -x\nF: ?y\nG: :z\nH: a,b]}\nI: \\n$x",
			[]string{`1 A "x#y"`, `2 B "http://u:p@h:80/?a=b&c#d"`, `3 C "a\tb"`, `4 D "it's \"so\""`, `5 E "-x"`, `6 F "?y"`, `7 G ":z"`, `8 H "a,b]}"`, `9 I "\\n$x"`}},
		{"  A: 1\r\n  'B': 2\r\n# c\r\n\r\n  \"C\\x44\" : 3\r\n", []string{`1 A "1"`, `2 B "2"`, `5 CD "3"`}},
		{"A: 'it''s # $x \\n'\nB: \"\\0\\a\\b\\t\\n\\v\\f\\r\\e\\ \\\"\\/\\\\\\N\\_\\L\\P\\x41\\u00e9\\U0001F600\\uD83D\\uDE00\" # c",
			[]string{`1 A "it's # $x \\n"`, `2 B "\x00\a\b\t\n\v\f\r\x1b \"/\\` + `\u0085\u00a0\u2028\u2029Aé😀😀"`}},
		{"A: one\n  two\n\n\n three # c\nB:\n  next # c\nC: 'a  \n   b\n\n  c '\nD: \"a \\\n   b\\n\n   c\"",
			[]string{`1 A "one two\n\nthree"`, `6 B "next"`, `8 C "a b\nc "`, `12 D "a b\n c"`}},
		{"A: |\n  x \n\n    y\n  # no comment\n\nB: |-\n x\n\nC: |+\n x\n\nD: |2-\n   x\n  y\nE: |\nF: |+\n\nG: | # c\n  x",
			[]string{`1 A "x \n\n  y\n# no comment\n"`, `7 B "x"`, `10 C "x\n\n"`, `13 D " x\ny"`, `16 E ""`, `17 F "\n"`, `19 G "x"`}},
		{"A: |\r\n  x\r\n  y\r\nB: 1", []string{`1 A "x\ny\n"`, `4 B "1"`}},
		{"A: >\n\n  a\n  b\n\n  c\n    d\n  e\n\nB: >-\n  a\n  b\n", []string{`1 A "\na b\nc\n  d\ne\n"`, `10 B "a b"`}},
		{"A: 1\nA: 2", []string{`1 A "1"`, `2 A "2"`}},
	} {
		entries, flaws := parseYAML([]byte(c.text))
		if len(flaws) > 0 {
			t.Errorf("%q: %v", c.text, flaws)
		}
		if diff := cmp.Diff(c.want, spelled(entries)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestYAMLRefusesByLine(t *testing.T) {
	const (
		meaning = "the value begins with a character that YAML gives a meaning; put it in quotes if it is meant as it stands"
		colon   = "a colon with white space behind it stands in the value; nesting is not read, and text with one must be in quotes"
		indent  = "this line is indented otherwise than the first name; nesting is not read"
		one     = "one document is read, and nothing beside its ---"
	)
	for text, want := range map[string]string{
		"- A":                        "line 1: " + flatOnly,
		"- A: 1":                     "line 1: " + flatOnly,
		"A\n":                        "line 1: " + flatOnly,
		"A: 1\n? B\n: c":             "line 2: " + flatOnly,
		"A: 1\n<<: *b":               "line 2: " + flatOnly,
		"%YAML 1.2\n---\nA: 1":       "line 1: " + flatOnly,
		"!!map A: 1":                 "line 1: " + flatOnly,
		"[A]":                        "line 1: " + flatOnly,
		"A:1":                        "line 1: " + flatOnly,
		"A:\n- x":                    "line 2: " + flatOnly,
		"A:\n  B: c":                 "line 2: " + colon,
		"A: b: c":                    "line 1: " + colon,
		"A: x\n  B:":                 "line 2: " + colon,
		"A: 1\n B: 2":                "line 2: " + colon,
		" A: 1\nB: 2":                "line 2: " + indent,
		"A: 'x'\n  B: 2":             "line 2: " + indent,
		"A: &x 1":                    "line 1: " + meaning,
		"A: 1\nB: *x":                "line 2: " + meaning,
		"A: !!str 1":                 "line 1: " + meaning,
		"A: [1]":                     "line 1: " + meaning,
		"A: {B: 1}":                  "line 1: " + meaning,
		"A:\n  - x":                  "line 2: " + meaning,
		"A: -":                       "line 1: " + meaning,
		"A: @x":                      "line 1: " + meaning,
		"A: `x`":                     "line 1: " + meaning,
		"A: %x":                      "line 1: " + meaning,
		"---\nA: 1\n---\nB: 2":       "line 3: " + one,
		"A: 1\n...\n":                "line 2: " + one,
		"--- A: 1":                   "line 1: " + one,
		"A: 1\n\tB: 2":               "line 2: " + tabIndents,
		"\tA: 1":                     "line 1: " + tabIndents,
		"A:\n \tx":                   "line 2: " + tabIndents,
		"A: |\n \tx":                 "line 2: " + tabIndents,
		"A: |x\n y":                  "line 1: behind | or > stand only one of + and -, one digit, and a comment",
		"A: |\n    \n  x":            "line 2: an empty line is indented further than the text below it",
		"A: 'x\n  y\n":               "line 1: a quote opens here and is never closed",
		"A: 'x\n---\n'":              "line 1: a quote opens here and is never closed",
		"A: 'x\ny'":                  "line 2: a text in quotes goes on here and must be indented",
		"A: 'x' y":                   "line 1: text stands behind a closing quote",
		"A: 'x'#y":                   "line 1: text stands behind a closing quote",
		"'A\n  B': x":                "line 2: a name ends on another line than it begins",
		"A: x\nB: \"a\n  \\q\"":      "line 3: a backslash in double quotes begins no YAML escape",
		"A: \"\\uD83D\"":             "line 1: a backslash in double quotes begins no YAML escape",
		"A: \"\\U00110000\"":         "line 1: a backslash in double quotes begins no YAML escape",
		"A: \"\\x4\"":                "line 1: a backslash in double quotes begins no YAML escape",
		"A: 1\nB: \xff":              "line 2: the text is no UTF-8",
		"A: 1\nB: x\ry":              "line 2: " + strayReturn,
		"A: 1\nB: \x00":              "line 2: a character stands here that YAML wants escaped in double quotes",
		"A: x\u2028y":                "line 1: a character stands here that YAML wants escaped in double quotes",
		"{\"A\": 1,\n \"B\": [2]}":   "line 2: the value is an object or a list; only plain values can be secrets",
		strings.Repeat("a: ", 1<<16): "line 1: " + colon,
		strings.Repeat("- ", 1<<16):  "line 1: " + flatOnly,
	} {
		if _, flaws := parseYAML([]byte(text)); len(flaws) != 1 || flaws[0].String() != want {
			t.Errorf("%.60q: %v, want %s", text, flaws, want)
		}
	}
}

// TestYAMLRoundTrip writes any printable text as double-quoted, single-quoted and block scalar.
func TestYAMLRoundTrip(t *testing.T) {
	line := rapid.StringMatching(`[a-z:#'"\\|>&*!\-{}\[\]é😀 \t]*`)
	rapid.Check(t, func(t *rapid.T) {
		lines := rapid.SliceOfN(line, 1, 4).Draw(t, "lines")
		want := strings.Join(lines, "\n")
		quoted, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		text := fmt.Sprintf("A: %s\nB: |2-\n  %s\nC: '%s'\nD: end\n", quoted, strings.Join(lines, "\n  "), strings.ReplaceAll(lines[0], "'", "''"))
		entries, flaws := parseYAML([]byte(text))
		if len(flaws) > 0 || len(entries) != 4 {
			t.Fatalf("%q: %v", text, flaws)
		}
		block := strings.TrimRight(want, "\n") // "-" drops the line ends behind the text
		for i, want := range []string{want, block, lines[0], "end"} {
			if got := string(entries[i].Value.Expose()); got != want {
				t.Fatalf("%q: %s is %q, want %q", text, entries[i].Name, got, want)
			}
		}
	})
}

// FuzzYAML: no panic, no text in an error, and each entry's lines in order.
func FuzzYAML(f *testing.F) {
	for _, seed := range []string{"A: x\nB: |2+\n   y\n\nC: >-\n  z\n  z\n", "A: \"\\x41\\\n  b\"\n'B': 'it''s\n\n  x'", "---\nA: &a [*a]\n", "A:\n  x\n  y # c\n", "? A\n: !x b"} {
		f.Add([]byte(seed), uint(5))
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint) { neverTells(t, YAML, text, at) })
}
