package engine

import (
	"daybook/domain/account"
	"daybook/engine/store"
)

// maxCachedAccounts bounds the account states an owner keeps in memory; the rest is read from the store.
const maxCachedAccounts = 50_000

// speculation is the state an owner decides on: what the store holds, with the batches that are on their way on top.
// It is thrown away whole when anything goes wrong.
type speculation struct {
	store     *store.Store
	partition int32
	accounts  map[string]*cachedAccount
	outcomes  map[string]store.Outcome
	legs      map[string]store.Leg
}

type cachedAccount struct {
	state account.State
	// batch is the number of the last batch that changed the state; it stays in memory until that one is stored.
	batch uint64
}

func newSpeculation(s *store.Store, partition int32) *speculation {
	return &speculation{
		store: s, partition: partition,
		accounts: map[string]*cachedAccount{}, outcomes: map[string]store.Outcome{}, legs: map[string]store.Leg{},
	}
}

func outcomeKey(accountID, key string) string { return accountID + "\x00" + key }

func legKey(accountID, transactionID string, kind store.LegKind) string {
	return accountID + "\x00" + transactionID + string(rune(kind))
}

func (s *speculation) account(id string) (*cachedAccount, error) {
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

func (s *speculation) outcome(accountID, key string) (store.Outcome, bool, error) {
	if len(s.outcomes) > 0 {
		if o, ok := s.outcomes[outcomeKey(accountID, key)]; ok {
			return o, true, nil
		}
	}
	return s.store.Outcome(s.partition, accountID, key)
}

func (s *speculation) leg(accountID, transactionID string, kind store.LegKind) (bool, error) {
	if _, ok := s.legs[legKey(accountID, transactionID, kind)]; ok {
		return true, nil
	}
	_, ok, err := s.store.Leg(s.partition, accountID, transactionID, kind)
	return ok, err
}

// settle forgets what a stored batch had laid on top, and keeps the cache within its bound.
func (s *speculation) settle(b *batch) {
	for _, k := range b.outcomeKeys {
		delete(s.outcomes, k)
	}
	for _, k := range b.legKeys {
		delete(s.legs, k)
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
