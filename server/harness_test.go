package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/shopspring/decimal"
	"go.uber.org/goleak"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/graph"
	"daybook/graph/model"
	"daybook/internal/ids"
	"daybook/internal/testenv"
	"daybook/projector"
	"daybook/resolvers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait of a test.
const patience = 20 * time.Second

// backend stands behind the resolvers. It knows one account and counts what reaches it beyond that.
type backend struct {
	executed atomic.Int64 // commands
	last     atomic.Pointer[ledger.Meta]
	mu       sync.Mutex
	all      []ledger.Meta // of the commands, in their order
	searched atomic.Int64  // look-ups other than of an account
}

func (b *backend) Execute(_ context.Context, c ledger.Command) (ledger.Result, error) {
	b.executed.Add(1)
	b.last.Store(c.Common())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, *c.Common())
	return ledger.Result{Account: theAccount("alice")}, nil
}

func (b *backend) origins() []ledger.Meta {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.all)
}

func (b *backend) ExecuteBatch(ctx context.Context, commands []ledger.Command, _ bool) []engine.Answer {
	answers := make([]engine.Answer, len(commands))
	for i, c := range commands {
		answers[i].Result, answers[i].Err = b.Execute(ctx, c)
	}
	return answers
}

func (b *backend) AbortBatch(ctx context.Context, commands []ledger.Command) []engine.Answer {
	return b.ExecuteBatch(ctx, commands, true)
}

func (b *backend) Account(_ context.Context, id string, _ int64) (account.State, error) {
	return theAccount(id), nil
}

// search counts a look-up that finds nothing.
func search[T any](b *backend) (none T, err error) {
	b.searched.Add(1)
	return none, nil
}

func (b *backend) Accounts(context.Context, projector.AccountsQuery) (projector.AccountsPage, error) {
	return search[projector.AccountsPage](b)
}

func (b *backend) Transaction(context.Context, string) (transaction.State, error) {
	return search[transaction.State](b)
}

func (b *backend) TransactionRecord(context.Context, string) (projector.TransactionRecord, error) {
	return search[projector.TransactionRecord](b)
}

func (b *backend) Transactions(context.Context, projector.TransactionsQuery) (projector.TransactionsPage, error) {
	return search[projector.TransactionsPage](b)
}

func (b *backend) TransactionTrail(context.Context, string) ([]projector.EventRecord, error) {
	return search[[]projector.EventRecord](b)
}

func (b *backend) Hold(context.Context, string) (account.Hold, error) {
	return search[account.Hold](b)
}

func (b *backend) Holds(context.Context, projector.HoldsQuery) (projector.HoldsPage, error) {
	return search[projector.HoldsPage](b)
}

func (b *backend) BalanceAt(context.Context, string, time.Time) (decimal.NullDecimal, error) {
	return search[decimal.NullDecimal](b)
}

func (b *backend) Changes(context.Context, projector.ChangesQuery) (projector.ChangesPage, error) {
	return search[projector.ChangesPage](b)
}

func (b *backend) Statement(context.Context, string, time.Time, time.Time) (projector.Statement, error) {
	return search[projector.Statement](b)
}

func (b *backend) Explain(context.Context, string, time.Time, time.Time) (projector.Explanation, error) {
	return search[projector.Explanation](b)
}

func (b *backend) ChangesBehind(context.Context, projector.ChangesQuery, []projector.ExplanationGroup) ([]projector.ChangesPage, error) {
	return search[[]projector.ChangesPage](b)
}

func (b *backend) Events(context.Context, string, int64, int) (projector.EventsPage, error) {
	return search[projector.EventsPage](b)
}

func (b *backend) TrialBalance(context.Context, time.Time) (projector.TrialBalance, error) {
	return search[projector.TrialBalance](b)
}

func (b *backend) Unfinished(context.Context) ([]projector.Unfinished, error) {
	return search[[]projector.Unfinished](b)
}

var now = time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)

func theAccount(id string) account.State {
	return account.State{
		ID: id, OwnerID: "owner", Type: account.User, Currency: "EUR", Status: account.Active, Version: 1,
		CreatedAt: now.Add(-time.Hour), UpdatedAt: now,
	}
}

// root replaces the resolvers that need a live feed, and two queries that misbehave on purpose.
type root struct {
	*resolvers.Resolver
	feeds *feeds
}

