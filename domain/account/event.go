// Package account is the aggregate that holds money: its events, its state as their fold, and its decisions.
package account

import (
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/money"
)

// AggregateType is the name of this aggregate in event envelopes.
const AggregateType = "Account"

// Type says whose account it is.
type Type string

// The types of account.
const (
	User   Type = "USER"
	System Type = "SYSTEM"
)

// Status says which movements an account takes.
type Status string

// The statuses of an account. Closed is final as long as no money comes back to it.
const (
	Active    Status = "ACTIVE"
	Suspended Status = "SUSPENDED"
	Closed    Status = "CLOSED"
)

// ChangeType is the direction of a change: money in or money out.
type ChangeType string

// The directions of a change.
const (
	Credit ChangeType = "CREDIT"
	Debit  ChangeType = "DEBIT"
)

// MovementType is the kind of transaction a change belongs to.
type MovementType string

// The kinds of transaction.
const (
	Topup      MovementType = "TOPUP"
	Withdrawal MovementType = "WITHDRAWAL"
	Transfer   MovementType = "TRANSFER"
	// Payment is a transfer that can be refunded.
	Payment MovementType = "PAYMENT"
	Refund  MovementType = "REFUND"
)

// HoldStatus is how far a hold has come.
type HoldStatus string

// The statuses of a hold. All but HoldActive are final.
const (
	HoldActive HoldStatus = "ACTIVE"
	// HoldCaptured: all of it was captured, or its rest was released with the last capture.
	HoldCaptured HoldStatus = "CAPTURED"
	HoldVoided   HoldStatus = "VOIDED"
	HoldExpired  HoldStatus = "EXPIRED"
)

// Limits bound a balance, inclusive, in the currency of the account.
type Limits struct {
	Min decimal.Decimal
	// Max is the upper bound; invalid means money.MaxBalance.
	Max decimal.NullDecimal
}

// Upper returns the upper bound in force.
func (l Limits) Upper(c money.Currency) decimal.Decimal {
	if l.Max.Valid {
		return l.Max.Decimal
	}
	return money.MaxBalance(c)
}

// Event is one of the account's events: Created, BalanceChanged, StatusChanged, LimitsChanged, CreditRefused,
// HoldPlaced, HoldReleased.
type Event interface {
	// EventType is the name on the wire.
	EventType() string
	accountEvent()
}

// Created opens the account.
type Created struct {
	OwnerID  string
	Type     Type
	Currency money.Currency
	Limits   Limits
}

// BalanceChanged is one movement on one account, complete in itself.
type BalanceChanged struct {
	PreviousBalance decimal.Decimal
	NewBalance      decimal.Decimal
	// ChangeAmount is always positive.
	ChangeAmount    decimal.Decimal
	ChangeType      ChangeType
	Reason          string
	TransactionID   string
	Currency        money.Currency
	TransactionType MovementType
	// CounterpartyID is the other account, or external:<name>:<currency>.
	CounterpartyID string
	// Reversal marks the credit that gives a refused transfer back to its source.
	Reversal bool
	// RefusalCode says, on a reversal, why the destination refused.
	RefusalCode domain.Code
	// HoldID is set on the legs of a capture. On the debit it takes the amount off what the hold keeps.
	HoldID string
	// RefundOf is the id of the payment, set on the legs of a refund.
	RefundOf string
}

// SignedAmount is negative for a debit.
func (e *BalanceChanged) SignedAmount() decimal.Decimal {
	if e.ChangeType == Debit {
		return e.ChangeAmount.Neg()
	}
	return e.ChangeAmount
}

// StatusChanged moves the account between statuses.
type StatusChanged struct {
	PreviousStatus Status
	NewStatus      Status
	Reason         string
}

// LimitsChanged replaces the bounds of the balance.
type LimitsChanged struct {
	Currency       money.Currency
	PreviousLimits Limits
	NewLimits      Limits
	Reason         string
}

// CreditRefused records that a transfer's credit could not be taken, so that its source is given the amount back.
type CreditRefused struct {
	Amount          decimal.Decimal
	Currency        money.Currency
	TransactionID   string
	TransactionType MovementType
	// CounterpartyID is the source account.
	CounterpartyID string
	Reason         string
	Code           domain.Code
	// HoldID and RefundOf are those of the movement.
	HoldID   string
	RefundOf string
}

// HoldPlaced sets an amount aside for a payee: it stays on the balance and is not available any more.
type HoldPlaced struct {
	HoldID   string
	Amount   decimal.Decimal
	Currency money.Currency
	// CounterpartyID is the payee, who alone can receive what is captured.
	CounterpartyID string
	// ExpiresAt is the moment from which the hold can be captured no more, in whole milliseconds.
	ExpiresAt time.Time
	Reason    string
}

// HoldReleased makes what is left of a hold available again and ends it.
type HoldReleased struct {
	HoldID   string
	Amount   decimal.Decimal
	Currency money.Currency
	// Cause is the status that the hold ends in.
	Cause  HoldStatus
	Reason string
	// TransactionID is that of the last capture, when it is what released the rest.
	TransactionID string
}

// EventType implements Event.
func (*Created) EventType() string { return "AccountCreated" }

// EventType implements Event.
func (*BalanceChanged) EventType() string { return "BalanceChanged" }

// EventType implements Event.
func (*StatusChanged) EventType() string { return "AccountStatusChanged" }

// EventType implements Event.
func (*LimitsChanged) EventType() string { return "AccountLimitsChanged" }

// EventType implements Event.
func (*CreditRefused) EventType() string { return "CreditRefused" }

// EventType implements Event.
func (*HoldPlaced) EventType() string { return "HoldPlaced" }

// EventType implements Event.
func (*HoldReleased) EventType() string { return "HoldReleased" }

func (*Created) accountEvent()        {}
func (*BalanceChanged) accountEvent() {}
func (*StatusChanged) accountEvent()  {}
func (*LimitsChanged) accountEvent()  {}
func (*CreditRefused) accountEvent()  {}
func (*HoldPlaced) accountEvent()     {}
func (*HoldReleased) accountEvent()   {}
