// Package server is the HTTP side: the API over POST, event streams and WebSockets, the playground, and whether the
// process lives and is ready. It lets nothing reach the resolvers that is malformed or asks for too much.
package server

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"go.opentelemetry.io/otel/trace"

	"daybook/domain"
	"daybook/graph"
	"daybook/resolvers"
)

// Config is what a server is made of. All down to Logger is required.
type Config struct {
	Resolver *resolvers.Resolver
	// Console serves the playground and its files.
	Console http.Handler
	// Health tells how the parts of the node are, within a bounded time.
	Health func(ctx context.Context) Health
	Logger *slog.Logger
	// Limits stand for DefaultLimits when zero.
	Limits Limits
	// Origins are the other sites whose pages may use the API, such as https://app.example.com.
	Origins []string
	// Registerer takes the server's metrics, Gatherer gives what /metrics answers, Tracer makes spans. Nil means none.
	Registerer prometheus.Registerer
	Gatherer   prometheus.Gatherer
	Tracer     trace.Tracer
}

// Server answers HTTP requests. It is an http.Handler; Serve runs it with the timeouts it needs.
type Server struct {
	config     Config
	limits     Limits
	origins    []string
	operations *operations
	metrics    *metrics
	scrape     http.Handler

	inFlight    counter
	largeBodies counter
	streams     counter
	open        openStreams
}

// New makes a server.
func New(c Config) *Server { return newServer(c, c.Resolver) }

func newServer(c Config, root graph.ResolverRoot) *Server {
	if c.Limits == (Limits{}) {
		c.Limits = DefaultLimits()
	}
	m := newMetrics(c.Registerer)
	s := &Server{
		config: c, limits: c.Limits, operations: newOperations(root, c, m), metrics: m, scrape: scraper(c.Gatherer),
		inFlight:    counter{limit: int64(c.Limits.InFlight)},
		largeBodies: counter{limit: int64(c.Limits.LargeBodies)},
		streams:     counter{limit: int64(c.Limits.Streams)},
	}
	s.observe(c.Registerer)
	for _, origin := range c.Origins {
		s.origins = append(s.origins, strings.ToLower(strings.TrimSuffix(origin, "/")))
	}
	return s
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer s.recover(w, r)
	switch path := r.URL.Path; {
	case path == "/graphql":
		s.serveGraphQL(w, r)
	case path == "/healthz":
		serveText(w, r, http.StatusOK, "ok")
	case path == "/readyz":
		serveReady(w, r, func() Health { return s.health(r.Context()) })
	case path == "/metrics" && s.scrape != nil:
		s.scrape.ServeHTTP(w, r)
	default:
		s.config.Console.ServeHTTP(w, r)
	}
}

// recover answers a request that panicked. What was sent already stays as it is.
func (s *Server) recover(w http.ResponseWriter, r *http.Request) {
	cause := recover()
	if cause == nil {
		return
	}
	if cause == http.ErrAbortHandler { //nolint:errorlint // it is thrown as it is
		panic(cause)
	}
	err := s.config.Resolver.PresentError(r.Context(), s.config.Resolver.Recover(r.Context(), cause))
	s.metrics.failed(err)
	writeErrors(w, graphqlJSON, http.StatusInternalServerError, err)
}

func serveText(w http.ResponseWriter, r *http.Request, status int, text string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		status, text = http.StatusMethodNotAllowed, "ask with GET"
	}
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n"))
}

func (s *Server) serveGraphQL(w http.ResponseWriter, r *http.Request) {
	if refused := s.checkOrigin(w, r); refused != nil {
		s.refuse(w, r, refused)
		return
	}
	switch {
	case r.Method == http.MethodGet && websocket.IsWebSocketUpgrade(r):
		s.serveWebSocket(w, r)
	case r.Method == http.MethodPost:
		s.servePost(w, r)
	case r.Method == http.MethodOptions:
		preflight(w)
	default:
		w.Header().Set("Allow", "POST, OPTIONS")
		s.refuse(w, r, refuse(http.StatusMethodNotAllowed, domain.BadUserInput, "send operations with POST, or over a WebSocket"))
	}
}

