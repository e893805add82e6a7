package engine_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/shopspring/decimal"

	"daybook/domain"
	"daybook/domain/account"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func status(id string, to account.Status, key string) *ledger.ChangeStatus {
	return &ledger.ChangeStatus{Meta: ledger.Meta{IdempotencyKey: key}, AccountID: id, Status: to, Reason: "asked"}
}

// closeInTransit closes an account while all it has is on its way to a full one in another partition, and waits until the
// money is back.
func (n *node) closeInTransit(id string) {
	n.t.Helper()
	full := create(inPartition(1, "full"))
	full.Limits.Max = decimal.NewNullDecimal(eur("1.00"))
	n.must(full)
	n.create(id)
	n.topUp(id, "10.00", "k")
	for _, a := range n.batch(false, transfer(id, full.ID, "10.00", "t"), status(id, account.Closed, "s")) {
		if a.Err != nil {
			n.t.Fatal(a.Err)
		}
	}
	testenv.Eventually(n.t, func() error {
		if state, err := n.engine.Account(id); err != nil || state.Status != account.Closed || !state.Balance.Equal(eur("10.00")) {
			return fmt.Errorf("the account is %s with %s, %v", state.Status, state.Balance, err)
		}
		return nil
	})
}

func TestWhatComesBackToAClosedAccountIsNotOutOfReach(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		n := startNode(t, brokers, t.TempDir(), all)
		id := inPartition(0, "a")
		n.closeInTransit(id)
		n.mustRefuse(withdraw(id, "10.00", "w"), domain.AccountClosed, "accountId")
		n.mustRefuse(status(id, account.Suspended, "s2"), domain.AccountClosed, "status")
		n.must(status(id, account.Active, "s3"))
		n.must(withdraw(id, "10.00", "w"))
		n.must(status(id, account.Closed, "s4"))
		n.mustRefuse(status(id, account.Active, "s5"), domain.AccountClosed, "status")
		if a := soundLog(t, brokers).Accounts[id]; a.Status != "CLOSED" || !a.Balance.IsZero() {
			t.Errorf("the account ends %s with %s", a.Status, a.Balance)
		}
	})
}

func TestAPayeeThatWasOpenedAgainIsPaidByANodeThatLags(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	gate := make(chan struct{})
	release := sync.OnceFunc(func() { close(gate) })
	defer release()
	var armed atomic.Bool
	var asked, waiting atomic.Int32
	log := &faultyLog{
		onRead: func(topic string, partition int32, _ int64) error {
			if armed.Load() && topic == eventstore.AccountEvents && partition == 0 {
				waiting.Add(1)
				<-gate
			}
			return nil
		},
		onEnd: func(topic string, partition int32) {
			if armed.Load() && topic == eventstore.AccountEvents && partition == 0 {
				asked.Add(1)
			}
		},
	}
	first, second := pair(t, brokers, &faultyLog{}, log)
	payer, payee := inPartition(2, "payer"), inPartition(0, "payee")
	second.create(payer)
	second.topUp(payer, "5.00", "k")
	first.closeInTransit(payee)
	closed, err := first.engine.Account(payee)
	if err != nil {
		t.Fatal(err)
	}
	second.mustKnow(payee, closed.Version)
	armed.Store(true)
	testenv.Eventually(t, func() error {
		if waiting.Load() == 0 {
			return errors.New("the copy is read still")
		}
		return nil
	})
	first.must(status(payee, account.Active, "s2"))

	answered := make(chan error, 1)
	go func() {
		_, err := second.execute(transfer(payer, payee, "5.00", "t"))
		answered <- err
	}()
	testenv.Eventually(t, func() error {
		if asked.Load() == 0 && len(answered) == 0 {
			return errors.New("the node does not make sure")
		}
		return nil
	})
	release()
	if err := <-answered; err != nil {
		t.Errorf("the transfer is answered %v", err)
	}
	if got := soundLog(t, brokers).Accounts[payee].Balance.StringFixed(2); got != "15.00" {
		t.Errorf("the payee has %s", got)
	}
}
