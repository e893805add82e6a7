package projector

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/internal/ids"
)

// history records a random history of n steps, the same for the same seed, and writes it.
func (l *ledger) history(seed uint64, n int) {
	l.t.Helper()
	random := rand.New(rand.NewPCG(seed, 0))
	const count = 40
	name := func() string { return fmt.Sprintf("account-%d", random.IntN(count)) }
	for i := range count {
		if id := fmt.Sprintf("account-%d", i); !l.accounts[id].Exists() {
			l.create(id)
		}
	}
	for range n {
		l.now = l.now.Add(time.Duration(random.IntN(3)) * time.Millisecond)
		l.step(random, name(), name(), fmt.Sprintf("%d.%02d", random.IntN(50), 1+random.IntN(99)))
	}
	l.write()
}

// step records one of everything that can happen.
func (l *ledger) step(random *rand.Rand, id, to, amount string) {
	l.t.Helper()
	switch kind := random.IntN(30); {
	case kind < 8:
		l.topUp(id, amount)
	case kind < 14 && to != id:
		l.transfer(id, to, amount)
	case kind < 16:
		l.refuse(id, fmt.Sprintf("nobody-%d", random.IntN(5)), amount)
	case kind < 17:
		l.record(id, &account.StatusChanged{PreviousStatus: account.Active, NewStatus: account.Active, Reason: "looked at"})
	case kind < 18:
		limits := account.Limits{Min: eur("0"), Max: decimal.NewNullDecimal(decimal.New(100_000_000+random.Int64N(99), -2))}
		l.record(id, &account.LimitsChanged{Currency: "EUR", PreviousLimits: l.accounts[id].Limits, NewLimits: limits, Reason: "new"})
	case kind < 19:
		l.withdraw(id, amount)
	case kind < 22 && to != id:
		if payment := ids.New(); l.pay(id, to, amount, payment, "") && random.IntN(2) == 0 {
			l.refund(payment, eur(fmt.Sprintf("0.%02d", 1+random.IntN(50))), random.IntN(4) == 0)
		}
	case kind < 26 && to != id:
		l.hold(id, to, amount)
	default:
		l.endHold(random)
	}
}

// hold places one if enough is available, and returns its id.
func (l *ledger) hold(id, payee, amount string) string {
	e, err := account.DecideHold(l.accounts[id], account.HoldPlaced{
		HoldID: ids.New(), Amount: eur(amount), Currency: "EUR", CounterpartyID: payee, ExpiresAt: l.now.Add(time.Hour), Reason: "a \"hold\"",
	}, l.now)
	if err != nil {
		return ""
	}
	l.record(id, e)
	l.placed = append(l.placed, e.HoldID)
	return e.HoldID
}

// endHold captures from, voids or lets expire the oldest of the active holds.
func (l *ledger) endHold(random *rand.Rand) {
	for len(l.placed) > 0 && l.holds[l.placed[0]].Status != account.HoldActive {
		l.placed = l.placed[1:]
	}
	if len(l.placed) == 0 {
		return
	}
	h := l.holds[l.placed[0]]
	switch random.IntN(4) {
	case 0:
		e, err := account.DecideVoid(h, "not needed", l.now)
		if err != nil {
			l.t.Fatal(err)
		}
		l.record(h.AccountID, e)
	case 1:
		l.record(h.AccountID, account.DecideExpiry(h, h.ExpiresAt))
	default:
		l.capture(h, decimal.Min(h.Remaining(), decimal.New(1+random.Int64N(5000), -2)), random.IntN(2) == 0)
	}
}

// capture pays from a hold, and returns the transaction.
func (l *ledger) capture(h account.Hold, amount decimal.Decimal, final bool) string {
	l.t.Helper()
	m := movement(amount.StringFixed(2), account.Payment, h.CounterpartyID, ids.New())
	events, err := account.DecideCapture(l.accounts[h.AccountID], h, m, final, l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	for _, e := range events {
		l.record(h.AccountID, e)
	}
	m.CounterpartyID, m.HoldID = h.AccountID, h.ID
	l.credit(h.CounterpartyID, m)
	return m.TransactionID
}

func (l *ledger) withdraw(id, amount string) {
	if e, err := account.DecideDebit(l.accounts[id], movement(amount, account.Withdrawal, "external:bank:EUR", ids.New())); err == nil {
		l.record(id, e)
	}
}

// pay tells whether there was enough.
func (l *ledger) pay(from, to, amount, id, hold string) bool {
	m := movement(amount, account.Payment, to, id)
	m.HoldID = hold
	e, err := account.DecideDebit(l.accounts[from], m)
	if err != nil {
		return false
	}
	l.record(from, e)
	m.CounterpartyID = from
	l.credit(to, m)
	return true
}

// refund gives a part of a payment back, as far as the payee can, or tries to.
func (l *ledger) refund(payment string, amount decimal.Decimal, refused bool) {
	l.t.Helper()
	r := l.receipts[payment]
	m := movement(decimal.Min(amount, r.Refundable()).StringFixed(2), account.Refund, r.PayerID, ids.New())
	e, err := account.DecideRefund(l.accounts[r.PayeeID], r, m)
	if err != nil {
		return
	}
	l.record(r.PayeeID, e)
	m.RefundOf = payment
	if refused {
		back := m
		m.CounterpartyID = r.PayeeID
		l.record(r.PayerID, account.Refused(m, domain.AccountClosed))
		l.record(r.PayeeID, account.DecideReversal(l.accounts[r.PayeeID], back, domain.AccountClosed))
		return
	}
	m.CounterpartyID = r.PayeeID
	l.credit(r.PayerID, m)
}

func movement(amount string, kind account.MovementType, counterparty, id string) account.Movement {
	return account.Movement{
		Amount: eur(amount), Currency: "EUR", TransactionID: id, TransactionType: kind, CounterpartyID: counterparty,
		Reason: "tab\t, \"quotes\", back\\slash, {brace}, 'apostrophe' ?0 and ünïcode",
	}
}
