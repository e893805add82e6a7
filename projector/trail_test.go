package projector

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/domain/transaction"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

func TestAuditTrailHasEveryEvent(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(5, 2000)
		m := l.projected(url)
		for id, want := range l.events {
			var got []EventRecord
			for more, after := true, int64(0); more; {
				page, err := m.Events(context.Background(), id, after, 50)
				if err != nil {
					t.Fatal(err)
				}
				got, more = append(got, page.Events...), page.More
				after = got[len(got)-1].Version
			}
			if len(got) != len(want) {
				t.Fatalf("%s has %d events, want %d", id, len(got), len(want))
			}
			for i := range want {
				mustShowAlike(t, "the body", showEvent(&got[i]), showEvent(&want[i]))
			}
		}
	})
}

// showEvent prints what an event's pointer would hide.
func showEvent(r *EventRecord) string {
	return fmt.Sprintf("%+v", r.Data) + fmt.Sprintf("%+v", EventRecord{Recorded: r.Recorded, Balance: r.Balance}.withoutData())
}

func (r EventRecord) withoutData() EventRecord {
	r.Data = nil
	return r
}

func TestHoldsComeNewestFirst(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.create("payee")
		l.create("a")
		l.create("b")
		l.topUp("a", "100.00")
		l.topUp("b", "100.00")
		var all []string
		for i := range 7 {
			all = append(all, l.hold("a", "payee", "10.00"))
			if i%2 == 0 {
				l.capture(l.holds[all[i]], eur("4.00"), true)
			}
		}
		ofAnother := l.hold("b", "payee", "10.00")
		l.write()
		m := l.projected(url)
		slices.Reverse(all)
		for _, status := range []account.HoldStatus{"", account.HoldActive, account.HoldCaptured, account.HoldVoided} {
			var want, got []string
			for _, id := range all {
				if status == "" || l.holds[id].Status == status {
					want = append(want, id)
				}
			}
			q := HoldsQuery{AccountID: "a", Status: status, First: 2}
			for more := true; more; {
				page, err := m.Holds(context.Background(), q)
				if err != nil {
					t.Fatal(err)
				}
				for _, h := range page.Holds {
					mustShowAlike(t, "hold "+h.ID, h, l.holds[h.ID])
					got = append(got, h.ID)
					q.After = h.ID
				}
				more = page.More
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q: %v, want %v", status, got, want)
			}
		}
		for _, after := range []string{ofAnother, ids.New()} {
			if page, err := m.Holds(context.Background(), HoldsQuery{AccountID: "a", After: after, First: 2}); domain.CodeOf(err) != domain.BadUserInput {
				t.Errorf("after a hold that is not the account's come %d, %v, want %s", len(page.Holds), err, domain.BadUserInput)
			}
		}
		if s, err := m.Account(context.Background(), "a", 0); err != nil || s.Held.String() != "30" || s.Available().String() != "54" {
			t.Errorf("%s held, %s available, %v", s.Held, s.Available(), err)
		}
		if h, err := m.Hold(context.Background(), "unknown"); err != nil || h.Exists() {
			t.Errorf("an unknown hold is %+v, %v", h, err)
		}
	})
}

func TestTransactionsAreFilteredAndComeInPages(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(6, 1500)
		l.topUp("account-1", "50.00")
		for range 3 {
			l.leave("account-1", "account-2", "1.00", ids.New())
		}
		l.write()
		m := l.projected(url)
		one := l.transactions[l.changes["account-1"][2].TransactionID]
		for _, q := range []TransactionsQuery{
			{}, {Status: transaction.Pending}, {Status: transaction.Compensated}, {Status: transaction.Completed, Type: account.Refund},
			{Type: account.Withdrawal}, {CorrelationID: "request-" + one.ID}, {CorrelationID: "request-" + one.ID, AccountID: "account-39"},
			{AccountID: "account-1"}, {AccountID: "account-2", Status: transaction.Pending}, {AccountID: "account-3", Status: transaction.Compensated},
			{AccountID: "account-4", Status: transaction.Completed}, {AccountID: "account-5", Type: account.Payment}, {AccountID: "nobody-1"}, {AccountID: "unknown"},
		} {
			var want []TransactionRecord
			for id := range l.transactions {
				if r := l.recordOf(id); q.takes(&r) {
					want = append(want, r)
				}
			}
			slices.SortFunc(want, func(a, b TransactionRecord) int { return cmp.Compare(b.ID, a.ID) })
			for _, first := range []int{3, 1000} {
				q.First, q.After = first, ""
				var got []TransactionRecord
				for more := true; more; {
					page, err := m.Transactions(context.Background(), q)
					if err != nil {
						t.Fatal(err)
					}
					got, more = append(got, page.Transactions...), page.More
					if more {
						q.After = page.Cursors[len(page.Cursors)-1]
					}
				}
				mustShowAlike(t, fmt.Sprintf("%+v", q), got, want)
			}
		}
		for _, q := range []TransactionsQuery{
			{After: "v12"}, {After: "\x00"}, {After: one.ID + "\x00"}, {After: "123E4567-E89B-42D3-A456-426614174000"}, {AccountID: "account-1", After: one.ID},
			{AccountID: "account-1", After: "vx"}, {AccountID: "account-1", After: "v0"}, {AccountID: "account-1", After: "v-1"},
			{AccountID: "account-1", After: "v03"}, {AccountID: "account-1", After: "v+3"}, {AccountID: "account-1", After: "v\x00"},
		} {
			if _, err := m.Transactions(context.Background(), q); domain.CodeOf(err) != domain.BadUserInput {
				t.Errorf("%+v: %v, want %s", q, err, domain.BadUserInput)
			}
		}
	})
}

