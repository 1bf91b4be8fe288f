package source

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// spelled shows entries as "line NAME value", since a Plaintext shows nothing.
func spelled(entries []Entry) []string {
	var out []string
	for _, e := range entries {
		out = append(out, fmt.Sprintf("%d %s %q", e.Line, e.Name, e.Value.Expose()))
	}
	return out
}

func TestDotenvTakesValuesByteForByte(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"\n \t\n# comment\n   # indented, 'open\n\r\n", nil},
		{"A=1\nB=2", []string{`1 A "1"`, `2 B "2"`}},
		{"A=1\r\nB=2\r\n", []string{`1 A "1"`, `2 B "2"`}},
		{"  A=1", []string{`1 A "1"`}},
		{"export A=1\n\texport\t B=2\nexport=3\nexported=4", []string{`1 A "1"`, `2 B "2"`, `3 export "3"`, `4 exported "4"`}},
		{"a.b-c_1=x", []string{`1 a.b-c_1 "x"`}},
		{"A=\nB= \t \nC= # comment\nD=''\nE=\"\"", []string{`1 A ""`, `2 B ""`, `3 C ""`, `4 D ""`, `5 E ""`}},
		{`A=aB$9fZ${X}$(x)\n\t\`, []string{`1 A "aB$9fZ${X}$(x)\\n\\t\\"`}},
		{"A=x#y\nB=#x\nC=x # y\nD=x\t#y # z\nE=x #", []string{`1 A "x#y"`, `2 B "#x"`, `3 C "x"`, `4 D "x"`, `5 E "x"`}},
		{"A=it's\nB=x\"y z\"\nC=a b  c\nD=`x`\nE==x=", []string{`1 A "it's"`, `2 B "x\"y z\""`, `3 C "a b  c"`, "4 D \"`x`\"", `5 E "=x="`}},
		{"A= x \nB=\t'x'\nC= x  # c\nD=x\t\r\n", []string{`1 A " x "`, `2 B "\t'x'"`, `3 C " x"`, `4 D "x\t"`}},
		{"A=\xff\xfe\u00a0", []string{`1 A "\xff\xfe\u00a0"`}},
		{`A='$x "y" \n # z' # c`, []string{`1 A "$x \"y\" \\n # z"`}},
		{"A='one\r\n\n  two \n'\nB=3", []string{`1 A "one\r\n\n  two \n"`, `5 B "3"`}},
		{`A="\n\r\t\\\"\$$x #'` + "\n" + `"	 # c` + "\r\nB=2", []string{`1 A "\n\r\t\\\"$$x #'\n"`, `3 B "2"`}},
		{"A=\"\rx\"", []string{`1 A "\rx"`}},
		{"A=1\nA=2", []string{`1 A "1"`, `2 A "2"`}},
	} {
		entries, flaws := parseDotenv([]byte(c.text))
		if len(flaws) > 0 {
			t.Errorf("%q: %v", c.text, flaws)
		}
		if diff := cmp.Diff(c.want, spelled(entries)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestDotenvRefusesByLine(t *testing.T) {
	const noPair = "this is no NAME=VALUE"
	for _, c := range []struct {
		text string
		want []string
	}{
		{"A=1\nB\n\nexport C\n", []string{"line 2: " + noPair, "line 4: " + noPair}},
		{"A: 1\n{\"A\": 1}\nA+=1\nÄ=1", []string{"line 1: " + noPair, "line 2: " + noPair, "line 3: " + noPair, "line 4: " + noPair}},
		{"=x\nexport =x", []string{"line 1: no name stands before the =", "line 2: no name stands before the ="}},
		{"A =x\nB = x", []string{"line 1: white space stands before the =; remove it", "line 2: white space stands before the =; remove it"}},
		{"A=1\nB='x\ny\n", []string{"line 2: a quote opens here and is never closed"}},
		{`A="x\"`, []string{"line 1: a quote opens here and is never closed"}},
		{"A='x'y\nB=\"x\"#c\nC='it'\\''s'\nD='\n' \"", []string{
			"line 1: text stands behind the quote that closes the one of line 1",
			"line 2: text stands behind the quote that closes the one of line 2",
			"line 3: text stands behind the quote that closes the one of line 3",
			"line 5: text stands behind the quote that closes the one of line 4"}},
		{"A=\"x\n\\d\\e\"\nB", []string{
			`line 2: a backslash in double quotes stands only before n, r, t, \, " and $; write \\, or use single quotes`,
			"line 3: " + noPair}},
		{"A=1\rB=2\r", []string{"line 1: " + strayReturn}},
		{"# c\rA=1", []string{"line 1: " + strayReturn}},
		{"A=1\n\rB=2\nC='x' \r", []string{"line 2: " + strayReturn, "line 3: " + strayReturn}},
		{"A=1\nB=\x00", []string{"line 2: a NUL byte stands here; is this a text file?"}},
	} {
		_, flaws := parseDotenv([]byte(c.text))
		var got []string
		for _, f := range flaws {
			got = append(got, f.String())
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

// asDotenv spells value in the given quotes, 0 for none.
func asDotenv(value []byte, quote byte) string {
	switch quote {
	case 0:
		return string(value)
	case '\'':
		return "'" + string(value) + "'"
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\t", `\t`, "\r", `\r`).Replace(string(value)) + `"`
}

// anyValue draws bytes that a .env can hold in the given quotes.
func anyValue(quote byte) *rapid.Generator[[]byte] {
	special := rapid.SampledFrom([]byte("\n\r\t \\\"'$#=`{}nrtx"))
	return rapid.SliceOf(rapid.OneOf(special, rapid.Byte())).Filter(func(b []byte) bool {
		switch {
		case bytes.IndexByte(b, 0) >= 0, quote == '\'' && bytes.IndexByte(b, '\'') >= 0:
			return false
		case quote == 0 && len(b) > 0:
			return !bytes.ContainsAny(b, "\r\n") && !bytes.Contains(b, []byte(" #")) && !bytes.Contains(b, []byte("\t#")) &&
				len(bytes.Trim(b, " \t")) == len(b) && b[0] != '\'' && b[0] != '"'
		}
		return true
	})
}

func TestDotenvRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var text bytes.Buffer
		var want []string
		line := 1
		for i := range rapid.IntRange(1, 5).Draw(t, "entries") {
			quote := rapid.SampledFrom([]byte{0, '\'', '"'}).Draw(t, "quote")
			value := anyValue(quote).Draw(t, "value")
			begin := text.Len()
			fmt.Fprintf(&text, "%sN%d=%s%s", rapid.SampledFrom([]string{"", "export ", "  "}).Draw(t, "before"), i, asDotenv(value, quote),
				rapid.SampledFrom([]string{"\n", "\r\n", " # it's \"one\"\n", "\n\n#\n"}).Draw(t, "after"))
			want = append(want, fmt.Sprintf("%d N%d %q", line, i, value))
			line += bytes.Count(text.Bytes()[begin:], []byte("\n"))
		}
		entries, flaws := parseDotenv(text.Bytes())
		if diff := cmp.Diff(want, spelled(entries)); diff != "" || len(flaws) > 0 {
			t.Fatalf("%q: %v\n%s", text.Bytes(), flaws, diff)
		}
	})
}

// FuzzDotenv: no panic, no text in an error, and each entry's lines in order.
func FuzzDotenv(f *testing.F) {
	for _, seed := range []string{"A=1\nexport B='x\ny' # c\r\nC=\"\\n\\$\"\n", "A=x \nB = y", "A='\r\n", "A=\"\\q\n\"z", "\xef\xbb\xbfA=1"} {
		f.Add([]byte(seed), uint(3))
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint) { neverTells(t, Dotenv, text, at) })
}
