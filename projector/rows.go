package projector

import (
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// The rows below hold text as it stands in the database; an empty string is NULL.

// accountRow is the state of an account.
type accountRow struct {
	bun.BaseModel `bun:"table:accounts"`

	ID         string
	OwnerID    string
	Type       string
	Currency   string
	Status     string
	Balance    string
	Held       string
	MinBalance string
	MaxBalance string
	Version    int64
	CreatedAt  int64
	UpdatedAt  int64
	Partition  int32
}

func newAccountRow(s *account.State, partition int32) accountRow {
	r := accountRow{ID: s.ID, Version: s.Version, UpdatedAt: s.UpdatedAt.UnixMilli(), Partition: partition}
	if s.Exists() {
		r.OwnerID, r.Type, r.Currency, r.Status = s.OwnerID, string(s.Type), string(s.Currency), string(s.Status)
		r.Balance, r.Held = money.Format(s.Balance, s.Currency), money.Format(s.Held, s.Currency)
		r.MinBalance, r.MaxBalance = formatLimits(s.Limits, s.Currency)
		r.CreatedAt = s.CreatedAt.UnixMilli()
	}
	return r
}

func (r *accountRow) state() (account.State, error) {
	s := account.State{ID: r.ID, Version: r.Version, UpdatedAt: moment(r.UpdatedAt)}
	if r.Status == "" {
		return s, nil
	}
	s.OwnerID, s.Type, s.Currency, s.Status = r.OwnerID, account.Type(r.Type), money.Currency(r.Currency), account.Status(r.Status)
	s.CreatedAt = moment(r.CreatedAt)
	var err error
	if s.Balance, err = parseAmount(r.Balance); err != nil {
		return account.State{}, fmt.Errorf("balance of account %s: %w", r.ID, err)
	}
	if s.Held, err = parseAmount(r.Held); err != nil {
		return account.State{}, fmt.Errorf("what is held on account %s: %w", r.ID, err)
	}
	if s.Limits, err = parseLimits(r.MinBalance, r.MaxBalance); err != nil {
		return account.State{}, fmt.Errorf("limits of account %s: %w", r.ID, err)
	}
	return s, nil
}

// transactionRow is the state of a transaction, and where it came from.
type transactionRow struct {
	bun.BaseModel `bun:"table:transactions"`

	ID          string
	Type        string
	Status      string
	Amount      string
	Currency    string
	FromID      string
	ToID        string
	Reason      string
	HoldID      string
	RefundOf    string
	FailureCode string
	UpdatedAt   int64
	Version     int64

	// What follows is of the first event and never changes.
	CreatedAt     int64
	CorrelationID string
	CausationID   string
	ActorID       string
	ActorType     string
	Partition     int32
}

// newTransactionRow makes the row of a transaction that began with an event.
func newTransactionRow(s *transaction.State, began *eventstore.Event, partition int32) transactionRow {
	return transactionRow{
		ID: s.ID, Type: string(s.Type), Status: string(s.Status), Amount: money.Format(s.Amount, s.Currency), Currency: string(s.Currency),
		FromID: s.From, ToID: s.To, Reason: s.Reason, HoldID: s.HoldID, RefundOf: s.RefundOf, FailureCode: string(s.FailureCode),
		UpdatedAt: s.UpdatedAt.UnixMilli(), Version: s.Version(),
		CreatedAt: s.CreatedAt.UnixMilli(), CorrelationID: began.CorrelationID, CausationID: began.CausationID,
		ActorID: began.Metadata.ActorID, ActorType: began.Metadata.ActorType, Partition: partition,
	}
}

func (r *transactionRow) state() (transaction.State, error) {
	amount, err := parseAmount(r.Amount)
	if err != nil {
		return transaction.State{}, fmt.Errorf("amount of transaction %s: %w", r.ID, err)
	}
	return transaction.State{
		ID: r.ID, Status: transaction.Status(r.Status), FailureCode: domain.Code(r.FailureCode),
		CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt),
		Details: transaction.Details{
			Type: account.MovementType(r.Type), Amount: amount, Currency: money.Currency(r.Currency), From: r.FromID, To: r.ToID,
			Reason: r.Reason, HoldID: r.HoldID, RefundOf: r.RefundOf,
		},
	}, nil
}

