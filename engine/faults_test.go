package engine_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/eventstore"
	"daybook/internal/audit"
	"daybook/internal/testenv"
)

// once returns the fault the first time that the condition holds, and none afterwards.
func once(what fault, condition func(messages []eventstore.Message) bool) func(int32, int, []eventstore.Message) fault {
	var done atomic.Bool
	return func(_ int32, _ int, messages []eventstore.Message) fault {
		if condition(messages) && done.CompareAndSwap(false, true) {
			return what
		}
		return none
	}
}

func carries(key string) func([]eventstore.Message) bool {
	return func(messages []eventstore.Message) bool {
		for i := range messages {
			if string(messages[i].Header("idempotencyKey")) == key {
				return true
			}
		}
		return false
	}
}

func TestABatchThatGoesWrongIsDoneOnceAllTheSame(t *testing.T) {
	t.Parallel()
	for name, what := range map[string]fault{"not written": before, "answer lost": after, "connection closed": hangUp} {
		t.Run(name, func(t *testing.T) {
			brokers := testenv.Embedded(t)
			n := startNode(t, brokers, t.TempDir(), all, faulty(&faultyLog{onAppend: once(what, carries("k1"))}))
			n.create("alice")

			r := n.topUp("alice", "5.00", "k1")

			if r.Account.Version != 2 || r.Account.Balance.StringFixed(2) != "5.00" {
				t.Fatalf("answered %+v", r.Account)
			}
			report := soundLog(t, brokers)
			if got := report.Accounts["alice"]; got.Version != 2 || got.Balance.StringFixed(2) != "5.00" {
				t.Fatalf("the log has %+v", got)
			}
		})
	}
}

// manyInFlight sends top-ups one after another so that each is a batch of its own, while the answers are held back.
func manyInFlight(t *testing.T, what fault, failing string) (*node, []string, func() []error) {
	t.Helper()
	brokers := testenv.Embedded(t)
	release := make(chan struct{})
	var holding atomic.Bool
	sent := make(chan struct{}, 100)
	f := &faultyLog{gate: func() {
		if holding.Load() {
			<-release
		}
	}}
	fail := once(what, carries(failing))
	f.onAppend = func(p int32, number int, messages []eventstore.Message) fault {
		if holding.Load() {
			sent <- struct{}{}
		}
		return fail(p, number, messages)
	}
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	n.create("alice")
	holding.Store(true)
	errs := make([]error, 3)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() { _, errs[i] = n.execute(topUp("alice", "1.00", fmt.Sprintf("k%d", i+1))) })
		<-sent
	}
	return n, brokers, func() []error {
		holding.Store(false)
		close(release)
		wg.Wait()
		return errs
	}
}

func TestAFailureAmongBatchesInFlightLosesAndRepeatsNothing(t *testing.T) {
	t.Parallel()
	for _, what := range []fault{before, after, hangUp} {
		for _, failing := range []string{"k1", "k2", "k3"} {
			t.Run(fmt.Sprintf("%d of %s", what, failing), func(t *testing.T) {
				_, brokers, answers := manyInFlight(t, what, failing)
				if err := errors.Join(answers()...); err != nil {
					t.Fatal(err)
				}
				if got := soundLog(t, brokers).Accounts["alice"]; got.Version != 4 || got.Balance.StringFixed(2) != "3.00" {
					t.Fatalf("the log has %+v", got)
				}
			})
		}
	}
}

func TestATakeoverThatFailsHalfwayIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(f *faultyLog, left *atomic.Int64){
		"before the line": func(f *faultyLog, left *atomic.Int64) {
			f.onRule = func(int32) fault {
				if left.Add(-1) >= 0 {
					return before
				}
				return none
			}
		},
		"after the line": func(f *faultyLog, left *atomic.Int64) {
			f.onRule = func(int32) fault {
				if left.Add(-1) >= 0 {
					return after
				}
				return none
			}
		},
		"while reading": func(f *faultyLog, left *atomic.Int64) {
			var calls atomic.Int64
			f.onRead = func(topic string, _ int32, _ int64) error {
				if topic == eventstore.AccountEvents && calls.Add(1)%2 == 0 && left.Add(-1) >= 0 {
					return errInjected
				}
				return nil
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			brokers := testenv.Embedded(t)
			var left atomic.Int64
			f := &faultyLog{onAppend: once(after, carries("k1"))}
			spoil(f, &left)
			n := startNode(t, brokers, t.TempDir(), all, faulty(f))
			n.create("alice")
			left.Store(3)

			r := n.topUp("alice", "5.00", "k1")

			if r.Account.Version != 2 {
				t.Fatalf("answered %+v", r.Account)
			}
			if got := soundLog(t, brokers).Accounts["alice"]; got.Version != 2 {
				t.Fatalf("the log has %+v", got)
			}
			// Trouble that is over is no trouble.
			testenv.Eventually(t, n.engine.Ready)
		})
	}
}

