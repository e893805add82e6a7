package projector

import (
	"context"
	"fmt"
	"time"

	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Bounds of what is written in one transaction, and read ahead meanwhile.
const (
	maxRunEvents = 5000
	maxRunBytes  = 8 << 20
	// pollWait is how long a reader waits for news.
	pollWait = 500 * time.Millisecond
	// rest is the pause after a small run: under load, what comes meanwhile makes a larger one, and what a run costs the
	// broker and the database besides its events is most of what a small one costs. The first after a lull goes at once.
	rest = 20 * time.Millisecond
	// smallRun is what is small.
	smallRun = 1000
	// Of a transaction's two or three events, those that are written together cost one row instead of as many updates
	// of it: under load, its lanes rest for about as long as a transaction takes.
	transactionRest = 150 * time.Millisecond
	transactionLoad = 64
)

// run is a part of a partition, decoded, or what keeps it from being read.
type run struct {
	events []eventstore.Recorded
	bytes  int
	next   int64
	err    error
}

// readAhead reads and decodes while what was read before is being written.
type readAhead struct {
	reader eventstore.Reader
	lane   *lane
	out    chan<- run
}

// read hands runs over until ctx ends or reading fails, which it hands over too. Small chunks that come while a run is
// being written make one run.
func (a *readAhead) read(ctx context.Context, offset int64) {
	var waiting run
	waiting.next = offset
	told := false
	for ctx.Err() == nil {
		wait := pollWait
		if len(waiting.events) > 0 {
			wait = 0
		}
		chunk, err := a.reader.Read(ctx, waiting.next, wait)
		grown := false
		if err == nil {
			a.lane.highWater.Store(chunk.HighWater)
			grown = chunk.Next > waiting.next
			err = a.decode(&waiting, &chunk)
		}
		if err != nil {
			// What came before the trouble is good and goes first.
			if len(waiting.events) > 0 && !a.hand(ctx, waiting) {
				return
			}
			a.hand(ctx, run{err: err})
			return
		}
		if !grown && len(waiting.events) == 0 {
			a.lane.caughtUp(waiting.next)
		}
		switch {
		case !grown && len(waiting.events) == 0 && told:
			// Nothing came. The first such answer is handed over all the same: it shows that reading works.
		case !grown || len(waiting.events) >= maxRunEvents || waiting.bytes >= maxRunBytes:
			if !a.hand(ctx, waiting) {
				return
			}
			a.pause(ctx, len(waiting.events))
			waiting, told = run{next: waiting.next}, true
		default:
			select {
			case a.out <- waiting:
				a.pause(ctx, len(waiting.events))
				waiting, told = run{next: waiting.next}, true
			default:
			}
		}
	}
}

// pause rests after a run of so many events.
func (a *readAhead) pause(ctx context.Context, events int) {
	if events == 0 || events >= smallRun {
		return
	}
	duration := rest
	if a.lane.topic == eventstore.TransactionEvents && events >= transactionLoad {
		duration = transactionRest
	}
	timer := time.NewTimer(duration)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// decode appends a chunk to a run. On an error the run holds what came before.
func (a *readAhead) decode(r *run, chunk *eventstore.Chunk) error {
	for i := range chunk.Messages {
		m := &chunk.Messages[i]
		e, err := eventstore.Decode(m)
		if err == nil && !ofTopic(a.lane.topic, &e) {
			err = fmt.Errorf("the event at offset %d is a %s and does not belong here", m.Offset, e.Data.EventType())
		}
		if err != nil {
			r.next = m.Offset
			return err
		}
		r.events = append(r.events, eventstore.Recorded{Event: e, Partition: a.lane.partition, Offset: m.Offset})
		r.bytes += len(m.Value)
	}
	r.next = chunk.Next
	return nil
}

func (a *readAhead) hand(ctx context.Context, r run) bool {
	select {
	case a.out <- r:
		return true
	case <-ctx.Done():
		return false
	}
}

func isTransaction(e *eventstore.Event) bool {
	_, ok := e.Data.(*transaction.Event)
	return ok
}
