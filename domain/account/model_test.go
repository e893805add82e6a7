package account

import (
	"errors"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"pgregory.net/rapid"

	"daybook/domain"
	"daybook/domain/money"
)

// book is the naive model: one account in whole minor units, as a clerk would keep it.
type book struct {
	open, frozen, shut bool
	cents              int64
	floor              int64
	ceiling            *int64
	entries            int64
}

func cents(n int64) decimal.Decimal { return decimal.New(n, -2) }

func (b *book) limits(floor int64, ceiling *int64) Limits {
	l := Limits{Min: cents(floor)}
	if ceiling != nil {
		l.Max = decimal.NewNullDecimal(cents(*ceiling))
	}
	return l
}

// room tells whether the book may stand at n.
func room(n, floor int64, ceiling *int64) bool {
	return n >= floor && (ceiling == nil || n <= *ceiling)
}

// movement says what a clerk does with an amount to put on (positive) or take off (negative).
func (b *book) movement(delta int64, c money.Currency) domain.Code {
	switch {
	case !b.open:
		return domain.AccountNotFound
	case b.shut:
		return domain.AccountClosed
	case delta < 0 && b.frozen:
		return domain.AccountSuspended
	case c != "EUR":
		return domain.CurrencyMismatch
	case delta < 0 && b.cents+delta < b.floor:
		return domain.InsufficientBalance
	case delta > 0 && b.ceiling != nil && b.cents+delta > *b.ceiling:
		return domain.BalanceLimitExceeded
	}
	b.cents += delta
	return ""
}

func (b *book) status(to Status) domain.Code {
	switch {
	case !b.open:
		return domain.AccountNotFound
	case b.shut:
		return domain.AccountClosed
	case to == Closed && b.cents != 0:
		return domain.AccountNotEmpty
	}
	b.frozen, b.shut = to == Suspended, to == Closed
	return ""
}

func (b *book) relimit(floor int64, ceiling *int64) domain.Code {
	switch {
	case !b.open:
		return domain.AccountNotFound
	case b.shut:
		return domain.AccountClosed
	case !room(b.cents, floor, ceiling):
		return domain.BalanceLimitExceeded
	}
	b.floor, b.ceiling = floor, ceiling
	return ""
}

func (b *book) create(floor int64, ceiling *int64) domain.Code {
	switch {
	case b.open:
		return domain.AccountExists
	case !room(0, floor, ceiling):
		return domain.BalanceLimitExceeded
	}
	*b = book{open: true, floor: floor, ceiling: ceiling, entries: b.entries}
	return ""
}

// ledger plays the same commands to the aggregate and to the model.
type ledger struct {
	model book
	state State
	now   time.Time
}

// play checks that decision and model agree and folds what was decided.
func (l *ledger) play(t *rapid.T, want domain.Code, e Event, err error) {
	if err != nil {
		var r *domain.Refusal
		if !errors.As(err, &r) || r.Code != want {
			t.Fatalf("refused with %v, the model says %q", err, want)
		}
		return
	}
	if want != "" {
		t.Fatalf("decided %s, the model refuses with %s", show(e), want)
	}
	if c, ok := e.(*BalanceChanged); ok {
		if !c.PreviousBalance.Equal(l.state.Balance) || !c.PreviousBalance.Add(c.SignedAmount()).Equal(c.NewBalance) || !c.ChangeAmount.IsPositive() {
			t.Fatalf("%s does not add up from %s", show(e), l.state.Balance)
		}
	}
	l.now = l.now.Add(time.Millisecond)
	l.state = l.state.Apply("acc", e, l.now)
	l.model.entries++
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
	if s.Balance.LessThan(s.Limits.Min) {
		t.Fatalf("balance %s is below its limit %s", s.Balance, s.Limits.Min)
	}
}

var (
	// Narrow enough that limits are met exactly, and passed by one, all the time.
	smallAmounts = rapid.Int64Range(1, 12)
	floors       = rapid.Int64Range(-5, 2)
	ceilings     = rapid.Ptr(rapid.Int64Range(-2, 20), true)
	codes        = rapid.SampledFrom([]money.Currency{"EUR", "EUR", "EUR", "EUR", "EUR", "EUR", "USD"})
)

func drawMovement(t *rapid.T, n int64) Movement {
	return Movement{Amount: cents(n), Currency: codes.Draw(t, "currency"), TransactionID: "tx", TransactionType: Transfer}
}

func TestDecisionsAgreeWithANaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := &ledger{now: start}
		t.Repeat(map[string]func(*rapid.T){
			"": l.check,
			"create": func(t *rapid.T) {
				floor, ceiling := floors.Draw(t, "min"), ceilings.Draw(t, "max")
				e, err := event(DecideCreate(l.state, Created{Currency: "EUR", Type: User, Limits: l.model.limits(floor, ceiling)}))
				l.play(t, l.model.create(floor, ceiling), e, err)
			},
			"credit": func(t *rapid.T) {
				n := smallAmounts.Draw(t, "amount")
				m := drawMovement(t, n)
				e, err := event(DecideCredit(l.state, m))
				l.play(t, l.model.movement(n, m.Currency), e, err)
			},
			"debit": func(t *rapid.T) {
				n := smallAmounts.Draw(t, "amount")
				m := drawMovement(t, n)
				e, err := event(DecideDebit(l.state, m))
				l.play(t, l.model.movement(-n, m.Currency), e, err)
			},
			"reversal": func(t *rapid.T) {
				if !l.model.open {
					return // Only an account that was debited is given anything back.
				}
				n := smallAmounts.Draw(t, "amount")
				l.model.cents += n
				l.play(t, "", DecideReversal(l.state, Movement{Amount: cents(n), Currency: "EUR"}, domain.AccountClosed), nil)
			},
			"refused credit": func(t *rapid.T) { l.play(t, "", &CreditRefused{Amount: cents(1), Currency: "EUR"}, nil) },
			"status": func(t *rapid.T) {
				// Closing is rare: it ends the story.
				to := rapid.SampledFrom([]Status{Active, Active, Active, Suspended, Suspended, Closed}).Draw(t, "status")
				e, err := event(DecideStatus(l.state, to, ""))
				l.play(t, l.model.status(to), e, err)
			},
			"limits": func(t *rapid.T) {
				floor, ceiling := floors.Draw(t, "min"), ceilings.Draw(t, "max")
				e, err := event(DecideLimits(l.state, l.model.limits(floor, ceiling), ""))
				l.play(t, l.model.relimit(floor, ceiling), e, err)
			},
		})
	})
}
