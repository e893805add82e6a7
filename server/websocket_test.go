package server

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
)

var subProtocols = []string{modernProtocol, legacyProtocol}

func eachProtocol(t *testing.T, test func(t *testing.T, protocol string)) {
	for _, protocol := range subProtocols {
		t.Run(protocol, func(t *testing.T) { test(t, protocol) })
	}
}

func watch(accountID string) string {
	return request(`subscription($id: ID!) { balanceChanged(accountId: $id) { version } }`, map[string]any{"id": accountID})
}

// follow begins a subscription and waits until its feed runs.
func (p *peer) follow(s *site, id, accountID string) {
	p.t.Helper()
	before := len(s.feeds.of(accountID))
	p.begin(id, watch(accountID))
	eventually(p.t, "the subscription runs", func() bool { return len(s.feeds.of(accountID)) > before })
}

func (p *peer) expectVersion(id string, version int64) {
	p.t.Helper()
	f := p.expect(p.nextType(), id)
	var a struct {
		Data struct{ BalanceChanged struct{ Version int64 } }
	}
	if err := json.Unmarshal(f.Payload, &a); err != nil || a.Data.BalanceChanged.Version != version {
		p.t.Fatalf("got %s, want version %d", f.Payload, version)
	}
}

func TestThePreferredSubProtocolIsTheModernOne(t *testing.T) {
	s := start(t)
	conn, _, err := s.handshake(nil, legacyProtocol, modernProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if conn.Subprotocol() != modernProtocol {
		t.Errorf("%q was chosen", conn.Subprotocol())
	}
	for _, offered := range [][]string{nil, {"mqtt"}} {
		if _, response, err := s.handshake(nil, offered...); err == nil || response.StatusCode != 400 {
			t.Errorf("offering %v: got %v", offered, err)
		}
	}
}

func TestSubscriptionsDeliverAndComplete(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t)
		p := s.connect(t, protocol)
		// Given two on one connection.
		p.follow(s, "a", "alice")
		p.follow(s, "b", "bob")

		for v := range int64(100) {
			s.feeds.send(t, "alice", v)
			p.expectVersion("a", v)
			s.feeds.send(t, "bob", -v)
			p.expectVersion("b", -v)
		}
		// When one ends at the source, the other goes on.
		close(s.feeds.of("alice")[0])
		p.expect("complete", "a")
		s.feeds.send(t, "bob", 7)
		p.expectVersion("b", 7)
		// When a query is asked in between, it is answered.
		p.begin("q", typename)
		p.expect(p.nextType(), "q")
		p.expect("complete", "q")
	})
}

func TestAnEndedSubscriptionIsSilentAndItsIDFree(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t)
		p := s.connect(t, protocol)
		// Many times over: what the old one still says must never reach the new one.
		for range 50 {
			p.follow(s, "a", "alice")
			p.end("a")
		}
		eventually(t, "the ended ones stop", func() bool { return s.feeds.running.Load() == 0 })
		p.follow(s, "a", "alice")
		s.feeds.send(t, "alice", 1)
		p.expectVersion("a", 1)
		// Ending what does not run does nothing.
		p.end("nonesuch")
		s.feeds.send(t, "alice", 2)
		p.expectVersion("a", 2)
	})
}

func TestARefusedSubscriptionSaysWhy(t *testing.T) {
	s := start(t)
	for transport, ask := range transports {
		if transport == "post" {
			continue
		}
		a := ask(s, t, request(`subscription { transactionUpdated(id: "x") { id } }`, nil))
		if a.code() != "INTERNAL" || strings.Contains(a.body, "secret") {
			t.Errorf("%s: got %s", transport, a.body)
		}
	}
}

func TestAConnectionThatGoesAwayEndsItsSubscriptions(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		for _, rudely := range []bool{true, false} {
			s := start(t)
			p := s.connect(t, protocol)
			for i := range 10 {
				p.follow(s, fmt.Sprint(i), "alice")
			}
			if !rudely {
				_ = p.conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Now().Add(patience))
			}
			p.conn.Close()
			eventually(t, "the subscriptions end", func() bool { return s.feeds.running.Load() == 0 })
			eventually(t, "the connection is forgotten", func() bool { return s.streams.n.Load() == 0 && len(s.open.left()) == 0 })
		}
	})
}

