package projector

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/eventstore"
	"daybook/internal/planted"
)

// What another node writes is noticed by asking again, at growing intervals.
const (
	firstPoll = 5 * time.Millisecond
	lastPoll  = 250 * time.Millisecond
)

// maxPage bounds a page whatever is asked for.
const maxPage = 1000

// Account returns the account, or the zero State when there is none. With atLeast above zero it waits until the read
// model has that version; READ_TIMEOUT when it does not in time. A read model that cannot be reached is UNAVAILABLE,
// here and below; a context that ends is its error, and a row that cannot be read one without a code.
func (m *ReadModel) Account(ctx context.Context, id string, atLeast int64) (account.State, error) {
	if atLeast <= 0 {
		var s account.State
		err := m.query(ctx, func(ctx context.Context) (err error) { s, err = m.account(ctx, id); return err })
		return existing(s), err
	}
	news, done, err := m.waiters.register(id)
	if err != nil {
		return account.State{}, err
	}
	defer done()
	deadline := time.NewTimer(m.cfg.ReadWait)
	defer deadline.Stop()
	for pause := firstPoll; ; pause = min(2*pause, lastPoll) {
		var s account.State
		err := m.query(ctx, func(ctx context.Context) (err error) { s, err = m.account(ctx, id); return err })
		if err != nil || s.Version >= atLeast || planted.Bug("version not awaited") {
			return existing(s), err
		}
		poll := time.NewTimer(pause)
		select {
		case <-news:
		case <-poll.C:
		case <-ctx.Done():
			poll.Stop()
			return account.State{}, ctx.Err()
		case <-deadline.C:
			poll.Stop()
			return account.State{}, domain.Refuse(domain.ReadTimeout, "atLeastVersion",
				"the account has not reached this version in time; try again, or ask for a lower one")
		}
		poll.Stop()
	}
}

// existing hides what is known of an account that was not created.
func existing(s account.State) account.State {
	if !s.Exists() {
		return account.State{}
	}
	return s
}

func (m *ReadModel) account(ctx context.Context, id string) (account.State, error) {
	row, found, err := byID[accountRow](ctx, m.db.read, id)
	if err != nil || !found {
		return account.State{}, err
	}
	return row.state()
}

// Accounts returns a page of accounts.
func (m *ReadModel) Accounts(ctx context.Context, q AccountsQuery) (AccountsPage, error) {
	first := bounds(q.First)
	var rows []accountRow
	err := m.query(ctx, func(ctx context.Context) error {
		find := m.db.read.NewSelect().Model(&rows).Where("status IS NOT NULL").Order("id").Limit(int64(first) + 1)
		if q.After != "" {
			find.Where("id > ?", q.After)
		}
		if q.OwnerID != "" {
			find.Where("owner_id = ?", q.OwnerID)
		}
		if q.Currency != "" {
			find.Where("currency = ?", string(q.Currency))
		}
		// The conditions of the partial indexes are spelled out, so that SQLite sees that they hold.
		if q.Status != "" {
			find.Where("status = ?", string(q.Status))
		}
		if q.Status != "" && q.Status != account.Active {
			find.Where("status <> 'ACTIVE'")
		}
		if q.Type != "" {
			find.Where("type = ?", string(q.Type))
		}
		if q.Type != "" && q.Type != account.User {
			find.Where("type <> 'USER'")
		}
		return find.Scan(ctx)
	})
	if err != nil {
		return AccountsPage{}, err
	}
	page := AccountsPage{More: len(rows) > first}
	for i := range rows[:min(len(rows), first)] {
		s, err := rows[i].state()
		if err != nil {
			return AccountsPage{}, m.readError(ctx, err)
		}
		page.Accounts = append(page.Accounts, s)
	}
	return page, nil
}

// Transaction returns the transaction, or the zero State when there is none.
func (m *ReadModel) Transaction(ctx context.Context, id string) (s transaction.State, err error) {
	err = m.query(ctx, func(ctx context.Context) error {
		row, found, err := byID[transactionRow](ctx, m.db.read, id)
		if err != nil || !found {
			return err
		}
		s, err = row.state()
		return err
	})
	return s, err
}

// TransactionProjected is Transaction, and returns also the offset up to which a partition of transaction events was
// projected in the same moment.
func (m *ReadModel) TransactionProjected(ctx context.Context, id string, partition int32) (s transaction.State, next int64, err error) {
	err = m.query(ctx, func(ctx context.Context) error {
		look, err := m.snapshot(ctx)
		if err != nil {
			return err
		}
		defer look.close()
		positions, err := look.positions(ctx)
		if err != nil {
			return err
		}
		next = positions[place{eventstore.TransactionEvents, partition}]
		row, found, err := byID[transactionRow](ctx, look.tx, id)
		if err != nil || !found {
			return err
		}
		s, err = row.state()
		return err
	})
	return s, next, err
}

