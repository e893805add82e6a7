package server

import (
	"context"
	"net/http"
	"slices"
	"sync"

	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/gorilla/websocket"

	"daybook/domain"
)

// The sub-protocols, the preferred one first. Where a client offers both, it is the first that is spoken.
const (
	modernProtocol = "graphql-transport-ws"
	legacyProtocol = "graphql-ws"
)

var protocols = []string{modernProtocol, legacyProtocol}

// writeBuffers are shared: connections rest most of the time.
var writeBuffers sync.Pool

// serveWebSocket speaks one of the sub-protocols until either side leaves. gqlgen carries out the operations; socket
// stands between it and the network.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request) {
	offered := websocket.Subprotocols(r)
	if !slices.ContainsFunc(protocols, func(p string) bool { return slices.Contains(offered, p) }) {
		s.refuse(w, r, refuse(http.StatusBadRequest, domain.BadUserInput,
			"offer the WebSocket sub-protocol %s or %s", modernProtocol, legacyProtocol))
		return
	}
	if !s.streams.acquire() {
		s.refuse(w, r, &refusal{http.StatusServiceUnavailable, overloaded()})
		return
	}
	defer s.streams.release()
	if s.open.stopped() {
		s.refuse(w, r, stopping())
		return
	}
	upgrader := websocket.Upgrader{
		HandshakeTimeout: s.limits.Init, Subprotocols: protocols, WriteBufferPool: &writeBuffers, WriteBufferSize: 4096,
		// The origin was checked before.
		CheckOrigin: func(*http.Request) bool { return true },
		Error: func(w http.ResponseWriter, r *http.Request, status int, _ error) {
			s.refuse(w, r, refuse(status, domain.BadUserInput, "this is not a WebSocket handshake of version 13"))
		},
	}
	conn, err := upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	c := newSocket(conn, s.limits, &s.largeBodies, cancel)
	defer c.finish()
	if !s.open.add(c) {
		c.goAway()
		return
	}
	defer s.open.remove(c)
	t := transport.Websocket{
		Implementation:        accepting{c},
		KeepAlivePingInterval: s.limits.Ping,
		PingPongInterval:      s.limits.Ping,
		PayloadReadLimit:      &s.limits.Body,
	}
	t.Do(w, r.WithContext(ctx), limited{s.operations, s})
}

// accepting hands gqlgen a connection that is established already.
type accepting struct{ *socket }

// Accept implements transport.WebsocketImplementation.
func (a accepting) Accept(http.ResponseWriter, *http.Request, transport.WebsocketAcceptOptions) (transport.WebsocketConn, error) {
	return a.socket, nil
}
