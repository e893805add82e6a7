package bench

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Result is what one load measured.
type Result struct {
	// PerSecond is how many calls were answered in a second.
	PerSecond float64
	// P50 and P99 are latencies of a call.
	P50, P99 time.Duration
}

// load keeps callers busy for a time, after a warm-up of a quarter of it, and measures their calls.
func load(ctx context.Context, callers int, duration time.Duration, call func(ctx context.Context, caller, n int) error) (Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var measuring, stop atomic.Bool
	latencies := make([][]time.Duration, callers)
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := 0; !stop.Load() && ctx.Err() == nil; n++ {
				began := time.Now()
				if err := call(ctx, c, n); err != nil {
					cancel(err)
					return
				}
				if measuring.Load() {
					latencies[c] = append(latencies[c], time.Since(began))
				}
			}
		})
	}
	wait(ctx, duration/4)
	began := time.Now()
	measuring.Store(true)
	wait(ctx, duration)
	measuring.Store(false)
	took := time.Since(began)
	stop.Store(true)
	wg.Wait()
	if err := context.Cause(ctx); err != nil {
		return Result{}, err
	}
	return summarise(slices.Concat(latencies...), took), nil
}

func summarise(all []time.Duration, took time.Duration) Result {
	if len(all) == 0 {
		return Result{}
	}
	slices.Sort(all)
	return Result{
		PerSecond: float64(len(all)) / took.Seconds(),
		P50:       all[len(all)/2], P99: all[len(all)*99/100],
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
