package projector

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"daybook/domain/account"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

func show(d decimal.NullDecimal) string {
	if !d.Valid {
		return "none"
	}
	return d.Decimal.StringFixed(2)
}

func TestStatementHasTheBalancesBeforeBothMoments(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
		at := func(ms int, step func()) { l.now = after(ms); step() }
		at(0, func() {
			l.record("b", &account.CreditRefused{Amount: eur("1.00"), Currency: "EUR", TransactionID: ids.New(), TransactionType: account.Transfer, CounterpartyID: "x"})
		})
		at(100, func() { l.create("b") })
		at(200, func() { l.topUp("b", "10.00"); l.topUp("b", "0.50") })
		at(300, func() { l.topUp("b", "5.00") })
		l.write()
		m := l.projected(url)
		for _, c := range []struct {
			from, to time.Time
			want     string
		}{
			{time.Time{}, time.Time{}, "none 15.50 5"},
			{after(-1), after(0), "none none 0"},
			{after(0), after(50), "none none 1"},
			{after(100), after(200), "none 0.00 2"},
			{after(101), after(201), "0.00 10.50 4"},
			{after(200), after(300), "0.00 10.50 4"},
			{after(200).Add(time.Microsecond), after(300).Add(time.Microsecond), "10.50 15.50 5"},
			{after(300), after(300), "10.50 10.50 4"},
			{after(301), time.Time{}, "15.50 15.50 5"},
		} {
			s, err := m.Statement(context.Background(), "b", c.from, c.to)
			if got := fmt.Sprint(show(s.Opening), " ", show(s.Closing), " ", s.Version); err != nil || got != c.want || s.Currency != "EUR" {
				t.Errorf("from %v to %v: %s in %s, %v, want %s", c.from, c.to, got, s.Currency, err, c.want)
			}
		}
		if s, err := m.Statement(context.Background(), "unknown", after(0), after(1)); err != nil || s.Currency != "" || s.Closing.Valid {
			t.Errorf("an unknown account has %+v, %v", s, err)
		}
	})
}

func TestExplanationAddsUpToTheDifference(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		seed := uint64(time.Now().UnixNano())
		t.Logf("seed %d", seed)
		random := rand.New(rand.NewPCG(seed, 2))
		l := newLedger(t)
		l.history(seed, 4000)
		m := l.projected(url)
		for range 30 {
			id := fmt.Sprintf("account-%d", random.IntN(40))
			span := int64(l.now.Sub(start))
			from, to := start.Add(time.Duration(random.Int64N(span))), start.Add(time.Duration(random.Int64N(span)))
			if from.After(to) {
				from, to = to, from
			}
			switch random.IntN(5) {
			case 0:
				from = time.Time{}
			case 1:
				to = time.Time{}
			}
			l.mustExplain(m, id, from, to)
		}
	})
}

// mustExplain checks an explanation, and that the changes behind each group are found and sum up to it.
func (l *ledger) mustExplain(m *ReadModel, id string, from, to time.Time) {
	l.t.Helper()
	ctx := context.Background()
	e, err := m.Explain(ctx, id, from, to)
	if err != nil {
		l.t.Fatal(err)
	}
	want, found, covered := 0, int64(0), decimal.Zero
	for _, c := range l.changes[id] {
		if !c.Timestamp.Before(from) && (to.IsZero() || c.Timestamp.Before(to)) {
			want++
		}
	}
	for i, g := range e.Groups {
		if i > 0 && g.Total.Abs().GreaterThan(e.Groups[i-1].Total.Abs()) {
			l.t.Errorf("%s follows on %s", g.Total, e.Groups[i-1].Total)
		}
		q := ChangesQuery{
			AccountID: id, From: from, To: to, ThroughVersion: e.Version, TransactionType: g.TransactionType, CounterpartyID: g.CounterpartyID,
			ChangeType: g.ChangeType, Reversal: &g.Reversal,
		}
		count, err := m.CountChanges(ctx, q)
		if err != nil {
			l.t.Fatal(err)
		}
		n, sum := int64(0), decimal.Zero
		err = m.EachChange(ctx, q, func(c *Change) error {
			n, sum = n+1, sum.Add(c.SignedAmount())
			return nil
		})
		if err != nil || n != g.Count || count != n || !sum.Equal(g.Total) {
			l.t.Errorf("%d changes sum to %s behind %+v, counted %d, %v", n, sum, g, count, err)
		}
		found, covered = found+g.Count, covered.Add(g.Total)
	}
	if !covered.Equal(e.Difference) || found != int64(want) || e.Rest != nil {
		l.t.Errorf("%d changes explain %s of %s, want %d, rest %v", found, covered, e.Difference, want, e.Rest)
	}
	if !e.Closing.Decimal.Sub(e.Opening.Decimal).Equal(e.Difference) {
		l.t.Errorf("from %v to %v is %s", e.Opening, e.Closing, e.Difference)
	}
}

