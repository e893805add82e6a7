package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// waiters are the callers who wait for a transaction's other side, by transaction id.
type waiters struct {
	count atomic.Int64
	mu    sync.Mutex
	byID  map[string][]chan recordedLeg
}

// recordedLeg is news of a transaction.
type recordedLeg struct {
	kind ledger.LegKind
	leg  ledger.Leg
}

// register returns a channel that receives each leg as it is recorded, and a function to end the registration.
func (w *waiters) register(transactionID string) (<-chan recordedLeg, func()) {
	ch := make(chan recordedLeg, 4)
	w.mu.Lock()
	if w.byID == nil {
		w.byID = map[string][]chan recordedLeg{}
	}
	w.byID[transactionID] = append(w.byID[transactionID], ch)
	w.mu.Unlock()
	w.count.Add(1)
	return ch, func() {
		w.count.Add(-1)
		w.mu.Lock()
		defer w.mu.Unlock()
		rest := slices.DeleteFunc(w.byID[transactionID], func(other chan recordedLeg) bool { return other == ch })
		if len(rest) == 0 {
			delete(w.byID, transactionID)
		} else {
			w.byID[transactionID] = rest
		}
	}
}

// notify wakes those who wait for what the events settle. It costs nothing when nobody waits.
func (w *waiters) notify(events []eventstore.Recorded) {
	if w.count.Load() == 0 {
		return
	}
	for i := range events {
		id, kind, leg := ledger.LegOf(events[i].Data)
		if id == "" {
			continue
		}
		if back, ok := events[i].Data.(*account.BalanceChanged); ok && back.Reversal {
			leg.RefusalCode = string(back.RefusalCode)
		}
		w.mu.Lock()
		for _, ch := range w.byID[id] {
			select {
			case ch <- recordedLeg{kind, leg}:
			default:
			}
		}
		w.mu.Unlock()
	}
}

// apply brings a transaction's status up to date. The legs of two partitions come in any order: a reversal may come before
// the refusal that it answers, and tells the reason itself.
func (l recordedLeg) apply(tx *transaction.State) {
	switch {
	case l.kind == ledger.LegReversal:
		tx.Status, tx.FailureCode = transaction.Compensated, domain.Code(l.leg.RefusalCode)
	case l.leg.RefusalCode == "":
		tx.Status = transaction.Completed
	case tx.Status == transaction.Pending:
		tx.Status, tx.FailureCode = transaction.Failed, domain.Code(l.leg.RefusalCode)
	}
}
