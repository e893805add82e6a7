package projector

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/eventstore"
)

// holdBook is a hold as the log tells it.
type holdBook struct {
	holdState
	seen bool
}

// postHold folds what an event says of a hold, of which the account's state tells already. That every hold is placed
// once, gives no more than it keeps, and releases all the rest when it ends, makes what is held on an account the sum of
// what its holds keep.
func (b *books) postHold(a *accountBook, e *eventstore.Recorded, complain func(string, ...any)) {
	data := e.Data.(account.Event)
	id := account.HoldOf(data)
	if id == "" {
		return
	}
	h := b.holds[id]
	placed, isPlaced := data.(*account.HoldPlaced)
	switch {
	case isPlaced && h != nil:
		complain("hold %s is placed twice", id)
		return
	case isPlaced:
		h = &holdBook{}
		b.holds[strings.Clone(id)] = h
		if !placed.Amount.IsPositive() {
			complain("hold %s keeps %s", id, placed.Amount)
		}
		if available := a.state.Available(); available.LessThan(a.state.Limits.Min) {
			complain("hold %s leaves %s available, below the lower limit %s", id, available, a.state.Limits.Min)
		}
	case h == nil || h.AccountID != e.AggregateID:
		complain("hold %s was not placed on this account", id)
		return
	case h.Status != account.HoldActive:
		complain("hold %s is %s and changes again", id, h.Status)
	}
	switch d := data.(type) {
	case *account.BalanceChanged:
		if d.ChangeAmount.GreaterThan(h.Remaining()) {
			complain("%s are captured of hold %s, which keeps %s", d.ChangeAmount, id, h.Remaining())
		}
		if d.CounterpartyID != h.CounterpartyID {
			complain("hold %s for %s is captured by %s", id, h.CounterpartyID, d.CounterpartyID)
		}
	case *account.HoldReleased:
		if !d.Amount.Equal(h.Remaining()) || d.Cause == account.HoldActive {
			complain("hold %s keeps %s and ends %s with %s released", id, h.Remaining(), d.Cause, d.Amount)
		}
	case *account.Created, *account.StatusChanged, *account.LimitsChanged, *account.CreditRefused, *account.HoldPlaced, *Change:
	}
	h.apply(e)
}

