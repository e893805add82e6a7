package server

import (
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"daybook/domain"
	"daybook/resolvers"
)

// Front serves HTTP on a listener from the moment it is bound. Until a server takes over it answers that the node starts:
// that may take minutes, and who watches a node takes silence for one that hangs.
type Front struct {
	http   *http.Server
	scrape http.Handler
	server atomic.Pointer[Server]
	// ended is closed once the listener is, for the reason in err.
	ended chan struct{}
	err   error
}

// Listen begins to answer on a listener, which Serve and Close close. Limits stand for DefaultLimits when zero. The
// gatherer gives what /metrics answers until a server takes over; nil means nothing.
func Listen(listener net.Listener, limits Limits, gatherer prometheus.Gatherer, log *slog.Logger) *Front {
	if limits == (Limits{}) {
		limits = DefaultLimits()
	}
	f := &Front{scrape: scraper(gatherer), ended: make(chan struct{})}
	f.http = &http.Server{
		Handler:           f,
		ReadHeaderTimeout: limits.ReadHeader,
		ReadTimeout:       limits.Read,
		WriteTimeout:      limits.Write,
		IdleTimeout:       limits.Idle,
		MaxHeaderBytes:    limits.Header,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() {
		defer close(f.ended)
		f.err = f.http.Serve(newLimitListener(listener, limits.Connections))
	}()
	return f
}

// HandOver has a server answer from now on.
func (f *Front) HandOver(s *Server) { f.server.Store(s) }

// Close ends listening and all connections at once. It is for a node that never serves; after Serve it does nothing.
func (f *Front) Close() error {
	err := f.http.Close()
	<-f.ended
	return err
}

// ServeHTTP implements http.Handler.
func (f *Front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if s := f.server.Load(); s != nil {
		s.ServeHTTP(w, r)
		return
	}
	switch path := r.URL.Path; {
	case path == "/healthz":
		serveText(w, r, http.StatusOK, "ok")
	case path == "/readyz":
		serveReady(w, r, func() Health {
			return Health{"server": {
				State: Unready, Code: "STARTING",
				Message: "the node is starting; wait, and if it lasts read in the log what it is doing",
			}}
		})
	case path == "/metrics" && f.scrape != nil:
		f.scrape.ServeHTTP(w, r)
	default:
		w.Header().Set("Retry-After", "5")
		writeErrors(w, accept(r.Header).json, http.StatusServiceUnavailable,
			resolvers.NewError(domain.Unavailable, "this request did nothing: the node is starting; try again later"))
	}
}
