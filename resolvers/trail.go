package resolvers

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/graph/model"
	"daybook/projector"
)

// The audit trail: what happened to an account or in a transaction, and who asked for it.

func (r *Resolver) events(ctx context.Context, a *model.Account, first *int64, after *string) (*model.AccountEventConnection, error) {
	n, err := readFirst(first)
	if err != nil {
		return nil, err
	}
	version, err := readVersionCursor(eventCursor, after)
	if err != nil {
		return nil, err
	}
	if err := r.awaitRead(ctx, a); err != nil {
		return nil, err
	}
	page, err := r.Reads.Events(ctx, a.ID, version, n)
	if err != nil {
		return nil, err
	}
	c := &model.AccountEventConnection{Edges: make([]*model.AccountEventEdge, 0, len(page.Events)), PageInfo: &model.PageInfo{HasNextPage: page.More}}
	for i := range page.Events {
		e := &page.Events[i]
		edge := &model.AccountEventEdge{Cursor: encodeVersion(eventCursor, e.Version), Node: eventModel(e, a.Currency)}
		c.Edges = append(c.Edges, edge)
		c.PageInfo.EndCursor = &edge.Cursor
	}
	return c, nil
}

func (r *Resolver) trail(ctx context.Context, t *model.Transaction) ([]*model.AccountEvent, error) {
	if _, err := t.Origin(ctx); err != nil { // Which waits for the account's own events where something is to be waited for.
		return nil, err
	}
	if err := r.awaitTransaction(ctx, t.ID); err != nil {
		return nil, err
	}
	records, err := r.Reads.TransactionTrail(ctx, t.ID)
	if err != nil {
		return nil, err
	}
	events := make([]*model.AccountEvent, 0, len(records))
	for i := range records {
		events = append(events, eventModel(&records[i], t.Currency))
	}
	return events, nil
}

// knownOrigin is that of a transaction that was read with it.
func knownOrigin(t *projector.TransactionRecord) model.OriginFunc {
	return func(context.Context) (model.Origin, error) { return originModel(t), nil }
}

// transactionPoll is how often is looked whether the read model has a transaction that was just made, and
// transactionWait for how long.
const (
	transactionPoll = 10 * time.Millisecond
	transactionWait = 3 * time.Second
)

// awaitTransaction lets the read model come up to a transaction that a mutation answered from the state just written.
func (r *Resolver) awaitTransaction(ctx context.Context, id string) error {
	if graphql.GetOperationContext(ctx).Operation.Operation != ast.Mutation {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, transactionWait)
	defer cancel()
	tick := time.NewTicker(transactionPoll)
	defer tick.Stop()
	for {
		record, err := r.Reads.TransactionRecord(ctx, id)
		if err != nil || record.Status != "" {
			return err
		}
		select {
		case <-tick.C:
		case <-bounded.Done():
			return domain.Refuse(domain.ReadTimeout, "", "the read model has not seen the transaction in time; ask for it by its id")
		}
	}
}

// originOf looks the origin of a transaction up when it is asked for. The account is one that a mutation moved, for
// which the read model is waited; nil for none.
func (r *Resolver) originOf(id string, moved *model.Account) model.OriginFunc {
	return once(func(ctx context.Context) (model.Origin, error) {
		if moved != nil {
			if err := r.awaitRead(ctx, moved); err != nil {
				return model.Origin{}, err
			}
			// The event that began it, which the read model has before the transaction itself. A final capture has
			// another one after it.
			page, err := r.Reads.Events(ctx, moved.ID, max(moved.Version-2, 0), 2)
			if err != nil {
				return model.Origin{}, err
			}
			for i := range page.Events {
				e := &page.Events[i]
				if change, ok := e.Data.(*account.BalanceChanged); ok && change.TransactionID == id {
					return model.Origin{
						ActorID: given(e.Metadata.ActorID), ActorType: given(e.Metadata.ActorType),
						CorrelationID: given(e.CorrelationID), CausationID: given(e.ID),
					}, nil
				}
			}
		}
		record, err := r.Reads.TransactionRecord(ctx, id)
		return originModel(&record), err
	})
}

