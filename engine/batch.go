package engine

import (
	"time"

	"daybook/engine/store"
	"daybook/eventstore"
)

const (
	// maxBatchBytes keeps a batch of ordinary events below the smallest usual broker limit of 1 MB.
	maxBatchBytes = 768 << 10
	// maxBatchCommands bounds what one batch decides.
	maxBatchCommands = 4096
	// maxGroupBytes bounds what one group of commands adds to a batch: with it, the batch is within the 12 MB that the
	// topics take.
	maxGroupBytes = 8 << 20
	// recordOverhead is about what a record adds to its value: key, headers, lengths.
	recordOverhead = 280
)

// batch is what is decided together and written as one Kafka record batch.
type batch struct {
	number   uint64
	events   []eventstore.Recorded
	messages []eventstore.Message
	bytes    int
	requests []*request
	// handed are to be closed once the batch is in the log.
	handed []chan struct{}
	// stored is the same batch as changes of local state.
	stored *store.Batch
	// met tells that a later reading found the batch in the log.
	met bool
	// unsent tells that deciding was broken off.
	unsent bool
	// What the batch lays on top of the store until it is stored.
	touched  map[string]*cachedAccount
	outcomes []store.OutcomeKey
	legs     []store.LegKey
	holds    []string
	receipts []string
	lastTime time.Time
	moments  *moments
}

func newBatch(number uint64, stored *store.Batch) *batch {
	return &batch{number: number, stored: stored, touched: map[string]*cachedAccount{}}
}

// refuses tells whether a request of the batch is to be answered that it was refused.
func (b *batch) refuses(final func(*request) bool) bool {
	for _, r := range b.requests {
		if r.err != nil && final(r) {
			return true
		}
	}
	return false
}

// cut takes back what was added to the batch since the mark was made of it; its requests and the account states are
// not the batch's to take back.
func (b *batch) cut(mark batch) {
	b.events, b.messages, b.bytes = b.events[:len(mark.events)], b.messages[:len(mark.messages)], mark.bytes
	b.outcomes, b.legs = b.outcomes[:len(mark.outcomes)], b.legs[:len(mark.legs)]
	b.holds, b.receipts = b.holds[:len(mark.holds)], b.receipts[:len(mark.receipts)]
}

func (b *batch) full() bool {
	return b.bytes >= maxBatchBytes || len(b.requests)+len(b.events) >= maxBatchCommands
}

// record encodes events, adds them to the batch and folds them into the speculative state. Either all events are
// recorded or, when one is refused, none. Any other error is a ledger.BooksError.
func (o *owner) record(b *batch, events []eventstore.Event) error {
	if len(b.messages) == 0 {
		events[0].Progress = &eventstore.Progress{
			Commands: o.commandsDone, Coordinated: o.coordinated.Load(), Partitions: o.engine.cfg.Partitions,
		}
	}
	first := len(b.messages)
	for i := range events {
		m, err := o.engine.encode(&events[i])
		if err != nil {
			b.messages = b.messages[:first]
			return err
		}
		b.messages = append(b.messages, m)
	}
	for i := range events {
		if err := o.spec.fold(b, &events[i]); err != nil {
			return err
		}
		b.events = append(b.events, eventstore.Recorded{Event: events[i], Partition: o.partition.id})
		b.bytes += len(b.messages[first+i].Value) + recordOverhead
	}
	return nil
}

// encode encodes an event, with a warning when it is large enough to be a mistake.
func (e *Engine) encode(event *eventstore.Event) (eventstore.Message, error) {
	m, err := eventstore.Encode(event)
	if len(m.Value) > eventstore.WarnEventBytes {
		e.cfg.Logger.Warn("an event is larger than events should be; find out what its text is for", "eventType", event.Data.EventType(),
			"aggregate", event.AggregateID, "bytes", len(m.Value))
	}
	return m, err
}
