package relay

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

const (
	// tries is how often one message is sent while the patience lasts.
	tries = 20
	// messageTime bounds one try: a server holds a finish back for as long as its own wait limit, 55 s.
	messageTime = 90 * time.Second
	// longestAnswer bounds what is read of an answer: the report of hundreds of secrets is far below.
	longestAnswer = 4 << 20
	// longestPause bounds how long a server that is busy can have the runner wait at once.
	longestPause = time.Minute
)

// direct returns a client that follows no redirect: what it carries is for one server. The one it
// makes itself goes through the proxy that the environment names, and trusts the system's
// authorities, which SSL_CERT_FILE can name.
func direct(given *http.Client) *http.Client {
	c := &http.Client{}
	if given != nil {
		*c = *given
	} else if t, ok := http.DefaultTransport.(*http.Transport); ok {
		c.Transport = t.Clone()
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// An exchange is one message and its answer.
type exchange struct {
	path   string
	bearer string
	body   any
	into   any
}

// A passingError may be gone the next time.
type passingError struct {
	error
	after time.Duration // what the server asked to wait; zero when it named nothing
}

func (e passingError) Unwrap() error { return e.error }

// post sends a message until it is answered, and no more often than patience lasts.
func (r *runner) post(ctx context.Context, x exchange) error {
	return r.persist(ctx, func() error { return r.deliver(ctx, x) })
}

// persist tries again while what went wrong may pass. Waits begin short, since another process of the
// server may answer at once, and what the server itself asks for does not count against the patience.
func (r *runner) persist(ctx context.Context, try func() error) error {
	deadline := time.Now().Add(r.Patience)
	for n, wait := 1, r.Patience/200; ; n++ {
		err := try()
		var passing passingError
		if err == nil || !errors.As(err, &passing) {
			return err
		}
		if n == tries || time.Now().After(deadline) {
			return lostError{passing.error}
		}
		r.log.DebugContext(ctx, "trying again", "try", n, "because", err)
		pause := wait/2 + rand.N(wait/2+1)
		if passing.after > 0 {
			pause = min(passing.after, longestPause)
			deadline = deadline.Add(pause)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
		wait = min(wait*3/2, r.Patience/12)
	}
}

// deliver sends a message once.
func (r *runner) deliver(ctx context.Context, x exchange) error {
	body, err := json.Marshal(x.body)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, messageTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.Server.JoinPath(x.path).String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+x.bearer)
	req.Header.Set("Content-Type", "application/json")
	status, header, raw, err := r.answer(req)
	if err != nil {
		return err
	}
	if status < http.StatusMultipleChoices {
		if err := json.Unmarshal(raw, x.into); err != nil {
			return r.stranger(status)
		}
		return nil
	}
	return r.refused(status, header, raw)
}

// answer sends a request and reads what comes back, up to a bound.
func (r *runner) answer(req *http.Request) (status int, header http.Header, raw []byte, err error) {
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "octoseal/"+r.Version)
	res, err := r.client.Do(req)
	if err != nil {
		return 0, nil, nil, unreachable(req, err)
	}
	defer res.Body.Close()
	raw, err = io.ReadAll(io.LimitReader(res.Body, longestAnswer+1))
	switch {
	case err != nil:
		return 0, nil, nil, unreachable(req, err)
	case len(raw) > longestAnswer:
		return 0, nil, nil, away(req.URL.Host, "its answer is longer than any there is")
	}
	return res.StatusCode, res.Header, raw, nil
}

// refused makes a fault of an answer that is none of success. What the table knows as final is not
// tried again; of what bears no code of ours, a server's own trouble and a limit may pass.
func (r *runner) refused(status int, header http.Header, raw []byte) error {
	var e struct {
		Error struct {
			Code    fault.Code `json:"code"`
			Message string     `json:"message"`
			Hint    string     `json:"hint"`
			Context struct {
				Reason string `json:"reason"`
			} `json:"context"`
		} `json:"error"`
	}
	passes := status >= http.StatusInternalServerError || status == http.StatusTooManyRequests || status == http.StatusMisdirectedRequest
	var f *fault.Fault
	if err := json.Unmarshal(raw, &e); err != nil || fault.KindOf(e.Error.Code).Code != e.Error.Code || e.Error.Code == fault.Unexpected {
		f = r.stranger(status)
	} else {
		f = fault.New(e.Error.Code, fault.Context{"reason": tame(r.Redact.String(e.Error.Context.Reason))}).
			Saying("%s", tame(r.Redact.String(e.Error.Message))).Hinting("%s", tame(r.Redact.String(e.Error.Hint)))
		passes = passes && f.Kind().Retry != fault.RetryNone
	}
	if status == http.StatusMisdirectedRequest {
		r.client.CloseIdleConnections() // another connection may lead to the process that has the session
	}
	switch {
	case passes:
		return passingError{f, retryAfter(header)}
	case f.Code == fault.RelayClaimDenied && e.Error.Context.Reason == string(DeniedSession):
		return lostError{f}
	}
	return f
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return time.Duration(min(seconds, 3600)) * time.Second
}

// stranger is the fault of an answer that is not octoseal's.
func (r *runner) stranger(status int) *fault.Fault {
	why := fmt.Sprintf("it answers %d, and not as octoseal serve does", status)
	if status >= 300 && status < 400 {
		why = fmt.Sprintf("it answers %d to send us elsewhere, and no redirect is followed", status)
	}
	return away(r.Server.Host, why)
}

// away is the fault of a server that cannot be spoken with.
func away(host, why string) *fault.Fault {
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": why}).
		Saying("%s cannot be asked: %s", host, why).
		Hinting("Check the server's URL, and whether octoseal serve --public-url runs there.")
}

// unreachable says in plain words why no whole answer came, and whether one may come the next time.
// The words of the error itself are left out: they hold the URL.
func unreachable(req *http.Request, err error) error {
	if ctx := req.Context(); ctx.Err() != nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return context.Cause(ctx)
	}
	host := req.URL.Host
	var (
		dns       *net.DNSError
		op        *net.OpError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
	)
	switch {
	case errors.As(err, &authority):
		return away(host, "its certificate is signed by an authority that this machine does not know").Because(inner(err)).
			Hinting("Install the authority's certificate on the runner; SSL_CERT_FILE can name it.")
	case errors.As(err, &name):
		return away(host, "its certificate is for another host").Because(inner(err))
	case errors.As(err, &dns) && dns.IsNotFound:
		return passingError{error: away(host, "the name is not known (DNS)").Because(inner(err))}
	case errors.As(err, &op) && op.Op == "proxyconnect":
		return passingError{error: away(host, "the proxy before it does not answer").Because(inner(err)).Hinting("Check HTTPS_PROXY and NO_PROXY.")}
	case errors.Is(err, context.DeadlineExceeded):
		return passingError{error: away(host, fmt.Sprintf("it gave no answer within %s", messageTime)).Because(context.DeadlineExceeded)}
	}
	return passingError{error: away(host, "the connection broke, or nothing listens there").Because(inner(err))}
}

// inner is err without the URL around it, which may say more than a log should.
func inner(err error) error {
	if u := (*url.Error)(nil); errors.As(err, &u) {
		return u.Err
	}
	return err
}
