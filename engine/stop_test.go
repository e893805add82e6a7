package engine_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

func TestAPlannedStopAnswersWhatOtherNodesAsked(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var holding atomic.Bool
	sent, release := make(chan struct{}), make(chan struct{})
	f := &faultyLog{
		gate: func() {
			if holding.Load() {
				<-release
			}
		},
		onAppend: once(none, func(messages []eventstore.Message) bool {
			if !carries("k")(messages) {
				return false
			}
			close(sent)
			return true
		}),
	}
	first, second := pair(t, brokers, f, &faultyLog{})
	id := inPartition(0, "alice")
	first.create(id)
	holding.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	answer := make(chan error, 1)
	go func() {
		_, err := second.engine.Execute(ctx, topUp(id, "1.00", "k"))
		answer <- err
	}()
	<-sent
	first.cancel()
	testenv.Eventually(t, func() error { // It takes no more commands: it is about to end.
		_, err := first.execute(topUp(inPartition(1, "none"), "1.00", "k"))
		if domain.CodeOf(err) != domain.Unavailable {
			return fmt.Errorf("told %w", err)
		}
		return nil
	})
	close(release)
	if err := <-answer; err != nil {
		t.Fatalf("the command was carried out, and its client is told %v", err)
	}
}

func TestAPlannedStopUnderLoadFromOtherNodesLeavesNoOutcomeUnknown(t *testing.T) {
	testenv.EachLog(t, func(t *testing.T, brokers []string) {
		first, second := pair(t, brokers)
		id := inPartition(0, "alice")
		first.create(id)
		var done, stopped atomic.Int64
		var wg sync.WaitGroup
		for c := range 16 {
			wg.Go(func() {
				for i := 0; stopped.Load() == 0; i++ {
					_, err := second.execute(topUp(id, "1.00", fmt.Sprintf("%d-%d", c, i)))
					if err == nil {
						done.Add(1)
					} else if domain.CodeOf(err) != domain.Unavailable {
						t.Errorf("told %v", err)
					}
				}
			})
		}
		testenv.Eventually(t, func() error {
			if n := done.Load(); n < 200 {
				return fmt.Errorf("%d commands were carried out", n)
			}
			return nil
		})
		first.stop()
		second.engine.Assign(all)
		second.awaitOwned(3)
		stopped.Store(1)
		wg.Wait()
		if got := soundLog(t, brokers).Accounts[id].Balance.IntPart(); got != done.Load() {
			t.Errorf("the account has %d, and %d were acknowledged", got, done.Load())
		}
	})
}
