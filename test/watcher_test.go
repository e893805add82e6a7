package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"
)

// change is a pushed change of a balance.
type change struct {
	AccountID       string
	Version         int64
	PreviousBalance string
	NewBalance      string
	SignedAmount    string
	TransactionID   string
}

// watcher holds a subscription to an account's balance, opens it anew after each loss with the last version seen, and
// checks that the changes form one chain.
type watcher struct {
	account   string
	transport string
	// longest bounds a session, after which the next one resumes; 0 is no bound.
	longest time.Duration

	mu      sync.Mutex
	changes []change
	fault   error
	begun   int
	// resumed counts the sessions that went on where another had ended.
	resumed int
}

const watchDocument = `subscription($id: ID!, $after: Int) { balanceChanged(accountId: $id, afterVersion: $after) {
	accountId version previousBalance newBalance signedAmount transactionId } }`

// follow watches until ctx ends; url gives the node's present address.
func (w *watcher) follow(ctx context.Context, url func() string) {
	for ctx.Err() == nil {
		err := w.session(ctx, url())
		if fatal := (*brokenChain)(nil); errors.As(err, &fatal) {
			w.mu.Lock()
			w.fault = err
			w.mu.Unlock()
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond): // Until the next try to connect.
		}
	}
}

// brokenChain is a promise broken; anything else that ends a session is a lost connection.
type brokenChain struct{ text string }

func (b *brokenChain) Error() string { return b.text }

func (w *watcher) session(ctx context.Context, url string) error {
	if w.longest > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.longest)
		defer cancel()
	}
	after, first := w.last(), true
	err := operate(ctx, url, w.transport, watchDocument, map[string]any{"id": w.account, "after": after}, func(r *result) error {
		err := w.take(r)
		if first && err == nil && after > 0 {
			w.mu.Lock()
			w.resumed++
			w.mu.Unlock()
		}
		first = false
		return err
	})
	if err == nil {
		err = errors.New("the subscription ended")
	}
	return err
}

// last is the version to go on from in a session that begins.
func (w *watcher) last() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun++
	if len(w.changes) == 0 {
		return 0
	}
	return w.changes[len(w.changes)-1].Version
}

func (w *watcher) take(r *result) error {
	var data struct{ BalanceChanged *change }
	if len(r.Errors) > 0 {
		return fmt.Errorf("an error in place of a change: %w", r.Errors[0])
	}
	if err := json.Unmarshal(r.Data, &data); err != nil {
		return err
	}
	if data.BalanceChanged == nil {
		return &brokenChain{fmt.Sprintf("%s was sent nothing in place of a change: %s", w.account, r.Data)}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := *data.BalanceChanged
	if err := follows(w.changes, c, w.account); err != nil {
		return err
	}
	w.changes = append(w.changes, c)
	return nil
}

// follows checks that a change is of the account and begins where the one before ended.
func follows(before []change, c change, account string) error {
	balance, version := "0.00", int64(0)
	if len(before) > 0 {
		balance, version = before[len(before)-1].NewBalance, before[len(before)-1].Version
	}
	switch {
	case c.AccountID != account:
		return &brokenChain{fmt.Sprintf("%s was sent a change of %s", account, c.AccountID)}
	case c.Version <= version:
		return &brokenChain{fmt.Sprintf("%s was sent version %d after %d", account, c.Version, version)}
	case c.PreviousBalance != balance:
		return &brokenChain{fmt.Sprintf("%s version %d begins at %s, the one before (%d) ended at %s", account, c.Version, c.PreviousBalance, version, balance)}
	}
	return nil
}

// seen returns what was received, and the promise that was broken, if one was.
func (w *watcher) seen() ([]change, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]change(nil), w.changes...), w.fault
}

// sessions counts how often the subscription was begun.
func (w *watcher) sessions() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.begun
}
