package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/99designs/gqlgen/graphql/handler"
	"github.com/99designs/gqlgen/graphql/handler/lru"
	"github.com/99designs/gqlgen/graphql/handler/transport"
	"github.com/vektah/gqlparser/v2/ast"

	"daybook/graph"
	"daybook/resolvers"
)

// BenchmarkRefusing shows what each hostile document costs.
func BenchmarkRefusing(b *testing.B) {
	for _, bad := range badDocuments() {
		b.Run(bad.name, func(b *testing.B) {
			d := checker()
			b.ReportAllocs()
			for b.Loop() {
				_, _ = d.get(bad.query)
			}
		})
	}
}

// BenchmarkTopUp is one top-up through the handler, without the network and with nothing behind the resolvers, beside
// a bare gqlgen server of the same schema and resolvers.
func BenchmarkTopUp(b *testing.B) {
	c := config(&backend{})
	bare := handler.New(graph.NewExecutableSchema(graph.Config{Resolvers: c.Resolver}))
	bare.AddTransport(transport.POST{})
	bare.SetQueryCache(lru.New[*ast.QueryDocument](100))
	body := request(`mutation TopUp($input: TopUpInput!) { topUp(input: $input) { transaction { id status } account { id version } userErrors { field message code } } }`, topUpOf(nil))
	for name, h := range map[string]http.Handler{"ours": New(c), "bare": bare} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body))
				r.Header.Set("Content-Type", "application/json")
				w := httptest.NewRecorder()
				h.ServeHTTP(w, r)
				if w.Code != http.StatusOK {
					b.Fatal(w.Body)
				}
			}
		})
	}
}

// BenchmarkBatch is a batch of a thousand top-ups through the handler, with nothing behind the resolvers.
func BenchmarkBatch(b *testing.B) {
	h := New(config(&backend{}))
	body := request(batchMutation, map[string]any{"input": map[string]any{"commands": batchOf(resolvers.MaxBatch)}})
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/graphql", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != http.StatusOK || strings.Contains(w.Body.String(), `"errors"`) {
			b.Fatal(w.Body)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/resolvers.MaxBatch, "ns/command")
}
