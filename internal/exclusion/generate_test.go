package exclusion

import (
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// What random patterns are made of. atoms are sound by themselves; odd ones are where
// JavaScript and other dialects part, sound or not.
var (
	atoms = []string{
		"a", "b", "c", "a", "b", "A", "_", "1", "0", "-", " ", ",", "é", "😀", ".", `\d`, `\D`, `\w`, `\W`,
		`\s`, `\S`, `\.`, `\-`, `\x61`, `\u0061`, `\ud83d`, `\ude00`, `\n`, `\0`, `\cA`,
		"[ab]", "[^a]", "[a-c]", `[^\w]`, `[\d_]`, "[]", "[^]", `[\s\S]`, "[a-]", "[-a]", "[😀]",
		"^", "$", `\b`, `\B`, "|", `\1`, `\2`, `\3`, `\1`, `\2`, `\k<n>`, "]", "}",
	}
	odd = []string{
		"(", ")", "[", "(?", "(?<", "(?<n>", "(?<m>", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i:", "(?#",
		"(?'n'", "(?P<n>", "(?<1>", "(?<n", "{", "{1", "{1,", "{,2}", "{2,1}", "{1}", "{0}", "{99999999999}",
		"*", "+", "?", "*?", "++", "{1}{1}", `\`, `\x6`, `\u00`, `\u{61}`, `\c`, `\c1`, `[\c1]`, `[\c]`, `\8`, `\07`,
		`\377`, `\400`, `\10`, `\k`, `\k<`, `\k<x>`, `\p{L}`, `\A`, `\Z`, `\z`, `\G`, `\a`, `\e`, `\Q`, `\/`, "[z-a]",
		`[\w-z]`, `[a-\d]`, `[\b]`, `[\B]`, `[\k]`, "[[:alpha:]]", "[a-z&&[b]]", "[^^]", `[\]]`, "[]a]", "/", "#", "\n",
		"\u2028", "(?<$>", `(?<\u0061>`, `(?<\u{1d49c}>`, `(?<\ud835\udc9c>`, `(?<\ud835`, "(?<é>", "$<n>",
	}
	places      = []string{"^", "$", "|", `\b`, `\B`} // nothing to repeat
	quantifiers = []string{"", "", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{1,2}", "{0,1}?", "{0}", "{2,}", "{1,}?"}
)

// somePatterns draws patterns: most of them well formed, since only those are matched.
var somePatterns = rapid.Custom(func(t *rapid.T) string {
	body := ""
	if rapid.IntRange(0, 9).Draw(t, "shape") < 6 {
		named := false
		body = tree(t, 3, &named)
	} else {
		parts := rapid.SliceOfN(rapid.SampledFrom(append(atoms, odd...)), 1, 6).Draw(t, "parts")
		body = strings.Join(parts, "")
	}
	if rapid.Bool().Draw(t, "whole") {
		return "^(?:" + body + ")$"
	}
	return body
})

func tree(t *rapid.T, depth int, named *bool) string {
	var b strings.Builder
	for range rapid.IntRange(1, 3).Draw(t, "terms") {
		term, open := rapid.SampledFrom(atoms).Draw(t, "atom"), ""
		if depth > 0 {
			open = rapid.SampledFrom([]string{"", "", "", "", "(", "(", "(", "(?<n>", "(?:", "(?=", "(?!", "(?<=", "(?<!"}).Draw(t, "open")
		}
		if open == "(?<n>" && *named {
			open = "("
		}
		if open != "" {
			*named = *named || open == "(?<n>"
			term = open + tree(t, depth-1, named) + ")"
		}
		b.WriteString(term)
		if open != "(?<=" && open != "(?<!" && !slices.Contains(places, term) {
			b.WriteString(rapid.SampledFrom(quantifiers).Draw(t, "quantifier"))
		}
	}
	return b.String()
}