// servePost answers one operation, in JSON or as a stream of events.
func (s *Server) servePost(w http.ResponseWriter, r *http.Request) {
	if id := s.config.Resolver.Correlate(r.Header); id != "" {
		w.Header().Set(resolvers.HeaderCorrelationID, id)
	}
	params, refused := s.read(w, r)
	if refused != nil {
		s.refuse(w, r, refused)
		return
	}
	if !s.inFlight.acquire() {
		s.refuse(w, r, &refusal{http.StatusServiceUnavailable, overloaded()})
		return
	}
	held := true
	release := func() {
		if held {
			held = false
			s.inFlight.release()
		}
	}
	defer release()

	taken := accept(r.Header)
	ctx := graphql.StartOperationTrace(r.Context())
	op, errs := s.operations.CreateOperationContext(ctx, params)
	ctx = graphql.WithOperationContext(ctx, op)
	switch {
	case taken.onlyStream, errs == nil && taken.stream && isSubscription(op):
		release()
		s.serveEvents(w, r.WithContext(ctx), op, errs)
	case errs != nil:
		writeJSON(w, taken.json, faultStatus(taken.json), s.operations.DispatchError(ctx, errs))
	case isSubscription(op):
		err := badInput(nil, "a subscription needs a WebSocket, or an Accept header with text/event-stream")
		s.metrics.failed(err)
		writeErrors(w, taken.json, http.StatusNotAcceptable, err)
	default:
		s.execute(ctx, w, taken.json, op)
	}
}

// execute answers a query or mutation.
func (s *Server) execute(ctx context.Context, w http.ResponseWriter, mediaType string, op *graphql.OperationContext) {
	ctx, cancel := context.WithTimeout(ctx, s.limits.Request)
	defer cancel()
	responses, ctx := s.operations.DispatchOperation(ctx, op)
	response := responses(ctx)
	if response == nil {
		err := resolvers.NewError(domain.Unavailable, "the request ended before it was answered")
		s.metrics.failed(err)
		writeErrors(w, mediaType, http.StatusServiceUnavailable, err)
		return
	}
	writeJSON(w, mediaType, http.StatusOK, response)
}

// faultStatus is what a well-formed request with a faulty document gets: clients of the old media type read the answer
// of a success only.
func faultStatus(mediaType string) int {
	if mediaType == legacyJSON {
		return http.StatusOK
	}
	return http.StatusBadRequest
}

func (s *Server) refuse(w http.ResponseWriter, r *http.Request, why *refusal) {
	s.metrics.failed(why.err)
	if why.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeErrors(w, accept(r.Header).json, why.status, why.err)
}

func writeErrors(w http.ResponseWriter, mediaType string, status int, errs ...*gqlerror.Error) {
	writeJSON(w, mediaType, status, &graphql.Response{Errors: errs})
}

// Header values are shared: making them for each request would be most of what an answer allocates.
var (
	mediaTypes = map[string][]string{
		legacyJSON:  {legacyJSON + "; charset=utf-8"},
		graphqlJSON: {graphqlJSON + "; charset=utf-8"},
	}
	noStore = []string{"no-store"}
	noSniff = []string{"nosniff"}

	dataStart = []byte(`{"data":`)
	dataEnd   = []byte(`}`)
)

func writeJSON(w http.ResponseWriter, mediaType string, status int, response *graphql.Response) {
	h := w.Header()
	h["Content-Type"] = mediaTypes[mediaType]
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	if len(response.Errors) == 0 && len(response.Extensions) == 0 && len(response.Data) > 0 {
		// What resolvers answered is JSON already: no need to read it once more. A client that does not take it is
		// gone, which nobody can be told.
		w.WriteHeader(status)
		_, _ = w.Write(dataStart)
		_, _ = w.Write(response.Data)
		_, _ = w.Write(dataEnd)
		return
	}
	body, err := marshal(response)
	if err != nil {
		panic(err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

// marshal leaves data out where nothing was executed, as the protocol asks.
func marshal(response *graphql.Response) ([]byte, error) {
	if response.Data == nil && len(response.Errors) > 0 {
		return json.Marshal(struct {
			Errors gqlerror.List `json:"errors"`
		}{response.Errors})
	}
	return json.Marshal(response)
}

// counter bounds how many of a thing there are at once.
type counter struct {
	limit int64
	n     atomic.Int64
}

func (c *counter) acquire() bool {
	if c.n.Add(1) > c.limit {
		c.n.Add(-1)
		return false
	}
	return true
}

func (c *counter) release() { c.n.Add(-1) }

// soon is the deadline for something that is to happen within a time. Deadlines of the network are real time.
func soon(within time.Duration) time.Time { return time.Now().Add(within) }
