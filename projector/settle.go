package projector

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// transactionBook is a transaction as the log tells it.
type transactionBook struct {
	status transaction.Status
	// origin and sum are digests of its row: of what never changes, and of the rest.
	origin, sum uint64
	seen        bool
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
			switch origin, sum := v.rowSums(r); {
			case sum != b.sum:
				v.report.differ(onlyModel(r.ID, p, fmt.Sprintf("the transaction, %s by the log and %s in the read model, differs", b.status, r.Status)))
			case origin != b.origin:
				v.report.differ(onlyModel(r.ID, p, "the transaction's origin (when, by whom, on what request) differs from its first event"))
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
			if b != nil && e.Version <= (transaction.State{Status: b.status}).Version() {
				continue // A repeat.
			}
			s := (transaction.State{}).Apply(e.AggregateID, e.Data.(*transaction.Event), e.Timestamp)
			row := newTransactionRow(&s, &e.Event, p)
			origin, sum := v.rowSums(&row)
			if b == nil { // Later events tell another origin, which is not the transaction's.
				b = &transactionBook{origin: origin}
				books[strings.Clone(e.AggregateID)] = b
			}
			b.status, b.sum = transaction.Status(strings.Clone(string(s.Status))), sum
		}
	}
	return books, nil
}

func (v *verifier) rowSums(r *transactionRow) (origin, rest uint64) {
	return v.books.rowSum(transactionRows{*r}, transactionOrigin, len(transactionsTable.columns)), v.books.rowSum(transactionRows{*r}, 0, transactionOrigin)
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
