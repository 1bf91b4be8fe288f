package cli

import (
	"context"
	"net/url"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	otelresource "go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// traces are where spans go; the zero value keeps none.
type traces struct {
	provider trace.TracerProvider // nil: none
	shutdown func(context.Context) error
}

// lastSpans is how long the spans of the end may take to be sent.
const lastSpans = 5 * time.Second

// traces sends spans to a collector, if one is named. It is not asked for anything before the first
// span, and nothing waits for it: one that is away loses spans and holds nobody up.
func (a *app) traces(ctx context.Context, endpoint string) (traces, error) {
	if endpoint == "" {
		endpoint = a.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT")
	}
	if endpoint == "" {
		return traces{}, nil
	}
	at, err := tracesAt(endpoint)
	if err != nil {
		return traces{}, err
	}
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(at))
	if err != nil {
		return traces{}, err
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { // it would write to stderr by itself
		a.log.WarnContext(context.WithoutCancel(ctx), "traces not sent", "cause", err)
	}))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(
		otelresource.NewSchemaless(attribute.String("service.name", "octoseal"), attribute.String("service.version", version())),
	))
	return traces{provider: provider, shutdown: provider.Shutdown}, nil
}

// tracesAt is where a collector takes traces: below its address, which is all that people know.
func tracesAt(endpoint string) (string, error) {
	const path = "/v1/traces"
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", fault.Invalid("--otlp-endpoint is no URL of a collector").Hinting("Write it like http://127.0.0.1:4318")
	}
	if !strings.HasSuffix(u.Path, path) {
		u = u.JoinPath(path)
	}
	return u.String(), nil
}

func (t traces) close() error {
	if t.shutdown == nil {
		return nil
	}
	ctx, stop := context.WithTimeout(context.Background(), lastSpans)
	defer stop()
	return t.shutdown(ctx)
}
