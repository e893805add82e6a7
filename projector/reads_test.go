package projector

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

func TestBalanceAtAMoment(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		after := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
		at := func(ms int, step func()) { l.now = after(ms); step() }
		// Given a refused credit before the account exists, changes, events without one, and two in one millisecond.
		at(0, func() {
			l.record("b", &account.CreditRefused{Amount: eur("1.00"), Currency: "EUR", TransactionID: ids.New(), TransactionType: account.Transfer, CounterpartyID: "x"})
		})
		at(100, func() { l.create("b") })
		at(200, func() { l.topUp("b", "10.00") })
		at(300, func() {
			l.record("b", &account.StatusChanged{PreviousStatus: account.Active, NewStatus: account.Suspended})
		})
		at(400, func() { l.topUp("b", "5.00"); l.topUp("b", "0.25") })
		l.write()
		m := l.projected(url)

		for _, c := range []struct {
			at   time.Time
			want string
		}{
			{after(-1), "none"}, {after(0), "none"}, {after(99), "none"}, {after(100), "0.00"}, {after(199), "0.00"}, {after(200), "10.00"},
			{after(200).Add(999 * time.Microsecond), "10.00"}, {after(300), "10.00"}, {after(399), "10.00"}, {after(400), "15.25"}, {after(1e6), "15.25"},
		} {
			got, err := m.BalanceAt(context.Background(), "b", c.at)
			text := "none"
			if got.Valid {
				text = got.Decimal.StringFixed(2)
			}
			if err != nil || text != c.want {
				t.Errorf("at %s: %s, %v, want %s", c.at.Format(time.StampMicro), text, err, c.want)
			}
		}
		if got, err := m.BalanceAt(context.Background(), "unknown", l.now); err != nil || got.Valid {
			t.Errorf("an unknown account has %v, %v", got, err)
		}
	})
}

func TestBalanceAtAMomentIsOneSeek(t *testing.T) {
	plans := map[string]struct{ explain, want string }{
		"sqlite":   {"EXPLAIN QUERY PLAN ", "SEARCH event_row USING INDEX account_events_by_time (account_id=? AND at<?)"},
		"postgres": {"EXPLAIN ", "Index Scan Backward using account_events_by_time on account_events"},
	}
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 5000)
		m := l.projected(url)
		execute(t, m, "INSERT INTO meta (name, value) VALUES ('x', 'y')")
		if _, err := m.db.write.NewRaw("ANALYZE").Exec(context.Background()); err != nil {
			t.Fatal(err)
		}
		want := plans[t.Name()[strings.LastIndex(t.Name(), "/")+1:]]

		var plan []map[string]any
		query := balanceQuery(m.db.read, "account-1", start.Add(time.Second))
		if err := m.db.read.NewRaw(want.explain+query.String()).Scan(context.Background(), &plan); err != nil {
			t.Fatal(err)
		}

		text := fmt.Sprint(plan)
		if !strings.Contains(text, want.want) {
			t.Errorf("the plan is %s, want %s", text, want.want)
		}
		for _, bad := range []string{"Sort", "B-TREE", "Filter", "SCAN", "Seq"} {
			if strings.Contains(text, bad) {
				t.Errorf("the plan is %s, with %s", text, bad)
			}
		}
	})
}

