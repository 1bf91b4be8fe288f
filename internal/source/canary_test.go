package source

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/fault"
)

const canary = "c4Nary-s3cret/+="

// leaks says in which rendering of v the canary shows, "" for none.
func leaks(v any) string {
	encoded, _ := json.Marshal(v)
	texts := map[string]string{
		"%v": fmt.Sprintf("%v", v), "%+v": fmt.Sprintf("%+v", v), "%#v": fmt.Sprintf("%#v", v),
		"%q": fmt.Sprintf("%q", v), "%x": fmt.Sprintf("%x", v), "JSON": string(encoded),
		"inside": fmt.Sprintf("%+v %#v", struct{ hidden any }{v}, struct{ hidden any }{v}),
	}
	if err, ok := v.(error); ok {
		for err := err; err != nil; err = errors.Unwrap(err) {
			texts["cause"] += fmt.Sprintf("%v %+v %#v", err, err, err)
		}
	}
	for how, text := range texts {
		for _, bad := range []string{canary, "c4Nary", base64.StdEncoding.EncodeToString([]byte(canary)), url.QueryEscape(canary), fmt.Sprintf("%x", "c4Nary")} {
			if strings.Contains(text, bad) {
				return how + ": " + text
			}
		}
	}
	return ""
}

// neverTells plants the canary in text and demands that no error tells it, and that what is
// accepted has sane lines. Names may be told: that is what they are for.
func neverTells(t *testing.T, format Format, text []byte, at uint) {
	planted := slices.Insert(slices.Clone(text), int(at%uint(len(text)+1)), []byte(canary)...)
	s := Source{label: "a source"}
	for _, text := range [][]byte{text, planted} {
		lines := 1 + strings.Count(string(text), "\n")
		entries, err := s.decode(format, text)
		if err == nil {
			last := 0
			for _, e := range entries {
				if e.Line < last || e.Line > lines {
					t.Fatalf("%q: line %d of %d follows line %d", text, e.Line, lines, last)
				}
				last = e.Line
				e.Name = ""
				if how := leaks(e); how != "" {
					t.Fatalf("an entry tells %s", how)
				}
			}
			continue
		}
		if entries != nil || !fault.Is(err, fault.RequestInvalid) {
			t.Fatalf("%q: entries %v with error %v", text, entries, err)
		}
		if how := leaks(err); how != "" {
			t.Fatalf("%q: the error tells %s", text, how)
		}
	}
}

// TestNothingTellsAValue reads every kind of source, whole and broken, with the canary as value.
func TestNothingTellsAValue(t *testing.T) {
	environ := func() []string {
		return []string{"PATH=/usr/bin:/bin", "P_A=" + canary, "J={\"A\":\"" + canary + "\"}", "BROKEN={\"A\":\"" + canary, "BAD={\"A\":[\"" + canary + "\"]}"}
	}
	texts := map[Format][]string{
		Dotenv: {"A=%s", "A='%s", "%s", "A= %s", "A='x'%s", "A=\"\\%s\"", "A=x\n%s==\n", "A=\n%s\n", "A=%s\x00", "B=\"%s\n\nA=1\""},
		JSON:   {`{"A":"%s"}`, `{"A":["%s"]}`, `{"A":%s}`, `{"A":"%s`, `%s`, `{"A":"1"}%s`, `{"A":"\%s"}`, `{%s:1}`},
		YAML:   {"A: %s", "A: *%s", "A: [%s]", "A: '%s", "%s", "A: |%s", "A: x\n  B: %s", "A: !%s x", "A: \"\\%s\"", "A: 'x'%s", "? %s", "A: x: %s"},
	}
	var sources []Source
	open := func(from string, o Options) {
		o.Environ, o.Stderr = environ, discard{}
		s, err := Parse(from, o)
		if err != nil {
			t.Fatal(err)
		}
		sources = append(sources, s)
	}
	for format, list := range texts {
		for _, text := range list {
			text = strings.Replace(text, "%s", canary, 1)
			open("-", Options{Format: format, Stdin: strings.NewReader(text)})
			open("exec:printf %s '"+strings.ReplaceAll(strings.ReplaceAll(text, "'", `'\''`), "\x00", "")+"'", Options{Format: format})
		}
	}
	for _, from := range []string{"env:P_", "json-env:J", "json-env:BROKEN", "json-env:BAD", "exec:echo " + canary + "; echo " + canary + " >&2; exit 3"} {
		open(from, Options{})
	}
	for _, s := range sources {
		entries, err := s.Read(context.Background())
		verdict := Check(entries, func(string) bool { return false })
		for _, v := range []any{s, &s, entries, err, verdict, s.Refuse(verdict.Problems, "")} {
			if v == nil {
				continue
			}
			if how := leaks(v); how != "" {
				t.Errorf("%s: %T tells %s", s, v, how)
			}
		}
	}
}

// discard is io.Discard as a plain writer, so that a command's talk passes through us.
type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }
