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

// cachedAccounts bounds how many accounts' states a lane keeps: twice as many.
const cachedAccounts = 1 << 15

// fold makes the rows of a run of events. It is thrown away after any error: what it knows must be what is written.
type fold struct {
	model     *ReadModel
	topic     string
	partition int32
	// recent and older hold states; what is not used while recent fills up is forgotten with older.
	recent, older map[string]*account.State
}

func newFold(m *ReadModel, topic string, partition int32) *fold {
	return &fold{model: m, topic: topic, partition: partition, recent: map[string]*account.State{}}
}

// batch folds the events between two positions.
func (f *fold) batch(ctx context.Context, events []eventstore.Recorded, from, next int64) (*batch, error) {
	b := &batch{topic: f.topic, partition: f.partition, from: from, next: next}
	if f.topic == eventstore.TransactionEvents {
		b.transactions = f.transactions(events)
		return b, nil
	}
	states, err := f.load(ctx, events)
	if err != nil {
		return nil, err
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
	}
	b.accounts = make(accountRows, 0, len(states))
	for _, s := range states {
		if s.Version > 0 {
			b.accounts = append(b.accounts, newAccountRow(s, f.partition))
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

// load returns the state of every account that the events are about, from memory or by one query.
func (f *fold) load(ctx context.Context, events []eventstore.Recorded) (map[string]*account.State, error) {
	states := make(map[string]*account.State, 256)
	var missing []string
	for i := range events {
		id := events[i].AggregateID
		if _, ok := states[id]; ok {
			continue
		}
		s := f.cached(id)
		if s == nil {
			id = strings.Clone(id)
			s = &account.State{ID: id}
			missing = append(missing, id)
			f.remember(s)
		}
		states[s.ID] = s
	}
	if len(missing) == 0 {
		return states, nil
	}
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
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

func (f *fold) cached(id string) *account.State {
	s, ok := f.recent[id]
	if !ok {
		if s, ok = f.older[id]; ok {
			f.remember(s)
		}
	}
	return s
}

func (f *fold) remember(s *account.State) {
	if len(f.recent) >= cachedAccounts {
		f.older, f.recent = f.recent, make(map[string]*account.State, cachedAccounts)
	}
	f.recent[s.ID] = s
}

// transactions folds what the events say of each transaction. What the database knows of one already it merges by
// itself: a repeated or older event changes nothing there.
func (f *fold) transactions(events []eventstore.Recorded) transactionRows {
	order := make([]string, 0, len(events))
	states := make(map[string]transaction.State, len(events))
	for i := range events {
		e := &events[i]
		s, ok := states[e.AggregateID]
		if !ok {
			order = append(order, e.AggregateID)
		}
		states[e.AggregateID] = s.Apply(e.AggregateID, e.Data.(*transaction.Event), e.Timestamp)
	}
	rows := make(transactionRows, 0, len(order))
	for _, id := range order {
		s := states[id]
		rows = append(rows, newTransactionRow(&s, f.partition))
	}
	return rows
}
