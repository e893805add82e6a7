package account

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
)

var (
	dec   = decimal.RequireFromString
	start = time.Date(2026, 11, 24, 9, 30, 0, 0, time.UTC)
)

// history is what happened to an account before.
type history []Event

// outcome is what was decided: events or a refusal.
type outcome struct {
	events []Event
	err    error
}

func given(events ...Event) history { return events }

func (h history) state() State {
	var s State
	for i, e := range h {
		s = s.Apply("acc", e, start.Add(time.Duration(i)*time.Second))
	}
	return s
}

func (h history) when(decide func(State) (Event, error)) outcome {
	return decided(decide(h.state()))
}

func decided(e Event, err error) outcome {
	if e == nil {
		return outcome{err: err}
	}
	return outcome{[]Event{e}, err}
}

func (o outcome) then(t *testing.T, want ...Event) {
	t.Helper()
	if o.err != nil {
		t.Fatalf("refused: %v", o.err)
	}
	if show(o.events...) != show(want...) {
		t.Errorf("decided\n%s, want\n%s", show(o.events...), show(want...))
	}
}

func (o outcome) thenRefused(t *testing.T, code domain.Code, field string) {
	t.Helper()
	var r *domain.Refusal
	if !errors.As(o.err, &r) || r.Code != code || r.Field != field || r.Message == "" {
		t.Errorf("error %v, want %s about %q with a message", o.err, code, field)
	}
	if o.events != nil {
		t.Errorf("a refusal came with %s", show(o.events...))
	}
}

// show renders events with the exact form of their decimals, so that two are equal when it is.
func show(events ...Event) string {
	lines := make([]string, len(events))
	for i, e := range events {
		lines[i] = fmt.Sprintf("%#v", reflect.ValueOf(e).Elem())
	}
	return strings.Join(lines, "\n")
}

// event makes a decision's result an Event that is nil when there is none.
func event[T any, E interface {
	*T
	Event
}](e E, err error) (Event, error) {
	if e == nil {
		return nil, err
	}
	return e, err
}

// Events and commands in short.

func between(low, high string) Limits {
	l := Limits{Min: dec(low)}
	if high != "" {
		l.Max = decimal.NewNullDecimal(dec(high))
	}
	return l
}

func opened(l Limits) *Created {
	return &Created{OwnerID: "ann", Type: User, Currency: "EUR", Limits: l}
}

func holding(balance string) *BalanceChanged {
	return &BalanceChanged{NewBalance: dec(balance), Currency: "EUR"}
}

func became(s Status) *StatusChanged { return &StatusChanged{NewStatus: s} }

func limited(l Limits) *LimitsChanged { return &LimitsChanged{Currency: "EUR", NewLimits: l} }

var refusedCredit = &CreditRefused{Amount: dec("5.00"), Currency: "EUR", TransactionID: "tx-0", Code: domain.AccountNotFound}

func euros(amount string) Movement {
	return Movement{
		Amount: dec(amount), Currency: "EUR", TransactionID: "tx-1", TransactionType: Transfer, CounterpartyID: "other", Reason: "rent",
	}
}

func create(c *Created) func(State) (Event, error) {
	return func(s State) (Event, error) { return event(DecideCreate(s, *c)) }
}

func debit(m Movement) func(State) (Event, error) {
	return func(s State) (Event, error) { return event(DecideDebit(s, m)) }
}

func credit(m Movement) func(State) (Event, error) {
	return func(s State) (Event, error) { return event(DecideCredit(s, m)) }
}

func reverse(m Movement, why domain.Code) func(State) (Event, error) {
	return func(s State) (Event, error) { return DecideReversal(s, m, why), nil }
}

func moveTo(status Status) func(State) (Event, error) {
	return func(s State) (Event, error) { return event(DecideStatus(s, status, "asked")) }
}

func limit(l Limits) func(State) (Event, error) {
	return func(s State) (Event, error) { return event(DecideLimits(s, l, "agreed")) }
}

// moved is the change that a movement in euros of tx-1 leads to.
func moved(direction ChangeType, from, amount, to string) *BalanceChanged {
	return &BalanceChanged{
		PreviousBalance: dec(from), NewBalance: dec(to), ChangeAmount: dec(amount), ChangeType: direction, Reason: "rent",
		TransactionID: "tx-1", Currency: "EUR", TransactionType: Transfer, CounterpartyID: "other",
	}
}
