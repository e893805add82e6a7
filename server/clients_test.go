package server

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

// answer is what a client got, whatever the transport.
type answer struct {
	status int
	header http.Header
	body   string
	Data   json.RawMessage
	Errors []struct {
		Message    string
		Extensions struct{ Code string }
	}
}

// code is that of the first error, or of the first user error.
func (a answer) code() string {
	if len(a.Errors) > 0 {
		return a.Errors[0].Extensions.Code
	}
	var data map[string]struct {
		UserErrors []struct{ Code string }
	}
	_ = json.Unmarshal(a.Data, &data)
	for _, payload := range data {
		for _, e := range payload.UserErrors {
			return e.Code
		}
	}
	return ""
}

var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

func (s *site) do(t *testing.T, method, path string, body string, headers ...string) answer {
	t.Helper()
	request, err := http.NewRequest(method, "http://"+s.address+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	all, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, header: response.Header, body: string(all)}
	_ = json.Unmarshal(all, &a)
	return a
}

func (s *site) post(t *testing.T, body string, headers ...string) answer {
	t.Helper()
	return s.do(t, http.MethodPost, "/graphql", body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

func (s *site) query(t *testing.T, query string) answer {
	t.Helper()
	return s.post(t, request(query, nil))
}

func request(query string, variables map[string]any) string {
	body := map[string]any{"query": query}
	if variables != nil {
		body["variables"] = variables
	}
	b, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// peer is a WebSocket client.
type peer struct {
	t        *testing.T
	conn     *websocket.Conn
	protocol string
}

func (s *site) dial(t *testing.T, protocol string, headers ...string) *peer {
	t.Helper()
	conn, response, err := s.handshake(headers, protocol)
	if err != nil {
		t.Fatalf("connecting: %v, %v", err, response)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: t, conn: conn, protocol: protocol}
}

func (s *site) handshake(headers []string, protocols ...string) (*websocket.Conn, *http.Response, error) {
	dialer := websocket.Dialer{Subprotocols: protocols, HandshakeTimeout: patience}
	header := http.Header{}
	for i := 0; i < len(headers); i += 2 {
		header.Set(headers[i], headers[i+1])
	}
	return dialer.Dial("ws://"+s.address+"/graphql", header)
}

// connect is a client past connection_init.
func (s *site) connect(t *testing.T, protocol string) *peer {
	t.Helper()
	p := s.dial(t, protocol)
	p.send(`{"type":"connection_init"}`)
	p.expect("connection_ack", "")
	return p
}

func (p *peer) send(message string) {
	p.t.Helper()
	if err := p.conn.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		p.t.Fatalf("sending: %v", err)
	}
}

// begin starts an operation, whose request is a POST's body.
func (p *peer) begin(id, body string) {
	p.t.Helper()
	if err := p.tryBegin(id, body); err != nil {
		p.t.Fatalf("sending: %v", err)
	}
}

// tryBegin is begin for a connection that may have been ended meanwhile.
func (p *peer) tryBegin(id, body string) error {
	p.t.Helper()
	kind := map[string]string{modernProtocol: "subscribe", legacyProtocol: "start"}[p.protocol]
	message, err := json.Marshal(frame{Type: kind, ID: id, Payload: json.RawMessage(body)})
	if err != nil {
		p.t.Fatal(err)
	}
	return p.conn.WriteMessage(websocket.TextMessage, message)
}

func (p *peer) end(id string) {
	p.t.Helper()
	kind := map[string]string{modernProtocol: "complete", legacyProtocol: "stop"}[p.protocol]
	p.send(`{"type":"` + kind + `","id":"` + id + `"}`)
}

func (p *peer) nextType() string {
	return map[string]string{modernProtocol: "next", legacyProtocol: "data"}[p.protocol]
}

// receive returns the next message that is no heartbeat.
func (p *peer) receive() frame {
	p.t.Helper()
	for {
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		var f frame
		if err := p.conn.ReadJSON(&f); err != nil {
			p.t.Fatalf("receiving: %v", err)
		}
		if f.Type != "ka" {
			return f
		}
	}
}

func (p *peer) expect(kind, id string) frame {
	p.t.Helper()
	f := p.receive()
	if f.Type != kind || f.ID != id {
		p.t.Fatalf("got %s %q %s, want %s %q", f.Type, f.ID, f.Payload, kind, id)
	}
	return f
}

// expectClose reads until the connection ends, and asserts how.
func (p *peer) expectClose(code int) {
	p.t.Helper()
	for {
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		_, message, err := p.conn.ReadMessage()
		if err == nil {
			if bytes.Contains(message, []byte(`"type":"next"`)) {
				p.t.Fatalf("got %s, want a close frame", message)
			}
			continue
		}
		if !websocket.IsCloseError(err, code) {
			p.t.Fatalf("got %v, want close code %d", err, code)
		}
		return
	}
}

// events is a client of an event stream.
type events struct {
	t      *testing.T
	cancel context.CancelFunc
	body   io.Closer
	lines  *bufio.Reader
	status int
}

func (s *site) listen(t *testing.T, body string) *events {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+"/graphql", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Accept", "text/event-stream")
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		_ = response.Body.Close()
	})
	return &events{t: t, cancel: cancel, body: response.Body, lines: bufio.NewReader(response.Body), status: response.StatusCode}
}

// next returns the next event's name and data; comments come as the name ":".
func (e *events) next() (name, data string, err error) {
	for {
		line, err := e.lines.ReadString('\n')
		if err != nil {
			return "", "", err
		}
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
			if name != "" {
				return name, data, nil
			}
		case strings.HasPrefix(line, ":"):
			name = ":"
		case strings.HasPrefix(line, "event: "):
			name = strings.TrimPrefix(line, "event: ")
		case strings.HasPrefix(line, "data:"):
			data = strings.TrimSpace(strings.TrimPrefix(line, "data:"))
		}
	}
}

func (e *events) expect(name string) string {
	e.t.Helper()
	for {
		got, data, err := e.next()
		if err != nil {
			e.t.Fatalf("waiting for %q: %v", name, err)
		}
		if got == name {
			return data
		}
		if got != ":" {
			e.t.Fatalf("got %q %s, want %q", got, data, name)
		}
	}
}

// transports carry one operation to its first answer.
var transports = map[string]func(s *site, t *testing.T, body string) answer{
	"post": func(s *site, t *testing.T, body string) answer { return s.post(t, body) },
	"events": func(s *site, t *testing.T, body string) answer {
		e := s.listen(t, body)
		a := answer{status: e.status}
		if e.status != http.StatusOK {
			all, _ := io.ReadAll(e.lines)
			a.body = string(all)
		} else {
			a.body = e.expect("next")
			e.expect("complete")
		}
		_ = json.Unmarshal([]byte(a.body), &a)
		return a
	},
	modernProtocol: func(s *site, t *testing.T, body string) answer { return overWebSocket(s, t, modernProtocol, body) },
	legacyProtocol: func(s *site, t *testing.T, body string) answer { return overWebSocket(s, t, legacyProtocol, body) },
}

func overWebSocket(s *site, t *testing.T, protocol, body string) answer {
	t.Helper()
	p := s.connect(t, protocol)
	defer p.conn.Close()
	kind := map[string]string{modernProtocol: "subscribe", legacyProtocol: "start"}[protocol]
	p.send(`{"id":"1","type":"` + kind + `","payload":` + body + `}`)
	f := p.receive()
	a := answer{body: string(f.Payload)}
	if f.Type == "error" {
		_ = json.Unmarshal(f.Payload, &a.Errors)
	} else {
		_ = json.Unmarshal(f.Payload, &a)
	}
	return a
}
