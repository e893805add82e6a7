package engine_test

import (
	"sync/atomic"
	"testing"

	"daybook/domain"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestAnOwnerThatWasReplacedRefusesNothingOnWhatItStillKnows(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		id, other := inPartition(0, "account"), inPartition(0, "other")
		deposed := startNode(t, brokers, t.TempDir(), []int32{0})
		deposed.create(id)
		deposed.create(other)
		deposed.mustRefuse(transfer(id, other, "5.00", "t0"), domain.InsufficientBalance, "amount")
		// The deposed node is the last to hear of it.
		successor := startNode(t, brokers, t.TempDir(), []int32{0})
		successor.topUp(id, "10.00", "k")

		_, err := deposed.execute(transfer(id, other, "5.00", "t1"))
		if err != nil && domain.CodeOf(err) != domain.Unavailable {
			t.Fatalf("the deposed owner answered %v", err)
		}
		soundLog(t, brokers)
	})
}

func TestARenewedLineIsNoReasonToDoubtARefusal(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var renewing atomic.Bool
	f := &faultyLog{onAppend: func(int32, int, []eventstore.Message) fault {
		if renewing.Swap(false) {
			return afterRenewal
		}
		return none
	}}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	n.create("alice")
	n.create("bob")
	renewing.Store(true)
	n.topUp("alice", "1.00", "k")
	n.mustRefuse(transfer("alice", "bob", "5.00", "t1"), domain.InsufficientBalance, "amount")
	n.topUp("alice", "1.00", "k2")
	soundLog(t, brokers)
}
