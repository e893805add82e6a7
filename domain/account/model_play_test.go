package account

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"daybook/domain"
	"daybook/domain/money"
)

// ledger plays the same commands to the aggregate and to the model.
type ledger struct {
	model    book
	state    State
	holds    map[string]Hold
	receipts map[string]Receipt
}

func cents(n int64) decimal.Decimal { return decimal.New(n, -2) }

func bounds(floor int64, ceiling *int64) Limits {
	l := Limits{Min: cents(floor)}
	if ceiling != nil {
		l.Max = decimal.NewNullDecimal(cents(*ceiling))
	}
	return l
}

func holdID(i int) string    { return fmt.Sprint("h-", i) }
func paymentID(i int) string { return fmt.Sprint("p-", i) }

func (l *ledger) now() time.Time { return start.Add(time.Duration(l.model.today) * time.Millisecond) }

// play checks that decision and model agree and folds what was decided.
func (l *ledger) play(t *rapid.T, want domain.Code, o outcome) {
	if o.err != nil {
		var r *domain.Refusal
		if !errors.As(o.err, &r) || r.Code != want || o.events != nil {
			t.Fatalf("refused with %v and %s, the model says %q", o.err, show(o.events...), want)
		}
		return
	}
	if want != "" {
		t.Fatalf("decided %s, the model refuses with %s", show(o.events...), want)
	}
	for _, e := range o.events {
		if c, ok := e.(*BalanceChanged); ok {
			if !c.PreviousBalance.Equal(l.state.Balance) || !c.PreviousBalance.Add(c.SignedAmount()).Equal(c.NewBalance) || !c.ChangeAmount.IsPositive() {
				t.Fatalf("%s does not add up from %s", show(e), l.state.Balance)
			}
		}
		l.fold(e)
		l.model.entries++
	}
}

func (l *ledger) fold(e Event) {
	l.state = l.state.Apply("acc", e, l.now())
	if id := HoldOf(e); id != "" {
		l.holds[id] = l.holds[id].Apply("acc", e, l.now())
	}
	if id := ReceiptOf(e); id != "" {
		l.receipts[id] = l.receipts[id].Apply("acc", e)
	}
}

// check compares the fold of what was decided with the model.
func (l *ledger) check(t *rapid.T) {
	s, m := l.state, l.model
	if s.Version != m.entries || s.Exists() != m.open {
		t.Fatalf("version %d, exists %v; the model has %d entries, open %v", s.Version, s.Exists(), m.entries, m.open)
	}
	if !m.open {
		return
	}
	if !s.Balance.Equal(cents(m.cents)) || s.Balance.Exponent() != -2 {
		t.Fatalf("balance %#v, the model has %d cents", s.Balance, m.cents)
	}
	if (s.Status == Suspended) != m.frozen || (s.Status == Closed) != m.shut {
		t.Fatalf("status %s, the model: frozen %v, shut %v", s.Status, m.frozen, m.shut)
	}
	if !s.Limits.Min.Equal(cents(m.floor)) || s.Limits.Max.Valid != (m.ceiling != nil) {
		t.Fatalf("limits %v, the model has %d and %v", s.Limits, m.floor, m.ceiling)
	}
	if s.Available().LessThan(s.Limits.Min) {
		t.Fatalf("%s is available, which is below the limit %s", s.Available(), s.Limits.Min)
	}
	l.checkHolds(t)
	l.checkReceipts(t)
}

func (l *ledger) checkHolds(t *rapid.T) {
	if held := l.state.Held; !held.Equal(cents(l.model.kept())) || held.Exponent() != -2 {
		t.Fatalf("%#v is held, the model keeps %d cents", held, l.model.kept())
	}
	if len(l.holds) != len(l.model.slips) {
		t.Fatalf("%d holds, the model has %d", len(l.holds), len(l.model.slips))
	}
	for i, s := range l.model.slips {
		h, status := l.holds[holdID(i)], s.ended
		if status == "" {
			status = HoldActive
		}
		if h.Status != status || !h.Captured.Equal(cents(s.paid)) || !h.Released.Equal(cents(s.freed)) || !h.Remaining().Equal(cents(s.kept)) {
			t.Fatalf("hold %d is %+v, the model has %+v", i, h, *s)
		}
		if h.Remaining().IsNegative() || h.Status != HoldActive && !h.Remaining().IsZero() {
			t.Fatalf("hold %d is %s and keeps %s", i, h.Status, h.Remaining())
		}
	}
}

func (l *ledger) checkReceipts(t *rapid.T) {
	if len(l.receipts) != len(l.model.bills) {
		t.Fatalf("%d receipts, the model has %d bills", len(l.receipts), len(l.model.bills))
	}
	for i, p := range l.model.bills {
		r := l.receipts[paymentID(i)]
		if !r.Amount.Equal(cents(p.cents)) || !r.Refundable().Equal(cents(p.left())) {
			t.Fatalf("payment %d is %+v, the model has %+v", i, r, *p)
		}
		if r.Refunded.IsNegative() || r.Refunded.GreaterThan(r.Amount) {
			t.Fatalf("%s of %s was refunded", r.Refunded, r.Amount)
		}
	}
}

