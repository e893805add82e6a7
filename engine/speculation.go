package engine

import (
	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/engine/store"
	"daybook/eventstore"
)

// maxCachedAccounts bounds the account states an owner keeps in memory; the rest is read from the store.
const maxCachedAccounts = 50_000

// speculation is the state events are folded into: what the store holds, with the batches that are not stored yet on
// top. It is thrown away whole when anything goes wrong.
type speculation struct {
	store     *store.Store
	partition int32
	accounts  map[string]*cachedAccount
	outcomes  map[store.OutcomeKey]ledger.Outcome
	legs      map[store.LegKey]ledger.Leg
	holds     map[string]overlaid[account.Hold]
	receipts  map[string]overlaid[account.Receipt]
	// undo, while an atomic group is decided, is how each of its changes is taken back.
	undo []func()
	// undoable tells that undo is kept.
	undoable bool
}

type cachedAccount struct {
	state account.State
	// batch is the number of the last batch that changed the state; it stays in memory until that one is stored.
	batch uint64
}

// overlaid is a value that a batch changed, by its number.
type overlaid[T any] struct {
	value T
	batch uint64
}

func newSpeculation(s *store.Store, partition int32) *speculation {
	return &speculation{
		store: s, partition: partition,
		accounts: map[string]*cachedAccount{}, outcomes: map[store.OutcomeKey]ledger.Outcome{}, legs: map[store.LegKey]ledger.Leg{},
		holds: map[string]overlaid[account.Hold]{}, receipts: map[string]overlaid[account.Receipt]{},
	}
}

func (s *speculation) cached(id string) (*cachedAccount, error) {
	if a, ok := s.accounts[id]; ok {
		return a, nil
	}
	state, err := s.store.Account(s.partition, id)
	if err != nil {
		return nil, err
	}
	a := &cachedAccount{state: state}
	a.state.ID = id
	s.accounts[id] = a
	return a, nil
}

// Account implements ledger.Books.
func (s *speculation) Account(id string) (account.State, error) {
	a, err := s.cached(id)
	if err != nil {
		return account.State{}, err
	}
	return a.state, nil
}

// Outcome implements ledger.Books.
func (s *speculation) Outcome(accountID, idempotencyKey string) (ledger.Outcome, bool, error) {
	k := store.OutcomeKey{AccountID: accountID, Key: idempotencyKey}
	if len(s.outcomes) > 0 {
		if o, ok := s.outcomes[k]; ok {
			return o, true, nil
		}
	}
	return s.store.Outcome(s.partition, k)
}

// Leg implements ledger.Books.
func (s *speculation) Leg(accountID, transactionID string, kind ledger.LegKind) (ledger.Leg, bool, error) {
	k := store.LegKey{AccountID: accountID, TransactionID: transactionID, Kind: kind}
	if leg, ok := s.legs[k]; ok {
		return leg, true, nil
	}
	return s.store.Leg(s.partition, k)
}

// Hold implements ledger.Books.
func (s *speculation) Hold(id string) (account.Hold, error) {
	if o, ok := s.holds[id]; ok {
		return o.value, nil
	}
	return s.store.Hold(s.partition, id)
}

// Receipt implements ledger.Books.
func (s *speculation) Receipt(paymentID string) (account.Receipt, error) {
	if o, ok := s.receipts[paymentID]; ok {
		return o.value, nil
	}
	return s.store.Receipt(s.partition, paymentID)
}

