package engine_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func (n *node) batch(atomic bool, commands ...ledger.Command) []engine.Answer {
	n.t.Helper()
	answers := n.engine.ExecuteBatch(context.Background(), commands, atomic)
	if len(answers) != len(commands) {
		n.t.Fatalf("%d answers to %d commands", len(answers), len(commands))
	}
	return answers
}

func mustHaveCodes(t *testing.T, answers []engine.Answer, want ...domain.Code) {
	t.Helper()
	for i, a := range answers {
		code := domain.Code("")
		if a.Err != nil {
			code = domain.CodeOf(a.Err)
		}
		if code != want[i] {
			t.Errorf("command %d was answered %v, want %q", i, a.Err, want[i])
		}
	}
}

func TestABatchIsAnsweredInOrderCommandByCommand(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	a, b, c := inPartition(0, "a"), inPartition(1, "b"), inPartition(2, "c")
	n.create(b)
	answers := n.batch(false,
		create(a), create(c), topUp(a, "10.00", "k"), transfer(a, b, "4.00", "t1"), transfer(a, b, "7.00", "t2"), topUp(a, "10.00", "k"))
	mustHaveCodes(t, answers, "", "", "", "", domain.InsufficientBalance, "")
	if v := answers[3].Result.Account; v.Version != 3 || v.Balance.StringFixed(2) != "6.00" {
		t.Errorf("the transfer was answered %+v", v)
	}
	if answers[5].Result.Transaction.ID != answers[2].Result.Transaction.ID {
		t.Error("the same key twice in one batch had two effects")
	}
	testenv.Eventually(t, func() error {
		r := n.must(transfer(a, b, "4.00", "t1"))
		if r.Transaction.Status != transaction.Completed {
			return fmt.Errorf("status %s", r.Transaction.Status)
		}
		return nil
	})
	soundLog(t, brokers)
}

func TestCommandsOfABatchForOnePartitionShareACommit(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var commits, largest atomic.Int64
	f := &faultyLog{onAppend: func(_ int32, _ int, messages []eventstore.Message) fault {
		commits.Add(1)
		largest.Store(max(largest.Load(), int64(len(messages))))
		return none
	}}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	id := inPartition(0, "a")
	n.create(id)
	commits.Store(0)
	var commands []ledger.Command
	for i := range 1000 {
		commands = append(commands, topUp(id, "1.00", fmt.Sprint("k", i)))
	}
	for i, a := range n.batch(false, commands...) {
		if a.Err != nil || a.Result.Account.Version != int64(i+2) {
			t.Fatalf("command %d: %+v", i, a)
		}
	}
	if commits.Load() != 1 || largest.Load() != 1000 {
		t.Errorf("%d commits, the largest of %d events", commits.Load(), largest.Load())
	}
	soundLog(t, brokers)
}

func TestAnAtomicBatchDoesAllOrNothing(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	a, b, elsewhere := inPartition(0, "a"), inPartition(0, "b"), inPartition(1, "c")
	n.create(a)
	n.create(b)
	n.create(elsewhere)
	n.topUp(a, "10.00", "k")
	payment := n.must(pay(a, b, "2.00", "p")).Transaction.ID
	held := n.must(hold(a, b, "3.00", "h")).Hold.ID
	before := len(n.recorded())

	answers := n.batch(true, topUp(a, "1.00", "x1"), refund(payment, "1.00", "x2"), capture(held, "1.00", "x3"),
		transfer(a, b, "99.00", "x4"), topUp(b, "1.00", "x5"))
	mustHaveCodes(t, answers, domain.BatchAborted, domain.BatchAborted, domain.BatchAborted, domain.InsufficientBalance, domain.BatchAborted)
	answers = n.batch(true, topUp(a, "1.00", "x1"), transfer(a, elsewhere, "1.00", "x2"))
	mustHaveCodes(t, answers, domain.BatchAborted, domain.BatchSpansPartitions)
	answers = n.batch(true, topUp(a, "1.00", "x1"), topUp(elsewhere, "1.00", "x2"))
	mustHaveCodes(t, answers, domain.BatchAborted, domain.BatchSpansPartitions)
	answers = n.batch(true, topUp(a, "1.00", "x1"), refund("none", "1.00", "x2"))
	mustHaveCodes(t, answers, domain.BatchAborted, domain.TransactionNotFound)
	if after := len(n.recorded()); after != before {
		t.Fatalf("%d events were recorded", after-before)
	}
	n.mustHave(a, "8.00", "3.00")

	all := []ledger.Command{topUp(a, "1.00", "x1"), refund(payment, "2.00", "x2"), capture(held, "", "x3"), transfer(a, b, "8.00", "x4")}
	first := n.batch(true, all...)
	mustHaveCodes(t, first, "", "", "", "")
	n.mustHave(a, "0.00", "0.00")
	again := n.batch(true, all...)
	for i := range again {
		if again[i].Err != nil || again[i].Result.Transaction.ID != first[i].Result.Transaction.ID || again[i].Result.Account.Version != first[i].Result.Account.Version {
			t.Errorf("command %d was answered %+v, then %+v", i, first[i], again[i])
		}
	}
	n.mustRefuse(refund(payment, "", "x6"), domain.RefundExceedsPayment, "amount")
	soundLog(t, brokers)
}

