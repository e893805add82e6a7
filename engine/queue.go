package engine

import "daybook/domain"

// submit queues a request; it is refused at once when the queue is full or the partition is not this node's.
func (p *partition) submit(r *request) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: this node is stopping; try again elsewhere or later")
	}
	if !p.assigned {
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: another node owns this account; try again there or later")
	}
	if !p.down.IsZero() && p.engine.cfg.Clock().Sub(p.down) > downPatience {
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: the log cannot be written at the moment; try again later")
	}
	if r.group != nil && p.grouped.Load() > int64(p.engine.cfg.QueueLength) {
		return overloaded()
	}
	select {
	case p.queue <- r:
		if r.group != nil {
			p.grouped.Add(int64(len(r.group.requests)))
		}
		return nil
	default:
		return overloaded()
	}
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
