package projector

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

const (
	// clockSlack is how far the clocks of the nodes that own two accounts may lie apart.
	clockSlack = time.Minute
	// maxTrailScan bounds the events that are looked through for one of a transaction.
	maxTrailScan = 20_000
)

// Events returns a page of an account's events after a version, oldest first: the audit trail.
func (m *ReadModel) Events(ctx context.Context, accountID string, after int64, first int) (page EventsPage, err error) {
	first = bounds(first)
	err = m.query(ctx, func(ctx context.Context) error {
		var rows []eventRow
		err := m.db.read.NewSelect().Model(&rows).Where("account_id = ?", accountID).Where("version > ?", after).
			Order("version").Limit(int64(first) + 1).Scan(ctx)
		if err != nil {
			return err
		}
		page.More = len(rows) > first
		page.Events, err = eventRecords(rows[:min(len(rows), first)])
		return err
	})
	if err != nil {
		return EventsPage{}, err
	}
	return page, nil
}

func eventRecords(rows []eventRow) ([]EventRecord, error) {
	records := make([]EventRecord, 0, len(rows))
	for i := range rows {
		r := &rows[i]
		e, err := r.event()
		if err != nil {
			return nil, err
		}
		record := EventRecord{Recorded: eventstore.Recorded{Event: e, Partition: r.Partition, Offset: r.LogOffset}}
		if r.Balance != "" {
			balance, err := parseAmount(r.Balance)
			if err != nil {
				return nil, err
			}
			record.Balance = decimal.NewNullDecimal(balance)
		}
		records = append(records, record)
	}
	return records, nil
}

// Hold returns the hold, or the zero Hold when there is none.
func (m *ReadModel) Hold(ctx context.Context, id string) (h account.Hold, err error) {
	err = m.query(ctx, func(ctx context.Context) error {
		row, found, err := byID[holdRow](ctx, m.db.read, id)
		if err != nil || !found {
			return err
		}
		s, err := row.state()
		h = s.Hold
		return err
	})
	return h, err
}

// Holds returns a page of an account's holds, newest first. BAD_USER_INPUT when the hold it follows on is not there.
func (m *ReadModel) Holds(ctx context.Context, q HoldsQuery) (page HoldsPage, err error) {
	first := bounds(q.First)
	err = m.query(ctx, func(ctx context.Context) error {
		var rows []holdRow
		find := m.db.read.NewSelect().Model(&rows).Where("account_id = ?", q.AccountID).Order("placed DESC").Limit(int64(first) + 1)
		if q.Status != "" {
			find.Where("status = ?", string(q.Status))
		}
		if q.After != "" {
			var placed int64
			last := m.db.read.NewSelect().Model((*holdRow)(nil)).Column("placed").Where("id = ?", q.After).Where("account_id = ?", q.AccountID)
			switch err := last.Scan(ctx, &placed); {
			case errors.Is(err, sql.ErrNoRows):
				return domain.Refuse(domain.BadUserInput, "after", "after must be a cursor that an earlier page of this list gave")
			case err != nil:
				return err
			}
			find.Where("placed < ?", placed)
		}
		if err := find.Scan(ctx); err != nil {
			return err
		}
		page.More = len(rows) > first
		for i := range rows[:min(len(rows), first)] {
			s, err := rows[i].state()
			if err != nil {
				return err
			}
			page.Holds = append(page.Holds, s.Hold)
		}
		return nil
	})
	if err != nil {
		return HoldsPage{}, err
	}
	return page, nil
}

// TransactionRecord returns the transaction and where it came from, or the zero record when there is none.
func (m *ReadModel) TransactionRecord(ctx context.Context, id string) (t TransactionRecord, err error) {
	err = m.query(ctx, func(ctx context.Context) error {
		row, found, err := byID[transactionRow](ctx, m.db.read, id)
		if err != nil || !found {
			return err
		}
		t, err = row.record()
		return err
	})
	return t, err
}

// transactionPageRow is a transaction, with the version of an account's event of it where the page is that account's.
type transactionPageRow struct {
	transactionRow
	EventVersion int64 `bun:",scanonly"`
}

// versionCursor begins the cursors of an account's page.
const versionCursor = "v"

