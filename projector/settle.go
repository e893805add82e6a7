package projector

import (
	"context"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// transactionBook is a transaction as the log tells it.
type transactionBook struct {
	createdAt int64
	status    transaction.Status
	// sum is the digest of its row.
	sum  uint64
	seen bool
}

// compareTransactions folds and compares the transactions, one partition after another.
func (v *verifier) compareTransactions(ctx context.Context) error {
	for p := range v.cfg.Partitions {
		books, err := v.foldTransactions(ctx, p)
		if err != nil {
			return err
		}
		err = v.snapshot.transactions(ctx, p, func(r *transactionRow) error {
			b := books[r.ID]
			if b == nil {
				v.report.differ(onlyModel(r.ID, p, "the read model has a transaction of which the log has no event"))
				return nil
			}
			b.seen = true
			if sum := v.rowSum(r); sum != b.sum {
				v.report.differ(onlyModel(r.ID, p, fmt.Sprintf("the transaction, %s by the log and %s in the read model, differs", b.status, r.Status)))
			}
			return nil
		})
		if err != nil {
			return err
		}
		v.closeTransactions(books, p)
	}
	return nil
}

func (v *verifier) foldTransactions(ctx context.Context, p int32) (map[string]*transactionBook, error) {
	s, err := v.open(eventstore.TransactionEvents, p, 0, v.positions[place{eventstore.TransactionEvents, p}])
	if err != nil {
		return nil, err
	}
	defer s.reader.Close() //nolint:errcheck // Nothing was written.
	books := map[string]*transactionBook{}
	for s.next < s.end {
		events, err := v.read(ctx, s)
		if err != nil {
			return nil, err
		}
		for i := range events {
			e := &events[i]
			b := books[e.AggregateID]
			if b == nil {
				b = &transactionBook{createdAt: e.Timestamp.UnixMilli()}
				books[strings.Clone(e.AggregateID)] = b
			} else if e.Version <= (transaction.State{Status: b.status}).Version() {
				continue // A repeat.
			}
			data := e.Data.(*transaction.Event)
			b.status = transaction.Status(strings.Clone(string(data.Status)))
			row := newTransactionRow(&transaction.State{
				ID: e.AggregateID, Details: data.Details, Status: data.Status, FailureCode: data.FailureCode,
				CreatedAt: moment(b.createdAt), UpdatedAt: e.Timestamp,
			}, p)
			b.sum = v.rowSum(&row)
		}
	}
	return books, nil
}

func (v *verifier) rowSum(r *transactionRow) uint64 {
	rows := transactionRows{*r}
	b := v.books.scratch[:0]
	for column := range transactionsTable.columns {
		b = append(append(b, rows.value(0, column).show()...), ',')
	}
	v.books.scratch = b
	return maphash.Bytes(v.books.seed, b)
}

// closeTransactions reports what the read model lacks, and marks the transfers that are over and hold money still.
func (v *verifier) closeTransactions(books map[string]*transactionBook, p int32) {
	for id, b := range books {
		v.report.Transactions++
		if !b.seen {
			v.report.differ(onlyModel(id, p, "the read model lacks the transaction"))
		}
		if !b.status.Final() {
			v.report.Unfinished++
			continue
		}
		if h, ok := v.books.held[id]; ok {
			h.over = b.status
			v.books.held[id] = h
		}
	}
}

// settle looks at the transfers whose legs do not match: those that arrived without having left, and those that are
// over and have not arrived. Partitions are not projected in step, so the missing leg may only lie beyond the positions
// of the read model; there it must be.
func (v *verifier) settle(ctx context.Context) error {
	suspects := map[string]decimal.Decimal{}
	for id, h := range v.books.held {
		if h.amount.IsNegative() || h.over != "" {
			suspects[id] = h.amount
		}
	}
	if len(suspects) == 0 {
		return nil
	}
	for p := range v.cfg.Partitions {
		if err := v.readOn(ctx, p, suspects); err != nil {
			return err
		}
	}
	for id, amount := range suspects {
		h := v.books.held[id]
		switch {
		case amount.IsZero():
			h.settled = true
			v.books.held[id] = h
		case amount.IsNegative():
			v.report.differ(onlyModel(id, eventstore.PartitionOf(id, v.cfg.Partitions),
				fmt.Sprintf("%s %s arrived that never left an account", amount.Neg(), h.currency)))
		case amount.IsPositive() && h.over != "":
			v.report.differ(onlyModel(id, eventstore.PartitionOf(id, v.cfg.Partitions),
				fmt.Sprintf("the transaction is %s and %s %s of it never arrived", h.over, amount, h.currency)))
		}
	}
	return nil
}

// readOn takes the legs of suspects into account that lie between the position and the present end of a partition.
func (v *verifier) readOn(ctx context.Context, p int32, suspects map[string]decimal.Decimal) error {
	from := v.positions[place{eventstore.AccountEvents, p}]
	s, err := v.open(eventstore.AccountEvents, p, from, from)
	if err != nil {
		return err
	}
	defer s.reader.Close() //nolint:errcheck // Nothing was written.
	chunk, err := s.reader.Read(ctx, from, time.Millisecond)
	if err != nil {
		return fmt.Errorf("reading %s/%d: %w", s.topic, p, err)
	}
	for s.end = chunk.HighWater; s.next < s.end; {
		events, err := v.read(ctx, s)
		if err != nil {
			return err
		}
		for i := range events {
			c, ok := events[i].Data.(*account.BalanceChanged)
			if !ok {
				continue
			}
			if amount, suspect := suspects[c.TransactionID]; suspect {
				suspects[c.TransactionID] = amount.Sub(c.SignedAmount())
			}
		}
	}
	return nil
}
