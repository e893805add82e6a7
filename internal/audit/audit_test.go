package audit_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"

	"daybook/internal/audit"
)

// in returns an account id of the partition.
func in(partition int, name string) string {
	for i := 0; ; i++ {
		id := fmt.Sprintf("%s-%d", name, i)
		if kgo.StickyKeyPartitioner(nil).ForTopic("").Partition(&kgo.Record{Key: []byte(id)}, partitions) == partition {
			return id
		}
	}
}

var ann, bob, cat, dan = in(0, "ann"), in(1, "bob"), in(2, "cat"), in(0, "dan")

// opened is a log with four accounts, the first with money.
func opened(t *testing.T) *ledger {
	l := newLedger(t)
	for _, id := range []string{ann, bob, cat, dan} {
		l.create(id)
	}
	l.topUp(ann, "100.00", "t0", "k0")
	return l
}

func TestASoundLogHasNoProblems(t *testing.T) {
	l := opened(t)
	l.transfer(ann, bob, "30.00", "t1", "k1")
	l.transfer(ann, dan, "5.00", "t2", "k2")
	l.debit(ann, cat, "10.00", "t3", "k3")
	l.refuse(ann, cat, "10.00", "t3")
	l.reverse(ann, cat, "10.00", "t3")
	l.status(bob, "ACTIVE", "SUSPENDED", "k4")
	l.records = append(l.records, l.records[len(l.records)-2]) // A repeat after a crash.

	r := l.audit()

	if len(r.Problems) > 0 || len(r.Unfinished) > 0 {
		t.Fatalf("problems %v, unfinished %v", r.Problems, r.Unfinished)
	}
	if got := r.Accounts[ann]; got.Balance.StringFixed(2) != "65.00" || got.Version != 6 {
		t.Errorf("%s has %s at version %d", ann, got.Balance, got.Version)
	}
	if got := r.Keys[audit.Key{AccountID: ann, Key: "k1"}]; got.Version != 3 || got.TransactionID != "t1" || got.Balance.StringFixed(2) != "70.00" {
		t.Errorf("the key leads to %+v", got)
	}
	if tx := r.Transactions["t3"]; tx.Reversal == nil || tx.Refusal == nil || tx.Credit != nil {
		t.Errorf("t3 is %+v", tx)
	}
	if r.Events != 13 || r.Repeats != 1 {
		t.Errorf("%d events, %d repeats", r.Events, r.Repeats)
	}
}

// emptyAndBack closes ann's account while all it has is on its way to cat, who refuses it.
func (l *ledger) emptyAndBack(key string) {
	l.debit(ann, cat, "100.00", "t1", key)
	l.status(ann, "ACTIVE", "CLOSED", key+"-close")
	l.refuse(ann, cat, "100.00", "t1")
	l.reverse(ann, cat, "100.00", "t1")
}

func TestAClosedAccountThatMoneyCameBackToMayBeOpenedAgain(t *testing.T) {
	l := opened(t)
	l.emptyAndBack("k1")
	l.status(ann, "CLOSED", "ACTIVE", "k2")
	l.withdraw(ann, "100.00", "t2", "k3")
	l.status(ann, "ACTIVE", "CLOSED", "k4")

	r := l.audit()

	if len(r.Problems) > 0 || len(r.Unfinished) > 0 || r.Accounts[ann].Status != "CLOSED" {
		t.Fatalf("problems %v, unfinished %v, the account is %s", r.Problems, r.Unfinished, r.Accounts[ann].Status)
	}
}

func TestMoneyOnItsWayIsUnfinishedAndNoProblem(t *testing.T) {
	l := opened(t)
	l.debit(ann, bob, "30.00", "t1", "k1")

	r := l.audit()

	if len(r.Problems) > 0 {
		t.Fatalf("problems %v", r.Problems)
	}
	if len(r.Unfinished) != 1 || !strings.Contains(r.Unfinished[0], "t1") {
		t.Fatalf("unfinished %v", r.Unfinished)
	}
}

// planted is a bug in a log.
type planted struct {
	plant func(l *ledger)
	// found is part of a problem, or of what is unfinished.
	found string
}

