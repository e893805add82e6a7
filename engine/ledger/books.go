// Package ledger is the pure core of the engine: what a command, a transaction's step or the passing of time makes of
// one partition's books, and what its events make the partition remember. It has no I/O, no clock and makes no ids, so
// that it can be run a million times over in simulation, and is the same there as in production.
package ledger

import (
	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/eventstore"
)

// Books are the state of one partition, the fold of its events. What is not known is the zero value.
type Books interface {
	Account(id string) (account.State, error)
	Outcome(accountID, idempotencyKey string) (Outcome, bool, error)
	Leg(accountID, transactionID string, kind LegKind) (Leg, bool, error)
	Hold(id string) (account.Hold, error)
	Receipt(paymentID string) (account.Receipt, error)
}

// BooksError is a failure to read the books, which is no refusal: nothing can be decided.
type BooksError struct{ Err error }

// Error implements error.
func (e BooksError) Error() string { return "reading local state: " + e.Err.Error() }

// Unwrap gives the cause.
func (e BooksError) Unwrap() error { return e.Err }

// Outcome is what an idempotency key is remembered by: enough to give the same answer again.
type Outcome struct {
	Fingerprint   eventstore.Fingerprint
	TransactionID string
	// Amount is what was moved.
	Amount decimal.Decimal
	// State is the account right after the command, Hold the hold that it was about.
	State account.State
	Hold  *account.Hold
}

// Leg is what became of one leg of a transaction on one account.
type Leg struct {
	// RefusalCode is set when the credit was refused.
	RefusalCode string
}

// LegKind distinguishes the legs an account can have in one transaction.
type LegKind byte

// The kinds of leg that arrive as commands, and may arrive again.
const (
	LegCredit   LegKind = 'c'
	LegReversal LegKind = 'r'
)

// Memory is what an event makes its partition remember beside its account's state. The pointers are nil, and the ids
// empty, for what it does not touch.
type Memory struct {
	// Outcome of the event's idempotency key.
	Outcome *Outcome
	// TransactionID is set with the leg that the event settles.
	TransactionID string
	Kind          LegKind
	Leg           Leg
	Hold          *account.Hold
	Receipt       *account.Receipt
}

// Remember derives what to remember from an event, the state of its account after it, and the books before it.
func Remember(b Books, e *eventstore.Event, after *account.State) (Memory, error) {
	var m Memory
	data, ok := e.Data.(account.Event)
	if !ok {
		return m, nil
	}
	m.TransactionID, m.Kind, m.Leg = LegOf(data)
	if id := account.HoldOf(data); id != "" {
		h, err := b.Hold(id)
		if err != nil {
			return m, BooksError{err}
		}
		h = h.Apply(e.AggregateID, data, e.Timestamp)
		m.Hold = &h
	}
	if id := account.ReceiptOf(data); id != "" {
		r, err := b.Receipt(id)
		if err != nil {
			return m, BooksError{err}
		}
		r = r.Apply(e.AggregateID, data)
		m.Receipt = &r
	}
	if e.IdempotencyKey != "" {
		o := outcomeOf(e, data, after)
		o.Hold = m.Hold
		m.Outcome = &o
	}
	return m, nil
}

func outcomeOf(e *eventstore.Event, data account.Event, after *account.State) Outcome {
	o := Outcome{Fingerprint: e.Fingerprint, State: *after}
	switch d := data.(type) {
	case *account.BalanceChanged:
		o.TransactionID, o.Amount = d.TransactionID, d.ChangeAmount
	case *account.HoldReleased:
		o.TransactionID = d.TransactionID
	case *account.Created, *account.StatusChanged, *account.LimitsChanged, *account.CreditRefused, *account.HoldPlaced:
	}
	return o
}

// LegOf returns the leg that an event settles, if it is one that arrives as a command; else the id is empty.
func LegOf(d eventstore.Data) (transactionID string, kind LegKind, leg Leg) {
	switch d := d.(type) {
	case *account.BalanceChanged:
		switch {
		case d.Reversal:
			return d.TransactionID, LegReversal, Leg{}
		case d.ChangeType == account.Credit && d.TransactionType != account.Topup:
			return d.TransactionID, LegCredit, Leg{}
		}
	case *account.CreditRefused:
		return d.TransactionID, LegCredit, Leg{RefusalCode: string(d.Code)}
	default: // No other event settles one.
	}
	return "", 0, Leg{}
}
