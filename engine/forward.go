package engine

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daybook/domain"
	"daybook/eventstore"
)

const (
	// outboxLength bounds the parcels that wait to be sent to a partition's owner, and repliesLength the answers that
	// wait to be sent back.
	outboxLength  = 4096
	repliesLength = 8192
	// maxParcels bounds how many parcels or answers are written at once.
	maxParcels = 512
	// postPause is the pause before what could not be written to another node is tried again.
	postPause = 250 * time.Millisecond
)

// forwarder carries commands to the nodes that own their accounts, and brings the answers back. Both ways lead through
// Kafka: no node needs another's address.
type forwarder struct {
	engine *Engine
	// origin names this node since its start; those who answer write it on what is for it.
	origin string
	ways   []*way
	// replies are answers to other nodes' commands.
	replies chan eventstore.Message
	// heard is closed once answers are heard; nothing is sent before.
	heard chan struct{}

	// runs counts the runs of answers that were heard together. It is for the goroutine that hears them.
	runs int64

	mu      sync.Mutex
	waiting map[string]*parcel
}

// way leads to the owner of one partition.
type way struct {
	outbox chan *parcel
	// open counts the requests that were given to the outbox and are not answered.
	open atomic.Int64
	// pace is how fast the owner answers what this node sends it, and learnt the run of answers that it was last learnt from.
	pace   pace
	learnt int64
	// owner is the last line known of.
	owner atomic.Pointer[eventstore.Marker]
	// down is when sending began to fail, in Unix nanoseconds; zero while it works.
	down atomic.Int64
}

func newForwarder(e *Engine) *forwarder {
	f := &forwarder{
		engine: e, origin: e.cfg.NodeID + "/" + e.cfg.NewID(),
		replies: make(chan eventstore.Message, repliesLength), heard: make(chan struct{}), waiting: map[string]*parcel{},
	}
	for range e.cfg.Partitions {
		f.ways = append(f.ways, &way{outbox: make(chan *parcel, outboxLength)})
	}
	return f
}

// run sends commands and answers, and hears those of others, until ctx ends.
func (f *forwarder) run(ctx context.Context) {
	var wg sync.WaitGroup
	for p := range f.engine.cfg.Partitions {
		wg.Go(func() { f.sendParcels(ctx, p) })
	}
	wg.Go(func() { f.sendReplies(ctx) })
	wg.Go(func() { f.hear(ctx) })
	wg.Wait()
	f.leaveOpen()
}

// learn notes a line that was seen in the log, or that an owner told of.
func (w *way) learn(m eventstore.Marker) {
	for {
		known := w.owner.Load()
		if known != nil && known.Offset >= m.Offset || w.owner.CompareAndSwap(known, &m) {
			return
		}
	}
}

func (w *way) line() line {
	if m := w.owner.Load(); m != nil {
		return lineOf(*m)
	}
	return noLine
}

// crowded tells whether as many commands are open as may be, or more than are answered in time.
func (w *way) crowded(limit int) bool {
	open := w.open.Load()
	return open >= int64(limit) || w.pace.tooLong(open)
}

// forward gives requests, of one group or one by itself, to the partition's owner by way of the command topic. Fresh ones are
// refused when they would wait for too long; what was let wait before goes along all the same.
func (e *Engine) forward(p int32, requests []*request, fresh bool) error {
	f := e.forwarder
	if f == nil {
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: another node owns this account; try again there or later")
	}
	w := f.ways[p]
	if down := w.down.Load(); down != 0 && e.cfg.Clock().Sub(time.Unix(0, down)) > downPatience {
		return logDown()
	}
	ahead := w.open.Load()
	if ahead >= int64(e.cfg.QueueLength) || fresh && w.pace.tooLong(ahead) {
		return overloaded()
	}
	sent := &parcel{
		ID: e.cfg.NewID(), Origin: f.origin, Requests: requests, Atomic: requests[0].inAtomic(),
		partition: p, since: e.cfg.Clock(), ahead: ahead,
	}
	w.open.Add(int64(len(requests)))
	select {
	case w.outbox <- sent:
		return nil
	default:
		w.open.Add(-int64(len(requests)))
		return overloaded()
	}
}

// sendParcels writes what is to be carried out by a partition's owner to its command topic.
func (f *forwarder) sendParcels(ctx context.Context, p int32) {
	to := f.engine.log.OpenAppender(eventstore.AccountCommands, p)
	defer to.Close() //nolint:errcheck // Nothing is on its way any more.
	select {
	case <-f.heard:
	case <-ctx.Done():
		return
	}
	var seq int64
	w := f.ways[p]
	for {
		parcels := collect(ctx, w.outbox)
		if parcels == nil {
			return
		}
		messages, packed := make([]eventstore.Message, 0, len(parcels)), make([]*parcel, 0, len(parcels))
		for _, sent := range parcels {
			if m, ok := f.pack(sent, seq+1); ok {
				seq++
				messages, packed = append(messages, m), append(packed, sent)
			}
		}
		err := f.post(ctx, to, messages, func(failed bool) (goOn bool) {
			switch {
			case !failed:
				w.down.Store(0)
			case w.down.Load() == 0:
				w.down.Store(f.engine.cfg.Clock().UnixNano())
			}
			// What nobody waits for any more is better not done late.
			return slices.ContainsFunc(parcels, wanted)
		}, func(i int, err error) { f.giveBack(packed[i], err) })
		w.down.Store(0) // Whether it works by now is seen with the next.
		if err != nil && ctx.Err() == nil {
			// They may have arrived all the same: whoever waits hears it from the owner, or that it is not known.
			f.engine.cfg.Logger.Warn("commands cannot be sent to the node that owns their accounts; look whether the brokers can be reached",
				"partition", p, "error", err)
		}
	}
}

