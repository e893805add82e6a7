package server

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
)

// State is how a part of the node is.
type State string

// The states, from good to bad. A node with a degraded part serves what does not need that part, and should get traffic;
// one with an unready part should get none.
const (
	OK       State = "ok"
	Degraded State = "degraded"
	Unready  State = "unready"
)

// Component is how one part of the node is.
type Component struct {
	State State `json:"state"`
	// Code is a stable name for what is the matter; empty when nothing is.
	Code string `json:"code,omitempty"`
	// Message is one sentence that says what to do; Cause what the part itself says.
	Message string `json:"message,omitempty"`
	Cause   string `json:"cause,omitempty"`
	// Details are figures of the part.
	Details map[string]any `json:"details,omitempty"`
}

// Health is how the parts of the node are, by name.
type Health map[string]Component

// State is the worst of the parts.
func (h Health) State() State {
	state := OK
	for _, c := range h {
		switch {
		case c.State == Unready:
			return Unready
		case c.State == Degraded:
			state = Degraded
		}
	}
	return state
}

// own is how the server itself is.
func (s *Server) own() Component {
	c := Component{State: OK, Details: map[string]any{
		"inFlight": s.inFlight.n.Load(), "inFlightLimit": s.inFlight.limit,
		"streams": s.streams.n.Load(), "streamsLimit": s.streams.limit,
	}}
	switch {
	case s.open.stopped():
		c.State, c.Code = Unready, "STOPPING"
		c.Message = "the node is stopping; send requests to another one"
	case s.inFlight.n.Load() >= s.inFlight.limit, s.streams.n.Load() >= s.streams.limit:
		c.State, c.Code = Degraded, "OVERLOADED"
		c.Message = "the node refuses what is beyond its limits; spread the load over more nodes"
	}
	return c
}

// health is how the node and the server are.
func (s *Server) health(ctx context.Context) Health {
	parts := s.config.Health(ctx)
	components := make(Health, len(parts)+1)
	maps.Copy(components, parts)
	components["server"] = s.own()
	return components
}

// serveReady answers 503 only where this node should get no traffic.
func serveReady(w http.ResponseWriter, r *http.Request, health func() Health) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		serveText(w, r, http.StatusOK, "")
		return
	}
	components := health()
	state, status := components.State(), http.StatusOK
	if state == Unready {
		status = http.StatusServiceUnavailable
	}
	body, err := json.MarshalIndent(struct {
		State      State  `json:"state"`
		Components Health `json:"components"`
	}{state, components}, "", "  ")
	if err != nil {
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	w.WriteHeader(status)
	_, _ = w.Write(append(body, '\n'))
}
