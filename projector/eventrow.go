package projector

import (
	"encoding/json"
	"fmt"

	"github.com/uptrace/bun"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// eventRow is an event of an account, with the account's balance after it.
type eventRow struct {
	bun.BaseModel `bun:"table:account_events"`

	AccountID       string
	Version         int64
	At              int64
	LogOffset       int64
	Partition       int32
	Reversal        bool
	EventType       string
	EventID         string
	Balance         string
	Amount          string
	ChangeType      string
	Currency        string
	Reason          string
	TransactionID   string
	TransactionType string
	CounterpartyID  string
	HoldID          string
	RefundOf        string
	RefusalCode     string
	ActorID         string
	ActorType       string
	CorrelationID   string
	CausationID     string
	Details         string
}

// details is what only rare events have.
type details struct {
	OwnerID         string `json:"ownerId,omitempty"`
	Type            string `json:"type,omitempty"`
	PreviousStatus  string `json:"previousStatus,omitempty"`
	NewStatus       string `json:"newStatus,omitempty"`
	PreviousMinimum string `json:"previousMinBalance,omitempty"`
	PreviousMaximum string `json:"previousMaxBalance,omitempty"`
	Minimum         string `json:"minBalance,omitempty"`
	Maximum         string `json:"maxBalance,omitempty"`
	ExpiresAt       int64  `json:"expiresAt,omitempty"` // Milliseconds since 1970.
	Cause           string `json:"cause,omitempty"`
}

// newEventRow makes the row of an event after which the account is as given.
func newEventRow(e *eventstore.Recorded, after *account.State) eventRow {
	r := eventRow{
		AccountID: e.AggregateID, Version: e.Version, At: e.Timestamp.UnixMilli(), LogOffset: e.Offset, Partition: e.Partition,
		EventType: e.Data.EventType(), EventID: e.ID, Currency: string(after.Currency),
		ActorID: e.Metadata.ActorID, ActorType: e.Metadata.ActorType, CorrelationID: e.CorrelationID, CausationID: e.CausationID,
	}
	if after.Exists() {
		r.Balance = money.Format(after.Balance, after.Currency)
	}
	switch d := e.Data.(type) {
	case *account.BalanceChanged:
		r.Amount, r.ChangeType, r.Currency = money.Format(d.ChangeAmount, d.Currency), string(d.ChangeType), string(d.Currency)
		r.Reason, r.TransactionID, r.TransactionType = d.Reason, d.TransactionID, string(d.TransactionType)
		r.CounterpartyID, r.Reversal, r.RefusalCode = d.CounterpartyID, d.Reversal, string(d.RefusalCode)
		r.HoldID, r.RefundOf = d.HoldID, d.RefundOf
	case *account.CreditRefused:
		r.Amount, r.Currency = money.Format(d.Amount, d.Currency), string(d.Currency)
		r.Reason, r.TransactionID, r.TransactionType = d.Reason, d.TransactionID, string(d.TransactionType)
		r.CounterpartyID, r.RefusalCode = d.CounterpartyID, string(d.Code)
		r.HoldID, r.RefundOf = d.HoldID, d.RefundOf
	case *account.HoldPlaced:
		r.Amount, r.Currency, r.Reason = money.Format(d.Amount, d.Currency), string(d.Currency), d.Reason
		r.HoldID, r.CounterpartyID = d.HoldID, d.CounterpartyID
		r.Details = marshal(details{ExpiresAt: d.ExpiresAt.UnixMilli()})
	case *account.HoldReleased:
		r.Amount, r.Currency, r.Reason = money.Format(d.Amount, d.Currency), string(d.Currency), d.Reason
		r.HoldID, r.TransactionID = d.HoldID, d.TransactionID
		r.Details = marshal(details{Cause: string(d.Cause)})
	case *account.Created:
		low, high := formatLimits(d.Limits, d.Currency)
		r.Details = marshal(details{OwnerID: d.OwnerID, Type: string(d.Type), Minimum: low, Maximum: high})
	case *account.StatusChanged:
		r.Reason = d.Reason
		r.Details = marshal(details{PreviousStatus: string(d.PreviousStatus), NewStatus: string(d.NewStatus)})
	case *account.LimitsChanged:
		r.Reason, r.Currency = d.Reason, string(d.Currency)
		low, high := formatLimits(d.NewLimits, d.Currency)
		lowBefore, highBefore := formatLimits(d.PreviousLimits, d.Currency)
		r.Details = marshal(details{PreviousMinimum: lowBefore, PreviousMaximum: highBefore, Minimum: low, Maximum: high})
	case *transaction.Event, *Change: // Neither is an event of an account; all are named so that the linter tells of a new one.
	}
	return r
}

// event gives the event back as it stands in the log, headers apart.
func (r *eventRow) event() (eventstore.Event, error) {
	e := eventstore.Event{
		ID: r.EventID, AggregateID: r.AccountID, Version: r.Version, Timestamp: moment(r.At), CorrelationID: r.CorrelationID,
		CausationID: r.CausationID, Metadata: eventstore.Metadata{ActorID: r.ActorID, ActorType: r.ActorType},
	}
	data, err := r.data()
	if err != nil {
		return e, damaged{fmt.Errorf("event %d of account %s: %w", r.Version, r.AccountID, err)}
	}
	e.Data = data
	return e, nil
}

func (r *eventRow) data() (account.Event, error) {
	currency := money.Currency(r.Currency)
	switch r.EventType {
	case (*account.BalanceChanged)(nil).EventType():
		change, err := r.change()
		return &change, err
	case (*account.CreditRefused)(nil).EventType():
		amount, err := parseAmount(r.Amount)
		return &account.CreditRefused{
			Amount: amount, Currency: currency, TransactionID: r.TransactionID, TransactionType: account.MovementType(r.TransactionType),
			CounterpartyID: r.CounterpartyID, Reason: r.Reason, Code: domain.Code(r.RefusalCode), HoldID: r.HoldID, RefundOf: r.RefundOf,
		}, err
	}
	return r.rareData(currency)
}

// rareData reads what has details.
func (r *eventRow) rareData(currency money.Currency) (account.Event, error) {
	var d details
	if err := json.Unmarshal([]byte(r.Details), &d); err != nil {
		return nil, fmt.Errorf("details: %w", err)
	}
	switch r.EventType {
	case (*account.Created)(nil).EventType():
		limits, err := parseLimits(d.Minimum, d.Maximum)
		return &account.Created{OwnerID: d.OwnerID, Type: account.Type(d.Type), Currency: currency, Limits: limits}, err
	case (*account.StatusChanged)(nil).EventType():
		return &account.StatusChanged{PreviousStatus: account.Status(d.PreviousStatus), NewStatus: account.Status(d.NewStatus), Reason: r.Reason}, nil
	case (*account.LimitsChanged)(nil).EventType():
		before, err := parseLimits(d.PreviousMinimum, d.PreviousMaximum)
		if err != nil {
			return nil, err
		}
		limits, err := parseLimits(d.Minimum, d.Maximum)
		return &account.LimitsChanged{Currency: currency, PreviousLimits: before, NewLimits: limits, Reason: r.Reason}, err
	case (*account.HoldPlaced)(nil).EventType():
		amount, err := parseAmount(r.Amount)
		return &account.HoldPlaced{
			HoldID: r.HoldID, Amount: amount, Currency: currency, CounterpartyID: r.CounterpartyID, ExpiresAt: moment(d.ExpiresAt), Reason: r.Reason,
		}, err
	case (*account.HoldReleased)(nil).EventType():
		amount, err := parseAmount(r.Amount)
		return &account.HoldReleased{
			HoldID: r.HoldID, Amount: amount, Currency: currency, Cause: account.HoldStatus(d.Cause), Reason: r.Reason, TransactionID: r.TransactionID,
		}, err
	}
	return nil, fmt.Errorf("type %q is not known", r.EventType)
}

// change gives a change of balance back. The balance before follows from the one after.
func (r *eventRow) change() (account.BalanceChanged, error) {
	c := account.BalanceChanged{
		ChangeType: account.ChangeType(r.ChangeType), Reason: r.Reason, TransactionID: r.TransactionID, Currency: money.Currency(r.Currency),
		TransactionType: account.MovementType(r.TransactionType), CounterpartyID: r.CounterpartyID, Reversal: r.Reversal,
		RefusalCode: domain.Code(r.RefusalCode), HoldID: r.HoldID, RefundOf: r.RefundOf,
	}
	var err error
	if c.ChangeAmount, err = parseAmount(r.Amount); err != nil {
		return c, err
	}
	if c.NewBalance, err = parseAmount(r.Balance); err != nil {
		return c, err
	}
	c.PreviousBalance = c.NewBalance.Sub(c.SignedAmount())
	return c, nil
}

func marshal(d details) string {
	b, err := json.Marshal(d)
	if err != nil { // Strings always marshal.
		panic(err)
	}
	return string(b)
}
