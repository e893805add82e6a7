package ledger

import (
	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Step decides a transaction's step that came by the command topic. Steps are never refused: an account that cannot
// take a credit records just that. A step that was carried out before leads to no event. The error is a BooksError.
func (d *Decider) Step(c *eventstore.StepCommand) ([]eventstore.Event, error) {
	kind := LegCredit
	if c.Kind == transaction.StepReverse {
		kind = LegReversal
	}
	if _, done, err := d.Books.Leg(c.AccountID, c.Movement.TransactionID, kind); done || err != nil {
		if err != nil {
			return nil, BooksError{err}
		}
		return nil, nil
	}
	target, err := d.account(c.AccountID)
	if err != nil {
		return nil, err
	}
	var data account.Event
	if c.Kind == transaction.StepReverse {
		data = account.DecideReversal(target, c.Movement, c.Code)
	} else if credit, err := account.DecideCredit(target, c.Movement); err == nil {
		data = credit
	} else {
		data = account.Refused(c.Movement, domain.CodeOf(err))
	}
	meta := &Meta{CorrelationID: c.CorrelationID, Actor: c.Metadata, Traceparent: c.Traceparent}
	return []eventstore.Event{d.envelope(target, data, meta, c.ID)}, nil
}

// clock is the actor of what happens without anyone asking.
var clock = eventstore.Metadata{ActorID: "clock", ActorType: "SYSTEM"}

// Expire releases a hold whose time is over; no event when there is nothing to do. The error is a BooksError.
func (d *Decider) Expire(holdID string) ([]eventstore.Event, error) {
	h, err := d.Books.Hold(holdID)
	if err != nil {
		return nil, BooksError{err}
	}
	released := account.DecideExpiry(h, d.Now)
	if released == nil {
		return nil, nil
	}
	target, err := d.account(h.AccountID)
	if err != nil {
		return nil, err
	}
	// What ties the release to its beginning is the hold.
	return []eventstore.Event{d.envelope(target, released, &Meta{CorrelationID: h.ID, Actor: clock}, h.ID)}, nil
}
