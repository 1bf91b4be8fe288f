package source

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
)

// automatic is the key that toJSON(secrets) has in every workflow: the job's own token, which is
// no secret of the repository and dies with the job. It is the only one in lower case.
const automatic = "github_token"

// prefixed returns the variables whose names begin with the prefix, without it, sorted by name.
// That there are none is taken for a slip, not for the wish to have no secrets.
func (s Source) prefixed() ([]Entry, error) {
	var entries []Entry
	for _, pair := range s.options.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if name, ok := strings.CutPrefix(name, s.name); ok {
			entries = append(entries, entry(name, []byte(value), 0))
		}
	}
	if len(entries) == 0 {
		return nil, s.unavailable(nil, "no variable begins with %s", s.name)
	}
	slices.SortStableFunc(entries, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return entries, nil
}

// object reads the JSON object in the variable.
func (s Source) object() ([]Entry, error) {
	for _, pair := range s.options.Environ() {
		name, value, _ := strings.Cut(pair, "=")
		if name != s.name {
			continue
		}
		text := []byte(value)
		defer clear(text)
		if len(bytes.TrimSpace(text)) == 0 {
			return nil, s.unavailable(nil, "the variable %s is empty", s.name)
		}
		entries, err := s.decode(JSON, text)
		return slices.DeleteFunc(entries, func(e Entry) bool { return e.Name == automatic }), err
	}
	return nil, s.unavailable(nil, "there is no variable %s", s.name).
		Hinting("In a workflow: env: {%s: ${{ toJSON(secrets) }}}.", s.name)
}
