package server

import (
	"context"
	"maps"
	"net/http"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/executor"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/trace"

	"daybook/graph"
	"daybook/resolvers"
)

// operations is gqlgen's executor behind the guards: it implements graphql.GraphExecutor for every transport.
type operations struct {
	*executor.Executor
	documents *documents
	resolver  *resolvers.Resolver
	metrics   *metrics
	tracer    trace.Tracer
}

func newOperations(root graph.ResolverRoot, c Config, m *metrics) *operations {
	schema := graph.NewExecutableSchema(graph.Config{Resolvers: root})
	exec := executor.New(schema)
	o := &operations{Executor: exec, documents: newDocuments(schema.Schema(), c.Limits), resolver: c.Resolver, metrics: m, tracer: c.Tracer}
	exec.SetErrorPresenter(o.present)
	exec.SetRecoverFunc(c.Resolver.Recover)
	exec.SetQueryCache(handedOver{})
	exec.AroundOperations(resolvers.StreamErrors)
	return o
}

// CreateOperationContext checks an operation. A document that is in the cache passes without a second look.
func (o *operations) CreateOperationContext(ctx context.Context, params *graphql.RawParams) (*graphql.OperationContext, gqlerror.List) {
	refused := &graphql.OperationContext{RawQuery: params.Query, RecoverFunc: o.resolver.Recover, Headers: params.Headers}
	if params.Query == "" {
		return refused, gqlerror.List{badInput(nil, "the request must have a query, a string that is not empty")}
	}
	d, errs := o.documents.get(params.Query)
	if len(errs) != 0 {
		return refused, errs
	}
	if d.doc.Operations.ForName(params.OperationName) == nil {
		if params.OperationName == "" {
			return refused, gqlerror.List{badInput(nil, "the query has several operations: name one of them in operationName")}
		}
		return refused, gqlerror.List{badInput(nil, "the query has no operation of the name given in operationName")}
	}
	doc, operation := d.doc, d.doc.Operations.ForName(params.OperationName)
	asTheyAre := usual(o.documents.schema, operation, params.Variables)
	if asTheyAre {
		doc = d.bare
	}
	op, errs := o.Executor.CreateOperationContext(context.WithValue(ctx, documentKey{}, doc), params)
	if len(errs) != 0 {
		for i, err := range errs {
			errs[i] = variableError(err)
		}
		return op, errs
	}
	if asTheyAre {
		op.Doc, op.Operation, op.Variables = d.doc, operation, params.Variables
	}
	op.DisableIntrospection = false
	if operation.Operation == ast.Mutation {
		op.Headers = o.correlated(params.Headers)
	}
	if err := o.checkVariables(d, op); err != nil {
		return op, gqlerror.List{err}
	}
	return op, nil
}

// correlated gives one correlation id to all mutations of an operation that has none. A POST has one already; operations
// of one connection share its headers, which therefore stay as they are.
func (o *operations) correlated(headers http.Header) http.Header {
	if headers.Get(resolvers.HeaderCorrelationID) != "" {
		return headers
	}
	own := http.Header{}
	maps.Copy(own, headers)
	o.resolver.Correlate(own)
	return own
}

// checkVariables checks what depends on an operation's variables.
func (o *operations) checkVariables(d *document, op *graphql.OperationContext) *gqlerror.Error {
	for _, name := range d.conditions {
		// A variable of another operation of the document has no value here.
		if op.Operation.VariableDefinitions.ForName(name) == nil {
			continue
		}
		if _, decided := op.Variables[name].(bool); !decided {
			return badInput(nil, "the variable $%s decides on skip or include: it must be true or false", name)
		}
	}
	if d.dynamic {
		p := pricing{limits: o.documents.limits.Query, variables: op.Variables}
		if !p.affordable(op.Operation) {
			return unaffordable(op.Operation)
		}
	}
	return nil
}

// isSubscription tells what needs a stream.
func isSubscription(op *graphql.OperationContext) bool {
	return op.Operation.Operation == ast.Subscription
}

// handedOver gives the executor the document that was checked for this request, in place of parsing the query.
type handedOver struct{}

type documentKey struct{}

func (handedOver) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	doc, ok := ctx.Value(documentKey{}).(*ast.QueryDocument)
	return doc, ok
}

func (handedOver) Add(context.Context, string, *ast.QueryDocument) {}

// limited are the operations of one WebSocket connection: its queries and mutations count as requests in flight.
type limited struct {
	*operations
	server *Server
}

// DispatchOperation executes a query or mutation within the limits of requests. Subscriptions have limits of their own.
func (l limited) DispatchOperation(ctx context.Context, op *graphql.OperationContext) (graphql.ResponseHandler, context.Context) {
	if isSubscription(op) {
		return l.operations.DispatchOperation(ctx, op)
	}
	if !l.server.inFlight.acquire() {
		refused := overloaded()
		l.metrics.failed(refused)
		return graphql.OneShot(&graphql.Response{Errors: gqlerror.List{refused}}), ctx
	}
	responses, ctx := l.operations.DispatchOperation(ctx, op)
	answered := false
	return func(ctx context.Context) *graphql.Response {
		if answered {
			return nil
		}
		answered = true
		defer l.server.inFlight.release()
		ctx, cancel := context.WithTimeout(ctx, l.server.limits.Request)
		defer cancel()
		return responses(ctx)
	}, ctx
}
