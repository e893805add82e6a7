package projector

import (
	"context"
	"errors"
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
	count, behind := int64(0), map[groupKey][]Change{}
	for _, c := range l.changes[id] {
		if !c.Timestamp.Before(from) && (to.IsZero() || c.Timestamp.Before(to)) {
			k := groupKey{c.TransactionType, c.CounterpartyID, c.ChangeType, c.Reversal}
			count, behind[k] = count+1, append(behind[k], c)
		}
	}
	covered := decimal.Zero
	for i, g := range e.Groups {
		if i > 0 && g.Total.Abs().GreaterThan(e.Groups[i-1].Total.Abs()) {
			l.t.Errorf("%s follows on %s", g.Total, e.Groups[i-1].Total)
		}
		sum := decimal.Zero
		for _, c := range behind[g.key()] {
			sum = sum.Add(c.SignedAmount())
		}
		if n := len(behind[g.key()]); n == 0 || int64(n) != g.Count || !sum.Equal(g.Total) {
			l.t.Errorf("%d changes sum to %s behind %+v", n, sum, g)
		}
		covered = covered.Add(g.Total)
	}
	q := ChangesQuery{AccountID: id, From: from, To: to, ThroughVersion: e.Version}
	if n, err := m.CountChanges(ctx, q); err != nil || n != count {
		l.t.Errorf("%d changes are counted, %v, want %d", n, err, count)
	}
	if !covered.Equal(e.Difference) || len(e.Groups) != len(behind) || e.Rest != nil {
		l.t.Errorf("%d groups explain %s of %s, want %d, rest %v", len(e.Groups), covered, e.Difference, len(behind), e.Rest)
	}
	if !e.Closing.Decimal.Sub(e.Opening.Decimal).Equal(e.Difference) {
		l.t.Errorf("from %v to %v is %s", e.Opening, e.Closing, e.Difference)
	}
	for _, q.First = range []int{1, 3, maxPage} {
		for _, q.AfterVersion = range []int64{0, e.Version / 2, e.Version} {
			l.mustFindBehind(m, q, e.Groups, behind)
		}
	}
}

// mustFindBehind checks a page of each group against all changes behind it.
func (l *ledger) mustFindBehind(m *ReadModel, q ChangesQuery, groups []ExplanationGroup, behind map[groupKey][]Change) {
	l.t.Helper()
	pages, err := m.ChangesBehind(context.Background(), q, groups)
	if err != nil || len(pages) != len(groups) {
		l.t.Fatalf("%d pages of %d groups, %v", len(pages), len(groups), err)
	}
	for i, g := range groups {
		want := behind[g.key()]
		for len(want) > 0 && want[0].Version <= q.AfterVersion {
			want = want[1:]
		}
		more := len(want) > q.First
		want = want[:min(len(want), q.First)]
		same := func(a, b Change) bool {
			return a.Version == b.Version && a.NewBalance.Equal(b.NewBalance) && a.Reason == b.Reason
		}
		if got := pages[i]; got.More != more || !slices.EqualFunc(got.Changes, want, same) {
			l.t.Errorf("%+v of %+v: %+v, more %t, want %+v, more %t", q, g, got.Changes, got.More, want, more)
		}
	}
}

func TestChangesBehindManyGroupsAreFoundInALongHistory(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.create("a")
		for i := range 2*groupChunk + 10 {
			name := fmt.Sprint("card-", i%7)
			if i == 0 || i >= 2*groupChunk {
				name = fmt.Sprint("once-", i) // First or late, and never again.
			}
			l.credit("a", movement("1.00", account.Topup, "external:"+name+":EUR", ids.New()))
		}
		l.write()
		l.mustExplain(l.projected(url), "a", time.Time{}, time.Time{})
	})
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
