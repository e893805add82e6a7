package resolvers

import (
	"context"
	"net/http"
	"unicode"

	"github.com/99designs/gqlgen/graphql"

	"daybook/engine/ledger"
	"daybook/eventstore"
)

// The headers that travel with a command.
const (
	// HeaderCorrelationID ties together all that a request causes. It is answered too.
	HeaderCorrelationID = "X-Correlation-Id"
	headerActorID       = "X-Actor-Id"
	headerActorType     = "X-Actor-Type"
	headerTraceparent   = "Traceparent"
)

// origin is what the commands of a request have in common: who asks, and what ties together all that comes of it.
func (r *Resolver) origin(ctx context.Context) (ledger.Meta, error) {
	headers := graphql.GetOperationContext(ctx).Headers
	var m ledger.Meta
	var err error
	if m.CorrelationID, err = r.correlationID(headers); err != nil {
		return m, err
	}
	if m.Actor, err = actor(headers); err != nil {
		return m, err
	}
	if traceparent := headers.Get(headerTraceparent); isTraceparent(traceparent) {
		m.Traceparent = traceparent
	}
	return m, nil
}

// correlationID is the request's own or, without one, the id of the trace that it is part of, or a new one.
func (r *Resolver) correlationID(headers http.Header) (string, error) {
	id, err := header(headers, HeaderCorrelationID, maxCorrelationID)
	if id != "" || err != nil {
		return id, err
	}
	// A trace context that is malformed is left out, as its standard asks.
	if traceparent := headers.Get(headerTraceparent); isTraceparent(traceparent) {
		return traceparent[len("00-") : len("00-")+traceIDLength], nil
	}
	return r.NewID(), nil
}

// Correlate makes sure that a request has a correlation id, under which all that it causes is recorded, and returns it;
// empty when the request has a malformed one, for which its commands are refused.
func (r *Resolver) Correlate(headers http.Header) string {
	id, err := r.correlationID(headers)
	if err != nil {
		return ""
	}
	headers.Set(HeaderCorrelationID, id)
	return id
}

func actor(headers http.Header) (eventstore.Metadata, error) {
	id, err := header(headers, headerActorID, maxActorID)
	if err != nil {
		return eventstore.Metadata{}, err
	}
	kind, err := header(headers, headerActorType, maxActorType)
	return eventstore.Metadata{ActorID: id, ActorType: kind}, err
}

// header returns a header's value, empty when it is absent.
func header(headers http.Header, name string, most int) (string, error) {
	value := headers.Get(name)
	if value != "" && !isText(value, 1, most, unicode.IsPrint) {
		return "", badInput("", "the header %s must be 1 to %d printable characters", name, most)
	}
	return value, nil
}
