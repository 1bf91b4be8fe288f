package relay

import (
	"strings"
	"testing"
)

func TestTame(t *testing.T) {
	for in, want := range map[string]string{
		"plain words: and a colon":            "plain words: and a colon",
		"::error::owned":                      ": :error: :owned",
		":::add-mask:::":                      ": : :add-mask: : :",
		"x\n::set-env name=PATH::y":           "x : :set-env name=PATH: :y",
		"##[add-path]/tmp":                    "## [add-path]/tmp",
		"\x1b[2Jred\x07":                      "[2Jred",
		"a\u202egnp.exe\u200bb":               "agnp.exeb",
		"half \xff a byte":                    "half   a byte",
		strings.Repeat("x", longestText+1):    strings.Repeat("x", longestText) + "…",
		strings.Repeat("ü", longestText):      strings.Repeat("ü", longestText),
		"\u2028line separator\u0085next line": "line separator next line",
	} {
		if got := tame(in); got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

// No text makes a second command of an annotation, whatever it holds.
func FuzzAnnotation(f *testing.F) {
	f.Add("\n::error::x")
	f.Add(":\u200b:warning::")
	f.Add("#\u202e#[group]")
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := strings.CutPrefix(Annotation(Failing, text), "::error title=Octoseal::")
		if !ok || strings.Contains(got, "::") || strings.Contains(got, "##[") || strings.ContainsAny(got, "\r\n\x1b") {
			t.Errorf("%q becomes %q", text, got)
		}
	})
}