func (r *transactionRow) record() (TransactionRecord, error) {
	s, err := r.state()
	return TransactionRecord{
		State: s, CorrelationID: r.CorrelationID, CausationID: r.CausationID,
		Actor: eventstore.Metadata{ActorID: r.ActorID, ActorType: r.ActorType},
	}, err
}

// holdRow is the state of a hold.
type holdRow struct {
	bun.BaseModel `bun:"table:holds"`

	ID             string
	AccountID      string
	CounterpartyID string
	Currency       string
	Amount         string
	Captured       string
	Released       string
	Status         string
	Reason         string
	ExpiresAt      int64
	CreatedAt      int64
	UpdatedAt      int64
	Placed         int64
	Version        int64
	Partition      int32
}

// holdState is a hold with the versions of its account at its first and last event.
type holdState struct {
	account.Hold
	placed, version int64
}

// apply folds an event into a state that is kept for long: it must not hold on to the event's memory. What is not
// placed is left alone: verify tells of it.
func (s *holdState) apply(e *eventstore.Recorded) {
	_, placed := e.Data.(*account.HoldPlaced)
	if !placed && !s.Exists() {
		return
	}
	s.Hold = s.Apply(e.AggregateID, e.Data.(account.Event), e.Timestamp)
	s.Status, s.version = account.HoldStatus(strings.Clone(string(s.Status))), e.Version
	if placed {
		s.placed = e.Version
		s.ID, s.AccountID, s.CounterpartyID = strings.Clone(s.ID), strings.Clone(s.AccountID), strings.Clone(s.CounterpartyID)
		s.Currency, s.Reason = money.Currency(strings.Clone(string(s.Currency))), strings.Clone(s.Reason)
	}
}

func newHoldRow(s *holdState, partition int32) holdRow {
	return holdRow{
		ID: s.ID, AccountID: s.AccountID, CounterpartyID: s.CounterpartyID, Currency: string(s.Currency),
		Amount: money.Format(s.Amount, s.Currency), Captured: money.Format(s.Captured, s.Currency), Released: money.Format(s.Released, s.Currency),
		Status: string(s.Status), Reason: s.Reason, ExpiresAt: s.ExpiresAt.UnixMilli(), CreatedAt: s.CreatedAt.UnixMilli(),
		UpdatedAt: s.UpdatedAt.UnixMilli(), Placed: s.placed, Version: s.version, Partition: partition,
	}
}

func (r *holdRow) state() (holdState, error) {
	s := holdState{placed: r.Placed, version: r.Version, Hold: account.Hold{
		ID: r.ID, AccountID: r.AccountID, CounterpartyID: r.CounterpartyID, Currency: money.Currency(r.Currency), Reason: r.Reason,
		Status: account.HoldStatus(r.Status), ExpiresAt: moment(r.ExpiresAt), CreatedAt: moment(r.CreatedAt), UpdatedAt: moment(r.UpdatedAt),
	}}
	var err error
	for _, part := range []struct {
		text string
		into *decimal.Decimal
	}{{r.Amount, &s.Amount}, {r.Captured, &s.Captured}, {r.Released, &s.Released}} {
		if *part.into, err = parseAmount(part.text); err != nil {
			return holdState{}, fmt.Errorf("amounts of hold %s: %w", r.ID, err)
		}
	}
	return s, nil
}

// damaged is an error about what was read and cannot be what was written there.
type damaged struct{ error }

func (d damaged) Unwrap() error { return d.error }

// parseAmount reads an amount of the read model.
func parseAmount(text string) (decimal.Decimal, error) {
	amount, err := money.ParseTrusted(text)
	if err != nil {
		return amount, damaged{err}
	}
	return amount, nil
}

func formatLimits(l account.Limits, c money.Currency) (low, high string) {
	low = money.Format(l.Min, c)
	if l.Max.Valid {
		high = money.Format(l.Max.Decimal, c)
	}
	return low, high
}

func parseLimits(low, high string) (l account.Limits, err error) {
	if l.Min, err = parseAmount(low); err != nil {
		return l, err
	}
	if high != "" {
		d, err := parseAmount(high)
		if err != nil {
			return l, err
		}
		l.Max = decimal.NewNullDecimal(d)
	}
	return l, nil
}

func moment(ms int64) time.Time { return time.UnixMilli(ms).UTC() }