// compareHolds compares the rows of holds with the fold.
func (v *verifier) compareHolds(ctx context.Context) error {
	err := v.snapshot.holds(ctx, func(r *holdRow) error {
		h := v.books.holds[r.ID]
		if h == nil {
			v.report.differ(onlyModel(r.ID, r.Partition, "the read model has a hold of which the log has no event"))
			return nil
		}
		h.seen = true
		want := newHoldRow(&h.holdState, eventstore.PartitionOf(h.AccountID, v.cfg.Partitions))
		if d := differences(holdRows{want}, holdRows{*r}, &holdsTable); d != "" {
			v.report.differ(onlyModel(r.ID, r.Partition, "the hold differs: "+d))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for id, h := range v.books.holds {
		if !h.seen {
			v.report.differ(onlyModel(id, eventstore.PartitionOf(h.AccountID, v.cfg.Partitions), "the read model lacks the hold"))
		}
	}
	v.report.Holds = int64(len(v.books.holds))
	v.books.holds = nil
	return nil
}

// refundBook is what of a payment was refunded. Only payments that were are remembered.
type refundBook struct {
	payee, payer string
	// since is the payee's version at the first refund.
	since int64
	// refunded leaves out what came back, peak is the most it ever was.
	refunded, peak decimal.Decimal
	partition      int32
	// received is what the payment brought; covered when it did so before the first refund.
	received decimal.Decimal
	covered  bool
}

// postRefund takes down what leaves the payee of a payment, or comes back.
func (b *books) postRefund(e *eventstore.Recorded, c *account.BalanceChanged) {
	if c.TransactionType != account.Refund {
		return
	}
	id := account.ReceiptOf(c)
	if id == "" {
		return
	}
	r := b.refunds[id]
	if r == nil {
		r = &refundBook{
			payee: strings.Clone(e.AggregateID), payer: strings.Clone(c.CounterpartyID), since: e.Version, partition: e.Partition,
		}
		b.refunds[strings.Clone(id)] = r
	}
	if c.CounterpartyID != r.payer || e.AggregateID != r.payee {
		b.differ(Difference{Subject: r.payee, Partition: e.Partition, Offset: e.Offset,
			Message: fmt.Sprintf("payment %s is refunded by or to more than one account", id)})
	}
	r.refunded = r.refunded.Sub(c.SignedAmount())
	if r.refunded.GreaterThan(r.peak) {
		r.peak = r.refunded
	}
}

// receive takes down the payment, if it was refunded. It is called with every row: what the rows differ from the log
// in is found apart from this.
func (b *books) receive(e *eventstore.Event) {
	c, ok := e.Data.(*account.BalanceChanged)
	if !ok || c.TransactionType != account.Payment || account.ReceiptOf(c) == "" {
		return
	}
	r := b.refunds[c.TransactionID]
	if r != nil && e.AggregateID == r.payee && c.CounterpartyID == r.payer && e.Version < r.since {
		r.received, r.covered = c.ChangeAmount, true
	}
}

// checkRefunds checks that no payment was ever refunded by more than it brought, nor before it did.
func (v *verifier) checkRefunds(context.Context) error {
	for id, r := range v.books.refunds {
		switch {
		case !r.covered:
			v.report.differ(onlyModel(r.payee, r.partition, fmt.Sprintf("payment %s is refunded to %s and was never received from there", id, r.payer)))
		case r.peak.GreaterThan(r.received):
			v.report.differ(onlyModel(r.payee, r.partition, fmt.Sprintf("%s of payment %s are refunded, which was of %s", r.peak, id, r.received)))
		}
	}
	v.books.refunds = nil
	return nil
}

// ledgerBook is the ledger of a partition as the log tells it: a sum of digests of the rows for each bucket.
type ledgerBook struct {
	// last is the latest moment in the partition: trial balances count on it that moments never decrease there.
	last    time.Time
	sums    *bucketSums
	digests map[int64]uint64
	rows    ledgerRows
}

func (l *ledgerBook) post(b *books, e *eventstore.Recorded, kind account.Type, c *account.BalanceChanged) {
	if e.Timestamp.Before(l.last) {
		b.differ(Difference{Subject: e.AggregateID, Partition: e.Partition, Offset: e.Offset,
			Message: fmt.Sprintf("version %d is earlier than one before it in the partition", e.Version)})
	}
	l.last = e.Timestamp
	l.rows = l.sums.post(e, kind, c, l.rows[:0])
	l.close(b)
}

// close adds the rows of a bucket that is over.
func (l *ledgerBook) close(b *books) {
	for i := range l.rows {
		l.digests[l.rows[i].Bucket] += b.rowSum(l.rows[i:i+1], 0, len(ledgerTable.columns))
	}
}

// compareLedger takes every row of the ledger off its bucket's sum.
func (v *verifier) compareLedger(ctx context.Context) error {
	for _, l := range v.books.ledgers {
		l.rows = l.sums.changed(l.rows[:0])
		l.close(v.books)
	}
	err := v.snapshot.ledger(ctx, func(r *ledgerRow) error {
		if r.Partition < 0 || int(r.Partition) >= len(v.books.ledgers) {
			v.report.differ(onlyModel("ledger", r.Partition, "the ledger has a row of a partition that the topic has not"))
			return nil
		}
		v.books.ledgers[r.Partition].digests[r.Bucket] -= v.books.rowSum(ledgerRows{*r}, 0, len(ledgerTable.columns))
		return nil
	})
	if err != nil {
		return err
	}
	for p, l := range v.books.ledgers {
		for bucket, rest := range l.digests {
			if rest != 0 {
				v.report.differ(onlyModel("ledger", int32(p), fmt.Sprintf(
					"the ledger's sums over offsets %d to %d are not those of the log", bucket*ledgerBucket, (bucket+1)*ledgerBucket-1)))
			}
		}
	}
	v.books.ledgers = nil
	return nil
}
