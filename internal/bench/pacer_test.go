package bench

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// TestCallersAreHeldBackUntilTheReadModelCatchesUp lets the read model stand still until callers are held back.
func TestCallersAreHeldBackUntilTheReadModelCatchesUp(t *testing.T) {
	var calls, whenHeld atomic.Int64
	var p *pacer
	p = newPacer(func() (written, projected []int64, err error) {
		written = []int64{calls.Load()}
		if p.closed.Load() != nil && whenHeld.Load() == 0 {
			whenHeld.Store(written[0])
		}
		if whenHeld.Load() == 0 {
			return written, []int64{0}, nil
		}
		return written, written, nil
	})
	ctx, end := context.WithTimeout(t.Context(), time.Minute)
	defer end()
	_, counted, err := p.load(ctx, 4, 4*holdFrom, func(time.Duration) {}, func(_, _ int) error {
		calls.Add(1)
		wait(ctx, time.Millisecond)
		return nil
	})
	if err != nil || counted != calls.Load() {
		t.Fatalf("counted %d of %d calls, %v", counted, calls.Load(), err)
	}
	if whenHeld.Load() == 0 || p.worst <= holdFrom {
		t.Errorf("callers were not held back; the read model was at most %s behind", p.worst)
	}
	if calls.Load() <= whenHeld.Load() {
		t.Errorf("callers did not go on: %d calls, %d when held back", calls.Load(), whenHeld.Load())
	}
}

func TestSettlingWaitsForAllThatWasWritten(t *testing.T) {
	var looks int64
	p := newPacer(func() (written, projected []int64, err error) {
		looks++
		return []int64{10, min(looks, 5)}, []int64{min(10, looks), min(looks, 5) - 1 + looks/20}, nil
	})
	if err := p.settle(t.Context(), 15, 0); err != nil {
		t.Fatal(err)
	}
	if looks < 20 || p.projected < 15 {
		t.Errorf("settled after %d looks with %d projected", looks, p.projected)
	}
}
