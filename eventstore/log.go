package eventstore

import (
	"context"
	"time"
)

// Writer appends batches to one partition behind a fence. It is for one goroutine. After any error it is of no more
// use: its owner takes the partition over again.
type Writer interface {
	// Append sends one batch, which reaches the log whole or not at all and only after those sent before it. It
	// returns once the batch is on its way; done is called from another goroutine with the offset of the first
	// message, or with the error, and must neither block nor call the writer.
	Append(messages []Message, done func(first int64, err error)) error
	// Renew plants the fence again, because brokers forget a writer that is silent for long.
	Renew(ctx context.Context) error
	Close() error
}

// Reader reads one partition by offset. It is for one goroutine at a time.
type Reader interface {
	// Read returns what the partition holds from offset on, waiting up to maxWait for the first record. An empty
	// chunk means that nothing came.
	Read(ctx context.Context, offset int64, maxWait time.Duration) (Chunk, error)
	Close() error
}

// Appender writes batches to one partition without a fence, one at a time, for topics whose readers recognise
// repeats. It is for one goroutine.
type Appender interface {
	// Append writes one batch and waits for the answer. After a lost answer the batch can be in the log twice.
	Append(ctx context.Context, messages []Message) error
	Close() error
}
