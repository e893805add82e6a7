package engine

import (
	"context"
	"errors"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"daybook/domain"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/observe"
)

// begin begins a span for what is asked for at once, with the commands' own trace as its parent where the context has
// none, and makes it the trace that their events carry on. The function ends it. Without tracing both do nothing.
func (e *Engine) begin(ctx context.Context, name string, commands ...ledger.Command) (context.Context, trace.Span) {
	if e.cfg.Tracer == nil {
		return ctx, nil
	}
	parent := ctx
	if len(commands) > 0 && !trace.SpanContextFromContext(ctx).IsValid() {
		parent = observe.Within(ctx, commands[0].Common().Traceparent)
	}
	ctx, span := e.cfg.Tracer.Start(parent, name, trace.WithAttributes(attribute.Int("daybook.commands", len(commands))))
	if span.IsRecording() {
		carried := observe.Traceparent(ctx)
		for _, c := range commands {
			c.Common().Traceparent = carried
		}
	}
	return ctx, span
}

// end ends a command's span with its answer.
func end(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		code := string(domain.CodeOf(err))
		span.SetAttributes(attribute.String("daybook.code", code))
		span.SetStatus(codes.Error, code)
	}
	span.End()
}

// traceParts tells, after the fact, where an answered request spent its time.
func (e *Engine) traceParts(ctx context.Context, r *request) {
	if e.cfg.Tracer == nil || r.moments == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return
	}
	e.parts(ctx, r)
}

// traceSent does so for a request that another node sent, under the trace that its command carries, once for those of a
// parcel that were decided in one batch. Of what is left to another owner that one tells.
func (e *Engine) traceSent(r *request) {
	if e.cfg.Tracer == nil || r.home == nil || r.home.traced == r.moments || errors.Is(r.err, errNotDone) {
		return
	}
	r.home.traced = r.moments
	ctx := observe.Within(context.Background(), r.Command.Common().Traceparent)
	if trace.SpanContextFromContext(ctx).IsSampled() {
		e.parts(ctx, r)
	}
}

// parts makes the spans. Of a request that came back from another node its owner tells the parts.
func (e *Engine) parts(ctx context.Context, r *request) {
	m := r.moments
	part := func(name string, from, to time.Time) {
		_, span := e.cfg.Tracer.Start(ctx, name, trace.WithTimestamp(from))
		span.End(trace.WithTimestamp(to))
	}
	if !m.back.IsZero() {
		part("travel", r.entered, m.back)
		return
	}
	if r.entered.Before(m.began) {
		part("queue", r.entered, m.began)
	} else {
		part("queue", r.entered, r.entered)
	}
	part("decide", m.began, m.decided)
	part("write", m.decided, m.written)
	part("answer", m.written, e.cfg.Clock())
}

// traceCoordination tells of the events of a run, from an offset on, that the coordinator has handled since a moment.
func (e *Engine) traceCoordination(run [][]eventstore.Recorded, from int64, began time.Time) {
	if e.cfg.Tracer == nil {
		return
	}
	for _, events := range run {
		for i := range events {
			if events[i].Offset >= from {
				observe.Span(e.cfg.Tracer, events[i].Traceparent, "coordinate", began, e.cfg.Clock())
			}
		}
	}
}