var (
	// Narrow enough that limits are met exactly, and passed by one, all the time.
	smallAmounts = rapid.Int64Range(1, 12)
	floors       = rapid.Int64Range(-5, 2)
	ceilings     = rapid.Ptr(rapid.Int64Range(-2, 20), true)
	codes        = rapid.SampledFrom([]money.Currency{"EUR", "EUR", "EUR", "EUR", "EUR", "EUR", "USD"})
	// lives are in milliseconds. Short ones end within the story.
	lives = rapid.OneOf(rapid.Int64Range(0, 9), rapid.Int64Range(4, 20), rapid.SampledFrom([]int64{-1, 0, 1, 31622400000, 31622400001}))
)

func drawMovement(t *rapid.T, n int64) Movement {
	// A refund received and a payee's or payer's side of somebody else's hold are no more than money that moves.
	kind := rapid.SampledFrom([]MovementType{Topup, Transfer, Withdrawal, Refund}).Draw(t, "kind")
	m := Movement{Amount: cents(n), Currency: codes.Draw(t, "currency"), TransactionID: "tx", TransactionType: kind}
	if kind == Refund {
		m.RefundOf = "p-0"
	}
	return m
}

// drawAmount picks a small amount or, quite often, exactly so much.
func drawAmount(t *rapid.T, exactly int64) int64 {
	return rapid.OneOf(smallAmounts, smallAmounts, rapid.Just(max(1, exactly))).Draw(t, "amount")
}

// drawIndex picks one of n, or one more than there are.
func drawIndex(t *rapid.T, n int) int { return rapid.IntRange(0, n).Draw(t, "which") }

func TestDecisionsAgreeWithANaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &ledger{}
		actions := map[string]func(*rapid.T){
			"":            l.check,
			"time passes": func(t *rapid.T) { l.model.today += rapid.Int64Range(1, 6).Draw(t, "milliseconds") },
		}
		l.addAccount(actions)
		l.addHolds(actions)
		l.addPayments(actions)
		for range 12 { // Some things take longer to come about than one round.
			if !l.model.open || l.model.shut {
				l.begin(t)
			}
			t.Repeat(actions)
		}
	})
}

// begin starts anew, mostly with an account that has something on it.
func (l *ledger) begin(t *rapid.T) {
	*l = ledger{holds: map[string]Hold{}, receipts: map[string]Receipt{}}
	if rapid.IntRange(0, 9).Draw(t, "without account") == 0 {
		return
	}
	l.play(t, l.model.create(-5, nil), outcome{events: []Event{opened(bounds(-5, nil))}})
	l.play(t, l.model.movement(12, "EUR"), decided(event(DecideCredit(l.state, Movement{Amount: cents(12), Currency: "EUR"}))))
}

func (l *ledger) addAccount(actions map[string]func(*rapid.T)) {
	actions["create"] = func(t *rapid.T) {
		floor, ceiling := floors.Draw(t, "min"), ceilings.Draw(t, "max")
		o := decided(event(DecideCreate(l.state, Created{Currency: "EUR", Type: User, Limits: bounds(floor, ceiling)})))
		l.play(t, l.model.create(floor, ceiling), o)
	}
	actions["credit"] = func(t *rapid.T) {
		n := smallAmounts.Draw(t, "amount")
		m := drawMovement(t, n)
		o := decided(event(DecideCredit(l.state, m)))
		l.play(t, l.model.movement(n, m.Currency), o)
	}
	actions["debit"] = func(t *rapid.T) {
		n := drawAmount(t, l.model.cents)
		m := drawMovement(t, n)
		if m.TransactionType == Refund {
			m.TransactionType = Payment // What leaves as a refund is decided elsewhere.
		}
		o := decided(event(DecideDebit(l.state, m)))
		l.play(t, l.model.movement(-n, m.Currency), o)
	}
	actions["transfer comes back"] = func(t *rapid.T) {
		if !l.model.open {
			return // Only an account that was debited is given anything back.
		}
		n := smallAmounts.Draw(t, "amount")
		m := Movement{Amount: cents(n), Currency: "EUR", TransactionID: "tx", TransactionType: rapid.SampledFrom([]MovementType{Transfer, Payment}).Draw(t, "kind")}
		l.model.cents += n
		l.play(t, "", decided(DecideReversal(l.state, m, domain.AccountClosed), nil))
	}
	actions["credit is refused"] = func(t *rapid.T) {
		m := drawMovement(t, 1)
		m.HoldID = "h-0"
		l.play(t, "", decided(Refused(m, domain.AccountClosed), nil))
	}
	actions["status"] = func(t *rapid.T) {
		// Closing is rare: it ends the story, unless money comes back.
		to := rapid.SampledFrom([]Status{Active, Active, Active, Active, Suspended, Closed}).Draw(t, "status")
		o := decided(event(DecideStatus(l.state, to, "")))
		l.play(t, l.model.status(to), o)
	}
	actions["limits"] = func(t *rapid.T) {
		floor, ceiling := floors.Draw(t, "min"), ceilings.Draw(t, "max")
		o := decided(event(DecideLimits(l.state, bounds(floor, ceiling), "")))
		l.play(t, l.model.relimit(floor, ceiling), o)
	}
}

