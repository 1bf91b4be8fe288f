package exclusion

import (
	"cmp"
	"slices"
)

// A set is a set of UTF-16 units as ranges, both ends included.
type set [][2]rune

const lastUnit = 0xffff

// The engine has these sets under the same names, but means more or less by them in one
// mode or another.
var (
	digits          = set{{'0', '9'}}
	words           = set{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	lineTerminators = set{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}
	spaces          = set{
		{'\t', '\r'}, {' ', ' '}, {0xa0, 0xa0}, {0x1680, 0x1680}, {0x2000, 0x200a},
		{0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff},
	}
)

func escapedSet(c rune) (set, bool) {
	switch c {
	case 'd':
		return digits, true
	case 'D':
		return digits.inverse(), true
	case 'w':
		return words, true
	case 'W':
		return words.inverse(), true
	case 's':
		return spaces, true
	case 'S':
		return spaces.inverse(), true
	}
	return nil, false
}

// merged returns the same units in ascending ranges that do not touch.
func (s set) merged() set {
	s = slices.SortedFunc(slices.Values(s), func(a, b [2]rune) int { return cmp.Compare(a[0], b[0]) })
	var out set
	for _, r := range s {
		if last := len(out) - 1; last >= 0 && r[0] <= out[last][1]+1 {
			out[last][1] = max(out[last][1], r[1])
			continue
		}
		out = append(out, r)
	}
	return out
}

func (s set) inverse() set {
	var out set
	next := rune(0)
	for _, r := range s.merged() {
		if r[0] > next {
			out = append(out, [2]rune{next, r[0] - 1})
		}
		next = r[1] + 1
	}
	if next <= lastUnit {
		out = append(out, [2]rune{next, lastUnit})
	}
	return out
}

// class writes a class that matches one unit of s.
func (t *translator) class(s set) {
	if len(s) == 0 {
		t.out = append(t.out, "(?:(?!))"...) // [] matches nothing at all
		return
	}
	t.out = append(t.out, '[')
	for _, r := range s.merged() {
		t.literal(r[0])
		t.out = append(t.out, '-')
		t.literal(r[1])
	}
	t.out = append(t.out, ']')
}

// bracket translates [...].
func (t *translator) bracket() {
	start := t.pos
	t.pos++
	inverted := t.accept("^")
	var s set
	for t.more() && t.peek(0) != ']' {
		s = append(s, t.members()...)
	}
	if !t.accept("]") {
		t.fail(start, "this [ is never closed")
		return
	}
	if inverted {
		s = s.inverse()
	}
	t.class(s)
}

// members reads one member of a class, or the two ends of a range.
func (t *translator) members() set {
	start := t.pos
	low, lowIsUnit := t.member()
	if t.peek(0) != '-' || t.peek(1) == ']' || t.peek(1) < 0 {
		return low
	}
	t.pos++
	high, highIsUnit := t.member()
	if !lowIsUnit || !highIsUnit {
		// A set cannot be an end of a range; Annex B takes the hyphen for itself then.
		return append(append(set{{'-', '-'}}, low...), high...)
	}
	if low[0][0] > high[0][0] {
		t.fail(start, "this range is out of order")
	}
	return set{{low[0][0], high[0][0]}}
}

// member reads one unit of a class, or an escape for several.
func (t *translator) member() (s set, isUnit bool) {
	c := t.peek(0)
	t.pos++
	if c != '\\' {
		return set{{c, c}}, true
	}
	escaped := t.peek(0)
	if s, ok := escapedSet(escaped); ok {
		t.pos++
		return s, false
	}
	switch {
	case escaped < 0:
		t.fail(t.pos-1, `nothing follows the \`)
		return nil, false
	case escaped == 'b':
		t.pos++
		c = '\b'
	case escaped == 'k' && t.named():
		t.fail(t.pos-1, `\k has no meaning in brackets once a group has a name`)
		return nil, false
	case escaped == 'c' && (isDigit(t.peek(1)) || t.peek(1) == '_'):
		t.pos += 2 // in brackets alone, Annex B counts these as control letters
		c = t.peek(-1) % 32
	default:
		c = t.character()
	}
	return set{{c, c}}, true
}
