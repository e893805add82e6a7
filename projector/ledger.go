package projector

import (
	"context"
	"strings"

	"github.com/shopspring/decimal"
	"github.com/uptrace/bun"

	"daybook/domain/account"
	"daybook/domain/money"
	"daybook/domain/transaction"
	"daybook/eventstore"
)

// ledgerBucket is how many offsets of a partition the ledger sums up together. A trial balance reads one row per bucket
// and line, and the events of at most one bucket per partition.
const ledgerBucket = 8192

// Names of ledger accounts. Those outside keep their own, external:<name>:<currency>, and any name can be one of them.
const (
	userAccounts    = "accounts:USER"
	systemAccounts  = "accounts:SYSTEM"
	otherAccounts   = "accounts:UNKNOWN" // Of an account that changes before it was created, which verify reports.
	inTransitPrefix = "in-transit:"
)

// ledgerRow is what the postings of one bucket to one ledger account sum up to.
type ledgerRow struct {
	bun.BaseModel `bun:"table:ledger"`

	Partition int32
	Bucket    int64
	Currency  string
	Account   string
	Debit     string
	Credit    string
	LastAt    int64
}

// ledgerKey is a ledger account in a currency. The name of what is in transit lacks the currency, so that looking it up
// allocates nothing.
type ledgerKey struct{ currency, account string }

type ledgerSum struct {
	debit, credit decimal.Decimal
	lastAt        int64
	// changed since its row was made.
	changed bool
}

// bucketSums are the sums of one bucket of a partition.
type bucketSums struct {
	partition int32
	bucket    int64
	lines     map[ledgerKey]*ledgerSum
}

func newBucketSums(partition int32) *bucketSums {
	return &bucketSums{partition: partition, bucket: -1, lines: map[ledgerKey]*ledgerSum{}}
}

// post posts a change of balance twice: to the accounts of its kind, and to where the money came from or went. When it
// is the first of a bucket, the rows of the one before are appended and given back.
func (b *bucketSums) post(e *eventstore.Recorded, kind account.Type, c *account.BalanceChanged, rows ledgerRows) ledgerRows {
	if bucket := e.Offset / ledgerBucket; bucket != b.bucket {
		rows = b.changed(rows)
		b.begin(bucket)
	}
	currency, at := string(c.Currency), e.Timestamp.UnixMilli()
	b.line(currency, controlAccount(kind), at).add(c.ChangeAmount, c.ChangeType == account.Debit)
	b.line(currency, contraAccount(c), at).add(c.ChangeAmount, c.ChangeType != account.Debit)
	return rows
}

func (b *bucketSums) line(currency, name string, at int64) *ledgerSum {
	s := b.lines[ledgerKey{currency, name}]
	if s == nil {
		zero := decimal.New(0, -money.Currency(currency).Scale())
		s = &ledgerSum{debit: zero, credit: zero}
		b.lines[ledgerKey{strings.Clone(currency), strings.Clone(name)}] = s
	}
	s.lastAt, s.changed = max(s.lastAt, at), true
	return s
}

func (s *ledgerSum) add(amount decimal.Decimal, debit bool) {
	if debit {
		s.debit = s.debit.Add(amount)
	} else {
		s.credit = s.credit.Add(amount)
	}
}

// begin goes on to a bucket that nothing was posted to yet.
func (b *bucketSums) begin(bucket int64) {
	b.bucket = bucket
	clear(b.lines)
}

// changed appends the rows of what changed since it was asked last.
func (b *bucketSums) changed(rows ledgerRows) ledgerRows {
	for key, s := range b.lines {
		if !s.changed {
			continue
		}
		s.changed = false
		c := money.Currency(key.currency)
		rows = append(rows, ledgerRow{
			Partition: b.partition, Bucket: b.bucket, Currency: key.currency, Account: key.name(),
			Debit: money.Format(s.debit, c), Credit: money.Format(s.credit, c), LastAt: s.lastAt,
		})
	}
	return rows
}

func (k ledgerKey) name() string {
	if k.account == inTransitPrefix {
		return k.account + k.currency
	}
	return k.account
}

func controlAccount(t account.Type) string {
	switch t {
	case account.User:
		return userAccounts
	case account.System:
		return systemAccounts
	}
	return otherAccounts
}

// contraAccount is the other side of a change: the view postings names it likewise.
func contraAccount(c *account.BalanceChanged) string {
	switch {
	case transaction.IsExternal(c.CounterpartyID):
		return c.CounterpartyID
	case c.TransactionID == "": // Nobody writes these: what lacks a counterparty is read as having one outside.
		return transaction.External("unknown", c.Currency)
	}
	return inTransitPrefix
}

// load reads what was posted to a bucket already.
func (b *bucketSums) load(ctx context.Context, db *bun.DB, bucket int64) error {
	b.begin(bucket)
	var rows []ledgerRow
	if err := db.NewSelect().Model(&rows).Where("partition = ?", b.partition).Where("bucket = ?", bucket).Scan(ctx); err != nil {
		return err
	}
	for i := range rows {
		r := &rows[i]
		key := ledgerKey{r.Currency, r.Account}
		if r.Account == inTransitPrefix+r.Currency {
			key.account = inTransitPrefix
		}
		s := &ledgerSum{lastAt: r.LastAt}
		var err error
		if s.debit, err = parseAmount(r.Debit); err != nil {
			return err
		}
		if s.credit, err = parseAmount(r.Credit); err != nil {
			return err
		}
		b.lines[key] = s
	}
	return nil
}
