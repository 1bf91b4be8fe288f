package source

import (
	"bytes"
	"slices"
	"unicode/utf8"

	"github.com/octoseal/octoseal/internal/secret"
)

// A yamlText walks over one flat YAML mapping, line by line. It is ours because a YAML library
// either keeps lines from us or changes values: the lexer measured for this drops a tab from the
// middle of an unquoted value and whole words behind a !, in silence. Without nesting, anchors and
// tags little is left of YAML, nothing of it recurses, and no text can be multiplied.
type yamlText struct {
	lines   [][]byte // without their ends
	at      int      // the line we are on; after a flaw, the flawed one
	closed  bool     // the last line has an end too
	indent  int      // of the names; -1 until the first
	entries []Entry
}

// parseYAML reads one flat mapping and stops at the first flaw. Duplicate keys are for Check.
func parseYAML(text []byte) ([]Entry, []flaw) {
	if beginsObject(text) {
		return parseJSON(text)
	}
	if i, why := unprintable(text); why != "" {
		return nil, []flaw{{1 + bytes.Count(text[:i], []byte("\n")), why}}
	}
	y := &yamlText{lines: bytes.Split(text, []byte("\n")), indent: -1}
	if last := len(y.lines) - 1; len(y.lines[last]) == 0 {
		y.lines, y.closed = y.lines[:last], true
	}
	for i, line := range y.lines {
		y.lines[i] = bytes.TrimSuffix(line, []byte("\r"))
	}
	if why := y.mapping(); why != "" {
		return y.entries, []flaw{{y.at + 1, why}}
	}
	return y.entries, nil
}

// unprintable returns where the first character stands that YAML forbids, or that ends a line for
// some readers of YAML and not for others.
func unprintable(text []byte) (at int, why string) {
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		switch {
		case r == utf8.RuneError && size == 1:
			return at, "the text is no UTF-8"
		case r == '\r' && !bytes.HasPrefix(text[at+1:], []byte("\n")):
			return at, strayReturn
		case r < ' ' && !bytes.ContainsRune([]byte("\t\r\n"), r), 0x7f <= r && r < 0xa0,
			r == 0x2028, r == 0x2029, r == 0xfeff, r == 0xfffe, r == 0xffff:
			return at, `a character stands here that YAML wants escaped in double quotes`
		}
		at += size
	}
	return 0, ""
}

const tabIndents = "a tab stands where YAML indents with spaces"

const flatOnly = "this is no NAME: value; nesting, lists, anchors, tags and merge keys are not read"

func (y *yamlText) mapping() (why string) {
	began := false
	for y.skip(); y.at < len(y.lines); y.skip() {
		line := y.lines[y.at]
		column := indentation(line)
		switch {
		case marker(line) && (began || line[0] != '-' || !empty(line[3:])):
			return "one document is read, and nothing beside its ---"
		case marker(line):
			began = true
			y.at++
			continue
		case line[column] == '\t':
			return tabIndents
		case y.indent < 0:
			y.indent = column
		case column != y.indent:
			return "this line is indented otherwise than the first name; nesting is not read"
		}
		began = true
		if why := y.pair(column); why != "" {
			return why
		}
	}
	return ""
}

// pair reads NAME: value, whose name begins at column.
func (y *yamlText) pair(column int) (why string) {
	line, number := y.lines[y.at], y.at+1
	var name []byte
	end := column
	if line[column] == '"' || line[column] == '\'' {
		if name, end, why = y.quoted(column); why != "" {
			return why
		}
		if y.at != number-1 {
			return "a name ends on another line than it begins"
		}
	} else {
		for end < len(line) && isNameByte(line[end]) {
			end++
		}
		if name = line[column:end]; len(name) == 0 || name[0] == '-' {
			return flatOnly
		}
	}
	end += len(line[end:]) - len(bytes.TrimLeft(line[end:], " \t"))
	if end == len(line) || line[end] != ':' || end+1 < len(line) && !isBlank(line[end+1]) {
		return flatOnly
	}
	value, why := y.value(end + 1)
	if why == "" {
		y.entries = append(y.entries, Entry{Name: string(name), Value: secret.NewPlaintext(value), Line: number})
	}
	return why
}

