package engine

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"daybook/eventstore"
	"daybook/internal/planted"
)

// lastReplies bounds how long a node that stops writes the answers that wait.
const lastReplies = 2 * time.Second

// hear follows the answers of other nodes from their end on.
func (f *forwarder) hear(ctx context.Context) {
	var reader eventstore.Reader
	defer func() {
		if reader != nil {
			_ = reader.Close()
		}
	}()
	next := int64(-1)
	ready := sync.OnceFunc(func() { close(f.heard) })
	for ctx.Err() == nil {
		err := f.listen(ctx, &reader, &next, ready)
		if errors.Is(err, eventstore.ErrOffsetGone) { // Answers are kept an hour: nobody waits for what is gone.
			next, err = -1, nil
		}
		if err != nil && ctx.Err() == nil {
			f.engine.cfg.Logger.Warn("answers of other nodes are not heard, and commands on their accounts wait; look whether the brokers can be reached",
				"error", err)
			sleep(ctx, retryMax/4)
		}
		f.forget()
	}
}

func (f *forwarder) listen(ctx context.Context, reader *eventstore.Reader, next *int64, ready func()) (err error) {
	if *next < 0 {
		if *next, err = f.engine.log.EndOffset(eventstore.CommandReplies, 0); err != nil {
			return err
		}
	}
	ready()
	chunk, err := f.engine.readChunk(ctx, reader, eventstore.CommandReplies, 0, *next)
	if err != nil {
		return err
	}
	f.runs++
	for i := range chunk.Messages {
		if m := &chunk.Messages[i]; string(m.Header(eventstore.HeaderForwarded)) == f.origin {
			f.deliver(m)
		}
	}
	*next = chunk.Next
	return nil
}

// deliver hands the answers to those who wait, and sends what was not done to the owner that says so.
func (f *forwarder) deliver(m *eventstore.Message) {
	var told reply
	if err := json.Unmarshal(m.Value, &told); err != nil {
		f.engine.cfg.Logger.Error("an answer of another node is unreadable and is passed over; run the same version on all nodes", "offset", m.Offset, "error", err)
		return
	}
	f.mu.Lock()
	if planted.Bug("reply misdelivered") && strings.HasSuffix(told.ID, "0") { // Seldom, so that most of the load goes on.
		for id, other := range f.waiting {
			if len(other.Requests) == len(told.Answers) {
				told.ID = id
			}
		}
	}
	p := f.waiting[told.ID]
	if p != nil && len(p.Requests) != len(told.Answers) {
		p = nil
	}
	if p != nil {
		delete(f.waiting, told.ID)
	}
	f.mu.Unlock()
	if p == nil {
		return // Another answer to the same came before.
	}
	w := f.ways[p.partition]
	w.learn(told.Owner)
	w.open.Add(-int64(len(p.Requests)))
	f.keepPace(p, told.Owner)
	var undone []*request
	back := &moments{back: f.engine.cfg.Clock()}
	for i, r := range p.Requests {
		if answer := &told.Answers[i]; answer.NotDone {
			undone = append(undone, r)
		} else {
			r.moments = back
			answer.settle(r)
		}
	}
	if len(undone) > 0 {
		f.engine.passOn(p.partition, undone)
	}
}

// passOn forwards requests, or answers why that cannot be.
func (e *Engine) passOn(p int32, requests []*request) {
	if err := e.forward(p, requests, false); err != nil {
		refuseAll(requests, err)
	}
}

// forget lets go of parcels whose senders were answered long ago that the outcome is not known.
func (f *forwarder) forget() {
	now, patience := f.engine.cfg.Clock(), f.engine.cfg.CommandTimeout+f.engine.cfg.SettleGrace
	f.mu.Lock()
	defer f.mu.Unlock()
	for id, p := range f.waiting {
		if now.Sub(p.sent) > patience {
			delete(f.waiting, id)
			f.ways[p.partition].open.Add(-int64(len(p.Requests)))
		}
	}
}

// reply sends the answers to a parcel back to its origin. It does not block. They have the time of the parcel where this node's
// clock is ahead of it: that time a broker took, which refuses what is dated far ahead of its own clock.
func (f *forwarder) reply(to *parcel, answers *reply) {
	value, err := json.Marshal(answers)
	if err != nil {
		f.engine.cfg.Logger.Error("an answer for another node cannot be encoded; its client is told that the outcome is not known", "error", err)
		return
	}
	at := f.engine.cfg.Clock()
	if at.After(to.written) {
		at = to.written
	}
	m := eventstore.Message{
		Key: []byte(answers.ID), Value: value, Time: at.UTC(),
		Headers: []eventstore.Header{{Key: eventstore.HeaderForwarded, Value: []byte(to.Origin)}},
	}
	select {
	case f.replies <- m:
	default:
		f.engine.cfg.Logger.Warn("too many answers wait for other nodes; the client of one is told that the outcome is not known")
	}
}

// sendReplies writes answers for other nodes until ctx ends, and then what waits.
func (f *forwarder) sendReplies(ctx context.Context) {
	to := f.engine.log.OpenAppender(eventstore.CommandReplies, 0)
	defer to.Close() //nolint:errcheck // Nothing is on its way any more.
	sending, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(lastReplies, cancel) })()
	for {
		messages := collect(ctx, f.replies)
		if messages == nil && len(f.replies) > 0 { // What owners answered as they stopped; no other owner tells it.
			messages = collect(sending, f.replies)
		}
		if messages == nil {
			return
		}
		var refused error
		err := f.post(sending, to, messages, func(bool) bool { return true }, func(_ int, err error) { refused = err })
		if err := errors.Join(err, refused); err != nil {
			f.engine.cfg.Logger.Warn("answers for other nodes are lost; their clients are told that the outcome is not known", "error", err)
		}
	}
}
