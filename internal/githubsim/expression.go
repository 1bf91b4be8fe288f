package githubsim

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
)

// A scope is what an expression can see: contexts by name. A context that a place does not have,
// as composite actions have no secrets, is an error there and not an empty text.
type scope struct {
	contexts map[string]any
	failed   bool // a step before this one failed; for success() and failure()
	canceled bool
}

// with returns a scope with one more context.
func (s scope) with(name string, context any) scope {
	all := make(map[string]any, len(s.contexts)+1)
	for k, v := range s.contexts {
		all[k] = v
	}
	all[name] = context
	s.contexts = all
	return s
}

// expand replaces every ${{ }} of a text by its value.
func (s scope) expand(text string) (string, error) {
	var out strings.Builder
	for {
		before, after, found := strings.Cut(text, "${{")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		length := expressionEnd(after)
		if length < 0 {
			return "", fmt.Errorf("an expression is not closed: ${{%s", after)
		}
		v, err := s.value(after[:length])
		if err != nil {
			return "", err
		}
		out.WriteString(asText(v))
		text = after[length+2:]
	}
}

// expressionEnd finds the }} that is not within a quoted text.
func expressionEnd(text string) int {
	quoted := false
	for i := range len(text) {
		switch {
		case text[i] == '\'':
			quoted = !quoted
		case !quoted && strings.HasPrefix(text[i:], "}}"):
			return i
		}
	}
	return -1
}

// holds evaluates an if. Without a status function in it, it only holds while nothing failed.
func (s scope) holds(condition string) (bool, error) {
	text := strings.TrimSpace(condition)
	if inner, isWrapped := strings.CutPrefix(text, "${{"); isWrapped && strings.HasSuffix(text, "}}") {
		text = strings.TrimSuffix(inner, "}}")
	}
	if text == "" {
		text = "success()"
	}
	p := &expression{scope: s, rest: text}
	v, err := p.whole()
	if err != nil {
		return false, err
	}
	return truth(v) && (p.asksStatus || !s.failed && !s.canceled), nil
}

func (s scope) value(text string) (any, error) { return (&expression{scope: s, rest: text}).whole() }

// An expression is being read. It is evaluated as it is read; nothing that it can call has an
// effect.
type expression struct {
	scope      scope
	rest       string
	asksStatus bool
}

func (e *expression) whole() (any, error) {
	v, err := e.or()
	if err == nil && e.peek() != "" {
		return nil, fmt.Errorf("unexpected symbol: %q", e.peek())
	}
	return v, err
}

// peek returns the next token: a name, a number, a quoted text with its quotes, or a sign.
func (e *expression) peek() string {
	e.rest = strings.TrimLeftFunc(e.rest, unicode.IsSpace)
	if e.rest == "" {
		return ""
	}
	if e.rest[0] == '\'' {
		for i := 1; i < len(e.rest); i++ {
			if e.rest[i] != '\'' {
				continue
			}
			if i+1 == len(e.rest) || e.rest[i+1] != '\'' {
				return e.rest[:i+1]
			}
			i++
		}
		return e.rest
	}
	for _, sign := range []string{"&&", "||", "==", "!="} {
		if strings.HasPrefix(e.rest, sign) {
			return sign
		}
	}
	isWord := func(r rune) bool { return r == '_' || r == '-' || unicode.IsLetter(r) || unicode.IsDigit(r) }
	if n := strings.IndexFunc(e.rest, func(r rune) bool { return !isWord(r) }); n > 0 {
		return e.rest[:n]
	} else if n < 0 {
		return e.rest
	}
	return e.rest[:1]
}

// take consumes a token if it comes next.
func (e *expression) take(token string) bool {
	if e.peek() != token {
		return false
	}
	e.rest = e.rest[len(token):]
	return true
}

func (e *expression) or() (any, error) {
	left, err := e.and()
	for err == nil && e.take("||") {
		var right any
		if right, err = e.and(); !truth(left) {
			left = right
		}
	}
	return left, err
}

func (e *expression) and() (any, error) {
	left, err := e.equality()
	for err == nil && e.take("&&") {
		var right any
		if right, err = e.equality(); truth(left) {
			left = right
		}
	}
	return left, err
}

func (e *expression) equality() (any, error) {
	left, err := e.unary()
	for err == nil {
		var wanted bool
		switch {
		case e.take("=="):
			wanted = true
		case e.take("!="):
		default:
			return left, nil
		}
		var right any
		right, err = e.unary()
		left = equal(left, right) == wanted
	}
	return left, err
}

