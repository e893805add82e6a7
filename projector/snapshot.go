package projector

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/uptrace/bun"
)

// snapshot reads the whole read model as it was at one moment, beside those who write.
type snapshot struct{ tx bun.Tx }

// snapshot begins one; it stays the same until it is closed. The database keeps what changes meanwhile twice.
func (m *ReadModel) snapshot(ctx context.Context) (*snapshot, error) {
	tx, err := m.db.read.BeginTx(ctx, m.db.sink.snapshotOptions())
	if err != nil {
		return nil, fmt.Errorf("beginning a snapshot: %w", err)
	}
	s := &snapshot{tx}
	// The first read fixes the moment.
	if err := m.db.sink.beginSnapshot(ctx, tx); err != nil {
		s.close()
		return nil, fmt.Errorf("beginning a snapshot: %w", err)
	}
	return s, nil
}

func (s *snapshot) close() { _ = s.tx.Rollback() }

// place is a partition of a topic.
type place struct {
	topic     string
	partition int32
}

// positions returns how far each partition is projected.
func (s *snapshot) positions(ctx context.Context) (map[place]int64, error) {
	return storedPositions(ctx, s.tx)
}

func storedPositions(ctx context.Context, db bun.IDB) (map[place]int64, error) {
	var rows []struct {
		Topic     string
		Partition int32
		Next      int64
	}
	if err := db.NewRaw("SELECT topic, partition, next FROM projector_positions").Scan(ctx, &rows); err != nil {
		return nil, fmt.Errorf("reading the positions: %w", err)
	}
	all := map[place]int64{}
	for _, r := range rows {
		all[place{r.Topic, r.Partition}] = r.Next
	}
	return all, nil
}

// version returns the version that an account has; zero when there is none.
func (s *snapshot) version(ctx context.Context, accountID string) (version int64, err error) {
	err = s.tx.NewSelect().Model((*accountRow)(nil)).Column("version").Where("id = ?", accountID).Scan(ctx, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return version, err
}

// each calls use with every row of the query, one after another, in no order.
func each[T any](ctx context.Context, query *bun.SelectQuery, use func(row *T) error) error {
	rows, err := query.Rows(ctx)
	if err != nil {
		return fmt.Errorf("reading the read model: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err tells.
	for rows.Next() {
		var row T
		if err := query.DB().ScanRow(ctx, rows, &row); err != nil {
			return fmt.Errorf("reading the read model: %w", err)
		}
		if err := use(&row); err != nil {
			return err
		}
	}
	return rows.Err()
}

func (s *snapshot) accounts(ctx context.Context, use func(*accountRow) error) error {
	return each(ctx, s.tx.NewSelect().Model((*accountRow)(nil)), use)
}

func (s *snapshot) events(ctx context.Context, use func(*eventRow) error) error {
	return each(ctx, s.tx.NewSelect().Model((*eventRow)(nil)), use)
}

func (s *snapshot) holds(ctx context.Context, use func(*holdRow) error) error {
	return each(ctx, s.tx.NewSelect().Model((*holdRow)(nil)), use)
}

func (s *snapshot) ledger(ctx context.Context, use func(*ledgerRow) error) error {
	return each(ctx, s.tx.NewSelect().Model((*ledgerRow)(nil)), use)
}

// transactions gives those of one partition.
func (s *snapshot) transactions(ctx context.Context, partition int32, use func(*transactionRow) error) error {
	return each(ctx, s.tx.NewSelect().Model((*transactionRow)(nil)).Where("partition = ?", partition), use)
}

func (postgresSink) snapshotOptions() *sql.TxOptions {
	return &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
}

// beginSnapshot also lifts the limit on idle transactions: between reading the positions and the rows, the log is read.
func (postgresSink) beginSnapshot(ctx context.Context, tx bun.Tx) error {
	if _, err := tx.Tx.ExecContext(ctx, "SET LOCAL idle_in_transaction_session_timeout = 0"); err != nil {
		return err
	}
	_, err := tx.Tx.ExecContext(ctx, "SELECT 1 FROM meta")
	return err
}

func (s *sqliteSink) snapshotOptions() *sql.TxOptions { return &sql.TxOptions{ReadOnly: true} }

func (s *sqliteSink) beginSnapshot(ctx context.Context, tx bun.Tx) error {
	_, err := tx.Tx.ExecContext(ctx, "SELECT 1 FROM meta")
	return err
}
