// Package snapshot keeps checkpoints of the partitions' state in the log's topic of snapshots, so that a node without
// local state starts from the last one and the tail of the log.
//
// A checkpoint is a run of chunks, which together are the tables of an export of the store, followed by a manifest that
// says what they are. Nothing of it changes once it is written, and its id is its own, so writers that do not know of one
// another cannot damage each other's. A checkpoint is only a quicker way to what folding the log gives: whoever cannot
// show that it is complete and of this very log leaves it alone.
package snapshot

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"daybook/engine/store"
	"daybook/eventstore"
)

// Log is what is needed of the cluster; package eventstore/kafka provides it.
type Log interface {
	OpenReader(topic string, partition int32) (eventstore.Reader, error)
	OpenAppender(topic string, partition int32) eventstore.Appender
	StartOffset(topic string, partition int32) (int64, error)
	EndOffset(topic string, partition int32) (int64, error)
}

// Config is what checkpoints are written from and restored to. All but the limits is required.
type Config struct {
	Log   Log
	Store *store.Store
	// LogID is the identity of the log that the store is folded from.
	LogID string
	// Partitions is the number of partitions of the account topics.
	Partitions int32
	// Owned lists the partitions to write checkpoints of. Only a Writer needs it.
	Owned  func() []int32
	Clock  func() time.Time
	NewID  func() string
	Logger *slog.Logger
	// Metrics counts what is done. Default: it is told to nobody.
	Metrics *Metrics
	// MinEvents is the least number of offsets between two checkpoints of a partition. Default 100,000.
	MinEvents int64
	// EntriesPerEvent spaces the checkpoints of a large state: as many offsets lie between two as the state has entries,
	// divided by it. The smaller it is, the less is written, and the longer is the tail to read. Default 8.
	EntriesPerEvent int64
	// BytesPerSecond bounds how fast checkpoints are written and read back. Default 16 MB; negative is unbounded.
	BytesPerSecond int64
	// Interval is how often a Writer looks whether a checkpoint is due. Default 5 s.
	Interval time.Duration
	// Behind is by how many offsets local state must be behind a checkpoint to be replaced by it. Default 100,000.
	Behind int64
}

func (c Config) withDefaults() Config {
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil, c.Partitions)
	}
	if c.MinEvents == 0 {
		c.MinEvents = 100_000
	}
	if c.EntriesPerEvent == 0 {
		c.EntriesPerEvent = 8
	}
	if c.BytesPerSecond == 0 {
		c.BytesPerSecond = 16 << 20
	}
	if c.Interval == 0 {
		c.Interval = 5 * time.Second
	}
	if c.Behind == 0 {
		c.Behind = 100_000
	}
	return c
}

const (
	topic = eventstore.AccountSnapshots
	// chunkBytes is the size of every chunk but the last.
	chunkBytes = 1 << 20
	readWait   = 500 * time.Millisecond
	// maxSilence bounds the empty answers in a row where records should be.
	maxSilence = 20
	// deletionsAtOnce bounds how many records are deleted with one batch.
	deletionsAtOnce = 4096
)

// keyOf returns the key of one of a checkpoint's records.
func keyOf(id, record string) []byte { return []byte(id + "/" + record) }

// splitKey returns a key's checkpoint and record.
func splitKey(key []byte) (id, record string) {
	id, record, _ = strings.Cut(string(key), "/")
	return id, record
}

// scan passes on the records of a partition from an offset up to another. Compaction can have removed any of them.
func scan(ctx context.Context, r eventstore.Reader, from, to int64, use func(m *eventstore.Message) error) error {
	for silence := 0; from < to; {
		chunk, err := r.Read(ctx, from, readWait)
		if err != nil {
			return err
		}
		for i := range chunk.Messages {
			if chunk.Messages[i].Offset >= to {
				return nil
			}
			if err := use(&chunk.Messages[i]); err != nil {
				return err
			}
		}
		if chunk.Next > from {
			from, silence = chunk.Next, 0
			continue
		}
		if silence++; silence == maxSilence {
			return errSilent
		}
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// pace rests as long as so many bytes may take.
func (c *Config) pace(ctx context.Context, bytes int) error {
	if c.BytesPerSecond < 0 {
		return ctx.Err()
	}
	return sleep(ctx, time.Duration(int64(bytes)*int64(time.Second)/c.BytesPerSecond))
}
