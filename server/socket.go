package server

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/gorilla/websocket"
	"github.com/vektah/gqlparser/v2/gqlerror"

	"daybook/domain"
	"daybook/resolvers"
)

// Close codes of the sub-protocols.
const (
	closeBadMessage     = 4400
	closeUnauthorized   = 4401
	closeInitTimeout    = 4408
	closeDuplicateID    = 4409
	closeTooManyInits   = 4429
	closeWriteAllowance = 2 * time.Second
)

// socket is one WebSocket connection as gqlgen sees it. It keeps clients to their sub-protocol, bounds what they can
// have running, and disconnects the slow.
type socket struct {
	conn     *websocket.Conn
	limits   Limits
	modern   bool
	cancel   context.CancelFunc
	register register
	large    *counter
	// receiving tells that a long message is coming in, which nothing else gives more time. Only the reading goroutine
	// uses it.
	receiving bool
	// inited tells whether connection_init has come. Only the reading goroutine uses it.
	inited bool

	mu      sync.Mutex // one writer at a time
	closing bool       // guarded by mu: a close frame was sent or the connection given up
}

var (
	_ transport.WebsocketConn          = (*socket)(nil)
	_ transport.WebsocketReadDeadliner = (*socket)(nil)
	_ transport.WebsocketReadLimiter   = (*socket)(nil)
	_ stream                           = (*socket)(nil)
)

func newSocket(conn *websocket.Conn, limits Limits, large *counter, cancel context.CancelFunc) *socket {
	c := &socket{
		conn: conn, limits: limits, modern: conn.Subprotocol() == modernProtocol, cancel: cancel,
		register: newRegister(limits.StreamOperations), large: large,
	}
	conn.SetReadLimit(limits.Body)
	_ = conn.SetReadDeadline(soon(limits.Init))
	conn.SetPongHandler(func(string) error {
		c.alive()
		return nil
	})
	return c
}

// alive gives a client of the old protocol, which has no pings, until the heartbeat after the next.
func (c *socket) alive() {
	if c.inited && !c.modern && !c.receiving {
		_ = c.SetReadDeadline(soon(2 * c.limits.Ping))
	}
}

// NextReader returns the next message that gqlgen is to see. Any error is the end of the connection.
func (c *socket) NextReader() (int, io.Reader, error) {
	for {
		kind, r, err := c.conn.NextReader()
		if err != nil {
			return 0, nil, c.readFailed(err)
		}
		if kind != websocket.TextMessage {
			return 0, nil, c.violated(websocket.CloseUnsupportedData, "messages must be text")
		}
		message, err := c.readMessage(r)
		if err != nil {
			return 0, nil, c.readFailed(err)
		}
		if c.closed() {
			return 0, nil, transport.ErrWebsocketClosed
		}
		c.alive()
		message, err = c.admit(message)
		if err != nil {
			return 0, nil, err
		}
		if message != nil {
			return kind, bytes.NewReader(message), nil
		}
	}
}

// readMessage takes a place among the large bodies for a message of more than usual length.
func (c *socket) readMessage(r io.Reader) ([]byte, error) {
	message, err := io.ReadAll(io.LimitReader(r, usualBody))
	if err != nil || len(message) < usualBody {
		return message, err
	}
	if !c.large.acquire() {
		return nil, c.violated(websocket.CloseTryAgainLater, "too many long messages are being read")
	}
	defer c.large.release()
	c.receiving = true
	_ = c.SetReadDeadline(soon(c.limits.Read))
	rest, err := io.ReadAll(r)
	c.receiving = false
	_ = c.SetReadDeadline(soon(2 * c.limits.Ping))
	return append(message, rest...), err
}

func (c *socket) readFailed(err error) error {
	var timeout net.Error
	if !c.inited && errors.As(err, &timeout) && timeout.Timeout() {
		c.close(closeInitTimeout, "connection_init did not come in time")
	}
	return transport.ErrWebsocketClosed
}

func (c *socket) violated(code int, reason string) error {
	c.close(code, reason)
	return transport.ErrWebsocketClosed
}

// frame is a message of either sub-protocol. The order of its fields is that of gqlgen's own.
type frame struct {
	Payload json.RawMessage `json:"payload,omitempty"`
	ID      string          `json:"id,omitempty"`
	Type    string          `json:"type"`
}

// admit checks a message and returns it as gqlgen is to see it, or nothing when it is dealt with.
func (c *socket) admit(message []byte) ([]byte, error) {
	if !utf8.Valid(message) {
		return nil, c.violated(websocket.CloseInvalidFramePayloadData, "messages must be UTF-8")
	}
	var f frame
	if json.Unmarshal(message, &f) != nil || len(f.ID) > maxOperationID {
		return nil, c.violated(closeBadMessage, "the message is not one of the sub-protocol")
	}
	if !c.inited {
		return c.admitFirst(f)
	}
	switch {
	case f.Type == "connection_init":
		return nil, c.violated(closeTooManyInits, "connection_init came twice")
	case c.modern && f.Type == "subscribe", !c.modern && f.Type == "start":
		return c.admitOperation(f)
	case c.modern && f.Type == "complete", !c.modern && f.Type == "stop":
		internal, running := c.register.silence(f.ID)
		if !running {
			return nil, nil
		}
		f.ID, f.Payload = internal, nil
		return json.Marshal(f)
	case c.modern && (f.Type == "ping" || f.Type == "pong"), !c.modern && f.Type == "connection_terminate":
		return message, nil
	}
	return nil, c.violated(closeBadMessage, "the message is not one of the sub-protocol")
}

