package account

import (
	"errors"

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
	// HoldID is set on a capture, RefundOf (the payment's id) on a refund.
	HoldID   string
	RefundOf string
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
	if err := affords(s, m.Amount); err != nil {
		return nil, err
	}
	return changed(s, m, Debit, s.Balance.Sub(m.Amount)), nil
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

// Refused is what an account records that cannot take a credit, so that its source is given the amount back.
func Refused(m Movement, why domain.Code) *CreditRefused {
	return &CreditRefused{
		Amount: m.Amount, Currency: m.Currency, TransactionID: m.TransactionID, TransactionType: m.TransactionType,
		CounterpartyID: m.CounterpartyID, Reason: m.Reason, Code: why, HoldID: m.HoldID, RefundOf: m.RefundOf,
	}
}

// DecideReversal gives a refused transfer's amount back to its source. It cannot be refused: the money is the
// account's own, whatever became of its status and limits since.
func DecideReversal(s State, m Movement, why domain.Code) *BalanceChanged {
	e := changed(s, m, Credit, s.Balance.Add(m.Amount))
	e.Reversal, e.RefusalCode = true, why
	return e
}

// DecideStatus moves the account to a status. Being asked for the present one is an event too: the reason is new.
// Closing is final, save that money which came back since must not be out of reach: with a balance, a closed account can be
// made active again. Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_CLOSED, ACCOUNT_NOT_EMPTY.
func DecideStatus(s State, to Status, reason string) (*StatusChanged, error) {
	switch {
	case !s.Exists():
		return nil, NotFound()
	case s.Status == Closed && s.Balance.IsZero():
		return nil, domain.Refuse(domain.AccountClosed, "status", "the account is closed, which is final; open a new one")
	case s.Status == Closed && to != Active:
		return nil, domain.Refuse(domain.AccountClosed, "status",
			"the account is closed, and money came back to it; make it active, move the money elsewhere, and close it again")
	case to == Closed && !s.Balance.IsZero():
		return nil, domain.Refuse(domain.AccountNotEmpty, "status", "the account still has a balance; move it elsewhere before closing")
	case to == Closed && !s.Held.IsZero():
		return nil, domain.Refuse(domain.AccountNotEmpty, "status", "the account still has active holds; capture or void them before closing")
	}
	return &StatusChanged{PreviousStatus: s.Status, NewStatus: to, Reason: reason}, nil
}

// DecideLimits replaces the bounds. Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_CLOSED, INVALID_AMOUNT when a bound has more
// decimals than the currency, BALANCE_LIMIT_EXCEEDED when the present balance, or what of it is available, is outside.
func DecideLimits(s State, to Limits, reason string) (*LimitsChanged, error) {
	if !s.Exists() {
		return nil, NotFound()
	}
	if s.Status == Closed {
		return nil, domain.Refuse(domain.AccountClosed, "accountId", "the account is closed and cannot be changed")
	}
	to, err := to.fit(s.Currency)
	if err != nil {
		return nil, err
	}
	if err := withinLimits(s.Balance, to, s.Currency); err != nil {
		return nil, err
	}
	if s.Available().LessThan(to.Min) {
		return nil, domain.Refuse(domain.BalanceLimitExceeded, "limits.minBalance", "minBalance must not be above what of the balance is not held")
	}
	return &LimitsChanged{Currency: s.Currency, PreviousLimits: s.Limits, NewLimits: to, Reason: reason}, nil
}

// takes checks that an account takes a movement of this direction in this currency.
func takes(s State, c money.Currency, direction ChangeType) error {
	switch {
	case !s.Exists():
		return NotFound()
	case s.Status == Closed:
		return domain.Refuse(domain.AccountClosed, "accountId", "the account is closed and takes no movements; use another account")
	case s.Status == Suspended && direction == Debit:
		return domain.Refuse(domain.AccountSuspended, "accountId", "the account is suspended and refuses debits; activate it first")
	case s.Currency != c:
		return domain.Refuse(domain.CurrencyMismatch, "currency", "the account is kept in %s; use that currency", s.Currency)
	}
	return nil
}

// DecidePayee checks that an account could be paid in a currency. Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_CLOSED,
// CURRENCY_MISMATCH.
func DecidePayee(s State, c money.Currency) error { return takes(s, c, Credit) }

// affords checks the lower limit against what is available.
func affords(s State, amount decimal.Decimal) error {
	if s.Available().Sub(amount).LessThan(s.Limits.Min) {
		return domain.Refuse(domain.InsufficientBalance, "amount",
			"the account's available balance, which is what is not held, is too low for this amount; top it up or choose a smaller amount")
	}
	return nil
}

// fit brings the bounds to the scale of the account's currency.
func (l Limits) fit(c money.Currency) (Limits, error) {
	var err error
	if l.Min, err = money.Fit(l.Min, c); err != nil {
		return l, at(err, "limits.minBalance")
	}
	if l.Max.Valid {
		if l.Max.Decimal, err = money.Fit(l.Max.Decimal, c); err != nil {
			return l, at(err, "limits.maxBalance")
		}
	}
	return l, nil
}

// at names the input field that a refusal is about.
func at(err error, field string) error {
	var r *domain.Refusal
	if errors.As(err, &r) {
		return &domain.Refusal{Code: r.Code, Field: field, Message: r.Message}
	}
	return err
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

// NotFound refuses an id that no account has.
func NotFound() error {
	return domain.Refuse(domain.AccountNotFound, "accountId", "no account has this id; check it or create the account first")
}

func changed(s State, m Movement, direction ChangeType, balance decimal.Decimal) *BalanceChanged {
	return &BalanceChanged{
		PreviousBalance: s.Balance, NewBalance: balance, ChangeAmount: m.Amount, ChangeType: direction,
		Reason: m.Reason, TransactionID: m.TransactionID, Currency: m.Currency,
		TransactionType: m.TransactionType, CounterpartyID: m.CounterpartyID, HoldID: m.HoldID, RefundOf: m.RefundOf,
	}
}
