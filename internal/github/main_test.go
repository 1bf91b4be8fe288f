package github

import (
	"bytes"

	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
	"github.com/octoseal/octoseal/internal/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// quick makes the waits of a test short. It is no zero Retry: that would be the default.
var quick = Retry{Base: time.Millisecond, Cap: 2 * time.Millisecond, Timeout: 5 * time.Second}

const widgets = "acme/widgets"

// A stage is a simulated GitHub with acme/widgets in it, and a client that may do everything.
type stage struct {
	*githubsim.GitHub
	url    string
	token  string
	client *Client
	repo   Repository
	log    *lockedBuffer
}

// perform sets a stage. adjust may change what the client is made with.
func perform(t *testing.T, adjust func(*Config)) *stage {
	t.Helper()
	gh := githubsim.New(githubsim.Config{})
	gh.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
	s := &stage{GitHub: gh, url: conform.Server(t, gh), token: gh.AddToken(githubsim.Token{}), log: &lockedBuffer{}}
	s.client = s.connect(t, adjust)
	repo, _, err := s.client.Repository(t.Context(), Ref{"acme", "widgets"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.repo = repo
	gh.ResetRequests()
	return s
}

// connect makes another client.
func (s *stage) connect(t *testing.T, adjust func(*Config)) *Client {
	t.Helper()
	cfg := Config{BaseURL: s.url, Credential: Token(s.token, "OCTOSEAL_GITHUB_TOKEN"), Retry: quick, Log: s.log.logger()}
	if adjust != nil {
		adjust(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdle)
	return c
}

// paths lists what was asked, as "METHOD path".
func (s *stage) paths() []string {
	var all []string
	for _, r := range s.Requests() {
		all = append(all, r.Method+" "+r.Path)
	}
	return all
}

func (s *stage) put(t *testing.T, scope secret.Scope, name, value string) (Written, error) {
	t.Helper()
	key, err := s.client.PublicKey(t.Context(), s.repo, scope)
	if err != nil {
		return Written{}, err
	}
	return s.client.Put(t.Context(), s.repo, secret.MustName(name), seal(t, key, value))
}

func seal(t testing.TB, key secret.PublicKey, value string) secret.Box {
	t.Helper()
	box, err := secret.Seal(secret.NewPlaintext([]byte(value)), key)
	if err != nil {
		t.Fatal(err)
	}
	return box
}

// A lockedBuffer is a log that many goroutines write to.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *lockedBuffer) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// inProcess carries requests to a handler without a socket, so that simulated time can pass.
type inProcess struct{ handler http.Handler }

func (p inProcess) RoundTrip(r *http.Request) (*http.Response, error) {
	served := make(chan *http.Response, 1)
	req := r.Clone(r.Context())
	req.RemoteAddr = "192.0.2.1:1234"
	if req.Body == nil {
		req.Body = http.NoBody
	}
	go func() {
		defer close(served)
		defer func() { _ = recover() }() // http.ErrAbortHandler: the connection breaks
		w := httptest.NewRecorder()
		p.handler.ServeHTTP(w, req)
		served <- w.Result()
	}()
	select {
	case res, ok := <-served:
		if !ok {
			return nil, io.ErrUnexpectedEOF
		}
		return res, nil
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// canned answers everything alike.
func canned(status int, header map[string]string, body string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for name, value := range header {
			w.Header().Set(name, value)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	})
}

// against is a client of a handler, without a socket and without retries.
func against(t testing.TB, handler http.Handler, adjust func(*Config)) *Client {
	t.Helper()
	cfg := Config{
		BaseURL: "https://api.github.com", Credential: Token("ghp_test", "OCTOSEAL_GITHUB_TOKEN"),
		Transport: inProcess{handler}, Retry: Retry{Retries: -1},
	}
	if adjust != nil {
		adjust(&cfg)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantFault demands a fault with the code, and with every one of the parts in its message and hint.
func wantFault(t *testing.T, err error, code fault.Code, parts ...string) {
	t.Helper()
	var f *fault.Fault
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a fault %s", err, code)
	}
	if f.Code != code {
		t.Errorf("got %s (%s), want %s", f.Code, f.Message, code)
	}
	text := f.Message + "\n" + f.Hint
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%q is missing in:\n%s", p, text)
		}
	}
	for _, word := range []string{"failed", "unable", "could not"} {
		if f.Code != fault.EncryptionFailed && strings.Contains(strings.ToLower(text), word) {
			t.Errorf("%q says nothing that being an error does not say:\n%s", word, text)
		}
	}
	if strings.Contains(text, "{") {
		t.Errorf("a place in the message is unfilled:\n%s", text)
	}
}

// everything is what an error shows, however it is printed and unwrapped.
func everything(err error) string {
	var b strings.Builder
	for e := err; e != nil; e = errors.Unwrap(e) {
		fmt.Fprintf(&b, "%v %+v %#v %s\n", e, e, e, e.Error())
		var f *fault.Fault
		if errors.As(e, &f) {
			fmt.Fprintf(&b, "%s %s %v\n", f.Message, f.Hint, f.Context)
		}
		var many interface{ Unwrap() []error }
		if errors.As(e, &many) {
			for _, one := range many.Unwrap() {
				b.WriteString(everything(one))
			}
		}
	}
	return b.String()
}

// counter counts attempts.
type counter struct {
	mu  sync.Mutex
	all []Exchange
}

func (n *counter) hear(e Exchange) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all = append(n.all, e)
}

func (n *counter) seen() []Exchange {
	n.mu.Lock()
	defer n.mu.Unlock()
	return append([]Exchange(nil), n.all...)
}

// aKey is a public key of scope that any test may seal for.
func aKey(t testing.TB, scope secret.Scope) secret.PublicKey {
	t.Helper()
	key, err := secret.ParsePublicKey(scope, "k1", "B6N8vBQgk8i3VdwbEOhstCY3StFqqFPtC9/AsrhtHHw=")
	if err != nil {
		t.Fatal(err)
	}
	return key
}

var (
	aRepo = Repository{ID: 7, Owner: "acme", Name: "widgets", OwnerType: "Organization"}
	aName = secret.MustName("TOKEN")
)
