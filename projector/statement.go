package projector

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"daybook/domain"
	"daybook/domain/account"
)

const (
	// maxGroups bounds the groups of an explanation.
	maxGroups = 200
	// maxSummedGroups bounds those it chooses from.
	maxSummedGroups = 100_000
)

// Statement returns the balances that an account's changes between two moments lead from and to; the first moment is
// part of the period, the second is not, a zero one does not bound it. The changes themselves Changes and EachChange give.
func (m *ReadModel) Statement(ctx context.Context, accountID string, from, to time.Time) (s Statement, err error) {
	err = m.query(ctx, func(ctx context.Context) error {
		look, err := m.snapshot(ctx)
		if err != nil {
			return err
		}
		defer look.close()
		s, err = look.statement(ctx, accountID, from, to)
		return err
	})
	if err != nil {
		return Statement{}, err
	}
	return s, nil
}

func (s *snapshot) statement(ctx context.Context, accountID string, from, to time.Time) (Statement, error) {
	out := Statement{AccountID: accountID}
	err := s.tx.NewSelect().Model((*accountRow)(nil)).Column("currency").Where("id = ?", accountID).Where("status IS NOT NULL").Scan(ctx, &out.Currency)
	if errors.Is(err, sql.ErrNoRows) {
		return out, nil
	}
	if err != nil {
		return out, err
	}
	if !from.IsZero() {
		if out.Opening, _, err = s.balanceBefore(ctx, accountID, from); err != nil {
			return out, err
		}
	}
	out.Closing, out.Version, err = s.balanceBefore(ctx, accountID, to)
	return out, err
}

// balanceBefore is the balance after the last event before a moment, and that event's version; a zero moment is the end.
func (s *snapshot) balanceBefore(ctx context.Context, accountID string, at time.Time) (decimal.NullDecimal, int64, error) {
	find := s.tx.NewSelect().Model((*eventRow)(nil)).Column("balance", "version").Where("account_id = ?", accountID).
		Order("at DESC", "version DESC").Limit(1)
	if !at.IsZero() {
		find.Where("at < ?", ceilMilli(at))
	}
	var text sql.NullString
	var version int64
	err := find.Scan(ctx, &text, &version)
	if errors.Is(err, sql.ErrNoRows) {
		return decimal.NullDecimal{}, 0, nil
	}
	if err != nil || !text.Valid {
		return decimal.NullDecimal{}, version, err
	}
	balance, err := parseAmount(text.String)
	return decimal.NewNullDecimal(balance), version, err
}

// EachChange calls use with every change that the query asks for, oldest first, whatever First says, reading a page at
// a time. An error of use ends it and is returned.
func (m *ReadModel) EachChange(ctx context.Context, q ChangesQuery, use func(*Change) error) error {
	q.First = maxPage
	for {
		page, err := m.Changes(ctx, q)
		if err != nil {
			return err
		}
		for i := range page.Changes {
			if err := use(&page.Changes[i]); err != nil {
				return err
			}
			q.AfterVersion = page.Changes[i].Version
		}
		if !page.More {
			return nil
		}
	}
}

// CountChanges returns how many changes the query asks for, whatever First says. READ_TIMEOUT when it takes too long.
func (m *ReadModel) CountChanges(ctx context.Context, q ChangesQuery) (n int64, err error) {
	err = m.costly(ctx, func(ctx context.Context) error {
		return m.changesOf(m.db.read.NewSelect().Model((*eventRow)(nil)), q).ColumnExpr("count(*)").Scan(ctx, &n)
	})
	return n, err
}

