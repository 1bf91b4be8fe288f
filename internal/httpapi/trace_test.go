package httpapi

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
)

// Where a tracer is configured each request is a span; probes are not worth one.
func TestRequestsAreSpans(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	h := New(Config{Traces: trace.NewTracerProvider(trace.WithSyncer(spans))})
	for _, path := range []string{"/healthz", "/docs", "/projects/7"} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	got := spans.GetSpans()
	if len(got) != 2 || got[0].Name != "GET /docs" || got[1].Name != "GET /projects/{id}" {
		t.Errorf("%d spans: %+v", len(got), got)
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/projects", nil))
	if rec.Code != http.StatusUnauthorized {
		t.Errorf("status %d behind the tracer", rec.Code)
	}
}
