package store

import (
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/octoseal/octoseal/internal/secret"
)

// A scopeSet is a column of scopes, in the order given. It speaks PostgreSQL's array literal,
// {actions,codespaces}, which is a TEXT[] there and plain text in SQLite. An element that needs
// quoting gets all elements quoted, so that SQLite's triggers can read the literal as JSON.
type scopeSet []secret.Scope

// Value spells the set.
func (s scopeSet) Value() (driver.Value, error) {
	elements, quote := make([]string, len(s)), false
	for i, scope := range s {
		elements[i] = clean(scope.String())
		quote = quote || strings.ContainsAny(elements[i], "{}\",\\ \t\r\n\v\f")
	}
	if quote {
		for i, e := range elements {
			elements[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(e) + `"`
		}
	}
	return "{" + strings.Join(elements, ",") + "}", nil
}

// Scan reads the literal, however its elements are quoted.
func (s *scopeSet) Scan(from any) error {
	*s = nil
	literal := text(from)
	inner, ok := strings.CutPrefix(literal, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !ok || !closed {
		return fmt.Errorf("%q is not a set", literal)
	}
	for inner != "" {
		var element string
		if element, inner, ok = cutElement(inner); !ok {
			return fmt.Errorf("%q is not a set", literal)
		}
		scope, err := secret.ParseScope(element)
		if err != nil {
			return err
		}
		*s = append(*s, scope)
	}
	return nil
}

// cutElement returns the first element of a literal's inside and what follows its comma.
func cutElement(in string) (element, rest string, ok bool) {
	if in[0] != '"' {
		element, rest, _ = strings.Cut(in, ",")
		return element, rest, true
	}
	var b strings.Builder
	for i := 1; i < len(in); i++ {
		switch in[i] {
		case '\\':
			if i++; i == len(in) {
				return "", "", false
			}
			b.WriteByte(in[i])
		case '"':
			return b.String(), strings.TrimPrefix(in[i+1:], ","), true
		default:
			b.WriteByte(in[i])
		}
	}
	return "", "", false
}

// A jsonOf is a column that holds a T as JSON; NULL is the zero T.
type jsonOf[T any] struct{ V T }

// Value spells the JSON.
func (j jsonOf[T]) Value() (driver.Value, error) {
	b, err := json.Marshal(j.V)
	return string(b), err
}

// Scan reads the JSON.
func (j *jsonOf[T]) Scan(from any) error { return json.Unmarshal([]byte(text(from)), &j.V) }
