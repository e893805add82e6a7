package engine_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"daybook/engine"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

// mustRefuseLog runs a node, as a follower and as an owner, on local state and a log that do not belong together. It has to end
// with what is to be done, and leave the log of the given partition as it is.
func mustRefuseLog(t *testing.T, brokers []string, dir, says string, partition int32) {
	t.Helper()
	for _, assigned := range [][]int32{nil, all} {
		n := newNode(t, brokers, dir)
		before := n.end(eventstore.AccountEvents, partition)
		n.engine.Assign(assigned)
		n.start()
		select {
		case err := <-n.done:
			n.cancel()
			n.cancel = nil
			var fatal *engine.FatalError
			if !errors.As(err, &fatal) || !strings.Contains(err.Error(), says) {
				t.Errorf("with the partitions %v the node ended with %v", assigned, err)
			}
		case <-time.After(20 * time.Second):
			t.Errorf("with the partitions %v the node goes on", assigned)
		}
		if after := n.end(eventstore.AccountEvents, partition); after != before {
			t.Errorf("with the partitions %v the log went from %d to %d", assigned, before, after)
		}
		n.stop()
	}
}

// readAll returns the messages of a partition of account events.
func (n *node) readAll(partition int32) (messages []eventstore.Message) {
	n.t.Helper()
	r, err := n.client.OpenReader(eventstore.AccountEvents, partition)
	if err != nil {
		n.t.Fatal(err)
	}
	defer r.Close() //nolint:errcheck // Nothing was written.
	for next, end := int64(0), n.end(eventstore.AccountEvents, partition); next < end; {
		chunk, err := r.Read(n.t.Context(), next, time.Second)
		if err != nil {
			n.t.Fatal(err)
		}
		messages, next = append(messages, chunk.Messages...), chunk.Next
	}
	return messages
}

func TestLocalStateOfEventsThatTheLogLostIsRefused(t *testing.T) {
	t.Parallel()
	lost, kept, dir := testenv.Embedded(t), testenv.Embedded(t), t.TempDir()
	id := inPartition(0, "account")
	for brokers, state := range map[*[]string]string{&lost: dir, &kept: t.TempDir()} {
		n := startNode(t, *brokers, state, all)
		n.create(id)
		n.topUp(id, "10.00", "k")
		n.stop()
	}
	n := startNode(t, kept, t.TempDir(), all)
	n.topUp(id, "1.00", "k2") // The log was written on beyond where the state is.
	n.stop()

	mustRefuseLog(t, kept, dir, "is not of this log, which holds something else at offset", 0)
}

func TestLocalStateThatHasReadALineWhereTheLogHasAnEventIsRefused(t *testing.T) {
	t.Parallel()
	lost, kept, dir := testenv.Embedded(t), testenv.Embedded(t), t.TempDir()
	id := inPartition(0, "account")
	n := startNode(t, lost, dir, all)
	n.create(id)
	n.stop()
	n = startNode(t, lost, dir, all) // Its line is the last thing in the log.
	n.stop()
	n = newNode(t, lost, t.TempDir())
	events := n.readAll(0)
	n.stop()
	n = newNode(t, kept, t.TempDir())
	for _, p := range []int32{0, 1, 1, 2, 2} { // The others are as long as they were.
		if _, err := n.client.RuleLine(t.Context(), eventstore.AccountEvents, p); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // The event as it was, and one where the line was.
		a := n.client.OpenAppender(eventstore.AccountEvents, 0)
		if err := errors.Join(a.Append(t.Context(), slices.Clone(events)), a.Close()); err != nil {
			t.Fatal(err)
		}
	}
	n.stop()

	mustRefuseLog(t, kept, dir, "is not of this log, which holds something else at offset 2", 0)
}

func TestALogThatEndsBeforeLocalStateIsNotMadeLonger(t *testing.T) {
	t.Parallel()
	id := inPartition(0, "account")
	for name, write := range map[string]func(*node){
		"with an event": func(n *node) { n.create(id) },
		"of lines only": func(*node) {},
	} {
		t.Run(name, func(t *testing.T) {
			long, short, dir := testenv.Embedded(t), testenv.Embedded(t), t.TempDir()
			n := startNode(t, long, dir, all)
			write(n)
			n.stop()

			mustRefuseLog(t, short, dir, "is ahead of the log", 0)
		})
	}
}