func TestChangesComeInPages(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(7, 3000)
		m := l.projected(url)
		const id = "account-3"
		all := l.changes[id]
		middle, end := all[len(all)/3].Timestamp, all[2*len(all)/3].Timestamp
		for _, c := range []struct {
			name     string
			from, to time.Time
		}{
			{name: "all"}, {name: "from", from: middle}, {name: "to", to: end}, {name: "between", from: middle, to: end},
			{name: "between milliseconds", from: middle.Add(time.Microsecond), to: end.Add(time.Microsecond)},
			{name: "an empty span", from: middle, to: middle}, {name: "the future", from: l.now.Add(time.Hour)},
		} {
			for _, first := range []int{1, 7, 1000} {
				var want []Change
				for _, change := range all {
					if !change.Timestamp.Before(c.from) && (c.to.IsZero() || change.Timestamp.Before(c.to)) {
						want = append(want, change)
					}
				}
				var got []Change
				for more := true; more; {
					q := ChangesQuery{AccountID: id, From: c.from, To: c.to, First: first}
					if len(got) > 0 {
						q.AfterVersion = got[len(got)-1].Version
					}
					page, err := m.Changes(context.Background(), q)
					if err != nil {
						t.Fatal(err)
					}
					if len(page.Changes) > first || (page.More && len(page.Changes) < first) {
						t.Fatalf("%s: a page of %d has %d, more %v", c.name, first, len(page.Changes), page.More)
					}
					got, more = append(got, page.Changes...), page.More
				}
				mustShowAlike(t, fmt.Sprintf("%s by %d", c.name, first), got, want)
			}
		}
	})
}

func TestAPageOfChangesFitsTheVersionThatComesWithIt(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(7, 3000)
		const id = "account-3"
		m := openModel(t, url)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		// Changes come in between the two.
		_, stop := project(t, l.client, m)
		defer stop()
		for after, version, more := int64(0), int64(0), true; more || version < l.accounts[id].Version; {
			const first = 7
			page, at, err := m.ChangesAfter(ctx, id, after, first)
			if err != nil {
				t.Fatal(err)
			}
			want := ChangesPage{}
			for _, change := range l.changes[id] {
				if change.Version <= after || change.Version > at {
					continue
				}
				if want.More = len(want.Changes) == first; want.More {
					break
				}
				want.Changes = append(want.Changes, change)
			}
			mustShowAlike(t, fmt.Sprintf("the page after %d at version %d", after, at), page, want)
			if version, more = at, page.More; len(page.Changes) > 0 {
				after = page.Changes[len(page.Changes)-1].Version
			}
		}
	})
}

func TestAccountsAreFilteredAndComeInPages(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		open := func(id, owner string, kind account.Type) {
			l.record(id, &account.Created{OwnerID: owner, Type: kind, Currency: "EUR"})
		}
		// Byte order: capitals first, whatever the language of the server.
		order := []string{"A", "B-1", "B_1", "a", "a-b", "aB", "z"}
		for i, id := range order {
			open(id, fmt.Sprint("o", i%2), account.User)
		}
		open("system", "o0", account.System)
		l.record("yen", &account.Created{OwnerID: "o1", Type: account.User, Currency: "JPY"})
		l.record("a", &account.StatusChanged{PreviousStatus: account.Active, NewStatus: account.Suspended})
		l.record("ghost", &account.CreditRefused{Amount: eur("1.00"), Currency: "EUR", TransactionID: ids.New(), TransactionType: account.Transfer, CounterpartyID: "x"})
		l.write()
		m := l.projected(url)

		for _, c := range []struct {
			q    AccountsQuery
			want string
		}{
			{AccountsQuery{}, "A B-1 B_1 a a-b aB system yen z"},
			{AccountsQuery{After: "a"}, "a-b aB system yen z"},
			{AccountsQuery{After: "zz"}, ""},
			{AccountsQuery{OwnerID: "o1"}, "B-1 a aB yen"},
			{AccountsQuery{OwnerID: "o1", After: "a"}, "aB yen"},
			{AccountsQuery{OwnerID: "' OR 1=1 --"}, ""},
			{AccountsQuery{Currency: "JPY"}, "yen"},
			{AccountsQuery{Status: account.Suspended}, "a"},
			{AccountsQuery{Status: account.Active, OwnerID: "o1"}, "B-1 aB yen"},
			{AccountsQuery{Type: account.System}, "system"},
			{AccountsQuery{Type: account.User, Currency: "EUR", OwnerID: "o0"}, "A B_1 a-b z"},
			{AccountsQuery{Type: account.System, Status: account.Suspended}, ""},
		} {
			for _, first := range []int{1, 2, 100} {
				var got []string
				q := c.q
				for more := true; more; {
					q.First = first
					page, err := m.Accounts(context.Background(), q)
					if err != nil {
						t.Fatal(err)
					}
					for _, a := range page.Accounts {
						got = append(got, a.ID)
						q.After = a.ID
					}
					more = page.More
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("%+v by %d: %v, want %s", c.q, first, got, c.want)
				}
			}
		}
	})
}

