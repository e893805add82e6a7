package account

import (
	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/money"
)

// Movement is money to put on or take off one account.
type Movement struct {
	// Amount is positive, at the scale of Currency.
	Amount          decimal.Decimal
	Currency        money.Currency
	TransactionID   string
	TransactionType MovementType
	CounterpartyID  string
	Reason          string
}

// DecideCreate opens an account. Refusals: ACCOUNT_EXISTS, BALANCE_LIMIT_EXCEEDED.
func DecideCreate(s State, c Created) (*Created, error) {
	if s.Exists() {
		return nil, domain.Refuse(domain.AccountExists, "id", "an account with this id exists already; choose another id")
	}
	zero := decimal.New(0, -c.Currency.Scale())
	if err := withinLimits(zero, c.Limits, c.Currency); err != nil {
		return nil, err
	}
	return &c, nil
}

// DecideDebit takes money off. Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_SUSPENDED, ACCOUNT_CLOSED, CURRENCY_MISMATCH,
// INSUFFICIENT_BALANCE.
func DecideDebit(s State, m Movement) (*BalanceChanged, error) {
	if err := takes(s, m.Currency, Debit); err != nil {
		return nil, err
	}
	balance := s.Balance.Sub(m.Amount)
	if balance.LessThan(s.Limits.Min) {
		return nil, domain.Refuse(domain.InsufficientBalance, "amount",
			"the account's balance is too low for this amount; top it up or choose a smaller amount")
	}
	return changed(s, m, Debit, balance), nil
}

// DecideCredit puts money on. Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_CLOSED, CURRENCY_MISMATCH, BALANCE_LIMIT_EXCEEDED.
func DecideCredit(s State, m Movement) (*BalanceChanged, error) {
	if err := takes(s, m.Currency, Credit); err != nil {
		return nil, err
	}
	balance := s.Balance.Add(m.Amount)
	if balance.GreaterThan(s.Limits.Upper(s.Currency)) {
		return nil, domain.Refuse(domain.BalanceLimitExceeded, "amount",
			"the account's balance would pass its upper limit; choose a smaller amount")
	}
	return changed(s, m, Credit, balance), nil
}

// DecideReversal gives a refused transfer's amount back to its source. It cannot be refused: the money is the
// account's own, whatever became of its status and limits since.
func DecideReversal(s State, m Movement, why domain.Code) *BalanceChanged {
	e := changed(s, m, Credit, s.Balance.Add(m.Amount))
	e.Reversal, e.RefusalCode = true, why
	return e
}

// DecideStatus moves the account to a status. Being asked for the present one is an event too: the reason is new.
// Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_CLOSED (closing is final), ACCOUNT_NOT_EMPTY.
func DecideStatus(s State, to Status, reason string) (*StatusChanged, error) {
	switch {
	case !s.Exists():
		return nil, notFound()
	case s.Status == Closed:
		return nil, domain.Refuse(domain.AccountClosed, "status", "the account is closed, which is final; open a new one")
	case to == Closed && !s.Balance.IsZero():
		return nil, domain.Refuse(domain.AccountNotEmpty, "status", "the account still has a balance; move it elsewhere before closing")
	}
	return &StatusChanged{PreviousStatus: s.Status, NewStatus: to, Reason: reason}, nil
}

// DecideLimits replaces the bounds. Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_CLOSED, BALANCE_LIMIT_EXCEEDED when the
// present balance is outside.
func DecideLimits(s State, to Limits, reason string) (*LimitsChanged, error) {
	if !s.Exists() {
		return nil, notFound()
	}
	if s.Status == Closed {
		return nil, domain.Refuse(domain.AccountClosed, "accountId", "the account is closed and cannot be changed")
	}
	if err := withinLimits(s.Balance, to, s.Currency); err != nil {
		return nil, err
	}
	return &LimitsChanged{Currency: s.Currency, PreviousLimits: s.Limits, NewLimits: to, Reason: reason}, nil
}

// takes checks that an account takes a movement of this direction in this currency.
func takes(s State, c money.Currency, direction ChangeType) error {
	switch {
	case !s.Exists():
		return notFound()
	case s.Status == Closed:
		return domain.Refuse(domain.AccountClosed, "accountId", "the account is closed and takes no movements")
	case s.Status == Suspended && direction == Debit:
		return domain.Refuse(domain.AccountSuspended, "accountId", "the account is suspended and refuses debits")
	case s.Currency != c:
		return domain.Refuse(domain.CurrencyMismatch, "currency", "the account is kept in %s; use that currency", s.Currency)
	}
	return nil
}

func withinLimits(balance decimal.Decimal, l Limits, c money.Currency) error {
	upper := l.Upper(c)
	switch {
	case l.Min.GreaterThan(upper):
		return domain.Refuse(domain.BalanceLimitExceeded, "limits", "minBalance must not be above maxBalance")
	case balance.LessThan(l.Min):
		return domain.Refuse(domain.BalanceLimitExceeded, "limits.minBalance", "minBalance must not be above the present balance")
	case balance.GreaterThan(upper):
		return domain.Refuse(domain.BalanceLimitExceeded, "limits.maxBalance", "maxBalance must not be below the present balance")
	}
	return nil
}

func notFound() error {
	return domain.Refuse(domain.AccountNotFound, "accountId", "no account has this id; check it or create the account first")
}

func changed(s State, m Movement, direction ChangeType, balance decimal.Decimal) *BalanceChanged {
	return &BalanceChanged{
		PreviousBalance: s.Balance, NewBalance: balance, ChangeAmount: m.Amount, ChangeType: direction,
		Reason: m.Reason, TransactionID: m.TransactionID, Currency: m.Currency,
		TransactionType: m.TransactionType, CounterpartyID: m.CounterpartyID,
	}
}
