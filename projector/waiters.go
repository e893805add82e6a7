package projector

import (
	"sync"

	"daybook/domain"
)

// maxWaiters bounds the queries that wait for a version at the same time.
const maxWaiters = 4096

// waiters are queries that wait for an account to change.
type waiters struct {
	mu        sync.Mutex
	byAccount map[string]map[chan struct{}]struct{}
	count     int
}

// register returns a channel that tells of news of the account, and what ends it. OVERLOADED when too many wait.
func (w *waiters) register(account string) (<-chan struct{}, func(), error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count >= maxWaiters {
		return nil, nil, domain.Refuse(domain.Overloaded, "", "too many queries are waiting for a version; try again later")
	}
	news := make(chan struct{}, 1)
	if w.byAccount[account] == nil {
		w.byAccount[account] = map[chan struct{}]struct{}{}
	}
	w.byAccount[account][news] = struct{}{}
	w.count++
	return news, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.count--
		delete(w.byAccount[account], news)
		if len(w.byAccount[account]) == 0 {
			delete(w.byAccount, account)
		}
	}, nil
}

// wake tells those who wait for any of the accounts. It never waits.
func (w *waiters) wake(accounts accountRows) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == 0 {
		return
	}
	for i := range accounts {
		for news := range w.byAccount[accounts[i].ID] {
			select {
			case news <- struct{}{}:
			default: // It was told already and has not looked yet.
			}
		}
	}
}
