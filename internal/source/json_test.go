package source

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJSONTakesLiteralText(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"{}", nil},
		{" \n{ \"A\" : \"x\" ,\r\n\"B\":\"y\"}\n\n", []string{`2 A "x"`, `3 B "y"`}},
		{`{"A":1.0,"B":1e5,"C":-0,"D":12345678901234567890.10,"E":true,"F":false,"G":null,"H":""}`,
			[]string{`1 A "1.0"`, `1 B "1e5"`, `1 C "-0"`, `1 D "12345678901234567890.10"`, `1 E "true"`, `1 F "false"`, `1 G ""`, `1 H ""`}},
		{`{"A":"\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00\u0000 é😀"}`, []string{`1 A "\"\\/\b\f\n\r\té😀\x00 é😀"`}},
		{`{"A\u0042":" x "}`, []string{`1 AB " x "`}},
		{"{\"A\":\n\"x\",\"A\":\"y\"}", []string{`1 A "x"`, `2 A "y"`}},
		{"{\"A\":\"\ufeff\ufffd\"}", []string{`1 A "` + `\ufeff` + `�"`}},
	} {
		entries, flaws := parseJSON([]byte(c.text))
		if len(flaws) > 0 {
			t.Errorf("%q: %v", c.text, flaws)
		}
		if diff := cmp.Diff(c.want, spelled(entries)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

func TestJSONRefusesByLine(t *testing.T) {
	const nested = "the value is an object or a list; only plain values can be secrets"
	for text, want := range map[string]string{
		"":                              "line 1: a JSON object begins with {",
		"\n[]":                          "line 2: a JSON object begins with {",
		`"A"`:                           "line 1: a JSON object begins with {",
		"{\"A\":1,\n\"B\":{}}":          "line 2: " + nested,
		"{\"A\":1,\n\"B\":\n[1]}":       "line 3: " + nested,
		strings.Repeat(`{"A":`, 100000): "line 1: " + nested,
		"{\"A\":1\n\"B\":2}":            "line 2: a comma or } is missing",
		`{"A":1`:                        "line 1: a comma or } is missing",
		"{\"A\":1,\n}":                  "line 2: a name in double quotes is missing",
		"{A:1}":                         "line 1: a name in double quotes is missing",
		"{'A':1}":                       "line 1: a name in double quotes is missing",
		`{"A" 1}`:                       "line 1: a colon is missing behind a name",
		`{"A":}`:                        "line 1: the value is no JSON",
		`{"A":01}`:                      "line 1: the value is no JSON",
		`{"A":+1}`:                      "line 1: the value is no JSON",
		`{"A":NaN}`:                     "line 1: the value is no JSON",
		`{"A":True}`:                    "line 1: the value is no JSON",
		`{"A":x"y"}`:                    "line 1: the value is no JSON",
		"{\"A\":1}\n\nx":                "line 3: text stands behind the object",
		`{"A":1}{"B":2}`:                "line 1: text stands behind the object",
		"{\n\"A\":\"x\n}":               "line 2: a quote opens here and is never closed",
		"{\"A\":\"x\ny\"}":              "line 1: a control character stands in a string, where JSON wants it escaped",
		`{"A":"\x41"}`:                  "line 1: a backslash in a string begins no JSON escape",
		`{"A":"\u12G4"}`:                "line 1: a backslash in a string begins no JSON escape",
		`{"A":"\uD83D"}`:                "line 1: a backslash in a string begins no JSON escape",
		`{"A":"\uD83Dx\uDE00"}`:         "line 1: a backslash in a string begins no JSON escape",
		`{"A":"\uDE00\uD83D"}`:          "line 1: a backslash in a string begins no JSON escape",
		"{\"A\":\"\xff\"}":              "line 1: the text is no UTF-8",
		"{\"\xff\":1}":                  "line 1: the text is no UTF-8",
		"{\"A\":1 // c\n}":              "line 1: a comma or } is missing",
	} {
		if _, flaws := parseJSON([]byte(text)); len(flaws) != 1 || flaws[0].String() != want {
			t.Errorf("%.60q: %v, want %s", text, flaws, want)
		}
	}
}

// FuzzJSON compares with encoding/json, which must agree wherever it does not guess.
func FuzzJSON(f *testing.F) {
	for _, seed := range []string{`{"A":"x","B":1.0,"C":null}`, `{"A":"\uD83D\uDE00\n"}`, "{\n\"A\":[1]}", `{"A":"\ud83d"}`, " {} x", `{"A":1,"A":true}`} {
		f.Add([]byte(seed), uint(7))
	}
	f.Fuzz(func(t *testing.T, text []byte, at uint) {
		neverTells(t, JSON, text, at)
		entries, flaws := parseJSON(text)
		if len(flaws) > 0 {
			return
		}
		var theirs map[string]json.RawMessage
		if err := json.Unmarshal(text, &theirs); err != nil {
			t.Fatalf("%q: taken, but %v", text, err)
		}
		ours := map[string][]byte{} // of two keys encoding/json keeps the last
		for _, e := range entries {
			ours[e.Name] = e.Value.Expose()
		}
		if len(ours) != len(theirs) {
			t.Fatalf("%q: %d names, want %d", text, len(ours), len(theirs))
		}
		for name, raw := range theirs {
			want := []byte(raw)
			if raw[0] == '"' {
				var s string
				if err := json.Unmarshal(raw, &s); err != nil {
					t.Fatal(err)
				}
				want = []byte(s)
			} else if string(raw) == "null" {
				want = nil
			}
			if !bytes.Equal(ours[name], want) {
				t.Fatalf("%q: %s is %q, want %q", text, name, ours[name], want)
			}
		}
	})
}
