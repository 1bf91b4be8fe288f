package githubsim_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/nacl/box"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/githubsim/conform"
)

const widgets = "acme/widgets"

// A client is a plain client of the simulator: it does not retry, follow or hide anything.
type client struct {
	t     testing.TB
	gh    *githubsim.GitHub
	url   string
	token string
	head  map[string]string // sent with every request
}

// start serves a simulator that has a private acme/widgets and a classic token.
func start(t testing.TB, config githubsim.Config) *client {
	t.Helper()
	gh := githubsim.New(config)
	gh.AddRepository(githubsim.Repository{FullName: widgets, Private: true})
	return &client{t: t, gh: gh, url: conform.Server(t, gh), token: gh.AddToken(githubsim.Token{})}
}

// as returns a client with another token.
func (c *client) as(token string) *client {
	other := *c
	other.token = token
	return &other
}

// with returns a client that sends another header.
func (c *client) with(name, value string) *client {
	other := *c
	other.head = map[string]string{name: value}
	for k, v := range c.head {
		if k != name {
			other.head[k] = v
		}
	}
	return &other
}

// A reply is an answer, read to its end.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// message is the text of a refusal.
func (r reply) message() string {
	var e struct{ Message string }
	_ = json.Unmarshal([]byte(r.Body), &e)
	return e.Message
}

// into decodes the body.
func (r reply) into(t testing.TB, v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(r.Body), v); err != nil {
		t.Fatalf("body %q: %v", r.Body, err)
	}
}

var transport = &http.Transport{MaxIdleConnsPerHost: 64}

// plain is a client for those who want nothing but HTTP.
var plain = &http.Client{Transport: transport, Timeout: 10 * time.Second}

// try sends a request; an error means that there was no answer.
func (c *client) try(method, path, body string) (reply, error) {
	c.t.Helper()
	url := path
	if strings.HasPrefix(path, "/") {
		url = c.url + path
	}
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for name, value := range c.head {
		req.Header[http.CanonicalHeaderKey(name)] = []string{value}
	}
	hc := &http.Client{
		Transport:     transport,
		Timeout:       10 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := hc.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	var b bytes.Buffer
	if _, err := io.Copy(&b, resp.Body); err != nil {
		return reply{}, err
	}
	return reply{resp.StatusCode, resp.Header, b.String()}, nil
}

// do sends a request that must be answered.
func (c *client) do(method, path, body string) reply {
	c.t.Helper()
	r, err := c.try(method, path, body)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

func (c *client) get(path string) reply { c.t.Helper(); return c.do("GET", path, "") }

// want sends a request whose status must be as given.
func (c *client) want(status int, method, path, body string) reply {
	c.t.Helper()
	r := c.do(method, path, body)
	if r.Status != status {
		c.t.Fatalf("%s %s: %d %s, want %d", method, path, r.Status, r.Body, status)
	}
	return r
}

// A key is a store's public key as the API gives it.
type key struct {
	KeyID string `json:"key_id"`
	Key   string `json:"key"`
}

func (c *client) key(prefix string) key {
	c.t.Helper()
	var k key
	c.want(200, "GET", prefix+"/public-key", "").into(c.t, &k)
	return k
}

// seal makes the body of a PUT.
func (k key) seal(t testing.TB, value string) string {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil || len(raw) != 32 {
		t.Fatalf("key %q: %d bytes, %v", k.Key, len(raw), err)
	}
	sealed, err := box.SealAnonymous(nil, []byte(value), (*[32]byte)(raw), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k.body(base64.StdEncoding.EncodeToString(sealed))
}

func (k key) body(encrypted string) string {
	b, err := json.Marshal(map[string]string{"encrypted_value": encrypted, "key_id": k.KeyID})
	if err != nil {
		panic(err)
	}
	return string(b)
}

// A list is a page of a store's list.
type list struct {
	TotalCount int `json:"total_count"`
	Secrets    []struct {
		Name      string    `json:"name"`
		CreatedAt time.Time `json:"created_at"`
		UpdatedAt time.Time `json:"updated_at"`
	} `json:"secrets"`
}

func (l list) names() []string {
	out := []string{}
	for _, s := range l.Secrets {
		out = append(out, s.Name)
	}
	return out
}

func (c *client) list(path string) list {
	c.t.Helper()
	var l list
	c.want(200, "GET", path, "").into(c.t, &l)
	return l
}
