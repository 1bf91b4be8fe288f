package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/octoseal/octoseal/internal/fault"
)

// An Envelope is every answer from 400 up.
type Envelope struct {
	fault.Envelope
	status int
}

// GetStatus is the status to answer with.
func (e *Envelope) GetStatus() int { return e.status }

func (e *Envelope) Error() string { return e.Problem.Message }

// envelop puts a fault into the envelope of the exchange.
func envelop(x *exchange, now time.Time, f *fault.Fault) *Envelope {
	e := &Envelope{Envelope: f.Envelop(x.id, now, nil), status: f.Kind().Status}
	if e.status < http.StatusBadRequest {
		// Codes of a secret's fate have no status of their own; as the end of a request they are
		// a state of the project that stands in the way.
		e.status = http.StatusConflict
	}
	return e
}

// fail notes why the exchange ends, and returns the fault that its answer is made from.
func (s *server) fail(ctx context.Context, err error) *fault.Fault {
	x := exchangeOf(ctx)
	f := fault.Of(err)
	if f.Code == fault.Unexpected && errors.Is(err, context.Canceled) && ctx.Err() != nil {
		f = fault.Invalid("the client went away before the answer").Because(err)
	}
	x.failure = f
	if f.Kind().Status >= http.StatusInternalServerError {
		s.log.ErrorContext(ctx, "request failed", "requestId", x.id, "code", f.Code, "message", f.Message, "cause", rootOf(err))
	}
	return f
}

// rootOf is the innermost error: what the log needs to know and users do not.
func rootOf(err error) error {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return err
		}
		err = inner
	}
}

// refusal is the answer to a request that ends with err.
func (s *server) refusal(ctx context.Context, err error) *Envelope {
	x, f := exchangeOf(ctx), s.fail(ctx, err)
	s.retryAfter(x.header, f)
	return envelop(x, s.now(), f)
}

// answerFault answers outside of huma: where there is no operation, or not yet.
func (s *server) answerFault(w http.ResponseWriter, r *http.Request, err error) {
	e := s.refusal(r.Context(), err)
	answerJSON(w, e.status, e)
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // the client may be gone, and then nobody is left to tell
}

// retryAfter says when it makes sense to come back, where that is known.
func (s *server) retryAfter(h http.Header, f *fault.Fault) {
	if h.Get("Retry-After") != "" {
		return
	}
	switch f.Code {
	case fault.RateLimitExhausted:
		at, _ := f.Context["resetAt"].(string)
		if reset, err := time.Parse(time.RFC3339, at); err == nil {
			h.Set("Retry-After", strconv.Itoa(max(1, int(reset.Sub(s.now()).Seconds()+1))))
		}
	case fault.RateLimitProject:
		if seconds, ok := f.Context["retryAfter"].(int); ok {
			h.Set("Retry-After", strconv.Itoa(seconds))
		}
	case fault.StoreUnavailable, fault.IntegrationUnavailable:
		h.Set("Retry-After", "5")
	}
}

// humaError is what huma itself objects to: a parameter, a body. It never blames the server, and
// names the place and the rule, not what was sent there.
func (s *server) humaError(ctx context.Context, status int, message string, errs ...error) huma.StatusError {
	var places []string
	var details []map[string]string
	for _, err := range errs {
		d, ok := err.(huma.ErrorDetailer)
		if !ok {
			continue
		}
		detail := d.ErrorDetail()
		places = append(places, strings.TrimPrefix(detail.Location+": ", ": ")+detail.Message)
		details = append(details, map[string]string{"location": detail.Location, "message": detail.Message})
	}
	f := fault.Invalid("%s", message)
	if len(places) > 0 {
		f = fault.Invalid("%s", strings.Join(places[:min(len(places), 3)], "; "))
		f.Context["violations"] = details[:min(len(details), 20)]
	}
	if status == http.StatusRequestEntityTooLarge {
		f = fault.New(fault.RequestTooLarge, fault.Context{"limit": s.maxBody})
	}
	return s.refusal(ctx, f)
}
