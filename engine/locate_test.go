package engine_test

import (
	"context"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/internal/testenv"
)

const noHold = "00000000-0000-4000-8000-000000000000"

func TestANodeThatHasNotReadTheLogDoesNotSayThatAHoldIsNotThere(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	owner := startNode(t, brokers, t.TempDir(), all)
	payer, payee := inPartition(0, "payer"), inPartition(1, "payee")
	owner.create(payer)
	owner.create(payee)
	owner.topUp(payer, "10.00", "t")
	id := owner.must(hold(payer, payee, "5.00", "h")).Hold.ID

	second := newNode(t, brokers, t.TempDir(), with(func(c *engine.Config) { c.CommandTimeout = 100 * time.Millisecond }))
	for _, asked := range []string{id, noHold} {
		if _, err := second.execute(capture(asked, "", "c")); domain.CodeOf(err) != domain.Unavailable {
			t.Errorf("before it has read anything: got %v", err)
		}
		if answers := second.engine.ExecuteBatch(t.Context(), []ledger.Command{capture(asked, "", "c"), capture(asked, "", "d")}, false); domain.CodeOf(answers[1].Err) != domain.Unavailable {
			t.Errorf("in a batch: got %+v", answers)
		}
	}
	second.start() // It follows only.
	testenv.Eventually(t, func() error {
		_, err := second.execute(capture(noHold, "", "c"))
		if domain.CodeOf(err) == domain.HoldNotFound {
			return nil
		}
		return err
	})
	if _, err := second.execute(capture(id, "", "c")); domain.CodeOf(err) != domain.Unavailable {
		t.Errorf("a hold of another node's account: got %v", err)
	}
	if r := owner.must(capture(id, "", "c")); r.Account.Balance.StringFixed(2) != "5.00" {
		t.Errorf("the owner's capture leads to %+v", r.Account)
	}
}

// mustKnow checks that a node caught up with the log, to an account's version.
func (n *node) mustKnow(id string, version int64) {
	n.t.Helper()
	if err := n.engine.CatchUp(n.t.Context(), 0); err != nil {
		n.t.Fatal(err)
	}
	if a, err := n.engine.Account(id); err != nil || a.Version != version {
		n.t.Errorf("the node knows version %d, %v, want %d", a.Version, err, version)
	}
}

// mustLag checks that a node does not catch up with the log in a moment.
func (n *node) mustLag() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(n.t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := n.engine.CatchUp(ctx, 0); domain.CodeOf(err) != domain.Unavailable {
		n.t.Errorf("got %v, want %s", err, domain.Unavailable)
	}
}

func TestACopyThatLagsCatchesUpWithTheLog(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	owner := startNode(t, brokers, t.TempDir(), all)
	id := inPartition(0, "account")
	owner.create(id)
	second := newNode(t, brokers, t.TempDir())
	second.mustLag() // It has read nothing.
	second.start()
	second.mustKnow(id, 1)
	owner.topUp(id, "1.00", "k")
	owner.mustKnow(id, 2)
	second.mustKnow(id, 2)
}

func TestAnOwnerThatWasReplacedCatchesUpWithItsSuccessor(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	id := inPartition(0, "account")
	deposed := startNode(t, brokers, t.TempDir(), []int32{0})
	deposed.create(id)
	successor := startNode(t, brokers, t.TempDir(), []int32{0})
	successor.topUp(id, "10.00", "k")
	successor.stop()
	deposed.mustKnow(id, 2) // It is the last to hear of it.
}

// endless is a log that does not tell where it ends.
type endless struct{ engine.Log }

func (endless) EndOffset(string, int32) (int64, error) { return 0, errInjected }

func TestWithoutTheLogNoCopyCountsAsComplete(t *testing.T) {
	t.Parallel()
	n := newNode(t, testenv.Embedded(t), t.TempDir(), through(func(log engine.Log) engine.Log { return endless{log} }))
	n.start()
	n.mustLag()
}
