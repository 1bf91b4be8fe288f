package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// The types in this file read a body that holds secret values. They differ from what the other
// bodies are read with in three ways: no text of a value comes to be beside the body and the
// Plaintext, both of which are overwritten in the end; what has the wrong type is noted where it
// stands, so that all of it can be told at once; and nothing that is told repeats what was sent.

// A state is how a field was given.
type state int

const (
	absent state = iota
	wrong        // another type, or null
	there
)

// A given is one field of a body.
type given[T any] struct {
	value T
	state state
}

// UnmarshalJSON takes the field, and notes it when it is of another type.
func (g *given[T]) UnmarshalJSON(raw []byte) error {
	g.state = wrong
	if !bytes.Equal(raw, []byte("null")) && json.Unmarshal(raw, &g.value) == nil {
		g.state = there
	}
	return nil
}

// Schema is that of what the field holds.
func (given[T]) Schema(r huma.Registry) *huma.Schema {
	return r.Schema(reflect.TypeFor[T](), true, "")
}

// A list is a list of T that is not read yet: how long it is is known before anything is made of it.
type list[T any] struct {
	members [][]byte // parts of the body
	state   state
}

// UnmarshalJSON takes the list apart.
func (l *list[T]) UnmarshalJSON(raw []byte) error {
	l.state = wrong
	if raw[0] == '[' {
		l.state, l.members = there, members(raw)
	}
	return nil
}

// Schema is that of a list of T.
func (list[T]) Schema(r huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeArray, Items: r.Schema(reflect.TypeFor[T](), true, "")}
}

// members are the members of a JSON array that is known to be well formed, as parts of it.
func members(array []byte) [][]byte {
	inside := bytes.TrimSpace(array[1 : len(array)-1])
	if len(inside) == 0 {
		return nil
	}
	var out [][]byte
	depth, begins, quoted := 0, 0, false
	for i := 0; i < len(inside); i++ {
		switch c := inside[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{', c == '[':
			depth++
		case c == '}', c == ']':
			depth--
		case c == ',' && depth == 0:
			out, begins = append(out, bytes.TrimSpace(inside[begins:i])), i+1
		}
	}
	return append(out, bytes.TrimSpace(inside[begins:]))
}

// A hidden is a secret's value in a body.
type hidden struct {
	secret.Plaintext
	state state
}

// UnmarshalJSON takes the value. Of one that is given twice the last holds, as everywhere in a body.
func (h *hidden) UnmarshalJSON(raw []byte) error {
	h.Zero()
	h.state = wrong
	if value, ok := unquoted(raw); ok {
		h.Plaintext, h.state = secret.NewPlaintext(value), there
	}
	return nil
}

// Schema says that nothing shows the value again.
func (hidden) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeString, WriteOnly: true}
}

// unquoted is the text of a JSON string that is known to be well formed, in a buffer of its own and
// in no other. It is not ok for anything else, and for half of a character.
func unquoted(raw []byte) (text []byte, ok bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return nil, false
	}
	raw = raw[1 : len(raw)-1]
	text = make([]byte, 0, len(raw)) // an escape is never shorter than what it stands for
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			text = append(text, raw[i])
			continue
		}
		i++
		if at := bytes.IndexByte([]byte(`"\/bfnrt`), raw[i]); at >= 0 {
			text = append(text, "\"\\/\b\f\n\r\t"[at])
			continue
		}
		r := hexadecimal(raw[i+1:])
		i += 4
		if utf16.IsSurrogate(r) {
			if len(raw) < i+7 || raw[i+1] != '\\' || raw[i+2] != 'u' {
				clear(text)
				return nil, false
			}
			r = utf16.DecodeRune(r, hexadecimal(raw[i+3:]))
			i += 6
			if r == utf8.RuneError {
				clear(text)
				return nil, false
			}
		}
		text = utf8.AppendRune(text, r)
	}
	return text, true
}

// hexadecimal reads the four digits of an escape.
func hexadecimal(digits []byte) rune {
	var r rune
	for _, c := range digits[:4] {
		switch {
		case c <= '9':
			c -= '0'
		case c <= 'F':
			c -= 'A' - 10
		default:
			c -= 'a' - 10
		}
		r = r<<4 | rune(c)
	}
	return r
}

// A reading goes through a body and gathers what is wrong with its form.
type reading struct{ problems []environment.Problem }

func (r *reading) bad(field, format string, args ...any) {
	r.problems = append(r.problems, environment.Problem{Field: field, Code: fault.RequestInvalid, Why: fmt.Sprintf(format, args...)})
}

// is says whether a field is there and of its type, and notes it otherwise.
func (r *reading) is(field string, s state, kind string, required bool) bool {
	switch {
	case s == wrong:
		r.bad(field, "is to be %s", kind)
	case s == absent && required:
		r.bad(field, "is missing; it is to be %s", kind)
	}
	return s == there
}

// optional is a field's value, or nil.
func optional[T any](r *reading, field string, g given[T], kind string) *T {
	if !r.is(field, g.state, kind, false) {
		return nil
	}
	return &g.value
}

// few are the members of a list that is there and not longer than most.
func few[T any](r *reading, field string, l list[T], most int, required bool) [][]byte {
	switch {
	case !r.is(field, l.state, "a list", required):
		return nil
	case len(l.members) > most:
		r.bad(field, "has %d members; %d are taken at most", len(l.members), most)
		return nil
	}
	return l.members
}

// inside reads a member of a list, which is to be an object.
func inside[T any](r *reading, field string, member []byte) (v T, ok bool) {
	ok = member[0] == '{' && json.Unmarshal(member, &v) == nil
	if !ok {
		r.bad(field, "is to be an object")
	}
	return v, ok
}