// findEach fails unless each bug, planted into a sound log, is found.
func findEach(t *testing.T, sound func(t *testing.T) *ledger, bugs map[string]planted) {
	for name, c := range bugs {
		t.Run(name, func(t *testing.T) {
			l := sound(t)
			c.plant(l)
			r := l.audit()
			if all := strings.Join(append(r.Problems, r.Unfinished...), "\n"); !strings.Contains(all, c.found) {
				t.Fatalf("not found: %q; found:\n%s", c.found, all)
			}
		})
	}
}

func TestPlantedBugsAreFound(t *testing.T) {
	findEach(t, opened, map[string]planted{
		"a credit applied twice": {func(l *ledger) {
			l.transfer(ann, bob, "30.00", "t1", "k1")
			l.credit(ann, bob, "30.00", "t1")
		}, "second credit of transaction t1"},
		"a lost reversal": {func(l *ledger) {
			l.debit(ann, bob, "30.00", "t1", "k1")
			l.refuse(ann, bob, "30.00", "t1")
		}, "t1 was refused and is not reversed"},
		"a reversal without refusal": {func(l *ledger) {
			l.debit(ann, bob, "30.00", "t1", "k1")
			l.reverse(ann, bob, "30.00", "t1")
		}, "t1 was reversed and not refused"},
		"credited and refused": {func(l *ledger) {
			l.transfer(ann, bob, "30.00", "t1", "k1")
			l.refuse(ann, bob, "30.00", "t1")
		}, "t1 was credited and refused"},
		"a credit from nowhere": {func(l *ledger) { l.credit(ann, bob, "30.00", "t1") }, "no debit"},
		"a debit twice": {func(l *ledger) {
			l.transfer(ann, bob, "30.00", "t1", "k1")
			l.debit(ann, bob, "30.00", "t1", "k2")
		}, "second debit of transaction t1"},
		"another amount on the other side": {func(l *ledger) {
			l.debit(ann, bob, "30.00", "t1", "k1")
			l.credit(ann, bob, "31.00", "t1")
		}, "another leg"},
		"a version gap": {func(l *ledger) {
			l.version[ann]++
			l.topUp(ann, "1.00", "t1", "k1")
		}, "follows on version 2"},
		"a version twice": {func(l *ledger) {
			l.version[ann]--
			l.topUp(ann, "1.00", "t1", "k1")
		}, "follows on version 2"},
		"a stale writer let in": {func(l *ledger) {
			versions, balances := maps.Clone(l.version), maps.Clone(l.balance)
			l.transfer(ann, dan, "30.00", "t1", "k1")
			l.version, l.balance = versions, balances // The stale writer knows nothing of it.
			l.transfer(ann, dan, "90.00", "t2", "k2")
		}, "version 3 of " + ann + " (partition 0 offset 5) follows on version 3"},
		"a stale writer let in between": {func(l *ledger) {
			stale := &ledger{t: l.t, version: maps.Clone(l.version), balance: maps.Clone(l.balance), now: l.now, ids: 1000}
			l.topUp(ann, "1.00", "t1", "k1")
			stale.topUp(ann, "2.00", "t2", "k2")
			l.records = append(l.records, stale.records...)
			l.topUp(ann, "4.00", "t3", "k3")
		}, "the balance was 102"},
		"a lost change of a balance": {func(l *ledger) {
			l.balance[ann] = l.balance[ann].Sub(decimal.New(1, 0))
			l.topUp(ann, "1.00", "t1", "k1")
		}, "the balance was 100"},
		"a lost key":       {func(l *ledger) { l.topUp(ann, "1.00", "t1", "") }, "idempotency key there false"},
		"a key used twice": {func(l *ledger) { l.topUp(ann, "1.00", "t1", "k0") }, "has the idempotency key of version 2"},
		"a key on a credit": {func(l *ledger) {
			l.debit(ann, bob, "1.00", "t1", "k")
			l.move(bob, ann, "1.00", "TRANSFER", "t1", "k", nil)
		}, "asked for by a client false"},
		"an overdraft":          {func(l *ledger) { l.transfer(ann, bob, "100.01", "t1", "k1") }, "the lower limit is 0"},
		"an upper limit passed": {func(l *ledger) { l.topUp(ann, "900.01", "t1", "k1") }, "the upper limit is 1000"},
		"a debit of a suspended account": {func(l *ledger) {
			l.status(ann, "ACTIVE", "SUSPENDED", "k1")
			l.transfer(ann, bob, "1.00", "t1", "k2")
		}, "the account is SUSPENDED"},
		"a closed account opened again": {func(l *ledger) {
			l.status(bob, "ACTIVE", "CLOSED", "k1")
			l.status(bob, "CLOSED", "ACTIVE", "k2")
		}, "makes an account that was closed ACTIVE, and it holds 0"},
		"a closed account suspended": {func(l *ledger) {
			l.emptyAndBack("k1")
			l.status(ann, "CLOSED", "SUSPENDED", "k3")
		}, "makes an account that was closed SUSPENDED, and it holds 100"},
		"a clock that went back": {func(l *ledger) {
			l.now = l.now.Add(-time.Millisecond)
			l.topUp(ann, "1.00", "t1", "k1")
		}, "is dated"},
		"half a transfer within a partition": {func(l *ledger) {
			l.debit(ann, dan, "1.00", "t1", "k1")
			l.topUp(ann, "1.00", "t2", "k2")
			l.credit(ann, dan, "1.00", "t1")
		}, "its legs do not stand together"},
		"a transaction event without a movement": {func(l *ledger) {
			l.derive("event-1", "TopupRequested", 1, movement{kind: "TOPUP", from: outside, to: ann, amount: "1.00", tx: "t1"})
		}, "follows from no movement"},
		"a completion without a credit": {func(l *ledger) {
			cause := l.debit(ann, bob, "1.00", "t1", "k1")
			l.derive(cause, "TransferCompleted", 2, transfer(ann, bob, "1.00", "t1"))
		}, "does not follow from its cause"},
		"a transaction event twice under different ids": {func(l *ledger) {
			cause := l.debit(ann, bob, "1.00", "t1", "k1")
			l.event("billing.transaction.events", "Transaction", "t1", 1, "TransferRequested", "", "", fields{
				"transactionType": "TRANSFER", "amount": "1.00", "currency": "EUR", "fromAccountId": ann, "toAccountId": bob,
			})
			_ = cause
		}, "is there twice"},
		"a transaction event that never came": {func(l *ledger) {
			l.move(ann, outside, "1.00", "TOPUP", "t1", "k1", nil)
		}, "t1 has no event of version 1 yet"},
	})
}

