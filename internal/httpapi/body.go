package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

const (
	// defaultMaxBody is the most that an operation's body may hold.
	defaultMaxBody = 1 << 20
	// bodyTime is how long a body may take to arrive.
	bodyTime = 10 * time.Second
	// drained is how much of a body that is too large is read all the same: a client that is still
	// sending hears why it was refused, and not that the connection broke.
	drained = 32 << 20
)

// readBody returns a request's body, whole and bounded in size and time, in a buffer that has room for
// so much from the start. The deadline is taken off
// once the body is here: it would otherwise end a request that waits for its run. It stays on when
// the body is not, since net/http reads what is left of it before it lets the connection go.
func readBody(w http.ResponseWriter, r *http.Request, limit, room int64) ([]byte, error) {
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyTime)) // a test's recorder has no connection
	into := bytes.NewBuffer(make([]byte, 0, room+bytes.MinRead))
	_, err := into.ReadFrom(io.LimitReader(r.Body, limit+1))
	body := into.Bytes()
	switch slow := net.Error(nil); {
	case errors.As(err, &slow) && slow.Timeout():
		w.Header().Set("Connection", "close")
		return nil, fault.Invalid("the body took longer than %s to arrive", bodyTime).Because(err)
	case err != nil:
		return nil, fault.Invalid("the body could not be read to its end").Because(err)
	case int64(len(body)) > limit:
		w.Header().Set("Connection", "close")
		_, _ = io.CopyN(io.Discard, r.Body, drained)
		return nil, fault.New(fault.RequestTooLarge, fault.Context{"limit": limit})
	}
	_ = control.SetReadDeadline(time.Time{})
	return body, nil
}

// takeBody replaces a request's body by one that is here already. Bodies are JSON whatever the
// header says: curl -d calls everything a form. One that holds values is kept from huma, which would
// make texts of them that nobody can overwrite.
func (s *server) takeBody(w http.ResponseWriter, r *http.Request, op operation) error {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	limit, room := max(s.maxBody, op.Body), int64(0)
	if op.Values { // a buffer that has to grow leaves copies behind
		room = max(0, min(r.ContentLength, limit))
	}
	body, err := readBody(w, r, limit, room)
	if err != nil {
		return err
	}
	if op.Values {
		exchangeOf(r.Context()).values, r.Body = body, http.NoBody
		return nil
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	return nil
}
