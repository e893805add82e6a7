package engine

import (
	"daybook/domain/account"
	"daybook/engine/store"
	"daybook/eventstore"
)

// remember records in the batch what an event makes the partition remember beside the account's state: the outcome of
// its idempotency key, and the leg of a transaction that came, and may come again, as a command.
// It is a pure function of the event and the state after it.
func remember(b *store.Batch, e *eventstore.Event, after *account.State) {
	if e.IdempotencyKey != "" {
		o := outcomeOf(e, after)
		b.PutOutcome(e.AggregateID, e.IdempotencyKey, &o)
	}
	if id, kind, leg, ok := legOf(e.Data); ok {
		b.PutLeg(e.AggregateID, id, kind, leg)
	}
}

func outcomeOf(e *eventstore.Event, after *account.State) store.Outcome {
	o := store.Outcome{Fingerprint: e.Fingerprint, State: *after}
	if d, ok := e.Data.(*account.BalanceChanged); ok {
		o.TransactionID = d.TransactionID
	}
	return o
}

// legOf returns the leg that an event settles, if it is one that arrives as a command.
func legOf(d eventstore.Data) (transactionID string, kind store.LegKind, leg store.Leg, ok bool) {
	switch d := d.(type) {
	case *account.BalanceChanged:
		switch {
		case d.Reversal:
			return d.TransactionID, store.LegReversal, store.Leg{}, true
		case d.ChangeType == account.Credit && d.TransactionType != account.Topup:
			return d.TransactionID, store.LegCredit, store.Leg{}, true
		}
	case *account.CreditRefused:
		return d.TransactionID, store.LegCredit, store.Leg{RefusalCode: string(d.Code)}, true
	default:
	}
	return "", 0, store.Leg{}, false
}
