package engine_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"daybook/domain"
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
