package engine_test

import (
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestCommandsAreRefusedWhileTheBrokerRefusesBatchesForTheirTime(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var ahead atomic.Bool
	f := &faultyLog{onAppend: func(int32, int, []eventstore.Message) fault {
		if ahead.Load() {
			return wrongTime
		}
		return none
	}}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	n.create("alice")
	ahead.Store(true)
	_, err := n.execute(topUp("alice", "1.00", "first"))
	if domain.CodeOf(err) != domain.Unavailable || !strings.Contains(err.Error(), "clock") {
		t.Fatalf("the first is told %v", err)
	}
	tries := 0
	testenv.Eventually(t, func() error {
		tries++
		_, err := n.execute(topUp("alice", "1.00", fmt.Sprintf("k%d", tries)))
		if domain.CodeOf(err) != domain.Unavailable {
			t.Fatalf("told %v", err)
		}
		if !strings.Contains(err.Error(), "cannot be written at the moment") {
			return fmt.Errorf("not refused at once: %w", err)
		}
		return nil
	})
	if n.engine.Ready() == nil {
		t.Error("the node is ready")
	}
	ahead.Store(false)
	testenv.Eventually(t, func() error {
		_, err := n.execute(topUp("alice", "1.00", "k"))
		return err
	})
	testenv.Eventually(t, n.engine.Ready)
	if got := soundLog(t, brokers).Accounts["alice"]; got.Version != 2 {
		t.Errorf("the log has %+v, and all but one were refused", got)
	}
}

func TestCommandsThatTheBrokerDoesNotTakeToTheirOwnerDidNothing(t *testing.T) {
	t.Parallel()
	for name, refusal := range map[string]error{"too large": eventstore.ErrTooLarge, "too early": eventstore.ErrClock} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			brokers := testenv.Embedded(t)
			f := &faultyLog{onPost: func(topic string, messages []eventstore.Message) error {
				if topic == eventstore.AccountCommands && strings.Contains(string(messages[0].Value), "refused") {
					return refusal
				}
				return nil
			}}
			first, second := pair(t, brokers, f, &faultyLog{})
			id := inPartition(2, "alice")
			second.create(id)
			_, err := first.execute(topUp(id, "1.00", "refused"))
			if domain.CodeOf(err) != domain.Unavailable || !strings.Contains(err.Error(), "did nothing") {
				t.Errorf("told %v", err)
			}
			first.topUp(id, "1.00", "taken")
			if got := soundLog(t, brokers).Accounts[id]; got.Version != 2 {
				t.Errorf("the log has %+v", got)
			}
		})
	}
}

// A broker refuses what is dated more than an hour ahead of its own clock.
func TestAnOwnerWhoseClockIsFarAheadAnswersOtherNodes(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	refused := func(messages []eventstore.Message) bool {
		limit := time.Now().Add(time.Hour)
		return slices.ContainsFunc(messages, func(m eventstore.Message) bool { return m.Time.After(limit) })
	}
	f := &faultyLog{
		onAppend: func(_ int32, _ int, messages []eventstore.Message) fault {
			if refused(messages) {
				return wrongTime
			}
			return none
		},
		onPost: func(_ string, messages []eventstore.Message) error {
			if refused(messages) {
				return eventstore.ErrClock
			}
			return nil
		},
	}
	var ahead atomic.Int64
	owner := startNode(t, brokers, t.TempDir(), []int32{2}, named("owner"), faulty(f), with(func(c *engine.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}))
	other := startNode(t, brokers, t.TempDir(), []int32{0, 1}, named("other"))
	id := inPartition(2, "alice")
	other.create(id)
	done := other.topUp(id, "1.00", "k")
	ahead.Store(int64(2 * time.Hour))

	other.mustRefuse(withdraw(id, "5.00", "w"), domain.InsufficientBalance, "amount")
	if again := other.topUp(id, "1.00", "k"); again.Transaction.ID != done.Transaction.ID {
		t.Errorf("answered %+v again, and %+v before", again.Transaction, done.Transaction)
	}
	if _, err := other.execute(topUp(id, "1.00", "k2")); domain.CodeOf(err) != domain.Unavailable || !strings.Contains(err.Error(), "clock") {
		t.Errorf("what cannot be written is told %v", err)
	}
	ahead.Store(0)
	testenv.Eventually(t, func() error {
		_, err := other.execute(topUp(id, "1.00", "k3"))
		return err
	})
	if got := soundLog(t, brokers).Accounts[id]; got.Version != 3 || owner.engine.Ready() != nil {
		t.Errorf("the log has %+v, and the owner says %v", got, owner.engine.Ready())
	}
}
