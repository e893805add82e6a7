package resolvers

import (
	"errors"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/engine/ledger"
	"daybook/graph/model"
	"daybook/graph/scalar"
)

// defaultExternal names the outside where the input does not.
const defaultExternal = "default"

func readCreateAccount(from ledger.Meta, in model.CreateAccountInput) (ledger.Command, error) {
	c := &ledger.CreateAccount{
		Meta: keyed(from, in.IdempotencyKey, nil), ID: valueOr(in.ID, ""), OwnerID: in.OwnerID, Type: in.Type, Currency: in.Currency,
	}
	if in.ID != nil {
		if err := checkAccountID("id", c.ID); err != nil {
			return nil, err
		}
	}
	var err error
	c.Limits, err = readLimits(in.Limits, in.Currency.Scale(), func(s string) (decimal.Decimal, error) { return money.ParseBound(s, in.Currency) })
	return c, first(checkIdempotencyKey(in.IdempotencyKey), checkOwnerID(in.OwnerID), err)
}

func readTopUp(from ledger.Meta, in model.TopUpInput) (ledger.Command, error) {
	c := &ledger.TopUp{
		Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), AccountID: in.AccountID, Currency: in.Currency,
		External: valueOr(in.External, defaultExternal), Reason: valueOr(in.Reason, ""),
	}
	var err error
	c.Amount, err = money.ParseAmount(string(in.Amount), in.Currency)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), checkAccountID("accountId", c.AccountID), checkExternal(c.External),
		checkReason(c.Reason), err)
}

func readWithdraw(from ledger.Meta, in model.WithdrawInput) (ledger.Command, error) {
	c := &ledger.Withdraw{
		Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), AccountID: in.AccountID, Currency: in.Currency,
		External: valueOr(in.External, defaultExternal), Reason: valueOr(in.Reason, ""),
	}
	var err error
	c.Amount, err = money.ParseAmount(string(in.Amount), in.Currency)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), checkAccountID("accountId", c.AccountID), checkExternal(c.External),
		checkReason(c.Reason), err)
}

func readTransfer(from ledger.Meta, in model.TransferInput) (ledger.Command, error) {
	c := &ledger.Transfer{
		Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), FromID: in.FromAccountID, ToID: in.ToAccountID,
		Currency: in.Currency, Reason: valueOr(in.Reason, ""),
	}
	var err error
	c.Amount, err = money.ParseAmount(string(in.Amount), in.Currency)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), checkAccountID("fromAccountId", c.FromID),
		checkAccountID("toAccountId", c.ToID), checkReason(c.Reason), err)
}

// readPay reads what has the fields of a transfer.
func readPay(from ledger.Meta, in model.PayInput) (ledger.Command, error) {
	c, err := readTransfer(from, model.TransferInput(in))
	if err != nil {
		return nil, err
	}
	return &ledger.Pay{Transfer: *c.(*ledger.Transfer)}, nil
}

func readRefund(from ledger.Meta, in model.RefundInput) (ledger.Command, error) {
	c := &ledger.Refund{Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), Reason: valueOr(in.Reason, "")}
	var badID, badAmount error
	c.PaymentID, badID = checkUUID("paymentId", "transaction", in.PaymentID)
	c.Amount, badAmount = readOpenAmount(in.Amount)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), badID, checkReason(c.Reason), badAmount)
}

func readAuthorizeHold(from ledger.Meta, in model.AuthorizeHoldInput) (ledger.Command, error) {
	c := &ledger.AuthorizeHold{
		Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), AccountID: in.AccountID, ToID: in.ToAccountID,
		Currency: in.Currency, ExpiresAt: valueOr(in.ExpiresAt, time.Time{}).Truncate(time.Millisecond), Reason: valueOr(in.Reason, ""),
	}
	var err error
	c.Amount, err = money.ParseAmount(string(in.Amount), in.Currency)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), checkAccountID("accountId", c.AccountID),
		checkAccountID("toAccountId", c.ToID), checkReason(c.Reason), err)
}

func readCaptureHold(from ledger.Meta, in model.CaptureHoldInput) (ledger.Command, error) {
	c := &ledger.CaptureHold{
		Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), Final: valueOr(in.Final, false), Reason: valueOr(in.Reason, ""),
	}
	var badID, badAmount error
	c.HoldID, badID = checkUUID("holdId", "hold", in.HoldID)
	c.Amount, badAmount = readOpenAmount(in.Amount)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), badID, checkReason(c.Reason), badAmount)
}

func readVoidHold(from ledger.Meta, in model.VoidHoldInput) (ledger.Command, error) {
	c := &ledger.VoidHold{Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), Reason: valueOr(in.Reason, "")}
	var err error
	c.HoldID, err = checkUUID("holdId", "hold", in.HoldID)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), err, checkReason(c.Reason))
}

func readChangeStatus(from ledger.Meta, in model.ChangeAccountStatusInput) (ledger.Command, error) {
	c := &ledger.ChangeStatus{
		Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), AccountID: in.AccountID, Status: in.Status, Reason: in.Reason,
	}
	return c, first(checkIdempotencyKey(in.IdempotencyKey), checkAccountID("accountId", c.AccountID), checkGivenReason(c.Reason))
}

func readChangeLimits(from ledger.Meta, in model.ChangeAccountLimitsInput) (ledger.Command, error) {
	c := &ledger.ChangeLimits{Meta: keyed(from, in.IdempotencyKey, in.ExpectedVersion), AccountID: in.AccountID, Reason: in.Reason}
	var err error
	c.Limits, err = readLimits(in.Limits, 0, money.ParseAnyBound)
	return c, first(checkIdempotencyKey(in.IdempotencyKey), checkAccountID("accountId", c.AccountID), checkGivenReason(c.Reason), err)
}

// keyed is what every command carries.
func keyed(from ledger.Meta, key string, expected *int64) ledger.Meta {
	from.IdempotencyKey, from.ExpectedVersion = key, expected
	return from
}

// first returns the first error there is.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// readOpenAmount reads an amount that may be left out, of a currency that the input does not tell: whether it fits is for
// the owner to decide, who knows it.
func readOpenAmount(text *scalar.Decimal) (decimal.NullDecimal, error) {
	if text == nil {
		return decimal.NullDecimal{}, nil
	}
	d, err := money.ParseAnyAmount(string(*text))
	return decimal.NewNullDecimal(d), err
}

func readLimits(in *model.LimitsInput, scale int32, parse func(string) (decimal.Decimal, error)) (account.Limits, error) {
	limits := account.Limits{Min: decimal.New(0, -scale)}
	if in == nil {
		return limits, nil
	}
	if in.MinBalance != nil {
		lower, err := readBound("limits.minBalance", *in.MinBalance, parse)
		if err != nil {
			return limits, err
		}
		limits.Min = lower
	}
	if in.MaxBalance != nil {
		upper, err := readBound("limits.maxBalance", *in.MaxBalance, parse)
		if err != nil {
			return limits, err
		}
		limits.Max = decimal.NewNullDecimal(upper)
	}
	return limits, nil
}

func readBound(field string, text scalar.Decimal, parse func(string) (decimal.Decimal, error)) (decimal.Decimal, error) {
	bound, err := parse(string(text))
	var refusal *domain.Refusal
	if errors.As(err, &refusal) {
		return bound, &domain.Refusal{Code: refusal.Code, Field: field, Message: refusal.Message}
	}
	return bound, err
}

func valueOr[T any](p *T, otherwise T) T {
	if p == nil {
		return otherwise
	}
	return *p
}
