package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"daybook/eventstore"
	"daybook/internal/planted"
)

// confirmTimeout bounds how long an owner looks for what others may have written.
const confirmTimeout = 10 * time.Second

// watchInterval is how often an owner that writes nothing is held against the log.
const watchInterval = time.Second

// errIntruder means that the log has what this owner did not write, and no line tells of another owner.
var errIntruder = errors.New("something that this owner did not write is in the log")

// watch raises a doubt when the log goes beyond what the owner has written or seen, and the owner does not move: it may
// have been replaced, and is to hear of it even if nobody asks it for anything. Else holds that its successor placed
// would not expire, and its subscribers hear of nothing.
func (e *Engine) watch(ctx context.Context, partition int32, seen *atomic.Int64, doubt chan<- struct{}) {
	tick := time.NewTicker(watchInterval)
	defer tick.Stop()
	last := int64(-1) // Where the owner was when the log was beyond it.
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		now := seen.Load()
		end, err := e.log.EndOffset(eventstore.AccountEvents, partition)
		if err == nil {
			e.partitions[partition].heard(end)
		}
		switch {
		case err != nil || end <= now:
			last = -1
		case now != last:
			last = now
		default:
			select {
			case doubt <- struct{}{}:
			default:
			}
		}
	}
}

// stale tells whether the brokers may have forgotten the fence. A wall clock that was set is no measure of its age.
func (o *owner) stale(now time.Time) bool { return now.Round(0).Sub(o.renewed).Abs() > fenceTrust }

// notBefore is the time of what is decided: by the clock, and never earlier than what was decided before.
func (o *owner) notBefore(now time.Time) time.Time {
	if now.Before(o.position.LastTime) && !planted.Bug("clock trusted") {
		return o.position.LastTime
	}
	return now
}

// renew plants the fence anew. One that is stale is not renewed: who knows what was written since it was forgotten.
func (o *owner) renew(ctx context.Context) error {
	now := o.engine.cfg.Clock()
	if o.stale(now) {
		return errStale
	}
	if err := o.writer.Renew(ctx); err != nil {
		return err
	}
	o.renewed = now
	o.lineAhead = true
	return o.passLine()
}

// passLine brings the position beyond a line that was renewed, once nothing is on its way: it is to be at the end of the
// log whenever this owner is at rest.
func (o *owner) passLine() error {
	if !o.lineAhead || len(o.inFlight) > 0 {
		return nil
	}
	o.lineAhead = false
	return o.confirm()
}

// confirm makes sure that up to this moment nobody else has ruled a line in the partition: whatever was decided on what
// this owner knows was decided on all there is. It is for when nothing is on its way.
func (o *owner) confirm() error {
	end, err := o.engine.log.EndOffset(eventstore.AccountEvents, o.partition.id)
	if err != nil || end <= o.position.Next {
		return err
	}
	if err := o.onlyOwnLines(end); err != nil {
		return err
	}
	o.position.Next = end
	o.seen.Store(end)
	return o.engine.store.NewBatch(o.partition.id).Commit(o.position)
}

// onlyOwnLines returns an error unless all that lies between the position and an offset is this owner's own renewed lines.
func (o *owner) onlyOwnLines(end int64) error {
	reader, err := o.engine.log.OpenReader(eventstore.AccountEvents, o.partition.id)
	if err != nil {
		return err
	}
	defer reader.Close() //nolint:errcheck // Nothing was written.
	ctx, cancel := context.WithTimeout(context.Background(), confirmTimeout)
	defer cancel()
	next := o.position.Next
	for next < end {
		chunk, err := reader.Read(ctx, next, pollWait)
		if err != nil {
			return fmt.Errorf("looking for another owner: %w", err)
		}
		own := o.partition.marker
		for _, m := range chunk.Markers {
			if m.Offset < end && (m.ProducerID != own.ProducerID || m.Epoch != own.Epoch) {
				return fmt.Errorf("another owner has ruled a line at offset %d: %w", m.Offset, eventstore.ErrFenced)
			}
		}
		if len(chunk.Messages) > 0 && chunk.Messages[0].Offset < end {
			// No line tells of another owner: to read it, and to go on, takes a line of one's own.
			return fmt.Errorf("%w at offset %d; find out what else writes to the topic", errIntruder, chunk.Messages[0].Offset)
		}
		next = chunk.Next
	}
	return nil
}
