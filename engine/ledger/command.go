package engine

import (
	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Command is what a client asks for: CreateAccount, TopUp, Transfer, ChangeStatus or ChangeLimits.
type Command interface {
	meta() *Meta
	// address is the account whose owner decides the command and to which its idempotency key belongs.
	address() string
}

// Meta is what every command carries.
type Meta struct {
	// IdempotencyKey is required, 1 to 128 characters: one key has one effect and one answer per account.
	IdempotencyKey string
	// ExpectedVersion, when set, refuses the command with VERSION_CONFLICT unless the account has this version.
	ExpectedVersion *int64
	// CorrelationID ties together all that one request caused; made when empty.
	CorrelationID string
	Actor         eventstore.Metadata
	// Traceparent is the W3C trace context, passed on as it is.
	Traceparent string
}

// CreateAccount opens an account.
type CreateAccount struct {
	Meta
	// ID is derived from the actor and the idempotency key when empty.
	ID       string
	OwnerID  string
	Type     account.Type
	Currency money.Currency
	Limits   account.Limits
}

// TopUp takes money in from outside.
type TopUp struct {
	Meta
	AccountID string
	Amount    decimal.Decimal
	Currency  money.Currency
	// External names the outside source.
	External string
	Reason   string
}

// Transfer moves money between two accounts.
type Transfer struct {
	Meta
	FromID   string
	ToID     string
	Amount   decimal.Decimal
	Currency money.Currency
	Reason   string
}

// ChangeStatus moves an account between statuses.
type ChangeStatus struct {
	Meta
	AccountID string
	Status    account.Status
	Reason    string
}

// ChangeLimits replaces the bounds of an account's balance.
type ChangeLimits struct {
	Meta
	AccountID string
	Limits    account.Limits
	Reason    string
}

// Result is the answer to a command, from the state just written.
type Result struct {
	// Account is the account the command addressed, as it was right after the command.
	Account account.State
	// Transaction is set for movements of money.
	Transaction *transaction.State
}

func (m *Meta) meta() *Meta { return m }

func (c *CreateAccount) address() string { return c.ID }
func (c *TopUp) address() string         { return c.AccountID }
func (c *Transfer) address() string      { return c.FromID }
func (c *ChangeStatus) address() string  { return c.AccountID }
func (c *ChangeLimits) address() string  { return c.AccountID }
