package bench

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// maxWarmUp bounds the warm-up before a load that is measured for long.
const maxWarmUp = 2 * time.Second

// maxOvertime bounds how much longer than asked is measured until there is anything to measure: on a busy machine a
// call can take longer than a short measurement.
const maxOvertime = 30 * time.Second

// Result is what one load measured.
type Result struct {
	// PerSecond is how many calls were answered in a second.
	PerSecond float64
	// P50 and P99 are latencies of a call.
	P50, P99 time.Duration
	// Transfers is how many transfers were made in all, those of a warm-up included.
	Transfers int64
	// Crossing is the counted share of transfers between partitions, from 0 to 1.
	Crossing float64
	// Lag is the furthest that the read model was behind the log while a sustained load ran.
	Lag time.Duration
}

// Load keeps callers busy for a time and measures their calls. A warm-up of a quarter of the time, at most 2 s, comes
// first. The first call that fails ends it.
func Load(ctx context.Context, callers int, d time.Duration, call func(ctx context.Context, caller, n int) error) (Result, error) {
	results, err := loadKinds(ctx, callers, d, 1, func(ctx context.Context, caller, n int) (int, error) {
		return 0, call(ctx, caller, n)
	})
	return results[0], err
}

// unmeasured is the kind of a call that counts for nothing.
const unmeasured = -1

// loadKinds is Load of calls of several kinds at once, with a result for each kind. A call tells which it was of.
func loadKinds(ctx context.Context, callers int, d time.Duration, kinds int, call func(ctx context.Context, caller, n int) (kind int, err error)) ([]Result, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var measuring, stop atomic.Bool
	measured := make([]atomic.Int64, kinds)
	latencies := make([][][]time.Duration, kinds)
	for kind := range latencies {
		latencies[kind] = make([][]time.Duration, callers)
	}
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for n := 0; !stop.Load() && ctx.Err() == nil; n++ {
				began := time.Now()
				kind, err := call(ctx, c, n)
				if err != nil {
					cancel(err)
					return
				}
				if kind != unmeasured && measuring.Load() {
					latencies[kind][c] = append(latencies[kind][c], time.Since(began))
					measured[kind].Add(1)
				}
			}
		})
	}
	wait(ctx, min(d/4, maxWarmUp))
	began := time.Now()
	measuring.Store(true)
	wait(ctx, d)
	for kind := range measured {
		for measured[kind].Load() == 0 && ctx.Err() == nil && time.Since(began) < d+maxOvertime {
			wait(ctx, d)
		}
	}
	measuring.Store(false)
	took := time.Since(began)
	stop.Store(true)
	wg.Wait()
	results := make([]Result, kinds)
	if err := context.Cause(ctx); err != nil {
		return results, err
	}
	for kind := range results {
		results[kind] = summarise(slices.Concat(latencies[kind]...), took)
	}
	return results, nil
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