// Explain tells why an account's balance differs between two moments, bounded as those of Statement: sums of the changes
// by kind of movement, counterparty and direction. Groups and balances are of one moment of the read model. READ_TIMEOUT
// when it takes too long, QUERY_TOO_COSTLY when there are too many counterparties: both ask for a shorter period.
func (m *ReadModel) Explain(ctx context.Context, accountID string, from, to time.Time) (Explanation, error) {
	var e Explanation
	err := m.costly(ctx, func(ctx context.Context) error {
		look, err := m.snapshot(ctx)
		if err != nil {
			return err
		}
		defer look.close()
		if e.Statement, err = look.statement(ctx, accountID, from, to); err != nil || e.Currency == "" {
			return err
		}
		zero := decimal.New(0, -e.Currency.Scale())
		e.Difference = zero.Add(e.Closing.Decimal).Sub(e.Opening.Decimal)
		groups, err := m.groups(ctx, look, ChangesQuery{AccountID: accountID, From: from, To: to})
		if err != nil {
			return err
		}
		e.Groups, e.Rest = greatest(groups, zero)
		return nil
	})
	if err != nil {
		return Explanation{}, err
	}
	return e, nil
}

// groups sums up the changes that a query asks for, in no order.
func (m *ReadModel) groups(ctx context.Context, look *snapshot, q ChangesQuery) ([]ExplanationGroup, error) {
	find := m.changesOf(look.tx.NewSelect().Model((*eventRow)(nil)), q)
	find = m.db.sums(find, []string{"transaction_type", "counterparty_id", "change_type", "reversal"}, "amount").Limit(m.db.bound(maxSummedGroups))
	sums := map[groupKey]*ExplanationGroup{}
	err := eachRow(ctx, find, func(scan func(...any) error) error {
		var k groupKey
		var kind, counterparty sql.NullString
		var count int64
		var text string
		if err := scan(&kind, &counterparty, &k.direction, &k.reversal, &count, &text); err != nil {
			return err
		}
		amount, err := parseAmount(text)
		if err != nil {
			return err
		}
		k.kind, k.counterparty = account.MovementType(kind.String), counterparty.String
		if k.direction == account.Debit {
			amount = amount.Neg()
		}
		g := sums[k]
		if g == nil {
			if len(sums) == maxSummedGroups {
				return domain.Refuse(domain.QueryTooCostly, "from", "the account has more than %d counterparties in this period; choose a shorter one", maxSummedGroups)
			}
			g = &ExplanationGroup{TransactionType: k.kind, CounterpartyID: k.counterparty, ChangeType: k.direction, Reversal: k.reversal}
			sums[k] = g
		}
		g.Count += count
		g.Total = g.Total.Add(amount)
		return nil
	})
	groups := make([]ExplanationGroup, 0, len(sums))
	for _, g := range sums {
		groups = append(groups, *g)
	}
	return groups, err
}

// greatest orders groups by their absolute totals, and sums up those beyond the bound.
func greatest(groups []ExplanationGroup, zero decimal.Decimal) ([]ExplanationGroup, *ExplanationRest) {
	slices.SortFunc(groups, func(a, b ExplanationGroup) int {
		return cmp.Or(
			b.Total.Abs().Cmp(a.Total.Abs()), cmp.Compare(a.TransactionType, b.TransactionType), cmp.Compare(a.CounterpartyID, b.CounterpartyID),
			cmp.Compare(a.ChangeType, b.ChangeType), boolCompare(a.Reversal, b.Reversal),
		)
	})
	if len(groups) <= maxGroups {
		return groups, nil
	}
	rest := &ExplanationRest{Groups: int64(len(groups) - maxGroups), Total: zero}
	for _, g := range groups[maxGroups:] {
		rest.Count += g.Count
		rest.Total = rest.Total.Add(g.Total)
	}
	return groups[:maxGroups], rest
}

func boolCompare(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}

// changesOf bounds what a query finds to the changes asked for, in no order.
func (m *ReadModel) changesOf(find *bun.SelectQuery, q ChangesQuery) *bun.SelectQuery {
	find.Where("account_id = ?", q.AccountID).Where("event_type = ?", (*account.BalanceChanged)(nil).EventType()).
		Where("version > ?", q.AfterVersion)
	if q.ThroughVersion > 0 {
		find.Where("version <= ?", q.ThroughVersion)
	}
	if !q.From.IsZero() {
		find.Where("at >= ?", ceilMilli(q.From))
	}
	if !q.To.IsZero() {
		find.Where("at < ?", ceilMilli(q.To))
	}
	return find
}
