package engine_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/ids"
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

func TestAnOwnerThatWasReplacedHearsOfItThoughNobodyAsksIt(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		id := inPartition(0, "account")
		deposed := startNode(t, brokers, t.TempDir(), []int32{0})
		deposed.create(id)
		successor := startNode(t, brokers, t.TempDir(), []int32{0})
		successor.topUp(id, "10.00", "k")
		successor.stop()
		testenv.Eventually(t, func() error {
			if state, err := deposed.engine.Account(id); err != nil || state.Version != 2 {
				return fmt.Errorf("the deposed node knows version %d, %v", state.Version, err)
			}
			return nil
		})
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

func TestANodeThatWasReplacedDoesNotSayThatAHoldIsNotThere(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	payer, payee := inPartition(0, "payer"), inPartition(0, "payee")
	deposed := startNode(t, brokers, t.TempDir(), []int32{0}, with(func(c *engine.Config) { c.CommandTimeout = 200 * time.Millisecond }))
	deposed.create(payer)
	deposed.create(payee)
	deposed.topUp(payer, "10.00", "k")
	successor := startNode(t, brokers, t.TempDir(), []int32{0})
	payment := successor.must(pay(payer, payee, "1.00", "p")).Transaction.ID
	id := successor.must(hold(payer, payee, "5.00", "h")).Hold.ID
	for _, c := range []ledger.Command{refund(payment, "", "r"), capture(id, "", "c"), void(id, "v")} {
		if _, err := deposed.execute(c); domain.CodeOf(err) != domain.Unavailable {
			t.Errorf("%T was answered %v", c, err)
		}
	}
	soundLog(t, brokers)
}

func TestATransferToAnAccountThatOnlyAnotherNodeKnowsIsNotRefused(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	source, created, none := inPartition(0, "source"), inPartition(1, "created"), inPartition(1, "none")
	deposed := startNode(t, brokers, t.TempDir(), []int32{0, 1}, with(func(c *engine.Config) {
		c.CommandTimeout, c.SettleWait = 200*time.Millisecond, time.Millisecond
	}))
	deposed.create(source)
	deposed.topUp(source, "10.00", "k")
	deposed.mustRefuse(transfer(source, none, "1.00", "t0"), domain.AccountNotFound, "toAccountId")
	successor := startNode(t, brokers, t.TempDir(), []int32{1})
	successor.create(created)
	if _, err := deposed.execute(transfer(source, created, "1.00", "t1")); err != nil && domain.CodeOf(err) != domain.Unavailable {
		t.Errorf("answered %v", err)
	}
	soundLog(t, brokers)
}

func TestAnOwnerDoesNotPassOverWhatItDidNotWrite(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), []int32{0})
	id, stray := inPartition(0, "alice"), inPartition(0, "stray")
	n.create(id)
	m, err := eventstore.Encode(&eventstore.Event{
		ID: ids.New(), AggregateID: stray, Version: 1, Timestamp: time.Now().UTC().Truncate(time.Millisecond), CorrelationID: ids.New(), CausationID: ids.New(),
		Data: &account.Created{OwnerID: "owner", Type: account.User, Currency: "EUR"},
	})
	if err != nil {
		t.Fatal(err)
	}
	to := n.client.OpenAppender(eventstore.AccountEvents, 0)
	if err := errors.Join(to.Append(t.Context(), []eventstore.Message{m}), to.Close()); err != nil {
		t.Fatal(err)
	}

	n.topUp(id, "1.00", "k")

	if state, err := n.engine.Account(stray); err != nil || state.Version != 1 {
		t.Errorf("the node knows version %d of the account that another has written, %v", state.Version, err)
	}
}

func TestALogThatCannotBeReadIsNoSignThatTheFenceDidNotHold(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var renewing, unreadable atomic.Bool
	f := &faultyLog{
		onAppend: func(int32, int, []eventstore.Message) fault {
			if renewing.Swap(false) {
				unreadable.Store(true)
				return renewed
			}
			return none
		},
		onRead: func(topic string, _ int32, _ int64) error {
			if topic == eventstore.AccountEvents && unreadable.Load() {
				return errInjected
			}
			return nil
		},
	}
	var said testenv.Buffer
	n := startNode(t, brokers, t.TempDir(), all, faulty(f), with(func(c *engine.Config) {
		c.Logger = slog.New(slog.NewTextHandler(&said, nil))
	}))
	n.create("alice")
	renewing.Store(true)
	answer := make(chan error, 1)
	go func() {
		_, err := n.execute(topUp("alice", "1.00", "k"))
		answer <- err
	}()
	testenv.Eventually(t, func() error { // What lies before the batch is to be its owner's own line.
		if !strings.Contains(said.String(), "looking for another owner") {
			return errors.New("nobody looked for what lies before the batch")
		}
		return nil
	})
	unreadable.Store(false)
	if err := <-answer; err != nil {
		t.Errorf("the command is told %v", err)
	}
	if strings.Contains(said.String(), "the fence did not hold") {
		t.Errorf("said:\n%s", said.String())
	}
	soundLog(t, brokers)
}
