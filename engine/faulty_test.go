package engine_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"daybook/engine"
	"daybook/eventstore"
)

var errInjected = errors.New("injected")

// fault says what goes wrong with one call.
type fault int

const (
	none fault = iota
	// before: nothing reaches the log, and the call fails.
	before
	// after: it is in the log, and the answer is lost.
	after
	// hangUp: the connection is closed while the batch is on its way.
	hangUp
	// afterRenewal: like after, and the fence was renewed just before.
	afterRenewal
	// renewed: the fence was renewed just before, and the batch is written and answered.
	renewed
	// wrongTime: the broker refuses the batch for its time.
	wrongTime
)

// faultyLog is a real log of which chosen calls go wrong. A nil function lets all calls through. The functions are
// called from many goroutines.
type faultyLog struct {
	engine.Log
	// onAppend is asked about every batch of account events, with its number in its writer, from 1.
	onAppend func(partition int32, number int, messages []eventstore.Message) fault
	// gate, when set, is passed by every answer to a batch, in order: it holds them back by not returning.
	gate   func()
	onRule func(partition int32) fault
	onRead func(topic string, partition int32, offset int64) error
	onSend func(topic string, partition int32) fault
	onEnd  func(topic string, partition int32)
	// onPost can refuse what is appended without a fence.
	onPost func(topic string, messages []eventstore.Message) error
	// blank hides every marker.
	blank atomic.Bool
	// small makes every chunk end with its first marker.
	small atomic.Bool

	mu sync.Mutex
	// ruled counts the lines ruled; largest is the most bytes that a batch had.
	ruled   atomic.Int64
	largest int
}

// faulty puts a faultyLog between an engine and its log.
func faulty(f *faultyLog) option {
	return through(func(log engine.Log) engine.Log {
		f.Log = log
		return f
	})
}

func (f *faultyLog) RuleLine(ctx context.Context, topic string, partition int32) (eventstore.Marker, error) {
	what := none
	if f.onRule != nil {
		what = f.onRule(partition)
	}
	if what == before {
		return eventstore.Marker{}, errInjected
	}
	m, err := f.Log.RuleLine(ctx, topic, partition)
	f.ruled.Add(1)
	if what == after {
		return eventstore.Marker{}, errInjected
	}
	return m, err
}

func (f *faultyLog) OpenWriter(topic string, partition int32, m eventstore.Marker) (eventstore.Writer, error) {
	w, err := f.Log.OpenWriter(topic, partition, m)
	if err != nil {
		return nil, err
	}
	fw := &faultyWriter{Writer: w, log: f, partition: partition, answers: make(chan chan func(), 16)}
	go fw.deliver()
	return fw, nil
}

func (f *faultyLog) OpenReader(topic string, partition int32) (eventstore.Reader, error) {
	r, err := f.Log.OpenReader(topic, partition)
	if err != nil {
		return nil, err
	}
	return &faultyReader{Reader: r, log: f, topic: topic, partition: partition}, nil
}

func (f *faultyLog) EndOffset(topic string, partition int32) (int64, error) {
	if f.onEnd != nil {
		f.onEnd(topic, partition)
	}
	return f.Log.EndOffset(topic, partition)
}

func (f *faultyLog) OpenAppender(topic string, partition int32) eventstore.Appender {
	return &faultyAppender{Appender: f.Log.OpenAppender(topic, partition), log: f, topic: topic, partition: partition}
}

func (f *faultyLog) measure(messages []eventstore.Message) {
	size := 0
	for i := range messages {
		size += len(messages[i].Value)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.largest = max(f.largest, size)
}

type faultyWriter struct {
	eventstore.Writer
	log       *faultyLog
	partition int32
	number    int
	broken    bool
	// answers holds one place for each batch, so that answers stay in order whatever goes wrong.
	answers chan chan func()
}

func (w *faultyWriter) deliver() {
	for place := range w.answers {
		answer := <-place
		if w.log.gate != nil {
			w.log.gate()
		}
		answer()
	}
}

func (w *faultyWriter) Append(messages []eventstore.Message, done func(int64, error)) error {
	w.log.measure(messages)
	w.number++
	what := none
	if w.log.onAppend != nil {
		what = w.log.onAppend(w.partition, w.number, messages)
	}
	place := make(chan func(), 1)
	w.answers <- place
	if what == before || w.broken { // Nothing sent after what was lost can reach the log.
		w.broken = true
		place <- func() { done(0, errInjected) }
		return nil
	}
	if what == wrongTime {
		w.broken = true
		place <- func() { done(0, fmt.Errorf("writing: %w", eventstore.ErrClock)) }
		return nil
	}
	if what == afterRenewal || what == renewed {
		if err := w.Renew(context.Background()); err != nil {
			place <- func() {} // Nobody waits for this one, and the next ones come after it.
			return err
		}
	}
	err := w.Writer.Append(messages, func(first int64, err error) {
		if what == after || what == afterRenewal {
			first, err = 0, errInjected
		}
		place <- func() { done(first, err) }
	})
	if err != nil {
		place <- func() {}
	}
	if what == hangUp {
		w.broken = true
		return errors.Join(err, w.Writer.Close(), errInjected)
	}
	return err
}

func (w *faultyWriter) Close() error {
	err := w.Writer.Close()
	close(w.answers)
	return err
}

type faultyReader struct {
	eventstore.Reader
	log       *faultyLog
	topic     string
	partition int32
}

func (r *faultyReader) Read(ctx context.Context, offset int64, maxWait time.Duration) (eventstore.Chunk, error) {
	if r.log.onRead != nil {
		if err := r.log.onRead(r.topic, r.partition, offset); err != nil {
			return eventstore.Chunk{}, err
		}
	}
	chunk, err := r.Reader.Read(ctx, offset, maxWait)
	if r.log.blank.Load() {
		chunk.Markers = nil
	}
	if err == nil && r.log.small.Load() && len(chunk.Markers) > 0 {
		chunk.Markers = chunk.Markers[:1]
		chunk.Next = chunk.Markers[0].Offset + 1
		for i := range chunk.Messages {
			if chunk.Messages[i].Offset >= chunk.Next {
				chunk.Messages = chunk.Messages[:i]
				break
			}
		}
	}
	return chunk, err
}

type faultyAppender struct {
	eventstore.Appender
	log       *faultyLog
	topic     string
	partition int32
}

func (a *faultyAppender) Append(ctx context.Context, messages []eventstore.Message) error {
	what := none
	if a.log.onSend != nil {
		what = a.log.onSend(a.topic, a.partition)
	}
	if what == before {
		return errInjected
	}
	if a.log.onPost != nil {
		if err := a.log.onPost(a.topic, messages); err != nil {
			return err
		}
	}
	if err := a.Appender.Append(ctx, messages); err != nil {
		return err
	}
	if what == after {
		return errInjected
	}
	return nil
}
