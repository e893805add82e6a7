package bench

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"daybook/eventstore/kafka"
)

// TestEngineMeasuresBoth runs the benchmark for a moment, or for as long as DAYBOOK_BENCH_DURATION says.
func TestEngineMeasuresBoth(t *testing.T) {
	duration, err := time.ParseDuration(os.Getenv("DAYBOOK_BENCH_DURATION"))
	if err != nil {
		duration = brief
	}
	onLog(t, func(t *testing.T, client *kafka.Client, partitions int32) {
		sample, err := SampleTopUp(true)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := Raw(t.Context(), client, partitions, sample, 512, duration)
		wantMeasured(t, "raw", raw, err)
		engine, err := Engine(t.Context(), client, partitions, filepath.Join(t.TempDir(), "state"), 512, duration)
		wantMeasured(t, "engine", engine, err)
		t.Logf("512 callers: engine %.0f/s p50 %s, raw %.0f/s p50 %s, %.2f", engine.PerSecond, engine.P50, raw.PerSecond, raw.P50, engine.PerSecond/raw.PerSecond)
	})
}
