package sim

import (
	"strings"

	"daybook/domain/account"
	"daybook/eventstore"
)

// changed posts a change of a balance.
func (a *auditor) changed(acct *naive, d *account.BalanceChanged, e *eventstore.Event, r *request) {
	c := currencyNumber(d.Currency)
	amount, before, after := units(d.ChangeAmount, c), units(d.PreviousBalance, c), units(d.NewBalance, c)
	if acct.status == "" || c != acct.currency || amount <= 0 || before != acct.balance.balance {
		a.w.fail(2, "changes chain", "%s has %d; its version %d goes from %d by %d", acct.id, acct.balance.balance, e.Version, before, amount)
	}
	a.sum[c] += after - acct.balance.balance
	acct.balance.balance = after
	outside := strings.HasPrefix(d.CounterpartyID, "external:")
	contra := &a.transit[c]
	if outside {
		contra = &a.outside[c]
	}
	if d.ChangeType == account.Debit {
		*contra += amount
		a.debited(acct, d, amount, outside, r)
		if d.HoldID != "" {
			a.captured(acct, d, amount, e)
		}
		return
	}
	*contra -= amount
	a.credited(acct, d, amount, outside, r)
}

func (a *auditor) debited(acct *naive, d *account.BalanceChanged, amount int64, outside bool, r *request) {
	if acct.status != account.Active {
		a.w.fail(3, "status", "%s is %s and is debited", acct.id, acct.status)
	}
	if a.moves[d.TransactionID] != nil {
		a.w.fail(2, "one debit", "%s is debited twice", d.TransactionID)
		return
	}
	m := &naiveMove{
		id: d.TransactionID, kind: d.TransactionType, from: acct.id, to: d.CounterpartyID, currency: acct.currency, amount: amount,
		debited: true, credited: outside, refundOf: d.RefundOf,
	}
	a.add(m)
	if !outside {
		a.unfinished[m.currency] += amount
	}
	switch d.TransactionType {
	case account.Withdrawal:
		a.asked(r, vWithdraw, acct.id, acct.id)
	case account.Transfer:
		a.asked(r, vTransfer, acct.id, m.to)
	case account.Refund:
		a.asked(r, vRefund, acct.id, m.to)
		a.refunds(m)
	default:
		if d.HoldID != "" {
			a.asked(r, vCapture, acct.id, m.to)
		} else {
			a.asked(r, vPay, acct.id, m.to)
		}
	}
	if r != nil && r.op.spec.amount != all && r.op.spec.amount != amount {
		a.w.fail(8, "what is recorded was asked for", "#%d asked for %d and moved %d", r.op.spec.op, r.op.spec.amount, amount)
	}
}

func (a *auditor) add(m *naiveMove) {
	a.moves[m.id] = m
	a.order = append(a.order, m)
}

// refunds holds a refund against its payment.
func (a *auditor) refunds(m *naiveMove) {
	p := a.moves[m.refundOf]
	if p == nil || !p.credited || p.kind != account.Payment || p.to != m.from || p.from != m.to || p.currency != m.currency {
		a.w.fail(2, "refunds", "%s refunds %s, which is no payment that it could", m.id, m.refundOf)
		return
	}
	if p.refunded += m.amount; p.refunded > p.amount {
		a.w.fail(3, "refunds never above the payment", "of %d paid with %s, %d is refunded", p.amount, p.id, p.refunded)
	}
}

func (a *auditor) credited(acct *naive, d *account.BalanceChanged, amount int64, outside bool, r *request) {
	if d.Reversal {
		a.reversed(acct, d, amount)
		return
	}
	if acct.status == account.Closed {
		a.w.fail(3, "status", "%s is closed and is credited", acct.id)
	}
	if acct.max != none && acct.balance.balance > acct.max {
		a.w.fail(3, "limits", "%s has %d, above its limit of %d", acct.id, acct.balance.balance, acct.max)
	}
	m := a.moves[d.TransactionID]
	if outside {
		a.asked(r, vTopUp, acct.id, acct.id)
		if m != nil || (r != nil && r.op.spec.amount != amount) {
			a.w.fail(2, "one credit", "%s is credited twice, or other than asked for", d.TransactionID)
			return
		}
		a.add(&naiveMove{
			id: d.TransactionID, kind: d.TransactionType, from: d.CounterpartyID, to: acct.id, currency: acct.currency, amount: amount,
			debited: true, credited: true,
		})
		return
	}
	switch {
	case m == nil:
		a.w.fail(2, "no credit without a debit", "%s is credited to %s and was debited nowhere", d.TransactionID, acct.id)
	case m.credited || m.refused:
		a.w.fail(2, "one credit", "%s is credited twice, or was refused", m.id)
	case m.amount != amount || m.currency != acct.currency || m.to != acct.id || m.from != d.CounterpartyID:
		a.w.fail(2, "both legs agree", "%s: %d for %s was debited, %d for %s is credited", m.id, m.amount, m.to, amount, acct.id)
	default:
		m.credited = true
		a.unfinished[m.currency] -= amount
	}
}

