package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// watched is how many accounts are subscribed to, one subscription each, over as few connections as below.
	watched        = 100
	watchers       = 10
	pushCallers    = 64
	watchOperation = `subscription Watch($id: ID!) { balanceChanged(accountId: $id) { version timestamp } }`
)

// Push measures the time from a change's timestamp, which is taken before it is written, to its arrival at a
// subscriber, while top-ups come in at the given rate. It is an upper bound of the time from commit to push.
func Push(ctx context.Context, server string, perSecond float64, d time.Duration) (Result, error) {
	c, err := openClients(server, pushCallers, newAccountSet(1))
	if err != nil {
		return Result{}, err
	}
	defer c.close()
	p := &pushes{}
	subscribed, err := p.watch(server, c.accounts.ids[:watched])
	if err != nil {
		return Result{}, err
	}
	result, err := p.pace(ctx, c, perSecond, d)
	subscribed()
	return result, errors.Join(err, p.err())
}

// pushes collects what subscribers receive.
type pushes struct {
	measuring atomic.Bool
	mu        sync.Mutex
	latencies []time.Duration
	failed    error
}

func (p *pushes) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
}

func (p *pushes) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failed
}

// pace sends top-ups at a steady rate whatever the answers take, within the bound of the callers.
func (p *pushes) pace(ctx context.Context, c *clients, perSecond float64, d time.Duration) (Result, error) {
	interval := time.Duration(float64(time.Second) * pushCallers / perSecond)
	began := time.Now()
	warm := began.Add(d / 4)
	end := warm.Add(d)
	var wg sync.WaitGroup
	var sent atomic.Int64
	for caller := range pushCallers {
		wg.Go(func() {
			due := began.Add(interval * time.Duration(caller) / pushCallers)
			for n := 0; due.Before(end) && ctx.Err() == nil; n++ {
				wait(ctx, time.Until(due))
				if err := c.topUp(caller, (caller*7919+n)%watched, key(caller, n)); err != nil {
					p.fail(err)
					return
				}
				if p.measuring.Load() {
					sent.Add(1)
				}
				due = due.Add(interval)
			}
		})
	}
	wait(ctx, time.Until(warm))
	p.measuring.Store(true)
	wait(ctx, time.Until(end))
	p.measuring.Store(false)
	wg.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	result := summarise(slices.Clone(p.latencies), d)
	result.PerSecond = float64(sent.Load()) / d.Seconds()
	return result, ctx.Err()
}

// watch subscribes to every watched account and returns how to end it.
func (p *pushes) watch(server string, ids []string) (func(), error) {
	var wg sync.WaitGroup
	var connections []*websocket.Conn
	end := func() {
		for _, conn := range connections {
			_ = conn.Close()
		}
		wg.Wait()
	}
	for w := range watchers {
		conn, err := dialWatcher(server)
		if err != nil {
			end()
			return nil, err
		}
		connections = append(connections, conn)
		for i := w; i < watched; i += watchers {
			message := map[string]any{"id": strconv.Itoa(i), "type": "subscribe", "payload": map[string]any{
				"query": watchOperation, "variables": map[string]any{"id": ids[i]},
			}}
			if err := conn.WriteJSON(message); err != nil {
				end()
				return nil, fmt.Errorf("subscribing: %w", err)
			}
		}
		wg.Go(func() { p.receive(conn) })
	}
	return end, nil
}

func dialWatcher(server string) (*websocket.Conn, error) {
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: 10 * time.Second}
	conn, res, err := dialer.Dial(strings.Replace(server, "http", "ws", 1)+"graphql", http.Header{})
	if err != nil {
		return nil, fmt.Errorf("opening a WebSocket: %w", err)
	}
	_ = res.Body.Close()
	if err := conn.WriteJSON(map[string]string{"type": "connection_init"}); err != nil {
		return nil, errors.Join(fmt.Errorf("opening a WebSocket: %w", err), conn.Close())
	}
	var ack struct{ Type string }
	if err := conn.ReadJSON(&ack); err != nil || ack.Type != "connection_ack" {
		return nil, errors.Join(fmt.Errorf("opening a WebSocket: answered %q, %w", ack.Type, err), conn.Close())
	}
	return conn, nil
}

func (p *pushes) receive(conn *websocket.Conn) {
	for {
		_, raw, err := conn.ReadMessage()
		if err != nil {
			return // Closed at the end of the measurement.
		}
		arrived := time.Now()
		var message struct {
			Type    string
			Payload json.RawMessage
		}
		if err := json.Unmarshal(raw, &message); err != nil {
			p.fail(err)
			return
		}
		switch message.Type {
		case "next":
			p.take(arrived, message.Payload)
		case "ping":
			_ = conn.WriteJSON(map[string]string{"type": "pong"})
		case "error", "complete":
			p.fail(fmt.Errorf("a subscription ended: %.300s", raw))
		}
	}
}

func (p *pushes) take(arrived time.Time, payload json.RawMessage) {
	var next struct {
		Data struct {
			BalanceChanged struct{ Timestamp time.Time }
		}
	}
	if err := json.Unmarshal(payload, &next); err != nil || next.Data.BalanceChanged.Timestamp.IsZero() {
		p.fail(fmt.Errorf("a push is unreadable: %.300s", payload))
		return
	}
	if !p.measuring.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.latencies = append(p.latencies, arrived.Sub(next.Data.BalanceChanged.Timestamp))
}
