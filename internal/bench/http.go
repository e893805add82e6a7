package bench

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"daybook/graph"
	"daybook/graph/model"
)

// HTTP measures top-ups over HTTP GraphQL, one a request, with the given number of connections.
func HTTP(ctx context.Context, server string, callers int, d time.Duration) (Result, error) {
	c, err := openClients(server, callers, newAccountSet(1))
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	return Load(ctx, callers, d, func(_ context.Context, caller, n int) error {
		return c.topUp(caller, (caller*7919+n)%accounts, key(caller, n))
	})
}

// HTTPTransfers measures transfers over HTTP GraphQL, one a request, with the given number of connections, on a server
// with so many partitions.
func HTTPTransfers(ctx context.Context, server string, partitions int32, callers int, d time.Duration) (Result, error) {
	c, err := openClients(server, callers, newAccountSet(partitions))
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	result, err := Load(ctx, callers, d, func(_ context.Context, caller, n int) error { return c.transfer(caller, n) })
	c.accounts.count(&result)
	return result, err
}

// HTTPBatches measures transfers over HTTP GraphQL, many a request. PerSecond counts transfers, the latencies are of
// requests.
func HTTPBatches(ctx context.Context, server string, partitions int32, size, callers int, d time.Duration) (Result, error) {
	c, err := openClients(server, callers, newAccountSet(partitions))
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	result, err := Load(ctx, callers, d, func(_ context.Context, caller, n int) error { return c.batch(caller, n, size) })
	result.PerSecond *= float64(size)
	c.accounts.count(&result)
	return result, err
}

// EmptyHTTP measures the same requests against a plain gqlgen server of the same schema whose mutation does nothing.
func EmptyHTTP(ctx context.Context, callers int, d time.Duration) (Result, error) {
	h := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: emptyResolver{}}))
	h.AddTransport(transport.POST{})
	h.SetQueryCache(lru.New[*ast.QueryDocument](100))
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Result{}, err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	c, err := newClients("http://"+listener.Addr().String()+"/", callers, newAccountSet(1))
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	result, err := Load(ctx, callers, d, func(_ context.Context, caller, n int) error {
		return c.topUp(caller, (caller*7919+n)%accounts, key(caller, n))
	})
	err = errors.Join(err, server.Close())
	if serveErr := <-ended; !errors.Is(serveErr, http.ErrServerClosed) {
		err = errors.Join(err, serveErr)
	}
	return result, err
}

// emptyResolver answers top-ups with a constant.
type emptyResolver struct{ graph.ResolverRoot }

type emptyMutation struct{ graph.MutationResolver }

func (emptyResolver) Mutation() graph.MutationResolver { return emptyMutation{} }

func (emptyResolver) Account() graph.AccountResolver { return emptyAccount{} }

type emptyAccount struct{ graph.AccountResolver }

func (emptyMutation) TopUp(_ context.Context, in model.TopUpInput) (*model.Payload, error) {
	return &model.Payload{
		Transaction: &model.Transaction{ID: "00000000-0000-0000-0000-000000000000", Status: "COMPLETED"},
		UserErrors:  []*model.UserError{},
	}, nil
}
