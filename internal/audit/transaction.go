package audit

import (
	"fmt"
	"strings"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The kinds of account event that transaction events follow from, as causes.
const (
	topUpKind      = "top-up"
	withdrawalKind = "withdrawal"
	debitKind      = "debit"
	creditKind     = "credit"
	refusalKind    = "refusal"
	reversalKind   = "reversal"
)

// book enters a movement as a leg of its transaction and on the other side of the books.
func (a *auditor) book(e *event, m *movement) {
	side, ok := a.booked[m.Currency]
	if !ok {
		side = &books{}
		a.booked[m.Currency] = side
	}
	if m.TransactionID == "" {
		a.problem("%s belongs to no transaction", e.where())
	}
	leg := &Leg{EventID: e.EventID, AccountID: e.AggregateID, Version: e.AggregateVersion, Partition: e.partition, Offset: e.offset}
	from, to, kind := m.CounterpartyID, e.AggregateID, creditKind
	if m.ChangeType == "DEBIT" || m.Reversal {
		from, to = to, from
	}
	switch {
	case outside(m.CounterpartyID):
		kind = topUpKind
		if m.ChangeType == "DEBIT" {
			kind = withdrawalKind
		}
		side.external = side.external.Sub(m.SignedAmount)
	case m.Reversal:
		kind = reversalKind
		side.inTransit = side.inTransit.Sub(m.SignedAmount)
	case m.ChangeType == "DEBIT":
		kind = debitKind
		side.inTransit = side.inTransit.Sub(m.SignedAmount)
	default:
		side.inTransit = side.inTransit.Sub(m.SignedAmount)
	}
	if m.Reversal && m.ChangeType != "CREDIT" {
		a.problem("%s takes money by a reversal", e.where())
	}
	a.leg(e, kind, leg, Transaction{
		ID: m.TransactionID, Type: m.TransactionType, Currency: m.Currency, From: from, To: to, Amount: m.ChangeAmount,
		HoldID: m.HoldID, RefundOf: m.RefundOf,
	})
}

func (a *auditor) refused(e *event) {
	var d struct {
		Amount          decimal.Decimal `json:"amount"`
		Currency        string          `json:"currency"`
		TransactionID   string          `json:"transactionId"`
		TransactionType string          `json:"transactionType"`
		CounterpartyID  string          `json:"counterpartyId"`
		Code            string          `json:"code"`
		HoldID          string          `json:"holdId"`
		RefundOf        string          `json:"refundOf"`
	}
	if !a.data(e, &d) {
		return
	}
	if d.Code == "" {
		a.problem("%s does not say why", e.where())
	}
	leg := &Leg{EventID: e.EventID, AccountID: e.AggregateID, Version: e.AggregateVersion, Partition: e.partition, Offset: e.offset}
	a.leg(e, refusalKind, leg, Transaction{
		ID: d.TransactionID, Type: d.TransactionType, Currency: d.Currency, From: d.CounterpartyID, To: e.AggregateID, Amount: d.Amount,
		HoldID: d.HoldID, RefundOf: d.RefundOf,
	})
}

// leg enters a leg; each kind happens once, and all tell the same story.
func (a *auditor) leg(e *event, kind string, leg *Leg, told Transaction) {
	c := a.causes[e.EventID]
	c.kind, c.transactionID = kind, told.ID
	a.causes[e.EventID] = c
	tx, ok := a.report.Transactions[told.ID]
	if !ok {
		told.derived = map[int64]*derivedEvent{}
		tx = &told
		a.report.Transactions[told.ID] = tx
	} else if !tx.same(&told) {
		a.problem("%s tells %s, another leg %s", e.where(), told.story(), tx.story())
	}
	place := map[string]**Leg{
		topUpKind: &tx.Credit, creditKind: &tx.Credit, withdrawalKind: &tx.Debit, debitKind: &tx.Debit,
		refusalKind: &tx.Refusal, reversalKind: &tx.Reversal,
	}[kind]
	if *place != nil {
		a.problem("%s is the second %s of transaction %s", e.where(), kind, tx.ID)
		return
	}
	*place = leg
}

// story is what every leg and every event of a transaction tells alike.
func (t *Transaction) story() string {
	s := fmt.Sprintf("%s of %s %s from %s to %s", t.Type, t.Amount, t.Currency, t.From, t.To)
	if t.HoldID != "" || t.RefundOf != "" {
		s += fmt.Sprintf(" with the hold %q and the payment %q", t.HoldID, t.RefundOf)
	}
	return s
}

func (t *Transaction) same(other *Transaction) bool {
	return t.Type == other.Type && t.Currency == other.Currency && t.From == other.From && t.To == other.To &&
		t.Amount.Equal(other.Amount) && t.HoldID == other.HoldID && t.RefundOf == other.RefundOf
}

// concludeTransaction checks a transaction's legs against one another and against its own events. It returns what the
// transaction holds in transit.
func (a *auditor) concludeTransaction(tx *Transaction) decimal.Decimal {
	a.concludeDerived(tx)
	switch {
	case outside(tx.From):
		if tx.Debit != nil || tx.Refusal != nil || tx.Reversal != nil {
			a.problem("transaction %s is a top-up with more than a credit", tx.ID)
		}
		return decimal.Zero
	case outside(tx.To):
		if tx.Credit != nil || tx.Refusal != nil || tx.Reversal != nil {
			a.problem("transaction %s is a withdrawal with more than a debit", tx.ID)
		}
		return decimal.Zero
	}
	if tx.Credit != nil && tx.Refusal != nil {
		a.problem("transaction %s was credited and refused", tx.ID)
	}
	if tx.Reversal != nil && tx.Refusal == nil && a.isCertain(tx.Reversal) {
		a.problem("transaction %s was reversed and not refused", tx.ID)
	}
	if tx.Debit == nil {
		return a.withoutDebit(tx)
	}
	next := tx.Debit.Offset + 1
	if tx.released == next { // The payer's events come first.
		next++
	}
	if partitionOf(tx.To, a.partitions) == tx.Debit.Partition && (tx.Credit == nil || tx.Credit.Offset != next) {
		a.problem("transaction %s stays within partition %d and its legs do not stand together", tx.ID, tx.Debit.Partition)
	}
	switch {
	case tx.Credit != nil || tx.Reversal != nil:
		return decimal.Zero
	case tx.Refusal != nil:
		a.unfinished("transaction %s was refused and is not reversed", tx.ID)
	default:
		a.unfinished("transaction %s was debited and neither credited nor refused", tx.ID)
	}
	return tx.Amount
}

// withoutDebit tells a leg without its debit from one whose debit lies behind the end that was read.
func (a *auditor) withoutDebit(tx *Transaction) decimal.Decimal {
	held := decimal.Zero
	for _, leg := range []*Leg{tx.Credit, tx.Refusal, tx.Reversal} {
		if leg != nil && a.isCertain(leg) {
			a.problem("transaction %s has a leg on %s version %d and no debit", tx.ID, leg.AccountID, leg.Version)
			return held
		}
	}
	for _, leg := range []*Leg{tx.Credit, tx.Reversal} {
		if leg != nil {
			held = held.Sub(tx.Amount)
		}
	}
	return held
}

func (a *auditor) isCertain(leg *Leg) bool { return leg.Offset < a.certain[leg.Partition] }

// derivedEvent is one of a transaction's own events.
type derivedEvent struct {
	id, eventType, causationID string
	transactionID              string
	version                    int64
	value                      string
}

// transactionRecord folds one record of the topic of transaction events.
func (a *auditor) transactionRecord(r *kgo.Record) {
	e, ok := a.parse(r, "Transaction")
	if !ok {
		return
	}
	if before, ok := a.repeated[e.EventID]; ok {
		a.report.Repeats++
		if before.value != string(r.Value) {
			a.problem("%s repeats event %s with other content", e.where(), e.EventID)
		}
		return
	}
	d := &derivedEvent{
		id: e.EventID, eventType: e.EventType, causationID: e.CausationID, transactionID: e.AggregateID,
		version: e.AggregateVersion, value: string(r.Value),
	}
	a.repeated[e.EventID] = d
	tx, ok := a.report.Transactions[e.AggregateID]
	if !ok {
		a.problem("%s follows from no movement", e.where())
		return
	}
	if other, ok := tx.derived[d.version]; ok {
		a.problem("%s is there twice, as %s and %s", e.where(), other.id, d.id)
		return
	}
	if _, ok := tx.derived[d.version-1]; !ok && d.version > 1 {
		a.problem("%s comes before version %d", e.where(), d.version-1)
	}
	tx.derived[d.version] = d
	a.derived(e, tx)
}

// derived checks a transaction event against what it follows from.
func (a *auditor) derived(e *event, tx *Transaction) {
	kinds, version := map[string]bool{}, int64(0)
	switch {
	case strings.HasSuffix(e.EventType, "Requested"):
		kinds, version = map[string]bool{debitKind: true, topUpKind: true, withdrawalKind: true}, 1
	case strings.HasSuffix(e.EventType, "Completed"):
		kinds, version = map[string]bool{creditKind: true, topUpKind: true, withdrawalKind: true}, 2
	case e.EventType == "TransactionFailed":
		kinds, version = map[string]bool{refusalKind: true}, 2
	case e.EventType == "TransactionCompensated":
		kinds, version = map[string]bool{reversalKind: true}, 3
	}
	c, ok := a.causes[e.CausationID]
	if !ok || !kinds[c.kind] || c.transactionID != tx.ID || e.AggregateVersion != version || e.Timestamp != c.timestamp {
		a.problem("%s does not follow from its cause %s (a %s of transaction %s)", e.where(), e.CausationID, c.kind, c.transactionID)
	}
	var d struct {
		TransactionType string          `json:"transactionType"`
		Amount          decimal.Decimal `json:"amount"`
		Currency        string          `json:"currency"`
		FromAccountID   string          `json:"fromAccountId"`
		ToAccountID     string          `json:"toAccountId"`
		HoldID          string          `json:"holdId"`
		RefundOf        string          `json:"refundOf"`
	}
	if !a.data(e, &d) {
		return
	}
	told := Transaction{
		Type: d.TransactionType, Currency: d.Currency, From: d.FromAccountID, To: d.ToAccountID, Amount: d.Amount,
		HoldID: d.HoldID, RefundOf: d.RefundOf,
	}
	named := strings.TrimSuffix(strings.TrimSuffix(e.EventType, "Requested"), "Completed")
	if !tx.same(&told) || (named != e.EventType && !strings.EqualFold(named, tx.Type)) {
		a.problem("%s tells %s, its legs %s", e.where(), told.story(), tx.story())
	}
}

// concludeDerived checks that a transaction's own events say as much as its legs; they come a moment later.
func (a *auditor) concludeDerived(tx *Transaction) {
	want := int64(1)
	switch {
	case tx.Reversal != nil:
		want = 3
	case tx.Credit != nil || tx.Refusal != nil || outside(tx.To):
		want = 2
	}
	for version := int64(1); version <= want; version++ {
		if _, ok := tx.derived[version]; !ok {
			a.unfinished("transaction %s has no event of version %d yet", tx.ID, version)
		}
	}
}