func TestAnAtomicBatchIsDecidedAnewAsOneAfterAFailure(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var failing atomic.Bool
	f := &faultyLog{onAppend: func(int32, int, []eventstore.Message) fault {
		if failing.Swap(false) {
			return before
		}
		return none
	}}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	a, b := inPartition(0, "a"), inPartition(0, "b")
	n.create(a)
	n.create(b)
	failing.Store(true)
	mustHaveCodes(t, n.batch(true, topUp(a, "5.00", "x1"), transfer(a, b, "5.00", "x2"), transfer(b, a, "1.00", "x3")), "", "", "")
	failing.Store(true)
	mustHaveCodes(t, n.batch(false, topUp(a, "5.00", "y1"), transfer(a, b, "99.00", "y2"), transfer(b, a, "1.00", "y3")), "", domain.InsufficientBalance, "")
	n.mustHave(a, "7.00", "0.00")
	n.mustHave(b, "3.00", "0.00")
	soundLog(t, brokers)
}

func TestABatchThatIsNotTakenInTimeDidNothing(t *testing.T) {
	t.Parallel()
	n := newNode(t, testenv.Embedded(t), t.TempDir(), with(func(c *engine.Config) { c.CommandTimeout = 20 * time.Millisecond }))
	n.engine.Assign(all) // It does not run: nothing is ever taken.
	for _, atomic := range []bool{false, true} {
		mustHaveCodes(t, n.batch(atomic, topUp("a", "1.00", "x1"), topUp("a", "1.00", "x2")), domain.Unavailable, domain.Unavailable)
	}
}

func TestABatchWhoseOutcomeStaysOpenIsWaitedForOnce(t *testing.T) {
	t.Parallel()
	for _, together := range []bool{false, true} {
		brokers := testenv.Embedded(t)
		release := make(chan struct{})
		var closed atomic.Bool
		f := &faultyLog{gate: func() {
			if closed.Load() {
				<-release
			}
		}}
		n := startNode(t, brokers, t.TempDir(), all, faulty(f), with(func(c *engine.Config) {
			c.CommandTimeout, c.SettleGrace = 2*time.Second, time.Second
		}))
		id := inPartition(0, "a")
		n.create(id)
		closed.Store(true)
		var commands []ledger.Command
		for i := range 1000 { // A second for each would be more than anybody has.
			commands = append(commands, topUp(id, "1.00", fmt.Sprint("k", i)))
		}
		answered := make(chan []engine.Answer, 1)
		go func() { answered <- n.batch(together, commands...) }()
		testenv.Eventually(t, func() error {
			select {
			case answers := <-answered:
				for _, a := range answers {
					if domain.CodeOf(a.Err) != domain.OutcomeUnknown {
						t.Fatalf("answered %+v", a)
					}
				}
				return nil
			default:
				return fmt.Errorf("there is no answer yet")
			}
		})
		close(release)
		soundLog(t, brokers)
	}
}
