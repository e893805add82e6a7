// Package transaction is the aggregate that ties the legs of a movement together, and the process that derives it
// from what the accounts recorded.
package transaction

import (
	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
)

// AggregateType is the name of this aggregate in event envelopes.
const AggregateType = "Transaction"

// Status is how far a transaction has come.
type Status string

// The statuses of a transaction. Pending and Failed (the amount is on its way back) are passed through; Completed and
// Compensated are final.
const (
	Pending     Status = "PENDING"
	Completed   Status = "COMPLETED"
	Failed      Status = "FAILED"
	Compensated Status = "COMPENSATED"
)

// Final tells whether the status can change no more.
func (s Status) Final() bool { return s == Completed || s == Compensated }

// Versions of a transaction's events are fixed, so that a repeat after a crash is recognised by anyone.
const (
	VersionRequested   = 1
	VersionSettled     = 2
	VersionCompensated = 3
)

// Details describe the movement. Every event of a transaction carries them: each is complete in itself.
type Details struct {
	Type     account.MovementType
	Amount   decimal.Decimal
	Currency money.Currency
	// From and To are account ids, or external:<name>:<currency>.
	From   string
	To     string
	Reason string
	// HoldID is set on a capture, RefundOf (the payment's id) on a refund.
	HoldID   string
	RefundOf string
}

// Event is one of the transaction's events.
type Event struct {
	Details
	// Status is the status after the event and, with Type, gives its name on the wire.
	Status Status
	// FailureCode says why the credit was refused; set when Status is Failed or Compensated.
	FailureCode domain.Code
}

// EventType is the name on the wire, such as TransferRequested.
func (e *Event) EventType() string {
	switch e.Status {
	case Pending:
		return eventTypes[e.Type].requested
	case Completed:
		return eventTypes[e.Type].completed
	case Failed:
		return "TransactionFailed"
	case Compensated:
		return "TransactionCompensated"
	}
	return ""
}

// Version is the aggregate version after the event.
func (e *Event) Version() int64 {
	switch e.Status {
	case Pending:
		return VersionRequested
	case Completed, Failed:
		return VersionSettled
	case Compensated:
		return VersionCompensated
	}
	return 0
}

// eventTypes spells the names out: joining them anew would cost every event an allocation.
var eventTypes = map[account.MovementType]struct{ requested, completed string }{
	account.Topup:      {"TopupRequested", "TopupCompleted"},
	account.Withdrawal: {"WithdrawalRequested", "WithdrawalCompleted"},
	account.Transfer:   {"TransferRequested", "TransferCompleted"},
	account.Payment:    {"PaymentRequested", "PaymentCompleted"},
	account.Refund:     {"RefundRequested", "RefundCompleted"},
}

// StatusOf returns the status that an event of this wire name leads to; false for an unknown name.
func StatusOf(eventType string) (Status, bool) {
	switch eventType {
	case "TransactionFailed":
		return Failed, true
	case "TransactionCompensated":
		return Compensated, true
	}
	for _, names := range eventTypes {
		switch eventType {
		case names.requested:
			return Pending, true
		case names.completed:
			return Completed, true
		}
	}
	return "", false
}
