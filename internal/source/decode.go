package source

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A flaw is a line that cannot be read, and why. It never holds the line's text.
type flaw struct {
	line int
	why  string
}

func (f flaw) String() string { return fmt.Sprintf("line %d: %s", f.line, f.why) }

// How many lines an error lists: few when the text is something else altogether, else all that a
// person could want.
const (
	fewFlaws     = 20
	manyProblems = 1000
)

const byteOrderMark = "\xef\xbb\xbf"

// decode reads text as format. The entries' values are copies: text may be cleared afterwards.
func (s Source) decode(format Format, text []byte) ([]Entry, error) {
	text = bytes.TrimPrefix(text, []byte(byteOrderMark))
	var entries []Entry
	var flaws []flaw
	switch {
	case bytes.HasPrefix(text, []byte{0xff, 0xfe}), bytes.HasPrefix(text, []byte{0xfe, 0xff}):
		flaws = []flaw{{1, "the text is UTF-16; write it as UTF-8"}}
	case format == JSON:
		entries, flaws = parseJSON(text)
	case format == YAML:
		entries, flaws = parseYAML(text)
	default:
		entries, flaws = parseDotenv(text)
	}
	if len(flaws) == 0 {
		return entries, nil
	}
	for _, e := range entries {
		e.Value.Zero()
	}
	return nil, s.malformed(format, beginsObject(text), flaws)
}

// malformed is the one fault about all flaws.
func (s Source) malformed(format Format, object bool, flaws []flaw) error {
	lines := make([]string, len(flaws))
	for i, f := range flaws {
		lines[i] = f.String()
	}
	f := fault.Invalid("%s:%s", s.label, listed(lines, fewFlaws))
	switch {
	case format == Dotenv && object:
		return f.Hinting("This looks like JSON: --format json reads it.")
	case format == Dotenv:
		return f.Hinting("Lines are NAME=VALUE; a value over several lines stands in quotes: NAME='…'.")
	default:
		return f.Hinting("%s is read as one flat object of names and plain values; --format names another.", strings.ToUpper(string(format)))
	}
}

// listed joins lines, at most most of them, behind a colon: one stays on its line, more get a line
// each.
func listed(lines []string, most int) string {
	if len(lines) == 1 {
		return " " + lines[0]
	}
	if more := len(lines) - most; more > 0 {
		lines = append(lines[:most:most], fmt.Sprintf("and %d more", more))
	}
	return "\n  " + strings.Join(lines, "\n  ")
}

// beginsObject says whether the first byte that is neither white space nor a byte order mark is {.
func beginsObject(text []byte) bool {
	text = bytes.TrimLeft(bytes.TrimPrefix(text, []byte(byteOrderMark)), " \t\r\n")
	return len(text) > 0 && text[0] == '{'
}

// entry makes an entry whose value is a copy of value.
func entry(name string, value []byte, line int) Entry {
	return Entry{Name: name, Value: secret.NewPlaintext(bytes.Clone(value)), Line: line}
}
