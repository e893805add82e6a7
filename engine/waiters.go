package engine

import (
	"slices"
	"sync"
	"sync/atomic"

	"daybook/engine/ledger"
	"daybook/eventstore"
)

// waiters are the callers who wait for a transaction's other side, by transaction id.
type waiters struct {
	count atomic.Int64
	mu    sync.Mutex
	byID  map[string][]chan struct{}
}

// register returns a channel that receives once for each leg recorded, and a function to end the registration.
func (w *waiters) register(transactionID string) (<-chan struct{}, func()) {
	ch := make(chan struct{}, 4)
	w.mu.Lock()
	if w.byID == nil {
		w.byID = map[string][]chan struct{}{}
	}
	w.byID[transactionID] = append(w.byID[transactionID], ch)
	w.mu.Unlock()
	w.count.Add(1)
	return ch, func() {
		w.count.Add(-1)
		w.mu.Lock()
		defer w.mu.Unlock()
		rest := slices.DeleteFunc(w.byID[transactionID], func(other chan struct{}) bool { return other == ch })
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
		id, _, _ := ledger.LegOf(events[i].Data)
		if id == "" {
			continue
		}
		w.mu.Lock()
		for _, ch := range w.byID[id] {
			select {
			case ch <- struct{}{}:
			default:
			}
		}
		w.mu.Unlock()
	}
}
