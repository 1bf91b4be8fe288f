package relay

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestText bounds what is repeated of a text that the server sent.
const longestText = 500

// tame makes a text that the server sent harmless to repeat in the log of a job: it is one short line,
// without control characters and what reorders letters, and nothing in it begins a workflow command,
// neither ::command:: nor the older ##[command].
func tame(text string) string {
	var b strings.Builder
	last := rune(0)
	for _, r := range shortened(text, longestText) {
		switch {
		case unicode.IsSpace(r), unicode.IsControl(r), r == utf8.RuneError:
			r = ' '
		case !unicode.IsPrint(r): // invisible ones, and those that turn the direction of the text
			continue
		}
		if r == ':' && last == ':' || r == '[' && last == '#' {
			b.WriteByte(' ')
		}
		b.WriteRune(r)
		last = r
	}
	return strings.TrimSpace(b.String())
}

// shortened returns text, or its beginning and an ellipsis.
func shortened(text string, most int) string {
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}

// A Level says how an annotation is meant.
type Level string

// The levels that a run of a workflow shows above its log.
const (
	Warning Level = "warning"
	Failing Level = "error"
)

// data escapes what stands behind the second :: of a workflow command, as GitHub's own toolkit does.
var data = strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")

// Annotation is the workflow command that shows text above the log of the job.
func Annotation(level Level, text string) string {
	return "::" + string(level) + " title=Octoseal::" + data.Replace(tame(text))
}
