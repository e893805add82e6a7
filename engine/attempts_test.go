package engine_test

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"daybook/domain"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

// A refusal leaves no trace in the log, and the command topic is read again by whoever owns the partition next.
func TestACommandOfAnotherNodeThatWasRefusedIsNotCarriedOutByTheNextOwner(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		gate := make(chan struct{})
		release := sync.OnceFunc(func() { close(gate) })
		defer release()
		log := &faultyLog{onRead: func(topic string, partition int32, _ int64) error {
			if topic == eventstore.AccountCommands && partition == 2 {
				<-gate
			}
			return nil
		}}
		first, second := pair(t, brokers, log)
		id := inPartition(2, "a")
		first.create(id)
		first.mustRefuse(withdraw(id, "5.00", "w"), domain.InsufficientBalance, "amount")
		mustHaveCodes(t, first.batch(true, withdraw(id, "5.00", "b1"), withdraw(id, "4.00", "b2")), domain.InsufficientBalance, domain.BatchAborted)
		second.engine.Assign(nil)
		first.engine.Assign(all)
		first.awaitOwned(3)
		first.topUp(id, "20.00", "k") // Before it reads the topic again,
		release()
		second.topUp(id, "10.00", "k2") // and behind all that is in it.
		if got := soundLog(t, brokers).Accounts[id].Balance.StringFixed(2); got != "30.00" {
			t.Errorf("the account has %s", got)
		}
	})
}

func TestACommandThatStandsTwiceInTheTopicIsDecidedOnce(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		var armed atomic.Bool
		var sent atomic.Int32
		again := make(chan struct{})
		log := &faultyLog{onSend: func(topic string, partition int32) fault {
			if !armed.Load() || topic != eventstore.AccountCommands || partition != 2 {
				return none
			}
			switch sent.Add(1) {
			case 1:
				return after // So that it is sent once more,
			case 2:
				<-again // when it would not be refused any longer.
			}
			return none
		}}
		first, second := pair(t, brokers, log)
		id := inPartition(2, "a")
		second.create(id)
		armed.Store(true)
		first.mustRefuse(withdraw(id, "5.00", "w"), domain.InsufficientBalance, "amount")
		second.topUp(id, "10.00", "k")
		close(again)
		first.topUp(id, "10.00", "k2")
		if got := soundLog(t, brokers).Accounts[id].Balance.StringFixed(2); got != "20.00" || sent.Load() < 3 {
			t.Errorf("the account has %s; sent %d times", got, sent.Load())
		}
	})
}

// A client asks one node, gives it up, and asks another with the same key, while the first command is on its way.
func TestARefusalWaitsForAnEarlierCommandUnderTheSameKey(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		gate := make(chan struct{})
		release := sync.OnceFunc(func() { close(gate) })
		defer release()
		var waiting, asked atomic.Int32
		var armed atomic.Bool
		commands := func(topic string, partition int32) bool {
			return armed.Load() && topic == eventstore.AccountCommands && partition == 2
		}
		log := &faultyLog{
			onRead: func(topic string, partition int32, _ int64) error {
				if commands(topic, partition) {
					waiting.Add(1)
					<-gate
				}
				return nil
			},
			onEnd: func(topic string, partition int32) {
				if commands(topic, partition) {
					asked.Add(1)
				}
			},
		}
		first, second := pair(t, brokers, &faultyLog{}, log)
		id := inPartition(2, "a")
		second.create(id)
		before := second.end(eventstore.AccountCommands, 2)
		armed.Store(true)
		testenv.Eventually(t, func() error {
			if waiting.Load() == 0 {
				return errors.New("the owner reads still")
			}
			return nil
		})
		type answer struct {
			result ledger.Result
			err    error
		}
		attempts := [2]chan answer{make(chan answer, 1), make(chan answer, 1)}
		ask := func(n *node, attempt int) {
			r, err := n.execute(withdraw(id, "5.00", "w"))
			attempts[attempt] <- answer{r, err}
		}
		go ask(first, 0)
		testenv.Eventually(t, func() error {
			if second.end(eventstore.AccountCommands, 2) == before {
				return errors.New("the command is not in the topic yet")
			}
			return nil
		})
		go ask(second, 1) // Refused, as things are.
		testenv.Eventually(t, func() error {
			if asked.Load() == 0 {
				return errors.New("the second command is not refused yet")
			}
			return nil
		})
		second.topUp(id, "10.00", "k")
		release()
		one, two := <-attempts[0], <-attempts[1]
		if one.err != nil || two.err != nil || one.result.Transaction.ID != two.result.Transaction.ID {
			t.Errorf("one key was answered %+v, %v and %+v, %v", one.result.Transaction, one.err, two.result.Transaction, two.err)
		}
		if got := soundLog(t, brokers).Accounts[id].Balance.StringFixed(2); got != "5.00" {
			t.Errorf("the account has %s", got)
		}
	})
}

func (n *node) end(topic string, partition int32) int64 {
	n.t.Helper()
	offset, err := n.client.EndOffset(topic, partition)
	if err != nil {
		n.t.Fatal(err)
	}
	return offset
}
