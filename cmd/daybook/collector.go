package main

import (
	"context"
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// The heap may grow to five times what lives in it while that is little: state is kept on disk, and most of what a command
// costs in memory is garbage at once. Of what lives for long, as the embedded broker's index does, it is not to take five
// times as much: garbage takes 128 MB then, and from there on as much as what lives, which is Go's default.
const (
	mostGarbagePercent  = 400
	leastGarbagePercent = 100
	garbageBytes        = 128 << 20
	collectorInterval   = 10 * time.Second
)

// collectorPercent is the GOGC value for so many living bytes.
func collectorPercent(live uint64) int {
	if live == 0 {
		return mostGarbagePercent
	}
	return int(min(mostGarbagePercent, max(leastGarbagePercent, garbageBytes*100/live)))
}

// paceCollector sets how far the heap may grow, until the context ends. Where GOGC is set it leaves it alone.
func paceCollector(ctx context.Context) {
	if os.Getenv("GOGC") != "" {
		return
	}
	percent := mostGarbagePercent
	debug.SetGCPercent(percent)
	ticker := time.NewTicker(collectorInterval)
	defer ticker.Stop()
	live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		metrics.Read(live)
		// Setting it stops the program for a moment: not for a trifle.
		if next := collectorPercent(live[0].Value.Uint64()); next < percent*9/10 || next > percent*11/10 {
			percent = next
			debug.SetGCPercent(percent)
		}
	}
}
