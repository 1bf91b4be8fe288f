package source

import (
	"bytes"
	"encoding/json"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/octoseal/octoseal/internal/secret"
)

// A jsonText walks over one flat JSON object. It is ours and not encoding/json because that one
// puts U+FFFD where the text is no UTF-8 or has half a surrogate pair, in silence, and because its
// strings cannot be cleared. Nesting is refused where it begins, so depth costs nothing.
type jsonText struct {
	text []byte
	at   int
	line int
}

// parseJSON reads one flat object and stops at the first flaw. Duplicate keys are for Check.
func parseJSON(text []byte) ([]Entry, []flaw) {
	j := &jsonText{text: text, line: 1}
	entries, why := j.object()
	if why != "" {
		return entries, []flaw{{j.line, why}}
	}
	return entries, nil
}

func (j *jsonText) object() (entries []Entry, why string) {
	if !j.take('{') {
		return nil, "a JSON object begins with {"
	}
	for more := !j.take('}'); more; {
		name, value, line, why := j.member()
		if why != "" {
			return entries, why
		}
		entries = append(entries, Entry{Name: name, Value: secret.NewPlaintext(value), Line: line})
		more = j.take(',')
		if !more && !j.take('}') {
			return entries, "a comma or } is missing"
		}
	}
	if j.space(); j.at < len(j.text) {
		return entries, "text stands behind the object"
	}
	return entries, ""
}

func (j *jsonText) member() (name string, value []byte, line int, why string) {
	if !j.take('"') {
		return "", nil, 0, "a name in double quotes is missing"
	}
	line = j.line
	key, why := j.str()
	if why != "" {
		return "", nil, 0, why
	}
	if !j.take(':') {
		return "", nil, 0, "a colon is missing behind a name"
	}
	value, why = j.value()
	return string(key), value, line, why
}

// value reads a scalar: a string decoded, everything else by its literal text. null is empty.
func (j *jsonText) value() (value []byte, why string) {
	switch {
	case j.take('"'):
		return j.str()
	case j.take('{'), j.take('['):
		return nil, "the value is an object or a list; only plain values can be secrets"
	}
	begin := j.at
	for j.at < len(j.text) && !bytes.ContainsRune([]byte(" \t\r\n,:{}[]\""), rune(j.text[j.at])) {
		j.at++
	}
	word := j.text[begin:j.at]
	switch {
	case !json.Valid(word):
		return nil, "the value is no JSON"
	case string(word) == "null":
		return nil, ""
	}
	return bytes.Clone(word), ""
}

// str reads a string whose opening quote is behind us.
func (j *jsonText) str() (value []byte, why string) {
	body := j.text[j.at:]
	end := closing(body, '"')
	if end < 0 {
		return nil, "a quote opens here and is never closed"
	}
	body = body[:end]
	j.at += end + 1
	if !utf8.Valid(body) {
		return nil, "the text is no UTF-8"
	}
	value = make([]byte, 0, len(body)) // no escape is shorter than what it stands for
	for len(body) > 0 {
		switch c := body[0]; {
		case c < ' ':
			return nil, "a control character stands in a string, where JSON wants it escaped"
		case c != '\\':
			value, body = append(value, c), body[1:]
		default:
			r, size := escape(body)
			if size == 0 {
				return nil, "a backslash in a string begins no JSON escape"
			}
			value, body = utf8.AppendRune(value, r), body[size:]
		}
	}
	return value, ""
}

var jsonEscapes = map[byte]rune{'"': '"', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t'}

// escape reads the escape that body begins with and returns its size; 0 means that it is none, or
// half of a surrogate pair.
func escape(body []byte) (rune, int) {
	if r, ok := jsonEscapes[body[1]]; ok {
		return r, 2
	}
	r, ok := hex4(body)
	switch {
	case !ok:
		return 0, 0
	case !utf16.IsSurrogate(r):
		return r, 6
	}
	low, _ := hex4(body[6:])
	if r = utf16.DecodeRune(r, low); r == utf8.RuneError {
		return 0, 0
	}
	return r, 12
}

// hex4 reads \uXXXX.
func hex4(body []byte) (r rune, ok bool) {
	if len(body) < 6 || body[0] != '\\' || body[1] != 'u' {
		return 0, false
	}
	for _, c := range body[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// take skips white space, and c if it comes next.
func (j *jsonText) take(c byte) bool {
	j.space()
	if j.at < len(j.text) && j.text[j.at] == c {
		j.at++
		return true
	}
	return false
}

func (j *jsonText) space() {
	for ; j.at < len(j.text); j.at++ {
		switch j.text[j.at] {
		case '\n':
			j.line++
		case ' ', '\t', '\r':
		default:
			return
		}
	}
}