func (l *ledger) addHolds(actions map[string]func(*rapid.T)) {
	actions["hold"] = func(t *rapid.T) {
		n, life, c := drawAmount(t, l.model.cents-l.model.kept()), lives.Draw(t, "life"), codes.Draw(t, "currency")
		o := decided(event(DecideHold(l.state, HoldPlaced{
			HoldID: holdID(len(l.model.slips)), Amount: cents(n), Currency: c, CounterpartyID: "shop",
			ExpiresAt: l.now().Add(time.Duration(life) * time.Millisecond),
		}, l.now())))
		l.play(t, l.model.hold(n, life, c), o)
	}
	actions["capture"] = func(t *rapid.T) {
		i, n, final := drawIndex(t, len(l.model.slips)), smallAmounts.Draw(t, "amount"), rapid.Bool().Draw(t, "final")
		if i < len(l.model.slips) {
			n = drawAmount(t, l.model.slips[i].kept)
		}
		m := Movement{Amount: cents(n), Currency: "EUR", TransactionID: "tx", TransactionType: Payment, CounterpartyID: "shop"}
		events, err := DecideCapture(l.state, l.holds[holdID(i)], m, final, l.now())
		l.play(t, l.model.capture(i, n, final), outcome{events, err})
	}
	actions["void"] = func(t *rapid.T) {
		i := drawIndex(t, len(l.model.slips))
		o := decided(event(DecideVoid(l.holds[holdID(i)], "", l.now())))
		l.play(t, l.model.void(i), o)
	}
	actions["expiry"] = func(t *rapid.T) {
		i := drawIndex(t, len(l.model.slips))
		o := decided(event(DecideExpiry(l.holds[holdID(i)], l.now()), nil))
		if due := l.model.expire(i); due != (o.events != nil) {
			t.Fatalf("decided %q, the model says %v", show(o.events...), due)
		}
		l.play(t, "", o)
	}
	actions["capture comes back"] = func(t *rapid.T) {
		for i, s := range l.model.slips {
			if n := s.paid - s.back; n > 0 {
				s.back += n
				l.model.cents += n
				m := Movement{Amount: cents(n), Currency: "EUR", TransactionID: "tx", TransactionType: Payment, HoldID: holdID(i)}
				l.play(t, "", decided(DecideReversal(l.state, m, domain.AccountClosed), nil))
				return
			}
		}
	}
}

func (l *ledger) addPayments(actions map[string]func(*rapid.T)) {
	actions["payment arrives"] = func(t *rapid.T) {
		n := smallAmounts.Draw(t, "amount")
		m := Movement{Amount: cents(n), Currency: codes.Draw(t, "currency"), TransactionID: paymentID(len(l.model.bills)), TransactionType: Payment}
		if rapid.Bool().Draw(t, "captured") {
			m.HoldID = "h-0" // Of the payer, whose holds have ids of their own.
		}
		o := decided(event(DecideCredit(l.state, m)))
		l.play(t, l.model.receive(n, m.Currency), o)
	}
	actions["refund"] = func(t *rapid.T) {
		i, n := drawIndex(t, len(l.model.bills)), rapid.Int64Range(0, 8).Draw(t, "amount")
		if i < len(l.model.bills) && n == 8 {
			n = l.model.bills[i].left() + 1
		}
		m := Movement{Amount: cents(n), Currency: "EUR", TransactionID: "tx", TransactionType: Refund, CounterpartyID: "payer"}
		o := decided(event(DecideRefund(l.state, l.receipts[paymentID(i)], m)))
		l.play(t, l.model.refund(i, n), o)
	}
	actions["refund comes back"] = func(t *rapid.T) {
		i := drawIndex(t, len(l.model.bills))
		if i == len(l.model.bills) || len(l.model.bills[i].refunds) == 0 {
			return
		}
		n := l.model.takeBack(l.model.bills[i])
		m := Movement{Amount: cents(n), Currency: "EUR", TransactionID: "tx", TransactionType: Refund, RefundOf: paymentID(i)}
		l.play(t, "", decided(DecideReversal(l.state, m, domain.AccountClosed), nil))
	}
}
