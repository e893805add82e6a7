package engine

import (
	"errors"

	"daybook/domain"
	"daybook/eventstore"
)

// progress notes that a batch of this owner is in the log.
func (p *partition) progress() {
	p.progressed = true
	if p.unwritten {
		p.unwritten = false
		p.works()
	}
}

// refuses tells whether commands are refused at once: trouble has lasted for a while. An owner that could not write is given
// one now and then: nothing else would show that it can. p.mu is held.
func (p *partition) refuses() bool {
	now := p.engine.cfg.Clock()
	if p.down.IsZero() || now.Sub(p.down) <= downPatience {
		return false
	}
	if p.owned.Load() && now.Sub(p.tried) > downPatience {
		p.tried = now
		return false
	}
	return true
}

// brokerRefuses is what the clients are told whose commands the broker refuses and would refuse again; nil for any other
// error.
func brokerRefuses(err error) error {
	switch {
	case errors.Is(err, eventstore.ErrTooLarge):
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: the broker takes no batch of this size; the operator has to raise max.message.bytes")
	case errors.Is(err, eventstore.ErrClock):
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: the broker refuses it for its time; the operator has to set the clock of this node, or of the brokers")
	}
	return nil
}