func TestQueryWaitsForTheVersionAskedFor(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		m, elsewhere := openModel(t, url), openModel(t, url)
		answers := make(chan error, 2)
		for _, model := range []*ReadModel{m, elsewhere} { // The other node's projector is not in this process.
			go func() {
				s, err := model.Account(context.Background(), "w", 2)
				if err == nil && (s.Version < 2 || s.Balance.String() != "10") {
					err = fmt.Errorf("got version %d, balance %s", s.Version, s.Balance)
				}
				answers <- err
			}()
		}
		testenv.Eventually(t, func() error {
			if m.waiters.waiting() == 1 && elsewhere.waiters.waiting() == 1 {
				return nil
			}
			return errors.New("nobody waits yet")
		})
		project(t, l.client, m)
		l.create("w")
		l.topUp("w", "10.00")
		l.write()

		for range 2 {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if m.waiters.waiting()+elsewhere.waiters.waiting() != 0 {
			t.Error("somebody still waits")
		}
	})
}

func (w *waiters) waiting() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.count
}

func TestQueryGivesUpWaitingInTime(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		m := openModel(t, url)
		m.cfg.ReadWait = 30 * time.Millisecond
		if _, err := m.Account(context.Background(), "w", 1); domain.CodeOf(err) != domain.ReadTimeout {
			t.Errorf("got %v, want %s", err, domain.ReadTimeout)
		}
		m.cfg.ReadWait = time.Hour
		ctx, cancel := context.WithCancel(context.Background())
		answer := make(chan error, 1)
		go func() { _, err := m.Account(ctx, "w", 1); answer <- err }()
		testenv.Eventually(t, func() error {
			if m.waiters.waiting() == 0 {
				return errors.New("nobody waits yet")
			}
			return nil
		})
		cancel()
		if err := <-answer; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want %v", err, context.Canceled)
		}
	})
}

func TestTooManyWaitingQueriesAreRefused(t *testing.T) {
	m := openModel(t, testenv.SQLite(t))
	m.waiters.count = maxWaiters
	if _, err := m.Account(context.Background(), "w", 1); domain.CodeOf(err) != domain.Overloaded {
		t.Errorf("got %v, want %s", err, domain.Overloaded)
	}
}

func TestUnreachableDatabaseIsUnavailable(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		m := openModel(t, url)
		if err := m.Ping(context.Background()); err != nil {
			t.Fatal(err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		ctx := context.Background()
		_, err1 := m.Account(ctx, "a", 0)
		_, err2 := m.Account(ctx, "a", 3)
		_, err3 := m.Accounts(ctx, AccountsQuery{First: 1})
		_, err4 := m.Transaction(ctx, "a")
		_, err5 := m.BalanceAt(ctx, "a", start)
		_, err6 := m.Changes(ctx, ChangesQuery{AccountID: "a", First: 1})
		_, _, err7 := m.ChangesAfter(ctx, "a", 0, 1)
		_, _, err8 := m.TransactionProjected(ctx, "a", 0)
		for i, err := range []error{err1, err2, err3, err4, err5, err6, err7, err8, m.Ping(ctx)} {
			if domain.CodeOf(err) != domain.Unavailable {
				t.Errorf("read %d: %v, want %s", i+1, err, domain.Unavailable)
			}
			if err != nil && (strings.Contains(err.Error(), "SELECT") || strings.Contains(err.Error(), "sql")) {
				t.Errorf("read %d tells too much: %v", i+1, err)
			}
		}
	})
}

