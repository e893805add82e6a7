package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"daybook/engine/ledger"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/internal/planted"
)

const (
	// maxBatchesInFlight: decided on top of one another and kept in order by their sequence numbers. Kafka tells at
	// most five apart.
	maxBatchesInFlight = 3
	// fenceRenewal is how often the fence is planted anew; brokers forget a silent producer after a day.
	fenceRenewal = time.Hour
	// fenceTrust is the age after which a fence is not trusted any more, as on a machine that slept.
	fenceTrust = 3 * time.Hour
	// expirySweep is how often holds are looked for whose time is over, and maxDue how many are released at once.
	expirySweep = 250 * time.Millisecond
	maxDue      = 1024
	// drainTimeout bounds how long an owner that must stop waits for batches on their way.
	drainTimeout = 5 * time.Second
)

// errStale means that the fence is too old to be trusted.
var errStale = errors.New("the fence is too old")

// owner decides the commands of one partition, one after another, between a takeover and the next error.
// All its methods run on one goroutine.
type owner struct {
	engine    *Engine
	partition *partition
	writer    eventstore.Writer
	spec      *speculation
	position  store.Position
	renewed   time.Time
	// lineAhead tells that a line was renewed that the position may not have passed.
	lineAhead bool
	// seen is position.Next, for the watch; doubt tells the owner that the log may have come further by another hand.
	seen  *atomic.Int64
	doubt <-chan struct{}

	// carry holds requests that the takeover found undecided; they come before the queue.
	carry []*request
	steps <-chan stepBatch
	// rest is what of a run of steps did not fit the last batch.
	rest     *stepBatch
	inFlight []*batch
	acks     chan ack
	number   uint64
	// due are the holds whose time is over, to be released next.
	due []string
	// parcels is, by sender, the number of the last parcel taken.
	parcels map[string]int64
	// refused, asking and ordering are refused requests on their way to be decided again: those for which the end of the
	// command topic is to be asked, is being asked, and is known. They are waiting in all.
	refused, asking []*request
	ordering        []asked
	waiting         int
	// held are the requests that were refused once, by the leading ones, under each of their keys.
	held  map[store.OutcomeKey][]*request
	ends  chan asked
	spawn func(func())
	// decider decides on the speculation at the time of the batch being decided.
	decider ledger.Decider
	// commandsDone is the next offset of the command topic after all that was decided.
	commandsDone int64
	coordinated  *atomic.Int64
	publish      func([]eventstore.Recorded)
}

// stepBatch is a run of the command topic, or of steps handed over within this node.
type stepBatch struct {
	steps []step
	// next is the offset after the run.
	next int64
	// recorded, for steps handed over, is closed once what became of all of them is in the log.
	recorded chan struct{}
}

type ack struct {
	number uint64
	first  int64
	err    error
}

// run decides and writes until ctx ends or an error makes a takeover necessary. Batches left in flight stay in
// o.inFlight for the takeover to settle.
func (o *owner) run(ctx context.Context) error {
	renewal := time.NewTicker(fenceRenewal)
	defer renewal.Stop()
	sweep := time.NewTicker(expirySweep)
	defer sweep.Stop()
	for {
		o.promote()
		if (len(o.carry) > 0 || o.rest != nil || len(o.due) > 0) && len(o.inFlight) < maxBatchesInFlight {
			if err := o.write(nil, nil); err != nil {
				return err
			}
			continue
		}
		queue, steps, handed := o.partition.queue, o.steps, o.partition.handed
		if len(o.inFlight) >= maxBatchesInFlight || (len(o.inFlight) > 0 && !o.worthPipelining()) {
			queue, steps, handed = nil, nil, nil
		}
		var err error
		select {
		case a := <-o.acks:
			err = o.settle(a)
		case r := <-queue:
			err = o.write(r, nil)
		case s := <-steps:
			err = o.write(nil, &s)
		case s := <-handed:
			err = o.write(nil, &s)
		case a := <-o.ends:
			o.hearEnd(a)
		case f := <-o.partition.freezes:
			err = o.freeze(f)
		case <-sweep.C:
			err = o.findDue()
		case <-o.doubt:
			if len(o.inFlight) == 0 {
				err = o.confirm()
			}
		case <-renewal.C:
			err = o.renew(ctx)
		case <-ctx.Done():
			return o.drain()
		}
		if err != nil {
			return err
		}
	}
}

