package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/engine/store"
	"daybook/eventstore"
)

const (
	pollWait = 500 * time.Millisecond
	// retryMin and retryMax bound the pause between two tries at a partition.
	retryMin = 20 * time.Millisecond
	retryMax = 2 * time.Second
	// refence is the pause before an owner that was fenced, though the assignment is still its, tries again.
	refence = time.Second
	// downPatience is how long an interrupted partition still queues commands; later ones are refused at once.
	downPatience = 2 * time.Second
)

// partition is this node's view of one partition: a follower of its log or, while assigned, its owner.
type partition struct {
	engine *Engine
	id     int32
	queue  chan *request
	// grouped counts the commands that wait in groups.
	grouped atomic.Int64
	pace    pace
	// handed are steps that this node's coordinators hand over without the detour of the command topic.
	handed chan stepBatch
	// freezes asks the owner to stand still.
	freezes chan freeze
	// owned is true between a takeover and its end.
	owned atomic.Bool
	// followed is the offset up to which the log is folded. For end, heardAt and coordinator see PartitionStatus.
	followed, end atomic.Int64
	heardAt       atomic.Pointer[time.Time]
	coordinator   atomic.Pointer[coordinator]

	mu       sync.Mutex
	arrivals int64
	assigned bool
	stopped  bool
	turn     context.CancelFunc // ends the present turn as follower or owner
	down     time.Time          // when the trouble began that has not ended yet
	tried    time.Time          // when a command was last taken in spite of it

	// What follows belongs to the partition's goroutine.
	reader   eventstore.Reader
	position store.Position
	// marker is the last line this node ruled and read back, and ruled the time just before.
	marker eventstore.Marker
	ruled  time.Time
	// lastLine is the last line read, whoever ruled it.
	lastLine eventstore.Marker
	// unwritten tells that the broker refused a batch for its time and has taken none since: that it lets this node take over
	// is no sign then that the trouble is over.
	unwritten bool
	// pending are batches that an owner decided and did not see answered; awaited are their first events' ids.
	pending []*batch
	awaited map[string]*batch
	// carry are requests to decide before the queue.
	carry []*request
	// progressed tells that the present turn did more than begin.
	progressed bool
	lastErr    atomic.Pointer[string]
}

// assign hands the partition to this node, or takes it away.
func (p *partition) assign(mine bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.assigned == mine {
		return
	}
	p.assigned = mine
	if p.turn != nil {
		p.turn()
	}
}

func (p *partition) mine() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.assigned
}

// run takes turns as follower and owner until ctx ends.
func (p *partition) run(ctx context.Context) error {
	defer p.closeReader()
	defer p.giveUp()
	pause := retryMin
	for ctx.Err() == nil {
		var err error
		if p.position, err = p.engine.store.Position(p.id); err != nil {
			return err
		}
		p.followed.Store(p.position.Next)
		p.progressed = false
		turn, end := context.WithCancel(ctx)
		p.mu.Lock()
		p.turn = end
		mine := p.assigned
		p.mu.Unlock()
		switch err = p.sameLog(turn); {
		case err != nil:
		case mine:
			err = p.own(turn)
		default:
			err = p.standBy(turn)
		}
		reassigned := turn.Err() != nil
		end()
		var fatal *FatalError
		if errors.As(err, &fatal) {
			return err
		}
		if err == nil || ctx.Err() != nil || (reassigned && errors.Is(err, context.Canceled)) {
			pause = retryMin
			p.works()
			continue
		}
		if p.progressed {
			pause = retryMin
		}
		p.report(err)
		if errors.Is(err, eventstore.ErrFenced) {
			pause = refence
		}
		sleep(ctx, pause)
		pause = min(2*pause, retryMax)
	}
	return nil
}

// giveUp answers everything that still waits when this node stops; nothing can be queued from then on.
func (p *partition) giveUp() {
	p.mu.Lock()
	p.stopped = true
	p.mu.Unlock()
	p.leaveOpen(errors.New("this node is stopping"))
	p.refuseQueue("this node is stopping")
}

