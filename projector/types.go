// Package projector is the read side: it folds the log into SQL tables, and finds in them what queries ask for.
// It is the only package that knows bun.
package projector

import (
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Change is one change of an account's balance, with the place it has in the account's history.
type Change struct {
	AccountID string
	// Version is the account's version after the change.
	Version   int64
	Timestamp time.Time
	account.BalanceChanged
}

// AccountsQuery asks for a page of accounts in the order of their ids.
type AccountsQuery struct {
	// After is the id that the page follows on; empty for the first page.
	After string
	// First bounds the page.
	First int
	// The filters below hold all at once; an empty one does not filter.
	OwnerID  string
	Currency money.Currency
	Status   account.Status
	Type     account.Type
}

// AccountsPage is a page of accounts.
type AccountsPage struct {
	Accounts []account.State
	// More tells whether accounts follow on the page.
	More bool
}

// ChangesQuery asks for an account's changes, oldest first.
type ChangesQuery struct {
	AccountID string
	// From and To bound the timestamps, From included, To not; a zero time does not bound.
	From, To time.Time
	// AfterVersion is the version that the page follows on; zero for the first page.
	AfterVersion int64
	// ThroughVersion is the last version asked for; zero does not bound.
	ThroughVersion int64
	// First bounds the page.
	First int
}

// ChangesPage is a page of changes.
type ChangesPage struct {
	Changes []Change
	// More tells whether changes follow on the page.
	More bool
}

// Statement is what an account's changes in a period lead from and to.
type Statement struct {
	AccountID string
	// Currency is empty when there is no such account.
	Currency money.Currency
	// Opening is the balance before the period's first moment, Closing that before its end. Neither is valid before the
	// account was created, nor is the opening balance of a period without a beginning.
	Opening, Closing decimal.NullDecimal
	// Version is the account's at the end: changes read with it as ThroughVersion fit the closing balance.
	Version int64
}

// Explanation says why a balance differs between two moments.
type Explanation struct {
	Statement
	// Difference is closing less opening balance, of which one that is not valid counts as zero. It is what all groups
	// sum up to.
	Difference decimal.Decimal
	// Groups are those with the greatest sums, greatest first.
	Groups []ExplanationGroup
	// Rest is all else; nil when there is nothing else.
	Rest *ExplanationRest
}

// ExplanationGroup sums up changes of one kind with one counterparty.
type ExplanationGroup struct {
	TransactionType account.MovementType
	CounterpartyID  string
	ChangeType      account.ChangeType
	Reversal        bool
	Count           int64
	// Total is negative for debits.
	Total decimal.Decimal
}

// ExplanationRest sums up the groups that an explanation leaves out.
type ExplanationRest struct {
	Groups, Count int64
	// Total is negative when the debits outweigh.
	Total decimal.Decimal
}

// EventRecord is an event of an account as the read model has it: without what travels in headers only.
type EventRecord struct {
	eventstore.Recorded
	// Balance is the account's after the event; not valid before the account was created.
	Balance decimal.NullDecimal
}

// EventsPage is a page of an account's events.
type EventsPage struct {
	Events []EventRecord
	// More tells whether events follow on the page.
	More bool
}

// HoldsQuery asks for a page of an account's holds, newest first.
type HoldsQuery struct {
	AccountID string
	// Status, when set, is the only one asked for.
	Status account.HoldStatus
	// After is the id of the hold that the page follows on; empty for the first page.
	After string
	// First bounds the page.
	First int
}

// HoldsPage is a page of holds.
type HoldsPage struct {
	Holds []account.Hold
	// More tells whether holds follow on the page.
	More bool
}

// TransactionRecord is a transaction and where it came from.
type TransactionRecord struct {
	transaction.State
	// CorrelationID is the request's, CausationID the id of the account event that began the transaction.
	CorrelationID string
	CausationID   string
	Actor         eventstore.Metadata
}

// TransactionsQuery asks for a page of transactions, newest first.
type TransactionsQuery struct {
	// After is one of a page's cursors, for the same AccountID; empty for the first page.
	After string
	// First bounds the page.
	First int
	// The filters below hold all at once; an empty one does not filter.
	AccountID     string
	CorrelationID string
	Status        transaction.Status
	Type          account.MovementType
}

// TransactionsPage is a page of transactions.
type TransactionsPage struct {
	Transactions []TransactionRecord
	// Cursors are what After takes to go on behind each of them.
	Cursors []string
	// More tells whether transactions follow on the page.
	More bool
}

// Unfinished is what the transactions of a currency that are neither completed nor compensated keep from arriving.
type Unfinished struct {
	Currency     money.Currency
	Amount       decimal.Decimal
	Transactions int64
}

// TrialBalance is what all postings up to a moment sum up to. In every currency the debits equal the credits.
type TrialBalance struct {
	// At is the moment asked for; that of the last change in the books when none was, zero when there is no change.
	At time.Time
	// Lines are in the order of currencies and accounts.
	Lines []TrialLine
	// Totals has one entry per currency.
	Totals []TrialTotal
}

// TrialLine is the net balance of a ledger account; either Debit or Credit is zero, or both.
type TrialLine struct {
	Currency money.Currency
	// Account is accounts:USER or accounts:SYSTEM, which stand for all accounts of the type, external:<name>:<currency>,
	// external:(others):<currency> for those that are not listed, or in-transit:<currency>.
	Account       string
	Debit, Credit decimal.Decimal
}

// TrialTotal sums up the lines of a currency.
type TrialTotal struct {
	Currency      money.Currency
	Debit, Credit decimal.Decimal
}
