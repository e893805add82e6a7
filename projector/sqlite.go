package projector

import (
	"context"
	"database/sql"
	"errors"
	"strings"

	"github.com/uptrace/bun"
)

// sqliteRows is how many rows one statement writes. It stays far below SQLite's limit of 32,766 variables, and more
// gain nothing.
const sqliteRows = 50

// sqliteSink writes by statements of several rows, prepared once: there is one connection for writing.
type sqliteSink struct {
	db *sql.DB
	// next holds the turn. Who waits for a channel is served in order, so no partition starves the others; the pool
	// serves in no order.
	next chan struct{}
	// prepared belongs to whose turn it is.
	prepared map[prepares]*sql.Stmt
}

// prepares names a statement: it writes so many rows of a table.
type prepares struct {
	table *table
	rows  int
}

func newSQLiteSink(db *sql.DB) *sqliteSink {
	return &sqliteSink{db: db, next: make(chan struct{}, 1), prepared: map[prepares]*sql.Stmt{}}
}

func (s *sqliteSink) close() error {
	s.next <- struct{}{}
	defer func() { <-s.next }()
	return s.forget()
}

// lockMigrations has nothing to do: the transaction was begun as SQLite's only writer.
func (s *sqliteSink) lockMigrations(context.Context, bun.Tx) error { return nil }

func (s *sqliteSink) tableExists(ctx context.Context, tx bun.Tx, name string) (exists bool, err error) {
	err = tx.NewRaw("SELECT count(*) > 0 FROM sqlite_master WHERE type = 'table' AND name = ?", name).Scan(ctx, &exists)
	return exists, err
}

// mayCreate has nothing to ask: who opens the file may change it, or is told so by the first write.
func (s *sqliteSink) mayCreate(context.Context, bun.Tx) error { return nil }

func (s *sqliteSink) turn(ctx context.Context) (func(), error) {
	select {
	case s.next <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	done := func() { <-s.next }
	if err := s.prepare(ctx); err != nil {
		done()
		return nil, err
	}
	return done, nil
}

// prepare readies the statements while the only connection is free.
func (s *sqliteSink) prepare(ctx context.Context) error {
	if len(s.prepared) > 0 {
		return nil
	}
	for _, t := range []*table{&eventsTable, &accountsTable, &holdsTable, &ledgerTable, &transactionsTable} {
		for _, n := range []int{1, sqliteRows} {
			prepared, err := s.db.PrepareContext(ctx, insertStatement(t, n))
			if err != nil {
				return errors.Join(err, s.forget())
			}
			s.prepared[prepares{t, n}] = prepared
		}
	}
	return nil
}

func insertStatement(t *table, rows int) string {
	row := "(" + strings.TrimSuffix(strings.Repeat("?,", len(t.columns)), ",") + ")"
	return "INSERT INTO " + t.name + " (" + columnNames(t) + ") VALUES " +
		strings.TrimSuffix(strings.Repeat(row+",", rows), ",") + " " + t.conflict
}

func (s *sqliteSink) forget() error {
	var errs []error
	for _, statement := range s.prepared {
		errs = append(errs, statement.Close())
	}
	clear(s.prepared)
	return errors.Join(errs...)
}

func (s *sqliteSink) begin(context.Context, bun.Tx) error { return nil }

func (s *sqliteSink) insert(ctx context.Context, _ bun.Conn, tx bun.Tx, t *table, rows rowSource) error {
	args := make([]any, 0, sqliteRows*len(t.columns))
	statements := map[int]*sql.Stmt{}
	for _, n := range []int{1, sqliteRows} {
		statements[n] = tx.Tx.StmtContext(ctx, s.prepared[prepares{t, n}])
	}
	for row := 0; row < rows.len(); {
		n := 1
		if rows.len()-row >= sqliteRows {
			n = sqliteRows
		}
		args = args[:0]
		for end := row + n; row < end; row++ {
			for column := range t.columns {
				args = append(args, argument(rows.value(row, column)))
			}
		}
		if _, err := statements[n].ExecContext(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

func argument(v value) any {
	switch {
	case v.isNumber:
		return v.number
	case v.text == "":
		return nil
	}
	return v.text
}
