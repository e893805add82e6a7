package sim

import (
	"errors"

	"daybook/eventstore"
)

// What the log answers a writer with.
var (
	errFenced  = errors.New("a newer writer took the partition over")
	errOrder   = errors.New("the batch is out of sequence")
	errLost    = errors.New("the connection broke")
	errAnswers = errors.New("the answer makes no sense")
	errStale   = errors.New("the fence is too old")
)

// entry is a record of the log, or a writer's line.
type entry struct {
	event *eventstore.Event
	epoch int32
}

// partitionLog is one partition of the log as Kafka keeps it: only appended to, by the newest epoch, by sequence.
type partitionLog struct {
	id      int32
	entries []entry
	epoch   int32
	next    int64
	// recent are the newest batches of the present epoch, by which a repeat is recognised.
	recent []written
}

type written struct{ sequence, first int64 }

// knownBatches is how many batches of a producer Kafka recognises a repeat of.
const knownBatches = 5

func (l *partitionLog) end() int64 { return int64(len(l.entries)) }

// rule plants a new epoch and returns it with the offset of its line.
func (l *partitionLog) rule() (int32, int64) {
	l.epoch++
	l.next, l.recent = 0, l.recent[:0]
	l.entries = append(l.entries, entry{epoch: l.epoch})
	return l.epoch, l.end() - 1
}

// renew plants an epoch's line again; its sequence begins anew only with another epoch.
func (l *partitionLog) renew(epoch int32) error {
	if epoch != l.epoch {
		return errFenced
	}
	l.entries = append(l.entries, entry{epoch: epoch})
	return nil
}

// append takes a batch whole or not at all. fresh is false for a repeat.
func (l *partitionLog) append(epoch int32, sequence int64, events []*eventstore.Event, fenced bool) (first int64, fresh bool, err error) {
	if epoch != l.epoch {
		if fenced {
			return 0, false, errFenced
		}
		return l.add(epoch, events), true, nil
	}
	for _, w := range l.recent {
		if w.sequence == sequence {
			return w.first, false, nil
		}
	}
	if sequence != l.next {
		return 0, false, errOrder
	}
	first = l.add(epoch, events)
	l.next += int64(len(events))
	l.recent = append(l.recent, written{sequence, first})
	if len(l.recent) > knownBatches {
		l.recent = l.recent[:copy(l.recent, l.recent[1:])]
	}
	return first, true, nil
}

func (l *partitionLog) add(epoch int32, events []*eventstore.Event) int64 {
	first := l.end()
	for _, e := range events {
		l.entries = append(l.entries, entry{event: e, epoch: epoch})
	}
	return first
}
