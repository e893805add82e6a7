package ledger

import (
	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

func (p *proposal) transfer(c *Transfer, kind account.MovementType) error {
	if c.FromID == c.ToID {
		return domain.Refuse(domain.SameAccount, "toAccountId", "source and destination are the same account; choose two")
	}
	m := account.Movement{
		Amount: c.Amount, Currency: c.Currency, TransactionID: p.request.SubjectID, TransactionType: kind,
		CounterpartyID: c.ToID, Reason: c.Reason,
	}
	debit, err := account.DecideDebit(p.target, m)
	if err != nil {
		return at(err, "fromAccountId")
	}
	p.record(debit)
	return p.credit(m, "toAccountId")
}

func (p *proposal) refund(c *Refund) error {
	receipt, err := p.decider.Books.Receipt(c.PaymentID)
	if err != nil {
		return BooksError{err}
	}
	if !receipt.Exists() {
		return account.PaymentNotFound()
	}
	amount, err := openAmount(c.Amount, receipt.Refundable(), receipt.Currency)
	if err != nil {
		return err
	}
	m := account.Movement{
		Amount: amount, Currency: receipt.Currency, TransactionID: p.request.SubjectID, TransactionType: account.Refund,
		CounterpartyID: receipt.PayerID, Reason: c.Reason, RefundOf: receipt.ID,
	}
	debit, err := account.DecideRefund(p.target, receipt, m)
	if err != nil {
		return at(err, "paymentId")
	}
	p.record(debit)
	return p.credit(m, "paymentId")
}

func (p *proposal) authorize(c *AuthorizeHold) error {
	if c.AccountID == c.ToID {
		return domain.Refuse(domain.SameAccount, "toAccountId", "account and payee are the same account; choose two")
	}
	expires := c.ExpiresAt
	if expires.IsZero() {
		expires = p.decider.Now.Add(account.DefaultHoldLife)
	}
	placed, err := account.DecideHold(p.target, account.HoldPlaced{
		HoldID: p.request.SubjectID, Amount: c.Amount, Currency: c.Currency, CounterpartyID: c.ToID, ExpiresAt: expires, Reason: c.Reason,
	}, p.decider.Now)
	if err != nil {
		return err
	}
	if err := p.payee(c); err != nil {
		return otherSide(err, "toAccountId", account.Movement{Currency: c.Currency})
	}
	p.record(placed)
	p.holds(account.Hold{})
	return nil
}

// payee refuses a hold that could never be captured.
func (p *proposal) payee(c *AuthorizeHold) error {
	d := p.decider
	if d.Here(c.ToID) {
		payee, err := d.account(c.ToID)
		if err != nil {
			return err
		}
		return account.DecidePayee(payee, c.Currency)
	}
	return p.request.Against
}

func (p *proposal) capture(c *CaptureHold) error {
	h, err := p.decider.Books.Hold(c.HoldID)
	if err != nil {
		return BooksError{err}
	}
	if !h.Exists() {
		return account.HoldNotFound()
	}
	amount, err := openAmount(c.Amount, h.Remaining(), h.Currency)
	if err != nil {
		return err
	}
	m := account.Movement{
		Amount: amount, Currency: h.Currency, TransactionID: p.request.SubjectID, TransactionType: account.Payment,
		CounterpartyID: h.CounterpartyID, Reason: c.Reason, HoldID: h.ID,
	}
	events, err := account.DecideCapture(p.target, h, m, c.Final, p.decider.Now)
	if err != nil {
		return at(err, "holdId")
	}
	for _, e := range events {
		p.record(e)
	}
	p.holds(h)
	return p.credit(m, "holdId")
}

func (p *proposal) void(c *VoidHold) error {
	h, err := p.decider.Books.Hold(c.HoldID)
	if err != nil {
		return BooksError{err}
	}
	released, err := account.DecideVoid(h, c.Reason, p.decider.Now)
	if err != nil {
		return err
	}
	p.record(released)
	p.holds(h)
	return nil
}

// credit puts a movement on its destination when that lives in this partition. Otherwise the credit follows as a step;
// what is already known to stand against it is refused here.
func (p *proposal) credit(m account.Movement, field string) error {
	d, to := p.decider, m.CounterpartyID
	if !d.Here(to) {
		if d.Atomic {
			return domain.Refuse(domain.BatchSpansPartitions, field,
				"the other account lives in another partition, so this cannot be part of an atomic batch; send it by itself")
		}
		if p.request.Against != nil {
			return otherSide(p.request.Against, field, m)
		}
		p.moved(m, p.target.ID, to, transaction.Pending)
		return nil
	}
	destination, err := d.account(to)
	if err != nil {
		return err
	}
	there := m
	there.CounterpartyID = p.target.ID
	credit, err := account.DecideCredit(destination, there)
	if err != nil {
		return otherSide(err, field, m)
	}
	p.events = append(p.events, d.envelope(destination, credit, p.request.Command.Common(), p.request.CommandID))
	p.moved(m, p.target.ID, to, transaction.Completed)
	return nil
}

// openAmount is the amount asked for or, when none is, all there is.
func openAmount(asked decimal.NullDecimal, all decimal.Decimal, c money.Currency) (decimal.Decimal, error) {
	if !asked.Valid {
		return all, nil
	}
	return money.Fit(asked.Decimal, c)
}
