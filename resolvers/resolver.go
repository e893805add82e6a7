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
	"daybook/engine/ledger"
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
	Execute(ctx context.Context, c ledger.Command) (ledger.Result, error)
	// ExecuteBatch answers each command as Execute would, in the order of the commands, save that it does not wait for
	// other partitions. With atomic, all are carried out or none: BATCH_SPANS_PARTITIONS, BATCH_ABORTED.
	ExecuteBatch(ctx context.Context, commands []ledger.Command, atomic bool) []engine.Answer
	// AbortBatch answers the commands of an atomic batch, others of which are malformed, so that none is carried out.
	AbortBatch(ctx context.Context, commands []ledger.Command) []engine.Answer
}

// Reads finds in the read model. A read model that cannot be reached is a *domain.Refusal with UNAVAILABLE, and a read
// that takes too long one with READ_TIMEOUT; what cannot be read in it is an error without a code.
type Reads interface {
	// Account returns the account, or the zero State when there is none. With atLeast above zero it waits until the
	// read model has that version; READ_TIMEOUT when it does not in time.
	Account(ctx context.Context, id string, atLeast int64) (account.State, error)
	Accounts(ctx context.Context, q projector.AccountsQuery) (projector.AccountsPage, error)
	// Transaction and TransactionRecord return the transaction, the zero value when there is none.
	Transaction(ctx context.Context, id string) (transaction.State, error)
	TransactionRecord(ctx context.Context, id string) (projector.TransactionRecord, error)
	// Transactions refuses a cursor that it did not give with BAD_USER_INPUT.
	Transactions(ctx context.Context, q projector.TransactionsQuery) (projector.TransactionsPage, error)
	// TransactionTrail returns the account events of a transaction, each after what caused it.
	TransactionTrail(ctx context.Context, id string) ([]projector.EventRecord, error)
	// Hold returns the hold, or the zero Hold when there is none.
	Hold(ctx context.Context, id string) (account.Hold, error)
	// Holds refuses to follow on a hold that is not the account's with BAD_USER_INPUT.
	Holds(ctx context.Context, q projector.HoldsQuery) (projector.HoldsPage, error)
	// BalanceAt returns the balance after the last event at or before the moment; not valid before the account was
	// created.
	BalanceAt(ctx context.Context, accountID string, at time.Time) (decimal.NullDecimal, error)
	Changes(ctx context.Context, q projector.ChangesQuery) (projector.ChangesPage, error)
	// Statement returns the balances before from and before to; a zero time does not bound.
	Statement(ctx context.Context, accountID string, from, to time.Time) (projector.Statement, error)
	Explain(ctx context.Context, accountID string, from, to time.Time) (projector.Explanation, error)
	// ChangesBehind returns a page of the changes behind each of an explanation's groups, oldest first.
	ChangesBehind(ctx context.Context, q projector.ChangesQuery, groups []projector.ExplanationGroup) ([]projector.ChangesPage, error)
	// Events returns a page of an account's events after a version, oldest first.
	Events(ctx context.Context, accountID string, after int64, first int) (projector.EventsPage, error)
	// TrialBalance returns the books at a moment, the present one when it is zero.
	TrialBalance(ctx context.Context, at time.Time) (projector.TrialBalance, error)
	// Unfinished sums up what transactions hold at present that are neither completed nor compensated.
	Unfinished(ctx context.Context) ([]projector.Unfinished, error)
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
