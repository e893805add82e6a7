package server

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"daybook/domain"
	"daybook/resolvers"
)

// checkOrigin refuses pages of other sites: a browser would let any of them talk to a server on its user's machine.
// Clients that are no browsers send no Origin and pass.
func (s *Server) checkOrigin(w http.ResponseWriter, r *http.Request) *refusal {
	origin := r.Header.Get("Origin")
	if origin == "" {
		return nil
	}
	if slices.Contains(s.origins, strings.ToLower(origin)) {
		w.Header().Set("Access-Control-Allow-Origin", origin)
		w.Header().Set("Access-Control-Expose-Headers", resolvers.HeaderCorrelationID)
		w.Header().Add("Vary", "Origin")
		return nil
	}
	if len(r.Header["Origin"]) == 1 && isOwn(origin, r) {
		return nil
	}
	return refuse(http.StatusForbidden, domain.BadUserInput,
		"pages of this origin are not allowed here; serve them from this address, or allow their origin with --allow-origin")
}

// isOwn tells whether a page came from this server. A server that is only reached from its own machine also asks that
// the page's host says so: with a name of their own that points here, others could pass as its pages.
func isOwn(origin string, r *http.Request) bool {
	u, err := url.Parse(origin)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || !strings.EqualFold(u.Host, r.Host) {
		return false
	}
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	if local == nil || !local.IP.IsLoopback() {
		return true
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}

// preflight answers a browser that asks what a page of an allowed origin may send.
func preflight(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Allow", "POST, OPTIONS")
	h.Set("Access-Control-Allow-Methods", "POST")
	h.Set("Access-Control-Allow-Headers", "Content-Type, Traceparent, X-Actor-Id, X-Actor-Type, X-Correlation-Id")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}
