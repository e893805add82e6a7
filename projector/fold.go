package projector

import (
	"context"
	"strings"

	"github.com/uptrace/bun"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Bounds of how many states of accounts and of holds a lane keeps: twice as many.
const (
	cachedAccounts = 1 << 15
	cachedHolds    = 1 << 13
)

// fold makes the rows of a run of events. It is thrown away after any error: what it knows must be what is written.
type fold struct {
	model     *ReadModel
	topic     string
	partition int32
	accounts  *cache[account.State]
	holds     *cache[holdState]
	// ledger is that of the bucket at the position; nil until it is loaded.
	ledger *bucketSums
}

func newFold(m *ReadModel, topic string, partition int32) *fold {
	return &fold{
		model: m, topic: topic, partition: partition,
		accounts: newCache[account.State](cachedAccounts), holds: newCache[holdState](cachedHolds),
	}
}

// batch folds the events between two positions.
func (f *fold) batch(ctx context.Context, events []eventstore.Recorded, from, next int64) (*batch, error) {
	b := &batch{topic: f.topic, partition: f.partition, from: from, next: next}
	if f.topic == eventstore.TransactionEvents {
		b.transactions = f.transactions(events)
		return b, nil
	}
	bounded, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	states, err := f.loadAccounts(bounded, events)
	if err != nil {
		return nil, err
	}
	holds, err := f.loadHolds(bounded, events)
	if err != nil {
		return nil, err
	}
	if f.ledger == nil {
		f.ledger = newBucketSums(f.partition)
		if err := f.ledger.load(bounded, f.model.db.read, from/ledgerBucket); err != nil {
			return nil, err
		}
	}
	b.events = make(eventRows, 0, len(events))
	for i := range events {
		e := &events[i]
		s := states[e.AggregateID]
		if e.Version <= s.Version {
			continue // A repeat: recorded already.
		}
		apply(s, e)
		b.events = append(b.events, newEventRow(e, s))
		data := e.Data.(account.Event)
		if id := account.HoldOf(data); id != "" {
			holds[id].apply(e)
		}
		if change, ok := data.(*account.BalanceChanged); ok {
			b.ledger = f.ledger.post(e, s.Type, change, b.ledger)
		}
	}
	b.ledger = f.ledger.changed(b.ledger)
	b.accounts = make(accountRows, 0, len(states))
	for _, s := range states {
		if s.Version > 0 {
			b.accounts = append(b.accounts, newAccountRow(s, f.partition))
		}
	}
	for id, s := range holds {
		if s.Exists() {
			b.holds = append(b.holds, newHoldRow(s, f.partition))
		}
		if s.Status != account.HoldActive {
			f.holds.drop(id) // Nothing more happens to it.
		}
	}
	return b, nil
}

// apply folds an event into a state that is kept for long: it must not hold on to the event's memory.
func apply(s *account.State, e *eventstore.Recorded) {
	*s = s.Apply(s.ID, e.Data.(account.Event), e.Timestamp)
	s.Version = e.Version
	if _, ok := e.Data.(*account.BalanceChanged); !ok {
		s.OwnerID, s.Type = strings.Clone(s.OwnerID), account.Type(strings.Clone(string(s.Type)))
		s.Currency, s.Status = money.Currency(strings.Clone(string(s.Currency))), account.Status(strings.Clone(string(s.Status)))
	}
}

// loadAccounts returns the state of every account that the events are about, from memory or by one query.
func (f *fold) loadAccounts(ctx context.Context, events []eventstore.Recorded) (map[string]*account.State, error) {
	states := make(map[string]*account.State, 256)
	var missing []string
	for i := range events {
		id := events[i].AggregateID
		if _, ok := states[id]; ok {
			continue
		}
		s := f.accounts.get(id)
		if s == nil {
			id = strings.Clone(id)
			s = &account.State{ID: id}
			missing = append(missing, id)
			f.accounts.put(id, s)
		}
		states[s.ID] = s
	}
	if len(missing) == 0 {
		return states, nil
	}
	var rows []accountRow
	if err := f.model.db.read.NewSelect().Model(&rows).Where("id IN (?)", bun.List(missing)).Scan(ctx); err != nil {
		return nil, err
	}
	for i := range rows {
		s, err := rows[i].state()
		if err != nil {
			return nil, err
		}
		*states[s.ID] = s
	}
	return states, nil
}

// loadHolds does the same for holds.
func (f *fold) loadHolds(ctx context.Context, events []eventstore.Recorded) (map[string]*holdState, error) {
	var states map[string]*holdState
	var missing []string
	for i := range events {
		id := account.HoldOf(events[i].Data.(account.Event))
		if id == "" || states[id] != nil {
			continue
		}
		if states == nil {
			states = map[string]*holdState{}
		}
		s := f.holds.get(id)
		if s == nil {
			id = strings.Clone(id)
			s = &holdState{}
			missing = append(missing, id)
			f.holds.put(id, s)
		}
		states[id] = s
	}
	if len(missing) == 0 {
		return states, nil
	}
	var rows []holdRow
	if err := f.model.db.read.NewSelect().Model(&rows).Where("id IN (?)", bun.List(missing)).Scan(ctx); err != nil {
		return nil, err
	}
	for i := range rows {
		s, err := rows[i].state()
		if err != nil {
			return nil, err
		}
		*states[s.ID] = s
	}
	return states, nil
}

// transactions folds what the events say of each transaction. What the database knows of one already it merges by
// itself: a repeated or older event changes nothing there.
func (f *fold) transactions(events []eventstore.Recorded) transactionRows {
	order := make([]string, 0, len(events))
	states := make(map[string]transaction.State, len(events))
	began := make([]*eventstore.Event, 0, len(events))
	for i := range events {
		e := &events[i]
		s, ok := states[e.AggregateID]
		if !ok {
			order, began = append(order, e.AggregateID), append(began, &e.Event)
		}
		states[e.AggregateID] = s.Apply(e.AggregateID, e.Data.(*transaction.Event), e.Timestamp)
	}
	rows := make(transactionRows, 0, len(order))
	for i, id := range order {
		s := states[id]
		rows = append(rows, newTransactionRow(&s, began[i], f.partition))
	}
	return rows
}
