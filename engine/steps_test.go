package engine_test

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain/transaction"
	"daybook/engine"
	"daybook/engine/ledger"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestStepsAreReadOnWhereTheCommandTopicLostItsBeginning(t *testing.T) {
	t.Parallel()
	// Commands are kept for a time. A partition that had none of late can have a position older than that, or had no owner.
	for name, c := range map[string]struct {
		age  time.Duration
		says string
	}{
		"of late":  {0, "level=INFO msg=\"old commands were deleted"},
		"long ago": {eventstore.LeastCommandRetention + time.Hour, "level=ERROR msg=\"commands were deleted"},
	} {
		t.Run(name, func(t *testing.T) {
			brokers, dir := testenv.Embedded(t), t.TempDir()
			source, destination := inPartition(0, "source"), inPartition(1, "destination")
			n := startNode(t, brokers, dir, all, with(func(cfg *engine.Config) {
				cfg.SettleWait = time.Millisecond
				cfg.Clock = func() time.Time { return time.Now().Add(-c.age) }
			}))
			n.create(source)
			n.create(destination)
			n.topUp(source, "10.00", "k")
			n.engine.Assign([]int32{0})
			n.awaitOwned(1)
			n.must(transfer(source, destination, "1.00", "t1"))
			n.engine.Assign(all) // The credit waits in the command topic.
			soundLog(t, brokers)
			n.stop()
			deleteRecords(t, brokers, eventstore.AccountCommands, 1)

			var said testenv.Buffer
			n = startNode(t, brokers, dir, all, with(func(cfg *engine.Config) { cfg.Logger = slog.New(slog.NewTextHandler(&said, nil)) }))
			r := n.must(transfer(source, destination, "1.00", "t2"))

			if r.Transaction.Status != transaction.Completed {
				t.Fatalf("status %s", r.Transaction.Status)
			}
			soundLog(t, brokers)
			testenv.Eventually(t, func() error {
				if !strings.Contains(said.String(), c.says) {
					return fmt.Errorf("nobody was told %s:\n%s", c.says, said.String())
				}
				return nil
			})
		})
	}
}

