package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/engine/snapshot"
	"daybook/engine/store"
	"daybook/eventstore"
	"daybook/internal/ids"
	"daybook/internal/testenv"
)

// checkpoints is how a test writes and restores checkpoints of a node's state.
func checkpoints(t *testing.T, n *node) snapshot.Config {
	t.Helper()
	id, err := n.client.LogID()
	if err != nil {
		t.Fatal(err)
	}
	return snapshot.Config{
		Log: n.client, Store: n.store, LogID: id, Partitions: partitions, Clock: time.Now, NewID: ids.New,
		Logger: testenv.Logger(), BytesPerSecond: -1,
	}
}

// stateOf renders all that a node's store knows of a partition.
func stateOf(t *testing.T, s *store.Store, partition int32) string {
	t.Helper()
	var all bytes.Buffer
	err := s.Dump(partition, func(key, value []byte) error {
		fmt.Fprintf(&all, "%q=%q\n", key, value)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// followed is a node that owns nothing and has come to the end of the log, from what restore left in its store.
func followed(t *testing.T, brokers []string, restore func(n *node)) *node {
	t.Helper()
	n := newNode(t, brokers, t.TempDir())
	restore(n)
	n.start()
	testenv.Eventually(t, func() error {
		for p := range int32(partitions) {
			end, err := n.client.EndOffset(eventstore.AccountEvents, p)
			if err != nil {
				return err
			}
			if at, err := n.store.Position(p); err != nil || at.Next < end {
				return fmt.Errorf("partition %d is at %d of %d, %v", p, at.Next, end, err)
			}
		}
		return nil
	})
	return n
}

// difference shows the first line in which two states differ.
func difference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("got  %s\nwant %s", a[i], b[i])
		}
	}
	return fmt.Sprintf("%d entries, want %d", len(a)-1, len(b)-1)
}

