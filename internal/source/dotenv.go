package source

import (
	"bytes"
	"fmt"

	"github.com/octoseal/octoseal/internal/secret"
)

// A dotenv walks over a .env text. Between two statements at stands at the beginning of a line.
type dotenv struct {
	text    []byte
	at      int
	line    int
	entries []Entry
	flaws   []flaw
}

// parseDotenv reads the dialect of the package comment. It goes on after a flaw, so that all of
// them are known at once; entries mean nothing when there is a flaw.
func parseDotenv(text []byte) ([]Entry, []flaw) {
	if i := bytes.IndexByte(text, 0); i >= 0 {
		return nil, []flaw{{1 + bytes.Count(text[:i], []byte("\n")), "a NUL byte stands here; is this a text file?"}}
	}
	d := &dotenv{text: text, line: 1}
	for d.at < len(d.text) {
		d.statement()
	}
	return d.entries, d.flaws
}

func (d *dotenv) statement() {
	d.blanks()
	line := d.line
	switch d.peek() {
	case '#', '\r', '\n':
		if _, ok := d.rest(); !ok {
			d.flaw(line, strayReturn)
		}
		return
	case 0: // the end, behind some white space
		return
	}
	name, why := d.name()
	if why != "" {
		d.rest()
		d.flaw(line, why)
		return
	}
	switch d.peek() {
	case '\'', '"':
		d.quoted(name)
	default:
		d.unquoted(name)
	}
}

const strayReturn = "a carriage return stands here that ends no line"

// name reads up to and over the =, or says why there is no name.
func (d *dotenv) name() (name, why string) {
	const export = "export"
	if rest := d.text[d.at:]; bytes.HasPrefix(rest, []byte(export)) && len(rest) > len(export) && isBlank(rest[len(export)]) {
		d.at += len(export)
		d.blanks()
	}
	begin := d.at
	for isNameByte(d.peek()) {
		d.at++
	}
	name = string(d.text[begin:d.at])
	end := d.at
	d.blanks()
	switch {
	case d.peek() != '=':
		return "", "this is no NAME=VALUE"
	case name == "":
		return "", "no name stands before the ="
	case d.at > end:
		return "", "white space stands before the =; remove it"
	}
	d.at++
	return name, ""
}

// unquoted reads a value up to the end of the line, or to a comment and the white space before it.
// White space at its ends is the value's own, as every other byte is; a value of white space alone
// is taken for the slip it is, and counts as empty.
func (d *dotenv) unquoted(name string) {
	line := d.line
	value, ok := d.rest()
	if !ok {
		d.flaw(line, strayReturn)
		return
	}
	for i := 1; i < len(value); i++ {
		if value[i] == '#' && isBlank(value[i-1]) {
			value = bytes.TrimRight(value[:i], " \t")
			break
		}
	}
	if len(bytes.TrimRight(value, " \t")) == 0 {
		value = value[:0]
	}
	d.entries = append(d.entries, entry(name, value, line))
}

// quoted reads a value in quotes, and what stands behind it on its last line.
func (d *dotenv) quoted(name string) {
	quote, opened := d.text[d.at], d.line
	body := d.text[d.at+1:]
	end := closing(body, quote)
	if end < 0 {
		d.at = len(d.text)
		d.flaw(opened, "a quote opens here and is never closed")
		return
	}
	value := body[:end]
	sound := true
	if quote == '"' {
		value, sound = d.unescape(value)
	} else {
		value = bytes.Clone(value)
	}
	d.line += bytes.Count(body[:end], []byte("\n"))
	d.at += 1 + end + 1
	closed := d.line
	rest, ok := d.rest()
	after := bytes.TrimLeft(rest, " \t")
	switch {
	case !ok:
		d.flaw(closed, strayReturn)
	case len(after) > 0 && (after[0] != '#' || len(after) == len(rest)):
		d.flaw(closed, fmt.Sprintf("text stands behind the quote that closes the one of line %d", opened))
	case sound:
		d.entries = append(d.entries, Entry{Name: name, Value: secret.NewPlaintext(value), Line: opened})
		return
	}
	clear(value)
}

// closing returns where the quote that ends body stands, or -1.
func closing(body []byte, quote byte) int {
	for i := 0; i < len(body); i++ {
		switch {
		case body[i] == quote:
			return i
		case body[i] == '\\' && quote == '"':
			i++
		}
	}
	return -1
}

var escapes = map[byte]byte{'n': '\n', 'r': '\r', 't': '\t', '\\': '\\', '"': '"', '$': '$'}

// unescape returns a copy of body without its backslashes, and whether all of them are known; the
// first that is not is a flaw.
func (d *dotenv) unescape(body []byte) ([]byte, bool) {
	// Made in full at once: a slice that grows leaves copies of a secret behind.
	value, sound := make([]byte, 0, len(body)), true
	for i := 0; i < len(body); i++ {
		c := body[i]
		if c == '\\' {
			i++ // closing made sure that something follows
			known, ok := escapes[body[i]]
			if !ok && sound {
				d.flaw(d.line+bytes.Count(body[:i], []byte("\n")),
					`a backslash in double quotes stands only before n, r, t, \, " and $; write \\, or use single quotes`)
				sound = false
			}
			c = known
		}
		value = append(value, c)
	}
	return value, sound
}

// rest takes what is left of the line, without its end. It is not ok when a carriage return stands
// there: a text whose lines end with one alone would otherwise be one long comment.
func (d *dotenv) rest() (rest []byte, ok bool) {
	rest = d.text[d.at:]
	if i := bytes.IndexByte(rest, '\n'); i >= 0 {
		rest = rest[:i]
		d.at += i + 1
		d.line++
		rest = bytes.TrimSuffix(rest, []byte("\r"))
	} else {
		d.at = len(d.text)
	}
	return rest, bytes.IndexByte(rest, '\r') < 0
}

// peek returns the next byte, 0 at the end; the text itself has none.
func (d *dotenv) peek() byte {
	if d.at == len(d.text) {
		return 0
	}
	return d.text[d.at]
}

func (d *dotenv) blanks() {
	for isBlank(d.peek()) {
		d.at++
	}
}

func (d *dotenv) flaw(line int, why string) { d.flaws = append(d.flaws, flaw{line, why}) }

func isBlank(c byte) bool { return c == ' ' || c == '\t' }

func isNameByte(c byte) bool {
	return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '.'
}
