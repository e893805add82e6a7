package account

import (
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/money"
)

// State is the fold of an account's events. Its zero value is an account that does not exist.
type State struct {
	ID       string
	OwnerID  string
	Type     Type
	Currency money.Currency
	Status   Status
	Balance  decimal.Decimal
	// Held is what active holds keep of the balance.
	Held   decimal.Decimal
	Limits Limits
	// Version counts the events. It can be above zero before the account exists: a refused credit is an event too.
	Version   int64
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Exists tells whether the account was created.
func (s State) Exists() bool { return s.Status != "" }

// Available is what limits are checked against: the balance without what is held.
func (s State) Available() decimal.Decimal { return s.Balance.Sub(s.Held) }

// Apply folds one event, recorded at the given time, into the state. It never fails and never validates: what is in
// the log happened.
func (s State) Apply(id string, e Event, at time.Time) State {
	s.ID = id
	s.Version++
	s.UpdatedAt = at
	switch e := e.(type) {
	case *Created:
		s.OwnerID, s.Type, s.Currency, s.Limits = e.OwnerID, e.Type, e.Currency, e.Limits
		s.Status = Active
		s.Balance = decimal.New(0, -e.Currency.Scale())
		s.Held = s.Balance
		s.CreatedAt = at
	case *BalanceChanged:
		s.Balance = e.NewBalance
		if e.HoldID != "" && e.ChangeType == Debit {
			s.Held = s.Held.Sub(e.ChangeAmount)
		}
	case *StatusChanged:
		s.Status = e.NewStatus
	case *LimitsChanged:
		s.Limits = e.NewLimits
	case *CreditRefused:
		// Nothing moved; only the version counts.
	case *HoldPlaced:
		s.Held = s.Held.Add(e.Amount)
	case *HoldReleased:
		s.Held = s.Held.Sub(e.Amount)
	}
	return s
}