// Transactions returns a page of transactions, newest first: those of an account in the order of its events, otherwise
// in that of their ids, which begin with the time. An account's are all there of which it has an event, as far as that or
// their own rows tell, whichever is further. An account's, a request's and those that are not completed are found by an
// index; other filters look through what is there. BAD_USER_INPUT for a cursor of another kind of page, READ_TIMEOUT when
// it takes too long, OVERLOADED when too many look through what is there.
func (m *ReadModel) Transactions(ctx context.Context, q TransactionsQuery) (page TransactionsPage, err error) {
	first := bounds(q.First)
	var rows []transactionPageRow
	find := m.db.read.NewSelect().Model(&rows).ColumnExpr("t.*").Limit(int64(first) + 1)
	// What is not completed and what one request began are few, whosever they are.
	byAccount := q.AccountID != "" && q.CorrelationID == "" && (q.Status == "" || q.Status == transaction.Completed)
	if byAccount {
		err = ofAccount(find, q)
	} else {
		err = ofAnybody(find, q)
	}
	if err != nil {
		return TransactionsPage{}, err
	}
	run := m.lengthy
	if q.Scans() {
		run = m.costly
	}
	err = run(ctx, func(ctx context.Context) error {
		if err := find.Scan(ctx); err != nil {
			return err
		}
		page.More = len(rows) > first
		rows = rows[:min(len(rows), first)]
		own, err := m.ownEvents(ctx, q.AccountID, rows)
		if err != nil {
			return err
		}
		for i := range rows {
			record, err := rows[i].recordWith(own[rows[i].EventVersion])
			if err != nil {
				return err
			}
			cursor := record.ID
			if byAccount {
				cursor = versionCursor + strconv.FormatInt(rows[i].EventVersion, 10)
			}
			page.Transactions, page.Cursors = append(page.Transactions, record), append(page.Cursors, cursor)
		}
		return nil
	})
	if err != nil {
		return TransactionsPage{}, err
	}
	return page, nil
}

// Scans tells whether no index finds what is asked for alone, so that few may be found among many.
func (q *TransactionsQuery) Scans() bool {
	ofUnfinished := q.AccountID != "" && q.Status != "" && q.Status != transaction.Completed
	return q.CorrelationID == "" && (q.Type != "" || ofUnfinished)
}

// ofAccount goes by an account's events. Each transaction has one there that is neither a reversal nor a release. Its own
// row comes from another partition and may not be there yet: a list that left it out would never show it to a client
// that goes on behind the cursor.
func ofAccount(find *bun.SelectQuery, q TransactionsQuery) error {
	find.ColumnExpr("e.version AS event_version").ModelTableExpr("account_events AS e").
		Join("LEFT JOIN transactions AS t ON t.id = e.transaction_id").
		Where("e.account_id = ?", q.AccountID).Where("e.transaction_id IS NOT NULL").Where("NOT e.reversal").
		Where("e.event_type IN (?)", bun.List([]string{(*account.BalanceChanged)(nil).EventType(), (*account.CreditRefused)(nil).EventType()})).
		Order("e.version DESC")
	if q.Status == transaction.Completed { // As recordWith tells it.
		find.Where("(t.status = 'COMPLETED' OR e.change_type = 'CREDIT' OR substr(e.counterparty_id, 1, 9) = 'external:')")
	}
	if q.Type != "" {
		find.Where("e.transaction_type = ?", string(q.Type))
	}
	if q.After == "" {
		return nil
	}
	text, ok := strings.CutPrefix(q.After, versionCursor)
	version, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || version < 1 || strconv.FormatInt(version, 10) != text {
		return otherCursor()
	}
	find.Where("e.version < ?", version)
	return nil
}

func ofAnybody(find *bun.SelectQuery, q TransactionsQuery) error {
	find.ModelTableExpr("transactions AS t").Order("t.id DESC")
	if q.Status != "" {
		find.Where("t.status = ?", string(q.Status))
	}
	if q.AccountID != "" {
		find.Where("(t.from_id = ? OR t.to_id = ?)", q.AccountID, q.AccountID)
	}
	if q.CorrelationID != "" {
		find.Where("t.correlation_id = ?", q.CorrelationID)
	}
	if q.Status != "" && q.Status != transaction.Completed {
		find.Where("t.status <> 'COMPLETED'") // Spelled out, so that SQLite sees that the index holds them.
	}
	if q.Type != "" {
		find.Where("t.type = ?", string(q.Type))
	}
	if q.After == "" {
		return nil
	}
	// Ids are kept in one spelling. What is none must not reach the database, which can choke on it.
	if id, err := uuid.Parse(q.After); err != nil || id.String() != q.After {
		return otherCursor()
	}
	find.Where("t.id < ?", q.After)
	return nil
}

