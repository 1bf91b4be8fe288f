package githubsim

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"
)

// maxBody is far above the largest sealed secret (65,600 characters) and far below what
// would hurt.
const maxBody = 1 << 20

// An exchange is one request on its way through the service: it arrives, is weighed
// against the secondary limits, waits half the latency, takes effect, waits the other
// half, and is answered. Faults strike before or after the effect.
type exchange struct {
	*GitHub
	w     http.ResponseWriter
	r     *http.Request
	entry *Request
}

func (x *exchange) run() {
	r := x.r
	x.arrive(points(r.Method))
	c, ok := x.listen()
	if !ok {
		return
	}
	v := x.limiter.admit(c.who.bucket, points(r.Method), x.Now())
	defer x.limiter.leave(c.who.bucket)
	strike := x.faults.draw(r.Method, r.URL.EscapedPath())
	x.note(func(e *Request) {
		e.Credential, e.IntoPenalty, e.Fault = c.who.id, v.intoPenalty, strike.kind
	})

	x.perform(c, strike, func() answer { return x.decide(c, v) })
}

// perform plays a request whose fate is drawn: it waits, takes effect, waits again and is answered.
func (x *exchange) perform(c *call, strike fault, effect func() answer) {
	_, onAnswer := x.requests.hooks()
	wait := x.faults.latency() / 2
	if !pause(x.r.Context(), wait) {
		return
	}
	c.strike = strike.kind
	if strike.early() {
		x.fail(strike)
		return
	}
	a := effect()
	if onAnswer != nil {
		onAnswer(x.note(func(*Request) {}))
	}
	if !pause(x.r.Context(), wait) {
		return
	}
	switch {
	case strike.kind == CutShort:
		x.cutShort(a)
	case strike.late():
		x.fail(strike)
	default:
		x.send(c, a)
	}
}

// arrive notes the request and tells who listens.
func (x *exchange) arrive(points int) {
	r := x.r
	x.entry = x.requests.arrive(Request{
		Method:      r.Method,
		Path:        r.URL.EscapedPath(),
		Query:       r.URL.RawQuery,
		Arrived:     x.Now(),
		Points:      points,
		Conditional: r.Header.Get("If-None-Match") != "" || r.Header.Get("If-Modified-Since") != "",
	})
	if onAsk, _ := x.requests.hooks(); onAsk != nil {
		onAsk(x.note(func(*Request) {}))
	}
}

func (x *exchange) note(change func(*Request)) Request { return x.requests.update(x.entry, change) }

// listen takes in the request: its body, its API version, and who sent it. It returns
// false when the client was gone before it had finished asking.
func (x *exchange) listen() (*call, bool) {
	body, err := io.ReadAll(io.LimitReader(x.r.Body, maxBody+1))
	if err != nil {
		return nil, false
	}
	c := &call{GitHub: x.GitHub, r: x.r, body: body, base: x.base(), version: x.r.Header.Get("X-GitHub-Api-Version")}
	if c.version == "" {
		c.version = oldVersion
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var refused *answer
	c.who, refused = x.identify(x.r)
	switch {
	case x.r.UserAgent() == "":
		refused = &answer{status: 403, text: "Request forbidden by administrative rules. " +
			"Please make sure your request has a User-Agent header."}
	case refused == nil && c.version != oldVersion && (c.version != newVersion || c.enterprise()):
		a := refuse(400, strconv.Quote(c.version)+" is not a supported API version.")
		refused = &a
	case refused == nil && len(body) > maxBody:
		a := refuse(413, "Request Entity Too Large")
		refused = &a
	}
	c.refused = refused
	return c, true
}

// base is the URL under which the client reached the API.
func (x *exchange) base() string {
	scheme := "http"
	if x.r.TLS != nil {
		scheme = "https"
	}
	return scheme + "://" + x.r.Host + x.Prefix()
}

// decide lets the request take effect. All requests do so one after the other.
func (x *exchange) decide(c *call, v verdict) answer {
	x.mu.Lock()
	defer x.mu.Unlock()
	c.now = x.clock.now()
	c.quota = x.world.quota(c.who, c.now)
	a := c.condition(c.judge(v))
	billed := !a.free && !c.enterprise()
	if billed {
		c.quota.used++
	}
	x.note(func(e *Request) { e.Billed, e.Refused = billed, a.limit })
	c.dress(&a)
	return a
}

func (x *exchange) send(c *call, a answer) {
	now := x.Now()
	header := x.w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	header.Set("Date", now.UTC().Format(http.TimeFormat))
	x.note(func(e *Request) { e.Status = a.status })
	x.w.WriteHeader(a.status)
	if len(a.raw) > 0 {
		// The client may have left; nobody is there to tell.
		_, _ = x.w.Write(a.raw)
	}
	if a.limit == Secondary {
		_ = http.NewResponseController(x.w).Flush()
		x.limiter.told(c.who.bucket, x.Now())
	}
}

// fail plays a fault instead of an answer.
func (x *exchange) fail(f fault) {
	if a, ok := f.answers(); ok {
		header := x.w.Header()
		for name, values := range a.Header {
			header[http.CanonicalHeaderKey(name)] = values
		}
		header.Set("Date", x.Now().UTC().Format(http.TimeFormat))
		x.note(func(e *Request) { e.Status = a.Status })
		x.w.WriteHeader(a.Status)
		_, _ = io.WriteString(x.w, a.Body)
		return
	}
	if f.kind == Stall {
		<-x.r.Context().Done()
		return
	}
	x.reset()
}

// cutShort promises the whole answer and drops the connection halfway.
func (x *exchange) cutShort(a answer) {
	if len(a.raw) == 0 {
		x.reset()
		return
	}
	x.note(func(e *Request) { e.Status = a.status })
	x.w.Header().Set("Content-Type", jsonType)
	x.w.Header().Set("Content-Length", strconv.Itoa(len(a.raw)))
	x.w.WriteHeader(a.status)
	_, _ = x.w.Write(a.raw[:len(a.raw)/2])
	_ = http.NewResponseController(x.w).Flush()
	panic(http.ErrAbortHandler)
}

// reset drops the connection without an answer, with a TCP reset where there is TCP.
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// Closing with unsent data thrown away makes the kernel send RST rather than FIN.
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// pause waits for d, or returns false because the client left or the server closes.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
