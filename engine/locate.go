package engine

import (
	"context"
	"errors"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

// It is looked at growing intervals whether a partition that is followed has come as far as the log: what it lacks is
// mostly there in a moment, and if not there may be many who wait for it.
const (
	firstCatchUpPoll = 2 * time.Millisecond
	lastCatchUpPoll  = 100 * time.Millisecond
)

// locator looks for what the commands of one request are about, in this node's copies of the partitions. What it does not
// find there it looks for again once they hold all that stood in the log when it was asked: a node that has just started,
// follows another one, or was replaced without hearing of it may only not have read of it yet.
type locator struct {
	engine *Engine
	// complete are the partitions of which this node has read all that stood in the log, or why it has not.
	complete map[int32]error
	// other is the account on the other side of the command that was last located, empty when there is none.
	other    string
	currency money.Currency
}

// locate sets the account that a command addresses. Refusals: TRANSACTION_NOT_FOUND, HOLD_NOT_FOUND, and UNAVAILABLE
// when this node has to read more of the log to tell and does not in time.
func (l *locator) locate(ctx context.Context, c ledger.Command) error {
	err := l.find(c)
	if code := domain.CodeOf(err); code != domain.TransactionNotFound && code != domain.HoldNotFound {
		return err
	}
	for p := range l.engine.cfg.Partitions {
		if err := l.catchUp(ctx, p); err != nil {
			return err
		}
	}
	return l.find(c)
}

// find is locate, as far as this node has read the log. It notes the account on the other side of the command.
func (l *locator) find(c ledger.Command) error {
	l.other, l.currency = "", ""
	var h account.Hold
	var err error
	switch c := c.(type) {
	case *ledger.Transfer:
		l.other, l.currency = c.ToID, c.Currency
	case *ledger.Pay:
		l.other, l.currency = c.ToID, c.Currency
	case *ledger.AuthorizeHold:
		l.other, l.currency = c.ToID, c.Currency
	case *ledger.Refund:
		var r account.Receipt
		r, err = l.engine.receipt(c.PaymentID)
		c.PayeeID, l.other, l.currency = r.PayeeID, r.PayerID, r.Currency
	case *ledger.CaptureHold:
		h, err = l.engine.hold(c.HoldID)
		c.AccountID, l.other, l.currency = h.AccountID, h.CounterpartyID, h.Currency
	case *ledger.VoidHold:
		h, err = l.engine.hold(c.HoldID)
		c.AccountID = h.AccountID
	default: // The others name the account, and have no other one.
	}
	return err
}

// crosses tells whether a command leads to an account in another partition; other is empty when it leads to none.
func (e *Engine) crosses(c ledger.Command, other string) bool {
	return other != "" && e.partitionOf(other) != e.partitionOf(c.Address())
}

// against is what stands for good against a credit on the other side of the command that was just located, where that
// side lives in another partition. What cannot be told here is settled by the account's owner.
func (l *locator) against(ctx context.Context, c ledger.Command) error {
	e := l.engine
	if !e.crosses(c, l.other) {
		return nil
	}
	state, err := e.Account(l.other)
	if err == nil && (!state.Exists() || state.Status == account.Closed) { // It can have been created, or opened again, meanwhile.
		if err = l.catchUp(ctx, e.partitionOf(l.other)); err == nil {
			state, err = e.Account(l.other)
		}
	}
	if err != nil {
		return nil
	}
	return account.DecidePayee(state, l.currency)
}

// catchUp waits until this node's copy of a partition holds all that stands in the log when it is first asked for.
func (l *locator) catchUp(ctx context.Context, p int32) error {
	err, asked := l.complete[p]
	if asked {
		return err
	}
	if l.complete == nil {
		l.complete = map[int32]error{}
	}
	err = l.engine.CatchUp(ctx, p)
	if refusal := (*domain.Refusal)(nil); errors.As(err, &refusal) && refusal.Code == domain.Unavailable {
		err = domain.Refuse(domain.Unavailable, "", "this command did nothing: %s", refusal.Message)
	}
	l.complete[p] = err
	return err
}

// CatchUp waits until this node's copy of a partition holds all that stood in the log when it was called. UNAVAILABLE when
// it does not before ctx ends. Many may call it at once.
func (e *Engine) CatchUp(ctx context.Context, p int32) error {
	behind := func() error {
		return domain.Refuse(domain.Unavailable, "", "this node has not read the log to its end yet; try again later, or on another node")
	}
	end, err := e.ends.Of(ctx, p)
	if err != nil {
		return behind()
	}
	for pause := firstCatchUpPoll; ; pause = min(2*pause, lastCatchUpPoll) {
		position, err := e.store.Position(p)
		if err != nil {
			return publicError(err)
		}
		if position.Next >= end {
			return nil
		}
		if sleep(ctx, pause); ctx.Err() != nil {
			return behind()
		}
	}
}

// askEnd asks the log where a partition of account events ends.
func (e *Engine) askEnd(p int32) (int64, error) {
	end, err := e.log.EndOffset(eventstore.AccountEvents, p)
	if err != nil {
		e.cfg.Logger.Warn("the end of the log cannot be found and what needs it is refused; look whether the brokers run", "partition", p, "error", err)
	}
	return end, err
}

func (e *Engine) receipt(paymentID string) (account.Receipt, error) {
	return anywhere(e, func(p int32) (account.Receipt, error) { return e.store.Receipt(p, paymentID) }, account.PaymentNotFound)
}

func (e *Engine) hold(id string) (account.Hold, error) {
	return anywhere(e, func(p int32) (account.Hold, error) { return e.store.Hold(p, id) }, account.HoldNotFound)
}

// anywhere looks in this node's copies of all partitions.
func anywhere[T interface{ Exists() bool }](e *Engine, look func(partition int32) (T, error), notFound func() error) (none T, _ error) {
	for p := range e.cfg.Partitions {
		found, err := look(p)
		if err != nil {
			return none, publicError(err)
		}
		if found.Exists() {
			return found, nil
		}
	}
	return none, notFound()
}
