package fault

import (
	"context"
	"errors"
	"fmt"
	"testing"
)

// Context fills the braces of message and hint, whatever the type of the value; a value is not
// filled again, and a key that is not there stays to be seen.
func TestFill(t *testing.T) {
	f := New(ValueTooLarge, Context{"secretName": "{limit}", "size": 49153, "limit": "49152"})
	if want := "Secret {limit} has 49153 bytes; GitHub takes at most 49152."; f.Message != want {
		t.Errorf("%q, want %q", f.Message, want)
	}
	if f := New(ProjectNotFound, nil); f.Message != "Project {projectId} not found." || f.Context == nil {
		t.Errorf("%q with context %v", f.Message, f.Context)
	}
	if f := New(RoleDenied, Context{"requiredRole": "admin"}); f.Hint != "Ask an admin of the project for the role admin." {
		t.Errorf("hint %q", f.Hint)
	}
}

// A code outside the table is an unexpected fault, and says so.
func TestUnknownCodeIsUnexpected(t *testing.T) {
	if f := New("NO_SUCH_CODE", nil); f.Code != Unexpected || f.Kind().Status != 500 {
		t.Errorf("%+v", f)
	}
}

// Of finds the first fault of a chain, and takes any other error for unexpected without showing it.
func TestOf(t *testing.T) {
	cause := errors.New("the canary of a stranger")
	inner := New(StoreUnavailable, Context{"reason": "disk full"}).Because(cause)
	outer := New(SourceUnavailable, Context{"reason": "no file"}).Because(inner)
	for _, c := range []struct {
		err  error
		want Code
	}{
		{inner, StoreUnavailable},
		{fmt.Errorf("on the way: %w", inner), StoreUnavailable},
		{outer, SourceUnavailable},
		{errors.Join(cause, inner), StoreUnavailable},
		{cause, Unexpected},
		{fmt.Errorf("asking: %w", context.DeadlineExceeded), IntegrationUnavailable},
	} {
		f := Of(c.err)
		if f.Code != c.want || !Is(f, c.want) {
			t.Errorf("%v is %s, want %s", c.err, f.Code, c.want)
		}
	}
	f := Of(cause)
	if !errors.Is(f, cause) || f.Error() != KindOf(Unexpected).Message {
		t.Errorf("%q, with cause %v", f, errors.Unwrap(f))
	}
	if Of(nil) != nil || Is(nil, Unexpected) || Is(cause, Unexpected) {
		t.Error("what is no fault is one")
	}
	if Is(outer, StoreUnavailable) {
		t.Error("Is looks behind the first fault")
	}
}

func TestWording(t *testing.T) {
	f := New(Unexpected, nil).Saying("%d things", 2).Hinting("do %s", "this")
	if f.Error() != "2 things" || f.Hint != "do this" {
		t.Errorf("%q, %q", f.Error(), f.Hint)
	}
	if f := Invalid("line %d", 7); f.Code != RequestInvalid || f.Message != "line 7." {
		t.Errorf("%s: %q", f.Code, f.Message)
	}
}
