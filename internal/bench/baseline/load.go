package baseline

import (
	"context"
	"math/rand/v2"
	"strconv"
	"time"

	"daybook/internal/bench"
)

// Order says when a statement with many transfers locks their accounts.
type Order int

const (
	// LockFirst locks them before anything else.
	LockFirst Order = iota
	// LockLast locks them when everything but the balances is written.
	LockLast
)

const (
	// BulkTransfers is how many transfers one statement of Bulk makes.
	BulkTransfers = 500
	bulkWriters   = 2
)

// Transfers measures transfers, one a round trip, from the given number of callers at once. The URL is of PostgreSQL; in
// the schema that it selects there must not be tables of the baseline's names yet. They are gone again afterwards.
func Transfers(ctx context.Context, url string, callers int, d time.Duration) (result bench.Result, err error) {
	err = withBook(ctx, url, callers, accounts, opening, func(b *book) error {
		result, err = bench.Load(ctx, callers, d, func(ctx context.Context, caller, n int) error {
			if _, err := b.transfer(ctx, b.random(caller, n)); err != nil {
				return err
			}
			b.acknowledged.Add(1)
			return nil
		})
		return err
	})
	return result, err
}

// Bulk measures transfers, BulkTransfers a statement, from two callers at once. PerSecond counts transfers, the latencies
// are of statements. The URL is as of Transfers.
func Bulk(ctx context.Context, url string, order Order, d time.Duration) (result bench.Result, err error) {
	err = withBook(ctx, url, bulkWriters, accounts, opening, func(b *book) error {
		result, err = bench.Load(ctx, bulkWriters, d, func(ctx context.Context, caller, n int) error {
			all := make([]transfer, BulkTransfers)
			for i := range all {
				all[i] = b.random(caller, n*BulkTransfers+i)
			}
			fresh, err := b.transferAll(ctx, order, all)
			b.acknowledged.Add(fresh)
			return err
		})
		result.PerSecond *= BulkTransfers
		return err
	})
	return result, err
}

// random is a caller's nth transfer, between two random accounts. Its key is as short as those of Daybook's own loads.
func (b *book) random(caller, n int) transfer {
	debit, credit := rand.Int64N(int64(b.accounts))+1, rand.Int64N(int64(b.accounts)-1)+1
	if credit >= debit {
		credit++
	}
	return transfer{key: strconv.Itoa(caller) + "-" + strconv.Itoa(n), debit: debit, credit: credit, amount: 100}
}
