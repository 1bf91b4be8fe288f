package exclusion

import (
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dlclark/regexp2/v2"
)

// maxLength is what the data model's column holds, counted as the database counts: in
// characters.
const maxLength = 200

const (
	matchTimeout = 50 * time.Millisecond
	// The engine reads the time from a clock of its own that ticks ten times a second
	// unless told otherwise, which would make the limit above twice as long or more.
	clockPeriod = 10 * time.Millisecond
)

// ErrTimeout is what Match and Verdicts give up with.
var ErrTimeout = errors.New("takes too long to match")

// A SyntaxError says why a pattern is not a JavaScript regular expression.
type SyntaxError struct {
	Source string
	At     int // the character, from 1, where the trouble starts; 0 for the whole pattern
	Why    string
}

func (e *SyntaxError) Error() string {
	if e.At == 0 {
		return "pattern: " + e.Why
	}
	return fmt.Sprintf("pattern %#q: character %d: %s", e.Source, e.At, e.Why)
}

// A Pattern is a compiled JavaScript regular expression without flags. It is safe for use
// by several goroutines. The zero Pattern refuses to match.
type Pattern struct {
	source string
	engine *regexp2.Regexp
}

var setClock = sync.OnceFunc(func() { regexp2.SetTimeoutCheckPeriod(clockPeriod) })

// Compile accepts what JavaScript's new RegExp(source) accepts, up to 200 characters and
// except for the empty pattern, which would exclude everything and is always a slip. It
// refuses with a *SyntaxError.
func Compile(source string) (Pattern, error) {
	setClock()
	switch n := utf8.RuneCountInString(source); {
	case n == 0:
		return Pattern{}, &SyntaxError{source, 0, "is empty and would exclude every name"}
	case n > maxLength:
		return Pattern{}, &SyntaxError{source, 0, fmt.Sprintf("has %d characters, at most %d are allowed", n, maxLength)}
	case !utf8.ValidString(source):
		return Pattern{}, &SyntaxError{source, 0, "is not valid UTF-8"}
	}
	translated, err := translate(source)
	if err != nil {
		return Pattern{}, err
	}
	engine, err := regexp2.Compile(translated, regexp2.ECMAScript)
	if err != nil {
		return Pattern{}, &SyntaxError{source, 0, fmt.Sprintf("%#q is beyond the matching engine: %v", source, err)}
	}
	engine.MatchTimeout = matchTimeout
	return Pattern{source, engine}, nil
}

// String returns the source the pattern was compiled from.
func (p Pattern) String() string { return p.source }

// Match reports whether the pattern matches anywhere in name, as RegExp's test does.
// When it cannot tell, the error is an ErrTimeout that names the pattern.
func (p Pattern) Match(name string) (bool, error) {
	if p.engine == nil {
		return false, errors.New("exclusion pattern was never compiled")
	}
	text := units(name)
	for i := range text {
		text[i] = lift(text[i])
	}
	matched, err := p.engine.MatchRunes(text)
	if err != nil {
		// The engine stops for two reasons, its clock and its stack, and says so in words
		// only; to a caller both mean that the pattern asks too much.
		return false, fmt.Errorf("exclusion pattern %#q: %w", p.source, ErrTimeout)
	}
	return matched, nil
}

// units spells s in UTF-16 code units, one rune each, because that is what JavaScript
// matches without the u flag: an emoji is two characters to it.
func units(s string) []rune {
	encoded := utf16.Encode([]rune(s))
	out := make([]rune, len(encoded))
	for i, unit := range encoded {
		out[i] = rune(unit)
	}
	return out
}

// lift moves the surrogates, and all that lies above them, up to where runes are valid
// again. The engine searches for some patterns by way of UTF-8 strings, in which half a
// pair does not survive. The order stays, so ranges can be lifted by their ends.
func lift(unit rune) rune {
	const first, count = 0xd800, 0x800
	if unit < first {
		return unit
	}
	return unit + count
}
