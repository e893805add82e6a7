package server

import (
	"context"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"daybook/domain"
	"daybook/internal/observe"
)

// scrapes bounds how many scrapes are answered at once.
const scrapes = 4

// metrics are what a server counts.
type metrics struct {
	query, mutation prometheus.Observer
	subscriptions   prometheus.Counter
	errors          *prometheus.CounterVec
}

// newMetrics registers the metrics, nowhere when to is nil.
func newMetrics(to prometheus.Registerer) *metrics {
	register := promauto.With(to)
	operations := register.NewHistogramVec(prometheus.HistogramOpts{
		Name: "daybook_operation_seconds", Help: "Time that a query or mutation took from its being read to its answer.", Buckets: observe.Seconds,
	}, []string{"operation"})
	m := &metrics{
		query: operations.WithLabelValues("query"), mutation: operations.WithLabelValues("mutation"),
		subscriptions: register.NewCounter(prometheus.CounterOpts{
			Name: "daybook_subscriptions_begun_total", Help: "Subscriptions begun.",
		}),
		errors: register.NewCounterVec(prometheus.CounterOpts{
			Name: "daybook_operation_errors_total",
			Help: "Top-level errors that clients were answered, by code; refusals of business rules are none.",
		}, []string{"code"}),
	}
	// Those that alarms are about exist from the start: a rate does not see the first of a new series.
	for _, code := range []domain.Code{domain.Overloaded, domain.Unavailable, domain.OutcomeUnknown, domain.ReadTimeout, domain.Internal} {
		m.errors.WithLabelValues(string(code))
	}
	return m
}

// observe registers what is only looked at when it is asked for.
func (s *Server) observe(to prometheus.Registerer) {
	register := promauto.With(to)
	for name, c := range map[string]struct {
		counter *counter
		help    string
	}{
		"daybook_operations_in_flight": {&s.inFlight, "Queries and mutations being executed."},
		"daybook_streams_open":         {&s.streams, "WebSocket connections and event streams open."},
	} {
		register.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: c.help}, func() float64 { return float64(c.counter.n.Load()) })
	}
}

// scraper answers scrapes; nil where there is nothing to scrape.
func scraper(from prometheus.Gatherer) http.Handler {
	if from == nil {
		return nil
	}
	return promhttp.HandlerFor(from, promhttp.HandlerOpts{MaxRequestsInFlight: scrapes, ErrorHandling: promhttp.ContinueOnError})
}

// failed counts an error that a client is answered.
func (m *metrics) failed(err *gqlerror.Error) {
	code, _ := err.Extensions["code"].(string)
	if code == "" {
		code = string(domain.Internal)
	}
	m.errors.WithLabelValues(code).Inc()
}

// present turns an error into what the client sees, and counts it.
func (o *operations) present(ctx context.Context, err error) *gqlerror.Error {
	presented := o.resolver.PresentError(ctx, err)
	o.metrics.failed(presented)
	return presented
}

// DispatchOperation executes an operation. Queries and mutations are timed, and traced as part of the trace that the
// request names.
func (o *operations) DispatchOperation(ctx context.Context, op *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	var seen prometheus.Observer
	switch op.Operation.Operation {
	case ast.Query:
		seen = o.metrics.query
	case ast.Mutation:
		seen = o.metrics.mutation
	case ast.Subscription:
		o.metrics.subscriptions.Inc()
		return o.Executor.DispatchOperation(ctx, op)
	}
	began := o.resolver.Now()
	ctx, span := o.begin(ctx, op)
	responses, ctx := o.Executor.DispatchOperation(ctx, op)
	ended := false
	return func(ctx context.Context) *graphql.Response {
		response := responses(ctx)
		if !ended {
			ended = true
			seen.Observe(o.resolver.Now().Sub(began).Seconds())
			end(span, response)
		}
		return response
	}, ctx
}

// begin begins an operation's span; nil without tracing.
func (o *operations) begin(ctx context.Context, op *graphql.OperationContext) (context.Context, trace.Span) {
	if o.tracer == nil {
		return ctx, nil
	}
	kind := string(op.Operation.Operation)
	ctx = propagation.TraceContext{}.Extract(ctx, propagation.HeaderCarrier(op.Headers))
	return o.tracer.Start(ctx, "graphql "+kind, trace.WithSpanKind(trace.SpanKindServer),
		trace.WithAttributes(attribute.String("graphql.operation.type", kind), attribute.String("url.path", "/graphql")))
}

func end(span trace.Span, response *graphql.Response) {
	if span == nil {
		return
	}
	if response == nil || len(response.Errors) > 0 {
		span.SetStatus(codes.Error, "the operation was answered with errors")
	}
	span.End()
}
