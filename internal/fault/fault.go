package fault

import (
	"context"
	"errors"
	"fmt"
	"regexp"
)

// Context says which thing a fault is about. Its values are shown to users and written to the
// audit trail, so a secret value has no place in it.
type Context map[string]any

// A Fault is an error with an entry in the table.
type Fault struct {
	Code    Code
	Message string
	Hint    string
	Context Context
	cause   error
}

// New returns a fault whose message and hint are the table's, filled from about.
func New(code Code, about Context) *Fault {
	k := KindOf(code)
	if about == nil {
		about = Context{}
	}
	return &Fault{Code: k.Code, Message: fill(k.Message, about), Hint: fill(k.Hint, about), Context: about}
}

// Invalid is REQUEST_INVALID with its reason: bad input, nothing was done.
func Invalid(format string, args ...any) *Fault {
	return New(RequestInvalid, Context{"reason": fmt.Sprintf(format, args...)})
}

// Saying replaces the message where the table's is too general for the case at hand.
func (f *Fault) Saying(format string, args ...any) *Fault {
	f.Message = fmt.Sprintf(format, args...)
	return f
}

// Hinting sets what to do next.
func (f *Fault) Hinting(format string, args ...any) *Fault {
	f.Hint = fmt.Sprintf(format, args...)
	return f
}

// Because records what led to the fault. The cause is for the log and for errors.Is; users see
// the message and the hint.
func (f *Fault) Because(cause error) *Fault {
	f.cause = cause
	return f
}

// Error returns the message.
func (f *Fault) Error() string { return f.Message }

// Unwrap returns the cause.
func (f *Fault) Unwrap() error { return f.cause }

// Kind returns the table's row of f.
func (f *Fault) Kind() Kind { return KindOf(f.Code) }

// Of returns err as a fault: the first in its chain, or an unexpected one that keeps err as its
// cause. Of(nil) is nil.
func Of(err error) *Fault {
	if err == nil {
		return nil
	}
	var f *Fault
	if errors.As(err, &f) {
		return f
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return New(IntegrationUnavailable, Context{"reason": "the time allowed ran out"}).Because(err)
	}
	return New(Unexpected, nil).Because(err)
}

// Is says whether the first fault in err's chain has the code.
func Is(err error, code Code) bool {
	var f *Fault
	return errors.As(err, &f) && f.Code == code
}

var braced = regexp.MustCompile(`\{(\w+)\}`)

// fill replaces {key} by the context's value; a key that is not there stays as it is, so that a
// missing one is seen in a test and not printed as nil.
func fill(template string, about Context) string {
	return braced.ReplaceAllStringFunc(template, func(m string) string {
		if v, ok := about[m[1:len(m)-1]]; ok {
			return fmt.Sprint(v)
		}
		return m
	})
}
