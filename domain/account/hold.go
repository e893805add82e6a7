package account

import (
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/money"
)

// A hold keeps its amount for this long unless asked otherwise, and at most so long.
const (
	DefaultHoldLife = 7 * 24 * time.Hour
	MaxHoldLife     = 366 * 24 * time.Hour
)

// Hold is the fold of the events of one hold. Its zero value is a hold that does not exist.
type Hold struct {
	ID        string
	AccountID string
	// CounterpartyID is the payee.
	CounterpartyID string
	Currency       money.Currency
	// Amount is what was set aside, Captured what of it was paid, Released what was made available again.
	Amount   decimal.Decimal
	Captured decimal.Decimal
	Released decimal.Decimal
	Reason   string
	Status   HoldStatus
	// ExpiresAt is the first moment at which it cannot be captured any more.
	ExpiresAt time.Time
	CreatedAt time.Time
	UpdatedAt time.Time
}

// Exists tells whether the hold was placed.
func (h Hold) Exists() bool { return h.Status != "" }

// Remaining is what the hold still keeps.
func (h Hold) Remaining() decimal.Decimal { return h.Amount.Sub(h.Captured).Sub(h.Released) }

// HoldOf returns the id of the hold that an event of its account is about; empty when it is about none.
func HoldOf(e Event) string {
	switch e := e.(type) {
	case *HoldPlaced:
		return e.HoldID
	case *HoldReleased:
		return e.HoldID
	case *BalanceChanged:
		if e.ChangeType == Debit {
			return e.HoldID
		}
	case *Created, *StatusChanged, *LimitsChanged, *CreditRefused:
	}
	return ""
}

// Apply folds one event of the account, for which HoldOf gives this hold's id, recorded at the given time.
func (h Hold) Apply(accountID string, e Event, at time.Time) Hold {
	h.UpdatedAt = at
	switch e := e.(type) {
	case *HoldPlaced:
		zero := decimal.New(0, -e.Currency.Scale())
		h = Hold{
			ID: e.HoldID, AccountID: accountID, CounterpartyID: e.CounterpartyID, Currency: e.Currency, Amount: e.Amount,
			Captured: zero, Released: zero, Reason: e.Reason, Status: HoldActive, ExpiresAt: e.ExpiresAt, CreatedAt: at, UpdatedAt: at,
		}
	case *BalanceChanged:
		h.Captured = h.Captured.Add(e.ChangeAmount)
		if h.Remaining().IsZero() {
			h.Status = HoldCaptured
		}
	case *HoldReleased:
		h.Released = h.Released.Add(e.Amount)
		h.Status = e.Cause
	case *Created, *StatusChanged, *LimitsChanged, *CreditRefused:
	}
	return h
}

// DecideHold sets an amount aside. Refusals: ACCOUNT_NOT_FOUND, ACCOUNT_SUSPENDED, ACCOUNT_CLOSED, CURRENCY_MISMATCH,
// INSUFFICIENT_BALANCE, BAD_USER_INPUT when it would expire at once or later than MaxHoldLife from now. What ExpiresAt
// has below a millisecond is dropped, as the log cannot keep it.
func DecideHold(s State, p HoldPlaced, now time.Time) (*HoldPlaced, error) {
	if err := takes(s, p.Currency, Debit); err != nil {
		return nil, err
	}
	p.ExpiresAt = p.ExpiresAt.Truncate(time.Millisecond)
	if !p.ExpiresAt.After(now) || p.ExpiresAt.After(now.Add(MaxHoldLife)) {
		return nil, domain.Refuse(domain.BadUserInput, "expiresAt", "expiresAt must be in the future, and at most 366 days away")
	}
	if err := affords(s, p.Amount); err != nil {
		return nil, err
	}
	return &p, nil
}

// DecideCapture pays the movement's amount out of a hold; with final set, what is then left of it is released.
// What is held was checked against the limits when it was set aside. Refusals: HOLD_NOT_FOUND, HOLD_EXPIRED,
// HOLD_NOT_ACTIVE, ACCOUNT_SUSPENDED, CAPTURE_EXCEEDS_HOLD.
func DecideCapture(s State, h Hold, m Movement, final bool, now time.Time) ([]Event, error) {
	if err := h.usable(now); err != nil {
		return nil, err
	}
	if err := takes(s, h.Currency, Debit); err != nil {
		return nil, err
	}
	rest := h.Remaining().Sub(m.Amount)
	if rest.IsNegative() {
		return nil, domain.Refuse(domain.CaptureExceedsHold, "amount",
			"the hold keeps %s %s; choose at most that", money.Format(h.Remaining(), h.Currency), h.Currency)
	}
	m.HoldID = h.ID
	events := []Event{changed(s, m, Debit, s.Balance.Sub(m.Amount))}
	if final && rest.IsPositive() {
		events = append(events, &HoldReleased{
			HoldID: h.ID, Amount: rest, Currency: h.Currency, Cause: HoldCaptured, Reason: m.Reason, TransactionID: m.TransactionID,
		})
	}
	return events, nil
}

// DecideVoid releases what is left of a hold. Refusals: HOLD_NOT_FOUND, HOLD_EXPIRED, HOLD_NOT_ACTIVE.
func DecideVoid(h Hold, reason string, now time.Time) (*HoldReleased, error) {
	if err := h.usable(now); err != nil {
		return nil, err
	}
	return &HoldReleased{HoldID: h.ID, Amount: h.Remaining(), Currency: h.Currency, Cause: HoldVoided, Reason: reason}, nil
}

// DecideExpiry releases what is left of a hold whose time is over; nil when there is nothing to do.
func DecideExpiry(h Hold, now time.Time) *HoldReleased {
	if h.Status != HoldActive || now.Before(h.ExpiresAt) {
		return nil
	}
	return &HoldReleased{HoldID: h.ID, Amount: h.Remaining(), Currency: h.Currency, Cause: HoldExpired, Reason: "expired"}
}

// usable checks that the hold can be captured or voided. One whose time is over cannot, be it released already or not.
func (h Hold) usable(now time.Time) error {
	switch {
	case !h.Exists():
		return HoldNotFound()
	case h.Status == HoldExpired, h.Status == HoldActive && !now.Before(h.ExpiresAt):
		return domain.Refuse(domain.HoldExpired, "holdId", "the hold has expired; authorize a new one")
	case h.Status != HoldActive:
		return domain.Refuse(domain.HoldNotActive, "holdId", "the hold was captured or voided already; authorize a new one")
	}
	return nil
}

// HoldNotFound refuses an id that no hold has.
func HoldNotFound() error {
	return domain.Refuse(domain.HoldNotFound, "holdId", "no hold has this id; check it")
}