func TestManyStepsMakeBatchesWithinTheirBound(t *testing.T) {
	t.Parallel()
	const transfers = 1500
	brokers := testenv.Embedded(t)
	source, destination := inPartition(0, "source"), inPartition(1, "destination")
	f := &faultyLog{}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f), with(func(c *engine.Config) { c.SettleWait = time.Millisecond }))
	n.create(source)
	n.create(destination)
	n.topUp(source, "2000.00", "k")
	n.engine.Assign([]int32{0})
	n.awaitOwned(1)
	var wg sync.WaitGroup
	for c := range 50 {
		wg.Go(func() {
			for i := range transfers / 50 {
				if _, err := n.execute(transfer(source, destination, "1.00", fmt.Sprintf("t-%d-%d", c, i))); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	n.engine.Assign(all) // All credits wait in the command topic.
	report := soundLog(t, brokers)
	if got := report.Accounts[destination].Balance.StringFixed(2); got != "1500.00" {
		t.Fatalf("the destination has %s", got)
	}
	if f.largest > 768<<10 {
		t.Fatalf("a batch had %d bytes", f.largest)
	}
}

func TestACoordinatorThatStopsHalfwayIsContinued(t *testing.T) {
	t.Parallel()
	for name, stop := range map[string]struct {
		topic string
		what  fault
	}{
		"before the transaction's events":         {eventstore.TransactionEvents, before},
		"after the transaction's events":          {eventstore.TransactionEvents, after},
		"before the command":                      {eventstore.AccountCommands, before},
		"after the command, its position unsaved": {eventstore.AccountCommands, after},
	} {
		t.Run(name, func(t *testing.T) {
			brokers, dir := testenv.Embedded(t), t.TempDir()
			source, destination, closed := inPartition(0, "source"), inPartition(1, "destination"), inPartition(2, "closed")
			n := startNode(t, brokers, dir, all)
			n.create(source)
			n.create(destination)
			n.topUp(source, "10.00", "k")
			soundLog(t, brokers)
			n.stop()
			f := &faultyLog{onSend: func(topic string, _ int32) fault {
				if topic == stop.topic {
					return stop.what
				}
				return none
			}}
			n = startNode(t, brokers, dir, all, faulty(f), with(func(c *engine.Config) { c.SettleWait = 50 * time.Millisecond }))
			n.must(transfer(source, destination, "1.00", "t1"))
			n.must(create(closed))
			n.must(&ledger.ChangeStatus{Meta: ledger.Meta{IdempotencyKey: "close"}, AccountID: closed, Status: "CLOSED"})
			n.stop()

			for _, state := range []string{dir, t.TempDir()} { // With the state it left, and without any.
				n = startNode(t, brokers, state, all)
				report := soundLog(t, brokers)
				if got := report.Accounts[destination].Balance.StringFixed(2); got != "1.00" {
					t.Fatalf("the destination has %s", got)
				}
				n.stop()
			}
		})
	}
}

func TestOlderLocalStateIsBroughtUpToTheLog(t *testing.T) {
	t.Parallel()
	brokers, dir, old := testenv.Embedded(t), t.TempDir(), t.TempDir()
	n := startNode(t, brokers, dir, all)
	ids := []string{inPartition(0, "a"), inPartition(1, "b"), inPartition(2, "c"), inPartition(0, "d")}
	for _, id := range ids {
		n.create(id)
		n.topUp(id, "10.00", "k")
	}
	n.stop()
	if err := os.CopyFS(filepath.Join(old, "state"), os.DirFS(filepath.Join(dir, "state"))); err != nil {
		t.Fatal(err)
	}
	n = startNode(t, brokers, dir, all)
	first := n.must(transfer(ids[0], ids[1], "3.00", "t1"))
	n.must(transfer(ids[2], ids[3], "4.00", "t2"))
	n.must(transfer(ids[3], ids[0], "14.00", "t3"))
	soundLog(t, brokers)
	n.stop()

	n = startNode(t, brokers, old, all)

	report := soundLog(t, brokers)
	for _, id := range ids {
		state, err := n.engine.Account(id)
		if want := report.Accounts[id]; err != nil || state.Version != want.Version || !state.Balance.Equal(want.Balance) {
			t.Errorf("%s: the state has version %d balance %s (%v), the log %d and %s", id, state.Version, state.Balance, err, want.Version, want.Balance)
		}
	}
	if again := n.must(transfer(ids[0], ids[1], "3.00", "t1")); again.Transaction.ID != first.Transaction.ID || again.Account.Version != first.Account.Version {
		t.Errorf("the key was answered %+v, now %+v", first, again)
	}
}

func TestAStepTakesTheShortWayWithinANodeAndTheLongOneWhenItIsLost(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	source, destination := inPartition(0, "source"), inPartition(1, "destination")
	var sent atomic.Int64
	var failing atomic.Bool
	f := &faultyLog{
		onSend: func(topic string, _ int32) fault {
			if topic == eventstore.AccountCommands {
				sent.Add(1)
			}
			return none
		},
		onAppend: func(partition int32, _ int, _ []eventstore.Message) fault {
			if partition == 1 && failing.Swap(false) {
				return before
			}
			return none
		},
	}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f), with(func(c *engine.Config) { c.SettleWait = 20 * time.Second }))
	n.create(source)
	n.create(destination)
	n.topUp(source, "10.00", "k")
	if r := n.must(transfer(source, destination, "1.00", "t1")); r.Transaction.Status != transaction.Completed || sent.Load() != 0 {
		t.Fatalf("status %s, %d messages to the command topic", r.Transaction.Status, sent.Load())
	}
	failing.Store(true) // The owner drops what it had taken.
	if r := n.must(transfer(source, destination, "1.00", "t2")); r.Transaction.Status != transaction.Completed || sent.Load() != 1 {
		t.Fatalf("status %s, %d messages to the command topic", r.Transaction.Status, sent.Load())
	}
	soundLog(t, brokers)
}
