package ledger

import (
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// Command is what a client asks for.
type Command interface {
	// Common is what every command carries.
	Common() *Meta
	// Address is the account whose owner decides the command and to which its idempotency key belongs.
	Address() string
	identify(i *identity)
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

// Withdraw pays money out to the outside.
type Withdraw struct {
	Meta
	AccountID string
	Amount    decimal.Decimal
	Currency  money.Currency
	// External names the outside destination.
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

// Pay is a transfer that can be refunded.
type Pay struct{ Transfer }

// Refund gives a payment back, in whole or in part.
type Refund struct {
	Meta
	PaymentID string
	// Amount is what is given back; invalid means all that can still be refunded.
	Amount decimal.NullDecimal
	Reason string
	// PayeeID is the account that received the payment and decides. The engine looks it up.
	PayeeID string
}

// AuthorizeHold sets an amount aside for a payee.
type AuthorizeHold struct {
	Meta
	AccountID string
	// ToID is the payee, who alone can receive what is captured.
	ToID     string
	Amount   decimal.Decimal
	Currency money.Currency
	// ExpiresAt is zero for account.DefaultHoldLife from now.
	ExpiresAt time.Time
	Reason    string
}

// CaptureHold pays a hold, in whole or in part, to its payee.
type CaptureHold struct {
	Meta
	HoldID string
	// Amount is what is paid; invalid means all that the hold still keeps.
	Amount decimal.NullDecimal
	// Final releases what is left after this capture.
	Final  bool
	Reason string
	// AccountID is the account of the hold. The engine looks it up.
	AccountID string
}

// VoidHold releases what is left of a hold.
type VoidHold struct {
	Meta
	HoldID string
	Reason string
	// AccountID is the account of the hold. The engine looks it up.
	AccountID string
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
	// Hold is set for commands about holds, as it was right after the command.
	Hold *account.Hold
}

// Common implements Command.
func (m *Meta) Common() *Meta { return m }

// Address implements Command.
func (c *CreateAccount) Address() string { return c.ID }

// Address implements Command.
func (c *TopUp) Address() string { return c.AccountID }

// Address implements Command.
func (c *Withdraw) Address() string { return c.AccountID }

// Address implements Command.
func (c *Transfer) Address() string { return c.FromID }

// Address implements Command.
func (c *Refund) Address() string { return c.PayeeID }

// Address implements Command.
func (c *AuthorizeHold) Address() string { return c.AccountID }

// Address implements Command.
func (c *CaptureHold) Address() string { return c.AccountID }

// Address implements Command.
func (c *VoidHold) Address() string { return c.AccountID }

// Address implements Command.
func (c *ChangeStatus) Address() string { return c.AccountID }

// Address implements Command.
func (c *ChangeLimits) Address() string { return c.AccountID }
