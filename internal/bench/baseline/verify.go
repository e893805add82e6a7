package baseline

import (
	"context"
	"errors"
	"fmt"
)

// wrong is what books must be free of; the query counts it.
type wrong struct {
	what, query string
	args        []any
}

func (b *book) wrongs() []wrong {
	return []wrong{
		{what: "accounts with a balance below zero", query: "select count(*) from accounts where balance < 0"},
		{
			what: "accounts whose balance is not what they opened with and their entries",
			query: `select count(*) from accounts as a
				left join (select account, sum(amount) as net from entries group by account) as e on e.account = a.id
				where a.balance <> $1::bigint + coalesce(e.net, 0)`,
			args: []any{b.opening},
		},
		{
			what: "transfers without exactly one debit and one credit of their amount",
			query: `select count(*) from (
				select from transfers as t left join entries as e on e.transfer = t.id
				group by t.key, t.debit, t.credit, t.amount
				having count(e.transfer) <> 2
					or count(*) filter (where e.account = t.debit and e.amount = -t.amount) <> 1
					or count(*) filter (where e.account = t.credit and e.amount = t.amount) <> 1
			) as unbalanced`,
		},
	}
}

// verify checks the books when no load runs: that the money is what it was, that the entries are those of the transfers
// and come to zero, that they explain every balance, and that the transfers are those that callers were told of.
func (b *book) verify(ctx context.Context) error {
	var found []error
	for _, w := range b.wrongs() {
		var n int64
		if err := b.pool.QueryRow(ctx, w.query, w.args...).Scan(&n); err != nil {
			return fmt.Errorf("counting %s: %w", w.what, err)
		}
		if n > 0 {
			found = append(found, fmt.Errorf("%d %s", n, w.what))
		}
	}
	var transfers, entries, sum, money int64
	err := b.pool.QueryRow(ctx, `select (select count(*) from transfers), (select count(*) from entries),
		(select coalesce(sum(amount), 0)::bigint from entries), (select sum(balance)::bigint from accounts)`).
		Scan(&transfers, &entries, &sum, &money)
	if err != nil {
		return fmt.Errorf("adding up: %w", err)
	}
	expect := func(what string, got, want int64) {
		if got != want {
			found = append(found, fmt.Errorf("%s: %d, not %d", what, got, want))
		}
	}
	expect("transfers", transfers, b.acknowledged.Load())
	expect("entries", entries, 2*transfers)
	expect("sum of the entries", sum, 0)
	expect("sum of the balances", money, int64(b.accounts)*b.opening)
	if len(found) > 0 {
		return fmt.Errorf("the baseline's books are wrong: %w", errors.Join(found...))
	}
	return nil
}
