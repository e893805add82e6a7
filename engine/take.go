package engine

import (
	"errors"
	"slices"

	"daybook/domain"
	"daybook/engine/ledger"
)

// takeQueued decides what was queued under one request. What of a group does not fit the batch comes first in the next.
func (o *owner) takeQueued(b *batch, r *request) error {
	o.partition.dequeued(r)
	if r.group == nil || r.group.atomic {
		return o.takeRequest(b, r)
	}
	limit := b.bytes + maxGroupBytes
	for i, member := range r.group.requests {
		if b.bytes >= limit || len(b.requests)+len(b.events) >= maxBatchCommands {
			o.carry = append(slices.Clone(r.group.requests[i:]), o.carry...)
			return nil
		}
		if err := o.takeRequest(b, member); err != nil {
			o.carry = append(slices.Clone(r.group.requests[i+1:]), o.carry...)
			return err
		}
	}
	return nil
}

// takeRequest decides one request, or the atomic group that it leads.
func (o *owner) takeRequest(b *batch, r *request) error {
	if r.home != nil && r.home.taker != o.partition.marker {
		anew([]*request{r}) // An earlier turn left it.
		return nil
	}
	if !r.take() {
		o.release(r)
		return nil
	}
	if err := o.reckon(b, r); err != nil {
		return err
	}
	switch {
	case !o.engine.final(r):
		o.hold(r)
	case r.ordered:
		o.release(r)
		if refused(r) {
			o.closeOthers(r)
		}
	}
	return nil
}

// reckon decides one request, or the atomic group that it leads.
func (o *owner) reckon(b *batch, r *request) error {
	if r.closed {
		if known, err := o.known(whole(r)); err != nil || !known {
			b.requests = append(b.requests, whole(r)...)
			for _, member := range whole(r) {
				member.result, member.err = ledger.Result{}, refusedElsewhere()
			}
			return err
		}
	}
	if r.inAtomic() {
		return o.decideTogether(b, r.group.requests)
	}
	b.requests = append(b.requests, r)
	err := o.decide(b, r)
	if err == nil {
		return nil
	}
	return o.refuse(r, err)
}

// decide decides one client command on top of everything decided before it, and sets the request's answer.
func (o *owner) decide(b *batch, r *request) error {
	d, err := o.decider.Command(&r.Request)
	if err == nil && len(d.Events) > 0 {
		err = o.record(b, d.Events)
	}
	if err == nil {
		r.result, r.err = d.Result, nil
	}
	return err
}

// refuse keeps a refusal as the answer, which becomes definite when the batch is settled, and passes failing books on.
func (o *owner) refuse(r *request, err error) error {
	if failed := (ledger.BooksError{}); errors.As(err, &failed) {
		return failed
	}
	r.err = err
	return nil
}

// decideTogether decides all requests or, when one is refused, none. What was carried out before has its answer all the same.
func (o *owner) decideTogether(b *batch, requests []*request) error {
	b.requests = append(b.requests, requests...)
	mark, end := *b, o.spec.try()
	o.decider.Atomic = true
	defer func() { o.decider.Atomic = false }()
	for i, r := range requests {
		err := o.decide(b, r)
		if err == nil && b.bytes-mark.bytes > maxGroupBytes {
			err = domain.Refuse(domain.BadUserInput, "", "the atomic batch makes more than %d bytes of events; send fewer commands", maxGroupBytes)
		}
		if err == nil {
			continue
		}
		end(true)
		b.cut(mark)
		return o.abort(requests, i, err)
	}
	end(false)
	return nil
}

// abort answers the requests of an atomic group of which one is refused.
func (o *owner) abort(requests []*request, refused int, why error) error {
	for i, r := range requests {
		result, known, err := o.decider.Repeat(&r.Request)
		switch {
		case i == refused:
			err = why
		case !known && err == nil:
			err = abortedBy(why)
		}
		r.result = result
		if err := o.refuse(r, err); err != nil {
			return err
		}
	}
	return nil
}

// findDue looks for holds whose time is over when they are decided on. Those whose release is on its way are found again,
// and not released again.
func (o *owner) findDue() error {
	due, err := o.engine.store.DueHolds(o.partition.id, o.notBefore(o.engine.cfg.Clock()), maxDue)
	o.due = due
	return err
}

// expire releases the due holds.
func (o *owner) expire(b *batch) error {
	due := o.due
	o.due = nil
	for _, id := range due {
		events, err := o.decider.Expire(id)
		if err != nil {
			return err
		}
		if len(events) == 0 {
			continue
		}
		if err := o.record(b, events); err != nil {
			return err
		}
	}
	return nil
}
