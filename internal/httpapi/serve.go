package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// The bounds of a connection. A request that waits for its run is the longest there is.
const (
	headerTime   = 10 * time.Second
	idleTime     = 2 * time.Minute
	defaultDrain = 20 * time.Second
	maxHeader    = 64 << 10
)

// A Serving says how Serve serves. The zero value of a field means its default.
type Serving struct {
	Drain     time.Duration // how long requests under way may take once ctx has ended; 20 s
	WaitLimit time.Duration // as in Config; 55 s
	Log       *slog.Logger
}

// Serve answers connections until ctx ends. Requests that wait for a run are then answered 202 at
// once, others have the time of the drain; what is left after it is cut off. It returns nil after
// an end that was asked for.
func Serve(ctx context.Context, l net.Listener, h http.Handler, o Serving) error {
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	if o.WaitLimit <= 0 {
		o.WaitLimit = defaultWaitLimit
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	base, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	base = context.WithValue(base, drainKey{}, ctx.Done())
	srv := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		WriteTimeout: o.WaitLimit + 2*beyondWait,
		BaseContext:  func(net.Listener) context.Context { return base },
		ErrorLog:     slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(polite{l}) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve %s: %w", l.Addr(), err)
	case <-ctx.Done():
	}
	o.Log.Info("draining", "address", l.Addr().String(), "upTo", o.Drain)
	last, stop := context.WithTimeout(base, o.Drain)
	defer stop()
	err := srv.Shutdown(last)
	if errors.Is(err, context.DeadlineExceeded) {
		o.Log.Warn("requests cut off at the end of the drain", "address", l.Addr().String())
		cut()
		err = srv.Close()
	}
	if end := <-ended; end != nil && !errors.Is(end, http.ErrServerClosed) && err == nil {
		err = end
	}
	return err
}

type drainKey struct{}

// draining is closed when the server is about to end; without a server, never.
func draining(ctx context.Context) <-chan struct{} {
	done, _ := ctx.Value(drainKey{}).(<-chan struct{})
	return done
}

// A polite listener's connections answer in the envelope even what is no HTTP at all, or has headers
// without end: net/http answers that itself, in plain text and before any handler.
type polite struct{ net.Listener }

// Accept waits for the next connection.
func (p polite) Accept() (net.Conn, error) {
	c, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &politeConn{Conn: c}, nil
}

type politeConn struct{ net.Conn }

// plainRefusal is how net/http's own refusals end their headers. It sends each in one write.
var plainRefusal = []byte("\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n")

// Write passes answers on; a refusal of net/http's own is put into the envelope.
func (c *politeConn) Write(b []byte) (int, error) {
	head, _, found := bytes.Cut(b, plainRefusal)
	if !found || !bytes.HasPrefix(head, []byte("HTTP/1.1 ")) || bytes.ContainsAny(head, "\r\n") {
		return c.Conn.Write(b)
	}
	if _, err := c.Conn.Write(inEnvelope(head)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func inEnvelope(statusLine []byte) []byte {
	if bytes.HasPrefix(statusLine, []byte("HTTP/1.1 5")) {
		// A transfer encoding that nobody knows is the client's fault.
		statusLine = []byte("HTTP/1.1 400 Bad Request")
	}
	x := &exchange{id: uuid.New()}
	e := envelop(x, time.Now(), fault.Invalid("this is no HTTP request that can be read: %s", bytes.TrimPrefix(statusLine, []byte("HTTP/1.1 "))))
	body, err := json.Marshal(e)
	if err != nil { // texts and a time always marshal
		panic(err)
	}
	return fmt.Appendf(nil, "%s\r\nContent-Type: application/json\r\n%s: %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		statusLine, requestIDHeader, x.id, len(body), body)
}
