package resolvers

import (
	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/graph/model"
	"daybook/graph/scalar"
	"daybook/projector"
)

// accountModel is nil for an account that does not exist.
func accountModel(s account.State) *model.Account {
	if !s.Exists() {
		return nil
	}
	balance := amount(s.Balance, s.Currency)
	available := balance
	if !s.Held.IsZero() { // Most accounts have no holds, and subtracting costs.
		available = amount(s.Available(), s.Currency)
	}
	return &model.Account{
		ID: s.ID, OwnerID: s.OwnerID, Type: s.Type, Currency: s.Currency, Status: s.Status, Balance: &balance,
		Available: available, Held: amount(s.Held, s.Currency), Limits: limitsModel(s.Limits, s.Currency),
		Version: s.Version, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
}

func limitsModel(l account.Limits, c money.Currency) *model.Limits {
	return &model.Limits{MinBalance: amount(l.Min, c), MaxBalance: amountOrNull(l.Max, c)}
}

func transactionModel(s transaction.State, origin model.OriginFunc) *model.Transaction {
	return &model.Transaction{
		ID: s.ID, Type: s.Type, Status: s.Status, Amount: amount(s.Amount, s.Currency), Currency: s.Currency,
		FromAccountID: s.From, ToAccountID: s.To, Reason: s.Reason, HoldID: given(s.HoldID), RefundOf: given(s.RefundOf),
		FailureCode: given(s.FailureCode), CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt, Origin: origin,
	}
}

// holdModel is nil for a hold that does not exist.
func holdModel(h account.Hold) *model.Hold {
	if !h.Exists() {
		return nil
	}
	return &model.Hold{
		ID: h.ID, AccountID: h.AccountID, ToAccountID: h.CounterpartyID, Currency: h.Currency, Amount: amount(h.Amount, h.Currency),
		Captured: amount(h.Captured, h.Currency), Released: amount(h.Released, h.Currency), Remaining: amount(h.Remaining(), h.Currency),
		Status: h.Status, Reason: h.Reason, ExpiresAt: h.ExpiresAt, CreatedAt: h.CreatedAt, UpdatedAt: h.UpdatedAt,
	}
}

func changeModel(c *projector.Change) *model.BalanceChange {
	return &model.BalanceChange{
		AccountID: c.AccountID, Version: c.Version, PreviousBalance: amount(c.PreviousBalance, c.Currency),
		NewBalance: amount(c.NewBalance, c.Currency), ChangeAmount: amount(c.ChangeAmount, c.Currency),
		ChangeType: c.ChangeType, SignedAmount: amount(c.SignedAmount(), c.Currency), Currency: c.Currency, Reason: c.Reason,
		TransactionID: c.TransactionID, TransactionType: c.TransactionType, CounterpartyID: c.CounterpartyID,
		HoldID: given(c.HoldID), RefundOf: given(c.RefundOf), Reversal: c.Reversal, Timestamp: c.Timestamp,
	}
}

// changedModel is the same change as it is pushed.
func changedModel(c projector.Change) *model.BalanceChanged {
	pushed := model.BalanceChanged(*changeModel(&c))
	return &pushed
}

func amount(d decimal.Decimal, c money.Currency) scalar.Decimal {
	return scalar.Decimal(money.Format(d, c))
}

func amountOrNull(d decimal.NullDecimal, c money.Currency) *scalar.Decimal {
	if !d.Valid {
		return nil
	}
	text := amount(d.Decimal, c)
	return &text
}

// given is nil for what is not given.
func given[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}
