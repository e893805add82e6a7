package account

import (
	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/money"
)

// Receipt is what the payee's account remembers of a payment it received: how much of it can be refunded. Its zero
// value is one of a payment that was not received.
type Receipt struct {
	// ID is the transaction's id.
	ID       string
	PayeeID  string
	PayerID  string
	Currency money.Currency
	Amount   decimal.Decimal
	// Refunded is what left for the payer again, refunds on their way included and those that came back not.
	Refunded decimal.Decimal
}

// Exists tells whether the payment was received.
func (r Receipt) Exists() bool { return r.ID != "" }

// Refundable is what can still be refunded.
func (r Receipt) Refundable() decimal.Decimal { return r.Amount.Sub(r.Refunded) }

// ReceiptOf returns the id of the payment that an event of its payee is about; empty when it is about none.
func ReceiptOf(e Event) string {
	c, ok := e.(*BalanceChanged)
	switch {
	case !ok:
		return ""
	case c.TransactionType == Payment && c.ChangeType == Credit && !c.Reversal:
		return c.TransactionID
	case c.TransactionType == Refund && (c.ChangeType == Debit || c.Reversal):
		return c.RefundOf
	}
	return ""
}

// Apply folds one event of the payee, for which ReceiptOf gives this payment's id.
func (r Receipt) Apply(payeeID string, e Event) Receipt {
	c, ok := e.(*BalanceChanged)
	switch {
	case !ok:
	case c.Reversal:
		r.Refunded = r.Refunded.Sub(c.ChangeAmount)
	case c.ChangeType == Debit:
		r.Refunded = r.Refunded.Add(c.ChangeAmount)
	default:
		r = Receipt{
			ID: c.TransactionID, PayeeID: payeeID, PayerID: c.CounterpartyID, Currency: c.Currency, Amount: c.ChangeAmount,
			Refunded: decimal.New(0, -c.Currency.Scale()),
		}
	}
	return r
}

// DecideRefund takes a refund off the payee's account. Refusals: TRANSACTION_NOT_FOUND, REFUND_EXCEEDS_PAYMENT, and
// those of DecideDebit.
func DecideRefund(s State, r Receipt, m Movement) (*BalanceChanged, error) {
	if !r.Exists() {
		return nil, PaymentNotFound()
	}
	if r.Refundable().IsZero() {
		return nil, domain.Refuse(domain.RefundExceedsPayment, "amount", "all of the payment is refunded already, or on its way back")
	}
	if m.Amount.GreaterThan(r.Refundable()) || !m.Amount.IsPositive() {
		return nil, domain.Refuse(domain.RefundExceedsPayment, "amount",
			"%s %s of the payment can still be refunded; choose at most that", money.Format(r.Refundable(), r.Currency), r.Currency)
	}
	m.RefundOf = r.ID
	return DecideDebit(s, m)
}

// PaymentNotFound refuses an id that no payment has.
func PaymentNotFound() error {
	return domain.Refuse(domain.TransactionNotFound, "paymentId", "no payment has this id; check it")
}
