package githubsim

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
)

// condition writes out the answer's body and turns a 200 into a 304 when the client has it
// already. A 304 is free for requests with valid authorisation, for these only.
func (c *call) condition(a answer) answer {
	c.encode(&a)
	if a.status != 200 || a.volatile || (c.r.Method != "GET" && c.r.Method != "HEAD") {
		return a
	}
	tag := c.tag(a.raw)
	a.set("ETag", tag)
	if !a.modified.IsZero() {
		a.set("Last-Modified", a.modified.UTC().Format(http.TimeFormat))
	}
	if c.fresh(tag, a) {
		a.status, a.raw = 304, nil
		a.header.Del("Content-Type")
		a.free = c.who.kind != anonymous
	}
	return a
}

// tag makes the weak ETag of a body. It differs for each token and Accept header, so what
// one token stored is worth nothing to another.
func (c *call) tag(body []byte) string {
	h := sha256.New()
	for _, part := range []string{c.who.id, c.r.Header.Get("Accept"), c.version} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(body)
	return `W/"` + hex.EncodeToString(h.Sum(nil)) + `"`
}

// fresh compares weakly, and looks at the date only when there is no tag to compare.
func (c *call) fresh(tag string, a answer) bool {
	if sent := c.r.Header.Get("If-None-Match"); sent != "" {
		for part := range strings.SplitSeq(sent, ",") {
			if strings.TrimPrefix(strings.TrimSpace(part), "W/") == strings.TrimPrefix(tag, "W/") {
				return true
			}
		}
		return false
	}
	since, err := http.ParseTime(c.r.Header.Get("If-Modified-Since"))
	return err == nil && !a.modified.IsZero() && !seconds(a.modified).After(since)
}
