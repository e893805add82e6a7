package projector

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

// netLines is the trial balance up to a moment by what the ledger remembers; a zero moment is the end.
func (l *ledger) netLines(at time.Time) map[string]decimal.Decimal {
	net := map[string]decimal.Decimal{}
	for id, changes := range l.changes {
		for _, c := range changes {
			if !at.IsZero() && c.Timestamp.After(at) {
				continue
			}
			other := c.CounterpartyID
			if !strings.HasPrefix(other, "external:") {
				other = "in-transit:" + string(c.Currency)
			}
			own := fmt.Sprintf("%s accounts:%s", c.Currency, l.accounts[id].Type)
			other = fmt.Sprintf("%s %s", c.Currency, other)
			net[own] = net[own].Sub(c.SignedAmount())
			net[other] = net[other].Add(c.SignedAmount())
		}
	}
	return net
}

func (l *ledger) mustBalance(m *ReadModel, at time.Time) TrialBalance {
	l.t.Helper()
	got, err := m.TrialBalance(context.Background(), at)
	if err != nil {
		l.t.Fatal(err)
	}
	want := l.netLines(at)
	var names []string
	for _, line := range got.Lines {
		name := fmt.Sprintf("%s %s", line.Currency, line.Account)
		names = append(names, name)
		net, known := want[name]
		if !known || !line.Debit.Sub(line.Credit).Equal(net) || line.Debit.IsNegative() || line.Credit.IsNegative() || !line.Debit.Mul(line.Credit).IsZero() {
			l.t.Errorf("at %v: %s has debit %s and credit %s, want %s, %v", at, name, line.Debit, line.Credit, net, known)
		}
	}
	if len(names) != len(want) || !slices.IsSorted(names) {
		l.t.Errorf("at %v: lines %v, want %v", at, names, want)
	}
	for _, total := range got.Totals {
		if !total.Debit.Equal(total.Credit) {
			l.t.Errorf("at %v: %s has %s debit and %s credit", at, total.Currency, total.Debit, total.Credit)
		}
	}
	return got
}

func TestTrialBalanceEqualsAllPostingsAtAnyMoment(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 1))
		l := newLedger(t)
		l.record("yen", &account.Created{OwnerID: "o", Type: account.User, Currency: "JPY"})
		l.record("fees", &account.Created{OwnerID: "o", Type: account.System, Currency: "EUR", Limits: account.Limits{Min: eur("-1000000.00")}})
		l.credit("yen", account.Movement{
			Amount: decimal.New(5000, 0), Currency: "JPY", TransactionID: ids.New(), TransactionType: account.Topup, CounterpartyID: "external:card:JPY",
		})
		l.create("account-1")
		unknown := func() { l.credit("account-1", movement("3.00", account.Topup, "external:unknown:EUR", ids.New())) }
		m := openModel(t, url)
		m.cfg.ReadWait = time.Minute  // Under the race detector a slow machine takes longer than a query may.
		for part := range uint64(2) { // Projected anew in the middle of a bucket.
			unknown()                    // In the bucket of the last one.
			l.history(seed+part, 11_000) // More than one bucket in each partition.
			l.transfer("fees", "account-1", "100000.00")
			unknown()
			l.leave("account-1", "account-2", "7.00", ids.New()) // Remains in transit.
			l.write()
			_, stop := project(t, l.client, m)
			l.awaitProjected(m)
			stop()
		}
		l.mustVerify(m)

		all := l.mustBalance(m, time.Time{})
		if !all.At.Equal(l.lastChange()) {
			t.Errorf("it is of %v, want %v", all.At, l.lastChange())
		}
		l.mustBalance(m, l.now)
		l.mustBalance(m, start.Add(-time.Second))
		for range max(2, 8/testenv.Slowdown) { // SQLite is Go itself here, and each takes many seconds under the race detector.
			l.mustBalance(m, start.Add(time.Duration(random.Int64N(int64(l.now.Sub(start))))))
		}
		unfinished, err := m.Unfinished(context.Background())
		if err != nil || fmt.Sprint(unfinished) != "[{EUR 14 2}]" || !l.netLines(time.Time{})["EUR in-transit:EUR"].Equal(eur("-14.00")) {
			t.Errorf("unfinished transactions hold %v, %v", unfinished, err)
		}
		l.mustPost(m)
	})
}

func (l *ledger) lastChange() (last time.Time) {
	for _, changes := range l.changes {
		if at := changes[len(changes)-1].Timestamp; at.After(last) {
			last = at
		}
	}
	return last
}