func TestADamagedRowIsAFaultInsideAndNotADatabaseAway(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.create("a")
		l.create("payee")
		l.topUp("a", "100.00")
		hold := l.hold("a", "payee", "10.00")
		l.write()
		m := l.projected(url)
		for table, columns := range map[string]string{
			"accounts": "balance = 'x'", "account_events": "balance = 'x', amount = 'x'", "holds": "amount = 'x'", "transactions": "amount = 'x', status = 'PENDING', type = 'TRANSFER'",
			"ledger": "debit = 'x'",
		} {
			execute(t, m, "UPDATE "+table+" SET "+columns)
		}
		ctx := context.Background()
		for name, read := range map[string]func() error{
			"account":      func() error { _, err := m.Account(ctx, "a", 0); return err },
			"accounts":     func() error { _, err := m.Accounts(ctx, AccountsQuery{First: 5}); return err },
			"changes":      func() error { _, err := m.Changes(ctx, ChangesQuery{AccountID: "a", First: 5}); return err },
			"a feed's":     func() error { _, _, err := m.ChangesAfter(ctx, "a", 0, 5); return err },
			"events":       func() error { _, err := m.Events(ctx, "a", 0, 5); return err },
			"balance":      func() error { _, err := m.BalanceAt(ctx, "a", l.now); return err },
			"statement":    func() error { _, err := m.Statement(ctx, "a", time.Time{}, time.Time{}); return err },
			"explanation":  func() error { _, err := m.Explain(ctx, "a", time.Time{}, time.Time{}); return err },
			"hold":         func() error { _, err := m.Hold(ctx, hold); return err },
			"transactions": func() error { _, err := m.Transactions(ctx, TransactionsQuery{First: 5}); return err },
			"books":        func() error { _, err := m.TrialBalance(ctx, time.Time{}); return err },
			"unfinished":   func() error { _, err := m.Unfinished(ctx); return err },
		} {
			if err := read(); domain.CodeOf(err) != domain.Internal || err == nil || !strings.Contains(err.Error(), "run daybook verify") {
				t.Errorf("%s: %v, want %s and what to do", name, err, domain.Internal)
			}
		}
	})
}

func TestQueriesThatSearchLeaveConnectionsToTheOthers(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(1, 300)
		m := l.projected(url)
		searches := []TransactionsQuery{
			{Type: account.Refund, First: 1}, {AccountID: "account-1", Type: account.Payment, First: 1},
			{AccountID: "account-1", Status: transaction.Pending, First: 1},
		}
		m.cfg.ReadWait = time.Minute
		ctx, end := context.WithCancel(t.Context())
		defer end()
		var begun, searching, refused sync.WaitGroup
		begun.Add(cap(m.scans))
		for range cap(m.scans) {
			searching.Go(func() {
				_ = m.costly(ctx, func(ctx context.Context) error {
					conn, err := m.db.read.Conn(ctx)
					begun.Done()
					if err == nil {
						<-ctx.Done()
						_ = conn.Close()
					}
					return err
				})
			})
		}
		begun.Wait()
		for _, q := range []TransactionsQuery{{First: 1}, {AccountID: "account-1", First: 1}, {Status: transaction.Completed, First: 1}} {
			if page, err := m.Transactions(t.Context(), q); err != nil || len(page.Transactions) != 1 {
				t.Errorf("%+v beside searches: %d, %v", q, len(page.Transactions), err)
			}
		}
		for _, q := range searches {
			refused.Go(func() {
				if _, err := m.Transactions(t.Context(), q); domain.CodeOf(err) != domain.Overloaded {
					t.Errorf("%+v beside searches: %v, want %s", q, err, domain.Overloaded)
				}
			})
		}
		refused.Go(func() {
			q := ChangesQuery{AccountID: "account-1", First: 1}
			if _, err := m.ChangesBehind(t.Context(), q, []ExplanationGroup{{Count: 1}}); domain.CodeOf(err) != domain.Overloaded {
				t.Errorf("changes of one kind beside searches: %v, want %s", err, domain.Overloaded)
			}
		})
		refused.Wait()
		end()
		searching.Wait()
		for _, q := range searches {
			if _, err := m.Transactions(t.Context(), q); err != nil {
				t.Errorf("%+v afterwards: %v", q, err)
			}
		}
	})
}