func TestEveryCheckpointAndItsTailAreTheFoldOfTheWholeLog(t *testing.T) {
	brokers := testenv.Kafka(t)
	n := startNode(t, brokers, t.TempDir(), all)
	w := newWorkload(t, func(*rand.Rand) *node { return n })
	w.open(n)

	// given checkpoints of an owner in the middle of everything, each with the store that is restored from it at once
	loaded := make(chan struct{})
	go func() {
		defer close(loaded)
		w.run(24, 60)
	}()
	var restored []*node
	for under := true; under; {
		select {
		case <-loaded:
			under = false
		default:
		}
		var wg sync.WaitGroup
		for p := range int32(partitions) {
			wg.Go(func() {
				if err := snapshot.Write(context.Background(), checkpoints(t, n), p); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		m := newNode(t, brokers, t.TempDir())
		if err := snapshot.Restore(t.Context(), checkpoints(t, m)); err != nil {
			t.Fatal(err)
		}
		for p := range int32(partitions) {
			if at, err := m.store.Position(p); err != nil || at.Next == 0 {
				t.Errorf("partition %d is restored at %d, %v", p, at.Next, err)
			}
		}
		if len(restored) < 5 || !under {
			restored = append(restored, m)
		} else {
			m.stop()
		}
	}
	w.check(t, brokers, n)
	n.stop()

	replayed := followed(t, brokers, func(*node) {})
	for _, m := range restored {
		m.start()
	}
	for p := range int32(partitions) {
		want := stateOf(t, replayed.store, p)
		end, err := replayed.store.Position(p)
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range restored {
			testenv.Eventually(t, func() error {
				if at, err := m.store.Position(p); err != nil || at.Next < end.Next {
					return fmt.Errorf("at %d of %d, %v", at.Next, end.Next, err)
				}
				return nil
			})
			if got := stateOf(t, m.store, p); got != want {
				t.Errorf("partition %d, restored from checkpoint %d, is not as folded:\n%s", p, i, difference(got, want))
			}
		}
	}
	t.Logf("%d checkpoints restored", len(restored))
}

// What an owner has to know is in the state that it is restored to, or it is read again: also what other nodes sent to the
// owner before it, and what that one had begun.
func TestARestoredOwnerGoesOnWhereTheLastOneStopped(t *testing.T) {
	brokers := testenv.Kafka(t)
	asker := startNode(t, brokers, t.TempDir(), []int32{1, 2}, named("asker"), with(func(c *engine.Config) { c.CommandTimeout = time.Minute }))
	var mute atomic.Bool
	last := startNode(t, brokers, t.TempDir(), []int32{0}, named("last"), with(func(c *engine.Config) { c.SettleWait = time.Millisecond }),
		faulty(&faultyLog{onSend: func(topic string, _ int32) fault {
			if mute.Load() && topic == eventstore.CommandReplies {
				return before
			}
			return none
		}}))
	payer, payee, away := inPartition(0, "payer"), inPartition(1, "payee"), inPartition(2, "away")
	asker.create(payer)
	asker.create(payee)
	asker.create(away)
	asker.topUp(payer, "100.00", "k")
	// given holds of which one is to expire, a transfer to a partition without an owner, and an answer that is lost
	asker.engine.Assign([]int32{1})
	soon := hold(payer, payee, "20.00", "h1")
	soon.ExpiresAt = time.Now().Add(10 * time.Minute).UTC().Truncate(time.Millisecond)
	expiring, other := asker.must(soon).Hold.ID, asker.must(hold(payer, payee, "30.00", "h2")).Hold.ID
	captured := asker.must(capture(other, "5.00", "c"))
	if moved := asker.must(transfer(payer, away, "7.00", "t")); moved.Transaction.Status != transaction.Pending {
		t.Fatalf("the transfer is %s", moved.Transaction.Status)
	}
	mute.Store(true)
	type answer struct {
		ledger.Result
		error
	}
	answers := make(chan answer, 1)
	go func() {
		r, err := asker.execute(topUp(payer, "1.00", "unheard"))
		answers <- answer{r, err}
	}()
	testenv.Eventually(t, func() error {
		state, err := last.engine.Account(payer)
		if err != nil || state.Balance.StringFixed(2) != "89.00" {
			return fmt.Errorf("the payer has %s, %v", state.Balance, err)
		}
		return nil
	})

	// when another node, restored from checkpoints of all that, takes the owner's place
	end := map[int32]int64{}
	for p := range int32(partitions) {
		if err := snapshot.Write(t.Context(), checkpoints(t, last), p); err != nil {
			t.Fatal(err)
		}
		at, err := last.store.Position(p)
		if err != nil {
			t.Fatal(err)
		}
		end[p] = at.Next
	}
	last.stop()
	var ahead atomic.Int64
	restored := newNode(t, brokers, t.TempDir(), named("restored"), with(func(c *engine.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}))
	if err := snapshot.Restore(t.Context(), checkpoints(t, restored)); err != nil {
		t.Fatal(err)
	}
	if at, err := restored.store.Position(0); err != nil || at.Next == 0 || at.Next > end[0] {
		t.Fatalf("restored at %d of %d, %v", at.Next, end[0], err)
	}
	restored.engine.Assign([]int32{0, 2})
	restored.start()
	restored.awaitOwned(2)

	// then it tells what the last one did, and goes on with what that one had begun
	unheard := <-answers
	if unheard.error != nil || unheard.Account.Balance.StringFixed(2) != "89.00" {
		t.Fatalf("answered %+v, %v", unheard.Account, unheard.error)
	}
	if again := asker.topUp(payer, "1.00", "unheard"); again.Account.Version != unheard.Account.Version || again.Transaction.ID != unheard.Transaction.ID {
		t.Errorf("answered %+v, then %+v", unheard.Result, again)
	}
	if again := asker.must(capture(other, "5.00", "c")); again.Transaction.ID != captured.Transaction.ID || shown(again.Hold) != shown(captured.Hold) {
		t.Errorf("answered %+v, then %+v", captured, again)
	}
	asker.mustRefuse(topUp(payer, "2.00", "unheard"), domain.IdempotencyConflict, "idempotencyKey")
	testenv.Eventually(t, func() error {
		state, err := restored.engine.Account(away)
		if err != nil || state.Balance.StringFixed(2) != "7.00" {
			return fmt.Errorf("%s have arrived, %v", state.Balance, err)
		}
		return nil
	})
	ahead.Store(int64(11 * time.Minute))
	testenv.Eventually(t, func() error {
		state, err := restored.engine.Account(payer)
		if err != nil || state.Held.StringFixed(2) != "25.00" {
			return fmt.Errorf("%s are held, %v", state.Held, err)
		}
		return nil
	})
	asker.mustRefuse(capture(expiring, "", "c2"), domain.HoldExpired, "holdId")
	soundLog(t, brokers)
}
