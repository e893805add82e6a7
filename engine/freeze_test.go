package engine_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"daybook/eventstore"
	"daybook/internal/testenv"
)

func (n *node) ends() []int64 {
	n.t.Helper()
	ends := make([]int64, partitions)
	for p := range ends {
		var err error
		if ends[p], err = n.client.EndOffset(eventstore.AccountEvents, int32(p)); err != nil {
			n.t.Error(err)
		}
	}
	return ends
}

func TestNothingIsWrittenWhileTheEngineIsFrozen(t *testing.T) {
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all)
	w := newWorkload(t, func(*rand.Rand) *node { return n })
	w.open(n)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(16, 60)
	}()
	freezes, moved := 0, 0
	for running := true; running; {
		before := n.ends()
		err := n.engine.Freeze(t.Context(), func(context.Context) error {
			first := n.ends()
			time.Sleep(5 * time.Millisecond) // Long enough for many batches.
			if last := n.ends(); !slices.Equal(first, last) {
				t.Errorf("the log went from %d to %d while frozen", first, last)
			}
			if !slices.Equal(before, first) {
				moved++
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		freezes++
		select {
		case <-ended:
			running = false
		case <-time.After(time.Millisecond):
		}
	}
	if moved < 3 {
		t.Errorf("the log moved before %d of %d freezes only: nothing is shown", moved, freezes)
	}
	w.check(t, brokers, n)
}

func TestAFreezeThatTakesTooLongEndsByItselfAndSaysSo(t *testing.T) {
	n := startNode(t, testenv.Embedded(t), t.TempDir(), all)
	id := inPartition(0, "alice")
	err := n.engine.Freeze(t.Context(), func(context.Context) error {
		n.create(id) // Answered although look has not returned.
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "longer than the 2s") {
		t.Errorf("the freeze ended with %v", err)
	}
	n.topUp(id, "1.00", "after")
}

func TestAnOwnerOfSomePartitionsCannotFreezeTheLog(t *testing.T) {
	n := startNode(t, testenv.Embedded(t), t.TempDir(), []int32{0, 1})
	err := n.engine.Freeze(t.Context(), func(context.Context) error {
		t.Error("look was called")
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "partition 2 belongs to another node") {
		t.Errorf("the freeze ended with %v", err)
	}
	n.create(inPartition(0, "alice")) // The owned ones go on.
}

func TestAFreezeOutlastsAnOwnerThatFails(t *testing.T) {
	// Each eighth batch fails, some while the freeze waits for it, and another owner comes.
	f := &faultyLog{onAppend: func(_ int32, number int, _ []eventstore.Message) fault {
		if number == 8 {
			return after
		}
		return none
	}}
	brokers := testenv.Embedded(t)
	n := startNode(t, brokers, t.TempDir(), all, faulty(f))
	w := newWorkload(t, func(*rand.Rand) *node { return n })
	w.open(n)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		w.run(8, 20)
	}()
	for running := true; running; {
		err := n.engine.Freeze(t.Context(), func(context.Context) error {
			first := n.ends()
			time.Sleep(2 * time.Millisecond)
			if last := n.ends(); !slices.Equal(first, last) {
				t.Errorf("the log went from %d to %d while frozen", first, last)
			}
			return nil
		})
		if err != nil && !strings.Contains(err.Error(), "longer than") {
			t.Fatal(err)
		}
		select {
		case <-ended:
			running = false
		default:
		}
	}
	w.check(t, brokers, n)
}
