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
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
)

// accounts is over how many accounts a load is spread.
const accounts = 1000

// sampleCommand is what a top-up comes to in the log, as the engine writes it: the account's event and, unless they are
// left out, the two of its transaction.
func sampleCommand(transactions bool) ([]eventstore.Message, error) {
	change := &account.BalanceChanged{
		PreviousBalance: decimal.New(123400, -2), NewBalance: decimal.New(123500, -2), ChangeAmount: decimal.New(100, -2),
		ChangeType: account.Credit, Reason: "bench", TransactionID: ids.New(), Currency: "EUR",
		TransactionType: account.Topup, CounterpartyID: "external:bench:EUR",
	}
	events := []eventstore.Event{{
		ID: ids.New(), AggregateID: "bench-0123456789ab-123", Version: 1234, Timestamp: time.Now(), CorrelationID: ids.New(),
		CausationID: ids.New(), IdempotencyKey: "12345-67", Data: change,
	}}
	if transactions {
		derived, _ := transaction.React(events[0].AggregateID, change, true)
		for i := range derived {
			events = append(events, eventstore.Event{
				ID: ids.New(), AggregateID: change.TransactionID, Version: derived[i].Version(), Timestamp: events[0].Timestamp,
				CorrelationID: events[0].CorrelationID, CausationID: events[0].ID, Data: &derived[i],
			})
		}
	}
	messages := make([]eventstore.Message, len(events))
	for i := range events {
		var err error
		if messages[i], err = eventstore.Encode(&events[i]); err != nil {
			return nil, err
		}
	}
	return messages, nil
}

// Raw measures fenced idempotent batches of the bytes that a top-up comes to, with nothing around them: all of them, or
// without those of its transaction, which the engine writes after it has answered.
func Raw(ctx context.Context, client *kafka.Client, partitions int32, transactions bool, callers int, d time.Duration) (Result, error) {
	command, err := sampleCommand(transactions)
	if err != nil {
		return Result{}, err
	}
	var result Result
	err = client.WithScratchTopic("daybook.bench", partitions, func(topic string) error {
		g, err := newRawGroup(ctx, client, topic, partitions, command)
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