func TestExplanationSumsUpWhatGoesBeyondItsGroups(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.create("a")
		for i := range maxGroups + 3 {
			l.credit("a", movement(fmt.Sprintf("%d.00", i+1), account.Topup, fmt.Sprintf("external:card-%d:EUR", i), ids.New()))
		}
		l.write()
		m := l.projected(url)
		e, err := m.Explain(context.Background(), "a", time.Time{}, time.Time{})
		if err != nil || len(e.Groups) != maxGroups || e.Rest == nil || fmt.Sprint(*e.Rest) != "{3 3 6}" {
			t.Errorf("%d groups, rest %+v, %v", len(e.Groups), e.Rest, err)
		}
		if want := eur("20706.00"); !e.Difference.Equal(want) { // 1 + 2 + … + 203.
			t.Errorf("the difference is %s, want %s", e.Difference, want)
		}
	})
}

func TestExportGivesEveryChangeUpToAVersion(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.create("a")
		for range 2*maxPage + 10 {
			l.topUp("a", "1.00")
		}
		l.write()
		m := l.projected(url)
		var versions []int64
		q := ChangesQuery{AccountID: "a", ThroughVersion: 2*maxPage + 5}
		err := m.EachChange(context.Background(), q, func(c *Change) error {
			versions = append(versions, c.Version)
			return nil
		})
		n, countErr := m.CountChanges(context.Background(), q)
		if err != nil || countErr != nil || len(versions) != 2*maxPage+4 || versions[0] != 2 || versions[len(versions)-1] != q.ThroughVersion || n != int64(len(versions)) {
			t.Errorf("%d changes, counted %d, %v, %v", len(versions), n, err, countErr)
		}
		stop := errors.New("enough")
		if err := m.EachChange(context.Background(), q, func(*Change) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v, want %v", err, stop)
		}
	})
}

func TestBooksGoByTheirIndexes(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 8000)
		m := l.projected(url)
		if _, err := m.db.write.NewRaw("ANALYZE").Exec(context.Background()); err != nil {
			t.Fatal(err)
		}
		explain := "EXPLAIN QUERY PLAN "
		if strings.HasPrefix(url, "postgres") {
			explain = "EXPLAIN "
		}
		look, err := m.snapshot(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer look.close()
		trial, err := m.trialQuery(context.Background(), look, start.Add(l.now.Sub(start)/2))
		if err != nil {
			t.Fatal(err)
		}
		books := trial.String() // PostgreSQL may scan for a partition whose bucket here is most of the table.
		for query, want := range map[string]string{
			books: "account_events_by_offset",
			"SELECT amount FROM postings AS p LEFT JOIN accounts AS a ON a.id = p.account WHERE p.partition = 1 AND p.log_offset >= 10 AND p.log_offset < 20": "account_events_by_offset",
			"SELECT * FROM holds WHERE account_id = 'account-1' AND status = 'ACTIVE' ORDER BY placed DESC LIMIT 10":                                          "holds_",
			"SELECT * FROM transactions WHERE correlation_id = 'x' ORDER BY id DESC LIMIT 10":                                                                 "transactions_by_correlation",
			"SELECT * FROM transactions WHERE status = 'PENDING' AND status <> 'COMPLETED' ORDER BY id DESC LIMIT 10":                                         "transactions_not_completed",
		} {
			var plan []map[string]any
			if err := m.db.read.NewRaw(explain+query).Scan(context.Background(), &plan); err != nil {
				t.Fatal(err)
			}
			if text := fmt.Sprint(plan); !strings.Contains(text, want) || (strings.Contains(text, "Seq Scan on account_events") && query != books) || strings.Contains(text, "SCAN account_events") {
				t.Errorf("the plan of %s is %s", query, text)
			}
		}
	})
}
