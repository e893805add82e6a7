package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
)

const (
	// accounts is over how many accounts a load is spread.
	accounts = 1000
	// openBatch is how many commands go into one batch while accounts are opened.
	openBatch = 500
)

// opening is what each account is topped up with before transfers: more than a load can take from one.
var opening = decimal.New(1_000_000_000, -2)

// amount is that of every movement that is measured.
var amount = decimal.New(100, -2)

// Engine measures top-ups through the engine, each waiting for its answer.
func Engine(ctx context.Context, client *kafka.Client, partitions int32, stateDir string, callers int, d time.Duration) (Result, error) {
	return onEngine(ctx, client, partitions, stateDir, func(e *engine.Engine, a *accountSet) (Result, error) {
		return Load(ctx, callers, d, func(ctx context.Context, caller, n int) error {
			_, err := e.Execute(ctx, &ledger.TopUp{
				Meta:      ledger.Meta{IdempotencyKey: key(caller, n)},
				AccountID: a.ids[(caller*7919+n)%accounts], Amount: amount, Currency: "EUR", External: "bench", Reason: "bench",
			})
			return err
		})
	})
}

// Transfers measures transfers through the engine between random accounts, each waiting for its answer: one between
// partitions for its other side too.
func Transfers(ctx context.Context, client *kafka.Client, partitions int32, stateDir string, callers int, d time.Duration) (Result, error) {
	return onEngine(ctx, client, partitions, stateDir, func(e *engine.Engine, a *accountSet) (Result, error) {
		result, err := Load(ctx, callers, d, func(ctx context.Context, caller, n int) error {
			_, err := e.Execute(ctx, a.transfer(caller, n))
			return err
		})
		a.count(&result)
		return result, err
	})
}

// Batches measures transfers through the engine, many a batch. PerSecond counts transfers, the latencies are of batches,
// whose transfers between partitions are answered before their other side is written.
func Batches(ctx context.Context, client *kafka.Client, partitions int32, stateDir string, size, callers int, d time.Duration) (Result, error) {
	return onEngine(ctx, client, partitions, stateDir, func(e *engine.Engine, a *accountSet) (Result, error) {
		result, err := Load(ctx, callers, d, func(ctx context.Context, caller, n int) error {
			commands := make([]ledger.Command, size)
			for i := range commands {
				commands[i] = a.transfer(caller, n*size+i)
			}
			return executeAll(ctx, e, commands)
		})
		result.PerSecond *= float64(size)
		a.count(&result)
		return result, err
	})
}

// Completion measures in one load, in which each has an even chance, transfers between partitions until they are
// completed, and transfers within one, which are completed with one commit.
func Completion(ctx context.Context, client *kafka.Client, partitions int32, stateDir string, callers int, d time.Duration) (completed, commit Result, err error) {
	const within, between = 0, 1
	var results []Result
	_, err = onEngine(ctx, client, partitions, stateDir, func(e *engine.Engine, a *accountSet) (Result, error) {
		var err error
		results, err = loadKinds(ctx, callers, d, 2, func(ctx context.Context, caller, n int) (kind int, err error) {
			c := a.transfer(caller, n)
			for kind = rand.IntN(2); a.crosses(c) != (kind == between); {
				c = a.transfer(caller, n)
			}
			result, err := e.Execute(ctx, c)
			if err == nil && result.Transaction.Status != transaction.Completed {
				err = fmt.Errorf("a transfer was answered %s", result.Transaction.Status)
			}
			return kind, err
		})
		return Result{}, err
	})
	if err != nil {
		return Result{}, Result{}, err
	}
	results[between].Crossing = 1
	return results[between], results[within], nil
}

// onEngine lets use have an engine that owns every partition, and accounts with money in them.
func onEngine(ctx context.Context, client *kafka.Client, partitions int32, stateDir string, use func(e *engine.Engine, a *accountSet) (Result, error)) (Result, error) {
	log := slog.New(slog.NewTextHandler(io.Discard, nil))
	s, err := store.Open(stateDir, log)
	if err != nil {
		return Result{}, err
	}
	defer s.Close() //nolint:errcheck // A benchmark's state is thrown away.
	e := engine.New(engine.Config{Partitions: partitions, Clock: time.Now, NewID: ids.New, Logger: log}, client, s)
	all := make([]int32, partitions)
	for p := range all {
		all[p] = int32(p)
	}
	e.Assign(all)
	run, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- e.Run(run) }()
	a := newAccountSet(partitions)
	var result Result
	if err = a.open(ctx, e); err == nil {
		result, err = use(e, a)
	}
	stop()
	return result, errors.Join(err, <-ended)
}

func executeAll(ctx context.Context, e *engine.Engine, commands []ledger.Command) error {
	for _, answer := range e.ExecuteBatch(ctx, commands, false) {
		if answer.Err != nil {
			return answer.Err
		}
	}
	return nil
}

// accountSet is the accounts of one load. It counts the transfers between them.
type accountSet struct {
	partitions int32
	ids        []string
	partition  []int32

	made, crossed atomic.Int64
}

func newAccountSet(partitions int32) *accountSet { return newAccounts(partitions, accounts) }

func newAccounts(partitions int32, accounts int) *accountSet {
	a := &accountSet{partitions: partitions}
	run := ids.New()[24:]
	for i := range accounts {
		id := "bench-" + run + "-" + strconv.Itoa(i)
		a.ids, a.partition = append(a.ids, id), append(a.partition, eventstore.PartitionOf(id, partitions))
	}
	return a
}

// open opens the accounts and tops them up.
func (a *accountSet) open(ctx context.Context, e *engine.Engine) error {
	var commands []ledger.Command
	for i, id := range a.ids {
		commands = append(commands,
			&ledger.CreateAccount{Meta: ledger.Meta{IdempotencyKey: "open"}, ID: id, OwnerID: "bench", Type: account.User, Currency: "EUR"},
			&ledger.TopUp{Meta: ledger.Meta{IdempotencyKey: "fund"}, AccountID: id, Amount: opening, Currency: "EUR", External: "bench"})
		if len(commands) < openBatch && i < len(a.ids)-1 {
			continue
		}
		if err := executeAll(ctx, e, commands); err != nil {
			return fmt.Errorf("opening accounts: %w", err)
		}
		commands = nil
	}
	return nil
}

// pair draws two accounts.
func (a *accountSet) pair() (from, to int) {
	from, to = rand.IntN(len(a.ids)), rand.IntN(len(a.ids)-1)
	if to >= from {
		to++
	}
	a.made.Add(1)
	if a.partition[from] != a.partition[to] {
		a.crossed.Add(1)
	}
	return from, to
}

func (a *accountSet) transfer(caller, n int) *ledger.Transfer {
	from, to := a.pair()
	return &ledger.Transfer{
		Meta: ledger.Meta{IdempotencyKey: key(caller, n)}, FromID: a.ids[from], ToID: a.ids[to], Amount: amount, Currency: "EUR", Reason: "bench",
	}
}

func (a *accountSet) crosses(c *ledger.Transfer) bool {
	return eventstore.PartitionOf(c.FromID, a.partitions) != eventstore.PartitionOf(c.ToID, a.partitions)
}

// count tells of the transfers so far.
func (a *accountSet) count(r *Result) {
	r.Transfers = a.made.Load()
	r.Crossing = float64(a.crossed.Load()) / float64(max(1, r.Transfers))
}

// key is short, as is that of the baseline's transfers.
func key(caller, n int) string { return strconv.Itoa(caller) + "-" + strconv.Itoa(n) }
