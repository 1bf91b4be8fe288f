package exclusion

import (
	"strings"
	"unicode"
	"unicode/utf16"
)

// survey returns the name of every capturing group in order, "" for those without. Whether
// \2 or \k is a back reference depends on groups that may only follow. It reads over what
// the translator will refuse.
func survey(in []rune) []string {
	var names []string
	bracket := false
	for i := 0; i < len(in); i++ {
		switch c := in[i]; {
		case c == '\\':
			i++
		case c == '[':
			bracket = true
		case c == ']':
			bracket = false
		case c == '(' && !bracket:
			if name, captures := captured(in[i+1:]); captures {
				names = append(names, name)
			}
		}
	}
	return names
}

// captured says whether the group that opens before rest captures, and under which name.
func captured(rest []rune) (name string, captures bool) {
	switch {
	case len(rest) == 0 || rest[0] != '?':
		return "", true
	case len(rest) < 3 || rest[1] != '<' || rest[2] == '=' || rest[2] == '!':
		return "", false
	}
	name, _, _ = groupName(rest[2:])
	return name, true
}

// groupName reads a group's name and the > behind it. It is an identifier of the language:
// its characters may be written as pairs of units or escaped, and \u{...} is allowed here
// even though it is not anywhere else without the u flag.
func groupName(in []rune) (name string, length int, why string) {
	var b strings.Builder
	for length < len(in) && in[length] != '>' {
		c, n := nameCharacter(in[length:])
		switch {
		case c < 0:
			return "", 0, `the name of this group has a broken \u escape`
		case b.Len() == 0 && !startsName(c):
			return "", 0, "the name of a group starts with a letter, $ or _"
		case !startsName(c) && !continuesName(c):
			return "", 0, "the name of a group has letters, digits, $ and _ only"
		}
		b.WriteRune(c)
		length += n
	}
	switch {
	case length == len(in):
		return "", 0, "the name of this group has no > behind it"
	case b.Len() == 0:
		return "", 0, "the name of this group is empty"
	}
	return b.String(), length + 1, ""
}

// nameCharacter reads one code point, or -1 for a broken escape.
func nameCharacter(in []rune) (c rune, length int) {
	c, length = nameUnit(in)
	if !utf16.IsSurrogate(c) || length == len(in) {
		return c, length
	}
	// A pair is both halves plain or both escaped.
	low, n := nameUnit(in[length:])
	if pair := utf16.DecodeRune(c, low); pair != unicode.ReplacementChar && n == length {
		return pair, length + n
	}
	return c, length
}

func nameUnit(in []rune) (c rune, length int) {
	if in[0] != '\\' {
		return in[0], 1
	}
	if len(in) < 3 || in[1] != 'u' {
		return -1, 0
	}
	if in[2] == '{' {
		return bracedPoint(in)
	}
	if len(in) < 6 {
		return -1, 0
	}
	for _, digit := range in[2:6] {
		if hexDigit(digit) < 0 {
			return -1, 0
		}
		c = c*16 + hexDigit(digit)
	}
	return c, 6
}

// bracedPoint reads \u{...}.
func bracedPoint(in []rune) (c rune, length int) {
	for i := 3; i < len(in); i++ {
		if in[i] == '}' && i > 3 {
			return c, i + 1
		}
		digit := hexDigit(in[i])
		if digit < 0 || c*16+digit > unicode.MaxRune {
			return -1, 0
		}
		c = c*16 + digit
	}
	return -1, 0
}

func startsName(c rune) bool {
	return c == '$' || c == '_' || unicode.In(c, unicode.L, unicode.Nl, unicode.Other_ID_Start) &&
		!unicode.In(c, unicode.Pattern_Syntax, unicode.Pattern_White_Space)
}

func continuesName(c rune) bool {
	const joiner, nonJoiner = 0x200d, 0x200c
	return c == joiner || c == nonJoiner ||
		unicode.In(c, unicode.Mn, unicode.Mc, unicode.Nd, unicode.Pc, unicode.Other_ID_Continue)
}
