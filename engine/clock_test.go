package engine_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"daybook/domain"
	"daybook/engine"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

// What is decided is never dated before the last event: by that the hold can be captured no more.
func TestAHoldExpiresAfterAClockThatRanAheadWentBack(t *testing.T) {
	t.Parallel()
	brokers := testenv.Embedded(t)
	var ahead atomic.Int64
	log := &faultyLog{onAppend: func(int32, int, []eventstore.Message) fault {
		ahead.Store(0) // Once something was decided, and before holds are looked for.
		return none
	}}
	n := startNode(t, brokers, t.TempDir(), all, faulty(log), with(func(c *engine.Config) {
		c.Clock = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	}))
	n.create("alice")
	n.create("shop")
	n.topUp("alice", "100.00", "k")
	soon := hold("alice", "shop", "10.00", "h")
	soon.ExpiresAt = time.Now().Add(10 * time.Minute).UTC().Truncate(time.Millisecond)
	id := n.must(soon).Hold.ID
	ahead.Store(int64(20 * time.Minute))
	n.topUp("alice", "1.00", "k2")
	n.mustRefuse(capture(id, "", "c"), domain.HoldExpired, "holdId")
	testenv.Eventually(t, func() error {
		state, err := n.engine.Account("alice")
		if err != nil || !state.Held.IsZero() {
			return fmt.Errorf("%s are held, %v", state.Held, err)
		}
		return nil
	})
	soundLog(t, brokers)
}
