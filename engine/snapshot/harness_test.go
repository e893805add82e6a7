package snapshot

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"daybook/domain/account"
	"daybook/engine"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const partition = 0

// world is a log of one partition, on Apache Kafka, with what has been written to it.
type world struct {
	t       *testing.T
	brokers []string
	client  *kafka.Client
	logID   string
	random  *rand.Rand
	version int64
	said    testenv.Buffer
	metrics *Metrics
	// foldedDump is what folded returned when the log had so many events.
	foldedDump string
	foldedAt   int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, brokers: testenv.Kafka(t), random: rand.New(rand.NewPCG(1, 2)), metrics: NewMetrics(nil, 1)}
	client, err := kafka.Open(kafka.Config{Brokers: w.brokers, ClientID: "test", Logger: testenv.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	if _, err := client.EnsureTopics(kafka.TopicsConfig{Partitions: 1}); err != nil {
		t.Fatal(err)
	}
	w.client = client
	if w.logID, err = client.LogID(); err != nil {
		t.Fatal(err)
	}
	return w
}

// write writes events of one account, of which each leaves a hold with a text that does not compress, so that a
// checkpoint of some thousands has several chunks. It returns the offset after them.
func (w *world) write(events int) int64 {
	w.t.Helper()
	var messages []eventstore.Message
	now := time.UnixMilli(1_750_000_000_000)
	for range events {
		w.version++
		e := eventstore.Event{
			ID: ids.New(), AggregateID: "account", Version: w.version, Timestamp: now.Add(time.Duration(w.version) * time.Millisecond).UTC(),
			CorrelationID: ids.New(), IdempotencyKey: ids.New(), Fingerprint: eventstore.Fingerprint{byte(w.version)},
		}
		if len(messages) == 0 {
			e.Progress = &eventstore.Progress{Commands: w.version, Coordinated: w.version, Partitions: 1}
		}
		if w.version == 1 {
			e.Data = &account.Created{OwnerID: "owner", Type: account.User, Currency: "EUR"}
		} else {
			text := make([]byte, 400)
			for i := range text {
				text[i] = byte(' ' + 1 + w.random.IntN(90))
			}
			e.Data = &account.HoldPlaced{
				HoldID: ids.New(), Amount: decimal.New(w.version, -2), Currency: "EUR", CounterpartyID: "payee",
				ExpiresAt: now.Add(time.Hour).UTC(), Reason: string(text),
			}
		}
		m, err := eventstore.Encode(&e)
		if err != nil {
			w.t.Fatal(err)
		}
		messages = append(messages, m)
	}
	w.append(eventstore.AccountEvents, messages...)
	end, err := w.client.EndOffset(eventstore.AccountEvents, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	return end
}

func (w *world) append(topic string, messages ...eventstore.Message) {
	w.t.Helper()
	a := w.client.OpenAppender(topic, partition)
	defer a.Close() //nolint:errcheck // What was written was answered.
	if err := a.Append(w.t.Context(), messages); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) newStore() *store.Store {
	w.t.Helper()
	s, err := store.Open(filepath.Join(w.t.TempDir(), "state"), testenv.Logger())
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = s.Close() })
	return s
}

