package engine_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/internal/testenv"
)

// named gives a node a name, so that it can ask others.
func named(id string) option { return with(func(c *engine.Config) { c.NodeID = id }) }

// pair is two nodes: the first owns the partitions 0 and 1, the second 2. Each can have a faulty log.
func pair(t *testing.T, brokers []string, logs ...*faultyLog) (first, second *node) {
	options := [2][]option{{named("first")}, {named("second")}}
	for i, log := range logs {
		options[i] = append(options[i], faulty(log))
	}
	first = startNode(t, brokers, t.TempDir(), []int32{0, 1}, options[0]...)
	second = startNode(t, brokers, t.TempDir(), []int32{2}, options[1]...)
	return first, second
}

func TestAnyNodeCarriesOutAnyCommand(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		first, second := pair(t, brokers)
		here, there := inPartition(0, "here"), inPartition(2, "there")
		second.create(here)
		first.create(there)
		r := second.topUp(here, "10.00", "k")
		if r.Account.Balance.StringFixed(2) != "10.00" || r.Transaction.From != "external:card:EUR" {
			t.Fatalf("answered %+v, %+v", r.Account, r.Transaction)
		}
		again := first.topUp(here, "10.00", "k")
		if again.Transaction.ID != r.Transaction.ID || again.Account.Version != r.Account.Version {
			t.Fatalf("answered %+v by one node, %+v by the other", r, again)
		}
		if r := second.must(transfer(here, there, "4.00", "t")); r.Transaction.Status != transaction.Completed {
			t.Fatalf("the transfer is %s", r.Transaction.Status)
		}
		second.mustRefuse(transfer(here, there, "7.00", "t2"), domain.InsufficientBalance, "amount")
		second.mustRefuse(topUp(here, "11.00", "k"), domain.IdempotencyConflict, "idempotencyKey")
		payment := second.must(pay(here, there, "2.00", "p")).Transaction.ID
		testenv.Eventually(t, func() error { // The payee's node is first to know of it.
			_, err := first.execute(refund(payment, "1.00", "r"))
			return err
		})
		held := second.must(hold(here, there, "2.00", "h")).Hold
		if held == nil || held.Status != "ACTIVE" {
			t.Fatalf("hold %+v", held)
		}
		if r := second.must(capture(held.ID, "", "c")); shown(r.Hold) == shown(held) || r.Transaction.HoldID != held.ID {
			t.Fatalf("captured %+v, %+v", r.Hold, r.Transaction)
		}
		soundLog(t, brokers)
	})
}

func TestABatchIsCarriedOutByAllNodesThatItConcerns(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	first, second := pair(t, brokers)
	a, b, c := inPartition(0, "a"), inPartition(1, "b"), inPartition(2, "c")
	mustHaveCodes(t, first.batch(false, create(a), create(b), create(c), topUp(c, "5.00", "k"), topUp(c, "5.00", "k2"), withdraw(c, "11.00", "w")),
		"", "", "", "", "", domain.InsufficientBalance)
	mustHaveCodes(t, second.batch(true, topUp(a, "5.00", "k"), withdraw(a, "6.00", "w")), domain.BatchAborted, domain.InsufficientBalance)
	answers := second.batch(true, topUp(a, "5.00", "k"), withdraw(a, "5.00", "w"))
	mustHaveCodes(t, answers, "", "")
	if v := answers[1].Result.Account; v.Version != 3 || !v.Balance.IsZero() {
		t.Fatalf("answered %+v", v)
	}
	soundLog(t, brokers)
}

func TestWhatWaitsGoesAlongWhenAPartitionIsHandedOver(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		first, second := pair(t, brokers)
		id := inPartition(0, "a")
		first.create(id)
		nodes := []*node{first, second}
		var wg sync.WaitGroup
		for c := range 16 {
			wg.Go(func() {
				for i := range 40 {
					if _, err := nodes[c%2].execute(topUp(id, "1.00", fmt.Sprintf("%d-%d", c, i))); err != nil {
						t.Errorf("client %d: %v", c, err)
					}
				}
			})
		}
		for range 3 {
			first.engine.Assign([]int32{1})
			second.engine.Assign([]int32{0, 2})
			second.awaitOwned(2)
			second.engine.Assign([]int32{2})
			first.engine.Assign([]int32{0, 1})
			first.awaitOwned(2)
		}
		wg.Wait()
		if got := soundLog(t, brokers).Accounts[id].Balance.StringFixed(2); got != "640.00" {
			t.Errorf("the account has %s", got)
		}
	})
}

func TestACommandThatNobodyAnswersHasAnUnknownOutcomeAndIsCarriedOutOnce(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	brief := with(func(c *engine.Config) { c.CommandTimeout, c.SettleGrace = time.Second, time.Second })
	first := startNode(t, brokers, t.TempDir(), []int32{0, 1}, named("first"), brief)
	second := startNode(t, brokers, t.TempDir(), []int32{2}, named("second"))
	id := inPartition(2, "a")
	second.create(id)
	second.stop() // Nobody owns the partition now.
	_, err := first.execute(topUp(id, "5.00", "k"))
	if domain.CodeOf(err) != domain.OutcomeUnknown && domain.CodeOf(err) != domain.Unavailable {
		t.Fatalf("answered %v", err)
	}
	first.engine.Assign(all)
	first.awaitOwned(3)
	if r := first.must(topUp(id, "5.00", "k")); r.Account.Balance.StringFixed(2) != "5.00" {
		t.Fatalf("the account has %s", r.Account.Balance)
	}
	soundLog(t, brokers)
}