// Rows of transactions come from other partitions than their accounts' events, so that those can be missing, or behind.
func TestAnAccountsTransactionsAreListedBeforeTheirOwnRowsCome(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(7, 1500)
		m := l.projected(url)
		queries := []TransactionsQuery{
			{AccountID: "account-1"}, {AccountID: "account-2", Status: transaction.Completed}, {AccountID: "nobody-1"},
			{AccountID: "account-3", Type: account.Transfer},
		}
		whole := make([][]TransactionRecord, len(queries))
		for i, q := range queries {
			whole[i] = list(t, m, q)
		}
		for _, change := range []string{"UPDATE transactions SET status = 'PENDING', failure_code = NULL", "DELETE FROM transactions"} {
			execute(t, m, change)
			for i, q := range queries {
				var want []string
				for _, r := range whole[i] {
					if r.Status = l.toldBy(q.AccountID, r.ID); q.Status == "" || r.Status == q.Status {
						want = append(want, shown(r))
					}
				}
				var got []string
				for _, r := range list(t, m, q) {
					got = append(got, shown(r))
				}
				if len(want) == 0 || !slices.Equal(got, want) {
					t.Errorf("after %s, %+v gives\n%s, want\n%s", change, q, strings.Join(got, "\n"), strings.Join(want, "\n"))
				}
			}
		}
	})
}

// toldBy is the status of a transaction as far as an account's own event tells.
func (l *ledger) toldBy(account, id string) transaction.Status {
	t := l.transactions[id]
	switch {
	case transaction.IsExternal(t.From), transaction.IsExternal(t.To):
		return transaction.Completed
	case t.From == account:
		return transaction.Pending
	case t.Status == transaction.Compensated:
		return transaction.Failed
	}
	return t.Status
}

// shown is what a list tells of a transaction that the account's own event has too. The reason is not compared: a
// refusal of this ledger has one of its own.
func shown(r TransactionRecord) string {
	r.Reason = ""
	return fmt.Sprintf("%s %s %+v %s %+v", r.ID, r.Status, r.Details, r.CorrelationID, r.Actor)
}

// list reads all pages.
func list(t testing.TB, m *ReadModel, q TransactionsQuery) (all []TransactionRecord) {
	t.Helper()
	q.First = 3
	for more := true; more; {
		page, err := m.Transactions(context.Background(), q)
		if err != nil {
			t.Fatal(err)
		}
		all, more = append(all, page.Transactions...), page.More
		if more {
			q.After = page.Cursors[len(page.Cursors)-1]
		}
	}
	return all
}

func (q TransactionsQuery) takes(r *TransactionRecord) bool {
	return (q.AccountID == "" || r.From == q.AccountID || r.To == q.AccountID) && (q.CorrelationID == "" || r.CorrelationID == q.CorrelationID) &&
		(q.Status == "" || r.Status == q.Status) && (q.Type == "" || r.Type == q.Type)
}

func TestTrailLeadsToAllEventsOfATransaction(t *testing.T) {
	testenv.EachDatabase(t, func(t *testing.T, url string) {
		l := newLedger(t)
		l.history(8, 1500)
		l.topUp("account-1", "50.00")
		l.leave("account-1", "account-2", "1.00", "pending")
		// The steps of one take their time, and the destination's clock is behind.
		l.leave("account-1", "nobody-1", "1.00", "slow")
		l.now = l.now.Add(-20 * time.Second)
		l.record("nobody-1", account.Refused(movement("1.00", account.Transfer, "account-1", "slow"), domain.AccountNotFound))
		l.now = l.now.Add(time.Minute)
		l.record("account-1", account.DecideReversal(l.accounts["account-1"], movement("1.00", account.Transfer, "nobody-1", "slow"), domain.AccountNotFound))
		l.write()
		m := l.projected(url)
		want := map[string][]string{}
		for id, events := range l.events {
			for _, e := range events {
				if transaction := transactionOf(e.Data.(account.Event)); transaction != "" {
					want[transaction] = append(want[transaction], fmt.Sprintf("%s %d", id, e.Version))
				}
			}
		}
		for id, s := range l.transactions {
			trail, err := m.TransactionTrail(context.Background(), id)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for i := range trail {
				got = append(got, fmt.Sprintf("%s %d", trail[i].AggregateID, trail[i].Version))
			}
			if first := trail[0].AggregateID; first != s.From && s.Type != account.Topup {
				t.Errorf("the trail of %+v begins on %s", s, first)
			}
			if last := trail[len(trail)-1].AggregateID; s.Status == transaction.Compensated && last != s.From {
				t.Errorf("the trail of %+v ends on %s", s, last)
			}
			slices.Sort(got)
			slices.Sort(want[id])
			if !slices.Equal(got, want[id]) {
				t.Errorf("the trail of %+v is %v, want %v", s, got, want[id])
			}
		}
		if trail, err := m.TransactionTrail(context.Background(), "unknown"); err != nil || trail != nil {
			t.Errorf("an unknown transaction has %v, %v", trail, err)
		}
	})
}
