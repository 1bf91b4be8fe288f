package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/syncing"
)

// The exit codes; the package comment says what each means.
const (
	exitDone        = 0
	exitError       = 1
	exitUsage       = 2
	exitAttention   = 3
	exitInterrupted = 130
)

// errAttention ends a command that ran and said what needs attention.
var errAttention = errors.New("something needs attention")

// report is the one place that turns how a command ended into words and an exit code.
func (a *app) report(ctx context.Context, err error) int {
	a.screen.settle()
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errInterrupted), context.Cause(ctx) != nil && !isBadInput(err):
		a.complain(fault.New(fault.IntegrationUnavailable, nil).Saying("interrupted").
			Hinting("Run the same command again: it puts right what was begun."))
		return exitInterrupted
	case errors.Is(err, errAttention):
		return exitAttention
	case errors.Is(err, syncing.ErrDeclined):
		a.complain(fault.New(fault.RequestInvalid, nil).Saying("nothing was written, as you wished").Hinting(""))
		return exitError
	}
	a.complain(fault.Of(err))
	if isBadInput(err) {
		return exitUsage
	}
	return exitError
}

func isBadInput(err error) bool {
	var f *fault.Fault
	return errors.As(err, &f) && f.Kind().Status == http.StatusBadRequest
}

// complain says what is wrong: which thing and why on one line, what to do next on another.
func (a *app) complain(f *fault.Fault) {
	if a.settings.json {
		a.complainJSON(f)
		return
	}
	message := strings.TrimSuffix(f.Message, ".")
	if f.Code == fault.Unexpected { // there is no server's log to look the cause up in
		message = a.redact.String(fmt.Sprintf("something unexpected happened, which is a bug of ours: %v", errors.Unwrap(f)))
		f.Hint = "Please report it, with the command and this line."
	}
	a.screen.err.println(a.screen.err.bad(a.programName()+":"), message)
	if f.Hint != "" {
		a.hint("%s", f.Hint)
	}
}

// hint says what to do next.
func (a *app) hint(format string, args ...any) {
	text := strings.TrimSuffix(fmt.Sprintf(format, args...), ".")
	a.screen.err.println(a.screen.err.strong("hint:"), text)
}

// complainJSON says the causes too: there is no server's log to look them up in.
func (a *app) complainJSON(f *fault.Fault) {
	e := f.Envelop(a.request, time.Now().Truncate(time.Millisecond), func(err error) string { return a.redact.String(err.Error()) })
	line, err := json.Marshal(e)
	if err != nil {
		panic(err) // a context holds strings, numbers and lists of them
	}
	a.screen.err.println(string(line))
}

// wrongUsage is what the command line itself was refused with.
func wrongUsage(err error, program string) error {
	if isBadInput(err) {
		return err
	}
	message, _, _ := strings.Cut(err.Error(), "\n")
	return fault.Invalid("%s", message).Saying("%s", message).Because(err).
		Hinting("%s --help shows what there is.", program)
}

// crashed turns a panic into an error. What was thrown may hold anything, a value included, so
// only the runtime's own complaints are repeated; the place is where to look.
func crashed(thrown any) error {
	what := fmt.Sprintf("a %T was thrown", thrown)
	var complaint runtime.Error
	if err, ok := thrown.(error); ok && errors.As(err, &complaint) {
		what = complaint.Error()
	}
	return fmt.Errorf("%s at %s", what, origin())
}

// origin is the place that a panic came from: the first of our own frames below the runtime's.
func origin() string {
	callers := make([]uintptr, 64)
	frames := runtime.CallersFrames(callers[:runtime.Callers(0, callers)])
	for thrown := false; ; {
		frame, more := frames.Next()
		if thrown && strings.Contains(frame.Function, "octoseal") {
			_, file, _ := strings.Cut(frame.File, "/internal/")
			return fmt.Sprintf("%s:%d", file, frame.Line)
		}
		thrown = thrown || frame.Function == "runtime.gopanic"
		if !more {
			return "a place unknown"
		}
	}
}