func (e *expression) unary() (any, error) {
	if e.take("!") {
		v, err := e.unary()
		return !truth(v), err
	}
	if e.take("(") {
		v, err := e.or()
		if err == nil && !e.take(")") {
			err = fmt.Errorf("a ) is missing before %q", e.rest)
		}
		return v, err
	}
	return e.primary()
}

func (e *expression) primary() (any, error) {
	token := e.peek()
	switch {
	case token == "":
		return nil, fmt.Errorf("an expression was expected")
	case token[0] == '\'':
		e.take(token)
		if len(token) < 2 || !strings.HasSuffix(token, "'") {
			return nil, fmt.Errorf("a text is not closed: %s", token)
		}
		return strings.ReplaceAll(token[1:len(token)-1], "''", "'"), nil
	case unicode.IsDigit(rune(token[0])):
		e.take(token)
		return strconv.ParseFloat(token, 64)
	case token[0] != '_' && !unicode.IsLetter(rune(token[0])):
		return nil, fmt.Errorf("unexpected symbol: %q", token)
	}
	e.take(token)
	switch strings.ToLower(token) {
	case "true", "false":
		return strings.EqualFold(token, "true"), nil
	case "null":
		return nil, nil
	}
	if e.take("(") {
		return e.call(token)
	}
	context, known := e.scope.contexts[strings.ToLower(token)]
	if !known {
		return nil, fmt.Errorf("unrecognized named-value: '%s'", token)
	}
	return e.members(context)
}

// members follows .name and ['name'], in any case. What is not there is null.
func (e *expression) members(v any) (any, error) {
	for {
		var name string
		switch {
		case e.take("."):
			name = e.peek()
			e.take(name)
		case e.take("["):
			index, err := e.or()
			if err != nil {
				return nil, err
			}
			if !e.take("]") {
				return nil, fmt.Errorf("a ] is missing before %q", e.rest)
			}
			name = asText(index)
		default:
			return v, nil
		}
		v = member(v, name)
	}
}

func member(v any, name string) any {
	switch v := v.(type) {
	case map[string]any:
		for key, value := range v {
			if strings.EqualFold(key, name) {
				return value
			}
		}
	case map[string]string:
		for key, value := range v {
			if strings.EqualFold(key, name) {
				return value
			}
		}
	}
	return nil
}

// call evaluates a function.
func (e *expression) call(name string) (any, error) {
	var args []any
	for !e.take(")") {
		if len(args) > 0 && !e.take(",") {
			return nil, fmt.Errorf("a ) is missing before %q", e.rest)
		}
		v, err := e.or()
		if err != nil {
			return nil, err
		}
		args = append(args, v)
	}
	switch lower := strings.ToLower(name); {
	case lower == "tojson" && len(args) == 1:
		return prettyJSON(args[0])
	case len(args) > 0:
	case lower == "always":
		e.asksStatus = true
		return true, nil
	case lower == "success":
		e.asksStatus = true
		return !e.scope.failed && !e.scope.canceled, nil
	case lower == "failure":
		e.asksStatus = true
		return e.scope.failed && !e.scope.canceled, nil
	case lower == "cancelled":
		e.asksStatus = true
		return e.scope.canceled, nil
	}
	return nil, fmt.Errorf("unrecognized function: '%s'", name)
}

// prettyJSON writes JSON as GitHub does: over lines, two blanks deep, nothing escaped for HTML.
func prettyJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// asText is a value where a text is wanted.
func asText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'g', 15, 64)
	}
	return "Object"
}

func truth(v any) bool {
	switch v := v.(type) {
	case nil:
		return false
	case string:
		return v != ""
	case bool:
		return v
	case float64:
		return v != 0 && !math.IsNaN(v)
	}
	return true
}

// equal compares loosely: texts in any case, values of two kinds as numbers. So 'true' is not true.
func equal(a, b any) bool {
	if left, isText := a.(string); isText {
		if right, isText := b.(string); isText {
			return strings.EqualFold(left, right)
		}
	}
	left, right := number(a), number(b)
	return left == right
}

func number(v any) float64 {
	switch v := v.(type) {
	case nil:
		return 0
	case bool:
		if v {
			return 1
		}
		return 0
	case float64:
		return v
	case string:
		if v = strings.TrimSpace(v); v == "" {
			return 0
		}
		if n, err := strconv.ParseFloat(v, 64); err == nil {
			return n
		}
	}
	return math.NaN()
}