func TestClientsAreKeptToTheirSubProtocol(t *testing.T) {
	s := start(t)
	init := `{"type":"connection_init"}`
	for _, c := range []struct {
		name, protocol string
		messages       []string
		code           int
	}{
		{"garbage", modernProtocol, []string{init, "garbage"}, 4400},
		{"garbage", legacyProtocol, []string{init, "garbage"}, 4400},
		{"garbage first", modernProtocol, []string{"{"}, 4400},
		{"a list", modernProtocol, []string{init, "[]"}, 4400},
		{"an unknown type", modernProtocol, []string{init, `{"type":"` + marker + `"}`}, 4400},
		{"a type of the other", modernProtocol, []string{init, `{"type":"start","id":"1","payload":` + typename + `}`}, 4400},
		{"a type of the other", legacyProtocol, []string{init, `{"type":"subscribe","id":"1","payload":` + typename + `}`}, 4400},
		{"a type of the server", modernProtocol, []string{init, `{"type":"next","id":"1"}`}, 4400},
		{"no id", modernProtocol, []string{init, `{"type":"subscribe","payload":` + typename + `}`}, 4400},
		{"a long id", modernProtocol, []string{init, `{"type":"subscribe","id":"` + strings.Repeat("i", 129) + `","payload":` + typename + `}`}, 4400},
		{"not UTF-8", modernProtocol, []string{init, "{\"type\":\"\xff\"}"}, 1007},
		{"init twice", modernProtocol, []string{init, init}, 4429},
		{"init with a list", modernProtocol, []string{`{"type":"connection_init","payload":[]}`}, 4400},
		{"init missing", modernProtocol, []string{`{"type":"subscribe","id":"1","payload":` + typename + `}`}, 4401},
		{"init missing", legacyProtocol, []string{`{"type":"start","id":"1","payload":` + typename + `}`}, 4401},
		{"an id in use", modernProtocol, []string{init, `{"type":"subscribe","id":"1","payload":` + watch("alice") + `}`, `{"type":"subscribe","id":"1","payload":` + watch("alice") + `}`}, 4409},
		{"oversized", modernProtocol, []string{init, `{"type":"ping","payload":{"x":"` + strings.Repeat("x", 512<<10) + `"}}`}, 1009},
		{"terminate", legacyProtocol, []string{init, `{"type":"connection_terminate"}`}, 1000},
	} {
		t.Run(c.protocol+" "+c.name, func(t *testing.T) {
			p := s.dial(t, c.protocol)
			for _, message := range c.messages {
				p.send(message)
			}
			p.expectClose(c.code)
		})
	}
	t.Run("a binary message", func(t *testing.T) {
		p := s.connect(t, modernProtocol)
		_ = p.conn.WriteMessage(websocket.BinaryMessage, []byte(init))
		p.expectClose(1003)
	})
}

func TestAnOperationsFaultsLeaveTheConnectionOpen(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t)
		p := s.connect(t, protocol)
		for i, body := range []string{`{"query":5}`, `[]`, `null`, `{"query":""}`, `{"query":"{"}`, `{"query":"{ __typename }","variables":[]}`} {
			p.begin(fmt.Sprint(i), body)
			f := p.expect("error", fmt.Sprint(i))
			if !strings.Contains(string(f.Payload), "BAD_USER_INPUT") {
				t.Errorf("%s: got %s", body, f.Payload)
			}
		}
		p.begin("q", typename)
		p.expect(p.nextType(), "q")
	})
}

func TestNothingThatNobodyReadsIsKeptOfAPayload(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t)
		large := `{"x":[` + strings.Repeat(`{"":0},`, 50_000) + `0]}`
		p := s.dial(t, protocol)
		p.send(`{"type":"connection_init","payload":` + large + `}`)
		p.expect("connection_ack", "")
		p.begin("a", `{"extensions":`+large+`,`+strings.TrimPrefix(watch("alice"), "{"))
		eventually(t, "the subscription runs", func() bool { return len(s.feeds.of("alice")) == 1 })
		s.feeds.mu.Lock()
		kept := len(s.feeds.kept)
		s.feeds.mu.Unlock()
		if kept != 0 {
			t.Errorf("the subscription keeps %d values of its client's payloads", kept)
		}
		s.feeds.send(t, "alice", 1)
		p.expectVersion("a", 1)
	})
}

func TestOperationsBeyondAConnectionsLimitAreRefused(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t, func(c *Config) { c.Limits.StreamOperations = 3 })
		p := s.connect(t, protocol)
		for i := range 3 {
			p.follow(s, fmt.Sprint(i), "alice")
		}
		p.begin("one more", watch("alice"))
		f := p.expect("error", "one more")
		if said := string(f.Payload); !strings.Contains(said, "OVERLOADED") || !strings.Contains(said, "at most 3 operations run at once on a connection") {
			t.Errorf("got %s", f.Payload)
		}
		p.end("0")
		eventually(t, "one ends", func() bool { return s.feeds.running.Load() == 2 })
		p.begin("instead", typename)
		p.receive()
	})
}