// told gives one part of a transaction's origin.
func told(ctx context.Context, t *model.Transaction, part func(model.Origin) *string) (*string, error) {
	origin, err := t.Origin(ctx)
	return part(origin), err
}

func originModel(t *projector.TransactionRecord) model.Origin {
	return model.Origin{
		ActorID: given(t.Actor.ActorID), ActorType: given(t.Actor.ActorType),
		CorrelationID: given(t.CorrelationID), CausationID: given(t.CausationID),
	}
}

// once makes fields that are resolved side by side share one look-up.
func once[T any](read func(context.Context) (T, error)) func(context.Context) (T, error) {
	var begun sync.Once
	var value T
	var err error
	return func(ctx context.Context) (T, error) {
		begun.Do(func() { value, err = read(ctx) })
		return value, err
	}
}

// eventModel tells what an event says. Its balance is in the account's currency.
func eventModel(e *projector.EventRecord, c money.Currency) *model.AccountEvent {
	m := &model.AccountEvent{
		EventID: e.ID, AccountID: e.AggregateID, Type: e.Data.EventType(), Version: e.Version, Timestamp: e.Timestamp,
		Partition: int64(e.Partition), Offset: strconv.FormatInt(e.Offset, 10), ActorID: given(e.Metadata.ActorID),
		ActorType: given(e.Metadata.ActorType), CorrelationID: e.CorrelationID, CausationID: given(e.CausationID),
		Balance: amountOrNull(e.Balance, c),
	}
	said, _ := e.Data.(account.Event)
	switch d := said.(type) {
	case *account.Created:
		m.Currency, m.NewStatus, m.NewLimits = given(d.Currency), given(account.Active), limitsModel(d.Limits, d.Currency)
	case *account.BalanceChanged:
		tellMovement(m, d.TransactionID, d.TransactionType, d.CounterpartyID, d.HoldID, d.RefundOf, d.Reason)
		m.Amount, m.Currency = given(amount(d.ChangeAmount, d.Currency)), given(d.Currency)
		m.ChangeType, m.Reversal, m.RefusalCode = given(d.ChangeType), &d.Reversal, given(d.RefusalCode)
	case *account.CreditRefused:
		tellMovement(m, d.TransactionID, d.TransactionType, d.CounterpartyID, d.HoldID, d.RefundOf, d.Reason)
		m.Amount, m.Currency, m.RefusalCode = given(amount(d.Amount, d.Currency)), given(d.Currency), given(d.Code)
	case *account.StatusChanged:
		m.PreviousStatus, m.NewStatus, m.Reason = given(d.PreviousStatus), given(d.NewStatus), given(d.Reason)
	case *account.LimitsChanged:
		m.PreviousLimits, m.NewLimits = limitsModel(d.PreviousLimits, d.Currency), limitsModel(d.NewLimits, d.Currency)
		m.Currency, m.Reason = given(d.Currency), given(d.Reason)
	case *account.HoldPlaced:
		m.HoldID, m.CounterpartyID, m.ExpiresAt = given(d.HoldID), given(d.CounterpartyID), given(d.ExpiresAt)
		m.Amount, m.Currency, m.Reason = given(amount(d.Amount, d.Currency)), given(d.Currency), given(d.Reason)
	case *account.HoldReleased:
		m.HoldID, m.TransactionID, m.HoldStatus = given(d.HoldID), given(d.TransactionID), given(d.Cause)
		m.Amount, m.Currency, m.Reason = given(amount(d.Amount, d.Currency)), given(d.Currency), given(d.Reason)
	default: // Nothing else is recorded of an account.
	}
	return m
}

func tellMovement(m *model.AccountEvent, id string, kind account.MovementType, counterparty, hold, refundOf, reason string) {
	m.TransactionID, m.TransactionType, m.CounterpartyID = given(id), given(kind), given(counterparty)
	m.HoldID, m.RefundOf, m.Reason = given(hold), given(refundOf), given(reason)
}
