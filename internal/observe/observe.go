// Package observe is what all parts that are measured and traced have in common.
package observe

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// Seconds are the bounds of histograms of time: from 100 µs to 30 s.
var Seconds = []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}

// traceparent is the W3C trace context's name.
const traceparent = "traceparent"

// Within is a context in the trace that a command or an event carries.
func Within(ctx context.Context, of string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{traceparent: of})
}

// Traceparent is a context's trace as commands and events carry it.
func Traceparent(ctx context.Context) string {
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier[traceparent]
}

// Span tells, after the fact, of what was done about an event that carries a trace, from one moment to another. Without
// a trace or a tracer it does nothing.
func Span(tracer trace.Tracer, of, name string, from, to time.Time) {
	if tracer == nil || of == "" {
		return
	}
	_, span := tracer.Start(Within(context.Background(), of), name, trace.WithTimestamp(from))
	span.End(trace.WithTimestamp(to))
}
