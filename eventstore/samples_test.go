package eventstore

import (
	"fmt"
	"reflect"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
)

// Ids of the samples.
const (
	eventID     = "0193b2f4-7f6e-5d2c-9d0a-1f6b2c3d4e5f"
	sourceID    = "5f0f7a52-3a0e-4f0e-8d39-6a1c2b7f9e10"
	destination = "c2a9b1de-7c41-4b6f-9a55-0e8d4f3c2b1a"
	movementID  = "8e4c1d7a-2b93-5f60-a1c8-7d6e5f4a3b2c"
	requestID   = "req-7d1f0c9e"
	commandID   = "3b0c6f1e-9a44-5e7b-8c2d-4f1a6b9e0d73"
	external    = "external:bank:EUR"
	paymentID   = "1d6e9b40-5c2f-5a83-b7e4-0c9f8d7a6b51"
	refundID    = "2e7fac51-6d30-5b94-88f5-1da09e8b7c62"
	holdID      = "3f80bd62-7e41-5ca5-99a6-2eb1af9c8d73"
)

var (
	sampleTime = time.Date(2026, 11, 24, 9, 30, 0, 125e6, time.UTC)
	dec        = decimal.RequireFromString
)

// sample puts data into an envelope as the engine does for a client's command.
func sample(aggregateID string, version int64, data Data) Event {
	return Event{
		ID: eventID, AggregateID: aggregateID, Version: version, Timestamp: sampleTime, CorrelationID: requestID,
		CausationID: commandID, Metadata: Metadata{ActorID: "user_123", ActorType: "api"}, Data: data,
	}
}

func sampleTransaction(kind account.MovementType, status transaction.Status, why domain.Code) Event {
	d := transaction.Details{
		Type: kind, Amount: dec("12.50"), Currency: "EUR", From: sourceID, To: destination, Reason: "Rent for December",
	}
	id := movementID
	switch kind {
	case account.Topup:
		d.From, d.Reason = external, "Topup"
	case account.Withdrawal:
		d.To, d.Reason = external, "Withdrawal"
	case account.Payment:
		id, d.Reason = paymentID, "Order 1017"
	case account.Refund:
		id, d.Amount, d.From, d.To, d.Reason, d.RefundOf = refundID, dec("4.20"), destination, sourceID, "Two items came back", paymentID
	case account.Transfer:
	}
	e := &transaction.Event{Details: d, Status: status, FailureCode: why}
	return sample(id, e.Version(), e)
}

// sampleCapture is an event of a payment out of a hold.
func sampleCapture(status transaction.Status, why domain.Code) Event {
	e := sampleTransaction(account.Payment, status, why)
	e.Data.(*transaction.Event).HoldID = holdID
	return e
}

// sampleLeg is a change of 12.50 by a payment, or of 4.20 by a refund of it.
func sampleLeg(accountID string, kind account.MovementType, direction account.ChangeType, holdID string) *account.BalanceChanged {
	d := sampleTransaction(kind, transaction.Pending, "").Data.(*transaction.Event).Details
	e := &account.BalanceChanged{
		PreviousBalance: dec("100.00"), ChangeAmount: d.Amount, ChangeType: direction, Reason: d.Reason, TransactionID: paymentID,
		Currency: "EUR", TransactionType: kind, CounterpartyID: d.To, HoldID: holdID, RefundOf: d.RefundOf,
	}
	if kind == account.Refund {
		e.TransactionID = refundID
	}
	if accountID == d.To {
		e.CounterpartyID = d.From
	}
	e.NewBalance = e.PreviousBalance.Add(e.SignedAmount())
	return e
}

func sampleHold() *account.HoldPlaced {
	return &account.HoldPlaced{
		HoldID: holdID, Amount: dec("20.00"), Currency: "EUR", CounterpartyID: destination,
		ExpiresAt: sampleTime.Add(7 * 24 * time.Hour), Reason: "Order 1017",
	}
}

func sampleRelease(cause account.HoldStatus, amount, reason, transactionID string) Event {
	return sample(sourceID, 7, &account.HoldReleased{
		HoldID: holdID, Amount: dec(amount), Currency: "EUR", Cause: cause, Reason: reason, TransactionID: transactionID,
	})
}

func sampleDebit() Event {
	return sample(sourceID, 5, &account.BalanceChanged{
		PreviousBalance: dec("100.00"), NewBalance: dec("87.50"), ChangeAmount: dec("12.50"), ChangeType: account.Debit,
		Reason: "Rent for December", TransactionID: movementID, Currency: "EUR", TransactionType: account.Transfer,
		CounterpartyID: destination,
	})
}

func upTo(s string) decimal.NullDecimal { return decimal.NewNullDecimal(dec(s)) }

// show renders all of an event, exponents of decimals included, so that two events are equal when it is.
func show(e Event) string {
	data, progress := e.Data, e.Progress
	e.Data, e.Progress = nil, nil
	s := fmt.Sprintf("%#v\n", e)
	if data != nil {
		s += fmt.Sprintf("%#v\n", reflect.ValueOf(data).Elem())
	}
	if progress != nil {
		s += fmt.Sprintf("%#v\n", *progress)
	}
	return s
}

func limits(low, high string) account.Limits {
	l := account.Limits{Min: dec(low)}
	if high != "" {
		l.Max = upTo(high)
	}
	return l
}

func minimal(data Data) Event {
	return Event{
		ID: eventID, AggregateID: sourceID, Version: 1, Timestamp: sampleTime, CorrelationID: requestID, Data: data,
	}
}

// yen is an account without minor unit at the greatest balance there can be.
func yen() Event {
	return sample(sourceID, 9, &account.BalanceChanged{
		PreviousBalance: dec("999999999999999999"), NewBalance: dec("1000000000000000000"), ChangeAmount: dec("1"),
		ChangeType: account.Credit, TransactionID: movementID, Currency: "JPY", TransactionType: account.Topup,
		CounterpartyID: "external:bank:JPY",
	})
}

func showCommand(c *StepCommand) string { return fmt.Sprintf("%#v", *c) }