func TestReadinessComesBackAfterTrouble(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var failing atomic.Bool
	failing.Store(true)
	f := &faultyLog{onRule: func(int32) fault {
		if failing.Load() {
			return before
		}
		return none
	}}
	n := newNode(t, brokers, t.TempDir(), faulty(f))
	n.engine.Assign([]int32{0})
	n.start()
	testenv.Eventually(t, func() error {
		if n.engine.Ready() == nil {
			return errors.New("ready without owning a partition")
		}
		return nil
	})
	failing.Store(false)
	n.awaitOwned(1)
	testenv.Eventually(t, n.engine.Ready)
}

func TestAnAnswerLostTogetherWithTheAssignmentIsDefinite(t *testing.T) {
	t.Parallel()
	// The batch is in the log, behind a renewed line of its own writer. The takeover that would find it fails, and the
	// partition goes to another node.
	brokers := testenv.Embedded(t)
	id := inPartition(0, "alice")
	var n *node
	var lost atomic.Bool
	moved := make(chan struct{})
	f := &faultyLog{}
	f.onAppend = func(_ int32, _ int, messages []eventstore.Message) fault {
		if !carries("k1")(messages) {
			return none
		}
		f.small.Store(true)
		lost.Store(true)
		return afterRenewal
	}
	f.onRead = func(topic string, p int32, _ int64) error {
		if topic != eventstore.AccountEvents || p != 0 || !lost.CompareAndSwap(true, false) {
			return nil
		}
		n.engine.Assign([]int32{1, 2})
		close(moved)
		return errInjected
	}
	n = startNode(t, brokers, t.TempDir(), []int32{0}, faulty(f))
	n.create(id)
	answer := make(chan error, 1)
	go func() {
		_, err := n.execute(topUp(id, "5.00", "k1"))
		answer <- err
	}()
	<-moved
	startNode(t, brokers, t.TempDir(), []int32{0})
	if err := <-answer; err != nil {
		t.Fatalf("the command is in the log, and its client is told %v", err)
	}
	if got := soundLog(t, brokers).Accounts[id]; got.Version != 2 {
		t.Fatalf("the log has %+v", got)
	}
}

func TestARefusalThatRestsOnALostBatchIsDecidedAnew(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	hold, sent := make(chan struct{}), make(chan struct{})
	f := &faultyLog{}
	f.onAppend = once(before, func(messages []eventstore.Message) bool {
		if !carries("first")(messages) {
			return false
		}
		close(sent)
		<-hold
		return true
	})
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	alice, bob := inPartition(0, "alice"), inPartition(0, "bob")
	n.create(alice)
	n.create(bob)
	n.topUp(alice, "10.00", "k")
	ctx, cancel := context.WithCancel(context.Background())
	first := make(chan error, 1)
	go func() {
		_, err := n.engine.Execute(ctx, transfer(alice, bob, "10.00", "first"))
		first <- err
	}()
	<-sent
	second := make(chan error, 1)
	go func() {
		_, err := n.execute(transfer(alice, bob, "10.00", "second"))
		second <- err
	}()
	cancel() // The first client goes: what was not written for it is not decided again.
	if err := <-first; domain.CodeOf(err) != domain.OutcomeUnknown {
		t.Fatalf("the first client is told %v", err)
	}
	close(hold)
	if err := <-second; err != nil {
		t.Fatalf("refused for a transfer that never happened: %v", err)
	}
	report := soundLog(t, brokers)
	if _, ok := report.Keys[audit.Key{AccountID: alice, Key: "first"}]; ok {
		t.Fatal("the first transfer happened")
	}
}

func TestCommandsAreRefusedAtOnceWhileTheLogIsAway(t *testing.T) {
	t.Parallel()
	var away atomic.Bool
	f := &faultyLog{onRule: func(int32) fault {
		if away.Load() {
			return before
		}
		return none
	}}
	f.onAppend = func(int32, int, []eventstore.Message) fault {
		if away.Load() {
			return before
		}
		return none
	}
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all, faulty(f), with(func(c *engine.Config) { c.SettleGrace = time.Millisecond }))
	n.create("alice")
	away.Store(true)
	testenv.Eventually(t, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := n.engine.Execute(ctx, topUp("alice", "1.00", "k"))
		if err == nil || !strings.Contains(err.Error(), "cannot be written at the moment") {
			return fmt.Errorf("told %w", err)
		}
		return nil
	})
	away.Store(false)
	testenv.Eventually(t, func() error {
		_, err := n.execute(topUp("alice", "1.00", "k"))
		return err
	})
}
