package syncing

import (
	"context"
	"errors"

	"github.com/octoseal/octoseal/internal/fault"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// tracerOf returns what makes the service's spans; none are kept where nobody wants any.
func tracerOf(p trace.TracerProvider) trace.Tracer {
	if p == nil {
		p = noop.NewTracerProvider()
	}
	return p.Tracer("github.com/octoseal/octoseal/internal/syncing")
}

// span begins a part of the run. The end takes how it came out, of which the code is told: a message
// may name more than a collector is to know.
func (r *run) span(ctx context.Context, name string) (context.Context, func(error)) {
	ctx, s := r.tracer.Start(ctx, name, trace.WithAttributes(
		attribute.String("run.id", r.record.ID.String()),
		attribute.String("run.trigger", string(r.req.Trigger)),
		attribute.String("repository", r.req.Repo.String()),
	))
	return ctx, func(err error) {
		if f := (*fault.Fault)(nil); errors.As(err, &f) { // not being its turn is none
			s.SetStatus(codes.Error, string(f.Code))
		}
		s.SetAttributes(attribute.Int("run.selected", len(r.plan.Selected)), attribute.Int("run.writes", r.writes()))
		s.End()
	}
}
