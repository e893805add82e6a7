package transaction

import (
	"strings"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
)

// externalPrefix begins the name of a counterparty outside the books. No account id has a colon.
const externalPrefix = "external:"

// IsExternal tells whether a counterparty is outside the books.
func IsExternal(counterpartyID string) bool { return strings.HasPrefix(counterpartyID, externalPrefix) }

// External names a counterparty outside the books.
func External(name string, c money.Currency) string { return externalPrefix + name + ":" + string(c) }

// StepKind says what an account is asked to do next.
type StepKind string

// The commands a transaction's process gives to accounts.
const (
	// StepCredit asks the destination to take the amount.
	StepCredit StepKind = "CREDIT"
	// StepReverse gives the amount back to the source.
	StepReverse StepKind = "REVERSE"
)

// Step is a command to one account. Repeating it changes nothing: the account remembers the transaction's id.
type Step struct {
	Kind      StepKind
	AccountID string
	Movement  account.Movement
	// Code says why the destination refused; set on StepReverse and carried into the reversal.
	Code domain.Code
}

// React derives what follows from an account's event: the transaction's events, then the next step, if any. Events
// must be recorded before the step is sent. samePartition tells whether the counterparty lives with the account, in
// which case its leg was recorded together with this one and no step is needed.
func React(accountID string, e account.Event, samePartition bool) ([]Event, *Step) {
	switch e := e.(type) {
	case *account.BalanceChanged:
		return reactToChange(accountID, e, samePartition)
	case *account.CreditRefused:
		d := Details{
			Type: e.TransactionType, Amount: e.Amount, Currency: e.Currency, From: e.CounterpartyID, To: accountID, Reason: e.Reason,
			HoldID: e.HoldID, RefundOf: e.RefundOf,
		}
		back := &Step{Kind: StepReverse, AccountID: e.CounterpartyID, Code: e.Code, Movement: account.Movement{
			Amount: e.Amount, Currency: e.Currency, TransactionID: e.TransactionID,
			TransactionType: e.TransactionType, CounterpartyID: accountID, Reason: e.Reason, HoldID: e.HoldID, RefundOf: e.RefundOf,
		}}
		return []Event{{Details: d, Status: Failed, FailureCode: e.Code}}, back
	case *account.Created, *account.StatusChanged, *account.LimitsChanged, *account.HoldPlaced, *account.HoldReleased:
	}
	return nil, nil
}

func reactToChange(accountID string, e *account.BalanceChanged, samePartition bool) ([]Event, *Step) {
	d := Details{
		Type: e.TransactionType, Amount: e.ChangeAmount, Currency: e.Currency, From: accountID, To: e.CounterpartyID, Reason: e.Reason,
		HoldID: e.HoldID, RefundOf: e.RefundOf,
	}
	if e.ChangeType == account.Credit && !e.Reversal {
		d.From, d.To = e.CounterpartyID, accountID
	}
	switch {
	case e.TransactionID == "": // The first shape of the event could do without one.
		return nil, nil
	case e.Reversal:
		return []Event{{Details: d, Status: Compensated, FailureCode: e.RefusalCode}}, nil
	case IsExternal(e.CounterpartyID): // Nobody in the books is to be asked.
		return []Event{{Details: d, Status: Pending}, {Details: d, Status: Completed}}, nil
	case e.ChangeType == account.Credit:
		return []Event{{Details: d, Status: Completed}}, nil
	case samePartition:
		return []Event{{Details: d, Status: Pending}}, nil
	}
	return []Event{{Details: d, Status: Pending}}, &Step{Kind: StepCredit, AccountID: e.CounterpartyID, Movement: account.Movement{
		Amount: e.ChangeAmount, Currency: e.Currency, TransactionID: e.TransactionID,
		TransactionType: e.TransactionType, CounterpartyID: accountID, Reason: e.Reason, HoldID: e.HoldID, RefundOf: e.RefundOf,
	}}
}
