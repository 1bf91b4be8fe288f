package githubsim

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fields are the JSON object of a request on its way through a call's checks. The first that
// is wrong makes the refusal; what is read after it means nothing.
type fields struct {
	values  map[string]any
	refusal *answer
}

// fields reads the request's body. No body, and null, are an empty object.
func (c *call) fields() *fields {
	if string(bytes.TrimSpace(c.body)) == "null" {
		return &fields{}
	}
	values, refusal := c.object()
	return &fields{values, refusal}
}

func (f *fields) refuse(a answer) {
	if f.refusal == nil {
		f.refusal = &a
	}
}

// require refuses an object that lacks one of names.
func (f *fields) require(names ...string) *fields {
	lacking := slices.DeleteFunc(names, func(name string) bool { _, given := f.values[name]; return given })
	if len(lacking) > 0 {
		f.refuse(invalid("%s supplied.", enumerate(lacking, "wasn't", "weren't")))
	}
	return f
}

// permit refuses an object that has another key than names.
func (f *fields) permit(names ...string) *fields {
	foreign := slices.DeleteFunc(slices.Sorted(maps.Keys(f.values)), func(name string) bool { return slices.Contains(names, name) })
	switch len(foreign) {
	case 0:
	case 1:
		f.refuse(invalid("Invalid input: %s is not a permitted key.", strconv.Quote(foreign[0])))
	default:
		f.refuse(invalid("Invalid input: %s not permitted keys.", enumerate(foreign, "is", "are")))
	}
	return f
}

// enumerate quotes names and adds the verb that fits their number.
func enumerate(names []string, one, many string) string {
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	if len(names) == 1 {
		many = one
	}
	return strings.Join(quoted, ", ") + " " + many
}

// null tells whether a field was given as null.
func (f *fields) null(name string) bool {
	value, given := f.values[name]
	return given && value == nil
}

func (f *fields) mistyped(name, want string) {
	f.refuse(invalid("For 'properties/%s', %s is not %s.", name, asJSON(f.values[name]), want))
}

// text returns a field that must be a string, and whether it was given.
func (f *fields) text(name string) (string, bool) {
	value, given := f.values[name]
	text, fits := value.(string)
	if given && !fits {
		f.mistyped(name, "a string")
	}
	return text, given && fits
}

func (f *fields) flag(name string) (bool, bool) {
	value, given := f.values[name]
	flag, fits := value.(bool)
	if given && !fits {
		f.mistyped(name, "a boolean")
	}
	return flag, given && fits
}

func (f *fields) integer(name string) (int64, bool) {
	value, given := f.values[name]
	if !given {
		return 0, false
	}
	number, isNumber := value.(json.Number)
	n, err := number.Int64()
	if !isNumber || err != nil {
		f.mistyped(name, "an integer")
		return 0, false
	}
	return n, true
}

// list returns a field that must be an array.
func (f *fields) list(name string) ([]any, bool) {
	value, given := f.values[name]
	list, fits := value.([]any)
	if given && !fits {
		f.mistyped(name, "an array")
	}
	return list, given && fits
}

// inner returns a field that must be an object, with checks of its own.
func (f *fields) inner(name string) (*fields, bool) {
	value, given := f.values[name]
	values, fits := value.(map[string]any)
	if given && !fits {
		f.mistyped(name, "an object")
	}
	return &fields{values: values}, given && fits
}

// word returns a field that must be one of words.
func (f *fields) word(name string, words ...string) (string, bool) {
	text, given := f.text(name)
	if given && !slices.Contains(words, text) {
		f.refuse(invalid("For 'properties/%s', %s is not a member of %s.", name, asJSON(text), asJSON(words)))
	}
	return text, given
}
