package projector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"daybook/internal/planted"
)

// writeTimeout bounds one transaction, waiting for its turn included.
const writeTimeout = time.Minute

// errStale means that another projector has moved the position: nothing was written.
var errStale = errors.New("another projector has moved the position")

// batch is what one SQL transaction writes: the rows of a run of one partition, and the position after it.
type batch struct {
	topic     string
	partition int32
	// from is the position it was made for, next the one after it.
	from, next   int64
	events       eventRows
	accounts     accountRows
	holds        holdRows
	ledger       ledgerRows
	transactions transactionRows
}

// sink is where PostgreSQL and SQLite differ.
type sink interface {
	// lockMigrations makes other nodes wait until the transaction ends.
	lockMigrations(ctx context.Context, tx bun.Tx) error
	tableExists(ctx context.Context, tx bun.Tx, name string) (bool, error)
	// mayCreate fails when the user may not create tables.
	mayCreate(ctx context.Context, tx bun.Tx) error
	// turn waits until it is the caller's turn to write, first come first served, and returns what ends the turn.
	turn(ctx context.Context) (func(), error)
	// begin prepares a transaction that writes a batch.
	begin(ctx context.Context, tx bun.Tx) error
	// snapshotOptions and beginSnapshot make a transaction that reads one moment's state.
	snapshotOptions() *sql.TxOptions
	beginSnapshot(ctx context.Context, tx bun.Tx) error
	insert(ctx context.Context, conn bun.Conn, tx bun.Tx, t *table, rows rowSource) error
	// sumsExactly tells whether the database can sum up decimal text.
	sumsExactly() bool
	close() error
}

// write writes a batch, or nothing. errStale when the position is no longer the one the batch was made for.
func (m *ReadModel) write(ctx context.Context, b *batch) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	done, err := m.db.sink.turn(ctx)
	if err != nil {
		return fmt.Errorf("waiting to write: %w", err)
	}
	defer done()
	conn, err := m.db.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("connecting to write: %w", err)
	}
	defer conn.Close() //nolint:errcheck // It goes back to the pool.
	tx, err := conn.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // Of no effect after Commit.
	if err := m.fill(ctx, conn, tx, b); err != nil {
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("committing: %w", err)
	}
	m.waiters.wake(b.accounts)
	return nil
}

// fill moves the position first: a stale projector learns it before it has written anything, and two that are at it at
// once wait for each other there.
func (m *ReadModel) fill(ctx context.Context, conn bun.Conn, tx bun.Tx, b *batch) error {
	if err := m.db.sink.begin(ctx, tx); err != nil {
		return fmt.Errorf("beginning a transaction: %w", err)
	}
	res, err := tx.NewRaw("UPDATE projector_positions SET next = ? WHERE topic = ? AND partition = ? AND next = ?",
		b.next, b.topic, b.partition, b.from).Exec(ctx)
	if err != nil {
		return fmt.Errorf("moving the position: %w", err)
	}
	if moved, err := res.RowsAffected(); err != nil || moved != 1 {
		return errors.Join(errStale, err)
	}
	if planted.Bug("offset apart from rows") {
		_, _ = tx.NewRaw("COMMIT").Exec(ctx)
		time.Sleep(20 * time.Millisecond) // Time to be killed in.
		_, _ = tx.NewRaw("BEGIN").Exec(ctx)
	}
	for _, part := range []struct {
		table *table
		rows  rowSource
	}{{&eventsTable, b.events}, {&accountsTable, b.accounts}, {&holdsTable, b.holds}, {&ledgerTable, b.ledger}, {&transactionsTable, b.transactions}} {
		if part.rows.len() == 0 {
			continue
		}
		if err := m.db.sink.insert(ctx, conn, tx, part.table, part.rows); err != nil {
			return fmt.Errorf("writing %s: %w", part.table.name, err)
		}
	}
	return nil
}

// position returns how far a partition is projected, and begins it when it was never projected. It looks first: an insert
// would wait for whoever is just moving the position, or was lost while doing so.
func (m *ReadModel) position(ctx context.Context, topic string, partition int32) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	done, err := m.db.sink.turn(ctx)
	if err != nil {
		return 0, fmt.Errorf("waiting to write: %w", err)
	}
	defer done()
	next, err := m.storedPosition(ctx, topic, partition)
	if !errors.Is(err, sql.ErrNoRows) {
		return next, err
	}
	_, err = m.db.write.NewRaw("INSERT INTO projector_positions (topic, partition, next) VALUES (?, ?, 0) ON CONFLICT (topic, partition) DO NOTHING",
		topic, partition).Exec(ctx)
	if err != nil {
		return 0, fmt.Errorf("beginning a position: %w", err)
	}
	return m.storedPosition(ctx, topic, partition) // Another node may have begun it, and gone on.
}

func (m *ReadModel) storedPosition(ctx context.Context, topic string, partition int32) (next int64, err error) {
	err = m.db.write.NewRaw("SELECT next FROM projector_positions WHERE topic = ? AND partition = ?", topic, partition).Scan(ctx, &next)
	if err != nil {
		return 0, fmt.Errorf("reading the position: %w", err)
	}
	return next, nil
}