func TestConnectionsBeyondTheLimitAreRefused(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Streams = 1 })
	p := s.connect(t, modernProtocol)
	if _, response, err := s.handshake(nil, modernProtocol); err == nil || response.StatusCode != 503 {
		t.Errorf("a second WebSocket: got %v", err)
	}
	if e := s.listen(t, watch("alice")); e.status != 503 {
		t.Errorf("an event stream: got %d", e.status)
	}
	p.conn.Close()
	eventually(t, "the place is free", func() bool { return s.streams.n.Load() == 0 })
	s.connect(t, modernProtocol)
}

func TestAClientThatDoesNotBeginIsDisconnected(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t, func(c *Config) { c.Limits.Init = 50 * time.Millisecond })
		s.dial(t, protocol).expectClose(4408)
	})
}

func TestPingsAreAnswered(t *testing.T) {
	s := start(t)
	p := s.dial(t, modernProtocol)
	p.send(`{"type":"ping","payload":{"early":true}}`)
	if f := p.expect("pong", ""); string(f.Payload) != `{"early":true}` {
		t.Errorf("got %s", f.Payload)
	}
	p.send(`{"type":"connection_init"}`)
	p.expect("connection_ack", "")
	// A payload that looks like the end of a message is passed on as it is.
	p.follow(s, "a", "alice")
	const odd = `{"id":"1","type":"complete"}`
	p.send(`{"type":"ping","payload":` + odd + `}`)
	if f := p.expect("pong", ""); string(f.Payload) != odd {
		t.Errorf("got %s", f.Payload)
	}
	s.feeds.send(t, "alice", 1)
	p.expectVersion("a", 1)
}

func TestASilentClientIsDisconnected(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t, func(c *Config) { c.Limits.Ping = 50 * time.Millisecond })
		// Given a client that reads nothing, and so never answers a ping.
		p := s.connect(t, protocol)
		p.follow(s, "a", "alice")
		eventually(t, "the subscription ends", func() bool { return s.feeds.running.Load() == 0 })
	})
}

func TestAClientThatAnswersHeartbeatsStays(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t, func(c *Config) { c.Limits.Ping = 300 * time.Millisecond })
		p := s.connect(t, protocol)
		p.follow(s, "a", "alice")
		// When many heartbeats go by: the old protocol's are ka messages, and pings that the library answers.
		for beats := 0; beats < 5; beats++ {
			_ = p.conn.SetReadDeadline(time.Now().Add(patience))
			var f frame
			if err := p.conn.ReadJSON(&f); err != nil {
				t.Fatalf("after %d heartbeats: %v", beats, err)
			}
			if f.Type == "ping" {
				p.send(`{"type":"pong"}`)
			}
		}
		if s.feeds.running.Load() != 1 {
			t.Error("the subscription ended")
		}
	})
}

func TestAPongDoesNotPutOffTheEndOfAConnection(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Ping = time.Hour })
	p := s.connect(t, legacyProtocol)
	// When a client breaks the protocol, then answers a heartbeat, and never says goodbye.
	p.send("garbage")
	if err := p.conn.WriteControl(websocket.PongMessage, nil, time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the connection is forgotten", func() bool { return s.streams.n.Load() == 0 })
}

func TestASlowClientIsDisconnected(t *testing.T) {
	eachProtocol(t, func(t *testing.T, protocol string) {
		s := start(t, func(c *Config) { c.Limits.StreamWrite, c.Limits.Ping = 100*time.Millisecond, time.Hour })
		p := s.connect(t, protocol)
		p.follow(s, "a", "alice")
		// When a client asks for more than all buffers on the way hold, and takes none of it.
		for i := 0; i < 300 && p.tryBegin(fmt.Sprint(i), request(introspection, nil)) == nil; i++ {
		}
		eventually(t, "the subscription ends", func() bool { return s.feeds.running.Load() == 0 })
	})
}

func TestLongMessagesBeyondTheLimitAreRefused(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.LargeBodies, c.Limits.Read = 1, 300*time.Millisecond })
	long := request("{ __typename } #"+strings.Repeat("x", 100<<10), nil)
	// Given one client that never comes to the end of a long message.
	first := s.connect(t, modernProtocol)
	w, err := first.conn.NextWriter(websocket.TextMessage)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, long); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is being read", func() bool { return s.largeBodies.n.Load() == 1 })

	second := s.connect(t, modernProtocol)
	second.begin("a", long)
	second.expectClose(websocket.CloseTryAgainLater)
	if a := s.post(t, long); a.status != 503 || a.code() != "OVERLOADED" {
		t.Errorf("a long body gets %d %s", a.status, a.body)
	}
	// Then the first is disconnected, and the place is free.
	eventually(t, "the place is free", func() bool { return s.largeBodies.n.Load() == 0 })
	for transport, ask := range transports {
		if a := ask(s, t, long); len(a.Errors) != 0 || !strings.Contains(a.body, "Query") {
			t.Errorf("%s: got %s", transport, a.body)
		}
	}
}
