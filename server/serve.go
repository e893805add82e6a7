package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"daybook/domain"
)

// Serve answers what comes to a front, which it closes, until ctx ends. Then it refuses new work, says goodbye to streams,
// lets requests finish, all in bounded time, and returns nil.
func (s *Server) Serve(ctx context.Context, front *Front) error {
	front.HandOver(s)
	h := front.http
	select {
	case <-front.ended:
		s.Close()
		return errors.Join(fmt.Errorf("serving HTTP: %w", front.err), h.Close())
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.limits.Shutdown)
	defer cancel()
	// Listening ends first, and streams while requests still may finish.
	var goodbye sync.WaitGroup
	goodbye.Go(func() { s.open.stop(patience) })
	err := h.Shutdown(patience)
	goodbye.Wait()
	if err != nil {
		s.config.Logger.Warn("requests were cut off at shutdown; their clients have to send them again with the same idempotency keys", "after", s.limits.Shutdown)
		err = h.Close()
	}
	<-front.ended
	if !errors.Is(front.err, http.ErrServerClosed) {
		err = errors.Join(err, front.err)
	}
	return err
}

// Close ends every stream and refuses new ones: WebSocket clients get close code 1001. It is for servers that run
// without Serve; it returns in bounded time.
func (s *Server) Close() {
	patience, cancel := context.WithTimeout(context.Background(), s.limits.Shutdown)
	defer cancel()
	s.open.stop(patience)
}

func stopping() *refusal {
	return refuse(http.StatusServiceUnavailable, domain.Unavailable, "this request did nothing: the server is shutting down; try again")
}

// stream is an open WebSocket or event stream.
type stream interface {
	// goAway tells the client that the server leaves, and ends its operations. It returns in bounded time.
	goAway()
	// abandon closes the connection without another word.
	abandon()
}

// openStreams are the streams to end at shutdown.
type openStreams struct {
	mu      sync.Mutex
	stops   bool
	streams map[stream]struct{}
}

// add returns false once the server stops.
func (o *openStreams) add(s stream) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.stops {
		return false
	}
	if o.streams == nil {
		o.streams = map[stream]struct{}{}
	}
	o.streams[s] = struct{}{}
	return true
}

func (o *openStreams) remove(s stream) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.streams, s)
}

func (o *openStreams) stopped() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.stops
}

func (o *openStreams) left() []stream {
	o.mu.Lock()
	defer o.mu.Unlock()
	left := make([]stream, 0, len(o.streams))
	for s := range o.streams {
		left = append(left, s)
	}
	return left
}

// stop ends all streams and waits for them, abandoning those that are left when patience ends.
func (o *openStreams) stop(patience context.Context) {
	o.mu.Lock()
	o.stops = true
	o.mu.Unlock()
	var goodbyes sync.WaitGroup
	for _, s := range o.left() {
		goodbyes.Go(s.goAway)
	}
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for len(o.left()) > 0 {
		select {
		case <-poll.C:
		case <-patience.Done():
			for _, s := range o.left() {
				s.abandon()
			}
			goodbyes.Wait()
			return
		}
	}
	goodbyes.Wait()
}
