package engine

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"daybook/eventstore"
	"daybook/internal/planted"
)

// settleTimeout bounds how long the log is read for a line: to give the callers of an owner that stopped definite answers, or
// to find one's own.
const settleTimeout = 15 * time.Second

// takeOver makes this node the partition's only writer: it rules a line in the log and reads up to it. What stands
// before the line happened, what does not did not; batches whose answer was lost are settled by that, and the
// requests of those that did not happen are decided anew.
func (p *partition) takeOver(ctx context.Context) error {
	began := p.engine.cfg.Clock()
	// What is long written is read before the line is ruled: the last owner goes on meanwhile, and the fence is young.
	end, err := p.engine.log.EndOffset(eventstore.AccountEvents, p.id)
	if err != nil {
		return err
	}
	if p.position.Next > end {
		return p.shortLog(ctx) // Lines would make the log reach it in the end.
	}
	if err := p.readUntil(ctx, end); err != nil {
		return err
	}
	ruled := p.engine.cfg.Clock()
	marker, err := p.engine.log.RuleLine(ctx, eventstore.AccountEvents, p.id)
	if err != nil {
		return err
	}
	found := marker
	if !planted.Bug("marker not awaited") {
		found, err = p.readToOwn(ctx, marker, end)
	}
	if err != nil {
		// p.marker stays that of the pending batches.
		return err
	}
	p.marker, p.ruled = found, ruled
	p.carry = append(p.settlePending(), p.carry...)
	// Attempts under one key are to be decided in the order in which they came.
	slices.SortStableFunc(p.carry, func(a, b *request) int { return cmp.Compare(a.arrived, b.arrived) })
	took := p.engine.cfg.Clock().Sub(began)
	p.tookOver(took)
	p.engine.cfg.Logger.Info("partition taken over", "partition", p.id, "epoch", marker.Epoch, "offset", p.position.Next, "took", took)
	return nil
}

// readToOwn applies the log up to the line that this node has ruled. A broker that lost its memory of producers can hand out
// an epoch again: the line lies at what was the end or later.
func (p *partition) readToOwn(ctx context.Context, ruled eventstore.Marker, end int64) (eventstore.Marker, error) {
	waiting, cancel := context.WithTimeout(ctx, settleTimeout)
	defer cancel()
	found, err := p.readTo(waiting, func(m eventstore.Marker) bool {
		return m.Offset >= end && m.ProducerID == ruled.ProducerID && m.Epoch == ruled.Epoch
	})
	if err != nil && waiting.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("the line of this takeover was not read back within %s, and nothing is written before it is; "+
			"look whether the partition has as many brokers in sync as min.insync.replicas asks for, and what they log: %w", settleTimeout, err)
	}
	return found, err
}

// readUntil applies the log up to an offset.
func (p *partition) readUntil(ctx context.Context, offset int64) error {
	for p.position.Next < offset {
		chunk, err := p.read(ctx)
		if err != nil {
			return err
		}
		if err := p.apply(chunk); err != nil {
			return err
		}
	}
	return nil
}

// readTo applies the log up to and with the chunk that holds a wanted marker.
func (p *partition) readTo(ctx context.Context, wanted func(eventstore.Marker) bool) (eventstore.Marker, error) {
	for {
		chunk, err := p.read(ctx)
		if err != nil {
			return eventstore.Marker{}, err
		}
		if err := p.apply(chunk); err != nil {
			return eventstore.Marker{}, err
		}
		for _, m := range chunk.Markers {
			if wanted(m) {
				return m, nil
			}
		}
	}
}

// leave takes over from a stopped owner what it left open.
func (p *partition) leave(o *owner) {
	p.pending, p.carry = o.inFlight, o.leftOver()
	p.pace.flying.Store(0)
	p.awaited = map[string]*batch{}
	for _, b := range p.pending {
		if len(b.events) > 0 {
			p.awaited[b.events[0].ID] = b
		}
	}
}

// markMet notes which awaited batches stand in the log.
func (p *partition) markMet(events []eventstore.Recorded) {
	if len(p.awaited) == 0 {
		return
	}
	for i := range events {
		if b, ok := p.awaited[events[i].ID]; ok {
			b.met = true
		}
	}
}

// settlePending answers the pending batches that are in the log, and returns the requests of the others that are still
// waited for, which did not happen, atomic groups by their first. A batch rests on those before it, so the first one missing ends the row.
func (p *partition) settlePending() []*request {
	var undone []*request
	lost := false
	for _, b := range p.pending {
		b.stored.Close()
		lost = lost || b.unsent || (len(b.events) > 0 && !b.met)
		stands := !lost && len(b.events) > 0
		// A batch without events is decided anew: nothing shows on what it was decided. So is what was not to be answered yet.
		for _, r := range b.requests {
			if stands && p.engine.final(r) {
				r.answer()
				continue
			}
			if r.leads() {
				undone = append(undone, r)
			}
		}
	}
	p.pending, p.awaited = nil, nil
	return slices.DeleteFunc(anew(undone), func(r *request) bool { return !r.take() })
}

// isLater tells whether a line is of an owner after this node.
func (p *partition) isLater(m eventstore.Marker) bool {
	return m.Offset > p.marker.Offset && (m.ProducerID != p.marker.ProducerID || m.Epoch > p.marker.Epoch)
}

// settleFenced gives the callers of a fenced owner definite answers: it reads the log past a later line than the one
// they were written behind, after which nothing of theirs can follow. A renewed line has the same epoch and is none.
// Whatever ends ctx goes on with what is pending.
func (p *partition) settleFenced(ctx context.Context) {
	if !p.isLater(p.lastLine) { // A takeover that failed may have read it.
		waiting, cancel := context.WithTimeout(ctx, settleTimeout)
		defer cancel()
		if _, err := p.readTo(waiting, p.isLater); err != nil {
			if ctx.Err() == nil {
				p.leaveOpen(err)
			}
			return
		}
	}
	p.carry = append(p.carry, p.settlePending()...)
}

// refuseFirst answers the batch that the broker refuses.
func (p *partition) refuseFirst(refusal error) {
	i := slices.IndexFunc(p.pending, func(b *batch) bool { return len(b.messages) > 0 })
	if i < 0 {
		return
	}
	b := p.pending[i]
	p.pending = slices.Delete(p.pending, i, i+1)
	b.stored.Close()
	refuseAll(b.requests, refusal)
}

// leaveOpen answers the pending batches' callers that the outcome is not known.
func (p *partition) leaveOpen(err error) {
	if len(p.pending) > 0 {
		p.engine.cfg.Logger.Error("batches are left without a definite answer; their callers have to send them again with the same idempotency keys", "partition", p.id, "batches", len(p.pending), "error", err)
	}
	for _, b := range p.pending {
		b.stored.Close()
		for _, r := range b.requests {
			if r.home == nil { // Whoever owns the partition next reads it again.
				r.refuse(outcomeUnknown())
			}
		}
	}
	p.pending, p.awaited = nil, nil
}
