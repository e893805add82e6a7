package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine/store"
	"daybook/eventstore"
)

const (
	// coordinatorBuffer and coordinatorEvents are how many batches, and about how many events in them, wait in memory;
	// what does not fit is read from the log.
	coordinatorBuffer = 1024
	coordinatorEvents = 1 << 14
	// coordinatorRun bounds how many events are taken as one step.
	coordinatorRun = 4096
	// After a step the coordinator rests, restFactor times as long as the step took and within these bounds, unless an
	// account waits for what follows from an event: fewer, larger batches leave the broker to the commands, however slow
	// it is.
	restFactor = 4
	minRest    = 20 * time.Millisecond
	maxRest    = 100 * time.Millisecond
	// idleCheck is how often a coordinator without work looks whether it missed something.
	idleCheck = 200 * time.Millisecond
)

// coordinator derives the transactions from a partition's account events and gives the next commands to accounts. It
// keeps nothing but its position: what it does again after a crash has the same ids and changes nothing.
type coordinator struct {
	engine    *Engine
	partition int32
	// position is the offset below which every event's consequences are recorded.
	position atomic.Int64
	// written is the offset after the last event known to be in the log.
	written atomic.Int64
	feed    chan []eventstore.Recorded
	// waiting counts the events in the feed.
	waiting atomic.Int64
	// held is a batch taken from the feed that does not follow on what was handled.
	held []eventstore.Recorded
	// rest fires when the coordinator has rested after a step.
	rest   *time.Timer
	reader eventstore.Reader

	transactions map[int32]eventstore.Appender
	commands     map[int32]eventstore.Appender
}

func newCoordinator(e *Engine, partition int32, at store.Position) (*coordinator, error) {
	own, err := e.store.Coordinated(partition)
	if err != nil {
		return nil, err
	}
	reader, err := e.log.OpenReader(eventstore.AccountEvents, partition)
	if err != nil {
		return nil, err
	}
	c := &coordinator{
		engine: e, partition: partition, feed: make(chan []eventstore.Recorded, coordinatorBuffer), reader: reader, rest: time.NewTimer(0),
		transactions: map[int32]eventstore.Appender{}, commands: map[int32]eventstore.Appender{},
	}
	c.position.Store(min(max(own, at.Progress.Coordinated), at.Next))
	c.written.Store(at.Next)
	for p := range e.cfg.Partitions {
		c.transactions[p] = e.log.OpenAppender(eventstore.TransactionEvents, p)
		c.commands[p] = e.log.OpenAppender(eventstore.AccountCommands, p)
	}
	return c, nil
}

// offer hands recorded events over without ever waiting; what is not taken now is read from the log later.
func (c *coordinator) offer(events []eventstore.Recorded) {
	if c.waiting.Load() < coordinatorEvents {
		c.waiting.Add(int64(len(events)))
		select {
		case c.feed <- events:
		default:
			c.waiting.Add(-int64(len(events)))
		}
	}
	c.written.Store(events[len(events)-1].Offset + 1)
}

// run works until ctx ends. Failures are tried again: nothing is passed over.
func (c *coordinator) run(ctx context.Context) {
	defer c.close()
	for ctx.Err() == nil {
		err := c.step(ctx)
		if err != nil && ctx.Err() == nil {
			c.engine.cfg.Logger.Warn("what follows from movements waits; trying again; look whether the brokers run", "partition", c.partition, "error", err)
			sleep(ctx, retryMax/4)
		}
	}
}

func (c *coordinator) step(ctx context.Context) error {
	events := c.held
	c.held = nil
	if events == nil && (c.written.Load() <= c.position.Load() || len(c.feed) > 0) {
		idle := time.NewTimer(idleCheck)
		defer idle.Stop()
		select {
		case events = <-c.feed:
			c.waiting.Add(-int64(len(events)))
		case <-idle.C:
			return nil
		case <-ctx.Done():
			return nil
		}
	}
	if events == nil {
		return c.catchUp(ctx, c.written.Load())
	}
	if err := c.catchUp(ctx, events[0].Offset); err != nil {
		c.held = events
		return err
	}
	run := c.gather(ctx, events)
	began := c.engine.cfg.Clock()
	// What fails here is read from the log the next time.
	err := c.handle(ctx, run...)
	c.rest.Reset(min(max(restFactor*c.engine.cfg.Clock().Sub(began), minRest), maxRest))
	return err
}

// urgent tells whether an account waits for a command that follows from the events.
func (c *coordinator) urgent(events []eventstore.Recorded) bool {
	for i := range events {
		switch d := events[i].Data.(type) {
		case *account.CreditRefused:
			return true
		case *account.BalanceChanged:
			if d.ChangeType == account.Debit && !transaction.IsExternal(d.CounterpartyID) && c.engine.partitionOf(d.CounterpartyID) != c.partition {
				return true
			}
		default: // No other event sends a command.
		}
	}
	return false
}