func (p *partition) works() {
	p.lastErr.Store(nil)
	p.mu.Lock()
	p.down = time.Time{}
	p.mu.Unlock()
}

func (p *partition) report(err error) {
	p.mu.Lock()
	if p.down.IsZero() {
		p.down = p.engine.cfg.Clock()
	}
	p.mu.Unlock()
	text := err.Error()
	if before := p.lastErr.Swap(&text); before == nil || *before != text {
		p.engine.cfg.Logger.Warn("partition interrupted, its commands wait or are refused; trying again; look whether the brokers run", "partition", p.id, "error", err)
	}
}

// standBy follows the log while another node owns the partition. What this node left open as an owner is settled
// first.
func (p *partition) standBy(ctx context.Context) error {
	if len(p.pending) > 0 {
		p.settleFenced(ctx)
	}
	if ctx.Err() != nil {
		return nil
	}
	p.passOnAll()
	return p.follow(ctx)
}

// follow applies what other nodes write until ctx ends.
func (p *partition) follow(ctx context.Context) error {
	for ctx.Err() == nil {
		chunk, err := p.read(ctx)
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		if err := p.apply(chunk); err != nil {
			return err
		}
		p.works()
		p.progressed = true
		p.passOnAll()
	}
	return nil
}

// own takes the partition over and decides its commands until ctx ends or something goes wrong.
func (p *partition) own(ctx context.Context) error {
	if err := p.takeOver(ctx); err != nil {
		return err
	}
	o, stop, err := p.newOwner(ctx)
	if err != nil {
		return err
	}
	if !p.unwritten {
		p.works()
	}
	p.owned.Store(true)
	err = o.run(ctx)
	p.owned.Store(false)
	stop()
	p.leave(o)
	p.unwritten = p.unwritten || errors.Is(err, eventstore.ErrClock)
	if refusal := brokerRefuses(err); refusal != nil {
		p.refuseFirst(refusal)
	}
	if errors.Is(err, eventstore.ErrFenced) {
		position, readErr := p.engine.store.Position(p.id)
		if readErr != nil {
			return errors.Join(err, readErr)
		}
		p.position = position
		p.settleFenced(context.WithoutCancel(ctx))
	}
	return err
}

// newOwner starts what an owner works with; stop ends it all and waits.
func (p *partition) newOwner(ctx context.Context) (*owner, func(), error) {
	e := p.engine
	writer, err := e.log.OpenWriter(eventstore.AccountEvents, p.id, p.marker)
	if err != nil {
		return nil, nil, err
	}
	work, cancel := context.WithCancel(context.WithoutCancel(ctx))
	coordinator, err := newCoordinator(e, p.id, p.position)
	if err != nil {
		cancel()
		return nil, nil, errors.Join(err, writer.Close())
	}
	steps := make(chan stepBatch, 4)
	var wg sync.WaitGroup
	wg.Go(func() { coordinator.run(work) })
	wg.Go(func() { e.readSteps(work, p.id, p.position, steps) })
	seen, doubt := &p.followed, make(chan struct{}, 1)
	p.coordinator.Store(coordinator)
	seen.Store(p.position.Next)
	wg.Go(func() { e.watch(work, p.id, seen, doubt) })
	spec := newSpeculation(e.store, p.id)
	p.learn(p.marker)
	o := &owner{
		engine: e, partition: p, writer: writer, spec: spec, position: p.position,
		decider: ledger.Decider{
			Books: spec, NewID: e.cfg.NewID,
			Here: func(id string) bool { return e.partitionOf(id) == p.id },
		},
		seen: seen, doubt: doubt, renewed: p.ruled, carry: p.carry, steps: steps, acks: make(chan ack, maxBatchesInFlight+1),
		commandsDone: p.position.Progress.Commands, parcels: map[string]int64{}, held: map[store.OutcomeKey][]*request{}, ends: make(chan asked, 1), spawn: wg.Go, coordinated: &coordinator.position,
		publish: func(events []eventstore.Recorded) {
			coordinator.offer(events)
			e.publish(p.id, events)
		},
	}
	p.carry = nil
	return o, func() {
		p.coordinator.Store(nil)
		cancel()
		if err := writer.Close(); err != nil {
			e.cfg.Logger.Debug("closing a writer", "error", err)
		}
		wg.Wait()
	}, nil
}

