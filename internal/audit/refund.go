package audit

import "github.com/shopspring/decimal"

// payment is what a payee received and how much of it is gone again.
type payment struct {
	payeeID, payerID, currency string
	amount                     decimal.Decimal
	// refunded is what left for the payer, without what came back.
	refunded decimal.Decimal
}

// refundable follows, on the payee's account, what becomes of a payment: it comes, refunds of it leave, and some of
// them come back.
func (a *auditor) refundable(e *event, account *Account, m *movement) {
	switch {
	case m.TransactionType == "PAYMENT" && m.ChangeType == "CREDIT" && !m.Reversal:
		a.payments[m.TransactionID] = &payment{payeeID: account.ID, payerID: m.CounterpartyID, currency: m.Currency, amount: m.ChangeAmount}
	case m.TransactionType == "REFUND" && (m.ChangeType == "DEBIT" || m.Reversal):
		p := a.payments[m.RefundOf]
		if p == nil || p.payeeID != account.ID {
			a.problem("%s refunds %q, which is no payment that the account received", e.where(), m.RefundOf)
			return
		}
		if m.CounterpartyID != p.payerID || m.Currency != p.currency {
			a.problem("%s refunds %s in %s, the payment %s came from %s in %s",
				e.where(), m.CounterpartyID, m.Currency, m.RefundOf, p.payerID, p.currency)
		}
		p.refunded = p.refunded.Sub(m.SignedAmount)
		if p.refunded.GreaterThan(p.amount) {
			a.problem("%s makes refunds of %s, the payment %s was %s", e.where(), p.refunded, m.RefundOf, p.amount)
		}
	}
}
