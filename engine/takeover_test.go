package engine_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"daybook/internal/testenv"
)

func TestAnAnswerThatATakeoverFoundIsToldThoughTheAssignmentWasLost(t *testing.T) {
	t.Parallel()
	// The batch is in the log, and the line of another owner behind it. The takeover that reads both cannot rule its own,
	// and the partition is the other's.
	brokers := testenv.Embedded(t)
	id := inPartition(0, "alice")
	var n *node
	var holding, failing atomic.Bool
	written, lost := make(chan struct{}), make(chan struct{})
	f := &faultyLog{
		gate: func() {
			if holding.CompareAndSwap(true, false) {
				close(written)
				<-lost
			}
		},
		onAppend: once(after, carries("k1")),
		onRule: func(int32) fault {
			if !failing.CompareAndSwap(true, false) {
				return none
			}
			n.engine.Assign(nil)
			return before
		},
	}
	n = startNode(t, brokers, t.TempDir(), []int32{0}, faulty(f))
	n.create(id)
	holding.Store(true)
	answer := make(chan error, 1)
	go func() {
		_, err := n.execute(topUp(id, "5.00", "k1"))
		answer <- err
	}()
	<-written
	startNode(t, brokers, t.TempDir(), []int32{0})
	failing.Store(true)
	close(lost)
	if err := <-answer; err != nil {
		t.Fatalf("the command is in the log, and its client is told %v", err)
	}
	soundLog(t, brokers)
}

func TestATakeoverWhoseLineDoesNotComeSaysSo(t *testing.T) {
	t.Parallel()
	f := &faultyLog{}
	f.blank.Store(true)
	n := newNode(t, testenv.Embedded(t), t.TempDir(), faulty(f))
	n.engine.Assign([]int32{0})
	n.start()
	testenv.Eventually(t, func() error {
		if cause := n.engine.Status()[0].Error; !strings.Contains(cause, "min.insync.replicas") {
			return fmt.Errorf("the cause is told as %q", cause)
		}
		return nil
	})
	f.blank.Store(false)
	n.awaitOwned(1)
	testenv.Eventually(t, n.engine.Ready)
}
