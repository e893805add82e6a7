// Package audit reads the whole log on its own, with another client and another decoder than the rest of the program,
// and checks what Daybook promises about it. It shares no code with what it checks, so that one mistake cannot hide in
// both.
package audit

import (
	"context"
	"fmt"
	"slices"

	"github.com/shopspring/decimal"
)

// The topics that are audited.
const (
	accountTopic     = "billing.account.events"
	transactionTopic = "billing.transaction.events"
)

// maxProblems bounds a report: the first ones tell the most.
const maxProblems = 200

// Report is what an audit found and what the log adds up to.
type Report struct {
	// Problems are broken promises, one sentence each, at most 200. There must be none at any time.
	Problems []string
	// Unfinished is what is still on its way: transfers without their last leg, and events whose transaction events are
	// not recorded yet. There must be none once the engine has come to rest.
	Unfinished []string
	// Accounts by id, Transactions by id.
	Accounts     map[string]*Account
	Transactions map[string]*Transaction
	// Holds by id.
	Holds map[string]*Hold
	// Keys leads from an account's idempotency key to what it brought about.
	Keys map[Key]Effect
	// Events counts account events, Repeats the transaction events that were there before under the same id.
	Events  int
	Repeats int
}

// Account is an account as its events leave it.
type Account struct {
	ID       string
	Currency string
	// Status is empty for an account that was never created, but refused a credit.
	Status  string
	Balance decimal.Decimal
	// Held is what active holds keep of the balance.
	Held    decimal.Decimal
	Version int64
	// Changes counts the events that changed the balance.
	Changes int64

	minimum   decimal.Decimal
	maximum   decimal.NullDecimal
	timestamp string
	// capture is the last event, when it is a capture without idempotency key: the release of the rest has to follow
	// and bear it.
	capture *capture
}

// Hold is a hold as the events of its account leave it.
type Hold struct {
	ID        string
	AccountID string
	// PayeeID is the account that alone can receive what is captured.
	PayeeID  string
	Currency string
	// Amount is what was set aside, Captured what of it was paid, Released what was made available again.
	Amount, Captured, Released decimal.Decimal
	// Status is ACTIVE, CAPTURED, VOIDED or EXPIRED.
	Status string
	// ExpiresAt is as in the event.
	ExpiresAt string
}

// Remaining is what the hold still keeps.
func (h *Hold) Remaining() decimal.Decimal { return h.Amount.Sub(h.Captured).Sub(h.Released) }

// Transaction is a transaction as the legs on its accounts leave it. Legs that did not happen are nil.
type Transaction struct {
	ID       string
	Type     string
	Currency string
	From, To string
	Amount   decimal.Decimal
	// HoldID is set on a capture, RefundOf (the payment's id) on a refund.
	HoldID, RefundOf string
	// Debit, Credit, Refusal and Reversal are its legs; a top-up has only a credit, a withdrawal only a debit.
	Debit, Credit, Refusal, Reversal *Leg

	// released is the offset at which the rest of a captured hold was released, 0 if it was not.
	released int64
	// derived are the transaction's own events by version.
	derived map[int64]*derivedEvent
}

// Leg is where in the topic of account events a leg stands.
type Leg struct {
	EventID   string
	AccountID string
	Version   int64
	Partition int32
	Offset    int64
}

// Key is an idempotency key of an account.
type Key struct{ AccountID, Key string }

// Effect is what the event that carries an idempotency key did.
type Effect struct {
	EventID   string
	EventType string
	// Version and Balance are the account's after the event.
	Version int64
	Balance decimal.Decimal
	// TransactionID is set for movements of money.
	TransactionID string
	// HoldID is set for what a hold is placed, captured or voided by.
	HoldID string
}

// Log audits the log of a cluster up to its present end. It may run while the log is written to. The error says why
// the log could not be read; what is wrong with it is in the report.
func Log(ctx context.Context, brokers []string) (*Report, error) {
	a := newAuditor()
	if err := a.read(ctx, brokers); err != nil {
		return nil, fmt.Errorf("auditing the log: %w", err)
	}
	a.conclude()
	return a.report, nil
}

// auditor folds the log into a report.
type auditor struct {
	report *Report
	// partitions of the topic of account events.
	partitions int32
	// certain are the ends of the account partitions before the last look at them: what stands below has its causes,
	// wherever they are, among what is read.
	certain map[int32]int64
	// payments are what payees received, by transaction.
	payments map[string]*payment
	// causes are the account events by id.
	causes map[string]cause
	// repeated holds the transaction events by id.
	repeated map[string]*derivedEvent
	// booked is, by currency, what came onto the accounts from outside and from other accounts.
	booked map[string]*books
}

// cause is what a transaction event can follow from.
type cause struct {
	transactionID string
	kind          string
	offset        int64
	partition     int32
	timestamp     string
}

// books are the sides of one currency.
type books struct{ external, inTransit decimal.Decimal }

func newAuditor() *auditor {
	return &auditor{
		report: &Report{
			Accounts: map[string]*Account{}, Transactions: map[string]*Transaction{}, Holds: map[string]*Hold{}, Keys: map[Key]Effect{},
		},
		payments: map[string]*payment{}, causes: map[string]cause{}, repeated: map[string]*derivedEvent{}, booked: map[string]*books{},
	}
}

func (a *auditor) problem(format string, args ...any) {
	if len(a.report.Problems) < maxProblems {
		a.report.Problems = append(a.report.Problems, fmt.Sprintf(format, args...))
	}
}

func (a *auditor) unfinished(format string, args ...any) {
	a.report.Unfinished = append(a.report.Unfinished, fmt.Sprintf(format, args...))
}

// conclude checks what only the whole log shows.
func (a *auditor) conclude() {
	held := map[string]decimal.Decimal{}
	for _, id := range sortedKeys(a.report.Transactions) {
		tx := a.report.Transactions[id]
		held[tx.Currency] = held[tx.Currency].Add(a.concludeTransaction(tx))
	}
	balances := map[string]decimal.Decimal{}
	for _, account := range a.report.Accounts {
		a.keyless(account)
		balances[account.Currency] = balances[account.Currency].Add(account.Balance)
	}
	for _, currency := range sortedKeys(a.booked) {
		b := a.booked[currency]
		if sum := balances[currency].Add(b.external).Add(b.inTransit); !sum.IsZero() {
			a.problem("%s: accounts hold %s, outside %s, in transit %s: the sum is %s and not zero",
				currency, balances[currency], b.external, b.inTransit, sum)
		}
		if !b.inTransit.Equal(held[currency]) {
			a.problem("%s: %s are in transit and unfinished transactions hold %s", currency, b.inTransit, held[currency])
		}
	}
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