// mustPost checks the view: postings by account are the accounts' balances, and all of them sum to zero.
func (l *ledger) mustPost(m *ReadModel) {
	l.t.Helper()
	var rows []struct{ Account, Currency, Side, Amount, SignedAmount string }
	err := m.db.read.NewRaw("SELECT account, currency, side, amount, signed_amount FROM postings").Scan(context.Background(), &rows)
	if err != nil {
		l.t.Fatal(err)
	}
	sums, total := map[string]decimal.Decimal{}, decimal.Zero
	for _, r := range rows {
		signed := decimal.RequireFromString(r.SignedAmount)
		if !signed.Abs().Equal(decimal.RequireFromString(r.Amount)) || signed.IsPositive() != (r.Side == "CREDIT") {
			l.t.Fatalf("a posting of %s %s has the sign of %s", r.Side, r.Amount, r.SignedAmount)
		}
		sums[r.Account] = sums[r.Account].Add(signed)
		total = total.Add(signed)
	}
	if !total.IsZero() || len(rows) == 0 {
		l.t.Errorf("%d postings sum to %s", len(rows), total)
	}
	for id, s := range l.accounts {
		if !sums[id].Equal(s.Balance) {
			l.t.Errorf("postings on %s sum to %s, its balance is %s", id, sums[id], s.Balance)
		}
	}
}

func TestTrialBalanceOfEmptyBooksIsEmpty(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		m := openModel(t, url)
		for _, at := range []time.Time{{}, start} {
			if b, err := m.TrialBalance(context.Background(), at); err != nil || len(b.Lines)+len(b.Totals) != 0 || !b.At.Equal(at) {
				t.Errorf("got %+v, %v", b, err)
			}
		}
	})
}

func TestTrialBalanceFoldsTheSmallestOfTooManyLines(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		m := openModel(t, url)
		rows := ledgerRows{{Currency: "EUR", Account: userAccounts, Debit: "0.00", Credit: "7.00"}}
		put := func(bucket int64, currency, name, debit, credit string) {
			rows = append(rows, ledgerRow{Bucket: bucket, Currency: currency, Account: "external:" + name + ":" + currency, Debit: debit, Credit: credit})
		}
		for i := range 2*maxExternalLines + 500 { // More than are kept at any moment.
			put(0, "EUR", fmt.Sprint("large-", i), "500.00", "0.00")
		}
		for i := range 100 {
			put(0, "EUR", fmt.Sprint("in-", i), "3.00", "0.00")
			put(0, "USD", fmt.Sprint("out-", i), "0.00", "2.50")
		}
		put(0, "EUR", "a-little", "1.00", "900.00")
		put(1, "EUR", "a-little", "899.50", "0.00")
		put(0, "EUR", "huge", "0.00", "700.00")
		if _, err := m.position(context.Background(), "topic", 0); err != nil {
			t.Fatal(err)
		}
		if err := m.write(context.Background(), &batch{topic: "topic", next: 1, ledger: rows}); err != nil {
			t.Fatal(err)
		}
		b, err := m.TrialBalance(context.Background(), time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		found := map[string]TrialLine{}
		for _, l := range b.Lines {
			found[fmt.Sprint(l.Currency, " ", l.Account)] = l
		}
		// Those of 500.00 beyond the bound, one of whose places the huge one has, all of 3.00, and the little one.
		others := fmt.Sprintf("%d.50", (maxExternalLines+501)*500+100*3)
		for name, want := range map[string][2]string{
			"EUR accounts:USER": {"0.00", "7.00"}, "EUR external:huge:EUR": {"0.00", "700.00"}, "EUR external:large-0:EUR": {"500.00", "0.00"},
			"EUR external:(others):EUR": {others, "0.00"}, "USD external:(others):USD": {"0.00", "250.00"},
		} {
			if l, ok := found[name]; !ok || l.Debit.StringFixed(2) != want[0] || l.Credit.StringFixed(2) != want[1] {
				t.Errorf("%s is %+v, %v, want %v", name, l, ok, want)
			}
		}
		if len(found) != maxExternalLines+3 || len(b.Lines) != len(found) {
			t.Errorf("there are %d lines, %d different, want %d", len(b.Lines), len(found), maxExternalLines+3)
		}
		for _, total := range b.Totals {
			debit, credit := decimal.Zero, decimal.Zero
			for _, r := range rows {
				if r.Currency == string(total.Currency) {
					debit, credit = debit.Add(decimal.RequireFromString(r.Debit)), credit.Add(decimal.RequireFromString(r.Credit))
				}
			}
			if !total.Debit.Sub(total.Credit).Equal(debit.Sub(credit)) {
				t.Errorf("%s has %s debit and %s credit, the ledger %s and %s", total.Currency, total.Debit, total.Credit, debit, credit)
			}
		}
	})
}