// follow folds the log into a store up to its end, as a node does that owns nothing.
func (w *world) follow(s *store.Store) *store.Store {
	w.t.Helper()
	if err := w.tryFollow(s); err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) tryFollow(s *store.Store) error {
	w.t.Helper()
	end, err := w.client.EndOffset(eventstore.AccountEvents, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	e := engine.New(engine.Config{Partitions: 1, Clock: time.Now, NewID: ids.New, Logger: testenv.Logger()}, w.client, s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- e.Run(ctx) }()
	defer cancel()
	for {
		if w.positionOf(s).Next >= end {
			cancel()
			return <-done
		}
		select {
		case err := <-done:
			return err
		case <-time.After(time.Millisecond):
		}
	}
}

func (w *world) positionOf(s *store.Store) store.Position {
	w.t.Helper()
	p, err := s.Position(partition)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *world) config(s *store.Store) Config {
	return Config{
		Log: w.client, Store: s, LogID: w.logID, Partitions: 1, Clock: time.Now, NewID: ids.New,
		Logger: slog.New(slog.NewTextHandler(&w.said, nil)), Metrics: w.metrics, BytesPerSecond: -1, Behind: 1, EntriesPerEvent: 1 << 40, MinEvents: 1,
	}
}

// checkpoint writes a checkpoint of a store that has come to the end of the log, and returns its offset.
func (w *world) checkpoint(s *store.Store) int64 {
	w.t.Helper()
	if err := Write(w.t.Context(), w.config(s), partition); err != nil {
		w.t.Fatal(err)
	}
	return w.positionOf(s).Next
}

// refused is how many checkpoints are counted as refused for a reason.
func (w *world) refused(reason string) float64 {
	w.t.Helper()
	var m dto.Metric
	if err := w.metrics.refused.WithLabelValues(reason).Write(&m); err != nil {
		w.t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

// restored returns a new store with what a restore brings, and the offset that it is at.
func (w *world) restored() (*store.Store, int64) {
	w.t.Helper()
	s := w.newStore()
	if err := Restore(w.t.Context(), w.config(s)); err != nil {
		w.t.Fatal(err)
	}
	return s, w.positionOf(s).Next
}

// dump renders all that a store knows of the partition.
func dump(s *store.Store) (string, error) {
	var all bytes.Buffer
	err := s.Dump(partition, func(key, value []byte) error {
		fmt.Fprintf(&all, "%q=%q\n", key, value)
		return nil
	})
	return all.String(), err
}

// compare is the checker: it tells what is wrong with a restored state that has followed the log to its end.
func (w *world) compare(restored *store.Store) error {
	w.t.Helper()
	want := w.folded()
	got, err := dump(restored)
	if err != nil {
		return err
	}
	if got != want {
		return fmt.Errorf("the restored state, of %d bytes, is not the folded one, of %d", len(got), len(want))
	}
	return nil
}

// folded is the dump of the whole log's fold.
func (w *world) folded() string {
	w.t.Helper()
	if w.foldedAt != w.version {
		var err error
		if w.foldedDump, err = dump(w.follow(w.newStore())); err != nil {
			w.t.Fatal(err)
		}
		w.foldedAt = w.version
	}
	return w.foldedDump
}

// raw is a checkpoint as its records are.
type raw struct {
	manifest map[string]any
	chunks   [][]byte
	// firstChunk is what the manifest says, if it is not to be where the first chunk is.
	firstChunk int64
}

// clone copies a checkpoint, to be changed.
func (r *raw) clone(t *testing.T) *raw {
	t.Helper()
	text, err := json.Marshal(r.manifest)
	if err != nil {
		t.Fatal(err)
	}
	c := &raw{chunks: slices.Clone(r.chunks)}
	if err := json.Unmarshal(text, &c.manifest); err != nil {
		t.Fatal(err)
	}
	return c
}

// live lists the checkpoints in the topic by id, those without a manifest too.
func (w *world) live() map[string]*raw {
	w.t.Helper()
	r, err := w.client.OpenReader(topic, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // Nothing was written.
	end, err := w.client.EndOffset(topic, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	values := map[string][]byte{}
	if err := scan(w.t.Context(), r, 0, end, func(m *eventstore.Message) error {
		if values[string(m.Key)] = m.Value; m.Value == nil {
			delete(values, string(m.Key))
		}
		return nil
	}); err != nil {
		w.t.Fatal(err)
	}
	all := map[string]*raw{}
	for key, value := range values {
		id, record := splitKey([]byte(key))
		if all[id] == nil {
			all[id] = &raw{}
		}
		if record != manifestRecord {
			n, _ := strconv.Atoi(record)
			for len(all[id].chunks) <= n {
				all[id].chunks = append(all[id].chunks, nil)
			}
			all[id].chunks[n] = value
		} else if err := json.Unmarshal(value, &all[id].manifest); err != nil {
			all[id].manifest = map[string]any{}
		}
	}
	return all
}

// at returns the checkpoint at an offset.
func (w *world) at(offset int64) (string, *raw) {
	w.t.Helper()
	for id, r := range w.live() {
		if p, ok := r.manifest["position"].(map[string]any); ok && p["next"] == float64(offset) {
			return id, r
		}
	}
	w.t.Fatalf("there is no checkpoint at offset %d", offset)
	return "", nil
}

// put writes a checkpoint's records under a new id, save chunks and a manifest that are nil.
func (w *world) put(r *raw) string {
	w.t.Helper()
	id := ids.New()
	first, err := w.client.EndOffset(topic, partition)
	if err != nil {
		w.t.Fatal(err)
	}
	for n, chunk := range r.chunks {
		if chunk != nil {
			w.append(topic, eventstore.Message{Key: keyOf(id, strconv.Itoa(n)), Value: chunk, Time: time.Now()})
		}
	}
	if r.manifest != nil {
		r.manifest["firstChunk"] = cmp.Or(r.firstChunk, first)
		value, err := json.Marshal(r.manifest)
		if err != nil {
			w.t.Fatal(err)
		}
		w.append(topic, eventstore.Message{Key: keyOf(id, manifestRecord), Value: value, Time: time.Now()})
	}
	return id
}

// remove deletes a checkpoint.
func (w *world) remove(id string, r *raw) {
	w.t.Helper()
	for n := range r.chunks {
		w.append(topic, eventstore.Message{Key: keyOf(id, strconv.Itoa(n)), Time: time.Now()})
	}
	w.append(topic, eventstore.Message{Key: keyOf(id, manifestRecord), Time: time.Now()})
}

// trimLog removes the log's events before an offset, as somebody with kafka-delete-records does.
func (w *world) trimLog(before int64) {
	w.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(w.brokers...))
	if err != nil {
		w.t.Fatal(err)
	}
	defer client.Close()
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.Topics = []kmsg.DeleteRecordsRequestTopic{{
		Topic: eventstore.AccountEvents, Partitions: []kmsg.DeleteRecordsRequestTopicPartition{{Partition: partition, Offset: before}},
	}}
	req.TimeoutMillis = 10_000
	if _, err := req.RequestWith(w.t.Context(), client); err != nil {
		w.t.Fatal(err)
	}
	testenv.Eventually(w.t, func() error {
		if start, err := w.client.StartOffset(eventstore.AccountEvents, partition); err != nil || start != before {
			return fmt.Errorf("the log begins at %d, %v", start, err)
		}
		return nil
	})
}
