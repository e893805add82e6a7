// Package projector is the read side: it folds the log into SQL tables, and finds in them what queries ask for.
// It is the only package that knows bun.
package projector

import (
	"time"

	"daybook/domain/account"
	"daybook/domain/money"
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

// ChangesQuery asks for a page of an account's changes, oldest first.
type ChangesQuery struct {
	AccountID string
	// From and To bound the timestamps, From included, To not; a zero time does not bound.
	From, To time.Time
	// AfterVersion is the version that the page follows on; zero for the first page.
	AfterVersion int64
	// First bounds the page.
	First int
}

// ChangesPage is a page of changes.
type ChangesPage struct {
	Changes []Change
	// More tells whether changes follow on the page.
	More bool
}