// collect waits for the first, and takes what else is there; nil when ctx has ended.
func collect[T any](ctx context.Context, from <-chan T) []T {
	var all []T
	select {
	case first := <-from:
		all = append(all, first)
	case <-ctx.Done():
		return nil
	}
	for len(all) < maxParcels {
		select {
		case next := <-from:
			all = append(all, next)
		default:
			return all
		}
	}
	return all
}

// pack makes a parcel's record, and waits for its answers from then on. False when nobody waits for it any more.
func (f *forwarder) pack(p *parcel, seq int64) (eventstore.Message, bool) {
	total := len(p.Requests)
	p.Requests = stillWanted(p)
	f.ways[p.partition].open.Add(int64(len(p.Requests) - total))
	if len(p.Requests) == 0 {
		return eventstore.Message{}, false
	}
	p.Seq, p.Line, p.sent = seq, f.ways[p.partition].line(), f.engine.cfg.Clock()
	value, err := json.Marshal(p)
	if err != nil {
		f.ways[p.partition].open.Add(-int64(len(p.Requests)))
		refuseAll(p.Requests, err)
		return eventstore.Message{}, false
	}
	f.mu.Lock()
	f.waiting[p.ID] = p
	f.mu.Unlock()
	return eventstore.Message{
		Key: []byte(p.Requests[0].Command.Address()), Value: value, Time: p.sent.UTC(),
		Headers: []eventstore.Header{{Key: eventstore.HeaderForwarded, Value: []byte(p.Origin)}},
	}, true
}

// stillWanted takes the requests whose callers have not gone.
func stillWanted(p *parcel) []*request {
	if p.Atomic {
		if !p.Requests[0].take() {
			return nil
		}
		return p.Requests
	}
	return slices.DeleteFunc(slices.Clone(p.Requests), func(r *request) bool { return !r.take() })
}

// wanted tells whether anybody waits for an answer to a parcel.
func wanted(p *parcel) bool {
	return slices.ContainsFunc(p.Requests, func(r *request) bool { return r.flag().Load() == taken })
}

// giveBack answers a parcel that the broker does not take.
func (f *forwarder) giveBack(p *parcel, err error) {
	f.mu.Lock()
	_, waits := f.waiting[p.ID]
	delete(f.waiting, p.ID)
	f.mu.Unlock()
	if !waits {
		return
	}
	f.engine.cfg.Logger.Warn("commands for the node that owns their accounts are refused by the broker", "partition", p.partition, "error", err)
	f.ways[p.partition].open.Add(-int64(len(p.Requests)))
	refuseAll(p.Requests, brokerRefuses(err))
}

// post writes messages, trying again as long as commands wait to be taken and while it is told to. What the broker refuses
// for good is named by its number, and the others go on. Those that were not answered may be in the log all the same, and
// so may what is refused after a try whose answer was lost: that is not named.
func (f *forwarder) post(ctx context.Context, to eventstore.Appender, messages []eventstore.Message, tell func(failed bool) (goOn bool),
	refused func(i int, err error),
) error {
	began, patience := f.engine.cfg.Clock(), f.engine.cfg.CommandTimeout
	doubtful := 0 // What comes before may have been written by a try that failed.
	for next, n := 0, 0; next < len(messages); {
		if n == 0 {
			n = fitting(messages[next:])
		}
		err := to.Append(ctx, messages[next:next+n])
		final := brokerRefuses(err) != nil
		goOn := tell(err != nil && !final)
		switch {
		case err == nil:
			next, n = next+n, 0
		case errors.Is(err, eventstore.ErrTooLarge) && n > 1:
			n /= 2 // The others are not too large.
		case final:
			for i := next; i < next+n; i++ {
				if i >= doubtful {
					refused(i, err)
				}
			}
			next, n = next+n, 0
		case !goOn || ctx.Err() != nil || f.engine.cfg.Clock().Sub(began) > patience:
			return err
		default:
			doubtful = max(doubtful, next+n)
			sleep(ctx, postPause)
		}
	}
	return nil
}

// leaveOpen answers those who wait when this node stops.
func (f *forwarder) leaveOpen() {
	for _, w := range f.ways {
		for empty := false; !empty; {
			select {
			case sent := <-w.outbox:
				refuseAll(sent.Requests, stopping())
			default:
				empty = true
			}
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, p := range f.waiting {
		delete(f.waiting, id)
		refuseAll(p.Requests, outcomeUnknown())
	}
}

func outcomeUnknown() error {
	return domain.Refuse(domain.OutcomeUnknown, "", "it is not known whether this was done; send it again with the same idempotency key")
}
