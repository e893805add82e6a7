package server

import (
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

func TestShutdownSaysGoodbyeToStreamsAndLetsRequestsFinish(t *testing.T) {
	s := start(t)
	var peers []*peer
	for _, protocol := range subProtocols {
		p := s.connect(t, protocol)
		p.follow(s, "a", "alice")
		peers = append(peers, p)
	}
	e := s.listen(t, watch("bob"))
	e.follow(s, "bob")
	var asking sync.WaitGroup
	asking.Go(func() {
		if a := s.post(t, request(`{ account(id: "wait") { id } }`, nil)); a.status != 200 || len(a.Errors) != 0 {
			t.Errorf("the request in flight got %d %s", a.status, a.body)
		}
	})
	eventually(t, "a request is in flight", func() bool { return s.feeds.waiting.Load() == 1 })

	s.stop()
	for _, p := range peers {
		p.expectClose(1001)
	}
	for {
		name, _, err := e.next()
		if err != nil {
			break
		}
		if name == "complete" {
			t.Error("a stream that was cut off says that it is complete")
		}
	}
	eventually(t, "the subscriptions end", func() bool { return s.feeds.running.Load() == 0 })
	close(s.feeds.proceed)
	asking.Wait()
}

func TestShutdownIsBounded(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Shutdown, c.Limits.Goodbye = 200*time.Millisecond, time.Hour })
	// Given a client that never answers a close frame, and a request that never ends by itself.
	s.connect(t, modernProtocol).follow(s, "a", "alice")
	var asking sync.WaitGroup
	asking.Go(func() {
		response, err := client.Post("http://"+s.address+"/graphql", "application/json", strings.NewReader(request(`{ account(id: "wait") { id } }`, nil)))
		if err == nil {
			response.Body.Close()
		}
	})
	eventually(t, "a request is in flight", func() bool { return s.feeds.waiting.Load() == 1 })
	s.stop()
	select {
	case err := <-s.ended:
		if err != nil {
			t.Error(err)
		}
		s.ended <- nil
	case <-time.After(patience):
		t.Fatal("the server does not end")
	}
	asking.Wait()
}

func TestAClosedServerRefusesStreams(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Goodbye = 50 * time.Millisecond })
	p := s.connect(t, modernProtocol)
	s.Close()
	p.expectClose(1001)
	e := s.listen(t, watch("alice"))
	if said, _ := io.ReadAll(e.lines); e.status != http.StatusServiceUnavailable || !strings.Contains(string(said), "this request did nothing") {
		t.Errorf("an event stream gets %d %s", e.status, said)
	}
	if _, response, err := s.handshake(nil, modernProtocol); err == nil || response.StatusCode != 503 {
		t.Errorf("a WebSocket gets %v", err)
	}
	if a := s.do(t, "GET", "/readyz", ""); a.status != 503 {
		t.Errorf("/readyz answers %d", a.status)
	}
	if a := s.post(t, typename); a.status != 200 {
		t.Errorf("a query gets %d", a.status)
	}
}

func TestConnectionsBeyondTheLimitWait(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.Connections = 1 })
	p := s.connect(t, modernProtocol)
	answered := make(chan answer, 1)
	var asking sync.WaitGroup
	asking.Go(func() { answered <- s.post(t, typename) })
	// When the place is given free, the one that waits is served.
	p.conn.Close()
	asking.Wait()
	if a := <-answered; a.status != 200 {
		t.Errorf("got %d", a.status)
	}
	eventually(t, "all places are free", func() bool { return s.streams.n.Load() == 0 })
}

func TestANodeThatStartsSaysSoOnceItListens(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	promauto.With(registry).NewGauge(prometheus.GaugeOpts{Name: "of_the_process", Help: "Of the process."})
	s := &site{address: listener.Addr().String(), backend: &backend{}}
	c := config(s.backend)
	front := Listen(listener, c.Limits, registry, c.Logger)

	if a := s.do(t, "GET", "/healthz", ""); a.status != 200 || a.body != "ok\n" {
		t.Errorf("/healthz answers %d %q", a.status, a.body)
	}
	if status, r := s.readiness(t); status != 503 || r.State != Unready || r.Components["server"].Code != "STARTING" {
		t.Errorf("/readyz answers %d %+v", status, r)
	}
	if a := s.do(t, "GET", "/metrics", ""); a.status != 200 || !strings.Contains(a.body, "of_the_process") {
		t.Errorf("/metrics answers %d %s", a.status, a.body)
	}
	for _, a := range []answer{s.post(t, typename), s.do(t, "GET", "/", ""), s.do(t, "GET", "/graphql", "")} {
		if a.status != 503 || a.code() != "UNAVAILABLE" || a.header.Get("Retry-After") == "" || !strings.Contains(a.body, "this request did nothing") {
			t.Errorf("a request gets %d %s", a.status, a.body)
		}
	}
	if _, response, err := s.handshake(nil, modernProtocol); err == nil || response.StatusCode != 503 {
		t.Errorf("a WebSocket gets %v", err)
	}

	// When it has started, before it serves, requests are answered.
	s.Server = New(c)
	front.HandOver(s.Server)
	if a := s.post(t, typename); a.status != 200 || len(a.Errors) != 0 {
		t.Errorf("once it has started a query gets %d %s", a.status, a.body)
	}
	if a := s.do(t, "GET", "/readyz", ""); a.status != 200 {
		t.Errorf("once it has started /readyz answers %d %s", a.status, a.body)
	}
	if err := front.Close(); err != nil {
		t.Error(err)
	}
	if conn, err := net.Dial("tcp", s.address); err == nil {
		conn.Close()
		t.Error("a front that was closed accepts connections")
	}
}

func TestServingEndsWhenTheListenerFails(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := config(&backend{})
	front := Listen(listener, c.Limits, nil, c.Logger)
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if err := New(c).Serve(t.Context(), front); err == nil || !strings.Contains(err.Error(), "serving HTTP") {
		t.Errorf("got %v", err)
	}
}