// ownEvents reads, by version, the account's events of those transactions that are not over as far as their rows tell.
func (m *ReadModel) ownEvents(ctx context.Context, accountID string, rows []transactionPageRow) (map[int64]*eventRow, error) {
	var versions []int64
	for i := range rows {
		if r := &rows[i]; r.EventVersion > 0 && !transaction.Status(r.Status).Final() {
			versions = append(versions, r.EventVersion)
		}
	}
	if len(versions) == 0 {
		return nil, nil
	}
	var events []eventRow
	err := m.db.read.NewSelect().Model(&events).Where("account_id = ?", accountID).Where("version IN (?)", bun.List(versions)).Scan(ctx)
	byVersion := make(map[int64]*eventRow, len(events))
	for i := range events {
		byVersion[events[i].Version] = &events[i]
	}
	return byVersion, err
}

// recordWith is the transaction as its row and the account's own event of it tell, either of which may be missing.
func (r *transactionPageRow) recordWith(own *eventRow) (t TransactionRecord, err error) {
	if r.ID != "" {
		t, err = r.record()
	}
	if err != nil || own == nil {
		return t, err
	}
	e, err := own.event()
	if err != nil {
		return t, err
	}
	told, _ := transaction.React(own.AccountID, e.Data.(account.Event), true)
	for i := range told {
		t.State = t.Apply(own.TransactionID, &told[i], e.Timestamp)
	}
	if r.ID != "" {
		return t, nil
	}
	t.CorrelationID, t.CausationID, t.Actor = e.CorrelationID, e.ID, e.Metadata
	if t.To == own.AccountID && !transaction.IsExternal(t.From) {
		t.CausationID = e.CausationID // That of the source began it.
	}
	return t, nil
}

func otherCursor() error {
	return domain.Refuse(domain.BadUserInput, "after", "after must be a cursor that a page with the same filter gave")
}

// TransactionTrail returns the account events of a transaction on both its accounts, each after what caused it; none
// when there is no such transaction. Of one that is not over, or was compensated, those events can be missing that stand
// among more than 20,000 others of a busy account.
func (m *ReadModel) TransactionTrail(ctx context.Context, id string) (trail []EventRecord, err error) {
	err = m.query(ctx, func(ctx context.Context) error {
		var t transactionRow
		switch err := m.db.read.NewSelect().Model(&t).Where("id = ?", id).Scan(ctx); {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil:
			return err
		}
		rows, err := m.trailRows(ctx, &t)
		if err != nil {
			return err
		}
		trail, err = eventRecords(rows)
		return err
	})
	return trail, err
}

// trailRows finds the events by their moments. A transaction has the moments of the account events that its own follow
// from, the first and the last; what lies between, or is not known of yet, is searched for.
func (m *ReadModel) trailRows(ctx context.Context, t *transactionRow) ([]eventRow, error) {
	var rows []eventRow
	exact := m.db.read.NewSelect().Model(&rows).Where("account_id IN (?)", bun.List([]string{t.FromID, t.ToID})).
		Where("at IN (?)", bun.List([]int64{t.CreatedAt, t.UpdatedAt})).Where("transaction_id = ?", t.ID)
	if err := exact.Scan(ctx); err != nil {
		return nil, err
	}
	status := transaction.Status(t.Status)
	if status != transaction.Completed {
		from := moment(min(t.CreatedAt, t.UpdatedAt)).Add(-clockSlack).UnixMilli()
		for _, id := range []string{t.FromID, t.ToID} {
			near := m.db.read.NewSelect().Model((*eventRow)(nil)).Where("account_id = ?", id).Where("at >= ?", from).
				Order("at", "version").Limit(maxTrailScan)
			if status.Final() {
				near.Where("at <= ?", moment(max(t.CreatedAt, t.UpdatedAt)).Add(clockSlack).UnixMilli())
			}
			var more []eventRow
			err := m.db.read.NewSelect().Model(&more).ModelTableExpr("(?) AS event_row", near).Where("transaction_id = ?", t.ID).Scan(ctx)
			if err != nil {
				return nil, err
			}
			rows = append(rows, more...)
		}
	}
	slices.SortFunc(rows, func(a, b eventRow) int {
		return cmp.Or(cmp.Compare(t.step(&a), t.step(&b)), cmp.Compare(a.AccountID, b.AccountID), cmp.Compare(a.Version, b.Version))
	})
	return slices.CompactFunc(rows, func(a, b eventRow) bool { return a.AccountID == b.AccountID && a.Version == b.Version }), nil
}

// step orders a transaction's events: the source, the destination, then what comes back. Clocks of two nodes do not.
func (t *transactionRow) step(r *eventRow) int {
	switch {
	case r.Reversal:
		return 2
	case r.AccountID == t.ToID:
		return 1
	}
	return 0
}
