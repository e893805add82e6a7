package projector

import (
	"context"
	"testing"

	"daybook/domain/account"
	"daybook/eventstore"
	"daybook/internal/testenv"
)

// Most holds end soon, and an hour of them would fill the memory that is kept for those that may still change.
func TestAHoldThatHasEndedIsForgotten(t *testing.T) {
	l := newLedger(t)
	l.create("holder")
	l.create("shop")
	l.topUp("holder", "10.00")
	active, voided, captured := l.hold("holder", "shop", "1.00"), l.hold("holder", "shop", "2.00"), l.hold("holder", "shop", "3.00")
	void, err := account.DecideVoid(l.holds[voided], "not needed", l.now)
	if err != nil {
		t.Fatal(err)
	}
	l.record("holder", void)
	l.capture(l.holds[captured], eur("2.50"), true)
	var events []eventstore.Recorded
	for _, e := range l.events["holder"] {
		events = append(events, e.Recorded)
	}

	f := newFold(openModel(t, testenv.SQLite(t)), eventstore.AccountEvents, eventstore.PartitionOf("holder", partitions))
	b, err := f.batch(context.Background(), events, 0, int64(len(events)))
	if err != nil {
		t.Fatal(err)
	}
	if len(b.holds) != 3 {
		t.Errorf("%d holds have rows, want all 3", len(b.holds))
	}
	if len(f.holds.recent) != 1 || f.holds.get(active) == nil {
		t.Errorf("%d holds are kept, want the one that is active", len(f.holds.recent))
	}
}
