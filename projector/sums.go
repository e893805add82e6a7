package projector

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/uptrace/bun"

	"daybook/domain"
)

// sums makes a query sum up decimal text by some columns: it gives those, a count, and a sum for each amount. PostgreSQL
// sums exactly, and gives one row per group. SQLite would go through floating point, so there each row comes by itself,
// and whoever asks has to add up in any case.
func (d *database) sums(find *bun.SelectQuery, by []string, amounts ...string) *bun.SelectQuery {
	for _, column := range by {
		find.ColumnExpr(column)
	}
	if !d.sink.sumsExactly() {
		find.ColumnExpr("1")
		for _, amount := range amounts {
			find.ColumnExpr(amount)
		}
		return find
	}
	find.ColumnExpr("count(*)")
	for _, amount := range amounts {
		find.ColumnExpr("sum((" + amount + ")::numeric)::text")
	}
	for _, column := range by {
		find.GroupExpr(column)
	}
	return find
}

// bound is a limit on the rows of a query made by sums that lets one group more than so many come; zero is none.
func (d *database) bound(groups int64) int64 {
	if d.sink.sumsExactly() {
		return groups + 1
	}
	return 0
}

func (postgresSink) sumsExactly() bool { return true }
func (*sqliteSink) sumsExactly() bool  { return false }

// eachRow calls use with every row of a query, for what is read by the column.
func eachRow(ctx context.Context, query *bun.SelectQuery, use func(scan func(...any) error) error) error {
	rows, err := query.Rows(ctx)
	if err != nil {
		return fmt.Errorf("reading the read model: %w", err)
	}
	defer rows.Close() //nolint:errcheck // Err tells.
	for rows.Next() {
		if err := use(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// scanPatience is how long a costly read waits for its turn.
const scanPatience = 2 * time.Second

// costly runs a read that may look through much. Few go on at once, so that the others find a connection: OVERLOADED
// when its turn does not come soon, READ_TIMEOUT when it takes too long.
func (m *ReadModel) costly(ctx context.Context, read func(ctx context.Context) error) error {
	enough := time.NewTimer(scanPatience)
	defer enough.Stop()
	select {
	case m.scans <- struct{}{}:
		defer func() { <-m.scans }()
	case <-enough.C:
		return domain.Refuse(domain.Overloaded, "", "too many queries that look through much are being answered; try again later")
	case <-ctx.Done():
		return ctx.Err()
	}
	return m.lengthy(ctx, read)
}

// lengthy runs a read whose cost depends on what is asked for. One that takes too long is READ_TIMEOUT.
func (m *ReadModel) lengthy(ctx context.Context, read func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, m.cfg.ReadWait)
	defer cancel()
	err := read(bounded)
	var refusal *domain.Refusal
	if err != nil && bounded.Err() != nil && ctx.Err() == nil && !errors.As(err, &refusal) {
		return domain.Refuse(domain.ReadTimeout, "", "the query takes too long; ask for less, such as a shorter period, or try again later")
	}
	return m.readError(ctx, err)
}
