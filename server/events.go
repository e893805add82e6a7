package server

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// serveEvents answers an operation as server-sent events: "next" for each result, "complete" at the end, comments as
// heartbeats. A stream that ends without "complete" was cut off. errs are why the operation is not executed.
func (s *Server) serveEvents(w http.ResponseWriter, r *http.Request, op *graphql.OperationContext, errs gqlerror.List) {
	if !s.streams.acquire() {
		s.refuse(w, r, &refusal{http.StatusServiceUnavailable, overloaded()})
		return
	}
	defer s.streams.release()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	events := &eventWriter{
		w: w, control: http.NewResponseController(w), patience: s.limits.StreamWrite, cancel: cancel,
	}
	if !s.open.add(events) {
		s.refuse(w, r, stopping())
		return
	}
	defer s.open.remove(events)
	defer func() {
		if cause := recover(); cause != nil {
			// The answer has begun, so all there is to do is to cut it off.
			_ = s.config.Resolver.Recover(ctx, cause)
			panic(http.ErrAbortHandler)
		}
	}()

	h := w.Header()
	h.Set("Content-Type", eventStream)
	h["Cache-Control"] = noStore
	h["X-Content-Type-Options"] = noSniff
	// Proxies that gather an answer before passing it on are asked not to.
	h.Set("X-Accel-Buffering", "no")
	events.send([]byte(":\n\n"))
	stop := events.beat(ctx, s.limits.Ping)
	defer stop()

	if errs != nil {
		events.next(s.operations.DispatchError(ctx, errs))
	} else {
		s.follow(ctx, events, op)
	}
	if ctx.Err() == nil {
		events.send([]byte("event: complete\ndata:\n\n"))
	}
}

// follow sends the results of an operation until they end or the client leaves.
func (s *Server) follow(ctx context.Context, events *eventWriter, op *graphql.OperationContext) {
	responses, ctx := limited{s.operations, s}.DispatchOperation(ctx, op)
	for response := responses(ctx); response != nil; response = responses(ctx) {
		events.next(response)
	}
}

// eventWriter writes to one client, events and heartbeats one after another.
type eventWriter struct {
	mu       sync.Mutex
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
	cancel   context.CancelFunc
}

func (e *eventWriter) next(response *graphql.Response) {
	body, err := marshal(response)
	if err != nil {
		panic(err)
	}
	event := make([]byte, 0, len(body)+32)
	event = append(event, "event: next\ndata: "...)
	event = append(event, body...)
	e.send(append(event, "\n\n"...))
}

// send cancels the stream when the client does not take the bytes in time.
func (e *eventWriter) send(event []byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	err := e.control.SetWriteDeadline(soon(e.patience))
	if err == nil {
		_, err = e.w.Write(event)
	}
	if err == nil {
		err = e.control.Flush()
	}
	if err != nil {
		e.cancel()
	}
}

// beat sends heartbeats until the function it returns is called, which waits for the last to be through: nothing may
// write after the request has ended.
func (e *eventWriter) beat(ctx context.Context, every time.Duration) (stop func()) {
	done := make(chan struct{})
	var beating sync.WaitGroup
	beating.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				e.send([]byte(": ping\n\n"))
			case <-ctx.Done():
				return
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		beating.Wait()
	}
}

// goAway ends the stream: the client finds it cut off and asks again elsewhere.
func (e *eventWriter) goAway() { e.cancel() }

// abandon implements stream. The HTTP server closes the connection.
func (e *eventWriter) abandon() { e.cancel() }
