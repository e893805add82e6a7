package engine_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/internal/testenv"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	caller  = "00-" + traceID + "-00f067aa0ba902b7-01"
)

// parts are the spans that a command's owner makes.
var parts = []string{"queue", "decide", "write", "answer"}

// traced lets a node trace, into an exporter of its own.
func traced(t *testing.T) (*tracetest.InMemoryExporter, option) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	t.Cleanup(func() { _ = provider.Shutdown(context.Background()) })
	return exporter, with(func(c *engine.Config) { c.Tracer = provider.Tracer("daybook") })
}

// spans are the spans of the caller's trace that a node made, by name.
func spans(from *tracetest.InMemoryExporter) map[string][]tracetest.SpanStub {
	all := map[string][]tracetest.SpanStub{}
	for _, s := range from.GetSpans() {
		if s.SpanContext.TraceID().String() == traceID {
			all[s.Name] = append(all[s.Name], s)
		}
	}
	return all
}

// mustBeOneTrace looks, once the owner has told of it, for one span of each part of what was asked for, made by the node
// whose part it is.
func mustBeOneTrace(t *testing.T, asked, owner *tracetest.InMemoryExporter, command string) {
	t.Helper()
	here, there := spans(asked), spans(owner)
	testenv.Eventually(t, func() error {
		there = spans(owner)
		for _, name := range parts {
			if len(there[name]) != 1 {
				return fmt.Errorf("%d spans %s, and the owner told of %v", len(there[name]), name, slices.Collect(maps.Keys(there)))
			}
		}
		return nil
	})
	if len(here[command]) != 1 || len(here["travel"]) != 1 {
		t.Fatalf("the node asked made %v", slices.Collect(maps.Keys(here)))
	}
	for _, name := range parts {
		if len(here[name]) > 0 {
			t.Errorf("the node asked made a span %s", name)
		}
	}
	whole, travel := here[command][0], here["travel"][0]
	for name, s := range map[string]tracetest.SpanStub{
		"travel": travel, "queue": there["queue"][0], "decide": there["decide"][0], "write": there["write"][0], "answer": there["answer"][0],
	} {
		if s.Parent.SpanID() != whole.SpanContext.SpanID() {
			t.Errorf("%s is not a part of the command", name)
		}
		if s.EndTime.Before(s.StartTime) {
			t.Errorf("%s ends before it begins", name)
		}
	}
	if write := there["write"][0]; write.StartTime.Before(travel.StartTime) || write.EndTime.After(travel.EndTime) {
		t.Error("it was not written while it was on its way")
	}
}

func TestACommandForAnotherNodeIsOneTrace(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	here, tracing := traced(t)
	first := startNode(t, brokers, t.TempDir(), []int32{0, 1}, named("first"), tracing)
	there, tracing := traced(t)
	second := startNode(t, brokers, t.TempDir(), []int32{2}, named("second"), tracing)
	id := inPartition(2, "a")
	second.create(id)
	ask := func(c ledger.Command) ledger.Command {
		here.Reset()
		there.Reset()
		c.Common().Traceparent = caller
		return c
	}

	first.must(ask(topUp(id, "10.00", "alone")))
	mustBeOneTrace(t, here, there, "topUp")

	answers := first.batch(false, ask(topUp(id, "1.00", "together")), ask(topUp(id, "2.00", "too")))
	mustHaveCodes(t, answers, "", "")
	mustBeOneTrace(t, here, there, "batch")

	first.mustRefuse(ask(withdraw(id, "100.00", "refused")), domain.InsufficientBalance, "amount")
	mustBeOneTrace(t, here, there, "withdraw")

	untraced := topUp(id, "1.00", "untraced")
	ask(untraced)
	untraced.Traceparent = strings.TrimSuffix(caller, "01") + "00"
	first.must(untraced)
	second.topUp(id, "1.00", "after") // What the owner tells it tells before it goes on.
	for _, name := range parts {
		if len(spans(there)[name]) > 0 {
			t.Errorf("of a command that is not to be traced there is a span %s", name)
		}
	}
}
