package engine

import (
	"slices"

	"daybook/domain"
	"daybook/engine/store"
	"daybook/eventstore"
)

// A client may give one node up and ask another under the same idempotency key, while its first command is still on its
// way. A refusal told to the second must not be followed by the first one's being carried out. So where there are several
// nodes, what is refused is decided once more, after all that had come before it on the other way: an owner's own requests
// after the command topic, another node's after the owner's queue. The second refusal counts.

// final tells whether a decided request is to be answered as it is.
func (e *Engine) final(r *request) bool {
	return e.forwarder == nil || r.leader().ordered || !refused(r)
}

// asked are refused requests, by the leading ones, that wait until the command topic was read up to an offset.
type asked struct {
	requests []*request
	end      int64
	err      error
}

// again has a refused request, or the atomic group that it leads, decided once more.
func (o *owner) again(r *request) {
	if r.home != nil {
		r.ordered = true
		if !o.partition.enqueue(r) {
			o.release(r)
			refuseWhole(r, overloaded())
		}
		return
	}
	if o.waiting >= o.engine.cfg.QueueLength {
		o.release(r)
		refuseWhole(r, overloaded())
		return
	}
	o.waiting++
	o.refused = append(o.refused, r)
	o.ask()
}

// ask looks, beside the owner's work, where the command topic ends.
func (o *owner) ask() {
	if o.asking != nil || len(o.refused) == 0 {
		return
	}
	o.asking, o.refused = o.refused, nil
	requests := o.asking
	o.spawn(func() {
		end, err := o.engine.log.EndOffset(eventstore.AccountCommands, o.partition.id)
		o.ends <- asked{requests, end, err}
	})
}

// hearEnd takes what ask has found.
func (o *owner) hearEnd(a asked) {
	o.asking = nil
	if a.err != nil {
		o.waiting -= len(a.requests)
		for _, r := range a.requests {
			o.release(r)
			refuseWhole(r, domain.Refuse(domain.Unavailable, "", "this command did nothing: the log does not answer; try again later"))
		}
	} else {
		o.ordering = append(o.ordering, a)
	}
	o.ask()
}

// promote gives those their second turn that the command topic has been read for.
func (o *owner) promote() {
	for len(o.ordering) > 0 && o.commandsDone >= o.ordering[0].end {
		for _, r := range o.ordering[0].requests {
			r.ordered = true
			o.carry = append(o.carry, r)
		}
		o.waiting -= len(o.ordering[0].requests)
		o.ordering = o.ordering[1:]
	}
}

// leftOver gives the requests of this node that the owner has taken and not answered.
func (o *owner) leftOver() []*request {
	all := append(append(o.carry, o.asking...), o.refused...)
	for _, a := range o.ordering {
		all = append(all, a.requests...)
	}
	return anew(all)
}

// anew gives, of requests that a turn of ownership left and did not carry out, those that may be decided in another. The
// others are answered.
func anew(requests []*request) []*request {
	var left []*request
	for _, r := range requests {
		switch {
		case r.closed:
			refuseWhole(r, refusedElsewhere())
		case r.home != nil:
			drop(r)
		default:
			r.ordered = false
			left = append(left, r)
		}
	}
	return left
}

func keyOf(r *request) store.OutcomeKey {
	return store.OutcomeKey{AccountID: r.Command.Address(), Key: r.Command.Common().IdempotencyKey}
}

// hold notes a request that was refused once.
func (o *owner) hold(r *request) {
	for _, member := range whole(r) {
		k := keyOf(member)
		o.held[k] = append(o.held[k], r)
	}
}

// release strikes a request from those that were refused once.
func (o *owner) release(r *request) {
	if len(o.held) == 0 {
		return
	}
	for _, member := range whole(r) {
		k := keyOf(member)
		rest := slices.DeleteFunc(o.held[k], func(other *request) bool { return other == r })
		if len(rest) == 0 {
			delete(o.held, k)
		} else {
			o.held[k] = rest
		}
	}
}

// closeOthers keeps from being carried out what was refused once under the keys of a request that was just refused for good.
// Which of two that wait for each other's way is decided last is chance.
func (o *owner) closeOthers(r *request) {
	for _, member := range whole(r) {
		for _, other := range o.held[keyOf(member)] {
			if slices.ContainsFunc(whole(other), func(m *request) bool { return m.Fingerprint == member.Fingerprint }) {
				other.closed = true
			}
		}
	}
}

func refusedElsewhere() error {
	return domain.Refuse(domain.Unavailable, "", "this command did nothing: another attempt under its idempotency key was refused meanwhile; send it again to try anew")
}

func refuseWhole(r *request, err error) { refuseAll(whole(r), err) }

func refuseAll(requests []*request, err error) {
	for _, r := range requests {
		r.refuse(err)
	}
}
