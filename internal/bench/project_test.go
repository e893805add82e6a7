package bench

import (
	"context"
	"os"
	"strconv"
	"testing"

	"daybook/eventstore/kafka"
	"daybook/internal/testenv"
)

// TestProjectMeasuresBoth runs the benchmark on little, or on as many events as DAYBOOK_BENCH_EVENTS says.
func TestProjectMeasuresBoth(t *testing.T) {
	events := 5000
	if n, err := strconv.Atoi(os.Getenv("DAYBOOK_BENCH_EVENTS")); err == nil {
		events = n
	}
	for name, database := range map[string]func(testing.TB) string{"sqlite": testenv.SQLite, "postgres": testenv.Postgres} {
		t.Run(name, func(t *testing.T) {
			client, err := kafka.Open(kafka.Config{Brokers: testenv.Embedded(t), ClientID: "bench", Logger: testenv.Logger()})
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close() //nolint:errcheck // Nothing was left to write.
			partitions, err := client.EnsureTopics(kafka.TopicsConfig{})
			if err != nil {
				t.Fatal(err)
			}
			projected, bare, err := Project(context.Background(), client, partitions, database(t), database(t), events)
			if err != nil || projected.PerSecond <= 0 || bare.PerSecond <= 0 {
				t.Fatalf("%+v beside %+v, %v", projected, bare, err)
			}
			t.Logf("%d events: projector %.0f/s, bare %.0f/s, %.2f", events, projected.PerSecond, bare.PerSecond, projected.PerSecond/bare.PerSecond)
		})
	}
}
