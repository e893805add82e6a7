package engine

import (
	"context"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// catchUpPoll is how often is looked whether a partition that is followed has come as far as the log.
const catchUpPoll = 2 * time.Millisecond

// locator finds the accounts that the commands of one request about payments and holds address.
type locator struct {
	engine *Engine
	// caughtUp tells that this node has read all that stood in the log when the request came, or behind why it has not.
	caughtUp bool
	behind   error
}

// locate sets the account that a command addresses. Refusals: TRANSACTION_NOT_FOUND, HOLD_NOT_FOUND, and UNAVAILABLE
// when this node has to read more of the log to tell and does not in time.
func (l *locator) locate(ctx context.Context, c ledger.Command) error {
	err := l.engine.locate(c)
	if code := domain.CodeOf(err); code != domain.TransactionNotFound && code != domain.HoldNotFound || l.caughtUp {
		return err
	}
	// A node that has just started, or follows another one, may only not have read of it yet.
	if l.behind == nil {
		l.behind = l.engine.catchUp(ctx)
	}
	if l.behind != nil {
		return l.behind
	}
	l.caughtUp = true
	return l.engine.locate(c)
}

// catchUp waits until the copies of the partitions that this node does not own hold all that stands in the log now.
func (e *Engine) catchUp(ctx context.Context) error {
	behind := func() error {
		return domain.Refuse(domain.Unavailable, "", "this command did nothing: this node has not read the log to its end yet; try again later")
	}
	for _, p := range e.partitions {
		if p.owned.Load() {
			continue // The owner's copy has all that was ever answered.
		}
		end, err := e.log.EndOffset(eventstore.AccountEvents, p.id)
		if err != nil {
			e.cfg.Logger.Warn("the end of the log cannot be found", "partition", p.id, "error", err)
			return behind()
		}
		for {
			position, err := e.store.Position(p.id)
			if err != nil {
				return publicError(err)
			}
			if position.Next >= end {
				break
			}
			if sleep(ctx, catchUpPoll); ctx.Err() != nil {
				return behind()
			}
		}
	}
	return nil
}

// locate finds the account that a command about a payment or a hold addresses, as far as this node has followed the
// log. Refusals: TRANSACTION_NOT_FOUND, HOLD_NOT_FOUND.
func (e *Engine) locate(c ledger.Command) error {
	switch c := c.(type) {
	case *ledger.Refund:
		for p := range e.cfg.Partitions {
			r, err := e.store.Receipt(p, c.PaymentID)
			if err != nil {
				return publicError(err)
			}
			if r.Exists() {
				c.PayeeID = r.PayeeID
				return nil
			}
		}
		return account.PaymentNotFound()
	case *ledger.CaptureHold:
		h, err := e.hold(c.HoldID)
		c.AccountID = h.AccountID
		return err
	case *ledger.VoidHold:
		h, err := e.hold(c.HoldID)
		c.AccountID = h.AccountID
		return err
	default: // The others name the account.
	}
	return nil
}

func (e *Engine) hold(id string) (account.Hold, error) {
	for p := range e.cfg.Partitions {
		h, err := e.store.Hold(p, id)
		if err != nil {
			return h, publicError(err)
		}
		if h.Exists() {
			return h, nil
		}
	}
	return account.Hold{}, account.HoldNotFound()
}
