package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
	"daybook/internal/planted"
)

// maxInFlight is how many batches a broker tells apart by their sequence numbers.
const maxInFlight = 5

// Writer is the eventstore.Writer of one partition.
type Writer struct {
	client    *Client
	topic     string
	partition int32
	marker    eventstore.Marker
	conn      *sarama.Broker
	sequence  int32
}

// OpenWriter makes a writer that writes with the marker's producer id and epoch, from sequence zero. The caller has
// read the marker back from the log.
func (c *Client) OpenWriter(topic string, partition int32, m eventstore.Marker) (eventstore.Writer, error) {
	conn, err := c.dialLeader(topic, partition, nil)
	if err != nil {
		return nil, err
	}
	return &Writer{client: c, topic: topic, partition: partition, marker: m, conn: conn}, nil
}

// Append implements eventstore.Writer.
func (w *Writer) Append(messages []eventstore.Message, done func(first int64, err error)) error {
	batch := recordBatch(messages)
	batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = w.marker.ProducerID, w.marker.Epoch, w.sequence
	if planted.Bug("fence skipped") {
		batch.ProducerID, batch.ProducerEpoch, batch.FirstSequence = -1, -1, -1
	}
	// Sequences wrap to zero after the greatest int32, as in Kafka's own client.
	if !planted.Bug("sequence reused") {
		w.sequence = int32((int64(w.sequence) + int64(len(messages))) & 0x7fffffff)
	}
	err := w.conn.AsyncProduce(w.client.produceRequest(w.topic, w.partition, batch), func(res *sarama.ProduceResponse, err error) {
		done(produced(res, err, w.topic, w.partition))
	})
	if err != nil {
		return fmt.Errorf("writing to %s/%d: %w", w.topic, w.partition, err)
	}
	return nil
}

// Renew implements eventstore.Writer: another empty transaction with the same epoch. ErrFenced when another writer
// took over.
func (w *Writer) Renew(ctx context.Context) error {
	return w.client.plant(ctx, w.topic, w.partition, w.marker)
}

// Close ends the writer's connection; answers still awaited fail.
func (w *Writer) Close() error {
	if err := w.conn.Close(); err != nil && !errors.Is(err, sarama.ErrNotConnected) {
		return fmt.Errorf("closing the writer of %s/%d: %w", w.topic, w.partition, err)
	}
	return nil
}

func (c *Client) produceRequest(topic string, partition int32, batch *sarama.RecordBatch) *sarama.ProduceRequest {
	req := &sarama.ProduceRequest{RequiredAcks: sarama.WaitForAll, Timeout: int32(c.conf.Net.ReadTimeout / time.Millisecond), Version: 9}
	req.AddBatch(topic, partition, batch)
	return req
}

// produced reads the answer to a produce request for one partition.
func produced(res *sarama.ProduceResponse, err error, topic string, partition int32) (int64, error) {
	if err != nil {
		return 0, fmt.Errorf("writing to %s/%d: %w", topic, partition, err)
	}
	block := res.GetBlock(topic, partition)
	switch {
	case block == nil:
		return 0, fmt.Errorf("writing to %s/%d: the broker's answer lacks the partition", topic, partition)
	case block.Err == sarama.ErrNoError:
		return block.Offset, nil
	case isFenced(block.Err):
		return 0, fmt.Errorf("writing to %s/%d: %w (%w)", topic, partition, eventstore.ErrFenced, block.Err)
	case block.Err == sarama.ErrMessageSizeTooLarge:
		return 0, fmt.Errorf("writing to %s/%d: %w", topic, partition, eventstore.ErrTooLarge)
	case block.Err == sarama.ErrInvalidTimestamp:
		return 0, fmt.Errorf("writing to %s/%d: %w", topic, partition, eventstore.ErrClock)
	}
	return 0, fmt.Errorf("writing to %s/%d: %w", topic, partition, block.Err)
}

// recordBatch builds one batch without a producer.
func recordBatch(messages []eventstore.Message) *sarama.RecordBatch {
	first, last := messages[0].Time, messages[0].Time
	for i := range messages {
		if messages[i].Time.After(last) {
			last = messages[i].Time
		}
	}
	// One allocation each for records and headers, not one per message.
	records := make([]sarama.Record, len(messages))
	pointers := make([]*sarama.Record, len(messages))
	count := 0
	for i := range messages {
		count += len(messages[i].Headers)
	}
	headers := make([]sarama.RecordHeader, 0, count)
	headerPointers := make([]*sarama.RecordHeader, 0, count)
	for i := range messages {
		m := &messages[i]
		from := len(headers)
		for j := range m.Headers {
			headers = append(headers, sarama.RecordHeader{Key: []byte(m.Headers[j].Key), Value: m.Headers[j].Value})
			headerPointers = append(headerPointers, &headers[len(headers)-1])
		}
		records[i] = sarama.Record{
			Key: m.Key, Value: m.Value, Headers: headerPointers[from:len(headerPointers):len(headerPointers)],
			OffsetDelta: int64(i), TimestampDelta: m.Time.Sub(first),
		}
		pointers[i] = &records[i]
	}
	return &sarama.RecordBatch{
		Version: 2, FirstTimestamp: first, MaxTimestamp: last, Records: pointers, LastOffsetDelta: int32(len(messages) - 1),
		ProducerID: -1, ProducerEpoch: -1, FirstSequence: -1, PartitionLeaderEpoch: -1,
	}
}

// Appender is the eventstore.Appender of one partition.
type Appender struct {
	client    *Client
	topic     string
	partition int32
	conn      *sarama.Broker
}

// OpenAppender makes an appender; it connects at the first Append.
func (c *Client) OpenAppender(topic string, partition int32) eventstore.Appender {
	return &Appender{client: c, topic: topic, partition: partition}
}

// Append implements eventstore.Appender, trying a few times.
func (a *Appender) Append(ctx context.Context, messages []eventstore.Message) error {
	var last error
	for attempt := range readRetries {
		if attempt > 0 {
			if err := pause(ctx, retryPause<<attempt); err != nil {
				return err
			}
		}
		err := a.produce(messages)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, eventstore.ErrTooLarge), errors.Is(err, eventstore.ErrClock):
			return cmp.Or(last, err) // What went before may have been written.
		}
		last = err
		_ = a.Close()
		_ = a.client.sarama.RefreshMetadata(a.topic)
	}
	return last
}

func (a *Appender) produce(messages []eventstore.Message) error {
	if a.conn == nil {
		conn, err := a.client.dialLeader(a.topic, a.partition, nil)
		if err != nil {
			return err
		}
		a.conn = conn
	}
	res, err := a.conn.Produce(a.client.produceRequest(a.topic, a.partition, recordBatch(messages)))
	_, err = produced(res, err, a.topic, a.partition)
	return err
}

// Close ends the appender's connection.
func (a *Appender) Close() error {
	if a.conn == nil {
		return nil
	}
	conn := a.conn
	a.conn = nil
	if err := conn.Close(); err != nil && !errors.Is(err, sarama.ErrNotConnected) {
		return fmt.Errorf("closing an appender of %s/%d: %w", a.topic, a.partition, err)
	}
	return nil
}
