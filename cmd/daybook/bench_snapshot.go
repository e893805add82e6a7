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
		b.say("checkpoints of %d entries written in %s (%d MB)", r.Entries, r.Write.Round(time.Millisecond), r.Bytes>>20)
		b.compareRestored("(j) events' state restored", r.AtEnd)
		b.compareRestored("(j) … with the longest tail", r.WithTail)
		return nil
	})
}

func (b *backendBench) compareRestored(what string, c bench.Caught) {
	b.say("%d events, %d of them after the checkpoints: folded in %s, restored in %s", c.Events, c.Tail,
		c.Replay.Round(time.Millisecond), c.Restore.Round(time.Millisecond))
	perSecond := func(took time.Duration) bench.Result {
		return bench.Result{PerSecond: float64(c.Events) / took.Seconds()}
	}
	replayed := perSecond(c.Replay)
	b.table.Add(what, perSecond(c.Restore), "the log folded", &replayed)
}
