package server

import (
	"strings"
	"testing"
	"time"
)

func (e *events) follow(s *site, accountID string) {
	e.t.Helper()
	eventually(e.t, "the subscription runs", func() bool { return len(s.feeds.of(accountID)) == 1 })
}

func TestEventsDeliverAndComplete(t *testing.T) {
	s := start(t)
	e := s.listen(t, watch("alice"))
	e.follow(s, "alice")
	for v := range int64(100) {
		s.feeds.send(t, "alice", v)
		if data := e.expect("next"); !strings.Contains(data, `"version":`) {
			t.Fatalf("got %s", data)
		}
	}
	close(s.feeds.of("alice")[0])
	e.expect("complete")
}

func TestEventsBeatBetweenChanges(t *testing.T) {
	// Given that reading a request may take less time than its stream lasts.
	s := start(t, func(c *Config) {
		c.Limits.Ping, c.Limits.Read, c.Limits.Write = 20*time.Millisecond, 100*time.Millisecond, 100*time.Millisecond
		c.Limits.Request = 100 * time.Millisecond
	})
	e := s.listen(t, watch("alice"))
	e.follow(s, "alice")
	for range 20 {
		if name, _, err := e.next(); err != nil || name != ":" {
			t.Fatalf("got %q %v, want a heartbeat", name, err)
		}
	}
	s.feeds.send(t, "alice", 1)
	e.expect("next")
}

func TestAListenerThatGoesAwayEndsItsSubscription(t *testing.T) {
	s := start(t)
	e := s.listen(t, watch("alice"))
	e.follow(s, "alice")
	e.cancel()
	eventually(t, "the subscription ends", func() bool { return s.feeds.running.Load() == 0 && s.streams.n.Load() == 0 })
}

func TestAClientOfBothGetsEventsForSubscriptionsOnly(t *testing.T) {
	s := start(t)
	const both = "application/graphql-response+json, application/json, text/event-stream, multipart/mixed"
	if a := s.post(t, typename, "Accept", both); !strings.HasPrefix(a.header.Get("Content-Type"), graphqlJSON) {
		t.Errorf("a query gets %s", a.header.Get("Content-Type"))
	}
	if a := s.post(t, request(`subscription { transactionUpdated(id: "x") { id } }`, nil), "Accept", both); a.header.Get("Content-Type") != eventStream {
		t.Errorf("a subscription gets %s", a.header.Get("Content-Type"))
	}
	if a := s.post(t, `{"query":"{"}`, "Accept", both); a.status != 400 {
		t.Errorf("a fault gets %d", a.status)
	}
}
