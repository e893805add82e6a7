package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/engine"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
)

// accounts is over how many accounts a load is spread.
const accounts = 1000

// sampleEvent is one top-up's event, as the engine writes it.
func sampleEvent() (eventstore.Message, error) {
	return eventstore.Encode(&eventstore.Event{
		ID: ids.New(), AggregateID: "bench-0-123", Version: 1234, Timestamp: time.Now(), CorrelationID: ids.New(), CausationID: ids.New(),
		IdempotencyKey: "12345-67",
		Data: &account.BalanceChanged{
			PreviousBalance: decimal.New(123400, -2), NewBalance: decimal.New(123500, -2), ChangeAmount: decimal.New(100, -2),
			ChangeType: account.Credit, Reason: "bench", TransactionID: ids.New(), Currency: "EUR",
			TransactionType: account.Topup, CounterpartyID: "external:bench:EUR",
		},
	})
}

// Raw measures fenced idempotent batches of the bytes a top-up has, with nothing around them.
func Raw(ctx context.Context, client *kafka.Client, partitions int32, callers int, d time.Duration) (Result, error) {
	sample, err := sampleEvent()
	if err != nil {
		return Result{}, err
	}
	var result Result
	err = client.WithScratchTopic("daybook.bench", partitions, func(topic string) error {
		g, err := newRawGroup(ctx, client, topic, partitions, sample)
		if err != nil {
			return err
		}
		defer g.close()
		result, err = load(ctx, callers, d, func(ctx context.Context, caller, n int) error {
			return g.write(ctx, int32(caller+n)%partitions)
		})
		return err
	})
	return result, err
}

// Engine measures top-ups through the engine, each waiting for its answer.
func Engine(ctx context.Context, client *kafka.Client, partitions int32, stateDir string, callers int, d time.Duration) (Result, error) {
	s, err := store.Open(stateDir, slog.New(slog.NewTextHandler(io.Discard, nil)))
	if err != nil {
		return Result{}, err
	}
	defer s.Close() //nolint:errcheck // A benchmark's state is thrown away.
	e := engine.New(engine.Config{
		Partitions: partitions, Clock: time.Now, NewID: ids.New,
		Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
	}, client, s)
	all := make([]int32, partitions)
	for p := range all {
		all[p] = int32(p)
	}
	e.Assign(all)
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(run) }()
	result, err := topUps(ctx, e, callers, d)
	stop()
	return result, errors.Join(err, <-ended)
}

func topUps(ctx context.Context, e *engine.Engine, callers int, d time.Duration) (Result, error) {
	run := ids.New()[24:]
	for i := range accounts {
		_, err := e.Execute(ctx, &engine.CreateAccount{
			Meta: engine.Meta{IdempotencyKey: "create"}, ID: fmt.Sprintf("bench-%s-%d", run, i), OwnerID: "bench",
			Type: account.User, Currency: "EUR",
		})
		if err != nil {
			return Result{}, err
		}
	}
	amount := decimal.New(100, -2)
	return load(ctx, callers, d, func(ctx context.Context, caller, n int) error {
		_, err := e.Execute(ctx, &engine.TopUp{
			Meta:      engine.Meta{IdempotencyKey: strconv.Itoa(n) + "-" + strconv.Itoa(caller)},
			AccountID: "bench-" + run + "-" + strconv.Itoa((caller*7919+n)%accounts), Amount: amount, Currency: "EUR",
			External: "bench", Reason: "bench",
		})
		return err
	})
}