// value reads what stands at column or later, perhaps only on the next lines, and leaves us on the
// line behind it.
func (y *yamlText) value(column int) (value []byte, why string) {
	if empty(y.lines[y.at][column:]) {
		y.at++
		if y.skip(); y.at == len(y.lines) || indentation(y.lines[y.at]) <= y.indent {
			return nil, ""
		}
		if column = indentation(y.lines[y.at]); isBlank(y.lines[y.at][column]) {
			return nil, tabIndents
		}
	}
	line := y.lines[y.at]
	for isBlank(line[column]) {
		column++
	}
	switch c := line[column]; {
	case c == '|' || c == '>':
		return y.block(column)
	case c == '"' || c == '\'':
		value, column, why := y.quoted(column)
		if rest := y.lines[y.at][column:]; why == "" && len(rest) > 0 && !(isBlank(rest[0]) && empty(rest)) {
			why = "text stands behind a closing quote"
		}
		if why == "" {
			y.at++
		}
		return value, why
	case bytes.IndexByte([]byte("[]{},&*!%@`#"), c) >= 0,
		bytes.IndexByte([]byte("-?:"), c) >= 0 && (column+1 == len(line) || isBlank(line[column+1])):
		return nil, "the value begins with a character that YAML gives a meaning; put it in quotes if it is meant as it stands"
	}
	return y.plain(column)
}

// plain reads an unquoted value. One over several lines is folded, as YAML says; null is empty.
func (y *yamlText) plain(column int) (value []byte, why string) {
	text, comment, why := plainLine(y.lines[y.at][column:])
	value = bytes.Clone(text)
	for why == "" {
		y.at++
		next := y.at
		for next < len(y.lines) && len(bytes.TrimLeft(y.lines[next], " \t")) == 0 {
			next++
		}
		if comment || next == len(y.lines) || indentation(y.lines[next]) <= y.indent || empty(y.lines[next]) {
			break
		}
		value = fold(value, next-y.at)
		y.at = next
		text, comment, why = plainLine(bytes.TrimLeft(y.lines[next], " \t"))
		value = append(value, text...)
	}
	if slices.Contains([]string{"~", "null", "Null", "NULL"}, string(value)) {
		value = nil
	}
	return value, why
}

// plainLine returns the unquoted text that line begins with, and whether a comment ended it.
func plainLine(line []byte) (text []byte, comment bool, why string) {
	text = line
	for i := 1; i < len(line) && !comment; i++ {
		if line[i] == '#' && isBlank(line[i-1]) {
			text, comment = line[:i], true
		}
	}
	text = bytes.TrimRight(text, " \t")
	if bytes.HasSuffix(text, []byte(":")) || bytes.Contains(text, []byte(": ")) || bytes.Contains(text, []byte(":\t")) {
		return nil, comment, "a colon with white space behind it stands in the value; nesting is not read, and text with one must be in quotes"
	}
	return text, comment, ""
}

// fold joins two lines with n empty ones between them: a space for none, else a line feed each.
func fold(value []byte, n int) []byte {
	if n == 0 {
		return append(value, ' ')
	}
	return append(value, bytes.Repeat([]byte("\n"), n)...)
}

// skip goes to the next line that has more than white space and a comment.
func (y *yamlText) skip() {
	for y.at < len(y.lines) && (len(y.lines[y.at]) == 0 || empty(y.lines[y.at])) {
		y.at++
	}
}

// empty says whether rest of a line, which begins the line or stands behind a value or a colon, is
// white space and perhaps a comment.
func empty(rest []byte) bool {
	text := bytes.TrimLeft(rest, " \t")
	return len(text) == 0 || text[0] == '#'
}

// indentation counts the spaces that line begins with; a tab never indents in YAML.
func indentation(line []byte) int { return len(line) - len(bytes.TrimLeft(line, " ")) }

// marker says whether line begins or ends a document.
func marker(line []byte) bool {
	return (bytes.HasPrefix(line, []byte("---")) || bytes.HasPrefix(line, []byte("..."))) && (len(line) == 3 || isBlank(line[3]))
}
