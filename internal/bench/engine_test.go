package bench

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"daybook/eventstore/kafka"
	"daybook/internal/testenv"
)

// TestEngineMeasuresBoth runs the benchmark for a moment, or for as long as DAYBOOK_BENCH_DURATION says.
func TestEngineMeasuresBoth(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("DAYBOOK_BENCH_DURATION"))
	if err != nil {
		duration = 100 * time.Millisecond
	}
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		client, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "bench", Logger: testenv.Logger()})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close() //nolint:errcheck // Nothing was left to write.
		partitions, err := client.EnsureTopics(kafka.TopicsConfig{})
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		raw, err := Raw(ctx, client, partitions, true, 512, duration)
		if err != nil || raw.PerSecond <= 0 {
			t.Fatalf("raw: %+v, %v", raw, err)
		}
		engine, err := Engine(ctx, client, partitions, filepath.Join(t.TempDir(), "state"), 512, duration)
		if err != nil || engine.PerSecond <= 0 {
			t.Fatalf("engine: %+v, %v", engine, err)
		}
		t.Logf("512 callers: engine %.0f/s p50 %s, raw %.0f/s p50 %s, %.2f", engine.PerSecond, engine.P50, raw.PerSecond, raw.P50, engine.PerSecond/raw.PerSecond)
	})
}
