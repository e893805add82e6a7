package audit

import (
	"strings"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"
)

// highest is the greatest balance of an account without an upper limit: 10^18 whole units.
var highest = decimal.New(1, 18)

// accountRecord folds one record of the topic of account events.
func (a *auditor) accountRecord(r *kgo.Record) {
	e, ok := a.parse(r, "Account")
	if !ok {
		return
	}
	a.report.Events++
	if _, ok := a.causes[e.EventID]; ok {
		a.problem("%s has an event id that was used before", e.where())
	}
	a.causes[e.EventID] = cause{kind: e.EventType, offset: e.offset, partition: e.partition, timestamp: e.Timestamp}
	account, ok := a.report.Accounts[e.AggregateID]
	if !ok {
		account = &Account{ID: e.AggregateID}
		a.report.Accounts[e.AggregateID] = account
	}
	if e.AggregateVersion != account.Version+1 {
		a.problem("%s follows on version %d", e.where(), account.Version)
	}
	if e.Timestamp < account.timestamp {
		a.problem("%s is dated %s, the event before it %s", e.where(), e.Timestamp, account.timestamp)
	}
	account.Version, account.timestamp = e.AggregateVersion, e.Timestamp
	if e.EventType != "HoldReleased" {
		a.keyless(account)
	}
	effect, asked := a.fold(e, account)
	a.key(e, account, effect, asked)
}

// fold applies an event to its account. It returns what it concerns, and whether it is to bear the idempotency key of a
// client's command.
func (a *auditor) fold(e *event, account *Account) (effect Effect, asked bool) {
	switch e.EventType {
	case "AccountCreated":
		a.created(e, account)
	case "BalanceChanged":
		account.Changes++
		return a.moved(e, account)
	case "CreditRefused":
		a.refused(e)
		return Effect{}, false
	case "HoldPlaced":
		return a.placed(e, account)
	case "HoldReleased":
		return a.released(e, account)
	case "AccountStatusChanged":
		a.statusChanged(e, account)
	case "AccountLimitsChanged":
		a.limitsChanged(e, account)
	default:
		a.problem("%s is of an unknown type", e.where())
	}
	return Effect{}, true
}

// key records an event's idempotency key: each one once, and one on the last event of every command of a client's.
func (a *auditor) key(e *event, account *Account, effect Effect, asked bool) {
	key, ok := e.headers["idempotencyKey"]
	if ok != asked {
		a.problem("%s: idempotency key there %v, asked for by a client %v", e.where(), ok, asked)
	}
	if !ok {
		return
	}
	if key == "" || len(e.headers["fingerprint"]) != 32 {
		a.problem("%s has no idempotency key or no fingerprint of 32 digits", e.where())
	}
	id := Key{AccountID: e.AggregateID, Key: key}
	if before, ok := a.report.Keys[id]; ok {
		a.problem("%s has the idempotency key of version %d", e.where(), before.Version)
		return
	}
	effect.EventID, effect.EventType, effect.Version, effect.Balance = e.EventID, e.EventType, e.AggregateVersion, account.Balance
	a.report.Keys[id] = effect
}

func (a *auditor) created(e *event, account *Account) {
	var d struct {
		Currency string `json:"currency"`
		Limits   limits `json:"limits"`
	}
	if !a.data(e, &d) {
		return
	}
	if account.Status != "" {
		a.problem("%s: the account exists already", e.where())
	}
	account.Status, account.Currency = "ACTIVE", d.Currency
	account.minimum, account.maximum = d.Limits.MinBalance, d.Limits.MaxBalance
	if _, ok := a.booked[d.Currency]; !ok {
		a.booked[d.Currency] = &books{}
	}
	a.inside(e, account, "")
}

