package bench

import (
	"os"
	"strconv"
	"testing"

	"daybook/eventstore/kafka"
	"daybook/internal/testenv"
)

// TestSnapshotMeasuresBoth runs the benchmark on little, or on as many events as DAYBOOK_BENCH_EVENTS says.
func TestSnapshotMeasuresBoth(t *testing.T) {
	events := 20_000
	if n, err := strconv.Atoi(os.Getenv("DAYBOOK_BENCH_EVENTS")); err == nil {
		events = n
	}
	client, err := kafka.Open(kafka.Config{Brokers: testenv.Kafka(t), ClientID: "bench", Logger: testenv.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close() //nolint:errcheck // Nothing was left to write.
	partitions, err := client.EnsureTopics(kafka.TopicsConfig{})
	if err != nil {
		t.Fatal(err)
	}
	r, err := Snapshot(t.Context(), client, partitions, t.TempDir(), events)
	measured := func(c Caught) bool { return c.Replay > 0 && c.Restore > 0 && c.Events >= events }
	if err != nil || !measured(r.AtEnd) || !measured(r.WithTail) || r.WithTail.Tail == 0 || r.Write <= 0 || r.Bytes == 0 || r.Entries == 0 {
		t.Fatalf("%+v, %v", r, err)
	}
	t.Logf("%+v", r)
}