func (a *auditor) creditRefused(acct *naive, d *account.CreditRefused) {
	m := a.moves[d.TransactionID]
	if m == nil || m.credited || m.refused || m.to != acct.id || m.amount != units(d.Amount, m.currency) {
		a.w.fail(2, "one refusal", "%s refuses %s, which it is not asked to take", acct.id, d.TransactionID)
		return
	}
	m.refused = true
}

func (a *auditor) reversed(acct *naive, d *account.BalanceChanged, amount int64) {
	m := a.moves[d.TransactionID]
	if m == nil || !m.refused || m.reversed || m.from != acct.id || m.amount != amount {
		a.w.fail(2, "one reversal", "%s gets %d back of %s, which is not due", acct.id, amount, d.TransactionID)
		return
	}
	m.reversed = true
	a.unfinished[m.currency] -= amount
	if p := a.moves[m.refundOf]; p != nil {
		p.refunded -= amount
	}
}

func (a *auditor) placed(acct *naive, d *account.HoldPlaced, e *eventstore.Event, r *request) {
	a.asked(r, vHold, acct.id, d.CounterpartyID)
	amount := units(d.Amount, acct.currency)
	if a.holds[d.HoldID] != nil || amount <= 0 || acct.status != account.Active || !d.ExpiresAt.After(e.Timestamp) {
		a.w.fail(3, "holds", "%s: hold %s of %d cannot be placed", acct.id, d.HoldID, amount)
	}
	a.holds[d.HoldID] = &naiveHold{
		id: d.HoldID, account: acct.id, payee: d.CounterpartyID, amount: amount, expires: d.ExpiresAt, status: account.HoldActive,
	}
	acct.held += amount
}

func (a *auditor) captured(acct *naive, d *account.BalanceChanged, amount int64, e *eventstore.Event) {
	h := a.holds[d.HoldID]
	if h == nil || h.account != acct.id || h.payee != d.CounterpartyID || h.status != account.HoldActive || !e.Timestamp.Before(h.expires) {
		a.w.fail(3, "holds", "%s: hold %s is captured and cannot be", acct.id, d.HoldID)
		return
	}
	h.captured += amount
	acct.held -= amount
	if h.captured > h.amount {
		a.w.fail(3, "captures never above the hold", "of %d set aside with %s, %d is captured", h.amount, h.id, h.captured)
	}
	if h.captured == h.amount {
		h.status = account.HoldCaptured
	}
}

func (a *auditor) released(acct *naive, d *account.HoldReleased, e *eventstore.Event, r *request) {
	h, amount := a.holds[d.HoldID], units(d.Amount, acct.currency)
	if h == nil || h.account != acct.id || h.status != account.HoldActive {
		a.w.fail(3, "holds end once", "%s: hold %s is released and is not active", acct.id, d.HoldID)
		return
	}
	if amount != h.amount-h.captured {
		a.w.fail(3, "holds", "hold %s keeps %d and releases %d", h.id, h.amount-h.captured, amount)
	}
	switch over := !e.Timestamp.Before(h.expires); d.Cause {
	case account.HoldExpired:
		if !over {
			a.w.fail(3, "expiry is never early", "hold %s expires %s before its time", h.id, h.expires.Sub(e.Timestamp))
		}
	case account.HoldVoided:
		a.asked(r, vVoid, acct.id, acct.id)
		if over {
			a.w.fail(3, "holds", "hold %s is voided after its time", h.id)
		}
	default:
		a.asked(r, vCapture, acct.id, h.payee)
	}
	acct.held -= amount
	h.released, h.status = amount, d.Cause
}

// transactionEvent audits an event of a transaction: the first of each version comes in order, a repeat is the same.
func (a *auditor) transactionEvent(e *eventstore.Event) {
	m := a.moves[e.AggregateID]
	if m == nil || e.Version < 1 || e.Version > 3 {
		a.w.fail(2, "transactions", "%s of %s has no movement", e.Data.EventType(), e.AggregateID)
		return
	}
	if seen := m.events[e.Version]; seen != "" {
		if seen != e.ID {
			a.w.fail(5, "transactions", "%s has two versions %d", m.id, e.Version)
		}
		return
	}
	if e.Version > 1 && m.events[e.Version-1] == "" {
		a.w.fail(4, "transactions", "%s has version %d before version %d", m.id, e.Version, e.Version-1)
	}
	m.events[e.Version] = e.ID
	if e.Version == 2 {
		m.failed = e.Data.EventType() == "TransactionFailed"
		if m.failed != m.refused || (!m.failed && !m.credited) {
			a.w.fail(2, "transactions", "%s says %s, which did not happen", m.id, e.Data.EventType())
		}
	}
	if e.Version == 3 && !m.reversed {
		a.w.fail(2, "transactions", "%s is compensated and was not reversed", m.id)
	}
}
