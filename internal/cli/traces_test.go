package cli_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// A tracePost is a collector of traces, as far as taking them goes.
type tracePost struct {
	mu    sync.Mutex
	raw   bytes.Buffer
	spans []*v1.Span
	wrong []string
}

// ServeHTTP takes OTLP over HTTP, in protocol buffers, and nothing else.
func (p *tracePost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var sent collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &sent)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" {
		p.wrong = append(p.wrong, fmt.Sprint(r.Method, " ", r.URL.Path, " ", r.Header.Get("Content-Type"), " ", err))
		w.WriteHeader(http.StatusNotFound)
		return
	}
	p.raw.Write(raw)
	for _, resource := range sent.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			p.spans = append(p.spans, scope.GetSpans()...)
		}
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// find returns the spans of a name.
func (p *tracePost) find(name string) []*v1.Span {
	return slices.DeleteFunc(slices.Clone(p.spans), func(s *v1.Span) bool { return s.GetName() != name })
}

// A service that is told of a collector sends it a span for each request, and for each run one with
// its parts below; no value and no token is in any of them.
func TestTracesReachACollector(t *testing.T) {
	t.Parallel()
	post := &tracePost{}
	server := httptest.NewServer(post)
	defer server.Close()
	f := newFleet(t, "sqlite:"+filepath.Join(t.TempDir(), "octoseal.db"), 1)
	r := f.serve("--poll-interval", "off", "--otlp-endpoint", server.URL)
	f.enrol()
	h := f.homes[0]
	if a := r.sync(h, ""); a.status != http.StatusOK {
		t.Fatalf("sync: %s", a)
	}
	if a := r.ask(http.MethodGet, "/github/secrets/sync/status?projectId="+h.project, "", nil); a.status != http.StatusOK {
		t.Fatalf("status: %s", a)
	}
	r.end() // sends what is left
	r.cmd = nil
	f.eventually(time.Minute, func() error {
		post.mu.Lock()
		defer post.mu.Unlock()
		if len(post.find("sync")) == 0 {
			return fmt.Errorf("%d spans, none of a run; refused: %v", len(post.spans), post.wrong)
		}
		return nil
	})
	post.mu.Lock()
	defer post.mu.Unlock()
	for _, name := range []string{"POST /projects", "POST /github/secrets/sync", "GET /github/secrets/sync/status", "sync"} {
		if n := len(post.find(name)); n != 1 {
			t.Errorf("%d spans are called %s", n, name)
		}
	}
	run := post.find("sync")[0]
	for _, name := range []string{"observe", "apply"} {
		parts := post.find(name)
		if len(parts) == 0 {
			t.Errorf("no span is called %s", name)
		}
		for _, part := range parts {
			if !bytes.Equal(part.GetParentSpanId(), run.GetSpanId()) {
				t.Errorf("%s is no part of the run", name)
			}
		}
	}
	if len(post.find("GET /readyz")) > 0 {
		t.Error("a probe has a span")
	}
	for i := range h.secrets {
		if bytes.Contains(post.raw.Bytes(), []byte(h.value(i))) {
			t.Errorf("the value of %s was sent to the collector", h.name(i))
		}
	}
	if bytes.Contains(post.raw.Bytes(), []byte(f.token)) {
		t.Error("a token was sent to the collector")
	}
	for _, wrong := range post.wrong {
		t.Errorf("the collector refused %s", wrong)
	}
}