func TestAnswersAreComparedWithTheLog(t *testing.T) {
	l := opened(t)
	r := l.audit()
	sound := func() map[audit.Key]audit.Answer {
		answers := map[audit.Key]audit.Answer{{AccountID: ann, Key: "k0"}: {Version: 2, Balance: decimal.New(100, 0), TransactionID: "t0"}}
		for _, id := range []string{ann, bob, cat, dan} {
			answers[audit.Key{AccountID: id, Key: "create"}] = audit.Answer{Version: 1}
		}
		return answers
	}
	if problems := r.Compare(sound()); len(problems) > 0 {
		t.Fatalf("sound answers: %v", problems)
	}
	key := audit.Key{AccountID: ann, Key: "k0"}
	for name, c := range map[string]struct {
		change func(answers map[audit.Key]audit.Answer)
		found  string
	}{
		"acknowledged and lost": {func(a map[audit.Key]audit.Answer) {
			a[audit.Key{AccountID: ann, Key: "other"}] = audit.Answer{Version: 3}
		}, "is not in the log"},
		"another balance": {func(a map[audit.Key]audit.Answer) {
			a[key] = audit.Answer{Version: 2, Balance: decimal.New(99, 0), TransactionID: "t0"}
		}, "was acknowledged with"},
		"refused and done":    {func(a map[audit.Key]audit.Answer) { a[key] = audit.Answer{Verdict: audit.Refused} }, "was refused"},
		"nobody asked for it": {func(a map[audit.Key]audit.Answer) { delete(a, key) }, "nobody asked for it"},
	} {
		t.Run(name, func(t *testing.T) {
			answers := sound()
			c.change(answers)
			if all := strings.Join(r.Compare(answers), "\n"); !strings.Contains(all, c.found) {
				t.Fatalf("not found: %q; found: %s", c.found, all)
			}
		})
	}
	answers := sound()
	answers[key] = audit.Answer{Verdict: audit.Unknown}
	if problems := r.Compare(answers); len(problems) > 0 {
		t.Fatalf("an unknown outcome may be either: %v", problems)
	}
}
