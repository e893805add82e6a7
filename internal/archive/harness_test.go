package archive_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/archive"
	"daybook/internal/testenv"
)

const partitions = 2

var topics = []string{eventstore.AccountEvents, eventstore.TransactionEvents, eventstore.AccountCommands}

func silent(int64, int64, int64) {}

// random draws from a seed that the test prints.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(testenv.Seed(t), 0))
}

// logOn is a log and where it is.
type logOn struct {
	*kafka.Client
	brokers []string
}

func connect(t *testing.T, brokers []string) logOn {
	t.Helper()
	client, err := kafka.Open(kafka.Config{Brokers: brokers, ClientID: "test", Logger: testenv.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return logOn{client, brokers}
}

// emptyLog has the topics and nothing in them.
func emptyLog(t *testing.T, brokers []string) logOn {
	t.Helper()
	client := connect(t, brokers)
	if _, err := client.EnsureTopics(kafka.TopicsConfig{Partitions: partitions, ForeverOnly: true}); err != nil {
		t.Fatal(err)
	}
	return client
}

// randomLog has batches of whatever Kafka takes, with lines ruled in between.
func randomLog(t *testing.T, r *rand.Rand, batches int) logOn {
	t.Helper()
	client := emptyLog(t, testenv.Embedded(t))
	for _, topic := range topics {
		for p := range int32(partitions) {
			appender := client.OpenAppender(topic, p)
			for range r.IntN(batches + 1) {
				if topic == eventstore.AccountEvents && r.IntN(3) == 0 {
					rule(t, client, p)
				}
				if err := appender.Append(t.Context(), randomMessages(r)); err != nil {
					t.Fatal(err)
				}
			}
			_ = appender.Close()
		}
	}
	rule(t, client, 0) // At least one, at an end.
	return client
}

func rule(t *testing.T, client logOn, partition int32) {
	t.Helper()
	if _, err := client.RuleLine(t.Context(), eventstore.AccountEvents, partition); err != nil {
		t.Fatal(err)
	}
}

func randomMessages(r *rand.Rand) []eventstore.Message {
	all := make([]eventstore.Message, 1+r.IntN(20))
	for i := range all {
		all[i] = eventstore.Message{Key: randomBytes(r, 20), Value: randomBytes(r, 300), Time: time.UnixMilli(1.7e12 + r.Int64N(1e10)).UTC()}
		for range r.IntN(4) {
			all[i].Headers = append(all[i].Headers, eventstore.Header{Key: fmt.Sprint("header", r.IntN(5)), Value: randomBytes(r, 40)})
		}
	}
	return all
}

// randomBytes are sometimes none, sometimes null.
func randomBytes(r *rand.Rand, most int) []byte {
	switch r.IntN(10) {
	case 0:
		return nil
	case 1:
		return []byte{}
	}
	b := make([]byte, r.IntN(most)+1)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// cut is a header that takes in all there is.
func cut(t *testing.T, client logOn) *archive.Header {
	t.Helper()
	h := &archive.Header{Created: time.UnixMilli(1.7e12).UTC(), Program: "test", LogID: "log", Partitions: partitions}
	for _, topic := range topics {
		for p := range int32(partitions) {
			end, err := client.EndOffset(topic, p)
			if err != nil {
				t.Fatal(err)
			}
			h.Parts = append(h.Parts, archive.Part{Topic: topic, Partition: p, End: end})
		}
	}
	return h
}

// archived is a log's archive.
func archived(t *testing.T, client logOn) []byte {
	t.Helper()
	var b bytes.Buffer
	if _, err := archive.Write(t.Context(), client, cut(t, client), &b, silent); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func check(content []byte) error {
	_, err := digests(content)
	return err
}

func digests(content []byte) (archive.Digests, error) {
	r, err := archive.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	return archive.Check(context.Background(), r, silent)
}
