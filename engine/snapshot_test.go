package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

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