func (p *partition) read(ctx context.Context) (eventstore.Chunk, error) {
	chunk, err := p.readAt(ctx, p.position.Next)
	if err == nil {
		p.heard(chunk.HighWater)
	}
	return chunk, err
}

func (p *partition) closeReader() {
	if p.reader != nil {
		_ = p.reader.Close()
	}
}

// apply folds a run of the log into local state and publishes it.
func (p *partition) apply(chunk eventstore.Chunk) error {
	if chunk.Next == p.position.Next {
		return nil
	}
	b := newBatch(1, p.engine.store.NewBatch(p.id))
	spec := newSpeculation(p.engine.store, p.id)
	position := p.position
	position.Next = chunk.Next
	events := make([]eventstore.Recorded, 0, len(chunk.Messages))
	for i := range chunk.Messages {
		e, err := eventstore.Decode(&chunk.Messages[i])
		if err == nil {
			err = p.check(&e)
		}
		if err != nil {
			b.stored.Close()
			return &FatalError{err}
		}
		if err := p.foldInto(spec, b, &e, &position); err != nil {
			b.stored.Close()
			return err
		}
		events = append(events, eventstore.Recorded{Event: e, Partition: p.id, Offset: chunk.Messages[i].Offset})
	}
	if n := len(chunk.Messages); n > 0 {
		position.Last = store.LastEventAt(chunk.Messages[n-1].Offset, chunk.Messages[n-1].Value)
	}
	spec.put(b)
	if err := b.stored.Commit(position); err != nil {
		return err
	}
	p.position = position
	for _, m := range chunk.Markers {
		p.learn(m)
		p.lastLine = m
	}
	p.followed.Store(position.Next)
	p.markMet(events)
	if len(events) > 0 {
		p.engine.publish(p.id, events)
	}
	return nil
}

func (p *partition) foldInto(spec *speculation, b *batch, e *eventstore.Event, position *store.Position) error {
	if _, ok := e.Data.(account.Event); !ok {
		return &FatalError{fmt.Errorf("event %s (%s) is in the topic of account events and is none", e.ID, e.Data.EventType())}
	}
	before, err := spec.cached(e.AggregateID)
	if err != nil {
		return err
	}
	if e.Version != before.state.Version+1 {
		p.engine.cfg.Logger.Error("the log breaks an account's order of versions; run daybook verify",
			"account", e.AggregateID, "version", e.Version, "after", before.state.Version)
	}
	if err := spec.fold(b, e); err != nil {
		return err
	}
	if e.Timestamp.After(position.LastTime) {
		position.LastTime = e.Timestamp
	}
	if e.Progress != nil {
		position.Progress = *e.Progress
	}
	return nil
}

// check refuses a log whose partitioning is not this program's: accounts' later events would go elsewhere.
func (p *partition) check(e *eventstore.Event) error {
	n := p.engine.cfg.Partitions
	if e.Progress != nil && e.Progress.Partitions != n {
		return fmt.Errorf("the events were written with %d partitions and the topic has %d: accounts' events would part; restore the topic as it was",
			e.Progress.Partitions, n)
	}
	if got := p.engine.partitionOf(e.AggregateID); got != p.id {
		return fmt.Errorf("account %s belongs to partition %d and stands in %d: the topic's partitions were changed; restore it as it was",
			e.AggregateID, got, p.id)
	}
	return nil
}

// learn notes who owns the partition.
func (p *partition) learn(m eventstore.Marker) {
	if f := p.engine.forwarder; f != nil {
		f.ways[p.id].learn(m)
	}
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
