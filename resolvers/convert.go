package resolvers

import (
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/graph/model"
	"daybook/graph/scalar"
	"daybook/projector"

	"github.com/shopspring/decimal"
)

// accountModel is nil for an account that does not exist.
func accountModel(s account.State) *model.Account {
	if !s.Exists() {
		return nil
	}
	balance := amount(s.Balance, s.Currency)
	limits := &model.Limits{MinBalance: amount(s.Limits.Min, s.Currency)}
	if s.Limits.Max.Valid {
		upper := amount(s.Limits.Max.Decimal, s.Currency)
		limits.MaxBalance = &upper
	}
	return &model.Account{
		ID: s.ID, OwnerID: s.OwnerID, Type: s.Type, Currency: s.Currency, Status: s.Status, Balance: &balance,
		Limits: limits, Version: s.Version, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
}

// transactionModel is nil for none.
func transactionModel(s *transaction.State) *model.Transaction {
	if s == nil {
		return nil
	}
	t := &model.Transaction{
		ID: s.ID, Type: s.Type, Status: s.Status, Amount: amount(s.Amount, s.Currency), Currency: s.Currency,
		FromAccountID: s.From, ToAccountID: s.To, Reason: s.Reason, CreatedAt: s.CreatedAt, UpdatedAt: s.UpdatedAt,
	}
	if s.FailureCode != "" {
		t.FailureCode = &s.FailureCode
	}
	return t
}

func changeModel(c *projector.Change) *model.BalanceChange {
	return &model.BalanceChange{
		AccountID: c.AccountID, Version: c.Version, PreviousBalance: amount(c.PreviousBalance, c.Currency),
		NewBalance: amount(c.NewBalance, c.Currency), ChangeAmount: amount(c.ChangeAmount, c.Currency),
		ChangeType: c.ChangeType, SignedAmount: amount(c.SignedAmount(), c.Currency), Currency: c.Currency, Reason: c.Reason,
		TransactionID: c.TransactionID, TransactionType: c.TransactionType, CounterpartyID: c.CounterpartyID,
		Timestamp: c.Timestamp,
	}
}

func changedModel(c projector.Change) *model.BalanceChanged {
	return &model.BalanceChanged{
		AccountID: c.AccountID, Version: c.Version, PreviousBalance: amount(c.PreviousBalance, c.Currency),
		NewBalance: amount(c.NewBalance, c.Currency), ChangeAmount: amount(c.ChangeAmount, c.Currency),
		ChangeType: c.ChangeType, SignedAmount: amount(c.SignedAmount(), c.Currency), Currency: c.Currency, Reason: c.Reason,
		TransactionID: c.TransactionID, Timestamp: c.Timestamp,
	}
}

func amount(d decimal.Decimal, c money.Currency) scalar.Decimal {
	return scalar.Decimal(money.Format(d, c))
}
