package embedded_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/eventstore/embedded"
	"daybook/eventstore/kafka"
	"daybook/internal/testenv"
)

// running is a broker with a client and a writer of its only partition.
type running struct {
	*kafka.Client
	broker *embedded.Broker
	writer eventstore.Writer
	stop   func()
}

func run(t *testing.T, dir string) *running {
	t.Helper()
	b, err := embedded.Open(dir, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	r := &running{broker: b}
	r.stop = sync.OnceFunc(func() {
		if r.writer != nil {
			_ = r.writer.Close()
		}
		if r.Client != nil {
			_ = r.Client.Close()
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(r.stop)
	if r.Client, err = kafka.Open(kafka.Config{Brokers: b.Addresses(), ClientID: "test", Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.EnsureTopics(kafka.TopicsConfig{Partitions: 1, ForeverOnly: true}); err != nil {
		t.Fatal(err)
	}
	marker, err := r.RuleLine(t.Context(), eventstore.AccountEvents, 0)
	if err != nil {
		t.Fatal(err)
	}
	if r.writer, err = r.OpenWriter(eventstore.AccountEvents, 0, marker); err != nil {
		t.Fatal(err)
	}
	return r
}

// write sends batches of one message without waiting, and returns their answers.
func (r *running) write(t *testing.T, values ...[]byte) (errs []error) {
	t.Helper()
	answers := make(chan error, len(values))
	for _, value := range values {
		message := eventstore.Message{Key: []byte("key"), Value: value, Time: time.UnixMilli(1_750_000_000_000)}
		if err := r.writer.Append([]eventstore.Message{message}, func(_ int64, err error) { answers <- err }); err != nil {
			t.Fatal(err)
		}
	}
	for range values {
		errs = append(errs, <-answers)
	}
	return errs
}

func (r *running) end(t *testing.T) int64 {
	t.Helper()
	end, err := r.EndOffset(eventstore.AccountEvents, 0)
	if err != nil {
		t.Fatal(err)
	}
	return end
}

// fill leaves so many bytes free on a disk.
func fill(t *testing.T, disk string, leave int64) (ballast string) {
	t.Helper()
	ballast = filepath.Join(disk, "ballast")
	file, err := os.Create(ballast)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close() //nolint:errcheck // Nobody reads it.
	for chunk := make([]byte, 1<<12); err == nil; {
		_, err = file.Write(chunk)
	}
	info, err := file.Stat()
	if err == nil {
		err = file.Truncate(info.Size() - leave)
	}
	if err != nil {
		t.Fatal(err)
	}
	return ballast
}

// The batches behind the one that does not fit would, and were decided on top of it.
func TestNothingIsWrittenBehindABatchThatCouldNotBeWritten(t *testing.T) {
	disk := testenv.SmallDisk(t, 16)
	dir := filepath.Join(disk, "data")
	r := run(t, dir)
	small, large := []byte("small"), bytes.Repeat([]byte("large"), 1<<17)
	if err := r.write(t, small)[0]; err != nil {
		t.Fatal(err)
	}
	end := r.end(t)
	ballast := fill(t, disk, 1<<17)

	for i, err := range r.write(t, large, small, small) {
		if err == nil {
			t.Errorf("batch %d is acknowledged", i)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := r.RuleLine(ctx, eventstore.AccountEvents, 0); err == nil {
		t.Error("a line is ruled")
	}
	if got := r.end(t); got != end {
		t.Errorf("the log ends at %d, and did at %d before", got, end)
	}
	if err := r.broker.Healthy(); err == nil || !strings.Contains(err.Error(), "could not be written") {
		t.Errorf("its health is %v", err)
	}
	r.stop()

	// It goes on when it is started again.
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	r = run(t, dir)
	if got := r.end(t); got != end+1 { // And its line.
		t.Errorf("started again the log ends at %d, and did at %d before", got, end)
	}
	if err := r.write(t, large)[0]; err != nil {
		t.Error(err)
	}
}
