package projector

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
)

// maxTrialLines bounds a trial balance. All but a few lines per currency are accounts outside.
const maxTrialLines = 10_000

// TrialBalance sums up all postings up to a moment, it included; a zero moment means as far as is projected. All
// partitions are seen at one moment of the read model. QUERY_TOO_COSTLY when there are more than 10,000 lines,
// READ_TIMEOUT when it takes too long.
func (m *ReadModel) TrialBalance(ctx context.Context, at time.Time) (TrialBalance, error) {
	t := trial{lines: map[lineKey]decimal.Decimal{}}
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

func (m *ReadModel) sumTrial(ctx context.Context, look *snapshot, at time.Time, t *trial) error {
	whole := look.tx.NewSelect().Model((*ledgerRow)(nil))
	var cut []cutBucket
	if !at.IsZero() {
		var err error
		if cut, err = look.cutBuckets(ctx, at); err != nil {
			return err
		}
	}
	for _, c := range cut {
		whole.Where("(partition <> ? OR bucket < ?)", c.Partition, c.Bucket)
	}
	whole = m.db.sums(whole, []string{"currency", "account"}, "debit", "credit").ColumnExpr(m.db.last("last_at")).Limit(m.db.bound(maxTrialLines))
	err := eachSum(ctx, whole, func(scan func(...any) error) error {
		var currency, name, debit, credit string
		var count, lastAt int64
		if err := scan(&currency, &name, &count, &debit, &credit, &lastAt); err != nil {
			return err
		}
		t.lastAt = max(t.lastAt, lastAt)
		if err := t.add(currency, name, debit, true); err != nil {
			return err
		}
		return t.add(currency, name, credit, false)
	})
	if err != nil {
		return err
	}
	for _, c := range cut {
		if err := m.sumPart(ctx, look, c, at, t); err != nil {
			return err
		}
	}
	return nil
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

// sumPart adds the postings of a bucket up to a moment.
func (m *ReadModel) sumPart(ctx context.Context, look *snapshot, c cutBucket, at time.Time, t *trial) error {
	// No account has the name of an account outside or in transit.
	name := "CASE WHEN a.id IS NULL THEN p.account ELSE 'accounts:' || coalesce(a.type, 'UNKNOWN') END"
	part := look.tx.NewSelect().TableExpr("postings AS p").Join("LEFT JOIN accounts AS a ON a.id = p.account").
		Where("p.partition = ?", c.Partition).Where("p.log_offset >= ?", c.Bucket*ledgerBucket).
		Where("p.log_offset < ?", (c.Bucket+1)*ledgerBucket).Where("p.at <= ?", at.UnixMilli())
	part = m.db.sums(part, []string{"p.currency", name, "p.side"}, "p.amount")
	return eachSum(ctx, part, func(scan func(...any) error) error {
		var currency, name, side, amount string
		var count int64
		if err := scan(&currency, &name, &side, &count, &amount); err != nil {
			return err
		}
		return t.add(currency, name, amount, side == string(account.Debit))
	})
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
	lines  map[lineKey]decimal.Decimal
	lastAt int64
}

type lineKey struct{ currency, account string }

// add adds to the net of a line, debits counting as positive.
func (t *trial) add(currency, name, text string, debit bool) error {
	amount, err := money.ParseTrusted(text)
	if err != nil {
		return err
	}
	if !debit {
		amount = amount.Neg()
	}
	key := lineKey{currency, name}
	net, known := t.lines[key]
	if !known && len(t.lines) == maxTrialLines {
		return domain.Refuse(domain.QueryTooCostly, "",
			"the books have more than %d lines, too many for one answer; sum up the view postings in the database, and name fewer external accounts", maxTrialLines)
	}
	t.lines[key] = net.Add(amount)
	return nil
}

func (t *trial) balance(at time.Time) TrialBalance {
	out := TrialBalance{At: at, Lines: make([]TrialLine, 0, len(t.lines))}
	for key, net := range t.lines {
		c := money.Currency(key.currency)
		zero := decimal.New(0, -c.Scale())
		line := TrialLine{Currency: c, Account: key.account, Debit: zero, Credit: zero}
		if net.IsPositive() {
			line.Debit = zero.Add(net)
		} else {
			line.Credit = zero.Sub(net)
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
		return eachSum(ctx, m.db.sums(find, []string{"currency"}, "amount"), func(scan func(...any) error) error {
			var currency, text string
			var count int64
			if err := scan(&currency, &count, &text); err != nil {
				return err
			}
			amount, err := money.ParseTrusted(text)
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
