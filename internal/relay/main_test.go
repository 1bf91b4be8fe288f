package relay

import (
	"testing"

	"go.uber.org/goleak"
)

// The regular expressions' clock sleeps on for a moment after the last match.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/dlclark/regexp2/v2.runClock"))
}
