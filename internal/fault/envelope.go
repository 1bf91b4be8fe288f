package fault

import (
	"errors"
	"time"

	"github.com/google/uuid"
)

// An Envelope is how a fault is told to programs: every answer of the API from 400 up, and what the
// command line says with --json.
type Envelope struct {
	Problem Problem `json:"error"`
}

// A Problem is what went wrong, for people and for programs.
type Problem struct {
	Code        Code           `json:"code" doc:"One of the codes in the table of errors; programs decide by it."`
	Message     string         `json:"message" doc:"What is wrong, in a sentence."`
	Severity    Severity       `json:"severity" enum:"info,warn,error,critical" doc:"How loudly it is to be reported."`
	RetryPolicy RetryPolicy    `json:"retryPolicy" enum:"none,safe,idempotent" doc:"Whether the same request may be sent again: not at all, always, or because doing it twice is doing it once."`
	RequestID   uuid.UUID      `json:"requestId" format:"uuid" doc:"Also in the header X-Request-Id and in the server's log."`
	Timestamp   time.Time      `json:"timestamp" doc:"RFC 3339, UTC."`
	Context     map[string]any `json:"context" doc:"Which thing it is about; its keys depend on the code."`
	Hint        string         `json:"hint" doc:"What to do next; may be empty."`
	CauseChain  []Cause        `json:"causeChain" nullable:"false" doc:"What led to it, the nearest cause first; may be empty."`
}

// A Cause is a fault behind a fault, or another error that may be told.
type Cause struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Envelop puts f into an envelope. Of the causes behind it those are told that are faults. Other
// errors, a driver's say, are for the log; where there is none tell says them, and else it is nil.
func (f *Fault) Envelop(request uuid.UUID, at time.Time, tell func(error) string) Envelope {
	kind := f.Kind()
	p := Problem{
		Code: f.Code, Message: f.Message, Severity: kind.Severity, RetryPolicy: kind.Retry,
		RequestID: request, Timestamp: at.UTC(), Context: f.Context, Hint: f.Hint, CauseChain: []Cause{},
	}
	if p.Context == nil {
		p.Context = map[string]any{}
	}
	for err := errors.Unwrap(f); err != nil; err = errors.Unwrap(err) {
		if behind, ok := err.(*Fault); ok { //nolint:errorlint // each link is looked at by itself
			p.CauseChain = append(p.CauseChain, Cause{behind.Code, behind.Message})
		} else if tell != nil {
			p.CauseChain = append(p.CauseChain, Cause{Unexpected, tell(err)})
		}
	}
	return Envelope{p}
}

// Fault is what somebody else put into the envelope, as far as an envelope tells; nil when it tells
// of no fault.
func (e Envelope) Fault() *Fault {
	if e.Problem.Code == "" {
		return nil
	}
	f := New(e.Problem.Code, e.Problem.Context)
	f.Message, f.Hint = e.Problem.Message, e.Problem.Hint
	return f
}
