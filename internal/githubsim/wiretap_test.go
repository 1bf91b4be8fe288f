package githubsim_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// A wiretap changes nothing of what is said, and keeps all of it in the clear.
func TestWiretapKeepsWhatIsSaid(t *testing.T) {
	var asked atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Answer", "header said")
		w.WriteHeader(http.StatusTeapot)
		fmt.Fprintf(w, "%s %s %s %s", r.Host, r.RequestURI, r.Header.Get("X-Question"), body)
	}))
	defer server.Close()
	tap := githubsim.NewWiretap(server.URL)
	front := httptest.NewServer(tap)
	defer front.Close()
	say := func(text string) (string, error) {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, front.URL+"/a%2Fb?c=d", strings.NewReader(text))
		req.Header.Set("X-Question", "asked")
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			return "", err
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		return fmt.Sprintf("%d: %s: %s", res.StatusCode, res.Header.Get("X-Answer"), body), err
	}
	address, _ := url.Parse(front.URL)
	want := "418: header said: " + address.Host + " /a%2Fb?c=d asked question one"
	if got, err := say("question one"); err != nil || got != want {
		t.Errorf("answered %q, %v; want %q", got, err, want)
	}
	for _, said := range []string{"POST /a%2Fb?c=d", "X-Question: asked", "question one", "418", "X-Answer: header said", "asked question one"} {
		if !strings.Contains(tap.Heard(), said) {
			t.Errorf("%q was not heard in:\n%s", said, tap.Heard())
		}
	}
	for cut, times := range map[githubsim.Cut]int32{githubsim.BeforeAsking: 0, githubsim.BeforeAnswer: 1} {
		asked.Store(0)
		var then atomic.Int32
		then.Store(-1)
		tap.OnRequest(func(*http.Request) githubsim.Trouble {
			return githubsim.Trouble{Cut: cut, Then: func() { then.Store(asked.Load()) }}
		})
		if got, err := say("question two"); err == nil || asked.Load() != times || then.Load() != times {
			t.Errorf("cut %d: answered %q, and the server was asked %d times, %d by then, want %d", cut, got, asked.Load(), then.Load(), times)
		}
	}
	tap.OnRequest(nil)
	tap.Sleep()
	if got, err := say("question three"); err != nil || !strings.Contains(got, "three") || tap.Heard() != "" {
		t.Errorf("asleep: answered %q, %v, heard %q", got, err, tap.Heard())
	}
}

// A value is found in whatever it may have been wrapped in, and only where it is.
func TestShows(t *testing.T) {
	const value = "a value of\n\"two\" lines & ümlaut"
	for form, text := range map[string]string{
		"as it is":   "x" + value + "y",
		"one line":   `x"two" lines & ümlauty`,
		"JSON":       `{"x":"a value of\n\"two\" lines \u0026 ümlaut"}`,
		"base64":     base64.StdEncoding.EncodeToString([]byte("{\"x\": \"" + value + "\"}")),
		"base64 URL": base64.RawURLEncoding.EncodeToString([]byte("??" + value + "??")),
		"hex":        fmt.Sprintf("%x", "x"+value),
		"HEX":        fmt.Sprintf("%X", "x"+value),
		"numbers":    fmt.Sprint(bytes.NewBufferString("x" + value + "y").Bytes()),
		"query":      "?x=" + url.QueryEscape(value) + "&y",
		"path":       "/" + url.PathEscape(value),
		"Go":         fmt.Sprintf("%q", value),
	} {
		if githubsim.Shows(text, value) == "" {
			t.Errorf("%s: not found in %q", form, text)
		}
		if got := githubsim.Shows(text, "another value"); got != "" {
			t.Errorf("%s: %q is found in %q", form, got, text)
		}
	}
	if got := githubsim.Shows("a short one", "short"); got != "" {
		t.Errorf("%q may be there by chance", got)
	}
}
