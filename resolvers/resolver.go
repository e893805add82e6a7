// Package resolvers connects the API to the engine, the read model and the live feed.
package resolvers

import (
	"context"
	"log/slog"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/projector"
	"daybook/projector/live"
)

// Resolver holds what the resolvers work with. Every field is required.
type Resolver struct {
	Commands Commands
	Reads    Reads
	Live     Live
	// Now tells the time, against which a moment in the future is refused.
	Now func() time.Time
	// NewID draws a unique id for correlation and for errors that are logged.
	NewID  func() string
	Logger *slog.Logger
}

// Commands carries out commands.
type Commands interface {
	// Execute answers with a *domain.Refusal when nothing was done, or when that is not known.
	Execute(ctx context.Context, c engine.Command) (engine.Result, error)
}

// Reads finds in the read model. A read model that cannot be reached is a *domain.Refusal with UNAVAILABLE.
type Reads interface {
	// Account returns the account, or the zero State when there is none. With atLeast above zero it waits until the
	// read model has that version; READ_TIMEOUT when it does not in time.
	Account(ctx context.Context, id string, atLeast int64) (account.State, error)
	Accounts(ctx context.Context, q projector.AccountsQuery) (projector.AccountsPage, error)
	// Transaction returns the transaction, or the zero State when there is none.
	Transaction(ctx context.Context, id string) (transaction.State, error)
	// BalanceAt returns the balance after the last event at or before the moment; not valid before the account was
	// created.
	BalanceAt(ctx context.Context, accountID string, at time.Time) (decimal.NullDecimal, error)
	Changes(ctx context.Context, q projector.ChangesQuery) (projector.ChangesPage, error)
}

// Live feeds subscriptions.
type Live interface {
	// Changes begins a feed of an account's changes: those after the given version, or those to come when it is nil.
	// Refusals: ACCOUNT_NOT_FOUND, BAD_USER_INPUT (a version the account does not have yet), OVERLOADED, UNAVAILABLE.
	Changes(ctx context.Context, accountID string, after *int64) (*live.ChangeFeed, error)
	// Transaction begins a feed of a transaction's states: the present one, then each new one.
	// Refusals: TRANSACTION_NOT_FOUND, OVERLOADED, UNAVAILABLE.
	Transaction(ctx context.Context, id string) (*live.TransactionFeed, error)
}
