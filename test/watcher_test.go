package test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
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
	account  string
	protocol string

	mu      sync.Mutex
	changes []change
	fault   error
	resumes int
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
	dialer := websocket.Dialer{Subprotocols: []string{w.protocol}, HandshakeTimeout: 5 * time.Second}
	conn, _, err := dialer.DialContext(ctx, strings.Replace(url, "http", "ws", 1)+"graphql", nil)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close() //nolint:errcheck // The session is over.
	subscribe, data := "subscribe", "next"
	if w.protocol == "graphql-ws" {
		subscribe, data = "start", "data"
	}
	last := w.last()
	if err := conn.WriteJSON(map[string]any{"type": "connection_init"}); err != nil {
		return err
	}
	payload := map[string]any{"query": watchDocument, "variables": map[string]any{"id": w.account, "after": last}}
	for {
		var m struct {
			Type    string
			Payload json.RawMessage
		}
		if err := conn.ReadJSON(&m); err != nil {
			return err
		}
		switch m.Type {
		case "connection_ack":
			if err := conn.WriteJSON(map[string]any{"id": "1", "type": subscribe, "payload": payload}); err != nil {
				return err
			}
		case "ping":
			if err := conn.WriteJSON(map[string]any{"type": "pong"}); err != nil {
				return err
			}
		case data:
			if err := w.take(m.Payload); err != nil {
				return err
			}
		case "error", "complete":
			return fmt.Errorf("the subscription ended: %s", m.Payload)
		}
	}
}

func (w *watcher) last() int64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.resumes++
	if len(w.changes) == 0 {
		return 0
	}
	return w.changes[len(w.changes)-1].Version
}

func (w *watcher) take(raw json.RawMessage) error {
	var p struct {
		Data struct{ BalanceChanged *change }
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return err
	}
	if p.Data.BalanceChanged == nil {
		return fmt.Errorf("an error in place of a change: %s", raw)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	c := *p.Data.BalanceChanged
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
