package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/IBM/sarama"

	"daybook/eventstore"
)

const (
	// fetchBytes bounds one answer; a single larger batch is still answered whole.
	fetchBytes = 2 << 20
	// maxPoll bounds a long poll.
	maxPoll = 500 * time.Millisecond
	// readRetries bounds how often one Read tries again after a leader has moved or a connection broke.
	readRetries = 4
	retryPause  = 50 * time.Millisecond
	// goneDoubt is how long one Read asks again for an offset that is said not to be there: a leader that stood still, was
	// deposed and has just gone on may say so, and the brokers take a moment to tell it, and whoever asks them.
	goneDoubt = 5 * time.Second
)

// Reader is the eventstore.Reader of one partition, over a connection of its own.
type Reader struct {
	client    *Client
	topic     string
	partition int32
	conn      *sarama.Broker
	// line is what conn speaks through.
	line net.Conn
}

// OpenReader makes a reader; it connects at the first Read.
func (c *Client) OpenReader(topic string, partition int32) (eventstore.Reader, error) {
	return &Reader{client: c, topic: topic, partition: partition}, nil
}

// Close ends the reader's connection.
func (r *Reader) Close() error {
	if r.conn == nil {
		return nil
	}
	conn := r.conn
	r.conn = nil
	if err := conn.Close(); err != nil && !errors.Is(err, sarama.ErrNotConnected) {
		return fmt.Errorf("closing a reader of %s/%d: %w", r.topic, r.partition, err)
	}
	return nil
}

// Read implements eventstore.Reader. It ends with ctx at once, and survives moving leaders and broken connections a few
// times before it fails.
func (r *Reader) Read(ctx context.Context, offset int64, maxWait time.Duration) (eventstore.Chunk, error) {
	var last error
	var doubted time.Time
	for attempt := 0; attempt < readRetries || !doubted.IsZero(); attempt++ {
		if attempt > 0 {
			if err := pause(ctx, retryPause<<min(attempt, readRetries)); err != nil {
				return eventstore.Chunk{}, err
			}
		}
		if err := ctx.Err(); err != nil {
			return eventstore.Chunk{}, err
		}
		chunk, err := r.fetch(ctx, offset, min(maxWait, maxPoll))
		if err == nil {
			return chunk, nil
		}
		if ctx.Err() != nil {
			return eventstore.Chunk{}, ctx.Err()
		}
		switch gone := errors.Is(err, eventstore.ErrOffsetGone); {
		case gone && doubted.IsZero():
			doubted = time.Now()
			fallthrough
		case gone:
			if time.Since(doubted) >= r.client.goneDoubt() {
				return eventstore.Chunk{}, err
			}
		default:
			doubted = time.Time{}
		}
		last = err
		_ = r.Close()
		_ = r.client.sarama.RefreshMetadata(r.topic)
	}
	return eventstore.Chunk{}, fmt.Errorf("reading %s/%d from offset %d: %w", r.topic, r.partition, offset, last)
}

// goneDoubt is nothing where there is but one broker, which cannot have been deposed.
func (c *Client) goneDoubt() time.Duration {
	if len(c.sarama.Brokers()) < 2 && c.doubt == 0 {
		return 0
	}
	return cmp.Or(c.doubt, goneDoubt)
}

func (r *Reader) fetch(ctx context.Context, offset int64, maxWait time.Duration) (eventstore.Chunk, error) {
	if r.conn == nil {
		via := &dialer{Dialer: net.Dialer{Timeout: r.client.conf.Net.DialTimeout}}
		conn, err := r.client.dialLeader(r.topic, r.partition, via)
		if err != nil {
			return eventstore.Chunk{}, err
		}
		r.conn, r.line = conn, via.last
	}
	req := &sarama.FetchRequest{
		Version: 11, MaxWaitTime: int32(maxWait / time.Millisecond), MinBytes: 1, MaxBytes: fetchBytes,
		// Data is written outside transactions, and the only transactions are empty: nothing is ever undecided.
		Isolation: sarama.ReadUncommitted, SessionEpoch: -1,
	}
	req.AddBlock(r.topic, r.partition, offset, fetchBytes, -1)
	res, err := r.ask(ctx, req)
	if err != nil {
		return eventstore.Chunk{}, err
	}
	block := res.GetBlock(r.topic, r.partition)
	if block == nil {
		return eventstore.Chunk{}, fmt.Errorf("the broker's answer lacks %s/%d", r.topic, r.partition)
	}
	switch block.Err {
	case sarama.ErrNoError:
	case sarama.ErrOffsetOutOfRange:
		return eventstore.Chunk{}, fmt.Errorf("%w: %s/%d offset %d, it begins at %d and ends at %d",
			eventstore.ErrOffsetGone, r.topic, r.partition, offset, block.LogStartOffset, block.HighWaterMarkOffset)
	default:
		return eventstore.Chunk{}, block.Err
	}
	return collect(block, offset), nil
}

// ask makes a request, or ends with ctx: a follower that is to take its partition over must not wait out a long poll.
// sarama lets nobody close a connection before the answer, so it is closed below sarama.
func (r *Reader) ask(ctx context.Context, req *sarama.FetchRequest) (*sarama.FetchResponse, error) {
	line := r.line
	carryOn := context.AfterFunc(ctx, func() { _ = line.Close() })
	res, err := r.conn.Fetch(req)
	if !carryOn() {
		_ = r.Close()
	}
	return res, err
}

// collect flattens the batches of an answer. A batch can begin before the asked offset; what lies before is left out.
func collect(block *sarama.FetchResponseBlock, offset int64) eventstore.Chunk {
	chunk := eventstore.Chunk{Next: offset, HighWater: block.HighWaterMarkOffset}
	for _, set := range block.RecordsSet {
		batch := set.RecordBatch
		if batch == nil || batch.PartialTrailingRecord {
			break
		}
		chunk.Next = batch.LastOffset() + 1
		if batch.Control {
			if batch.FirstOffset >= offset {
				chunk.Markers = append(chunk.Markers, eventstore.Marker{
					ProducerID: batch.ProducerID, Epoch: batch.ProducerEpoch, Offset: batch.FirstOffset,
				})
			}
			continue
		}
		if chunk.Messages == nil {
			chunk.Messages = make([]eventstore.Message, 0, len(batch.Records))
		}
		for _, record := range batch.Records {
			if at := batch.FirstOffset + record.OffsetDelta; at >= offset {
				chunk.Messages = append(chunk.Messages, message(batch, record, at))
			}
		}
	}
	return chunk
}

func message(batch *sarama.RecordBatch, record *sarama.Record, offset int64) eventstore.Message {
	m := eventstore.Message{
		Key: record.Key, Value: record.Value, Offset: offset,
		Time: batch.FirstTimestamp.Add(record.TimestampDelta).UTC(),
	}
	if len(record.Headers) > 0 {
		m.Headers = make([]eventstore.Header, len(record.Headers))
		for i, h := range record.Headers {
			m.Headers[i] = eventstore.Header{Key: string(h.Key), Value: h.Value}
		}
	}
	return m
}

// pause waits, or returns the context's error.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
