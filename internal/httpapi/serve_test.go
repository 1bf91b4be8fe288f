package httpapi

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/store"
)

// served puts the world's API behind Serve and returns its address and what ends it.
func (w *world) served(o Serving) (address string, end func() error) {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(w.t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- Serve(ctx, l, w.srv, o) }()
	return l.Addr().String(), func() error { stop(); return <-ended }
}

// A request that waits for its run is answered when the process is to end, and the run stays.
func TestServeDrains(t *testing.T) {
	w := newWorld(t)
	token := w.token("dev", store.Developer)
	address, end := w.served(Serving{})
	answered := make(chan *http.Response, 1)
	go func() {
		req, _ := http.NewRequest("POST", "http://"+address+syncPath, strings.NewReader(`{"projectId":"`+w.project.ID.String()+`"}`))
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := w.client.Do(req) //nolint:bodyclose // whoever receives it closes it
		if err != nil {
			t.Error(err)
		}
		answered <- res
	}()
	for range 100 {
		if runs, _ := w.db.LastRuns(t.Context(), w.project.ID, 1); len(runs) == 1 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	began := time.Now()
	must(t, end())
	res := <-answered
	defer res.Body.Close()
	if res.StatusCode != http.StatusAccepted || time.Since(began) > 5*time.Second {
		t.Errorf("%d after %s", res.StatusCode, time.Since(began))
	}
	if _, err := net.Dial("tcp", address); err == nil {
		t.Error("it still takes connections")
	}
}

// What does not end in the drain is cut off.
func TestServeCutsOff(t *testing.T) {
	w := newWorld(t)
	stuck := make(chan struct{})
	w.srv.mux.HandleFunc("GET /stuck", func(_ http.ResponseWriter, r *http.Request) { close(stuck); <-r.Context().Done() })
	address, end := w.served(Serving{Drain: 50 * time.Millisecond})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		if res, err := w.client.Get("http://" + address + "/stuck"); err == nil {
			res.Body.Close()
		}
	}()
	<-stuck
	must(t, end())
	<-gone
}

// net/http answers some things before any handler; those are in the envelope, too.
func TestServeAnswersNoHTTPInTheEnvelope(t *testing.T) {
	w := newWorld(t)
	address, end := w.served(Serving{})
	for name, c := range map[string]struct {
		sent   string
		status int
	}{
		"noise":            {"hello there\r\n\r\n", 400},
		"no host":          {"GET /projects HTTP/1.1\r\n\r\n", 400},
		"bad header":       {"GET /projects HTTP/1.1\r\nHost: x\r\nA b: c\r\n\r\n", 400},
		"endless headers":  {"GET /projects HTTP/1.1\r\nHost: x\r\nA: " + strings.Repeat("a", 200<<10) + "\r\n\r\n", 431},
		"huge query":       {"GET /projects?a=" + strings.Repeat("a", 200<<10) + " HTTP/1.1\r\nHost: x\r\n\r\n", 431},
		"bad length":       {"POST /projects HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", 400},
		"smuggled":         {"POST /projects HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{", 400},
		"unknown encoding": {"POST /projects HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			must(t, err)
			defer conn.Close()
			must(t, conn.SetDeadline(time.Now().Add(5*time.Second)))
			_, _ = io.WriteString(conn, c.sent) // it may stop reading before the end
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			must(t, err)
			defer res.Body.Close()
			body, err := io.ReadAll(res.Body)
			must(t, err)
			r := reply{t: t, status: res.StatusCode, header: res.Header, body: body}
			if r.envelope(); r.status != c.status {
				t.Errorf("status %d, want %d", r.status, c.status)
			}
		})
	}
	must(t, end())
}

// A client that sends its body a byte at a time, or never, does not keep a place for long.
func TestServeGivesUpOnSlowClients(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the body's whole time")
	}
	w := newWorld(t)
	token := w.token("dev", store.Developer)
	address, end := w.served(Serving{})
	conn, err := net.Dial("tcp", address)
	must(t, err)
	defer conn.Close()
	must(t, conn.SetDeadline(time.Now().Add(2*bodyTime)))
	_, err = io.WriteString(conn, "POST "+syncPath+" HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\nContent-Length: 100\r\n\r\n{")
	must(t, err)
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	must(t, err)
	r := reply{t: t, status: res.StatusCode, header: res.Header, body: body}
	r.refused(http.StatusBadRequest, "REQUEST_INVALID")
	must(t, end())
}
