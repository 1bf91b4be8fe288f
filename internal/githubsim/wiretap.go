package githubsim

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
)

// A Wiretap stands before a server, passes on whatever is said, and keeps a copy, so that a test or the
// demo can search it for what must not have been said. It can also break a connection at a given
// moment, as networks do. A Wiretap is an http.Handler.
type Wiretap struct {
	proxy httputil.ReverseProxy

	mu      sync.Mutex
	heard   bytes.Buffer
	asleep  bool
	trouble func(r *http.Request) Trouble
}

// A Trouble is what becomes of a request. Then, if set, is called at that moment: when the request has
// arrived, or before its answer would be passed on.
type Trouble struct {
	Cut  Cut
	Then func()
}

// A Cut is where a connection breaks.
type Cut int

// The places where it can.
const (
	Whole        Cut = iota // nowhere
	BeforeAsking            // the server never hears of the request
	BeforeAnswer            // the server has done what it was asked to, and nobody hears of it
)

// NewWiretap returns one that stands before the server at a URL, of which the path is left out.
func NewWiretap(server string) *Wiretap {
	to, err := url.Parse(server)
	if err != nil || to.Host == "" {
		panic("githubsim: a wiretap needs the URL of a server, not " + server)
	}
	w := &Wiretap{}
	w.proxy = httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Header.Del("Accept-Encoding") // what is packed cannot be searched
		},
		Transport:      &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32},
		ModifyResponse: w.answered,
		ErrorHandler:   func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
		ErrorLog:       log.New(io.Discard, "", 0), // that a connection broke is what its two ends see
	}
	return w
}

// OnRequest has trouble decide what becomes of each request; nil leaves all of them alone. It may be
// called by many goroutines at once.
func (w *Wiretap) OnRequest(trouble func(r *http.Request) Trouble) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trouble = trouble
}

// Heard returns all that was said so far: lines, headers and bodies, of requests and answers.
func (w *Wiretap) Heard() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard.String()
}

// Sleep keeps nothing of what is said from now on. It is passed on all the same.
func (w *Wiretap) Sleep() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asleep = true
	w.heard = bytes.Buffer{}
}

func (w *Wiretap) keep(parts ...[]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, part := range parts {
		if !w.asleep {
			w.heard.Write(part)
		}
	}
}

// ServeHTTP passes a request and its answer on.
func (w *Wiretap) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s %s\r\nHost: %s\r\n", r.Method, r.RequestURI, r.Proto, r.Host)
	_ = r.Header.Write(&head) // to memory
	w.keep(head.Bytes(), []byte("\r\n"), body, []byte("\r\n"))
	t := w.troubleOf(r)
	if t.Cut == BeforeAnswer {
		w.proxy.ServeHTTP(deaf{http.Header{}}, r)
	}
	if t.Then != nil {
		t.Then()
	}
	if t.Cut != Whole {
		panic(http.ErrAbortHandler)
	}
	w.proxy.ServeHTTP(rw, r)
}

func (w *Wiretap) troubleOf(r *http.Request) Trouble {
	w.mu.Lock()
	decide := w.trouble
	w.mu.Unlock()
	if decide == nil {
		return Trouble{}
	}
	return decide(r)
}

// deaf takes an answer that nobody is to hear.
type deaf struct{ header http.Header }

func (d deaf) Header() http.Header         { return d.header }
func (d deaf) Write(p []byte) (int, error) { return len(p), nil }
func (d deaf) WriteHeader(int)             {}

func (w *Wiretap) answered(res *http.Response) error {
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	_ = res.Body.Close()
	res.Body = io.NopCloser(bytes.NewReader(body))
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s\r\n", res.Proto, res.Status)
	_ = res.Header.Write(&head)
	w.keep(head.Bytes(), []byte("\r\n"), body, []byte("\r\n"))
	return nil
}
