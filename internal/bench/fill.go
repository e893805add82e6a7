package bench

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
)

// fillBatch is how many events one batch of the log has, as of an engine under load.
const fillBatch = 500

// fill writes accounts and then top-ups and transfers of random ones, as events of accounts alone. More can be written after it.
func fill(ctx context.Context, client *kafka.Client, partitions int32, accounts, events int) (*filler, error) {
	f, err := newFiller(ctx, client, partitions, accounts, false)
	if err == nil {
		err = f.events(ctx, events-accounts)
	}
	return f, err
}

// events writes so many events of top-ups and transfers between random accounts.
func (f *filler) events(ctx context.Context, events int) error {
	for n := 0; n < events; {
		from, to := f.accounts.pair()
		moved, err := f.transfer(ctx, from, to)
		if err != nil {
			return err
		}
		if moved {
			n += 2
			continue
		}
		if err := f.topUp(ctx, from, decimal.New(rand.Int64N(10_000)+1, -2)); err != nil {
			return err
		}
		n++
	}
	return f.flush(ctx, 1)
}

// fillTransfers writes accounts, money for them and then transfers between random ones, with their transactions.
func fillTransfers(ctx context.Context, client *kafka.Client, partitions int32, transfers int) error {
	f, err := newFiller(ctx, client, partitions, accounts, true)
	if err != nil {
		return err
	}
	for i := range f.accounts.ids {
		if err := f.topUp(ctx, i, opening); err != nil {
			return err
		}
	}
	for n := 0; n < transfers; {
		from, to := f.accounts.pair()
		moved, err := f.transfer(ctx, from, to)
		if err != nil {
			return err
		}
		if moved {
			n++
		}
	}
	return f.flush(ctx, 1)
}

// filler writes the events that an engine would, in batches to each partition, without one.
type filler struct {
	client       *kafka.Client
	accounts     *accountSet
	states       map[string]account.State
	waiting      map[lane][]eventstore.Message
	transactions bool
}

func newFiller(ctx context.Context, client *kafka.Client, partitions int32, accounts int, transactions bool) (*filler, error) {
	f := &filler{
		client: client, accounts: newAccounts(partitions, accounts), states: map[string]account.State{}, waiting: map[lane][]eventstore.Message{},
		transactions: transactions,
	}
	for _, id := range f.accounts.ids {
		if err := f.record(ctx, id, ids.New(), &account.Created{OwnerID: "bench", Type: account.User, Currency: "EUR"}); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// transfer moves a random amount; false when there is too little.
func (f *filler) transfer(ctx context.Context, from, to int) (moved bool, err error) {
	source, destination := f.accounts.ids[from], f.accounts.ids[to]
	m := account.Movement{
		Amount: decimal.New(rand.Int64N(10_000)+1, -2), Currency: "EUR", TransactionID: ids.New(), TransactionType: account.Transfer,
		CounterpartyID: destination, Reason: "Rent for December",
	}
	debit, err := account.DecideDebit(f.states[source], m)
	if err != nil {
		return false, nil
	}
	correlation := ids.New()
	if err := f.record(ctx, source, correlation, debit); err != nil {
		return false, err
	}
	m.CounterpartyID = source
	credit, err := account.DecideCredit(f.states[destination], m)
	if err != nil {
		return false, err
	}
	return true, f.record(ctx, destination, correlation, credit)
}

func (f *filler) topUp(ctx context.Context, to int, amount decimal.Decimal) error {
	id := f.accounts.ids[to]
	credit, err := account.DecideCredit(f.states[id], account.Movement{
		Amount: amount, Currency: "EUR", TransactionID: ids.New(), TransactionType: account.Topup,
		CounterpartyID: "external:bench:EUR", Reason: "Rent for December",
	})
	if err != nil {
		return err
	}
	return f.record(ctx, id, ids.New(), credit)
}

// record adds an account's event and, if they are wanted, those of its transaction that follow from it.
func (f *filler) record(ctx context.Context, id, correlation string, data account.Event) error {
	now := time.Now().Truncate(time.Millisecond)
	s := f.states[id]
	f.states[id] = s.Apply(id, data, now)
	cause := eventstore.Event{
		ID: ids.New(), AggregateID: id, Version: s.Version + 1, Timestamp: now, CorrelationID: correlation, CausationID: ids.New(),
		Metadata: eventstore.Metadata{ActorID: "user_123", ActorType: "api"}, Data: data,
	}
	change, moves := data.(*account.BalanceChanged)
	if !moves || change.ChangeType == account.Debit || change.TransactionType == account.Topup {
		cause.IdempotencyKey = ids.New()
		binary.BigEndian.PutUint64(cause.Fingerprint[:], rand.Uint64())
		binary.BigEndian.PutUint64(cause.Fingerprint[8:], rand.Uint64())
	}
	if err := f.add(eventstore.AccountEvents, &cause); err != nil {
		return err
	}
	if moves && f.transactions {
		derived, _ := transaction.React(id, change, false)
		for i := range derived {
			err := f.add(eventstore.TransactionEvents, &eventstore.Event{
				ID: ids.New(), AggregateID: change.TransactionID, Version: derived[i].Version(), Timestamp: now, CorrelationID: correlation,
				CausationID: cause.ID, Metadata: cause.Metadata, Data: &derived[i],
			})
			if err != nil {
				return err
			}
		}
	}
	return f.flush(ctx, fillBatch)
}

func (f *filler) add(topic string, e *eventstore.Event) error {
	to := lane{topic, eventstore.PartitionOf(e.AggregateID, f.accounts.partitions)}
	if topic == eventstore.AccountEvents && len(f.waiting[to]) == 0 {
		e.Progress = &eventstore.Progress{Partitions: f.accounts.partitions}
	}
	m, err := eventstore.Encode(e)
	if err != nil {
		return err
	}
	f.waiting[to] = append(f.waiting[to], m)
	return nil
}

// flush writes what waits for the partitions that have at least so much.
func (f *filler) flush(ctx context.Context, least int) error {
	for to, messages := range f.waiting {
		if len(messages) < least {
			continue
		}
		appender := f.client.OpenAppender(to.topic, to.partition)
		err := appender.Append(ctx, messages)
		_ = appender.Close()
		if err != nil {
			return err
		}
		f.waiting[to] = nil
	}
	return nil
}
