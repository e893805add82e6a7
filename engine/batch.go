package engine

import (
	"time"

	"daybook/domain/account"
	"daybook/engine/store"
	"daybook/eventstore"
)

const (
	// maxBatchBytes keeps a batch of ordinary events below the smallest usual broker limit of 1 MB.
	maxBatchBytes = 768 << 10
	// maxBatchCommands bounds what one batch decides.
	maxBatchCommands = 4096
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
	// stored is the same batch as changes of local state.
	stored *store.Batch
	// met tells that a later reading found the batch in the log.
	met bool
	// unsent tells that deciding was broken off.
	unsent bool
	// What the batch lays on top of the store until it is stored.
	touched     map[string]*cachedAccount
	outcomeKeys []string
	legKeys     []string
	lastTime    time.Time
}

func (b *batch) full() bool {
	return b.bytes >= maxBatchBytes || len(b.requests)+len(b.events) >= maxBatchCommands
}

// record encodes events, adds them to the batch and folds them into the speculative state. It returns the state of
// the first event's account right after that event. Either all events are recorded or, on an error, none.
func (o *owner) record(b *batch, events []eventstore.Event) (account.State, error) {
	if len(b.messages) == 0 {
		events[0].Progress = &eventstore.Progress{
			Commands: o.commandsDone, Coordinated: o.coordinated.Load(), Partitions: o.engine.cfg.Partitions,
		}
	}
	messages := make([]eventstore.Message, len(events))
	for i := range events {
		e := &events[i]
		target, err := o.spec.account(e.AggregateID)
		if err != nil {
			return account.State{}, errStore{err}
		}
		// Events of one call are on different accounts, so each state is the one before the call.
		e.Version = target.state.Version + 1
		if messages[i], err = o.engine.encode(e); err != nil {
			return account.State{}, err
		}
	}
	var first account.State
	for i := range events {
		e := &events[i]
		target := o.spec.accounts[e.AggregateID]
		target.state = target.state.Apply(e.AggregateID, e.Data.(account.Event), e.Timestamp)
		target.batch = b.number
		b.touched[e.AggregateID] = target
		if i == 0 {
			first = target.state
		}
		o.overlay(b, e, &target.state)
		b.events = append(b.events, eventstore.Recorded{Event: *e, Partition: o.partition.id})
		b.messages = append(b.messages, messages[i])
		b.bytes += len(messages[i].Value) + recordOverhead
	}
	return first, nil
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

// overlay lays what the event makes the partition remember on top of the store, until the batch is stored.
func (o *owner) overlay(b *batch, e *eventstore.Event, after *account.State) {
	remember(b.stored, e, after)
	if e.IdempotencyKey != "" {
		k := outcomeKey(e.AggregateID, e.IdempotencyKey)
		o.spec.outcomes[k] = outcomeOf(e, after)
		b.outcomeKeys = append(b.outcomeKeys, k)
	}
	if id, kind, leg, ok := legOf(e.Data); ok {
		k := legKey(e.AggregateID, id, kind)
		o.spec.legs[k] = leg
		b.legKeys = append(b.legKeys, k)
	}
}

func (o *owner) envelope(d draft, m *Meta, causationID string) eventstore.Event {
	return eventstore.Event{
		ID: o.engine.cfg.NewID(), AggregateID: d.accountID, Timestamp: o.now, CorrelationID: m.CorrelationID,
		CausationID: causationID, Metadata: m.Actor, Data: d.data, Traceparent: m.Traceparent,
	}
}
