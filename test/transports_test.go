package test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

// The ways to the API. Subscriptions take all but the first.
const (
	overPost   = "post"
	overEvents = "events"
	overModern = "graphql-transport-ws"
	overLegacy = "graphql-ws"
)

var (
	streaming  = []string{overModern, overLegacy, overEvents}
	transports = append([]string{overPost}, streaming...)
)

// result is one answer to an operation.
type result struct {
	Data   json.RawMessage
	Errors []*failure
}

// code is that of the first error, or of the first user error.
func (r *result) code() string {
	if len(r.Errors) > 0 {
		return r.Errors[0].Extensions.Code
	}
	var data map[string]struct{ UserErrors []userError }
	_ = json.Unmarshal(r.Data, &data)
	for _, p := range data {
		for _, e := range p.UserErrors {
			return e.Code
		}
	}
	return ""
}

// operate sends an operation and hands over each of its results, until it is complete, for which it returns nil. The
// error is what take returned, or why the connection was lost.
func operate(ctx context.Context, url, transport, query string, variables map[string]any, take func(*result) error) error {
	body, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	switch transport {
	case overModern, overLegacy:
		return operateSocket(ctx, url, transport, body, take)
	default:
		return operateHTTP(ctx, url, transport, body, take)
	}
}

// ask sends an operation that has one result.
func ask(ctx context.Context, url, transport, query string, variables map[string]any) (*result, error) {
	var only *result
	err := operate(ctx, url, transport, query, variables, func(r *result) error {
		if only != nil {
			return errors.New("an operation of one result had two")
		}
		only = r
		return nil
	})
	if err == nil && only == nil {
		err = errors.New("the operation was completed without a result")
	}
	return only, err
}

// streamClient sets no bound on how long an answer takes: contexts do.
var streamClient = &http.Client{Transport: &http.Transport{}}

func operateHTTP(ctx context.Context, url, transport string, body []byte, take func(*result) error) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url+"graphql", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if transport == overEvents {
		req.Header.Set("Accept", "text/event-stream")
	}
	res, err := streamClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close() //nolint:errcheck // It was read.
	if strings.HasPrefix(res.Header.Get("Content-Type"), "text/event-stream") {
		return readEvents(res.Body, take)
	}
	// Refused before it became a stream, or no stream at all.
	r := &result{}
	if err := json.NewDecoder(res.Body).Decode(r); err != nil {
		return fmt.Errorf("status %d: %w", res.StatusCode, err)
	}
	return take(r)
}

// readEvents reads server-sent events until "complete".
func readEvents(body io.Reader, take func(*result) error) error {
	lines := bufio.NewReader(body)
	name, data := "", ""
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			return fmt.Errorf("the stream was cut off: %w", err)
		}
		line = strings.TrimSuffix(line, "\n")
		switch field, value, _ := strings.Cut(line, ":"); field {
		case "event":
			name = strings.TrimSpace(value)
		case "data":
			data = strings.TrimSpace(value)
		case "":
			if line != "" || name == "" { // A comment, or the end of one.
				continue
			}
			if name == "complete" {
				return nil
			}
			if name != "next" {
				return fmt.Errorf("an event of the unknown name %q", name)
			}
			r := &result{}
			if err := json.Unmarshal([]byte(data), r); err != nil {
				return err
			}
			if err := take(r); err != nil {
				return err
			}
			name, data = "", ""
		}
	}
}

func operateSocket(ctx context.Context, url, protocol string, body []byte, take func(*result) error) error {
	dialer := websocket.Dialer{Subprotocols: []string{protocol}, HandshakeTimeout: 5 * time.Second}
	conn, _, err := dialer.DialContext(ctx, strings.Replace(url, "http", "ws", 1)+"graphql", nil)
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	defer conn.Close() //nolint:errcheck // The operation is over.
	begin, next := "subscribe", "next"
	if protocol == overLegacy {
		begin, next = "start", "data"
	}
	if err := conn.WriteJSON(map[string]any{"type": "connection_init"}); err != nil {
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
		r := &result{}
		switch m.Type {
		case "connection_ack":
			err = conn.WriteJSON(map[string]any{"id": "1", "type": begin, "payload": json.RawMessage(body)})
		case "ping":
			err = conn.WriteJSON(map[string]any{"type": "pong"})
		case next:
			if err = json.Unmarshal(m.Payload, r); err == nil {
				err = take(r)
			}
		case "error":
			if err := json.Unmarshal(m.Payload, &r.Errors); err != nil {
				return err
			}
			return take(r)
		case "complete":
			return nil
		}
		if err != nil {
			return err
		}
	}
}