func (r root) Subscription() graph.SubscriptionResolver { return r.feeds }

func (r root) Query() graph.QueryResolver { return query{r.Resolver.Query(), r.feeds} }

type query struct {
	graph.QueryResolver
	feeds *feeds
}

// Account panics or waits when its id says so.
func (q query) Account(ctx context.Context, id string, atLeast *int64) (*model.Account, error) {
	switch id {
	case "panic":
		panic("as asked")
	case "wait":
		q.feeds.waiting.Add(1)
		defer q.feeds.waiting.Add(-1)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-q.feeds.proceed:
		}
	}
	return q.QueryResolver.Account(ctx, id, atLeast)
}

// feeds give each subscriber to an account what the test sends.
type feeds struct {
	running atomic.Int64
	waiting atomic.Int64
	proceed chan struct{}

	mu       sync.Mutex
	channels map[string][]chan *model.BalanceChanged
	kept     []any // what the latest subscription holds of its client's JSON beyond its operation
}

func (f *feeds) BalanceChanged(ctx context.Context, accountID string, _ *int64) (<-chan *model.BalanceChanged, error) {
	in, out := make(chan *model.BalanceChanged), make(chan *model.BalanceChanged)
	f.mu.Lock()
	f.channels[accountID] = append(f.channels[accountID], in)
	f.kept = nil
	for _, all := range []map[string]any{transport.GetInitPayload(ctx), graphql.GetOperationContext(ctx).Extensions} {
		for _, value := range all {
			f.kept = append(f.kept, value)
		}
	}
	f.mu.Unlock()
	f.running.Add(1)
	go func() {
		defer f.running.Add(-1)
		defer close(out)
		for {
			select {
			case change, more := <-in:
				if !more {
					return
				}
				select {
				case out <- change:
				case <-ctx.Done():
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return out, nil
}

func (f *feeds) TransactionUpdated(context.Context, string) (<-chan *model.Transaction, error) {
	return nil, errors.New("a secret of the inside")
}

func (f *feeds) of(accountID string) []chan *model.BalanceChanged {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.channels[accountID]
}

// send gives a change to the latest subscriber of the account.
func (f *feeds) send(t *testing.T, accountID string, version int64) {
	t.Helper()
	all := f.of(accountID)
	select {
	case all[len(all)-1] <- &model.BalanceChanged{AccountID: accountID, Version: version, Timestamp: now}:
	case <-time.After(patience):
		t.Fatal("nobody takes the change")
	}
}

// site is a server under test with what stands behind it.
type site struct {
	*Server
	backend *backend
	feeds   *feeds
	address string
	stop    context.CancelFunc
	ended   chan error
}

func start(t *testing.T, change ...func(*Config)) *site {
	t.Helper()
	s := &site{
		backend: &backend{}, ended: make(chan error, 1),
		feeds: &feeds{channels: map[string][]chan *model.BalanceChanged{}, proceed: make(chan struct{})},
	}
	c := config(s.backend)
	for _, change := range change {
		change(&c)
	}
	s.Server = newServer(c, root{c.Resolver, s.feeds})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = listener.Addr().String()
	var ctx context.Context
	ctx, s.stop = context.WithCancel(context.Background())
	front := Listen(listener, c.Limits, nil, c.Logger)
	go func() { s.ended <- s.Serve(ctx, front) }()
	t.Cleanup(func() {
		s.stop()
		select {
		case err := <-s.ended:
			if err != nil {
				t.Errorf("serving: %v", err)
			}
		case <-time.After(patience):
			t.Error("the server did not end")
		}
		eventually(t, "no subscription outlives the server", func() bool { return s.feeds.running.Load() == 0 })
	})
	return s
}

func config(b *backend) Config {
	return Config{
		Resolver: &resolvers.Resolver{
			Commands: b, Reads: b, Now: func() time.Time { return now }, NewID: ids.New, Logger: testenv.Logger(),
		},
		Console: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "console") }),
		Health:  func(context.Context) Health { return nil }, Logger: testenv.Logger(), Limits: DefaultLimits(),
	}
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	testenv.Eventually(t, func() error {
		if holds() {
			return nil
		}
		return errors.New(what)
	})
}

var _ graph.ResolverRoot = root{}
