package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
	"daybook/eventstore/kafka"
	"daybook/internal/testenv"
)

// topic is what most tests write to; it has a partition for each writer that a test needs.
const (
	topic      = eventstore.AccountEvents
	partitions = 3
)

// at is the time of the messages that tests write; its milliseconds must survive.
var at = time.Date(2026, 11, 24, 9, 30, 0, 125e6, time.UTC)

// log is a cluster with the topics of Daybook.
type log struct {
	t *testing.T
	*kafka.Client
	brokers []string
	real    bool
}

// eachLog runs a test on an embedded broker and on Apache Kafka, with fresh topics.
func eachLog(t *testing.T, test func(l *log)) {
	t.Helper()
	eachBroker(t, func(l *log) {
		if _, err := l.EnsureTopics(kafka.TopicsConfig{Partitions: partitions}); err != nil {
			l.t.Fatal(err)
		}
		test(l)
	})
}

// eachBroker is eachLog without the topics.
func eachBroker(t *testing.T, test func(l *log)) {
	t.Helper()
	run := func(name string, brokers func(testing.TB) []string) {
		t.Run(name, func(t *testing.T) {
			l := &log{t: t, brokers: brokers(t), real: name == "kafka"}
			l.Client = l.connect()
			test(l)
		})
	}
	run("embedded", testenv.Embedded)
	run("kafka", testenv.Kafka)
}

// connect opens another client of the same cluster.
func (l *log) connect() *kafka.Client {
	l.t.Helper()
	c, err := kafka.Open(kafka.Config{Brokers: l.brokers, ClientID: "test", Logger: testenv.Logger()})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = c.Close() })
	return c
}

// admin speaks to the cluster as an operator would.
func (l *log) admin() sarama.ClusterAdmin {
	l.t.Helper()
	conf := sarama.NewConfig()
	conf.Version = sarama.V3_7_0_0
	a, err := sarama.NewClusterAdmin(l.brokers, conf)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = a.Close() })
	return a
}

// create makes a topic of our name with settings of somebody else's.
func (l *log) create(name string, count int32, settings map[string]string) {
	l.t.Helper()
	detail := &sarama.TopicDetail{NumPartitions: count, ReplicationFactor: 1, ConfigEntries: map[string]*string{}}
	for k, v := range settings {
		detail.ConfigEntries[k] = &v
	}
	admin := l.admin()
	if err := admin.CreateTopic(name, detail, false); err != nil {
		l.t.Fatal(err)
	}
	testenv.Eventually(l.t, func() error {
		topics, err := admin.ListTopics()
		if _, ok := topics[name]; err == nil && !ok {
			err = errors.New(name + " is not there")
		}
		return err
	})
}

// topics lists what the cluster holds.
func (l *log) topics() map[string]sarama.TopicDetail {
	l.t.Helper()
	topics, err := l.admin().ListTopics()
	if err != nil {
		l.t.Fatal(err)
	}
	return topics
}

// settings returns those of a topic.
func (l *log) settings(name string) map[string]string {
	l.t.Helper()
	results, err := l.admin().DescribeConfigs([]*sarama.ConfigResource{{Type: sarama.TopicResource, Name: name}}, sarama.DescribeConfigsOptions{})
	if err != nil {
		l.t.Fatal(err)
	}
	settings := map[string]string{}
	for _, result := range results {
		for _, e := range result.Configs {
			settings[e.Name] = e.Value
		}
	}
	return settings
}

// ruleLine takes partition p over.
func (l *log) ruleLine(p int32) eventstore.Marker {
	l.t.Helper()
	m, err := l.RuleLine(l.ctx(), topic, p)
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

// writer takes partition p over and opens a writer behind the fence, which stands because the marker was read back.
func (l *log) writer(p int32) (*kafka.Writer, eventstore.Marker) {
	l.t.Helper()
	m := l.ruleLine(p)
	l.awaitMarker(p, m)
	return l.openWriter(p, m), m
}

func (l *log) openWriter(p int32, m eventstore.Marker) *kafka.Writer {
	l.t.Helper()
	w, err := l.OpenWriter(topic, p, m)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = w.Close() })
	return w.(*kafka.Writer)
}

func (l *log) reader(p int32) *kafka.Reader {
	l.t.Helper()
	r, err := l.OpenReader(topic, p)
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() { _ = r.Close() })
	return r.(*kafka.Reader)
}

// awaitMarker reads partition p until the marker is there, and returns it with its offset.
func (l *log) awaitMarker(p int32, want eventstore.Marker) eventstore.Marker {
	l.t.Helper()
	var found eventstore.Marker
	testenv.Eventually(l.t, func() error {
		for _, m := range l.everything(p).Markers {
			if m.ProducerID == want.ProducerID && m.Epoch == want.Epoch {
				found = m
				return nil
			}
		}
		return fmt.Errorf("no marker %+v", want)
	})
	return found
}

// everything reads partition p from its first offset to its end.
func (l *log) everything(p int32) eventstore.Chunk {
	l.t.Helper()
	start, err := l.StartOffset(topic, p)
	if err != nil {
		l.t.Fatal(err)
	}
	end, err := l.EndOffset(topic, p)
	if err != nil {
		l.t.Fatal(err)
	}
	all := eventstore.Chunk{Next: start}
	r := l.reader(p)
	for all.Next < end {
		chunk, err := r.Read(l.ctx(), all.Next, time.Second)
		if err != nil {
			l.t.Fatal(err)
		}
		all.Messages = append(all.Messages, chunk.Messages...)
		all.Markers = append(all.Markers, chunk.Markers...)
		all.Next, all.HighWater = chunk.Next, chunk.HighWater
	}
	return all
}

func (l *log) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	l.t.Cleanup(cancel)
	return ctx
}

// answer is what a writer calls back with.
type answer struct {
	first int64
	err   error
}

// send appends a batch; the answer comes on the channel.
func send(w eventstore.Writer, messages ...eventstore.Message) <-chan answer {
	answers := make(chan answer, 1)
	if err := w.Append(messages, func(first int64, err error) { answers <- answer{first, err} }); err != nil {
		answers <- answer{err: err}
	}
	return answers
}

// await waits for an answer.
func await(answers <-chan answer) (int64, error) {
	select {
	case a := <-answers:
		return a.first, a.err
	case <-time.After(30 * time.Second):
		return 0, errors.New("no answer came")
	}
}

// mustSend appends a batch and returns the offset of its first message.
func (l *log) mustSend(w eventstore.Writer, messages ...eventstore.Message) int64 {
	l.t.Helper()
	first, err := await(send(w, messages...))
	if err != nil {
		l.t.Fatal(err)
	}
	return first
}

// messages makes n messages that tell themselves apart.
func messages(name string, n int) []eventstore.Message {
	all := make([]eventstore.Message, n)
	for i := range all {
		all[i] = eventstore.Message{Key: []byte(name), Value: fmt.Appendf(nil, "%s-%d", name, i), Time: at.Add(time.Duration(i) * time.Millisecond)}
	}
	return all
}

// values lists what messages hold.
func values(messages []eventstore.Message) []string {
	all := make([]string, len(messages))
	for i, m := range messages {
		all[i] = string(m.Value)
	}
	return all
}
