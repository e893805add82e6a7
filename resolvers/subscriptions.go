package resolvers

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"daybook/domain/transaction"
	"daybook/graph/model"
)

func (r *Resolver) balanceChanged(ctx context.Context, accountID string, after *int64) (<-chan *model.BalanceChanged, error) {
	if err := checkAccountID("accountId", accountID); err != nil {
		return nil, err
	}
	feed, err := r.Live.Changes(ctx, accountID, after)
	if err != nil {
		return nil, err
	}
	return stream(ctx, r, feed, changedModel), nil
}

func (r *Resolver) transactionUpdated(ctx context.Context, id string) (<-chan *model.Transaction, error) {
	id, err := checkUUID("id", "transaction", id)
	if err != nil {
		return nil, err
	}
	feed, err := r.Live.Transaction(ctx, id)
	if err != nil {
		return nil, err
	}
	return stream(ctx, r, feed, func(s transaction.State) *model.Transaction { return transactionModel(s, r.originOf(s.ID, nil)) }), nil
}

// source is what a subscription is fed from.
type source[S any] interface {
	Next(ctx context.Context) (S, error)
	Close()
}

// stream sends what a source gives until ctx ends, the source does, or it fails, of which the client is told.
func stream[S, M any](ctx context.Context, r *Resolver, from source[S], convert func(S) *M) <-chan *M {
	out := make(chan *M)
	go func() {
		defer close(out)
		defer from.Close()
		defer func() {
			if cause := recover(); cause != nil {
				r.endStream(ctx, r.Recover(ctx, cause))
			}
		}()
		for {
			next, err := from.Next(ctx)
			if err != nil {
				if !errors.Is(err, io.EOF) && ctx.Err() == nil {
					r.endStream(ctx, err)
				}
				return
			}
			select {
			case out <- convert(next):
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// endStream hands the transport the error that ends a subscription. It is for before the channel is closed.
func (r *Resolver) endStream(ctx context.Context, err error) {
	presented := r.PresentError(ctx, err)
	presented.Path = graphql.GetPath(ctx)
	if overWebSocket(ctx, presented) {
		return
	}
	if end, ok := ctx.Value(streamEndKey{}).(*streamEnd); ok {
		end.err.Store(presented)
	}
}

// overWebSocket ends a subscription as the WebSocket protocols do. The transport cannot be asked whether it is one; if
// it is not, there is nowhere to put the error, and it panics.
func overWebSocket(ctx context.Context, err *gqlerror.Error) (ok bool) {
	defer func() { ok = recover() == nil }()
	transport.AddSubscriptionError(ctx, err)
	return true
}

type streamEndKey struct{}

type streamEnd struct {
	err atomic.Pointer[gqlerror.Error]
}

// StreamErrors is an operation middleware. It lets a subscription that fails in mid-stream say so over transports that
// have no message of their own for it, such as SSE: in a last response.
func StreamErrors(ctx context.Context, next graphql.OperationHandler) graphql.ResponseHandler {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Subscription {
		return next(ctx)
	}
	end := &streamEnd{}
	responses := next(context.WithValue(ctx, streamEndKey{}, end))
	return func(ctx context.Context) *graphql.Response {
		if response := responses(ctx); response != nil {
			return response
		}
		if err := end.err.Swap(nil); err != nil {
			return &graphql.Response{Errors: gqlerror.List{err}}
		}
		return nil
	}
}