// admitFirst lets a connection begin. The payload of connection_init is left out: nobody reads it, and gqlgen would keep
// it, parsed, for as long as the connection is open.
func (c *socket) admitFirst(f frame) ([]byte, error) {
	switch {
	case f.Type == "connection_init":
		if len(f.Payload) > 0 && f.Payload[0] != '{' && f.Payload[0] != 'n' {
			return nil, c.violated(closeBadMessage, "the payload of connection_init must be an object")
		}
		c.inited = true
		_ = c.SetReadDeadline(time.Time{})
		c.alive()
		return json.Marshal(frame{Type: f.Type})
	case f.Type == "subscribe" || f.Type == "start":
		return nil, c.violated(closeUnauthorized, "connection_init must come first")
	case c.modern && f.Type == "ping":
		c.send(frame{Type: "pong", Payload: f.Payload})
		return nil, nil
	case c.modern && f.Type == "pong":
		return nil, nil
	}
	return nil, c.violated(closeBadMessage, "connection_init must come first")
}

// admitOperation enters an operation under an id of ours. What is wrong with it is told here, in the words that every
// transport uses. Only what was checked is passed on: gqlgen would keep all of the client's payload with a subscription.
func (c *socket) admitOperation(f frame) ([]byte, error) {
	if f.ID == "" {
		return nil, c.violated(closeBadMessage, "an operation must have an id")
	}
	params, refused := readWire(f.Payload, c.limits)
	if refused != nil {
		c.fail(f.ID, refused)
		return nil, nil
	}
	internal, verdict := c.register.enter(f.ID)
	switch verdict {
	case duplicate:
		return nil, c.violated(closeDuplicateID, "an operation of this id is running")
	case full:
		c.fail(f.ID, resolvers.NewError(domain.Overloaded,
			"at most %d operations run at once on a connection: end one, or open another connection", c.limits.StreamOperations))
		return nil, nil
	case entered:
	}
	return json.Marshal(struct {
		Payload wireParams `json:"payload"`
		ID      string     `json:"id"`
		Type    string     `json:"type"`
	}{params, internal, f.Type})
}

// fail answers an operation that is not begun.
func (c *socket) fail(id string, err *gqlerror.Error) {
	payload, marshalErr := json.Marshal(gqlerror.List{err})
	if marshalErr != nil {
		panic(marshalErr)
	}
	c.send(frame{ID: id, Type: "error", Payload: payload})
}

func (c *socket) send(f frame) {
	message, err := json.Marshal(f)
	if err != nil {
		// A client's payload is JSON that was read, so it can be written.
		panic(err)
	}
	_ = c.write(message)
}

// WriteJSON sends a message of gqlgen's under the id that the client knows.
func (c *socket) WriteJSON(v any) error {
	message, err := json.Marshal(v)
	if err != nil {
		return err
	}
	message = c.register.translate(message)
	if message == nil {
		return nil
	}
	if bytes.Equal(message, legacyHeartbeat) {
		// The old protocol has no answer to this, so whether the client lives is asked a layer below.
		_ = c.conn.WriteControl(websocket.PingMessage, nil, soon(closeWriteAllowance))
	}
	return c.write(message)
}

var legacyHeartbeat = []byte(`{"type":"ka"}`)

// write gives the connection up when the client does not take the message in time.
func (c *socket) write(message []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return transport.ErrWebsocketClosed
	}
	_ = c.conn.SetWriteDeadline(soon(c.limits.StreamWrite))
	err := c.conn.WriteMessage(websocket.TextMessage, message)
	if err != nil {
		c.closing = true
		// The reader finds out and ends the operations.
		_ = c.conn.NetConn().Close()
	}
	return err
}

// WriteClose says goodbye, unless that was done already.
func (c *socket) WriteClose(code int, reason string) error {
	c.close(code, reason)
	return nil
}

// close sends a close frame, after which nothing is written, and lets the reader wait a little for the client's own.
func (c *socket) close(code int, reason string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return
	}
	c.closing = true
	_ = c.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, reason), soon(closeWriteAllowance))
	_ = c.conn.NetConn().SetReadDeadline(soon(c.limits.Goodbye))
}

func (c *socket) closed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// Close is gqlgen's end of the connection; finish ends it for good.
func (c *socket) Close() error {
	c.close(websocket.CloseNormalClosure, "")
	return nil
}

// finish waits a little for the client's close frame: closing before it is read could take ours from the client.
func (c *socket) finish() {
	c.close(websocket.CloseInternalServerErr, "")
	for {
		if _, _, err := c.conn.NextReader(); err != nil {
			break
		}
	}
	_ = c.conn.Close()
}

// goAway implements stream.
func (c *socket) goAway() {
	c.close(websocket.CloseGoingAway, "the server is shutting down")
	c.cancel()
}

// abandon implements stream.
func (c *socket) abandon() {
	c.cancel()
	_ = c.conn.NetConn().Close()
}

// Subprotocol implements transport.WebsocketConn.
func (c *socket) Subprotocol() string { return c.conn.Subprotocol() }

// SetReadLimit implements transport.WebsocketReadLimiter.
func (c *socket) SetReadLimit(limit int64) { c.conn.SetReadLimit(limit) }

// SetReadDeadline implements transport.WebsocketReadDeadliner. gqlgen sets it for clients of the new protocol, whose
// pongs it sees. Once the connection closes, nothing puts off the end that close has set.
func (c *socket) SetReadDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return nil
	}
	return c.conn.SetReadDeadline(t)
}
