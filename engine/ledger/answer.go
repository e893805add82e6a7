package ledger

import (
	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

// Repeat is Command for a key that was used before; not known is one that was not.
func (d *Decider) Repeat(r *Request) (result Result, known bool, err error) {
	prior, known, err := d.Books.Outcome(r.Command.Address(), r.Command.Common().IdempotencyKey)
	if err != nil {
		return Result{}, false, BooksError{err}
	}
	if known {
		result, err = d.repeat(r, prior)
	}
	return result, known, err
}

// repeat answers a key that was used before.
func (d *Decider) repeat(r *Request, prior Outcome) (Result, error) {
	if prior.Fingerprint != r.Fingerprint {
		return Result{}, domain.Refuse(domain.IdempotencyConflict, "idempotencyKey",
			"this idempotency key was used with other input; use a new key for a new command")
	}
	result := Result{Account: prior.State, Hold: prior.Hold}
	if prior.TransactionID == "" {
		return result, nil
	}
	details, err := d.details(r.Command, prior)
	if err != nil {
		return Result{}, err
	}
	status := transaction.Pending
	if transaction.IsExternal(details.From) || transaction.IsExternal(details.To) || d.Here(details.To) {
		status = transaction.Completed
	}
	result.Transaction = &transaction.State{
		ID: prior.TransactionID, Details: details, Status: status, CreatedAt: prior.State.UpdatedAt, UpdatedAt: prior.State.UpdatedAt,
	}
	return result, nil
}

// details gives a movement again as the command had it carried out.
func (d *Decider) details(c Command, prior Outcome) (transaction.Details, error) {
	between := func(t *Transfer, kind account.MovementType) transaction.Details {
		return transaction.Details{Type: kind, Amount: t.Amount, Currency: t.Currency, From: t.FromID, To: t.ToID, Reason: t.Reason}
	}
	switch c := c.(type) {
	case *TopUp:
		from := transaction.External(c.External, c.Currency)
		return transaction.Details{Type: account.Topup, Amount: c.Amount, Currency: c.Currency, From: from, To: c.AccountID, Reason: c.Reason}, nil
	case *Withdraw:
		to := transaction.External(c.External, c.Currency)
		return transaction.Details{Type: account.Withdrawal, Amount: c.Amount, Currency: c.Currency, From: c.AccountID, To: to, Reason: c.Reason}, nil
	case *Transfer:
		return between(c, account.Transfer), nil
	case *Pay:
		return between(&c.Transfer, account.Payment), nil
	case *Refund:
		receipt, err := d.Books.Receipt(c.PaymentID)
		if err != nil {
			return transaction.Details{}, BooksError{err}
		}
		return transaction.Details{
			Type: account.Refund, Amount: prior.Amount, Currency: receipt.Currency, From: c.PayeeID, To: receipt.PayerID, Reason: c.Reason,
			RefundOf: receipt.ID,
		}, nil
	case *CaptureHold:
		amount := prior.Amount
		if c.Amount.Valid { // With a final capture the last event is the release, which has another amount.
			var err error
			if amount, err = money.Fit(c.Amount.Decimal, prior.Hold.Currency); err != nil {
				return transaction.Details{}, err
			}
		}
		return transaction.Details{
			Type: account.Payment, Amount: amount, Currency: prior.Hold.Currency, From: c.AccountID, To: prior.Hold.CounterpartyID,
			Reason: c.Reason, HoldID: c.HoldID,
		}, nil
	case *CreateAccount, *AuthorizeHold, *VoidHold, *ChangeStatus, *ChangeLimits: // They move nothing.
	}
	return transaction.Details{}, nil
}
