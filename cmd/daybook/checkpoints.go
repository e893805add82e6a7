package main

import (
	"context"
	"math"
	"time"

	"daybook/domain"
	"daybook/engine/snapshot"
	"daybook/internal/ids"
	"daybook/internal/planted"
)

// plantedInterval is how often a node whose checkpoints are to be many looks whether one is due.
const plantedInterval = 250 * time.Millisecond

// checkpoints is how this node writes checkpoints and is restored from them.
func (m *Main) checkpoints() snapshot.Config {
	c := snapshot.Config{
		Log: m.cluster.client, Store: m.store, LogID: m.logID, Partitions: m.partitions, Owned: m.engine.Owned,
		Clock: m.clock, NewID: ids.New, Logger: m.log, Metrics: m.checkpointed, MinEvents: m.cfg.CheckpointEvents,
	}
	if events := planted.CheckpointEvents(); events > 0 {
		c.MinEvents, c.Behind, c.EntriesPerEvent, c.Interval = events, events, math.MaxInt64, plantedInterval
	}
	return c
}

// runEngine runs the engine on what local state there is or, without it, on what the last checkpoints bring. The embedded
// broker has none: it and the local state are in one directory.
func (m *Main) runEngine(ctx context.Context) error {
	if m.cluster.broker == nil {
		if err := snapshot.Restore(ctx, m.checkpoints()); err != nil {
			return err
		}
	}
	close(m.restored)
	return m.engine.Run(ctx)
}

// writeCheckpoints writes checkpoints of the partitions that this node owns.
func (m *Main) writeCheckpoints(ctx context.Context) error {
	if m.cluster.broker != nil || !m.awaitRestored(ctx) {
		return nil
	}
	return snapshot.NewWriter(m.checkpoints()).Run(ctx)
}

// isRestored tells whether the engine has what it begins with.
func (m *Main) isRestored() bool {
	select {
	case <-m.restored:
		return true
	default:
		return false
	}
}

// mayFeed refuses feeds of changes until the engine has what it begins with. What a checkpoint brings is never published,
// and a feed that began before on older state would miss it.
func (m *Main) mayFeed() error {
	if m.isRestored() {
		return nil
	}
	return domain.Refuse(domain.Unavailable, "", "local state is being restored from checkpoints; subscribe again later, or on another node")
}

// awaitRestored waits until the engine has what it begins with; false when ctx ended first.
func (m *Main) awaitRestored(ctx context.Context) bool {
	select {
	case <-m.restored:
		return true
	case <-ctx.Done():
		return false
	}
}
