package server

import (
	"context"
	"encoding/json"
	"net/http"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// readiness is what /readyz answers.
type readiness struct {
	State      State  `json:"state"`
	Components Health `json:"components"`
}

func (s *site) readiness(t *testing.T) (int, readiness) {
	t.Helper()
	a := s.do(t, "GET", "/readyz", "")
	var r readiness
	if err := json.Unmarshal([]byte(a.body), &r); err != nil {
		t.Fatalf("/readyz answers %q: %v", a.body, err)
	}
	return a.status, r
}

func TestOnlyWhatIsUnreadyTakesTheNodeOutOfService(t *testing.T) {
	parts := Health{}
	s := start(t, func(c *Config) { c.Health = func(context.Context) Health { return parts } })
	for _, c := range []struct {
		name   string
		parts  Health
		status int
		state  State
	}{
		{"all well", Health{"log": {State: OK}}, http.StatusOK, OK},
		{"the read model is away", Health{"log": {State: OK}, "readModel": {State: Degraded, Code: "READ_MODEL_UNAVAILABLE"}}, http.StatusOK, Degraded},
		{"the node starts", Health{"partitions": {State: Unready, Code: "STARTING"}, "readModel": {State: Degraded}}, http.StatusServiceUnavailable, Unready},
	} {
		parts = c.parts
		status, got := s.readiness(t)
		if status != c.status || got.State != c.state {
			t.Errorf("%s: /readyz answers %d %s, want %d %s", c.name, status, got.State, c.status, c.state)
		}
		for name, part := range c.parts {
			if got.Components[name].Code != part.Code || got.Components[name].State != part.State {
				t.Errorf("%s: %s is told as %+v", c.name, name, got.Components[name])
			}
		}
	}
	if a := s.do(t, "POST", "/readyz", ""); a.status != http.StatusMethodNotAllowed {
		t.Errorf("POST /readyz answers %d", a.status)
	}
}

func TestAServerAtItsLimitsSaysSoAndStaysInService(t *testing.T) {
	s := start(t, func(c *Config) { c.Limits.InFlight = 1 })
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.post(t, `{"query":"{ account(id: \"wait\") { id } }"}`)
	}()
	eventually(t, "the query is being executed", func() bool { return s.feeds.waiting.Load() == 1 })
	if status, got := s.readiness(t); status != http.StatusOK || got.State != Degraded || got.Components["server"].Code != "OVERLOADED" {
		t.Errorf("/readyz answers %d %+v", status, got)
	}
	close(s.feeds.proceed)
	<-done
	eventually(t, "the place is free", func() bool { _, got := s.readiness(t); return got.State == OK })
}

func TestAStoppingServerIsUnready(t *testing.T) {
	s := start(t)
	s.Close()
	if status, got := s.readiness(t); status != http.StatusServiceUnavailable || got.Components["server"].Code != "STOPPING" {
		t.Errorf("/readyz answers %d %+v", status, got)
	}
}

func TestErrorsAreCountedByCodeHoweverTheyCameAbout(t *testing.T) {
	registry := prometheus.NewRegistry()
	s := start(t, func(c *Config) { c.Registerer, c.Gatherer, c.Limits.InFlight = registry, registry, 0 })
	s.post(t, typename)                                                                    // OVERLOADED, before it is looked at
	s.limits.InFlight, s.inFlight.limit = 1, 1                                             //
	s.post(t, `{"query":"{"}`)                                                             // BAD_USER_INPUT, of the parser
	s.post(t, `{"query":"{ account(id: \"no id\") { id } }"}`)                             // BAD_USER_INPUT, of a resolver
	s.post(t, `{"query":"{ account(id: \"panic\") { id } }"}`)                             // INTERNAL, in a resolver
	s.do(t, "PUT", "/graphql", "")                                                         // BAD_USER_INPUT, of the protocol
	s.post(t, `{"query":"subscription { balanceChanged(accountId: \"a\") { version } }"}`) // BAD_USER_INPUT, of the transport
	for code, want := range map[string]float64{"OVERLOADED": 1, "BAD_USER_INPUT": 4, "INTERNAL": 1} {
		if got := counted(t, registry, "daybook_operation_errors_total", code); got != want {
			t.Errorf("%s was counted %v times, want %v", code, got, want)
		}
	}
	if a := s.do(t, "GET", "/metrics", ""); a.status != http.StatusOK {
		t.Errorf("/metrics answers %d", a.status)
	}
}

// counted is the value of a counter with one label.
func counted(t *testing.T, from prometheus.Gatherer, name, label string) float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			if labels := m.GetLabel(); len(labels) == 1 && labels[0].GetValue() == label {
				return m.GetCounter().GetValue()
			}
		}
	}
	return 0
}
