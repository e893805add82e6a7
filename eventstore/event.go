// Package eventstore is the log: what an event looks like on the wire, how it is written and read back, and which
// topic and partition it belongs to. The packages below it speak to a broker.
package eventstore

import (
	"time"

	"daybook/domain/account"
	"daybook/domain/transaction"
)

// Data is the body of an event: an account.Event or a *transaction.Event.
type Data interface {
	// EventType is the name on the wire.
	EventType() string
}

// Metadata is the essential context of an event: who caused it.
type Metadata struct {
	ActorID   string
	ActorType string
}

// Event is a fact about one aggregate, in its envelope.
type Event struct {
	// ID is unique for ever. Events derived from others have derived ids, so that a repeat has the same one.
	ID          string
	AggregateID string
	// Version is the aggregate's version after this event, from 1.
	Version int64
	// Timestamp is UTC, in whole milliseconds; within a partition of account events it never decreases.
	Timestamp     time.Time
	CorrelationID string
	CausationID   string
	Metadata      Metadata
	Data          Data

	// What follows travels in Kafka headers only.

	// IdempotencyKey and Fingerprint are those of the client's command that caused the event; empty when none did.
	IdempotencyKey string
	Fingerprint    Fingerprint
	// Traceparent is the W3C trace context of the command.
	Traceparent string
	// Progress is set on the first event of a batch.
	Progress *Progress
}

// Fingerprint identifies the whole input of a command.
type Fingerprint [16]byte

// Progress is how far the owner of a partition had read its inputs when it wrote a batch. It makes the owner's
// position part of the log, so that a new owner begins where the last one was.
type Progress struct {
	// Commands is the next offset of the partition's command topic.
	Commands int64
	// Coordinated is the offset of this partition below which every event's consequences are recorded.
	Coordinated int64
	// Partitions is the number of partitions the topic had; another number would send ids elsewhere.
	Partitions int32
}

// Recorded is an event as it stands in the log.
type Recorded struct {
	Event
	Partition int32
	Offset    int64
}

// AggregateType is the aggregate's name in the envelope.
func (e *Event) AggregateType() string {
	if _, ok := e.Data.(*transaction.Event); ok {
		return transaction.AggregateType
	}
	return account.AggregateType
}
