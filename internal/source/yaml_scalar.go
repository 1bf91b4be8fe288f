package source

import (
	"bytes"
	"math"
	"strconv"
	"unicode/utf8"
)

// quoted reads the quoted text that begins at column of our line, folding it over lines, and
// returns the column behind its closing quote. It leaves us on the line of that quote.
func (y *yamlText) quoted(column int) (value []byte, after int, why string) {
	opened, quote := y.at, y.lines[y.at][column]
	value = make([]byte, 0, len(y.lines[y.at]))
	for column++; ; {
		var closed, joined bool
		if value, column, closed, joined, why = quotedLine(value, y.lines[y.at], column, quote); closed || why != "" {
			return value, column, why
		}
		empties := -1
		for again := true; again; empties++ {
			y.at++
			if y.at == len(y.lines) || marker(y.lines[y.at]) {
				y.at = opened
				return value, 0, "a quote opens here and is never closed"
			}
			column = indentation(y.lines[y.at])
			again = len(bytes.TrimLeft(y.lines[y.at], " \t")) == 0
		}
		if column <= y.indent {
			return value, 0, "a text in quotes goes on here and must be indented"
		}
		for isBlank(y.lines[y.at][column]) {
			column++
		}
		if !joined || empties > 0 {
			value = fold(value, empties)
		}
	}
}

// quotedLine appends what stands in line from column on to value, up to the closing quote or the
// line's end. White space before the end does not count, unless a backslash joins the next line.
func quotedLine(value, line []byte, column int, quote byte) (more []byte, after int, closed, joined bool, why string) {
	solid := len(value)
	for column < len(line) {
		c, next := line[column], column+1
		switch {
		case c == quote && quote == '\'' && next < len(line) && line[next] == quote:
			value, next = append(value, c), next+1
		case c == quote:
			return value, next, true, false, ""
		case c == '\\' && quote == '"' && next == len(line):
			return value, next, false, true, ""
		case c == '\\' && quote == '"':
			r, size := yamlEscape(line[column:])
			if size == 0 {
				return value, 0, false, false, "a backslash in double quotes begins no YAML escape"
			}
			value, next = utf8.AppendRune(value, r), column+size
		default:
			value = append(value, c)
		}
		if column = next; !isBlank(c) {
			solid = len(value)
		}
	}
	return value[:solid], column, false, false, ""
}

var yamlEscapes = map[byte]rune{
	'0': 0, 'a': '\a', 'b': '\b', 't': '\t', '\t': '\t', 'n': '\n', 'v': '\v', 'f': '\f', 'r': '\r', 'e': 0x1b,
	' ': ' ', '"': '"', '/': '/', '\\': '\\', 'N': 0x85, '_': 0xa0, 'L': 0x2028, 'P': 0x2029,
}

// yamlEscape reads the escape that text begins with and returns its size, 0 if it is none.
func yamlEscape(text []byte) (rune, int) {
	if r, ok := yamlEscapes[text[1]]; ok {
		return r, 2
	}
	digits := map[byte]int{'x': 2, 'U': 8}[text[1]]
	switch {
	case text[1] == 'u':
		return escape(text) // as in JSON, whose surrogate pairs YAML took over
	case digits == 0 || len(text) < 2+digits:
		return 0, 0
	}
	n, err := strconv.ParseUint(string(text[2:2+digits]), 16, 32)
	if err != nil || n > utf8.MaxRune || !utf8.ValidRune(rune(n)) {
		return 0, 0
	}
	return rune(n), 2 + digits
}

// A blockHeader is what stands behind the | or > of a block scalar.
type blockHeader struct {
	folded bool
	chomp  byte // '-' drops the line ends behind the text, '+' keeps all, 0 keeps one
	indent int  // of the text below the names; 0 means that its first line shows it
}

func parseBlockHeader(text []byte) (h blockHeader, ok bool) {
	h.folded = text[0] == '>'
	rest := text[1:]
	for ; len(rest) > 0 && !isBlank(rest[0]); rest = rest[1:] {
		switch c := rest[0]; {
		case (c == '-' || c == '+') && h.chomp == 0:
			h.chomp = c
		case '1' <= c && c <= '9' && h.indent == 0:
			h.indent = int(c - '0')
		default:
			return h, false
		}
	}
	return h, empty(rest)
}

// block reads a block scalar whose | or > stands at column.
func (y *yamlText) block(column int) (value []byte, why string) {
	header, ok := parseBlockHeader(y.lines[y.at][column:])
	if !ok {
		return nil, "behind | or > stand only one of + and -, one digit, and a comment"
	}
	y.at++
	indent, why := y.blockIndent(header)
	if why != "" {
		return nil, why
	}
	begin, end := y.at, y.at // end: behind the last line that is not empty
	for ; y.at < len(y.lines); y.at++ {
		line := y.lines[y.at]
		if deep := indentation(line); deep < indent && deep < len(line) {
			break
		}
		if len(line) > indent {
			end = y.at + 1
		}
	}
	ends := y.at - begin
	if y.at == len(y.lines) && !y.closed && ends > 0 {
		ends--
	}
	return header.text(y.lines[begin:end], indent, ends-(end-begin)+1), ""
}

// blockIndent returns the column where the lines of a block's text begin: that of the first which
// is not empty.
func (y *yamlText) blockIndent(header blockHeader) (indent int, why string) {
	if header.indent > 0 {
		return y.indent + header.indent, ""
	}
	first := y.at
	for first < len(y.lines) && indentation(y.lines[first]) == len(y.lines[first]) {
		first++
	}
	if first == len(y.lines) || indentation(y.lines[first]) <= y.indent {
		return math.MaxInt, "" // the block has empty lines alone, however far in they go
	}
	indent = indentation(y.lines[first])
	if line := y.lines[first]; line[indent] == '\t' {
		y.at = first
		return 0, tabIndents
	}
	for i, line := range y.lines[y.at:first] {
		if len(line) > indent {
			y.at += i
			return 0, "an empty line is indented further than the text below it"
		}
	}
	return indent, ""
}

// text joins the lines of a block, the last of which is not empty. ends counts the line ends from
// there on; for a block of empty lines alone it is one more than there are.
func (h blockHeader) text(lines [][]byte, indent, ends int) []byte {
	size := max(ends, 1)
	for _, line := range lines {
		size += len(line) + 1
	}
	value := make([]byte, 0, size)
	empties, began, wasDeep := 0, false, false
	for _, line := range lines {
		text := line[min(indent, len(line)):]
		if len(text) == 0 {
			empties++
			continue
		}
		deep := isBlank(text[0]) // such lines keep their line ends in a folded block too
		switch {
		case !began:
			value = append(value, bytes.Repeat([]byte("\n"), empties)...)
		case h.folded && !deep && !wasDeep:
			value = fold(value, empties)
		default:
			value = append(value, bytes.Repeat([]byte("\n"), empties+1)...)
		}
		value = append(value, text...)
		empties, began, wasDeep = 0, true, deep
	}
	switch {
	case h.chomp == '-', h.chomp == 0 && !began:
		ends = 0
	case h.chomp == 0:
		ends = min(ends, 1)
	case !began:
		ends--
	}
	return append(value, bytes.Repeat([]byte("\n"), ends)...)
}
