package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// feeds is how many live subscriptions there are, half over WebSocket and half as event streams.
	feeds = 40
	// A session lasts as long as is drawn between these, then the next goes on after a time away, up to the longest.
	shortestSession, longestSession = 5 * time.Second, 40 * time.Second
	longestAway                     = 5 * time.Second
	// dialPatience bounds the wait for a connection.
	dialPatience = 10 * time.Second
	// maxEvent bounds one event of a stream.
	maxEvent = 1 << 20
)

const feedOperation = `subscription($id: ID!, $after: Int) { balanceChanged(accountId: $id, afterVersion: $after) { version previousBalance newBalance } }`

// feed is a live subscription to one account, which is left and resumed. It remembers the last change only.
type feed struct {
	host, account string
	socket        bool
	errors        *errors
	pushed        *atomic.Int64

	version int64
	balance string
}

// follow subscribes again and again until ctx ends.
func (f *feed) follow(ctx context.Context) {
	for ctx.Err() == nil {
		session, end := context.WithTimeout(ctx, shortestSession+rand.N(longestSession-shortestSession))
		err := f.session(session)
		if session.Err() == nil {
			f.errors.add(codeEnded, fmt.Sprint(err))
		}
		end()
		pause(ctx, rand.N(longestAway))
	}
}

// session takes changes until ctx ends or the subscription does, which it should not.
func (f *feed) session(ctx context.Context) error {
	variables := map[string]any{"id": f.account}
	if f.version > 0 {
		variables["after"] = f.version
	}
	body, err := json.Marshal(map[string]any{"query": feedOperation, "variables": variables})
	if err != nil {
		return err
	}
	if f.socket {
		return f.overSocket(ctx, body)
	}
	return f.overEvents(ctx, body)
}

func (f *feed) overSocket(ctx context.Context, body []byte) error {
	dialer := websocket.Dialer{Subprotocols: []string{"graphql-transport-ws"}, HandshakeTimeout: dialPatience}
	conn, _, err := dialer.DialContext(ctx, "ws://"+f.host+"/graphql", nil)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close() //nolint:errcheck // The session is over.
	if err := conn.WriteJSON(map[string]string{"type": "connection_init"}); err != nil {
		return err
	}
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
			err = conn.WriteJSON(map[string]any{"id": "1", "type": "subscribe", "payload": json.RawMessage(body)})
		case "ping":
			err = conn.WriteJSON(map[string]string{"type": "pong"})
		case "next":
			err = f.take(m.Payload)
		default:
			err = fmt.Errorf("a subscription ended with %q: %.300s", m.Type, m.Payload)
		}
		if err != nil {
			return err
		}
	}
}

// streams gives every session a connection of its own, as a browser's page would have.
var streams = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

func (f *feed) overEvents(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+f.host+"/graphql", strings.NewReader(string(body)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	res, err := streams.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // The session is over.
	if !strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		refusal, _ := io.ReadAll(io.LimitReader(res.Body, 300))
		return fmt.Errorf("a subscription was refused with status %d: %s", res.StatusCode, refusal)
	}
	lines := bufio.NewScanner(res.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		switch name, value, _ := strings.Cut(lines.Text(), ":"); {
		case name == "data" && strings.TrimSpace(value) != "":
			if err := f.take([]byte(value)); err != nil {
				return err
			}
		case name == "event" && strings.TrimSpace(value) != "next":
			return fmt.Errorf("a subscription ended with %q", value)
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// take checks that a change goes on where the one before ended. Versions in between may be those of holds, which do not
// change the balance.
func (f *feed) take(raw []byte) error {
	var next struct {
		Data struct {
			BalanceChanged *struct {
				Version                     int64
				PreviousBalance, NewBalance string
			}
		}
	}
	if err := json.Unmarshal(raw, &next); err != nil || next.Data.BalanceChanged == nil {
		return fmt.Errorf("something else than a change was pushed: %.300s", raw)
	}
	change := next.Data.BalanceChanged
	if f.version > 0 && (change.Version <= f.version || change.PreviousBalance != f.balance) {
		f.errors.add(codeBroken, fmt.Sprintf("%s: version %d from %s after version %d with %s", f.account, change.Version, change.PreviousBalance, f.version, f.balance))
	}
	f.version, f.balance = change.Version, change.NewBalance
	f.pushed.Add(1)
	return nil
}
