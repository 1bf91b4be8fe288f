package githubsim_test

import (
	"testing"

	"go.uber.org/goleak"
)

// No request may outlive the server that took it, stalled ones least of all.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
