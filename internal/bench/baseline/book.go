// Package baseline measures what a user would pick instead of Daybook: double entry in plain PostgreSQL, written with
// care. It is measured as it is called from Go, behind an HTTP endpoint, and with many transfers in one statement. After
// every load the books are checked, and a load that left them wrong has no result.
package baseline

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// accounts is over how many accounts a load is spread, as with Daybook's own.
	accounts = 1000
	// opening is what each of them has at first, in cents: more than a load can take from one.
	opening = 1_000_000_000_000
	// maxConnections is how many connections a load opens at most. Behind HTTP, 32 made more on two cores than 8, 16 or 64.
	maxConnections = 32
	// dropPatience bounds how long dropping the tables may take.
	dropPatience = 30 * time.Second
)

//go:embed schema.sql
var schema string

// refusal is the code of a transfer that was not made. Nothing moved.
type refusal string

func (r refusal) Error() string { return string(r) }

const (
	insufficientFunds = refusal("INSUFFICIENT_FUNDS")
	invalidTransfer   = refusal("INVALID_TRANSFER")
	keyReused         = refusal("KEY_REUSED")
	accountNotFound   = refusal("ACCOUNT_NOT_FOUND")
)

// transfer is from debit to credit, in cents.
type transfer struct {
	key           string
	debit, credit int64
	amount        int64
}

// book is the tables of a load. Accounts are numbered from 1.
type book struct {
	pool     *pgxpool.Pool
	accounts int
	opening  int64
	// acknowledged counts the new transfers that callers were told of.
	acknowledged atomic.Int64
}

// withBook lets use have new tables in the schema that the URL selects, checks them, and drops them.
func withBook(ctx context.Context, url string, connections, accounts int, opening int64, use func(b *book) error) (err error) {
	config, err := pgxpool.ParseConfig(url)
	if err != nil {
		return errors.New("the database URL cannot be read: write it as postgres://user:password@host:port/name")
	}
	config.MaxConns = int32(min(connections, maxConnections))
	// An answer means that the transfer is on disk, whatever the server's default.
	config.ConnConfig.RuntimeParams["synchronous_commit"] = "on"
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return fmt.Errorf("opening PostgreSQL: %w", err)
	}
	defer pool.Close()
	if _, err := pool.Exec(ctx, schema); err != nil {
		return fmt.Errorf("creating the baseline's tables: %w", err)
	}
	defer func() {
		bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), dropPatience)
		defer cancel()
		if _, dropErr := pool.Exec(bounded, "drop table accounts, transfers, entries; drop function transfer, transfer_all"); dropErr != nil {
			err = errors.Join(err, fmt.Errorf("dropping the baseline's tables: %w", dropErr))
		}
	}()
	if _, err := pool.Exec(ctx, "insert into accounts (id, balance) select n, $2 from generate_series(1, $1::bigint) as n", accounts, opening); err != nil {
		return fmt.Errorf("opening accounts: %w", err)
	}
	if _, err := pool.Exec(ctx, "analyze accounts"); err != nil {
		return fmt.Errorf("analysing accounts: %w", err)
	}
	b := &book{pool: pool, accounts: accounts, opening: opening}
	if err := use(b); err != nil {
		return err
	}
	return b.verify(ctx)
}

// transfer moves an amount and returns the transfer's id, which is on disk then. The whole transaction is one round trip.
func (b *book) transfer(ctx context.Context, t transfer) (id int64, err error) {
	err = b.pool.QueryRow(ctx, "select transfer($1, $2, $3, $4)", t.key, t.debit, t.credit, t.amount).Scan(&id)
	return id, explain(err)
}

// transferAll makes transfers in one statement, all or none, and returns how many were new.
func (b *book) transferAll(ctx context.Context, o Order, all []transfer) (fresh int64, err error) {
	keys, debits, credits, amounts := make([]string, len(all)), make([]int64, len(all)), make([]int64, len(all)), make([]int64, len(all))
	for i, t := range all {
		keys[i], debits[i], credits[i], amounts[i] = t.key, t.debit, t.credit, t.amount
	}
	err = b.pool.QueryRow(ctx, "select transfer_all($1, $2, $3, $4, $5)", o == LockFirst, keys, debits, credits, amounts).Scan(&fresh)
	return fresh, explain(err)
}

// explain makes a refusal of what PostgreSQL refused.
func explain(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Code == "DB001":
		return refusal(e.Message)
	case e.ConstraintName == "no_overdraft":
		return insufficientFunds
	case e.ConstraintName == "two_accounts" || e.ConstraintName == "positive_amount":
		return invalidTransfer
	}
	return err
}