// fold folds an event into the speculative state, and notes in the batch what it changes.
func (s *speculation) fold(b *batch, e *eventstore.Event) error {
	target, err := s.cached(e.AggregateID)
	if err != nil {
		return ledger.BooksError{Err: err}
	}
	after := target.state.Apply(e.AggregateID, e.Data.(account.Event), e.Timestamp)
	m, err := ledger.Remember(s, e, &after)
	if err != nil {
		return err
	}
	if s.undoable {
		s.keepForUndo(b, target, e, &m)
	}
	target.state, target.batch = after, b.number
	b.touched[e.AggregateID] = target
	if m.Outcome != nil {
		k := store.OutcomeKey{AccountID: e.AggregateID, Key: e.IdempotencyKey}
		s.outcomes[k] = *m.Outcome
		b.outcomes = append(b.outcomes, k)
	}
	if m.TransactionID != "" {
		k := store.LegKey{AccountID: e.AggregateID, TransactionID: m.TransactionID, Kind: m.Kind}
		s.legs[k] = m.Leg
		b.legs = append(b.legs, k)
	}
	if m.Hold != nil {
		s.holds[m.Hold.ID] = overlaid[account.Hold]{*m.Hold, b.number}
		b.holds = append(b.holds, m.Hold.ID)
	}
	if m.Receipt != nil {
		s.receipts[m.Receipt.ID] = overlaid[account.Receipt]{*m.Receipt, b.number}
		b.receipts = append(b.receipts, m.Receipt.ID)
	}
	return nil
}

// keepForUndo notes how to take back what an event changes.
func (s *speculation) keepForUndo(b *batch, target *cachedAccount, e *eventstore.Event, m *ledger.Memory) {
	before, id := *target, e.AggregateID
	_, touched := b.touched[id]
	s.undo = append(s.undo, func() {
		*target = before
		if !touched {
			delete(b.touched, id)
		}
	})
	if m.Outcome != nil {
		k := store.OutcomeKey{AccountID: id, Key: e.IdempotencyKey}
		s.undo = append(s.undo, func() { delete(s.outcomes, k) })
	}
	if m.TransactionID != "" {
		k := store.LegKey{AccountID: id, TransactionID: m.TransactionID, Kind: m.Kind}
		s.undo = append(s.undo, func() { delete(s.legs, k) })
	}
	if m.Hold != nil {
		s.undo = append(s.undo, restore(s.holds, m.Hold.ID))
	}
	if m.Receipt != nil {
		s.undo = append(s.undo, restore(s.receipts, m.Receipt.ID))
	}
}

// restore returns what gives a map's entry back the value it has now.
func restore[V any](m map[string]V, key string) func() {
	before, ok := m[key]
	return func() {
		if ok {
			m[key] = before
		} else {
			delete(m, key)
		}
	}
}

// try begins to note how to take back what is folded; the returned function ends it, and takes it back if asked to.
func (s *speculation) try() func(undo bool) {
	s.undoable = true
	return func(undo bool) {
		for i := len(s.undo) - 1; undo && i >= 0; i-- {
			s.undo[i]()
		}
		s.undo, s.undoable = nil, false
	}
}

// put lays down in the batch's stored changes what it changed.
func (s *speculation) put(b *batch) {
	for _, target := range b.touched {
		b.stored.PutAccount(&target.state)
	}
	for _, k := range b.outcomes {
		o := s.outcomes[k]
		b.stored.PutOutcome(k, &o)
	}
	for _, k := range b.legs {
		b.stored.PutLeg(k, s.legs[k])
	}
	for _, id := range b.holds {
		b.stored.PutHold(s.holds[id].value)
	}
	for _, id := range b.receipts {
		b.stored.PutReceipt(s.receipts[id].value)
	}
}

// settle forgets what a stored batch had laid on top, and keeps the cache within its bound.
func (s *speculation) settle(b *batch) {
	for _, k := range b.outcomes {
		delete(s.outcomes, k)
	}
	for _, k := range b.legs {
		delete(s.legs, k)
	}
	for _, id := range b.holds {
		if s.holds[id].batch == b.number {
			delete(s.holds, id)
		}
	}
	for _, id := range b.receipts {
		if s.receipts[id].batch == b.number {
			delete(s.receipts, id)
		}
	}
	if len(s.accounts) <= maxCachedAccounts {
		return
	}
	excess := len(s.accounts) - maxCachedAccounts/2
	for id, a := range s.accounts {
		if excess == 0 {
			return
		}
		if a.batch <= b.number {
			delete(s.accounts, id)
			excess--
		}
	}
}
