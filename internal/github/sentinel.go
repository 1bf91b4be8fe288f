package github

import (
	"context"
	"errors"

	"github.com/octoseal/octoseal/internal/fault"
)

// A sentinel is a reason that callers react to. It is reached with errors.Is through the fault.
type sentinel string

func (s sentinel) Error() string { return string(s) }

const (
	// StaleKey: the box was sealed for a key that is not the store's any more. Forget the key,
	// fetch it anew, seal again, once.
	StaleKey sentinel = "sealed for a key that the store does not have"
	// ErrStoreMissing: the store answered 404. The repository's plan or the server does not have it,
	// the environment does not exist, or the repository itself is out of sight: looking the
	// repository up tells.
	ErrStoreMissing sentinel = "the store answered 404"
	// ErrReplaced: another repository has the name now.
	ErrReplaced sentinel = "another repository has that name"
	// ErrPlan: the plan of the repository's owner does not include what was asked for.
	ErrPlan sentinel = "the plan does not include it"
	// ErrReviewerLost: an environment has a reviewer that the API cannot set, and setting the others
	// would lose it. Nothing was written.
	ErrReviewerLost sentinel = "a reviewer that cannot be sent would be lost"

	// errRulesRefused: GitHub found an environment's rules invalid; the environment may be there now.
	errRulesRefused sentinel = "the rules were refused"
	// errKeyUnknown: the server does not know a rule by that name.
	errKeyUnknown sentinel = "the rule is not known to the server"
)

// isGivingUp says that err is a caller's wish and tells nothing about GitHub. (A fault may have an
// attempt's timeout as its cause.)
func isGivingUp(err error) bool {
	var f *fault.Fault
	if errors.As(err, &f) {
		return false
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
