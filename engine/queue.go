package engine

import "daybook/domain"

// submit queues a request; it is refused at once when the queue is full or the partition is not this node's.
func (p *partition) submit(r *request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return stopping()
	}
	if !p.assigned {
		return p.engine.forward(p.id, together(r), true)
	}
	if p.refuses() {
		return logDown()
	}
	if r.group != nil && p.grouped.Load() > int64(p.engine.cfg.QueueLength) {
		return overloaded()
	}
	ahead := p.ahead()
	if p.pace.tooLong(ahead) {
		return overloaded()
	}
	p.arrivals++
	r.since, r.ahead = p.engine.cfg.Clock(), ahead
	for _, member := range together(r) {
		member.arrived = p.arrivals
	}
	if !p.enqueue(r) {
		return overloaded()
	}
	return nil
}

// enqueue queues a request unless the queue is full.
func (p *partition) enqueue(r *request) bool {
	select {
	case p.queue <- r:
		if r.group != nil {
			p.grouped.Add(int64(len(r.group.requests)))
		}
		return true
	default:
		return false
	}
}

// passOnAll gives what waits to the node that owns the partition now. What other
// nodes sent they send there themselves.
func (p *partition) passOnAll() {
	p.eachWaiting(func(requests []*request) { p.engine.passOn(p.id, requests) })
}

// refuseQueue answers what waits.
func (p *partition) refuseQueue(why string) {
	p.eachWaiting(func(requests []*request) { refuseAll(requests, didNothing(why)) })
}

// eachWaiting empties the queue, and what is to be decided before it, of this node's requests, as they came in groups.
func (p *partition) eachWaiting(give func(requests []*request)) {
	for _, r := range p.carry {
		give(whole(r))
	}
	p.carry = nil
	for {
		select {
		case r := <-p.queue:
			p.dequeued(r)
			if r.home == nil {
				give(together(r))
			} else {
				anew([]*request{r})
			}
		default:
			return
		}
	}
}

func didNothing(why string) error {
	return domain.Refuse(domain.Unavailable, "", "this command did nothing: %s; try again", why)
}

func overloaded() error {
	return domain.Refuse(domain.Overloaded, "", "this command did nothing: too many commands are waiting; try again in a moment")
}

// dequeued counts what is taken from the queue.
func (p *partition) dequeued(r *request) {
	if r.group != nil {
		p.grouped.Add(-int64(len(r.group.requests)))
	}
}

func stopping() error {
	return domain.Refuse(domain.Unavailable, "", "this command did nothing: this node is stopping; try again elsewhere or later")
}

func logDown() error {
	return domain.Refuse(domain.Unavailable, "", "this command did nothing: the log cannot be written at the moment; try again later")
}
