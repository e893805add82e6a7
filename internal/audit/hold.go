package audit

import "github.com/shopspring/decimal"

// capture is a capture that left its idempotency key to the event that is to follow.
type capture struct {
	transactionID, holdID, causationID string
	offset                             int64
	where                              string
}

// keyless finds a capture without idempotency key that was not followed by the release of the rest.
func (a *auditor) keyless(account *Account) {
	if c := account.capture; c != nil {
		a.problem("%s: idempotency key there false, and no release of the rest bears it", c.where)
		account.capture = nil
	}
}

// placed enters a hold. What is left available must not be below the limit.
func (a *auditor) placed(e *event, account *Account) (effect Effect, asked bool) {
	var d struct {
		HoldID         string          `json:"holdId"`
		Amount         decimal.Decimal `json:"amount"`
		Currency       string          `json:"currency"`
		CounterpartyID string          `json:"counterpartyId"`
		ExpiresAt      string          `json:"expiresAt"`
	}
	if !a.data(e, &d) {
		return Effect{}, true
	}
	switch {
	case account.Status != "ACTIVE":
		a.problem("%s: the account is %q", e.where(), account.Status)
	case d.Currency != account.Currency:
		a.problem("%s is in %s, the account in %s", e.where(), d.Currency, account.Currency)
	case d.HoldID == "", !d.Amount.IsPositive(), d.CounterpartyID == e.AggregateID, outside(d.CounterpartyID):
		a.problem("%s: no hold can be of %s with the id %q for %q", e.where(), d.Amount, d.HoldID, d.CounterpartyID)
	}
	if !isMoment(d.ExpiresAt) || d.ExpiresAt <= e.Timestamp {
		a.problem("%s expires at %q, not after it was placed at %s", e.where(), d.ExpiresAt, e.Timestamp)
	}
	if _, ok := a.report.Holds[d.HoldID]; ok {
		a.problem("%s: there is a hold with the id %s already", e.where(), d.HoldID)
	}
	a.report.Holds[d.HoldID] = &Hold{
		ID: d.HoldID, AccountID: e.AggregateID, PayeeID: d.CounterpartyID, Currency: d.Currency, Amount: d.Amount,
		Status: "ACTIVE", ExpiresAt: d.ExpiresAt,
	}
	account.Held = account.Held.Add(d.Amount)
	a.inside(e, account, "DEBIT")
	return Effect{HoldID: d.HoldID}, true
}

// active returns the hold that an event of its account is about; nil, with a problem, when it takes no event.
func (a *auditor) active(e *event, holdID string) *Hold {
	h := a.report.Holds[holdID]
	switch {
	case h == nil || h.AccountID != e.AggregateID:
		a.problem("%s: the account has no hold %q", e.where(), holdID)
		return nil
	case h.Status != "ACTIVE":
		a.problem("%s: the hold %s is %s", e.where(), holdID, h.Status)
		return nil
	}
	return h
}

// captured takes the amount of a debit off the hold that it is paid from.
func (a *auditor) captured(e *event, account *Account, m *movement) {
	if _, ok := e.headers["idempotencyKey"]; !ok {
		account.capture = &capture{
			transactionID: m.TransactionID, holdID: m.HoldID, causationID: e.CausationID, offset: e.offset, where: e.where(),
		}
	}
	h := a.active(e, m.HoldID)
	if h == nil {
		return
	}
	if e.Timestamp >= h.ExpiresAt {
		a.problem("%s comes at %s, the hold %s expired at %s", e.where(), e.Timestamp, h.ID, h.ExpiresAt)
	}
	if m.CounterpartyID != h.PayeeID || m.Currency != h.Currency {
		a.problem("%s pays %s in %s, the hold %s is for %s in %s", e.where(), m.CounterpartyID, m.Currency, h.ID, h.PayeeID, h.Currency)
	}
	if remaining := h.Remaining(); m.ChangeAmount.GreaterThan(remaining) {
		a.problem("%s takes %s, the hold %s keeps %s", e.where(), m.ChangeAmount, h.ID, remaining)
	}
	h.Captured = h.Captured.Add(m.ChangeAmount)
	account.Held = account.Held.Sub(m.ChangeAmount)
	if !h.Remaining().IsPositive() {
		h.Status = "CAPTURED"
	}
}

// released ends a hold. A client asked for it unless its time was over.
func (a *auditor) released(e *event, account *Account) (effect Effect, asked bool) {
	var d struct {
		HoldID        string          `json:"holdId"`
		Amount        decimal.Decimal `json:"amount"`
		Currency      string          `json:"currency"`
		Cause         string          `json:"cause"`
		TransactionID string          `json:"transactionId"`
	}
	if !a.data(e, &d) {
		return Effect{}, true
	}
	if d.Cause == "CAPTURED" {
		a.releasedByCapture(e, account, d.HoldID, d.TransactionID)
	} else if a.keyless(account); d.TransactionID != "" {
		a.problem("%s: %s by the transaction %q", e.where(), d.Cause, d.TransactionID)
	}
	effect, asked = Effect{HoldID: d.HoldID, TransactionID: d.TransactionID}, d.Cause != "EXPIRED"
	h := a.active(e, d.HoldID)
	if h == nil {
		return effect, asked
	}
	if remaining := h.Remaining(); !d.Amount.Equal(remaining) || d.Currency != h.Currency {
		a.problem("%s releases %s %s, the hold %s keeps %s %s", e.where(), d.Amount, d.Currency, h.ID, remaining, h.Currency)
	}
	late := e.Timestamp >= h.ExpiresAt
	switch d.Cause {
	case "EXPIRED", "VOIDED", "CAPTURED":
		if late != (d.Cause == "EXPIRED") {
			a.problem("%s: %s at %s, the hold %s expires at %s", e.where(), d.Cause, e.Timestamp, h.ID, h.ExpiresAt)
		}
	default:
		a.problem("%s has the cause %q", e.where(), d.Cause)
	}
	h.Released, h.Status = h.Released.Add(d.Amount), d.Cause
	account.Held = account.Held.Sub(d.Amount)
	return effect, asked
}

// releasedByCapture checks that the release stands right behind the capture that it belongs to, whose key it bears.
func (a *auditor) releasedByCapture(e *event, account *Account, holdID, transactionID string) {
	c := account.capture
	account.capture = nil
	if c == nil || c.transactionID != transactionID || c.holdID != holdID || c.causationID != e.CausationID || c.offset+1 != e.offset {
		a.problem("%s does not follow its capture by the transaction %q, to bear its key", e.where(), transactionID)
		return
	}
	a.report.Transactions[transactionID].released = e.offset
}