// worthPipelining tells whether what waits is sent while another batch is on its way.
func (o *owner) worthPipelining() bool {
	from := o.engine.cfg.PipelineFrom
	return from <= 1 || len(o.partition.queue) >= from
}

// write decides what waits as one batch and sends it.
func (o *owner) write(first *request, steps *stepBatch) error {
	now := o.engine.cfg.Clock().UTC().Truncate(time.Millisecond)
	if o.stale(now) {
		if first != nil {
			o.partition.dequeued(first)
			o.carry = append(o.carry, unpack(first)...)
		}
		return errStale
	}
	now = o.notBefore(now)
	o.decider.Now = now
	o.number++
	b := newBatch(o.number, o.engine.store.NewBatch(o.partition.id))
	b.lastTime = now
	o.deciding(b)
	if err := o.gather(b, first, steps); err != nil {
		// Nothing of this batch was sent: its requests are decided again after the takeover.
		b.unsent = true
		o.inFlight = append(o.inFlight, b)
		return err
	}
	o.decided(b)
	o.spec.put(b)
	if len(b.messages) == 0 {
		o.inFlight = append(o.inFlight, b)
		return o.settleEmpty()
	}
	o.position.LastTime = now
	o.inFlight = append(o.inFlight, b)
	o.keepPace(nil)
	if planted.Bug("answer before write") {
		for _, r := range b.requests {
			r.answer()
		}
		b.requests = nil
	}
	number := b.number
	return o.writer.Append(b.messages, func(first int64, err error) { o.acks <- ack{number, first, err} })
}

// gather decides the given command, then whatever else waits, within the bounds of a batch.
func (o *owner) gather(b *batch, first *request, steps *stepBatch) error {
	defer func() {
		if first != nil { // Not come to.
			o.partition.dequeued(first)
			o.carry = append(o.carry, unpack(first)...)
		}
	}()
	if err := o.expire(b); err != nil {
		return err
	}
	if o.rest != nil {
		rest := o.rest
		o.rest = nil
		if err := o.takeSteps(b, rest); err != nil {
			return err
		}
	}
	if steps != nil {
		if err := o.takeSteps(b, steps); err != nil {
			return err
		}
	}
	for len(o.carry) > 0 && !b.full() {
		r := o.carry[0]
		o.carry = o.carry[1:]
		if err := o.takeRequest(b, r); err != nil {
			return err
		}
	}
	if first != nil {
		r := first
		first = nil
		if err := o.takeQueued(b, r); err != nil {
			return err
		}
	}
	for !b.full() {
		select {
		case r := <-o.partition.queue:
			if err := o.takeQueued(b, r); err != nil {
				return err
			}
		case s := <-o.steps:
			if err := o.takeSteps(b, &s); err != nil {
				return err
			}
		case s := <-o.partition.handed:
			if err := o.takeSteps(b, &s); err != nil {
				return err
			}
		default:
			return nil
		}
	}
	return nil
}

// takeSteps decides a run of steps, as many as fit the batch; the rest comes first in the next one.
func (o *owner) takeSteps(b *batch, s *stepBatch) error {
	for i, next := range s.steps {
		if b.full() {
			o.rest = &stepBatch{steps: s.steps[i:], next: s.next, recorded: s.recorded}
			if s.recorded == nil {
				o.commandsDone = next.offset
			}
			return nil
		}
		if err := o.takeStep(b, &next); err != nil {
			return err
		}
	}
	if s.recorded != nil {
		b.handed = append(b.handed, s.recorded)
	} else {
		o.commandsDone = s.next
	}
	return nil
}

func (o *owner) takeStep(b *batch, s *step) error {
	if s.parcel != nil {
		return o.takeParcel(b, s.parcel, s.part)
	}
	events, err := o.decider.Step(s.command)
	if err == nil && len(events) > 0 {
		err = o.record(b, events)
	}
	if failed := (ledger.BooksError{}); errors.As(err, &failed) {
		return err
	}
	if err != nil {
		o.engine.cfg.Logger.Error("a command cannot be recorded and is passed over; its transaction stays unfinished, report it with this line",
			"partition", o.partition.id, "command", s.command.ID, "error", err)
	}
	return nil
}

