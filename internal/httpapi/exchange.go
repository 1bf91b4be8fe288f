package httpapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/trace"
)

// An exchange is one request and its answer, as the log, the metrics and the envelope know it. Each
// step of the way fills in what it learned.
type exchange struct {
	id      uuid.UUID
	route   string    // the operation's path; empty where there is none
	user    uuid.UUID // zero while nobody is known
	run     uuid.UUID // the run it is about, if any
	failure *fault.Fault
	header  http.Header // of the answer
	values  []byte      // the body, where it holds secret values; overwritten once the answer is made
}

type exchangeKey struct{}

func exchangeOf(ctx context.Context) *exchange {
	if x, ok := ctx.Value(exchangeKey{}).(*exchange); ok {
		return x
	}
	return &exchange{id: uuid.New(), header: http.Header{}}
}

const requestIDHeader = "X-Request-Id"

// ServeHTTP answers any request: with an operation's answer, or with the envelope.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{id: requestID(r), header: w.Header()}
	seen := &answer{ResponseWriter: w}
	began := s.now()
	seen.Header().Set(requestIDHeader, x.id.String())
	seen.Header().Set("X-Content-Type-Options", "nosniff")
	r = r.WithContext(context.WithValue(context.WithValue(r.Context(), exchangeKey{}, x), serverKey{}, s))
	defer func() {
		if p := recover(); p != nil {
			s.survive(seen, r, p)
		}
		s.note(r, x, seen, s.now().Sub(began))
	}()
	s.route(seen, r)
}

// requestID keeps a caller's own id, so that its log and ours tell of the same request; one that
// is no UUID is not taken into headers and logs.
func requestID(r *http.Request) uuid.UUID {
	given := r.Header.Get(requestIDHeader)
	if id, err := uuid.Parse(given); err == nil && len(given) == len(id.String()) {
		return id
	}
	return uuid.New()
}

// route finds who answers. ServeMux would answer what it does not know in plain text.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	h, pattern := s.mux.Handler(r)
	if pattern != "" && path.Clean(r.URL.Path) == r.URL.Path {
		s.mux.ServeHTTP(w, r)
		return
	}
	about := fault.Context{"path": shortened(r.URL.Path), "method": shortened(r.Method)}
	refused := &refused{header: http.Header{}}
	if pattern == "" {
		h.ServeHTTP(refused, r)
	}
	if refused.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", refused.header.Get("Allow"))
		s.answerFault(w, r, fault.New(fault.MethodNotAllowed, about).Hinting("Allowed: %s.", refused.header.Get("Allow")))
		return
	}
	s.answerFault(w, r, fault.New(fault.RouteNotFound, about))
}

// shortened keeps an absurdly long path out of answers and logs.
func shortened(text string) string {
	const long = 200
	if len(text) > long {
		return text[:long] + "…"
	}
	return text
}

// A refused catches what ServeMux says of a method it has no route for.
type refused struct {
	header http.Header
	status int
}

func (r *refused) Header() http.Header         { return r.header }
func (r *refused) WriteHeader(status int)      { r.status = status }
func (r *refused) Write(b []byte) (int, error) { return len(b), nil }

// survive answers for a handler that panicked. The stack is for the log.
func (s *server) survive(w *answer, r *http.Request, p any) {
	if err, ok := p.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(p)
	}
	x := exchangeOf(r.Context())
	s.log.ErrorContext(r.Context(), "panic", "requestId", x.id, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
	if w.status == 0 {
		s.answerFault(w, r, fault.New(fault.Unexpected, nil))
	}
}

// note writes the line of the access log, and counts.
func (s *server) note(r *http.Request, x *exchange, w *answer, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	s.metrics.answered(r.Method, x.route, status, took)
	span := trace.SpanFromContext(r.Context())
	span.SetName(strings.TrimSpace(r.Method + " " + x.route))
	span.SetAttributes(attribute.String("request.id", x.id.String()))
	line := []any{
		"requestId", x.id, "method", shortened(r.Method), "path", shortened(r.URL.Path), "status", status,
		"durationMs", took.Milliseconds(), "bytes", w.bytes, "remote", r.RemoteAddr,
	}
	if x.user != uuid.Nil {
		line = append(line, "user", x.user)
	}
	if x.run != uuid.Nil {
		line = append(line, "correlationId", x.run)
	}
	if x.failure != nil {
		line = append(line, "code", x.failure.Code)
	}
	level := slog.LevelInfo
	if x.route == "" || isProbe(x.route) {
		level = slog.LevelDebug
	}
	s.log.Log(r.Context(), level, "request", line...)
}

// An answer remembers what was answered.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