// gather lengthens a run of events by what follows on it, within a bound: what waits already and, until the coordinator
// has rested or an account waits, what comes in the meantime.
func (c *coordinator) gather(ctx context.Context, events []eventstore.Recorded) [][]eventstore.Recorded {
	run, count := [][]eventstore.Recorded{events}, len(events)
	for ready := c.urgent(events); count < coordinatorRun && !(ready && len(c.feed) == 0); {
		select {
		case more := <-c.feed:
			c.waiting.Add(-int64(len(more)))
			if more[0].Offset != events[len(events)-1].Offset+1 {
				c.held = more
				return run
			}
			run, count, events = append(run, more), count+len(more), more
			ready = ready || c.urgent(more)
		case <-c.rest.C:
			ready = true
		case <-ctx.Done():
			return run
		}
	}
	return run
}

// catchUp handles the log from the position up to an offset.
func (c *coordinator) catchUp(ctx context.Context, until int64) error {
	for c.position.Load() < until {
		chunk, err := c.reader.Read(ctx, c.position.Load(), pollWait)
		if err != nil {
			return err
		}
		events := make([]eventstore.Recorded, 0, len(chunk.Messages))
		for i := range chunk.Messages {
			e, err := eventstore.Decode(&chunk.Messages[i])
			if err != nil {
				return err
			}
			events = append(events, eventstore.Recorded{Event: e, Partition: c.partition, Offset: chunk.Messages[i].Offset})
		}
		if err := c.handle(ctx, events); err != nil {
			return err
		}
		c.position.Store(max(c.position.Load(), chunk.Next))
	}
	return nil
}

// handle records what follows from a run of events: the transactions' events first, then the commands.
func (c *coordinator) handle(ctx context.Context, run ...[]eventstore.Recorded) error {
	from, began := c.position.Load(), c.engine.cfg.Clock()
	transactions, steps := map[int32][]eventstore.Message{}, map[int32][]step{}
	next := from
	for _, events := range run {
		for i := range events {
			e := &events[i]
			if e.Offset < from {
				continue
			}
			next = e.Offset + 1
			if err := c.react(e, transactions, steps); err != nil {
				return err
			}
		}
	}
	if next == from {
		return nil
	}
	if err := appendAll(ctx, c.transactions, transactions); err != nil {
		return fmt.Errorf("recording transactions: %w", err)
	}
	if err := c.send(ctx, steps); err != nil {
		return fmt.Errorf("sending commands: %w", err)
	}
	c.engine.traceCoordination(run, from, began)
	c.position.Store(next)
	return c.engine.store.SetCoordinated(c.partition, next)
}

func (c *coordinator) react(e *eventstore.Recorded, transactions map[int32][]eventstore.Message, steps map[int32][]step) error {
	data, ok := e.Data.(account.Event)
	if !ok {
		return nil
	}
	samePartition := false
	if change, ok := data.(*account.BalanceChanged); ok {
		samePartition = c.engine.partitionOf(change.CounterpartyID) == c.partition
	}
	derived, next := transaction.React(e.AggregateID, data, samePartition)
	for i := range derived {
		m, err := c.engine.encode(c.transactionEvent(e, &derived[i]))
		if err != nil {
			return err
		}
		to := c.engine.partitionOf(string(m.Key))
		transactions[to] = append(transactions[to], m)
	}
	if next == nil {
		return nil
	}
	to := c.engine.partitionOf(next.AccountID)
	steps[to] = append(steps[to], step{command: &eventstore.StepCommand{
		Step: *next, ID: derivedID(e.ID, string(next.Kind)), CorrelationID: e.CorrelationID, CausationID: e.ID,
		Metadata: e.Metadata, Traceparent: e.Traceparent,
	}, at: e.Timestamp})
	return nil
}

// transactionEvent derives everything from the cause, its id included, so that a repeat is recognised.
func (c *coordinator) transactionEvent(cause *eventstore.Recorded, data *transaction.Event) *eventstore.Event {
	return &eventstore.Event{
		ID: derivedID(cause.ID, data.EventType()), AggregateID: transactionID(cause.Data), Version: data.Version(),
		Timestamp: cause.Timestamp, CorrelationID: cause.CorrelationID, CausationID: cause.ID,
		Metadata: cause.Metadata, Traceparent: cause.Traceparent, Data: data,
	}
}

func transactionID(d eventstore.Data) string {
	switch d := d.(type) {
	case *account.BalanceChanged:
		return d.TransactionID
	case *account.CreditRefused:
		return d.TransactionID
	default:
		return ""
	}
}

func derivedID(cause, name string) string {
	return uuid.NewSHA1(namespace, []byte(cause+"/"+name)).String()
}

// appendAll writes to all partitions at once and waits for all of them.
func appendAll(ctx context.Context, to map[int32]eventstore.Appender, messages map[int32][]eventstore.Message) error {
	errs := make([]error, 0, len(messages))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for p, all := range messages {
		wg.Go(func() {
			for len(all) > 0 {
				n := fitting(all)
				if err := to[p].Append(ctx, all[:n]); err != nil {
					mu.Lock()
					errs = append(errs, err)
					mu.Unlock()
					return
				}
				all = all[n:]
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// fitting returns how many messages make one batch, at least one.
func fitting(messages []eventstore.Message) int {
	size := 0
	for i := range messages {
		size += len(messages[i].Value) + recordOverhead
		if size > maxBatchBytes && i > 0 {
			return i
		}
	}
	return len(messages)
}

func (c *coordinator) close() {
	c.rest.Stop()
	_ = c.reader.Close()
	for p := range c.transactions {
		_ = c.transactions[p].Close()
		_ = c.commands[p].Close()
	}
}
