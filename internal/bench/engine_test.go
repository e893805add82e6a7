package bench

import (
	"context"
	"io"
	"log/slog"
	"os"
	"testing"
	"time"

	"daybook/eventstore/embedded"
	"daybook/eventstore/kafka"
)

func TestScratch(t *testing.T) {
	var brokers []string
	if v := os.Getenv("DAYBOOK_TEST_KAFKA"); v != "" {
		brokers = []string{v}
	} else {
		b, err := embedded.Open(t.TempDir(), slog.New(slog.NewTextHandler(io.Discard, nil)))
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		brokers = b.Addresses()
	}
	client, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "bench", Logger: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	n, err := client.EnsureTopics(kafka.TopicsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	for _, callers := range []int{512} {
		for range 1 {
			if os.Getenv("ONLY") != "engine" {
				r, err := Raw(ctx, client, n, callers, 3*time.Second)
				t.Logf("raw %d: %.0f/s p50 %s p99 %s %v", callers, r.PerSecond, r.P50, r.P99, err)
			}
			e, err := Engine(ctx, client, n, t.TempDir(), callers, 3*time.Second)
			t.Logf("engine %d: %.0f/s p50 %s p99 %s %v", callers, e.PerSecond, e.P50, e.P99, err)
		}
	}
}