// settle takes the answer to the oldest batch of events in flight: its state is stored, then it is published and its
// callers are answered. Batches without events before it are answered too: what was written after them shows that
// nobody else had taken the partition.
func (o *owner) settle(a ack) error {
	if a.err != nil {
		return a.err
	}
	empty := 0
	for len(o.inFlight[empty].messages) == 0 {
		empty++
	}
	b := o.inFlight[empty]
	if a.number != b.number {
		return fmt.Errorf("answer %d came before answer %d", a.number, b.number)
	}
	if a.first < o.position.Next && !planted.Bug("sequence reused") {
		// Taken for a repeat of another batch: this one is not in the log.
		return fmt.Errorf("a batch was answered with offset %d, and the log had come to %d", a.first, o.position.Next)
	}
	// The fence keeps others out. Should it ever fail, nothing more is decided without what they wrote.
	if a.first > o.position.Next && !planted.Bug("fence skipped") && !planted.Bug("marker not awaited") {
		if err := o.onlyOwnLines(a.first); err != nil {
			b.met = true
			if errors.Is(err, errIntruder) || errors.Is(err, eventstore.ErrFenced) {
				// Not as ErrFenced: a line that keeps nobody out settles nothing. A line of one's own does.
				err = errors.New("the fence did not hold, taking the partition over anew: " + err.Error())
			}
			return err
		}
	}
	o.written(b)
	if err := o.store(b, a.first); err != nil {
		return err
	}
	o.partition.progress()
	o.finishFirst(empty + 1)
	return o.settleEmpty()
}

// settleEmpty answers batches of refusals and repeats when nothing is on its way any more that their answers rest on.
// A refusal rests on nobody having taken the partition over, which an owner may be the last to hear of.
func (o *owner) settleEmpty() error {
	refused := false
	for _, b := range o.inFlight {
		if len(b.messages) > 0 {
			return nil // Its answer settles those before it.
		}
		refused = refused || b.refuses(o.engine.final)
	}
	if refused {
		if err := o.confirm(); err != nil {
			return err
		}
	}
	o.finishFirst(len(o.inFlight))
	return o.passLine()
}

func (o *owner) finishFirst(n int) {
	settled := o.inFlight[:n]
	o.inFlight = o.inFlight[n:]
	for _, b := range settled {
		o.finish(b)
		o.keepPace(b)
	}
}

func (o *owner) store(b *batch, first int64) error {
	for i := range b.events {
		b.events[i].Offset = first + int64(i)
	}
	o.position.Next = first + int64(len(b.events))
	o.position.Last = store.LastEventAt(o.position.Next-1, b.messages[len(b.messages)-1].Value)
	o.seen.Store(o.position.Next)
	o.position.Progress = *b.events[0].Progress
	stored := o.position
	stored.LastTime = b.lastTime
	return b.stored.Commit(stored)
}

// finish publishes a settled batch and answers its callers.
func (o *owner) finish(b *batch) {
	if len(b.messages) == 0 {
		b.stored.Close()
	}
	o.spec.settle(b)
	if len(b.events) > 0 {
		o.publish(b.events)
	}
	o.answering(b)
	for _, r := range b.requests {
		if !r.leads() {
			continue
		}
		if !o.engine.final(r) {
			o.again(r)
			continue
		}
		for _, member := range whole(r) {
			member.answer()
		}
		o.engine.traceSent(r)
	}
	o.answeredAll(b)
	for _, recorded := range b.handed {
		close(recorded)
	}
}

// drain waits for the batches on their way, so that a planned stop leaves nothing open.
func (o *owner) drain() error {
	deadline := time.NewTimer(drainTimeout)
	defer deadline.Stop()
	for len(o.inFlight) > 0 {
		select {
		case a := <-o.acks:
			if err := o.settle(a); err != nil {
				return err
			}
		case <-deadline.C:
			return fmt.Errorf("batches on their way were not answered within %s", drainTimeout)
		}
	}
	return nil
}