// BalanceAt returns the balance after the last event at or before the moment; not valid before the account was created.
func (m *ReadModel) BalanceAt(ctx context.Context, accountID string, at time.Time) (balance decimal.NullDecimal, err error) {
	err = m.query(ctx, func(ctx context.Context) error {
		var text sql.NullString
		switch err := balanceQuery(m.db.read, accountID, at).Scan(ctx, &text); {
		case errors.Is(err, sql.ErrNoRows):
			return nil
		case err != nil || !text.Valid:
			return err
		}
		d, err := parseAmount(text.String)
		balance = decimal.NewNullDecimal(d)
		return err
	})
	if err != nil {
		return decimal.NullDecimal{}, err
	}
	return balance, nil
}

// balanceQuery is one seek in account_events_by_time.
func balanceQuery(db *bun.DB, accountID string, at time.Time) *bun.SelectQuery {
	return db.NewSelect().Model((*eventRow)(nil)).Column("balance").
		Where("account_id = ?", accountID).Where("at <= ?", at.UnixMilli()).Order("at DESC", "version DESC").Limit(1)
}

// Changes returns a page of an account's changes, oldest first.
func (m *ReadModel) Changes(ctx context.Context, q ChangesQuery) (ChangesPage, error) {
	first := bounds(q.First)
	var rows []eventRow
	err := m.query(ctx, func(ctx context.Context) error {
		find := m.changesOf(m.db.read.NewSelect().Model(&rows), q).Limit(int64(first) + 1)
		return m.inOrder(find, q).Scan(ctx)
	})
	if err != nil {
		return ChangesPage{}, err
	}
	return m.changesPage(ctx, rows, first)
}

// ChangesAfter returns a page of an account's changes after a version, oldest first, and the version that the account
// had in the same moment: a page without more lacks no change up to it. The next page may be of an earlier moment, where a
// database came back without its last transactions, or was emptied to be filled anew.
func (m *ReadModel) ChangesAfter(ctx context.Context, accountID string, after int64, first int) (page ChangesPage, version int64, err error) {
	first = bounds(first)
	var rows []eventRow
	err = m.query(ctx, func(ctx context.Context) error {
		look, err := m.snapshot(ctx)
		if err != nil {
			return err
		}
		defer look.close()
		if version, err = look.version(ctx, accountID); err != nil || version <= after {
			return err
		}
		find := m.changesOf(look.tx.NewSelect().Model(&rows), ChangesQuery{AccountID: accountID, AfterVersion: after})
		return find.Order("version").Limit(int64(first) + 1).Scan(ctx)
	})
	if err != nil {
		return ChangesPage{}, 0, err
	}
	page, err = m.changesPage(ctx, rows, first)
	return page, version, err
}

// changesPage makes a page of rows, which are up to one more than it may hold.
func (m *ReadModel) changesPage(ctx context.Context, rows []eventRow, first int) (ChangesPage, error) {
	page := ChangesPage{More: len(rows) > first}
	for i := range rows[:min(len(rows), first)] {
		change, err := rows[i].change()
		if err != nil {
			return ChangesPage{}, m.readError(ctx, err)
		}
		page.Changes = append(page.Changes, Change{
			AccountID: rows[i].AccountID, Version: rows[i].Version, Timestamp: moment(rows[i].At), BalanceChanged: change,
		})
	}
	return page, nil
}

// inOrder orders the changes of a period by moments. They never decrease with versions, so both orders are one, and the
// index by time gives the page without passing over what lies outside it.
func (m *ReadModel) inOrder(find *bun.SelectQuery, q ChangesQuery) *bun.SelectQuery {
	if q.From.IsZero() && q.To.IsZero() {
		return find.Order("version")
	}
	find.Order("at", "version")
	if q.AfterVersion > 0 {
		last := m.db.read.NewSelect().Model((*eventRow)(nil)).Column("at").Where("account_id = ?", q.AccountID).
			Where("version <= ?", q.AfterVersion).Order("version DESC").Limit(1)
		find.Where("at >= coalesce((?), 0)", last)
	}
	return find
}

// ceilMilli is the first whole millisecond that is not before t: events have whole ones.
func ceilMilli(t time.Time) int64 {
	return t.Add(time.Millisecond - time.Nanosecond).UnixMilli()
}

func bounds(first int) int { return max(0, min(first, maxPage)) }

// query runs a read within a bounded time and presents its error.
func (m *ReadModel) query(ctx context.Context, read func(ctx context.Context) error) error {
	bounded, cancel := context.WithTimeout(ctx, m.cfg.ReadWait)
	defer cancel()
	return m.readError(ctx, read(bounded))
}

// byID reads the row of an id; not found when there is none.
func byID[R any](ctx context.Context, db bun.IDB, id string) (row R, found bool, err error) {
	err = db.NewSelect().Model(&row).Where("id = ?", id).Scan(ctx)
	if errors.Is(err, sql.ErrNoRows) {
		return row, false, nil
	}
	return row, err == nil, err
}
