package cli_test

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// A meddler is a proxy with TLS before a service. It cuts the history into pages of two, and does what
// a test wants with the answers.
type meddler struct {
	*httptest.Server
	mu     sync.Mutex
	answer func(*http.Response)
}

// meddle sets what is done with the answers from now on.
func (m *meddler) meddle(answer func(*http.Response)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.answer = answer
}

func newMeddler(t *testing.T, behind string) *meddler {
	t.Helper()
	to, err := url.Parse("http://" + behind)
	if err != nil {
		t.Fatal(err)
	}
	m := &meddler{}
	m.Server = httptest.NewTLSServer(&httputil.ReverseProxy{
		Rewrite: func(p *httputil.ProxyRequest) {
			p.SetURL(to)
			if q := p.Out.URL.Query(); strings.HasSuffix(p.Out.URL.Path, "/history") {
				q.Set("limit", "2")
				p.Out.URL.RawQuery = q.Encode()
			}
		},
		ModifyResponse: func(res *http.Response) error {
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.answer != nil {
				m.answer(res)
			}
			return nil
		},
	})
	t.Cleanup(m.Close)
	return m
}

// events changes the events of each page of the history.
func (m *meddler) events(change func(page []map[string]any) []map[string]any) {
	m.meddle(func(res *http.Response) {
		var page struct {
			Events []map[string]any `json:"events"`
			Next   *string          `json:"nextCursor"`
		}
		raw, _ := io.ReadAll(res.Body)
		if json.Unmarshal(raw, &page) == nil && len(page.Events) > 0 {
			page.Events = change(page.Events)
			raw, _ = json.Marshal(page)
		}
		res.Body = io.NopCloser(bytes.NewReader(raw))
		res.ContentLength = int64(len(raw))
		res.Header.Set("Content-Length", strconv.Itoa(len(raw)))
	})
}

// trusting is the world of a person who trusts the proxy's certificate and has the fleet's token.
func (f *fleet) trusting(m *meddler) {
	f.Helper()
	file := filepath.Join(f.bench.folder, "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: m.Certificate().Raw}), 0o600); err != nil {
		f.Fatal(err)
	}
	f.bench.environ = append(f.bench.environ, "SSL_CERT_FILE="+file, "OCTOSEAL_SERVER="+m.URL, "OCTOSEAL_TOKEN="+f.token, "OCTOSEAL_REPO="+f.homes[0].repo)
}

// A trail that is fetched from a server verifies only as long as nobody on the way meddles with it.
func TestVerifyFromAServer(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "sqlite:"+filepath.Join(t.TempDir(), "octoseal.db"), 1)
	r := f.serve("--poll-interval", "off")
	f.enrol()
	for range 2 {
		if a := r.sync(f.homes[0], ""); a.status != http.StatusOK {
			t.Fatalf("sync: %s", a)
		}
		f.nextRound()
	}
	m := newMeddler(t, r.address)
	f.trusting(m)
	for name, c := range map[string]struct {
		change func([]map[string]any) []map[string]any
		code   int
		says   string
	}{
		"untouched":       {func(p []map[string]any) []map[string]any { return p }, 0, "intact: 8 events, head 8 "},
		"one is missing":  {func(p []map[string]any) []map[string]any { return p[:1] }, 3, "broken at event 7: is missing"},
		"one was changed": {func(p []map[string]any) []map[string]any { p[0]["durationMs"] = 12345678; return p }, 3, "broken at event 8: was changed"},
		"one was rehung":  {func(p []map[string]any) []map[string]any { p[1]["prevHash"] = p[0]["hash"]; return p }, 3, "broken at event 7: was changed"},
	} {
		m.events(c.change)
		code, out, talk := f.bench.octoseal("audit", "verify")
		if code != c.code || !strings.HasPrefix(out, c.says) {
			t.Errorf("%s: exit code %d: %s%s", name, code, out, talk)
		}
	}
}

// Doctor says of a server behind a proxy what is odd about the way there.
func TestDoctorOfAServerBehindAProxy(t *testing.T) {
	t.Parallel()
	f := newFleet(t, "sqlite:"+filepath.Join(t.TempDir(), "octoseal.db"), 1)
	r := f.serve("--poll-interval", "off")
	f.enrol()
	m := newMeddler(t, r.address)
	code, out, _ := f.bench.octoseal("doctor", "--server", m.URL)
	if code != 3 || !strings.HasPrefix(out, "attention server: ") || !strings.Contains(out, "certificate") {
		t.Errorf("a certificate that nobody vouches for: exit code %d\n%s", code, out)
	}
	f.trusting(m)
	m.meddle(func(res *http.Response) {
		res.Header.Set("Date", time.Now().Add(-10*time.Minute-5*time.Second).UTC().Format(http.TimeFormat))
		if res.Request.URL.Path == "/readyz" {
			res.StatusCode = http.StatusForbidden
		}
	})
	code, out, talk := f.bench.octoseal("doctor")
	for _, says := range []string{"ok        tls: TLS 1.3, ", "advice    clock: 10m", "advice    ready: ", "ok        token: accepted", "ok        role: admin"} {
		if !strings.Contains(out, "\n"+says) {
			t.Errorf("doctor does not say %q", says)
		}
	}
	if code != 0 || t.Failed() {
		t.Errorf("exit code %d\n%s%s", code, out, talk)
	}
}
