package projector

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

// maxExternalLines bounds the accounts outside that a trial balance lists: whoever moves money names them. Of others there
// are a few per currency.
const maxExternalLines = 10_000

// othersOutside begins the name of what the accounts outside that are not listed come to. None has it: names have no
// parentheses.
const othersOutside = "external:(others):"

// TrialBalance sums up all postings up to a moment, it included; a zero moment means as far as is projected. All
// partitions are seen at one moment of the read model. Beyond 10,000 accounts outside, those with the smallest amounts
// are netted into one line per currency. READ_TIMEOUT when it takes too long.
func (m *ReadModel) TrialBalance(ctx context.Context, at time.Time) (TrialBalance, error) {
	t := trial{others: map[string]decimal.Decimal{}}
	err := m.costly(ctx, func(ctx context.Context) error {
		look, err := m.snapshot(ctx)
		if err != nil {
			return err
		}
		defer look.close()
		return m.sumTrial(ctx, look, at, &t)
	})
	if err != nil {
		return TrialBalance{}, err
	}
	if at.IsZero() && t.lastAt > 0 {
		at = moment(t.lastAt)
	}
	return t.balance(at), nil
}

// sumTrial sums up in one query, whose rows of one line come one after another: however many lines there are, few are
// in memory.
func (m *ReadModel) sumTrial(ctx context.Context, look *snapshot, at time.Time, t *trial) error {
	find, err := m.trialQuery(ctx, look, at)
	if err != nil {
		return err
	}
	return eachRow(ctx, find, func(scan func(...any) error) error {
		var key lineKey
		var debitText, creditText string
		var count, lastAt int64
		if err := scan(&key.currency, &key.account, &count, &debitText, &creditText, &lastAt); err != nil {
			return err
		}
		debit, err := parseAmount(debitText)
		if err != nil {
			return err
		}
		credit, err := parseAmount(creditText)
		if err != nil {
			return err
		}
		t.lastAt = max(t.lastAt, lastAt)
		t.add(key, debit.Sub(credit))
		return nil
	})
}

func (m *ReadModel) trialQuery(ctx context.Context, look *snapshot, at time.Time) (*bun.SelectQuery, error) {
	whole := look.tx.NewSelect().Model((*ledgerRow)(nil)).Column("currency", "account", "debit", "credit", "last_at")
	parts, union := []any{whole}, "?"
	if !at.IsZero() {
		cut, err := look.cutBuckets(ctx, at)
		if err != nil {
			return nil, err
		}
		for _, c := range cut {
			whole.Where("(partition <> ? OR bucket < ?)", c.Partition, c.Bucket)
			parts, union = append(parts, look.part(c, at)), union+" UNION ALL ?"
		}
	}
	all := look.tx.NewSelect().TableExpr("("+union+") AS p", parts...)
	all = m.db.sums(all, []string{m.db.bytewise("currency"), m.db.bytewise("account")}, "debit", "credit").ColumnExpr(m.db.last("last_at"))
	if !m.db.sink.sumsExactly() {
		all.OrderExpr("currency, account")
	}
	return all, nil
}

// cutBucket is the first bucket of a partition with a posting after a moment. Timestamps never decrease within a
// partition, so none before it has one, and none behind it has an earlier one.
type cutBucket struct {
	Partition int32
	Bucket    int64
}

func (s *snapshot) cutBuckets(ctx context.Context, at time.Time) (cut []cutBucket, err error) {
	err = s.tx.NewSelect().Model((*ledgerRow)(nil)).Column("partition").ColumnExpr("min(bucket) AS bucket").
		Where("last_at > ?", at.UnixMilli()).Group("partition").Scan(ctx, &cut)
	return cut, err
}

// part finds the postings of a bucket up to a moment.
func (s *snapshot) part(c cutBucket, at time.Time) *bun.SelectQuery {
	// No account has the name of an account outside or in transit.
	return s.tx.NewSelect().TableExpr("postings AS p").Join("LEFT JOIN accounts AS a ON a.id = p.account").
		ColumnExpr("p.currency").ColumnExpr("CASE WHEN a.id IS NULL THEN p.account ELSE 'accounts:' || coalesce(a.type, 'UNKNOWN') END").
		ColumnExpr("CASE p.side WHEN 'DEBIT' THEN p.amount ELSE '0' END").ColumnExpr("CASE p.side WHEN 'DEBIT' THEN '0' ELSE p.amount END").
		ColumnExpr("p.at").
		Where("p.partition = ?", c.Partition).Where("p.log_offset >= ?", c.Bucket*ledgerBucket).
		Where("p.log_offset < ?", (c.Bucket+1)*ledgerBucket).Where("p.at <= ?", at.UnixMilli())
}

// bytewise is a column of a union compared byte by byte, which PostgreSQL would ask how to compare.
func (d *database) bytewise(column string) string {
	if d.sink.sumsExactly() {
		return column + ` COLLATE "C"`
	}
	return column
}

