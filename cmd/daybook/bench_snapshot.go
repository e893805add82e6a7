package main

import (
	"context"
	"time"

	"daybook/internal/bench"
)

// snapshot measures how soon a node without local state has it. The embedded broker has no checkpoints.
func (b *backendBench) snapshot(ctx context.Context) error {
	if !b.distributed {
		return nil
	}
	events := b.lab.events
	b.say("state of %d events, folded and restored", events)
	return b.fresh(func(c *cluster, partitions int32, dir string) error {
		r, err := bench.Snapshot(ctx, c.client, partitions, dir, events)
		if err != nil {
			return err
		}
		b.say("folded in %s, checkpoints of %d entries written in %s (%d MB), restored in %s", r.Replay.Round(time.Millisecond),
			r.Entries, r.Write.Round(time.Millisecond), r.Bytes>>20, r.Restore.Round(time.Millisecond))
		perSecond := func(took time.Duration) bench.Result {
			return bench.Result{PerSecond: float64(events) / took.Seconds()}
		}
		replayed := perSecond(r.Replay)
		b.table.Add("(j) events' state restored", perSecond(r.Restore), "the log folded", &replayed)
		return nil
	})
}
