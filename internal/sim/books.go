package sim

import (
	"maps"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
)

type outcomeKey struct{ account, key string }

type legKey struct {
	account, transaction string
	kind                 ledger.LegKind
}

// shelf is a layer of a partition's books: what is stored, or what one batch in flight lays on top of it.
type shelf struct {
	below    *shelf
	accounts [accounts]*account.State
	outcomes map[outcomeKey]*ledger.Outcome
	legs     map[legKey]ledger.Leg
	holds    map[string]*account.Hold
	receipts map[string]*account.Receipt
	// placed lists the holds in the order in which they were placed; those that ended are dropped now and then.
	placed []string
}

func newShelf(below *shelf) *shelf { return &shelf{below: below} }

// put lays a value down, in a map that is made when it is first needed.
func put[K comparable, V any](m *map[K]V, k K, v V) {
	if *m == nil {
		*m = map[K]V{}
	}
	(*m)[k] = v
}

// onto lays all of a layer down on another.
func (s *shelf) onto(base *shelf) {
	for i, a := range s.accounts {
		if a != nil {
			base.accounts[i] = a
		}
	}
	pour(s.outcomes, &base.outcomes)
	pour(s.legs, &base.legs)
	pour(s.holds, &base.holds)
	pour(s.receipts, &base.receipts)
	base.placed = append(base.placed, s.placed...)
}

func pour[K comparable, V any](from map[K]V, to *map[K]V) {
	for k, v := range from {
		put(to, k, v)
	}
}

// clone copies the bottom layer. What it points to never changes.
func (s *shelf) clone() *shelf {
	c := *s
	c.outcomes, c.legs = maps.Clone(s.outcomes), maps.Clone(s.legs)
	c.holds, c.receipts = maps.Clone(s.holds), maps.Clone(s.receipts)
	c.placed = slices.Clone(s.placed)
	return &c
}

// view implements ledger.Books on a stack of layers, and tells the lies of some planted bugs.
type view struct {
	top *shelf
	bug Bug
	// folding tells that events are folded, not decided: that is done on the truth.
	folding bool
}

func (v *view) layer() *shelf {
	s := v.top
	if v.bug == DecideOnStored && !v.folding {
		for s.below != nil {
			s = s.below
		}
	}
	return s
}

// Account implements ledger.Books.
func (v *view) Account(id string) (account.State, error) {
	n := accountNumber(id)
	for s := v.layer(); s != nil && n >= 0; s = s.below {
		if a := s.accounts[n]; a != nil {
			state := *a
			if v.bug == HoldsNotCounted && !v.folding {
				state.Held = decimal.New(0, state.Held.Exponent())
			}
			return state, nil
		}
	}
	return account.State{ID: id}, nil
}

// Outcome implements ledger.Books.
func (v *view) Outcome(accountID, key string) (ledger.Outcome, bool, error) {
	k := outcomeKey{accountID, key}
	for s := v.layer(); s != nil; s = s.below {
		o, ok := s.outcomes[k]
		if !ok {
			continue
		}
		answer := *o
		if v.bug == AnswerFromNow {
			answer.State, _ = v.Account(accountID)
		}
		return answer, true, nil
	}
	return ledger.Outcome{}, false, nil
}

// Leg implements ledger.Books.
func (v *view) Leg(accountID, transactionID string, kind ledger.LegKind) (ledger.Leg, bool, error) {
	if v.bug == ForgetLegs {
		return ledger.Leg{}, false, nil
	}
	k := legKey{accountID, transactionID, kind}
	for s := v.layer(); s != nil; s = s.below {
		if leg, ok := s.legs[k]; ok {
			return leg, true, nil
		}
	}
	return ledger.Leg{}, false, nil
}

// Hold implements ledger.Books.
func (v *view) Hold(id string) (account.Hold, error) {
	for s := v.layer(); s != nil; s = s.below {
		h, ok := s.holds[id]
		if !ok {
			continue
		}
		told := *h
		if v.bug == ForgetCaptures && !v.folding {
			told.Captured = decimal.New(0, told.Captured.Exponent())
		}
		return told, nil
	}
	return account.Hold{}, nil
}

// Receipt implements ledger.Books.
func (v *view) Receipt(id string) (account.Receipt, error) {
	for s := v.layer(); s != nil; s = s.below {
		r, ok := s.receipts[id]
		if !ok {
			continue
		}
		told := *r
		if v.bug == ForgetRefunds && !v.folding {
			told.Refunded = decimal.New(0, told.Refunded.Exponent())
		}
		return told, nil
	}
	return account.Receipt{}, nil
}

// fold folds an event into the topmost layer, as the engine folds it into its speculation or its store.
func (v *view) fold(e *eventstore.Event) error {
	v.folding = true
	defer func() { v.folding = false }()
	before, err := v.Account(e.AggregateID)
	if err != nil {
		return err
	}
	after := before.Apply(e.AggregateID, e.Data.(account.Event), e.Timestamp)
	m, err := ledger.Remember(v, e, &after)
	if err != nil {
		return err
	}
	s := v.top
	s.accounts[accountNumber(e.AggregateID)] = &after
	if m.Outcome != nil {
		put(&s.outcomes, outcomeKey{e.AggregateID, e.IdempotencyKey}, m.Outcome)
	}
	if m.TransactionID != "" {
		put(&s.legs, legKey{e.AggregateID, m.TransactionID, m.Kind}, m.Leg)
	}
	if m.Hold != nil {
		put(&s.holds, m.Hold.ID, m.Hold)
		if _, ok := e.Data.(*account.HoldPlaced); ok {
			s.placed = append(s.placed, m.Hold.ID)
		}
	}
	if m.Receipt != nil {
		put(&s.receipts, m.Receipt.ID, m.Receipt)
	}
	return nil
}

// due finds the active holds of the bottom layer whose time is over.
func (s *shelf) due(now time.Time) (ids []string) {
	active := s.placed[:0]
	for _, id := range s.placed {
		h := s.holds[id]
		if h.Status != account.HoldActive {
			continue
		}
		active = append(active, id)
		if !h.ExpiresAt.After(now) {
			ids = append(ids, id)
		}
	}
	s.placed = active
	return ids
}