func (a *auditor) moved(e *event, account *Account) (effect Effect, asked bool) {
	var m movement
	if !a.data(e, &m) {
		return Effect{}, true
	}
	a.shape(e, &m)
	want := m.ChangeAmount
	if m.ChangeType == "DEBIT" {
		want = want.Neg()
	}
	switch {
	case account.Status == "":
		a.problem("%s: the account does not exist", e.where())
	case m.Currency != account.Currency:
		a.problem("%s is in %s, the account in %s", e.where(), m.Currency, account.Currency)
	case account.Status == "CLOSED" && !m.Reversal, account.Status == "SUSPENDED" && m.ChangeType == "DEBIT":
		a.problem("%s: the account is %s", e.where(), account.Status)
	case !m.ChangeAmount.IsPositive(), m.ChangeType != "DEBIT" && m.ChangeType != "CREDIT", !m.SignedAmount.Equal(want):
		a.problem("%s: %s %s and signed %s do not agree", e.where(), m.ChangeType, m.ChangeAmount, m.SignedAmount)
	}
	if !m.PreviousBalance.Equal(account.Balance) {
		a.problem("%s begins at %s, the balance was %s", e.where(), m.PreviousBalance, account.Balance)
	}
	if !m.PreviousBalance.Add(m.SignedAmount).Equal(m.NewBalance) {
		a.problem("%s: %s and %s do not make %s", e.where(), m.PreviousBalance, m.SignedAmount, m.NewBalance)
	}
	account.Balance = m.NewBalance
	if m.HoldID != "" && m.ChangeType == "DEBIT" {
		a.captured(e, account, &m)
	}
	a.refundable(e, account, &m)
	if !m.Reversal { // What was an account's own comes back whatever its limits have become.
		a.inside(e, account, m.ChangeType)
	}
	a.book(e, &m)
	asked = (outside(m.CounterpartyID) || m.ChangeType == "DEBIT") && account.capture == nil
	return Effect{TransactionID: m.TransactionID, HoldID: m.HoldID}, asked
}

func outside(id string) bool { return strings.HasPrefix(id, "external:") }

// shape checks that a change is one of the movements that there are.
func (a *auditor) shape(e *event, m *movement) {
	var sound bool
	switch m.TransactionType {
	case "TOPUP":
		sound = outside(m.CounterpartyID) && m.ChangeType == "CREDIT" && !m.Reversal
	case "WITHDRAWAL":
		sound = outside(m.CounterpartyID) && m.ChangeType == "DEBIT" && !m.Reversal
	case "TRANSFER", "PAYMENT", "REFUND":
		sound = !outside(m.CounterpartyID) && m.CounterpartyID != e.AggregateID
	}
	if !sound {
		a.problem("%s: there is no %s by a %s with %s on its other side", e.where(), m.TransactionType, m.ChangeType, m.CounterpartyID)
	}
	if (m.RefundOf != "") != (m.TransactionType == "REFUND") || (m.HoldID != "" && m.TransactionType != "PAYMENT") {
		a.problem("%s: a %s with the hold %q and the payment %q", e.where(), m.TransactionType, m.HoldID, m.RefundOf)
	}
}

// inside checks the limits in force: what a debit leaves available against the lower one, a credit against the upper,
// all else both.
func (a *auditor) inside(e *event, account *Account, direction string) {
	upper := highest
	if account.maximum.Valid {
		upper = account.maximum.Decimal
	}
	if available := account.Balance.Sub(account.Held); direction != "CREDIT" && available.LessThan(account.minimum) {
		a.problem("%s leaves %s available, the lower limit is %s", e.where(), available, account.minimum)
	}
	if direction != "DEBIT" && account.Balance.GreaterThan(upper) {
		a.problem("%s leaves %s, the upper limit is %s", e.where(), account.Balance, upper)
	}
}

func (a *auditor) statusChanged(e *event, account *Account) {
	var d struct {
		PreviousStatus string `json:"previousStatus"`
		NewStatus      string `json:"newStatus"`
	}
	if !a.data(e, &d) {
		return
	}
	switch {
	case d.PreviousStatus != account.Status, account.Status == "":
		a.problem("%s leads from %q, the account is %q", e.where(), d.PreviousStatus, account.Status)
	case account.Status == "CLOSED" && (d.NewStatus != "ACTIVE" || account.Balance.IsZero()):
		a.problem("%s makes an account that was closed %s, and it holds %s", e.where(), d.NewStatus, account.Balance)
	case d.NewStatus == "CLOSED" && !account.Balance.IsZero():
		a.problem("%s closes an account that holds %s", e.where(), account.Balance)
	case d.NewStatus == "CLOSED" && !account.Held.IsZero():
		a.problem("%s closes an account with holds of %s", e.where(), account.Held)
	}
	account.Status = d.NewStatus
}

func (a *auditor) limitsChanged(e *event, account *Account) {
	var d struct {
		PreviousLimits limits `json:"previousLimits"`
		NewLimits      limits `json:"newLimits"`
	}
	if !a.data(e, &d) {
		return
	}
	if account.Status == "" || account.Status == "CLOSED" || !d.PreviousLimits.MinBalance.Equal(account.minimum) ||
		d.PreviousLimits.MaxBalance.Valid != account.maximum.Valid || !d.PreviousLimits.MaxBalance.Decimal.Equal(account.maximum.Decimal) {
		a.problem("%s does not follow on the limits before, or the account is %q", e.where(), account.Status)
	}
	account.minimum, account.maximum = d.NewLimits.MinBalance, d.NewLimits.MaxBalance
	a.inside(e, account, "")
}
