package exclusion

import (
	"fmt"
	"slices"
)

// escape translates what starts with a backslash outside brackets.
func (t *translator) escape() atom {
	start := t.pos
	t.pos++
	c := t.peek(0)
	switch {
	case c < 0:
		t.fail(start, `nothing follows the \`)
	case c == 'b' || c == 'B':
		t.pos++
		t.out = fmt.Appendf(t.out, `\%c`, c)
		return fixed
	case c >= '1' && c <= '9':
		if number, length := t.decimal(); number <= len(t.names) {
			t.pos += length
			t.reference(number)
			break
		}
		t.literal(t.character())
	case c == 'k' && t.named():
		t.namedReference(start)
	default:
		if set, ok := escapedSet(c); ok {
			t.pos++
			t.class(set)
			break
		}
		t.literal(t.character())
	}
	return plain
}

// named reports whether any group of the pattern has a name. Only then is \k a reference;
// in a pattern without names Annex B makes it a plain k.
func (t *translator) named() bool {
	return slices.ContainsFunc(t.names, func(name string) bool { return name != "" })
}

func (t *translator) namedReference(start int) {
	t.pos++
	if !t.accept("<") {
		t.fail(start, `\k needs a group's name, as in \k<name>`)
		return
	}
	name, length, why := groupName(t.in[t.pos:])
	if why != "" {
		t.fail(start, "%s", why)
		return
	}
	t.pos += length
	number := slices.Index(t.names, name) + 1
	if number == 0 {
		t.fail(start, "no group is named %q", name)
		return
	}
	t.reference(number)
}

// decimal looks at the number at the position. More digits than any pattern has groups for
// make a number that no group has.
func (t *translator) decimal() (number, length int) {
	for isDigit(t.peek(length)) {
		number = min(number*10+int(t.peek(length)-'0'), unlimited)
		length++
	}
	return number, length
}

// character reads the rest of an escape that stands for one unit, in brackets or out.
func (t *translator) character() rune {
	c := t.peek(0)
	t.pos++
	switch c {
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'v':
		return '\v'
	case 'x':
		return t.hex(2, c)
	case 'u':
		return t.hex(4, c)
	case 'c':
		if isLetter(t.peek(0)) {
			t.pos++
			return t.peek(-1) % 32
		}
		t.pos-- // a backslash alone; the c is read again as itself
		return '\\'
	}
	if c >= '0' && c <= '7' {
		return t.octal(c - '0')
	}
	return c
}

// hex reads exactly n digits; with fewer the escape is just its letter.
func (t *translator) hex(n int, letter rune) rune {
	var value rune
	for i := range n {
		digit := hexDigit(t.peek(i))
		if digit < 0 {
			return letter
		}
		value = value*16 + digit
	}
	t.pos += n
	return value
}

// octal reads on after a first digit: up to three digits, and no value above \377.
func (t *translator) octal(value rune) rune {
	for range 2 {
		digit := t.peek(0) - '0'
		if digit < 0 || digit > 7 || value*8+digit > 0o377 {
			break
		}
		value = value*8 + digit
		t.pos++
	}
	return value
}

func isDigit(c rune) bool  { return c >= '0' && c <= '9' }
func isLetter(c rune) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }

func hexDigit(c rune) rune {
	switch {
	case isDigit(c):
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return -1
}
