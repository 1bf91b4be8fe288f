package exclusion

import (
	"errors"
	"math"
	"testing"
	"time"
)

// Whoever may add a rule may write any pattern: none may bring the process down or hold it
// up, in Compile no more than in Match.
func FuzzPattern(f *testing.F) {
	for _, source := range []string{
		`^ACTIONS_.*`, `(?<n>a)\k<n>\1`, `(?<=a(?!b))[^\W\d-z]{2,3}?`, `(a+)+$`, `(?:a?){99}b`,
		`(?:){2147483647}`, `(?:(?:a{1000}){1000}){1000}`, `(?=(a*))*\1`, `[😀-\uffff]|\cA\c[\c_]`,
		`(?:(?:(?:){2147483647}){2147483647}){2147483647}`, `(?<\u{1d49c}>)`, `[]|[^]|()`,
	} {
		f.Add(source, "ACTIONS_TOKEN")
		f.Add(source, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")
	}
	f.Fuzz(func(t *testing.T, source, name string) {
		inTime(t, source+" on "+name, func() { try(t, source, name) })
	})
}

// inTime fails if f takes longer than any pattern may. It gives f several chances: on a busy
// machine it can be the others who take the time.
func inTime(t *testing.T, what string, f func()) {
	t.Helper()
	const limit = 200 * time.Millisecond
	fastest := time.Duration(math.MaxInt64)
	for range 5 {
		start := time.Now()
		f()
		fastest = min(fastest, time.Since(start))
		if fastest <= limit {
			return
		}
	}
	t.Errorf("%q took %v, want at most %v", what, fastest, limit)
}

func try(t *testing.T, source, name string) {
	p, err := Compile(source)
	if err != nil {
		if syntax := new(SyntaxError); !errors.As(err, &syntax) {
			t.Errorf("Compile(%q) = %v, want a SyntaxError", source, err)
		}
		return
	}
	if _, err := p.Match(name); err != nil && !errors.Is(err, ErrTimeout) {
		t.Errorf("%q on %q: %v, want ErrTimeout or nothing", source, name, err)
	}
}