// last is what gives the greatest value of a column in a query made by sums.
func (d *database) last(column string) string {
	if d.sink.sumsExactly() {
		return "max(" + column + ")"
	}
	return column
}

// trial is a trial balance in the making.
type trial struct {
	// lines are those that are always listed; the last one still adds up and may not be one of them. outside are accounts outside, at most
	// twice as many as are listed; others is what further ones come to, by currency.
	lines, outside []netLine
	others         map[string]decimal.Decimal
	lastAt         int64
}

type lineKey struct{ currency, account string }

// netLine is the net of a line, debits counting as positive.
type netLine struct {
	lineKey
	net decimal.Decimal
}

// add adds to a line. What is added to the same line comes one after another.
func (t *trial) add(key lineKey, net decimal.Decimal) {
	last := len(t.lines) - 1
	if last >= 0 && t.lines[last].lineKey == key {
		t.lines[last].net = t.lines[last].net.Add(net)
		return
	}
	t.complete()
	t.lines = append(t.lines, netLine{key, net})
}

// complete puts the last line where it belongs.
func (t *trial) complete() {
	last := len(t.lines) - 1
	if last < 0 || !transaction.IsExternal(t.lines[last].account) {
		return
	}
	t.outside, t.lines = append(t.outside, t.lines[last]), t.lines[:last]
	if len(t.outside) == 2*maxExternalLines {
		t.fold()
	}
}

// fold keeps the accounts outside with the greatest amounts, whatever the currency.
func (t *trial) fold() {
	if len(t.outside) <= maxExternalLines {
		return
	}
	slices.SortFunc(t.outside, func(a, b netLine) int {
		return cmp.Or(b.net.Abs().Cmp(a.net.Abs()), cmp.Compare(a.currency, b.currency), cmp.Compare(a.account, b.account))
	})
	for _, l := range t.outside[maxExternalLines:] {
		t.others[l.currency] = t.others[l.currency].Add(l.net)
	}
	t.outside = t.outside[:maxExternalLines]
}

func (t *trial) balance(at time.Time) TrialBalance {
	t.complete()
	t.fold()
	all := slices.Concat(t.lines, t.outside)
	for currency, net := range t.others {
		all = append(all, netLine{lineKey{currency, othersOutside + currency}, net})
	}
	out := TrialBalance{At: at, Lines: make([]TrialLine, 0, len(all))}
	for _, l := range all {
		c := money.Currency(l.currency)
		zero := decimal.New(0, -c.Scale())
		line := TrialLine{Currency: c, Account: l.account, Debit: zero, Credit: zero}
		if l.net.IsPositive() {
			line.Debit = zero.Add(l.net)
		} else {
			line.Credit = zero.Sub(l.net)
		}
		out.Lines = append(out.Lines, line)
	}
	slices.SortFunc(out.Lines, func(a, b TrialLine) int {
		return cmp.Or(cmp.Compare(a.Currency, b.Currency), cmp.Compare(a.Account, b.Account))
	})
	for _, line := range out.Lines {
		last := len(out.Totals) - 1
		if last < 0 || out.Totals[last].Currency != line.Currency {
			out.Totals = append(out.Totals, TrialTotal{line.Currency, line.Debit, line.Credit})
			continue
		}
		out.Totals[last].Debit = out.Totals[last].Debit.Add(line.Debit)
		out.Totals[last].Credit = out.Totals[last].Credit.Add(line.Credit)
	}
	return out
}

// Unfinished sums up, by currency, what transactions between accounts hold that are neither completed nor compensated.
// With everything projected it is what the trial balance has in transit. READ_TIMEOUT when it takes too long.
func (m *ReadModel) Unfinished(ctx context.Context) ([]Unfinished, error) {
	sums := map[string]*Unfinished{}
	err := m.costly(ctx, func(ctx context.Context) error {
		find := m.db.read.NewSelect().Model((*transactionRow)(nil)).
			Where("status <> 'COMPLETED'"). // Spelled out, so that SQLite sees which index holds them.
			Where("status IN (?)", bun.List([]transaction.Status{transaction.Pending, transaction.Failed})).
			Where("type NOT IN (?)", bun.List([]account.MovementType{account.Topup, account.Withdrawal}))
		return eachRow(ctx, m.db.sums(find, []string{"currency"}, "amount"), func(scan func(...any) error) error {
			var currency, text string
			var count int64
			if err := scan(&currency, &count, &text); err != nil {
				return err
			}
			amount, err := parseAmount(text)
			if sums[currency] == nil {
				sums[currency] = &Unfinished{Currency: money.Currency(currency)}
			}
			sums[currency].Amount = sums[currency].Amount.Add(amount)
			sums[currency].Transactions += count
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	all := make([]Unfinished, 0, len(sums))
	for _, u := range sums {
		all = append(all, *u)
	}
	slices.SortFunc(all, func(a, b Unfinished) int { return cmp.Compare(a.Currency, b.Currency) })
	return all, nil
}
